-- A row for each account of each route, in the order vat, rights, singer, agent, venue, platform, promo.
select t.id, x.gross, x.vat_bp, x.rights_bp, x.singer_bp, x.agent_bp, x.venue_bp, x.platform_bp, x.bonus_singer_bp, x.preset, x.preset_version, x.source, x.source_id,
  t.singer_user, t.channel_id, l.leg, a.id, a.name, a.floored, a.whole_coins, b.amount, b.version, b.spent, b.spent_day
from unnest($1::bigint[]) u (id) join ledger.route t on t.id = u.id join ledger.split_rule x on x.id = t.rule_id
cross join lateral (values (0, t.vat_account), (1, t.rights_account), (2, t.singer_account), (3, t.agent_account), (4, t.venue_account), (5, t.platform_account), (6, t.promo_account)) l (leg, account)
join ledger.account a on a.id = l.account join ledger.balance b on b.account_id = a.id
order by t.id, l.leg
