-- Accounts are what their names say, and a wallet's are its user's own.
select (select count(*) from ledger.account where kind <> split_part(name, ':', 1)
     or owner_id is distinct from case when name ~ '^(wallet|gift_only|bonus|earnings):[0-9]+$' then split_part(name, ':', 2)::bigint end
     or floored <> (kind in ('wallet', 'gift_only', 'bonus', 'earnings', 'escrow', 'payout_transit', 'held')) or whole_coins <> (kind in ('wallet', 'gift_only', 'bonus')))
  + (select count(*) from ledger.wallet w where (select array_agg(a.name order by a.id) from ledger.account a where a.id in (w.wallet_account, w.gift_only_account, w.bonus_account))
     is distinct from (select array_agg(n.name order by n.id) from (values (w.wallet_account, 'wallet:' || w.user_id), (w.gift_only_account, 'gift_only:' || w.user_id),
       (w.bonus_account, 'bonus:' || w.user_id)) n (id, name))),
  (select count(*) from ledger.account), 'an account or a wallet'
