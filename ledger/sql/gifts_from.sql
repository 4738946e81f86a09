select g.seq, g.price, g.bonus, g.vat, g.rights, g.singer, g.agent, g.venue, g.platform, g.promo,
  x.gross, x.vat_bp, x.rights_bp, x.singer_bp, x.agent_bp, x.venue_bp, x.platform_bp, x.bonus_singer_bp
from ledger.gift g join ledger.route t on t.id = g.route join ledger.split_rule x on x.id = t.rule_id
where g.seq > $1 order by g.seq limit $2
