select g.seq, g.key, (extract(epoch from g.at) * 1000)::bigint, g.price, g.vat, g.rights, g.singer, g.agent, g.venue, g.platform, g.promo, g.item, g.quantity, g.room, g.performance, g.payer,
  -g.bonus, -g.gift_only, -(g.price - g.bonus - g.gift_only), g.route,
  w.bonus_account, w.gift_only_account, w.wallet_account, t.vat_account, t.rights_account, t.singer_account, t.agent_account, t.venue_account, t.platform_account, t.promo_account,
  t.singer_user, x.rights_bp, x.singer_bp, x.agent_bp, x.venue_bp, x.platform_bp, x.gross, x.vat_bp, x.id, x.preset, x.preset_version, x.source, x.source_id
from ledger.gift g join ledger.route t on t.id = g.route join ledger.split_rule x on x.id = t.rule_id join ledger.wallet w on w.user_id = g.payer
where g.route in (select id from ledger.route where singer_account = $1 union select id from ledger.route where agent_account = $1 union select id from ledger.route where rights_account = $1)
  and g.seq < $2 order by g.seq desc limit $3
