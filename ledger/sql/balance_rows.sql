-- With whether the row can be: as of a number that was posted, and of its account's kind.
select a.id, b.amount, b.version, a.name, a.whole_coins, b.as_of_seq <= (select seq from ledger.head) and b.floored = a.floored and b.whole_coins = a.whole_coins
from ledger.account a left join ledger.balance b on b.account_id = a.id where a.id >= $1 and a.id < $2
