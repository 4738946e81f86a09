select n from ledger.limits_version
