-- Whether the entry moves an account of this user, and whether it is one of a case, which tells of others.
select exists (select from ledger.gift g join ledger.route r on r.id = g.route where g.seq = $1 and (g.payer = $2
    or exists (select from ledger.account a where a.owner_id = $2 and a.id in (r.vat_account, r.rights_account, r.singer_account, r.agent_account, r.venue_account, r.platform_account, r.promo_account))))
  or exists (select from ledger.entry e join ledger.account a on a.id = any (e.accounts) where e.seq = $1 and a.owner_id = $2),
  exists (select from ledger.entry e where e.seq = $1 and e.detail ? 'case')
