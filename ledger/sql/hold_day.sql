-- The day on which a hold was counted as spending, by the names of the accounts from which its coins come back.
select ledger.hold_day(array_agg(a.id)) from ledger.account a where a.name = any ($1::text[])
