-- The house's own accounts stand in nearly every gift.
select * from ledger.gift_line
where (platform_account = $1 and platform <> 0 or vat_account = $1 and vat <> 0 or promo_account = $1 and promo <> 0
    or agent_account = $1 and agent <> 0 or venue_account = $1 and venue <> 0)
  and seq < $2 order by seq desc limit $3
