// Money out, from the request to the bank's answer: maturity, threshold, payee, two persons, withholding, the bank's file, returns.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { password, startServer, until } from './harness.mjs';
import { cleanBooks, give, legsOf, noMonthlyRun, policy, standing, topUp } from './money.mjs';

let server, room, singer, singerId, finance, second, rich;
const out = (method, request, token) => server.rpc(`PayoutService/${method}`, request, { token });
const ask = (amountMinor = 0, key = randomUUID()) => out('RequestPayout', { key, amountMinor }, singer);
const decide = (payoutId, decision, token = finance, reason = 'looked at it') => out('DecidePayout', { payoutId, decision: `PAYOUT_DECISION_${decision}`, reason }, token);
const bank = (payoutId, answer) => out('SettlePayout', { payoutId, answer: `BANK_ANSWER_${answer}`, reason: 'the bank says so' }, finance);
const submit = (key = randomUUID()) => out('SubmitPayouts', { key, reason: 'the batch of today' }, finance);
const earnings = () => out('GetEarnings', {}, singer);
const refusedWith = (reason, promise) => assert.rejects(promise, (e) => e.reason === reason, reason);
/** Another day, for a payout on demand. */
const nextDay = () => server.psql(`update payments.payout set day = date '2000-01-01' + id::int where user_id = ${singerId}`);
const states = (p) => p.steps.map((s) => s.state.slice('PAYOUT_STATE_'.length).toLowerCase());
/** From request to the bank's file. */
async function submitted(amountMinor) {
  await nextDay();
  const p = await ask(amountMinor);
  await decide(p.id, 'APPROVE');
  if (amountMinor > 2_000_000) await decide(p.id, 'APPROVE', second);
  await submit();
  return out('GetPayout', { payoutId: p.id }, finance);
}

before(async () => {
  server = await startServer({ flags: ['--load-profile'], prepare: noMonthlyRun });
  await server.ovation('users', 'create', 'finance2', '--name', 'Wire finance 2', '--password', password, '--role', 'finance', '--database', server.conninfo);
  room = await server.makeRoom();
  singer = await server.logIn('singer');
  finance = await server.logIn('finance');
  second = await server.logIn('finance2');
  singerId = (await server.rpc('AuthService/GetMe', {}, { token: singer })).user.id;
  rich = await topUp(server, 'listener', 7, 30);
  // 110 × 131 400 coins: 144 540 CNY, of which a singer without song has half or more of what VAT leaves.
  for (let i = 0; i < 11; ++i) await Promise.all(Array.from({ length: 10 }, () => give(server, room, rich.token, { giftId: 9, quantity: 10 })));
});
after(() => server?.stop());

describe('what can be asked for', () => {
  test('earnings of today are not ripe yet, and the page says so', async () => {
    const e = await earnings();
    assert.equal(e.earningsMicros, e.maturingMicros);
    assert.equal(e.maturityDays, 7);
    assert.equal(e.availableMinor ?? '0', '0');
    assert.equal(e.thresholdMinor, '10000');
    assert.match(e.nextRun, /^\d{4}-\d\d-15$/);
    await refusedWith('no_payee', ask());
    await assert.rejects(out('ListPayouts', { state: 99 }, finance), (x) => x.field === 'state');
  });
  test('a payee is checked field by field', async () => {
    const good = { method: 'bank', holder: 'A Singer', account: '6222020012345678', bank: 'ICBKCNBJ', taxScheme: 'cn_labour' };
    for (const [field, value] of [['method', 'cash'], ['holder', 'x'], ['account', '12 34'], ['bank', ''], ['taxScheme', 'monaco']])
      await assert.rejects(out('SetPayee', { ...good, [field]: value }, singer), (e) => e.field === field.replace('taxScheme', 'tax_scheme'), field);
    const payee = await out('SetPayee', good, singer);
    assert.deepEqual([payee.version, payee.account, payee.verified ?? false], [1, '5678', false]);
    assert.equal((await out('SetPayee', good, singer)).version, 1, 'the same again is no change');
  });
  test('the threshold, and what is not available', async () => {
    await refusedWith('below_threshold', ask());
    await policy(server, { maturity_days: 0 });
    const e = await earnings();
    assert.equal(BigInt(e.availableMinor), BigInt(e.earningsMicros) / 10_000n);
    assert.ok(BigInt(e.availableMinor) > 7_000_000n);
    await refusedWith('below_threshold', ask(9_999));
    await refusedWith('not_available', ask(Number(e.availableMinor) + 1));
    await assert.rejects(ask(-1), (x) => x.field === 'amount_minor');
    assert.equal(e.taxIfNow.scheme, 'cn_labour');
  });
});

describe('one payout, whole', () => {
  let p;
  test('asked for: the money is set aside at once, and the same key is the same payout', async () => {
    const had = await standing(server, `earnings:${singerId}`);
    const key = randomUUID();
    p = await ask(2_000_000, key);
    assert.equal(p.state, 'PAYOUT_STATE_RISK_REVIEW');
    assert.deepEqual(states(p), ['requested', 'risk_review']);
    assert.ok(p.steps.every((s) => Number(s.entrySeq) > 0 && !s.actor));
    assert.equal(await standing(server, `earnings:${singerId}`), had - 20_000_000_000n);
    assert.equal(await standing(server, `held:payout_${p.id}`), 20_000_000_000n);
    assert.equal((await ask(2_000_000, key)).id, p.id);
    await refusedWith('key_reused', ask(1_999_999, key));
    await refusedWith('once_a_day', ask(20_000));
  });
  test('the payee is verified first, by somebody else, as they saw it', async () => {
    await refusedWith('payee_not_verified', decide(p.id, 'APPROVE'));
    const waiting = (await out('ListPayees', {}, finance)).payees;
    assert.equal(waiting.length, 1);
    assert.equal(waiting[0].account, '6222020012345678');
    await refusedWith('wrong_version', out('VerifyPayee', { userId: singerId, version: 2, reason: 'papers seen' }, finance));
    assert.equal((await out('VerifyPayee', { userId: singerId, version: 1, reason: 'papers seen' }, finance)).verified, true);
  });
  test('approved and taxed: 20 000 CNY withhold 330', async () => {
    p = await decide(p.id, 'APPROVE');
    assert.equal(p.state, 'PAYOUT_STATE_TAX_COMPUTED');
    assert.deepEqual([p.withheldMinor, p.netMinor, p.tax.taxableMinor, p.tax.rateBp, p.tax.months], ['33000', '1967000', '1100000', 300, 1]);
    assert.deepEqual(await legsOf(server, p.steps.at(-1).entrySeq), { [`held:payout_${p.id}`]: -20_000_000_000n, payout_transit: 19_670_000_000n, withholding: 330_000_000n });
    await refusedWith('wrong_state', decide(p.id, 'APPROVE'));
  });
  test('the bank’s file says every payment once', async () => {
    const key = randomUUID();
    const batch = await submit(key);
    assert.deepEqual([batch.payouts, batch.sumMinor], [1, '1967000']);
    assert.match(batch.file, new RegExp(`<EndToEndId>PO${p.id}-1</EndToEndId>`));
    assert.match(batch.file, /<InstdAmt Ccy="CNY">19670\.00<\/InstdAmt>/);
    assert.match(batch.file, /pain\.001\.001\.03/);
    assert.match(batch.file, /<Nm>A Singer<\/Nm>[\s\S]*6222020012345678/);
    assert.deepEqual(await submit(key), batch, 'the same key is the same file');
    assert.equal((await submit()).payouts ?? 0, 0, 'nothing is submitted twice');
    await refusedWith('wrong_state', out('CancelPayout', { payoutId: p.id }, singer));
  });
  test('in transit, paid, and the whole way in the books', async () => {
    assert.equal((await bank(p.id, 'ACCEPTED')).state, 'PAYOUT_STATE_IN_TRANSIT');
    p = await bank(p.id, 'PAID');
    assert.equal(p.state, 'PAYOUT_STATE_PAID');
    assert.deepEqual(states(p), ['requested', 'risk_review', 'approved', 'tax_computed', 'submitted', 'in_transit', 'paid']);
    assert.equal(new Set(p.steps.map((s) => s.entrySeq)).size, 7, 'one entry for each transition');
    assert.equal(await standing(server, 'payout_transit'), 0n);
    assert.equal(await standing(server, 'bank'), 19_670_000_000n);
    await refusedWith('wrong_state', bank(p.id, 'PAID'));
  });
  test('returned by the bank: the earnings are there again, the tax too', async () => {
    const had = await standing(server, `earnings:${singerId}`);
    p = await bank(p.id, 'RETURNED');
    assert.equal(await standing(server, `earnings:${singerId}`), had + 20_000_000_000n);
    assert.equal(await standing(server, 'withholding'), 0n);
    assert.equal(await standing(server, 'bank'), 0n);
    assert.equal((await earnings()).taxIfNow.incomeMinor, (await earnings()).availableMinor, 'the year is as if it had not been');
    await cleanBooks(server);
  });
});

describe('side ways', () => {
  test('above 20 000 CNY two different persons approve', async () => {
    await nextDay();
    let p = await ask(2_000_001);
    assert.equal(p.approvalsNeeded, 2);
    p = await decide(p.id, 'APPROVE');
    assert.deepEqual([p.state, p.approvals], ['PAYOUT_STATE_RISK_REVIEW', 1]);
    await refusedWith('second_person', decide(p.id, 'APPROVE'));
    p = await decide(p.id, 'APPROVE', second, 'seen by the second');
    assert.equal(p.state, 'PAYOUT_STATE_TAX_COMPUTED');
    const had = await standing(server, `earnings:${singerId}`);
    assert.equal((await out('CancelPayout', { payoutId: p.id }, singer)).state, 'PAYOUT_STATE_CANCELLED');
    assert.equal(await standing(server, `earnings:${singerId}`), had + 20_000_010_000n);
    assert.equal(await standing(server, 'withholding'), 0n);
  });
  test('rejected and held: the reason is kept, the money goes back', async () => {
    await nextDay();
    let p = await ask(50_000);
    p = await decide(p.id, 'HOLD', finance, 'asks for papers');
    assert.equal(p.state, 'PAYOUT_STATE_HELD');
    assert.equal((await decide(p.id, 'RESUME')).state, 'PAYOUT_STATE_RISK_REVIEW');
    const had = await standing(server, `earnings:${singerId}`);
    p = await decide(p.id, 'REJECT', finance, 'the papers were false');
    assert.equal(p.steps.at(-1).reason, 'the papers were false');
    assert.equal(await standing(server, `earnings:${singerId}`), had + 500_000_000n);
    const trail = (await server.rpc('OpsService/ListAudit', { limit: 20 }, { token: finance })).rows;
    const line = trail.find((r) => r.action === 'payout_rejected' && r.subject === `payout:${p.id}`);
    assert.deepEqual([line.actor, line.reason, JSON.parse(line.before), JSON.parse(line.after)], ['Wire finance', 'the papers were false', { state: 'risk_review' }, { state: 'rejected' }]);
    await assert.rejects(decide(p.id, 'REJECT', finance, 'x'), (e) => e.field === 'reason');
  });
  test('failed at the bank: the earnings are restored', async () => {
    const had = await standing(server, `earnings:${singerId}`);
    const p = await submitted(30_000);
    assert.equal((await bank(p.id, 'FAILED')).state, 'PAYOUT_STATE_FAILED');
    assert.equal(await standing(server, `earnings:${singerId}`), had);
  });
  test('an unknown outcome is not submitted again before the bank was asked; then under a new attempt', async () => {
    let p = await submitted(40_000);
    assert.equal(p.reference, `PO${p.id}-1`);
    assert.equal((await submit()).payouts ?? 0, 0);
    p = await bank(p.id, 'UNKNOWN_THERE');
    assert.equal(p.state, 'PAYOUT_STATE_TAX_COMPUTED');
    const again = await submit();
    assert.match(again.file, new RegExp(`PO${p.id}-2`));
    assert.equal((await bank(p.id, 'PAID')).state, 'PAYOUT_STATE_PAID', 'straight to paid passes through in transit');
  });
  test('a changed payee holds payouts for 72 hours, and must be verified anew', async () => {
    await nextDay();
    const p = await ask(60_000);
    await decide(p.id, 'APPROVE');
    const changed = await out('SetPayee', { method: 'alipay', holder: 'A Singer', account: 'singer@example.com', taxScheme: 'cn_labour' }, singer);
    assert.equal(changed.version, 2);
    assert.ok(Number(changed.holdsUntilMs) > Date.now() + 71 * 3_600_000);
    assert.equal((await submit()).payouts ?? 0, 0);
    assert.equal((await out('GetPayout', { payoutId: p.id }, singer)).state, 'PAYOUT_STATE_HELD');
    await out('VerifyPayee', { userId: singerId, version: 2, reason: 'papers seen' }, finance);
    // The hours pass: it goes on by itself.
    await server.psql(`update payments.payee set changed_at = changed_at - interval '73 hours' where user_id = ${singerId}; update payments.payout set held_until = now() where id = ${p.id}`);
    await server.restart();
    await until(async () => (await out('GetPayout', { payoutId: p.id }, singer)).state === 'PAYOUT_STATE_TAX_COMPUTED', 20_000, 'the payout goes on');
    assert.match((await submit()).file, /singer@example\.com/);
  });
  test('nobody decides about their own money', async () => {
    await server.rpc('OpsService/GrantRole', { userId: singerId, role: 'ROLE_FINANCE', reason: 'test of own money' }, { token: await server.logIn('ops') });
    const own = (await server.rpc('AuthService/LogIn', { handle: 'singer', password })).accessToken;
    await nextDay();
    const p = await ask(70_000);
    await refusedWith('own_payout', decide(p.id, 'APPROVE', own));
    await refusedWith('own_payee', out('VerifyPayee', { userId: singerId, version: 2, reason: 'my own papers' }, own));
    await server.rpc('OpsService/GrantRole', { userId: singerId, role: 'ROLE_FINANCE', revoke: true, reason: 'test of own money' }, { token: await server.logIn('ops') });
    singer = (await server.rpc('AuthService/LogIn', { handle: 'singer', password })).accessToken;
    await decide(p.id, 'REJECT');
  });
});

describe('the year', () => {
  test('20 000 CNY × 12 months withhold 330, 330, 330, 890, 1 100 × 8; 6 000 × 12 withhold nothing', async () => {
    const year = (monthly) =>
      server.psql(`
        with recursive m (month, withheld, before) as (
          select 1, greatest(0, (payments.tax_of_year('cn_labour', '2026-01-31', ${monthly}, 1)).tax), 0::bigint
          union all
          select month + 1, greatest(0, (payments.tax_of_year('cn_labour', '2026-01-31', ${monthly}::bigint * (month + 1), month + 1)).tax - (before + withheld)), before + withheld from m where month < 12
        ) select string_agg((withheld / 100)::text, ' ' order by month) from m`);
    assert.equal(await year(2_000_000), '330 330 330 890 1100 1100 1100 1100 1100 1100 1100 1100');
    assert.equal(await year(600_000), Array(12).fill(0).join(' '));
  });
  test('the register adds up month by month, through the function that payouts use', async () => {
    const said = await server.psql(`
      begin;
      delete from payments.withholding;
      create function pg_temp.year() returns text language plpgsql as $$
      declare v record; v_out text := ''; v_id bigint; begin
        for m in 1 .. 12 loop
          select * into v from payments.tax_now(${singerId}, 'cn_labour', make_date(2025, m, 15), 2000000);
          insert into payments.payout (user_id, key, asked_minor, origin, day, state, gross_minor, needs) values (${singerId}, gen_random_uuid(), 0, 'monthly', make_date(2025, m, 15), 'paid', 2000000, 1) returning id into v_id;
          insert into payments.withholding (payout_id, user_id, scheme, year, month, income_minor, withheld_minor, year_income, year_months, taxable, rate_bp, quick_minor, before_minor)
            values (v_id, ${singerId}, 'cn_labour', v.year, m, 2000000, v.withheld, v.income, v.months, v.taxable, v.rate_bp, v.quick_minor, v.before_minor);
          v_out := v_out || ' ' || v.withheld / 100;
        end loop;
        return trim(v_out);
      end $$;
      select pg_temp.year();
      rollback;`);
    assert.equal(said.split('\n').find((l) => /\d/.test(l)), '330 330 330 890 1100 1100 1100 1100 1100 1100 1100 1100');
  });
  test('the monthly run pays whoever may be paid, once', async () => {
    await policy(server, { maturity_days: 0, run_day: 1 });
    await server.psql('delete from payments.payout_run');
    await server.restart();
    const run = await until(async () => (await out('ListPayouts', {}, finance)).payouts?.find((p) => p.origin === 'monthly'), 20_000, 'the run');
    assert.equal(run.userId, singerId);
    await server.restart();
    await until(async () => (await server.psql('select count(*) from payments.step where entry_seq is null')) === '0', 10_000, 'everything is posted');
    assert.equal((await out('ListPayouts', {}, finance)).payouts.filter((p) => p.origin === 'monthly').length, 1);
    assert.equal(await server.psql('select payouts from payments.payout_run'), '1');
  });
});

describe('what breaks in between', () => {
  test('a step that was written down and not posted is posted after a start, once', async () => {
    await nextDay();
    const [id] = (await server.psql(`select payments.move_payout(id, '{risk_review}', 'cancelled', 0, false, 'cut short') from payments.payout where origin = 'monthly' and state = 'risk_review'`)).split('\n');
    assert.ok(Number(id) > 0);
    await until(async () => (await server.psql(`select entry_seq is not null from payments.step where id = ${id}`)) === 't', 5_000, 'the sweep posts it');
    await cleanBooks(server);
  });
  test('kill -9 at random moments: no payout is lost, doubled or half done', async () => {
    for (let round = 0; round < 4; ++round) {
      await nextDay();
      const key = randomUUID();
      const asked = ask(50_000 + round, key).catch(() => null);
      await new Promise((done) => setTimeout(done, 3 + round * 9));
      await server.restart('SIGKILL');
      await asked;
      singer = (await server.rpc('AuthService/LogIn', { handle: 'singer', password })).accessToken;
      const p = await until(() => ask(50_000 + round, key).catch(() => null), 15_000, 'asked again under the same key');
      finance = (await server.rpc('AuthService/LogIn', { handle: 'finance', password })).accessToken;
      await until(() => decide(p.id, 'REJECT').catch(() => null), 15_000, 'rejected');
      assert.equal(await standing(server, `held:payout_${p.id}`), 0n);
    }
    assert.equal(await server.psql('select count(*) from payments.step where kind is not null and entry_seq is null'), '0');
    await cleanBooks(server);
  });
});
