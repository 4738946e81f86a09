-- What the books gave back through a provider or the bank must be sent there: one line a case, made with the posting of its step.
create table payments.refund (
  id           bigint generated always as identity primary key,
  case_id      bigint not null unique references payments.money_case,
  order_id     bigint not null references payments.top_up,
  provider     text not null,
  amount_minor bigint not null check (amount_minor > 0),
  currency     text not null,
  state        text not null default 'to_send' check (state in ('to_send', 'sent', 'refused')),
  reference    text not null default '',   -- the provider's name for it, or of the transfer
  why          text not null default '',   -- what was answered last
  tries        int not null default 0,
  next_try     timestamptz not null default now(),
  made_at      timestamptz not null default now(),
  sent_at      timestamptz,
  check ((state = 'sent') = (sent_at is not null))
);
create index refund_open on payments.refund (id) where state <> 'sent';
-- What was sent stays sent.
create function payments.keep_sent() returns trigger language plpgsql as $$
begin
  raise exception 'what was sent stays: % on payments.refund is refused', tg_op using errcode = 'OV001';
end $$;
create trigger refund_is_final before update or delete on payments.refund for each row when (old.state = 'sent') execute function payments.keep_sent();
grant select, update (state, reference, why, tries, next_try, sent_at) on payments.refund to ovation_app;

create function payments.note_refund() returns trigger language plpgsql security definer set search_path = payments, pg_temp as $$
begin
  insert into refund (case_id, order_id, provider, amount_minor, currency)
  select c.id, c.order_id, c.provider, sum(l.amount) / 10000, o.currency
  from money_case c join top_up o on o.id = c.order_id cross join lateral unnest(new.accounts, new.amounts) l (account, amount)
  where c.id = new.subject_id and c.kind = new.subject and (l.account = 'bank' or l.account like 'cash:%')
  group by c.id, c.order_id, c.provider, o.currency having sum(l.amount) > 0;
  return null;
end $$;
create trigger refund_is_due after update of entry_seq on payments.step for each row
  when (old.entry_seq is null and new.entry_seq is not null and new.subject in ('unspent', 'minor') and new.state = 'upheld') execute function payments.note_refund();

-- By hand only what no provider is being asked for: what came of a question that nobody answered is not known. `problem`: nothing was written.
create function payments.settle_refund(p_id bigint, p_reference text, p_actor bigint, p_reason text) returns text
language plpgsql security definer set search_path = payments, pg_temp as $$
declare
  r refund;
begin
  select * into r from refund where id = p_id for update;
  if not found then return 'not_found'; end if;
  if p_actor = (select user_id from money_case where id = r.case_id) then return 'own_money'; end if;
  if r.state = 'sent' then return case when p_reference = r.reference then '' else 'wrong_state' end; end if;
  if p_reference = '' then
    update refund set state = 'to_send', next_try = now() where id = p_id;
  elsif r.state = 'refused' or r.tries = 0 then
    update refund set state = 'sent', reference = p_reference, sent_at = now() where id = p_id;
  else
    return 'wrong_state';
  end if;
  perform identity.add_audit(p_actor, case when p_reference = '' then 'refund_again' else 'refund_sent' end, 'refund:' || p_id, p_reason,
    jsonb_build_object('state', r.state), jsonb_build_object('state', case when p_reference = '' then 'to_send' else 'sent' end, 'reference', p_reference));
  return '';
end $$;
revoke execute on function payments.settle_refund from public;
grant execute on function payments.settle_refund to ovation_app;
