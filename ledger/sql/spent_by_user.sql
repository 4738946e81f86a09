-- And of whatever is no wallet's: nothing is spent from there.
select user_id, wallet_account, day, spent from ledger.spent where spent <> 0 or day <> 0
union all select 0, b.account_id, b.spent_day, b.spent from ledger.balance b
where (b.spent <> 0 or b.spent_day <> 0) and not exists (select from ledger.wallet w where w.wallet_account = b.account_id)
