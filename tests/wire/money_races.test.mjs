// Money under attack: steps of the same money at once, orders of events that nobody meant, people with two hats, files that repeat themselves.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';
import { password, sleep, startServer, until, uuid7 } from './harness.mjs';
import { cleanBooks, give, noMonthlyRun, policy, standing, topUp } from './money.mjs';
import { Live } from './raw.mjs';

let server, room, singer, singerId, finance, finance2, ops, ops2, agent, api;
let apiDown = false;
let people = 0;
const of = (method, request, token = finance) => server.rpc(`CaseService/${method}`, request, { token });
const out = (method, request, token = finance) => server.rpc(`PayoutService/${method}`, request, { token });
const open = (kind, request, token = finance) => of('OpenCase', { key: randomUUID(), kind: `CASE_KIND_${kind}`, reason: 'the provider wrote', ...request }, token);
const decide = async (id, decision, token = finance) => {
  const r = await of('DecideCases', { caseIds: [id], decision: `CASE_DECISION_${decision}`, reason: 'decided by the papers' }, token);
  if (r.refused?.length) throw Object.assign(new Error(r.refused[0].message), { reason: r.refused[0].reason });
  return r.cases[0];
};
const wallet = async (token) => BigInt((await server.rpc('LedgerService/GetWallet', {}, { token })).coins ?? 0);
const lots = async (token) => (await of('ListLots', {}, token)).lots ?? [];
/** Somebody new, with top-ups of a pack (1: 600 coins, 2: 3 000, 6: 200 000). */
async function payer(packs = 1, packId = 1, roles = []) {
  const handle = `attacker${++people}`;
  await server.ovation('users', 'create', handle, '--name', `Attacker ${people}`, '--password', password, ...roles.flatMap((r) => ['--role', r]), '--database', server.conninfo);
  return { handle, ...(await topUp(server, handle, packId, packs)) };
}
const spend = async (token, ...quantities) => {
  const sent = [];
  for (const quantity of quantities) sent.push(await give(server, room, token, { quantity }));
  return sent;
};
/** As the server writes a case down, but its transaction takes a second: what happens meanwhile is seen by nobody in it. */
async function slowly(sql, meanwhile) {
  const written = server.psql(`${sql}; select pg_sleep(1)`);
  await sleep(350);
  const got = await meanwhile();
  await written;
  return got;
}
const openSql = (kind, { order = 0, entry = 0, actor }) => `select payments.open_case(gen_random_uuid(), '${kind}', ${order}, ${entry}, 0, ${actor}, false, 'slowly written', '', 0)`;
const unposted = (user) =>
  server.psql(`select coalesce(string_agg(s.subject || ':' || s.state, ' '), '') from payments.step s left join payments.money_case c on c.kind = s.subject and c.id = s.subject_id where s.kind is not null and s.entry_seq is null${user ? ` and c.user_id = ${user}` : ''}`);
const allPosted = (user) => until(async () => (await unposted(user)) === '', 5_000, 'every step is posted').catch(async (e) => assert.fail(`${e.message}: ${await unposted(user)}`));
/** What is stuck must not disturb the tests behind it. */
const forgetUnposted = () => server.psql('delete from payments.step where kind is not null and entry_seq is null');
async function lotsAreTheWallet(token) {
  assert.equal((await lots(token)).reduce((s, l) => s + BigInt(l.leftCoins ?? 0), 0n), await wallet(token), 'lots are the wallet');
}
const nextDay = () => server.psql(`update payments.payout set day = day - 1`);
async function payOutAll() {
  await nextDay();
  const p = await out('RequestPayout', { key: randomUUID() }, singer);
  await out('DecidePayout', { payoutId: p.id, decision: 'PAYOUT_DECISION_APPROVE', reason: 'looked at it' });
  await out('SubmitPayouts', { key: randomUUID(), reason: 'the batch' });
  return out('SettlePayout', { payoutId: p.id, answer: 'BANK_ANSWER_PAID', reason: 'the bank says so' });
}

before(async () => {
  const sessions = new Map();
  api = http.createServer((request, reply) => {
    let body = '';
    request.on('data', (d) => (body += d));
    request.on('end', () => {
      if (apiDown) return request.socket.destroy();
      const form = new URLSearchParams(body);
      const key = request.headers['idempotency-key'];
      if (request.method === 'POST' && !sessions.has(key)) sessions.set(key, { id: `cs_${sessions.size}`, url: `https://pay.example/${key}`, client_reference_id: form.get('client_reference_id'), amount_total: Number(form.get('line_items[0][price_data][unit_amount]')), currency: 'cny', payment_status: 'unpaid', status: 'open' });
      reply.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(request.method === 'POST' ? sessions.get(key) : ([...sessions.values()].find((s) => request.url.endsWith(s.id)) ?? {})));
    });
  });
  await new Promise((done) => api.listen(0, '127.0.0.1', done));
  server = await startServer({ flags: ['--load-profile', '--bank-account', 'ICBC 6222 0200 0000 0001', '--public-url', 'https://sing.example', '--stripe-secret', 'whsec_x', '--stripe-key', 'sk_test_wire', '--stripe-api', `http://127.0.0.1:${api.address().port}`], prepare: noMonthlyRun });
  for (const [handle, role] of [['ops2', 'ops'], ['finance2', 'finance']]) await server.ovation('users', 'create', handle, '--name', `Wire ${handle}`, '--password', password, '--role', role, '--database', server.conninfo);
  room = await server.makeRoom();
  [singer, finance, finance2, ops, ops2, agent] = [await server.logIn('singer'), await server.logIn('finance'), await server.logIn('finance2'), await server.logIn('ops'), await server.logIn('ops2'), await server.logIn('agent')];
  singerId = (await server.rpc('AuthService/GetMe', {}, { token: singer })).user.id;
  await policy(server, { maturity_days: 0 });
  await out('SetPayee', { method: 'bank', holder: 'A Singer', account: '6222020012345678', bank: 'ICBKCNBJ', taxScheme: 'none' }, singer);
  await out('VerifyPayee', { userId: singerId, version: 1, reason: 'papers seen' });
});
after(async () => {
  await server?.stop();
  api?.close();
  api?.closeAllConnections();
});

describe('cases that find nothing to hold', () => {
  test('fraud with a gift of bonus coins alone is opened and decided', async () => {
    const { token, user } = await payer();
    await server.rpc('PaymentService/GrantBonus', { key: randomUUID(), userId: user, coins: 10, reason: 'a warm welcome' }, { token: ops });
    const [sent] = await spend(token, 10);
    const c = await open('FRAUD', { entrySeq: sent.entrySeq }, ops).catch((e) => e);
    try {
      await allPosted(user);
      assert.equal(c.state, 'CASE_STATE_OPEN');
      assert.equal((await decide(c.id, 'UPHOLD', ops2)).state, 'CASE_STATE_UPHELD');
    } finally {
      await forgetUnposted();
    }
  });
  test('a minor’s claim when all is spent and the singer was paid out is opened and decided', async () => {
    const [rich, poor] = [await payer(1, 6), await payer()];
    for (let i = 0; i < 10; ++i) await give(server, room, rich.token, { giftId: 9, quantity: 1 });
    await spend(poor.token, 520, 66, 10, 1, 1, 1, 1);
    await payOutAll();
    const first = await open('FRAUD', { entrySeq: await server.psql(`select max(seq) from ledger.gift where payer = ${rich.user}`) }, ops); // holds the last of a fen
    const c = await open('MINOR', { orderId: poor.orders[0].orderId }, ops).catch((e) => e);
    try {
      await allPosted(poor.user);
      assert.equal(c.state, 'CASE_STATE_OPEN');
      assert.equal((await decide(c.id, 'UPHOLD', ops)).state, 'CASE_STATE_UPHELD');
    } finally {
      await forgetUnposted();
      await decide(first.id, 'DISMISS', ops);
    }
  });
  test('a refund whose coins were spent meanwhile ends, with nothing given back', async () => {
    const { token, user, orders } = await payer();
    await spend(token, 66, 10, 1, 1, 1, 1);
    await slowly(openSql('unspent', { order: orders[0].orderId, actor: user }), () => spend(token, 520));
    try {
      await allPosted(user);
    } finally {
      await forgetUnposted();
    }
    await lotsAreTheWallet(token);
  });
});

describe('the same money twice at once', () => {
  test('a refund and a chargeback of one order never both take its rest', async () => {
    for (let round = 0; round < 6; ++round) {
      const { token, user, orders } = await payer(2);
      await Promise.all([of('RefundTopUp', { orderId: orders[0].orderId }, token).catch((e) => e), open('CHARGEBACK', { orderId: orders[0].orderId }).catch((e) => e)]);
      await allPosted(user).finally(forgetUnposted);
      const taken = await server.psql(`select coalesce(sum((detail->>'taken')::bigint), 0) from ledger.entry where (detail->>'taken_lot')::bigint = (select entry_seq from payments.top_up where id = ${orders[0].orderId})`);
      assert.equal(taken, '6000000', `round ${round}: of the lot's 600 coins`);
      assert.equal(await wallet(token), 600n);
      await lotsAreTheWallet(token);
    }
  });
  test('two refunds of one order at once: both are told of the one case', async () => {
    for (let round = 0; round < 4; ++round) {
      const { token, orders } = await payer();
      const said = await Promise.all([1, 2, 3].map(() => of('RefundTopUp', { orderId: orders[0].orderId }, token).catch((e) => e)));
      assert.deepEqual(said.map((c) => c.state ?? `${c.code} ${c.message}`), Array(3).fill('CASE_STATE_UPHELD'));
    }
  });
  test('a chargeback while its payer gives: its parts and its rest are its amount, and it can be lost', async () => {
    for (let round = 0; round < 8; ++round) {
      const { token, user, orders } = await payer(2, 2);
      await spend(token, 188);
      const gifts = [];
      for (let i = 0; i < 60; ++i) gifts.push(sleep(i / 3).then(() => give(server, room, token, { quantity: 10 })).catch((e) => e));
      await sleep(5 + round);
      const c = await open('CHARGEBACK', { orderId: orders[0].orderId });
      await Promise.all(gifts);
      const [amount, parts] = (await server.psql(`select c.amount, c.rest + (select coalesce(sum(upper(p.part) - lower(p.part)), 0) from payments.case_part p where p.case_id = c.id) from payments.money_case c where c.id = ${c.id}`)).split('|');
      const lost = await decide(c.id, 'UPHOLD').catch((e) => e);
      await allPosted(user).finally(forgetUnposted);
      assert.equal(parts, amount, `round ${round}: ${lost.state ?? lost.message}`);
      await lotsAreTheWallet(token);
    }
  });
  test('a debt that is written off while a payout recovers it is not paid twice', async () => {
    const { token, orders } = await payer(1, 6);
    for (let i = 0; i < 8; ++i) await give(server, room, token, { giftId: 9, quantity: 1 });
    await payOutAll();
    await decide((await open('CHARGEBACK', { orderId: orders[0].orderId })).id, 'UPHOLD');
    const next = await payer(2, 6);
    for (let i = 0; i < 28; ++i) await give(server, room, next.token, { giftId: 9, quantity: 1 });
    const owed = await standing(server, `receivable:${singerId}`);
    assert.ok(owed < -500_000_000n);
    await policy(server, { maturity_days: 0, write_off_days: 0 });
    await nextDay();
    const p = await out('RequestPayout', { key: randomUUID() }, singer);
    await server.psql(`select payments.write_off_receivable(gen_random_uuid(), 'receivable:${singerId}', 1, 'she has gone'); select payments.move_payout(${p.id}, '{risk_review}', 'approved', 1, true, 'looked at it'); select payments.compute_tax(${p.id}, current_date)`);
    await allPosted();
    assert.equal(await standing(server, `receivable:${singerId}`), 0n, 'nobody has paid more than was owed');
    await out('CancelPayout', { payoutId: p.id }, singer);
    await policy(server, { maturity_days: 0 });
  });
});

describe('one after another, in an order that nobody meant', () => {
  test('a gift given back after another lot was charged back: the older lot can still be charged back and refunded', async () => {
    const { token, user, orders } = await payer(2);
    const [first] = await spend(token, 520, 66, 10, 1, 1, 1, 1);
    await spend(token, 520, 66, 10, 1, 1, 1, 1); // the second lot, whole
    await decide((await open('CHARGEBACK', { orderId: orders[1].orderId })).id, 'UPHOLD');
    await open('GIFT', { entrySeq: first.entrySeq, reason: 'sent twice by a fault' });
    await lotsAreTheWallet(token);
    const c = await open('CHARGEBACK', { orderId: orders[0].orderId });
    assert.equal(c.restMicros, '5200000', 'what came back is of the lot that paid for it');
    await decide(c.id, 'UPHOLD');
    assert.equal(await wallet(token), 0n);
    assert.ok(user);
  });
  test('a chargeback that is won after the next lot was charged back can come again', async () => {
    const { token, orders } = await payer(2);
    const one = await open('CHARGEBACK', { orderId: orders[0].orderId });
    await spend(token, 520);
    await decide((await open('CHARGEBACK', { orderId: orders[1].orderId })).id, 'UPHOLD');
    await decide(one.id, 'DISMISS');
    await lotsAreTheWallet(token);
    const again = await open('CHARGEBACK', { orderId: orders[0].orderId });
    assert.equal(again.restMicros, '6000000');
    await decide(again.id, 'UPHOLD');
  });
  test('what comes back to a lot after its refund can be refunded, too', async () => {
    const { token, orders } = await payer();
    const [sent] = await spend(token, 188);
    await of('RefundTopUp', { orderId: orders[0].orderId }, token);
    await open('GIFT', { entrySeq: sent.entrySeq, reason: 'sent twice by a fault' });
    assert.deepEqual((await lots(token)).map((l) => [l.leftCoins, l.refundable]), [['188', true]]);
    await of('RefundTopUp', { orderId: orders[0].orderId }, token);
    assert.equal(await wallet(token), 0n);
  });
  test('fraud keeps the wallet frozen, also when a claim about it is dismissed later', async () => {
    const { token, user, orders } = await payer();
    const [sent] = await spend(token, 66);
    const fraud = await open('FRAUD', { entrySeq: sent.entrySeq }, ops);
    await decide(fraud.id, 'UPHOLD', ops2);
    assert.equal(await server.psql(`select frozen from ledger.wallet where user_id = ${user}`), 't');
    await decide((await open('MINOR', { orderId: orders[0].orderId }, ops)).id, 'DISMISS', ops);
    assert.equal(await server.psql(`select frozen from ledger.wallet where user_id = ${user}`), 't');
    assert.ok(token);
  });
  test('coins that are held for a bump when their top-up is charged back do not come back to the payer', async () => {
    await server.rpc('RoomService/SetBumps', { roomId: room.id, priceCoins: 500, perShow: 3 }, { token: agent });
    const { token, user, orders } = await payer();
    const live = await Live.enter(server, room.id, { token });
    const songs = (await server.rpc('SongService/ListSongs')).songs;
    let id = 100;
    const ask = async (command) => (await live.command(++id, command), live.reply(id));
    assert.ok(!(await ask({ requestSong: { songId: songs[0].id } })).refused);
    assert.ok(!(await ask({ requestSong: { songId: songs[1].id } })).refused);
    const request = await server.psql(`select max((e->>'id')::int) from (select jsonb_array_elements(queue->'entries') e from rooms.show where ended_at is null) q`);
    const bumped = await ask({ bumpRequest: { key: uuid7(), id: request, priceCoins: '500' } });
    assert.ok(!bumped.refused, JSON.stringify(bumped.refused));
    assert.equal(await wallet(token), 100n);
    const platform = await standing(server, 'platform');
    await assert.rejects(open('CHARGEBACK', { orderId: orders[0].orderId }), (e) => e.reason === 'coins_held');
    await server.rpc('RoomService/CloseShow', { roomId: room.id }, { token: singer }).catch(async () => server.rpc('RoomService/EndShow', { roomId: room.id }, { token: singer }));
    live.destroy();
    await until(async () => (await server.psql(`select count(*) from gifts.bump where user_id = ${user} and state in ('intended', 'held')`)) === '0', 15_000, 'the bump is over');
    room = await server.rpc('RoomService/OpenShow', { roomId: room.id }, { token: singer });
    assert.equal(await wallet(token), 600n, 'the bump was released');
    await decide((await open('CHARGEBACK', { orderId: orders[0].orderId })).id, 'UPHOLD');
    assert.equal(await wallet(token), 0n, 'the money has gone back to the card');
    assert.equal(await standing(server, 'platform'), platform, 'the platform has not paid for it');
    await lotsAreTheWallet(token);
  });
});

describe('one’s own money, and two persons', () => {
  test('whoever gave the gift does not give it back to themselves', async () => {
    const { token } = await payer(1, 1, ['finance']);
    const [sent] = await spend(token, 520);
    await assert.rejects(open('GIFT', { entrySeq: sent.entrySeq, reason: 'I want it back' }, token), (e) => e.code === 'permission_denied');
  });
  test('whoever is charged back does not decide the case', async () => {
    const { token, orders } = await payer(1, 1, ['finance']);
    const c = await open('CHARGEBACK', { orderId: orders[0].orderId });
    const said = await decide(c.id, 'DISMISS', token).catch((e) => e);
    if (!said.state) await decide(c.id, 'DISMISS');
    assert.ok(!said.state, 'their own case is won by their own word');
  });
  test('whoever owes does not write it off', async () => {
    const { token, user } = await payer(1, 1, ['finance']);
    const e = await of('WriteOff', { key: randomUUID(), account: `receivable:${user}`, reason: 'I forgive myself' }, token).catch((x) => x);
    assert.equal(e.code, 'permission_denied');
  });
  test('whoever was paid does not say that the money came back', async () => {
    const { token } = await payer(1, 6);
    for (let i = 0; i < 4; ++i) await give(server, room, token, { giftId: 9, quantity: 1 });
    await server.rpc('OpsService/GrantRole', { userId: singerId, role: 'ROLE_FINANCE', reason: 'test of own money' }, { token: ops });
    const own = (await server.rpc('AuthService/LogIn', { handle: 'singer', password })).accessToken;
    try {
      const p = await payOutAll();
      await assert.rejects(out('SettlePayout', { payoutId: p.id, answer: 'BANK_ANSWER_RETURNED', reason: 'it came back, I swear' }, own), (e) => e.reason === 'own_payout');
    } finally {
      await server.rpc('OpsService/GrantRole', { userId: singerId, role: 'ROLE_FINANCE', revoke: true, reason: 'test of own money' }, { token: ops });
      singer = (await server.rpc('AuthService/LogIn', { handle: 'singer', password })).accessToken;
    }
  });
  test('nobody grants bonus coins to themselves', async () => {
    const { token, user } = await payer(1, 1, ['ops']);
    await assert.rejects(server.rpc('PaymentService/GrantBonus', { key: randomUUID(), userId: user, coins: 1000, reason: 'I deserve it' }, { token }), (e) => e.code === 'permission_denied');
  });
  test('a payout that both have approved when the server fell goes on', async () => {
    const { token } = await payer(1, 6);
    for (let i = 0; i < 4; ++i) await give(server, room, token, { giftId: 9, quantity: 1 });
    await nextDay();
    await policy(server, { maturity_days: 0, two_persons_above_minor: 0 });
    const p = await out('RequestPayout', { key: randomUUID(), amountMinor: 10_000 }, singer);
    await policy(server, { maturity_days: 0 });
    // Between the second approval and the step that follows from it.
    await server.psql(`insert into payments.approval select 'payout', ${p.id}, id, 'looked at it' from identity.users where handle in ('finance', 'finance2')`).catch(() => server.psql(`insert into payments.approval select 'payout', ${p.id}, u.id, 'looked at it' from identity.person u where u.display_name in ('Wire finance', 'Wire finance2')`));
    const said = [];
    for (const who of [finance, finance2]) said.push(await out('DecidePayout', { payoutId: p.id, decision: 'PAYOUT_DECISION_APPROVE', reason: 'looked at it' }, who).catch((e) => e));
    const state = (await out('GetPayout', { payoutId: p.id })).state;
    await out('CancelPayout', { payoutId: p.id }, singer);
    assert.equal(state, 'PAYOUT_STATE_TAX_COMPUTED', said.map((s) => s.message ?? s.state).join(' / '));
  });
  test('the payer’s evidence does not tell the singer the payer’s name', async () => {
    const { token, orders, handle } = await payer();
    await spend(token, 520);
    const c = await open('CHARGEBACK', { orderId: orders[0].orderId });
    await of('AddEvidence', { caseId: c.id, text: 'My card was stolen.' }, token);
    const seen = await of('AddEvidence', { caseId: c.id, text: 'I sang for it.' }, singer);
    await decide(c.id, 'DISMISS');
    assert.ok(!JSON.stringify(seen).includes(`Attacker ${handle.slice(8)}`), JSON.stringify(seen.evidence));
  });
});

describe('two people at once', () => {
  const ready = async (amountMinor = 10_000) => {
    await nextDay();
    return out('RequestPayout', { key: randomUUID(), amountMinor }, singer);
  };
  const pick = (id, decision, token) => out('DecidePayout', { payoutId: id, decision: `PAYOUT_DECISION_${decision}`, reason: 'looked at it' }, token).catch((e) => e);
  const over = async (id) => {
    await allPosted();
    const p = await out('GetPayout', { payoutId: id });
    if (p.state !== 'PAYOUT_STATE_REJECTED' && p.state !== 'PAYOUT_STATE_CANCELLED') await out('SettlePayout', { payoutId: id, answer: 'BANK_ANSWER_FAILED', reason: 'the bank says so' }).catch(() => out('CancelPayout', { payoutId: id }, singer));
    assert.equal(await standing(server, `held:payout_${id}`), 0n);
  };
  test('approved and rejected, cancelled and submitted: one of them wins, and the money is in one place', async () => {
    const { token } = await payer(1, 6);
    for (let i = 0; i < 6; ++i) await give(server, room, token, { giftId: 9, quantity: 1 });
    const had = (await standing(server, `earnings:${singerId}`)) - (await standing(server, 'payout_transit'));
    for (let round = 0; round < 3; ++round) {
      const p = await ready();
      await Promise.all([pick(p.id, 'APPROVE', finance), pick(p.id, 'REJECT', finance2), pick(p.id, 'HOLD', finance2)]);
      await over(p.id);
      const q = await ready();
      await pick(q.id, 'APPROVE', finance);
      await Promise.all([out('CancelPayout', { payoutId: q.id }, singer).catch((e) => e), out('SubmitPayouts', { key: randomUUID(), reason: 'the batch' }).catch((e) => e), out('SubmitPayouts', { key: randomUUID(), reason: 'the batch' }, finance2).catch((e) => e)]);
      await over(q.id);
    }
    assert.equal((await standing(server, `earnings:${singerId}`)) - (await standing(server, 'payout_transit')), had);
  });
  test('two payouts of one payee approved at once are taxed one after the other', async () => {
    const { token } = await payer(1, 6);
    for (let i = 0; i < 15; ++i) await give(server, room, token, { giftId: 9, quantity: 1 });
    await server.psql(`update payments.payee set tax_scheme = 'cn_labour' where user_id = ${singerId}`);
    try {
      const two = [await ready(20_000), await ready(30_000)];
      await Promise.all(two.map((p, i) => pick(p.id, 'APPROVE', [finance, finance2][i])));
      await allPosted();
      const rows = (await server.psql(`select income_minor, year_income, before_minor, withheld_minor from payments.withholding where payout_id in (${two.map((p) => p.id)}) order by year_income`)).split('\n').map((l) => l.split('|').map(Number));
      assert.equal(rows.length, 2);
      assert.equal(rows[1][1], rows[0][1] + rows[1][0]);
      assert.equal(rows[1][2], rows[0][2] + rows[0][3]);
      for (const p of two) await over(p.id);
    } finally {
      await server.psql(`update payments.payee set tax_scheme = 'none' where user_id = ${singerId}`);
    }
  });
  test('a payout that was cancelled before it was booked, and that the books refuse, leaves nothing behind', async () => {
    const { token, orders } = await payer(1, 6);
    for (let i = 0; i < 6; ++i) await give(server, room, token, { giftId: 9, quantity: 1 });
    await nextDay();
    const asked = `(payments.request_payout(${singerId}, gen_random_uuid(), 0, 'demand', current_date)).id`;
    const c = await slowly(`select payments.move_payout(${asked}, '{requested}', 'cancelled', ${singerId}, false, 'cancelled by request')`, () => open('CHARGEBACK', { orderId: orders[0].orderId }));
    try {
      await allPosted();
    } finally {
      await forgetUnposted();
      await decide(c.id, 'DISMISS');
    }
  });
  test('a payout asked for while its earnings are charged back', async () => {
    for (let round = 0; round < 3; ++round) {
      const { token, orders } = await payer(1, 6);
      for (let i = 0; i < 6; ++i) await give(server, room, token, { giftId: 9, quantity: 1 });
      const disputed = await standing(server, 'disputed');
      await nextDay();
      const [p, c] = await Promise.all([out('RequestPayout', { key: randomUUID() }, singer).catch((e) => e), open('CHARGEBACK', { orderId: orders[0].orderId })]);
      await allPosted();
      assert.ok((await standing(server, `earnings:${singerId}`)) >= 0n);
      await Promise.all([decide(c.id, 'UPHOLD').catch((e) => e), decide(c.id, 'DISMISS', finance2).catch((e) => e)]);
      await allPosted();
      if (p.id) await over(p.id);
      for (const name of [`held:case_${c.id}_wallet`, `held:case_${c.id}_${singerId}`]) assert.equal(await standing(server, name), 0n, name);
      assert.equal(await standing(server, 'disputed'), disputed);
      await lotsAreTheWallet(token);
    }
  });
});

describe('keys, files and names', () => {
  test('a case asked for again with other content is refused', async () => {
    const { orders } = await payer();
    const key = randomUUID();
    const c = await open('CHARGEBACK', { key, orderId: orders[0].orderId, providerReference: 'dp_1', providerFeeMinor: 1500 });
    const again = await open('CHARGEBACK', { key, orderId: orders[0].orderId, providerReference: 'dp_2', providerFeeMinor: 0 }).catch((e) => e);
    await decide(c.id, 'DISMISS');
    assert.equal(again.reason, 'key_reused');
  });
  test('a case asked for twice at once under one key is one case, and both are told of it', async () => {
    const { orders } = await payer();
    const key = randomUUID();
    const said = await Promise.all([1, 2, 3].map(() => open('CHARGEBACK', { key, orderId: orders[0].orderId }).catch((e) => e)));
    await decide(await server.psql(`select id from payments.money_case where key = '${key}'`), 'DISMISS');
    assert.deepEqual(said.map((c) => c.state ?? `${c.code} ${c.message}`), Array(3).fill('CASE_STATE_NEEDS_RESPONSE'));
  });
  test('an order’s key with another way to pay is refused: the other way would never credit it', async () => {
    const { token } = await payer();
    const key = randomUUID();
    const create = (provider) => server.rpc('PaymentService/CreateTopUp', { key, packId: 1, provider }, { token });
    const order = await create('bank_transfer');
    const again = await create('stripe').catch((e) => e);
    assert.equal(again.reason, 'key_reused', `order ${order.orderId} of bank_transfer is to be paid at ${again.payUrl}`);
  });
  const camt = (bookings) => {
    const sum = bookings.reduce((s, b) => s + b[1], 0);
    const yuan = (minor) => (minor / 100).toFixed(2);
    return `<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.02"><BkToCstmrStmt><Stmt>${[['OPBD', 0], ['CLBD', sum]].map(([c, m]) => `<Bal><Tp><CdOrPrtry><Cd>${c}</Cd></CdOrPrtry></Tp><Amt Ccy="CNY">${yuan(m)}</Amt><CdtDbtInd>CRDT</CdtDbtInd></Bal>`).join('')}${bookings.map(([text, minor]) => `<Ntry><Amt Ccy="CNY">${yuan(minor)}</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts><BookgDt><Dt>2026-11-21</Dt></BookgDt><NtryDtls><TxDtls><RmtInf><Ustrd>${text}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>`).join('')}</Stmt></BkToCstmrStmt></Document>`;
  };
  test('a transfer that came twice is credited once, and the second is left to a person', async () => {
    const { token } = await payer();
    const order = await server.rpc('PaymentService/CreateTopUp', { key: randomUUID(), packId: 1, provider: 'bank_transfer' }, { token });
    const said = await server.rpc('PaymentService/ImportBankFile', { file: camt([[order.reference, 600], [order.reference, 600]]), reason: 'the statement of today' }, { token: finance });
    assert.deepEqual([said.credited?.length ?? 0, said.left?.length ?? 0], [1, 1]);
  });
  const settle = (file) => server.rpc('PaymentService/ImportSettlement', { provider: 'sandbox', file, fromDay: '2020-01-01', toDay: '2020-01-02', bankReference: 'BANK-1', reason: 'the file of today' }, { token: finance });
  test('an order that stands twice in a settlement file is booked once, and the second line is named', async () => {
    const { orders } = await payer();
    const id = orders[0].orderId;
    const said = await settle(`order,amount_minor,fee_minor\n${id},600,4\n${id},600,4\n`);
    assert.deepEqual([said.orders, said.grossMinor], [1, '600']);
    assert.equal(said.differences.filter((d) => d.orderId === id).length, 1);
  });
  test('an order credited after its file came is settled when the file is imported again', async () => {
    const { token, orders } = await payer();
    const late = await server.rpc('PaymentService/CreateTopUp', { key: randomUUID(), packId: 1, provider: 'sandbox' }, { token });
    const file = `order,amount_minor,fee_minor\n${orders[0].orderId},600,4\n${late.orderId},600,5\n`;
    const first = await settle(file);
    assert.deepEqual([first.orders, first.grossMinor, first.differences.map((d) => [d.orderId, d.why])], [1, '600', [[late.orderId, 'not_paid_here']]]);
    await server.rpc('PaymentService/PaySandboxOrder', { orderId: late.orderId }, { token });
    const [second, beside] = await Promise.all([settle(file), settle(file)]);
    assert.deepEqual([second.orders, second.grossMinor, second.feeMinor, second.differences], [1, '600', '5', undefined]);
    assert.notEqual(second.settlementId, first.settlementId);
    assert.equal(beside.settlementId, second.settlementId, 'at once: one of them files it');
    // With nothing new it is the last of them again.
    assert.equal((await settle(file)).settlementId, second.settlementId);
    await cleanBooks(server);
  });
  test('a settlement line whose fee is more than its sum is named as a difference', async () => {
    const { orders } = await payer(2);
    const said = await settle(`order,amount_minor,fee_minor\n${orders[0].orderId},600,700\n${orders[1].orderId},600,4\n`);
    assert.equal(said.orders, 1);
    assert.deepEqual((said.differences ?? []).map((d) => d.orderId), [orders[0].orderId]);
  });
  test('a payee’s name cannot break the bank’s file', async () => {
    const { token } = await payer(1, 1, ['singer']);
    await assert.rejects(out('SetPayee', { method: 'bank', holder: 'A \u0001\u001bSinger', account: '6222020012345678', bank: 'ICBK\u0007', taxScheme: 'none' }, token), (e) => e.code === 'invalid_argument');
  });
  test('a correction that was written down before its month was closed is dated to the open month, and nobody else waits', async () => {
    const { token, user } = await payer();
    const [sent] = await spend(token, 66);
    await server.psql(`set session_replication_role = replica; insert into ledger.closed_month values (date_trunc('month', now() - interval '1 month'), 999999999, 1)`);
    const actor = user;
    await server.psql(`${openSql('gift', { entry: sent.entrySeq, actor })}; update payments.step set detail = detail || jsonb_build_object('effective', (date_trunc('month', now()) - interval '1 day')::date) where subject = 'gift' and entry_seq is null`);
    const other = await payer(1, 2);
    let refused = 0;
    for (let i = 0; i < 40; ++i) await Promise.all([1, 2, 3].map(() => give(server, room, other.token, { quantity: 1 }).catch((e) => (++refused, e)))).then(() => sleep(80));
    try {
      assert.equal(refused, 0, 'gifts of others');
      await allPosted(user);
    } finally {
      await forgetUnposted();
      await server.psql(`set session_replication_role = replica; delete from ledger.closed_month where marker_seq = 999999999`);
    }
  });
  test('only a case is counted anew: the legs of a settlement or a write-off stand as they were written', async () => {
    const said = await server.psql(`begin;
      insert into payments.step (subject, subject_id, n, was, state, actor_id, reason, kind, key, accounts, amounts, reference)
        select 'write_off', max(id), 1, '', 'written_off', 1, 'x', 'write_off', 'only-a-case', '{receivable:1,platform}', '{5,-5}', 'x' from payments.money_case where kind = 'chargeback';
      select payments.count_step(id) from payments.step where key = 'only-a-case';
      select accounts::text || amounts::text from payments.step where key = 'only-a-case';
      rollback`);
    assert.match(said, /\{receivable:1,platform\}\{5,-5\}/);
  });
  test('after all this the books are clean, and nothing is held for what is over', async () => {
    await allPosted();
    assert.equal(await server.psql(`select coalesce(string_agg(a.name || '=' || s.amount, ' '), '') from ledger.account a join ledger.standings s on s.account_id = a.id where a.kind = 'held' and s.amount <> 0
      and (exists (select from payments.money_case c where c.closed_at is not null and a.name like 'held:case\\_' || c.id || '\\_%') or exists (select from payments.payout p where p.state in ('paid', 'rejected', 'cancelled', 'failed', 'returned') and a.name = 'held:payout_' || p.id))`), '');
    await cleanBooks(server);
  });
});
// The last, as it moves the books back.
test('a share that was charged back does not make older earnings wait', async () => {
  const [old, young, honest] = [await payer(1, 6), await payer(1, 6), await payer(1, 6)];
  for (let i = 0; i < 10; ++i) await give(server, room, old.token, { giftId: 9, quantity: 1 });
  await policy(server, { maturity_days: 7 });
  await server.psql(`set session_replication_role = replica; update ledger.gift set at = at - interval '8 days'; update ledger.entry set at = at - interval '8 days'`);
  const before = BigInt((await out('GetEarnings', {}, singer)).availableMinor);
  for (let i = 0; i < 10; ++i) for (const { token } of [young, honest]) await give(server, room, token, { giftId: 9, quantity: 1 });
  await decide((await open('CHARGEBACK', { orderId: young.orders[0].orderId })).id, 'UPHOLD');
  const now = await out('GetEarnings', {}, singer);
  // Nor does it free what is young: without the older earnings there is nothing to ask for.
  const young_ = await server.psql(`begin; set local session_replication_role = replica;
    update ledger.balance set amount = amount - ${before}::bigint * 10000 where account_id = (select id from ledger.account where name = 'earnings:${singerId}');
    select maturing > 0, available_minor from payments.payable(${singerId}); rollback`);
  await policy(server, { maturity_days: 0 });
  assert.equal(BigInt(now.availableMinor ?? 0), before);
  assert.equal(young_, 't|0');
});
