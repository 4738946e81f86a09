select o_status, o_seq from ledger.post_entry($1, $2, $3, $4, $5, $6, $7)
