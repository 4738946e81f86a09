select user_id, sum(spent)::bigint from ledger.spent group by user_id
