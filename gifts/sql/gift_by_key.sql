select g.seq, g.price, bw.amount, bg.amount, bb.amount
from ledger.gift g join ledger.wallet w on w.user_id = g.payer
join ledger.balance bw on bw.account_id = w.wallet_account join ledger.balance bg on bg.account_id = w.gift_only_account join ledger.balance bb on bb.account_id = w.bonus_account
where g.key = $1::uuid and g.payer = $2
