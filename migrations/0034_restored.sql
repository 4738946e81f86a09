-- After a backup was restored: a marker in the order of the entries says so, and what was counted from the books that are gone (the
-- boards in Redis) is known as another's by head.restore_epoch.
create function ledger.note_restore() returns trigger
language plpgsql security definer set search_path = ledger, pg_temp as $$
begin
  update head set restore_epoch = restore_epoch + 1;
  return null;
end $$;
create trigger restore_is_noted after insert on ledger.entry for each row when (new.kind = 'marker' and new.reference like 'restore:%') execute function ledger.note_restore();
insert into payments.move values ('restore', '', 'restored');
create function payments.note_restore(p_actor bigint, p_reason text) returns bigint
language plpgsql set search_path = payments, pg_temp as $$
declare
  v_id bigint;
begin
  perform pg_advisory_xact_lock(hashtext('payments.restore'));
  select count(*) + 1 into v_id from step where subject = 'restore';
  perform add_step('restore', v_id, '', 'restored', p_actor, true, p_reason, 'marker', '{}', '{}', 'restore:' || v_id, jsonb_build_object('last_seq', (select seq from ledger.progress)));
  return v_id;
end $$;
revoke execute on function payments.note_restore from public;
grant execute on function payments.note_restore to ovation_app;
