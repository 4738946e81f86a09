with d as (select date_trunc('day', now() at time zone $1) at time zone $1 as since)
select (select count(*) from ledger.gift, d where at >= d.since),
  coalesce((select sum(coins) from gifts.board_bucket where scope = 1 and subject = 1 and day = (now() at time zone $1)::date), 0)::bigint,
  (select count(*) from payments.top_up, d where state = 'paid' and paid_at >= d.since),
  coalesce((select sum(price_minor) from payments.top_up, d where state = 'paid' and paid_at >= d.since), 0)::bigint
