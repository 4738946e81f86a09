-- A leaf is made beside the journal and then joined to it, which neither waits for readers nor holds up writers; made as a part of
-- it at once, it waited for the longest reader (a verify of hours), and every gift waited behind it.
create or replace function ledger.make_leaf(p_rows bigint default 5000000) returns text
language plpgsql security definer set search_path = ledger, pg_temp as $$
declare
  v_first bigint;
  v_name text;
begin
  lock table gift_leaf in share row exclusive mode;
  select coalesce(max(end_seq), 1) into v_first from gift_leaf;
  v_name := 'gift_' || v_first;
  execute format('create table %I (like gift including all)', v_name);
  execute format('create unique index on %I (seq)', v_name);
  execute format('create unique index on %I (key)', v_name);
  execute format('create trigger leaf_stays before truncate on %I execute function refuse_change()', v_name);
  execute format('grant select, insert on %I to ovation_app', v_name);
  execute format('alter table gift attach partition %I for values from (%s) to (%s)', v_name, v_first, v_first + p_rows);
  insert into gift_leaf values (v_name, v_first, v_first + p_rows);
  return v_name;
end $$;
