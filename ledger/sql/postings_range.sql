select seq, kind, key, account, amount from ledger.posting where seq >= $1 and seq < $2 order by seq, leg
