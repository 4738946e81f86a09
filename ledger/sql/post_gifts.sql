select o_status, o_seq, o_paid, o_gift_only, o_bonus
from ledger.post_gifts($1, current_date, to_timestamp($2::bigint), $3, $4, $5, $6, $7, $8, $9, $10, $11)
order by o_ord
