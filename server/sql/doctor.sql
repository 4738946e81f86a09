select current_setting('server_version_num')::int, current_setting('fsync'), current_setting('synchronous_commit'), pg_is_in_recovery(),
  (extract(epoch from clock_timestamp()) * 1000)::bigint, has_table_privilege('ledger.posting', 'update') or has_table_privilege('ledger.posting', 'delete') or pg_catalog.has_schema_privilege('ledger', 'create'),
  (select seq from ledger.progress), (select coalesce(holder, '') from ledger.progress), (select coalesce((extract(epoch from now() - min(xact_start)) )::bigint, 0) from pg_stat_activity where state = 'idle in transaction'),
  current_setting('data_checksums')
