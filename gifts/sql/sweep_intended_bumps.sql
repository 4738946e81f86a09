-- $1: a moment before the keys of $2, those under way here, were read. What another server intended may be on its way to the
-- books for as long as a command lives: it is left alone for two minutes. The books say whether the coins were held.
update gifts.bump b set state = case when e.seq is null then 'refused' else 'held' end, hold_seq = e.seq, decided = case when e.seq is not null then 'release' end
from gifts.bump o left join ledger.booked e on e.key = 'bump-hold:' || o.key
where b.key = o.key and b.state = 'intended' and b.at < $1::timestamptz - interval '2 minutes' and b.key::text <> all($2::text[])
returning b.key
