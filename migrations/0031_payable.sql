-- What waits in `payable` is what was earned lately, less what cases hold of it or have taken, and no more than there is: the shares
-- were taken off what there is instead, which had lost them already, and as much of young earnings could be asked for.
create or replace function payments.payable(p_user bigint, out earnings bigint, out maturing bigint, out available_minor bigint, out owed bigint)
language plpgsql stable set search_path = payments, pg_temp as $$
declare v_asked bigint;
begin
  earnings := ledger.standing_of('earnings:' || p_user);
  maturing := coalesce((select ledger.earned_since(a.id, now() - make_interval(days => (select maturity_days from policy_now))) from ledger.account a where a.name = 'earnings:' || p_user), 0);
  -- Shares that a case holds or has taken are not waited for.
  maturing := maturing - coalesce((select sum((t.shares->>('earnings:' || p_user))::bigint) from case_part t join money_case c on c.id = t.case_id join ledger.given g on g.seq = t.seq
    where t.active and t.shares ? ('earnings:' || p_user) and g.at > now() - make_interval(days => (select maturity_days from policy_now)) and (c.kind in ('chargeback', 'minor') or c.kind = 'fraud' and c.closed_at is null)), 0);
  maturing := least(greatest(earnings, 0), greatest(maturing, 0));
  select coalesce(sum(p.gross_minor), 0) into v_asked from payout p join step s on s.subject = 'payout' and s.subject_id = p.id and s.state = 'requested' and s.entry_seq is null where p.user_id = p_user;
  available_minor := greatest(0, (earnings - maturing) / 10000 - v_asked);
  owed := greatest(0, -ledger.standing_of('receivable:' || p_user));
end $$;
