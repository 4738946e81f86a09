-- The gifts paid from one of the payer's accounts.
select * from ledger.gift_line
where payer = $1 and ($4 = 'bonus' and bonus <> 0 or $4 = 'gift_only' and gift_only <> 0 or $4 = 'wallet' and paid <> 0)
  and seq < $2 order by seq desc limit $3
