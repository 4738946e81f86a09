select i.payout_id, i.attempt, i.net_minor, i.method, i.holder, i.account, i.bank, (extract(epoch from b.at) * 1000)::bigint, to_char(b.at at time zone $2, 'YYYY-MM-DD"T"HH24:MI:SS'), to_char(b.at at time zone $2, 'YYYY-MM-DD')
from payments.payout_batch b left join payments.payout_item i on i.batch_id = b.id where b.id = $1 order by i.payout_id
