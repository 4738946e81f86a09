-- A party's gifts in which it got something.
select * from ledger.gift_line
where route in (select id from ledger.route where singer_account = $1 union select id from ledger.route where agent_account = $1 union select id from ledger.route where rights_account = $1 union select id from ledger.route where venue_account = $1)
  and (singer_account = $1 and singer <> 0 or agent_account = $1 and agent <> 0 or rights_account = $1 and rights <> 0 or venue_account = $1 and venue <> 0)
  and seq < $2 order by seq desc limit $3
