select x.gross, x.vat_bp, x.rights_bp, x.singer_bp, x.agent_bp, x.venue_bp, x.platform_bp, x.bonus_singer_bp,
  v.name, r.name, s.name, a.name, n.name, p.name
from ledger.route t join ledger.split_rule x on x.id = t.rule_id
join ledger.account v on v.id = t.vat_account join ledger.account r on r.id = t.rights_account join ledger.account s on s.id = t.singer_account
join ledger.account a on a.id = t.agent_account join ledger.account n on n.id = t.venue_account join ledger.account p on p.id = t.platform_account
where t.id = $1
