// Money at random: top-ups, gifts, bumps of luck and of fraud, refunds, chargebacks, payouts, decisions, several at once; then what must
// hold whatever happened. The seed is printed; MONEY_SEED=… plays it again, MONEY_ACTS=… for longer.
import assert from 'node:assert/strict';
import { randomInt, randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { password, RpcError, startServer, until } from './harness.mjs';
import { cleanBooks, give, noMonthlyRun, policy, standing, topUp } from './money.mjs';

const seed = Number(process.env.MONEY_SEED ?? randomInt(1_000_000_000));
const acts = Number(process.env.MONEY_ACTS ?? 240);
let state = seed;
// mulberry32
const random = () => {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
};
const pick = (list) => list[Math.floor(random() * list.length)];

let server, room, singer, singerId, finance, ops, ops2;
const payers = [];
const orders = [], gifts = [], cases = [], payouts = [];
const done = {};
const call = (service, method, request, token) => server.rpc(`${service}/${method}`, request, { token });
const expected = new Set(['insufficient_coins', 'account_frozen', 'all_spent', 'all_given_back', 'already_in_a_case', 'wrong_state', 'second_person', 'below_threshold', 'not_available', 'once_a_day', 'too_late', 'insufficient_earnings', 'busy', 'not_due', 'not_found', 'no_wallet']);

const moves = {
  async top_up() {
    const p = pick(payers);
    const order = await call('PaymentService', 'CreateTopUp', { key: randomUUID(), packId: pick([1, 1, 2]), provider: 'sandbox' }, p.token);
    orders.push({ id: (await call('PaymentService', 'PaySandboxOrder', { orderId: order.orderId }, p.token)).orderId, payer: p });
  },
  async gift() {
    gifts.push((await give(server, room, pick(payers).token, { quantity: pick([1, 10, 66, 99, 188, 520]) })).entrySeq);
  },
  bonus: () => call('PaymentService', 'GrantBonus', { key: randomUUID(), userId: pick(payers).user, coins: 1 + Math.floor(random() * 60), reason: 'luck' }, ops),
  refund: () => orders.length && call('CaseService', 'RefundTopUp', { orderId: pick(orders).id }, pick(orders).payer.token).catch((e) => (e.code === 'permission_denied' ? null : Promise.reject(e))),
  async open() {
    if (!orders.length || !gifts.length) return;
    const kind = pick(['CHARGEBACK', 'CHARGEBACK', 'MINOR', 'GIFT', 'FRAUD']);
    const about = ['CHARGEBACK', 'MINOR'].includes(kind) ? { orderId: pick(orders).id } : { entrySeq: pick(gifts) };
    const c = await call('CaseService', 'OpenCase', { key: randomUUID(), kind: `CASE_KIND_${kind}`, reason: 'at random', ...(kind === 'CHARGEBACK' ? { providerFeeMinor: 100 } : {}), ...about }, pick([ops, finance]));
    if (kind !== 'GIFT') cases.push(c.id);
  },
  async decide() {
    if (!cases.length) return;
    const ids = [...new Set([pick(cases), pick(cases)])];
    const r = await call('CaseService', 'DecideCases', { caseIds: ids, decision: `CASE_DECISION_${pick(['RESPOND', 'UPHOLD', 'UPHOLD', 'DISMISS'])}`, reason: 'at random' }, pick([ops, ops2]));
    for (const no of r.refused ?? []) if (!expected.has(no.reason)) throw new Error(`${no.reason}: ${no.message}`);
  },
  async payout() {
    await server.psql(`update payments.payout set day = date '2000-01-01' + id::int where user_id = ${singerId}`);
    payouts.push((await call('PayoutService', 'RequestPayout', { key: randomUUID(), amountMinor: pick([0, 100, 150, 300]) }, singer)).id);
  },
  async payout_on() {
    if (!payouts.length) return;
    const payoutId = pick(payouts);
    await pick([
      () => call('PayoutService', 'DecidePayout', { payoutId, decision: `PAYOUT_DECISION_${pick(['APPROVE', 'APPROVE', 'REJECT', 'HOLD', 'RESUME'])}`, reason: 'at random' }, finance),
      () => call('PayoutService', 'SubmitPayouts', { key: randomUUID(), reason: 'at random' }, finance),
      () => call('PayoutService', 'SettlePayout', { payoutId, answer: `BANK_ANSWER_${pick(['ACCEPTED', 'PAID', 'FAILED', 'RETURNED', 'UNKNOWN_THERE'])}`, reason: 'at random' }, finance),
      () => call('PayoutService', 'CancelPayout', { payoutId }, singer),
    ])();
  },
};
const bag = ['top_up', 'top_up', 'gift', 'gift', 'gift', 'gift', 'bonus', 'refund', 'open', 'open', 'decide', 'decide', 'payout', 'payout_on', 'payout_on', 'payout_on'];
async function act() {
  const name = pick(bag);
  try {
    await moves[name]();
    done[name] = (done[name] ?? 0) + 1;
  } catch (e) {
    if (!(e instanceof RpcError) || !expected.has(e.reason)) throw new Error(`${name}: ${e.message}`, { cause: e });
    done[`${name}: ${e.reason}`] = (done[`${name}: ${e.reason}`] ?? 0) + 1;
  }
}
const column = async (sql) => (await server.psql(sql)).split('\n').filter(Boolean);

async function whatMustHold() {
  await until(async () => (await server.psql('select count(*) from payments.step where kind is not null and entry_seq is null')) === '0', 15_000, 'everything is booked');
  for (const p of payers) {
    const left = await server.psql(`select coalesce(sum(rest), 0), coalesce(min(rest), 0) from ledger.lots(${p.user})`);
    assert.equal(left.split('|')[0], String(await standing(server, `wallet:${p.user}`)), `the lots of ${p.user} are what is in the wallet`);
    assert.ok(!left.split('|')[1].startsWith('-'));
  }
  assert.deepEqual(await column("select a.name || ' ' || s.amount from ledger.standings s join ledger.account a on a.id = s.account_id where s.floored and s.amount < 0"), [], 'nobody is below zero');
  assert.deepEqual(await column(`select a.name || ' ' || s.amount from ledger.standings s join ledger.account a on a.id = s.account_id where a.name like 'held:case%' and s.amount <> 0
    and (select closed_at is not null from payments.money_case c where c.id = split_part(a.name, '_', 2)::bigint)`), [], 'a closed case holds nothing');
  assert.deepEqual(await column(`select a.name || ' ' || s.amount from ledger.standings s join ledger.account a on a.id = s.account_id where a.name like 'held:payout%' and s.amount <> 0
    and (select coalesce(held_from, state) not in ('requested', 'risk_review', 'approved') from payments.payout p where p.id = split_part(a.name, '_', 2)::bigint)`), [], 'a payout that has gone on holds nothing');
  // No gift is taken back beyond its price, and of each party not beyond its share.
  assert.deepEqual(await column('select g.gift from ledger.given_back g join ledger.given x on x.seq = g.gift group by g.gift, x.price having sum(g.micros) > x.price'), []);
  assert.equal(await standing(server, 'payout_transit'), BigInt(await server.psql("select coalesce(sum(net_minor), 0) * 10000 from payments.payout where coalesce(held_from, state) in ('tax_computed', 'submitted', 'in_transit')")));
  assert.equal(await standing(server, 'bank'), BigInt(await server.psql("select coalesce(sum(net_minor), 0) * 10000 from payments.payout where state = 'paid'")));
  assert.equal(await standing(server, 'withholding'), BigInt(await server.psql('select coalesce(sum(withheld_minor), 0) * 10000 from payments.withholding')));
  // Disputed: chargebacks that are not decided, at their amounts.
  assert.equal(await standing(server, 'disputed'), -BigInt(await server.psql("select coalesce(sum(amount), 0) from payments.money_case where kind = 'chargeback' and closed_at is null")));
  await cleanBooks(server);
}

before(async () => {
  server = await startServer({ flags: ['--load-profile'], prepare: noMonthlyRun });
  await server.ovation('users', 'create', 'ops2', '--name', 'Wire ops 2', '--password', password, '--role', 'ops', '--database', server.conninfo);
  room = await server.makeRoom();
  [singer, finance, ops, ops2] = await Promise.all(['singer', 'finance', 'ops', 'ops2'].map((h) => server.logIn(h)));
  singerId = (await call('AuthService', 'GetMe', {}, singer)).user.id;
  await policy(server, { maturity_days: 0, threshold_minor: 100 });
  await call('PayoutService', 'SetPayee', { method: 'bank', holder: 'A Singer', account: '6222020012345678', bank: 'ICBKCNBJ', taxScheme: 'cn_labour' }, singer);
  await call('PayoutService', 'VerifyPayee', { userId: singerId, version: 1, reason: 'papers seen' }, finance);
  for (let i = 0; i < 3; ++i) {
    await server.ovation('users', 'create', `payer${i}`, '--name', `Payer ${i}`, '--password', password, '--database', server.conninfo);
    const p = await topUp(server, `payer${i}`, 1, 1);
    payers.push(p);
    orders.push({ id: p.orders[0].orderId, payer: p });
  }
});
after(() => server?.stop());

describe(`seed ${seed}`, () => {
  test('one after another', async () => {
    for (let i = 0; i < acts; ++i) {
      await act();
      if (i % 40 === 39) await whatMustHold();
    }
    await whatMustHold();
  });
  test('four at a time, a server killed now and then', async () => {
    for (let i = 0; i < acts / 8; ++i) {
      const four = await Promise.allSettled([act(), act(), act(), act()]);
      for (const one of four) if (one.status === 'rejected') throw one.reason;
      if (i % 12 === 11) {
        await server.restart('SIGKILL');
        await until(async () => (await call('LedgerService', 'GetLedgerHealth', {}, finance).catch(() => null)) !== null && (await fetch(`${server.url}/readyz`)).ok, 15_000, 'the server is back');
        room = await call('RoomService', 'OpenShow', { roomId: room.id }, singer).catch(() => room);
      }
    }
    await whatMustHold();
    console.log(JSON.stringify(done));
  });
  // As the superuser, past every trigger: which column, and what it becomes. A row that PostgreSQL itself refuses is none.
  const rewritten = [
    ['top_up', 'coins', 'coins + 1', "state = 'paid'"], ['top_up', 'price_minor', 'price_minor + 1', "state = 'paid'"], ['top_up', 'entry_seq', 'entry_seq + 1', "state = 'paid'"], ['top_up', 'user_id', 'user_id + 1', "state = 'paid'"],
    ['step', 'state', "'paid'", "subject = 'payout' and state <> 'paid'"], ['step', 'amounts', 'array_prepend(amounts[1] - 1, amounts[2:])', 'cardinality(amounts) > 0'], ['step', 'reference', "reference || '0'", "kind is not null"],
    ['step', 'entry_seq', 'entry_seq - 1', 'entry_seq is not null'], ['step', 'detail', `detail || '{"edited": 1}'`, 'entry_seq is not null'], ['step', null, null, 'entry_seq is not null'],
    ['payout', 'gross_minor', 'gross_minor + 1', 'net_minor = 0'], ['payout', 'state', "'paid'", "state not in ('paid', 'held')"], ['payout', 'attempt', 'attempt + 1'], ['payout', 'recovered_minor', 'recovered_minor + 1', 'net_minor = 0'],
    ['withholding', 'withheld_minor', 'withheld_minor + 1'], ['withholding', 'income_minor', 'income_minor - 1'], ['withholding', null, null], ['payout_item', 'net_minor', 'net_minor + 1'], ['payout_item', null, null],
    ['money_case', 'state', "'under_review'", "kind = 'chargeback' and closed_at is null and state <> 'under_review'"], ['money_case', 'amount', 'amount + 1'], ['money_case', 'lot_seq', 'lot_seq + 1', 'order_id is not null'],
    ['case_part', 'active', 'not active', 'active'], ['case_part', 'shares', `shares || '{"platform": 1}'`], ['case_part', null, null], ['case_share', 'micros', 'micros + 1'], ['case_share', null, null, 'micros <> 0'],
    ['refund', 'amount_minor', 'amount_minor + 1'], ['bonus', 'coins', 'coins + 1'], ['bonus', 'expired', 'expired + 1', 'over and expired < coins'],
  ];
  test('what is rewritten beside the books is found', async () => {
    let found = 0;
    for (let i = 0; i < rewritten.length; ++i) {
      const [table, columnName, becomes, where = 'true'] = rewritten[i];
      const rows = await column(`select ctid from payments.${table} where ${where} order by ctid`);
      if (rows.length === 0) continue;
      const row = pick(rows);
      const before = await server.psql(`select to_jsonb(t) from payments.${table} t where ctid = '${row}'`);
      const edit = columnName ? `update payments.${table} set ${columnName} = ${becomes} where ctid = '${row}' returning ctid` : `delete from payments.${table} where ctid = '${row}' returning null`;
      const now = await server.psql(`set session_replication_role = replica; ${edit}`);
      const verdict = await server.ovation('ledger', 'verify', '--database', server.conninfo).catch((e) => e);
      assert.ok(verdict.code === 1 && /BAD/.test(verdict.stdout), `${table}.${columnName} of ${before} was rewritten and not found`);
      const quoted = before.replaceAll("'", "''");
      await server.psql(`set session_replication_role = replica; ${columnName ? `delete from payments.${table} where ctid = '${now}';` : ''} insert into payments.${table} overriding system value select (jsonb_populate_record(null::payments.${table}, '${quoted}')).*`);
      ++found;
    }
    console.log(`${found} of ${rewritten.length} kinds of rows were there, each was found`);
    assert.ok(found >= rewritten.length / 2, `${found} kinds of edits could be tried`); // what there is was drawn at random
    await cleanBooks(server);
  });
});
