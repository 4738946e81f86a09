// Money back: unspent coins, gifts, chargebacks, minors' claims, fraud; exact mirror postings, shares that are held, what is owed.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { password, startServer, until } from './harness.mjs';
import { cleanBooks, give, legsOf, noMonthlyRun, policy, standing, topUp } from './money.mjs';

let server, room, singer, singerId, finance, ops, ops2;
let people = 0;
const of = (method, request, token = finance) => server.rpc(`CaseService/${method}`, request, { token });
const open = (kind, request, token = finance) => of('OpenCase', { key: randomUUID(), kind: `CASE_KIND_${kind}`, reason: 'the provider wrote', ...request }, token);
const decideAll = (caseIds, decision, token = finance) => of('DecideCases', { caseIds, decision: `CASE_DECISION_${decision}`, reason: 'decided by the papers' }, token);
const decide = async (c, decision, token) => {
  const r = await decideAll([c.id], decision, token);
  if (r.refused?.length) throw Object.assign(new Error(r.refused[0].message), { reason: r.refused[0].reason });
  return r.cases[0];
};
const refusedWith = (reason, promise) => assert.rejects(promise, (e) => e.reason === reason, reason);
const wallet = async (token) => BigInt((await server.rpc('LedgerService/GetWallet', {}, { token })).coins ?? 0);
const lots = async (token) => (await of('ListLots', {}, token)).lots ?? [];
/** Somebody new with one top-up of 30 CNY (3 000 coins), or of another pack. */
async function payer(packs = 1, packId = 2) {
  const handle = `payer${++people}`;
  await server.ovation('users', 'create', handle, '--name', `Payer ${people}`, '--password', password, '--database', server.conninfo);
  return topUp(server, handle, packId, packs);
}
/** Lots are what is in the wallet. */
async function lotsAreTheWallet(token) {
  assert.equal((await lots(token)).reduce((s, l) => s + BigInt(l.leftCoins ?? 0), 0n), await wallet(token));
}
const sumOf = (legs) => Object.values(legs).reduce((s, x) => s + x, 0n);

before(async () => {
  server = await startServer({ flags: ['--load-profile'], prepare: noMonthlyRun });
  for (const [handle, role] of [['ops2', 'ops'], ['finance2', 'finance']]) await server.ovation('users', 'create', handle, '--name', `Wire ${handle}`, '--password', password, '--role', role, '--database', server.conninfo);
  room = await server.makeRoom();
  singer = await server.logIn('singer');
  finance = await server.logIn('finance');
  ops = await server.logIn('ops');
  ops2 = await server.logIn('ops2');
  singerId = (await server.rpc('AuthService/GetMe', {}, { token: singer })).user.id;
  await policy(server, { maturity_days: 0 });
});
after(() => server?.stop());

describe('coins that are not spent', () => {
  test('the rest of a lot goes back to its payer, oldest lots are spent first', async () => {
    const { token, user, orders } = await payer(2);
    await give(server, room, token, { giftId: 11, quantity: 188 });
    assert.deepEqual((await lots(token)).map((l) => [l.orderId, l.leftCoins, l.refundable]), [[orders[1].orderId, '3000', true], [orders[0].orderId, '2812', true]]);
    const c = await of('RefundTopUp', { orderId: orders[0].orderId }, token);
    assert.deepEqual([c.kind, c.state, c.amountMicros], ['CASE_KIND_UNSPENT', 'CASE_STATE_UPHELD', '28120000']);
    assert.deepEqual(await legsOf(server, c.steps[0].entrySeq), { 'cash:sandbox': 28_120_000n, [`wallet:${user}`]: -28_120_000n });
    assert.equal(await wallet(token), 3_000n);
    assert.equal((await of('RefundTopUp', { orderId: orders[0].orderId }, token)).id, c.id, 'asked again it is the same');
    await lotsAreTheWallet(token);
    // What is spent next comes from the lot that is still there.
    await give(server, room, token, { giftId: 11, quantity: 10 });
    assert.deepEqual((await lots(token)).map((l) => l.leftCoins ?? '0'), ['2990', '0']);
  });
  test('not after seven days, not when all is spent, not somebody else’s', async () => {
    const { token, orders } = await payer();
    await assert.rejects(of('RefundTopUp', { orderId: orders[0].orderId }, singer), (e) => e.code === 'permission_denied');
    await policy(server, { maturity_days: 0, refund_days: 0 });
    await refusedWith('too_late', of('RefundTopUp', { orderId: orders[0].orderId }, token));
    await policy(server, { maturity_days: 0 });
    for (const quantity of [1314, 1314, 188, 66, 66, 10, 10, 10, 10, 10, 1, 1]) await give(server, room, token, { quantity });
    assert.equal(await wallet(token), 0n);
    await refusedWith('all_spent', of('RefundTopUp', { orderId: orders[0].orderId }, token));
  });
});

describe('a gift is reversed', () => {
  test('leg by leg, once', async () => {
    const { token, user } = await payer();
    const sent = await give(server, room, token, { quantity: 520 });
    const gift = await server.psql(`select vat, rights, singer, agent, platform from ledger.gift where seq = ${sent.entrySeq}`);
    const [vat, rights, share, agent, platform] = gift.split('|').map(BigInt);
    const c = await open('GIFT', { entrySeq: sent.entrySeq, reason: 'sent twice by a fault' });
    assert.equal(c.state, 'CASE_STATE_UPHELD');
    const legs = await legsOf(server, c.steps[0].entrySeq);
    const wanted = { [`wallet:${user}`]: 5_200_000n, vat: -vat, 'earnings:rights': -rights, [`earnings:${singerId}`]: -share, platform: -platform - agent };
    for (const name of Object.keys(wanted)) if (wanted[name] === 0n) delete wanted[name];
    assert.deepEqual(legs, wanted);
    assert.equal(await wallet(token), 3_000n);
    await lotsAreTheWallet(token);
    await refusedWith('already_in_a_case', open('GIFT', { entrySeq: sent.entrySeq }));
    await refusedWith('not_found', open('GIFT', { entrySeq: 999_999 }));
    const notice = (await server.rpc('PayoutService/GetEarnings', {}, { token: singer })).notices[0];
    assert.deepEqual([notice.what, notice.caseId, notice.amountMicros, notice.reason], ['shares_taken', c.id, String(share), 'sent twice by a fault']);
  });
  test('the boards take it back', async () => {
    const board = async () => Number((await server.rpc('GiftService/GetBoard', { scope: 1, subject: 2, period: 1, limit: 5 })).rows?.find((r) => String(r.subjectId) === String(singerId))?.coins ?? 0);
    const { token } = await payer();
    const had = await board();
    const sent = await give(server, room, token, { quantity: 99 });
    await until(async () => (await board()) === had + 99, 5_000, 'it is on the board');
    await open('GIFT', { entrySeq: sent.entrySeq });
    await until(async () => (await board()) === had, 5_000, 'it is off the board');
  });
});

describe('a chargeback', () => {
  test('lost: the rest freezes, each party’s exact micros are held, then mirrored', async () => {
    const { token, user, orders } = await payer();
    const sent = [await give(server, room, token, { quantity: 520 }), await give(server, room, token, { quantity: 66 })];
    const before = { earnings: await standing(server, `earnings:${singerId}`), vat: await standing(server, 'vat'), platform: await standing(server, 'platform'), rights: await standing(server, 'earnings:rights') };
    const key = randomUUID();
    const request = { orderId: orders[0].orderId, providerReference: 'dp_1', providerFeeMinor: 1500, reason: 'the card holder does not know it' };
    const c = await open('CHARGEBACK', { key, ...request });
    assert.deepEqual([c.state, c.amountMicros, c.restMicros], ['CASE_STATE_NEEDS_RESPONSE', '30000000', '24140000']);
    assert.ok(Number(c.deadlineMs) > Date.now() + 6 * 86_400_000);
    assert.deepEqual(c.parts.map((p) => [p.entrySeq, p.micros]), sent.reverse().map((s, i) => [s.entrySeq, i === 0 ? '660000' : '5200000']), 'newest first');
    assert.equal((await open('CHARGEBACK', { key, ...request })).id, c.id, 'the same key is the same case');
    await refusedWith('already_in_a_case', open('CHARGEBACK', request));
    // Exactly what the gifts posted to the singer.
    const posted = BigInt(await server.psql(`select sum(singer) from ledger.gift where seq in (${sent.map((s) => s.entrySeq)})`));
    const mine = c.shares.find((s) => s.account === `earnings:${singerId}`);
    assert.deepEqual([mine.micros, mine.heldMicros], [String(posted), String(posted)]);
    assert.equal(await standing(server, `earnings:${singerId}`), before.earnings - posted);
    assert.equal(await wallet(token), 0n);
    await lotsAreTheWallet(token);
    const opened = await legsOf(server, c.steps[0].entrySeq);
    assert.equal(sumOf(opened), 0n);
    assert.equal(opened.disputed, -30_000_000n);
    assert.equal(opened['cash:sandbox'], 30_000_000n + 15_000_000n);
    assert.equal(opened.provider_fees, -15_000_000n);
    // The singer is told, with the reason, and sees it beside what can be paid out.
    const page = await server.rpc('PayoutService/GetEarnings', {}, { token: singer });
    assert.equal(page.heldMicros, String(posted));
    assert.deepEqual([page.notices[0].what, page.notices[0].amountMicros, page.notices[0].reason], ['shares_held', String(posted), 'the card holder does not know it']);
    // The parties bring evidence, others do not.
    await of('AddEvidence', { caseId: c.id, text: 'I sang for an hour that evening.' }, singer);
    await assert.rejects(of('AddEvidence', { caseId: c.id, text: 'me too' }, await server.logIn('listener2')), (e) => e.code === 'permission_denied');
    const seen = (await of('ListMyCases', {}, singer)).cases.find((x) => x.id === c.id);
    assert.ok(seen && !seen.name && !seen.userId, 'the payer is not named to the singer');
    assert.equal((await decide(c, 'RESPOND')).state, 'CASE_STATE_UNDER_REVIEW');
    const lost = await decide(c, 'UPHOLD');
    assert.equal(lost.state, 'CASE_STATE_LOST');
    assert.deepEqual(lost.steps.map((s) => s.state), ['needs_response', 'under_review', 'lost']);
    assert.deepEqual(lost.evidence.map((e) => [e.by, e.text]), [['Wire singer', 'I sang for an hour that evening.']]);
    const sums = (await server.psql(`select sum(vat), sum(platform) + sum(agent), sum(rights) from ledger.gift where seq in (${sent.map((s) => s.entrySeq)})`)).split('|').map(BigInt);
    assert.equal(await standing(server, 'disputed'), 0n);
    assert.equal(await standing(server, 'vat'), before.vat - sums[0]);
    assert.equal(await standing(server, 'platform'), before.platform - sums[1]);
    assert.equal(await standing(server, `earnings:${singerId}`), before.earnings - posted);
    assert.equal(await standing(server, `held:case_${c.id}_wallet`), 0n);
    await refusedWith('wrong_state', decide(c, 'DISMISS'));
    await refusedWith('already_in_a_case', open('CHARGEBACK', request));
    await cleanBooks(server);
    assert.ok(user);
  });
  test('won: everything is as it was', async () => {
    const { token, orders, user } = await payer();
    await give(server, room, token, { quantity: 99 });
    const names = [`earnings:${singerId}`, 'vat', 'platform', `wallet:${user}`, 'cash:sandbox', 'disputed', 'earnings:rights'];
    const before = await Promise.all(names.map((n) => standing(server, n)));
    const c = await open('CHARGEBACK', { orderId: orders[0].orderId });
    assert.equal((await decide(c, 'DISMISS')).state, 'CASE_STATE_WON');
    assert.deepEqual(await Promise.all(names.map((n) => standing(server, n))), before);
    await lotsAreTheWallet(token);
    assert.equal((await server.rpc('PayoutService/GetEarnings', {}, { token: singer })).notices[0].what, 'shares_released');
    const again = await open('CHARGEBACK', { orderId: orders[0].orderId });
    assert.equal(again.state, 'CASE_STATE_NEEDS_RESPONSE', 'a new dispute about the same order');
    await decide(again, 'DISMISS');
  });
  test('a gift paid from two lots: each case takes its part, together they are its legs', async () => {
    const { token, orders } = await payer(2, 1); // 2 × 600 coins
    await give(server, room, token, { quantity: 520 });
    const sent = await give(server, room, token, { quantity: 188 }); // 80 of the first, 108 of the second
    const cases = [];
    for (const o of orders) cases.push(await open('CHARGEBACK', { orderId: o.orderId }));
    assert.deepEqual(cases.map((c) => c.parts.find((p) => p.entrySeq === sent.entrySeq).micros), ['800000', '1080000']);
    const together = {};
    for (const c of cases) for (const s of c.parts.find((p) => p.entrySeq === sent.entrySeq).shares) together[s.account] = (together[s.account] ?? 0n) + BigInt(s.micros);
    const posted = Object.fromEntries((await server.psql(`select account, amount from ledger.shares_of(${sent.entrySeq}) order by 1`)).split('\n').map((l) => l.split('|')).map(([n, a]) => [n, BigInt(a)]));
    assert.deepEqual(together, posted);
    assert.deepEqual((await decideAll(cases.map((c) => c.id), 'UPHOLD')).cases.map((c) => c.state), ['CASE_STATE_LOST', 'CASE_STATE_LOST'], 'many at once');
    await cleanBooks(server);
  });
  test('what was paid out meanwhile is owed, recovered from half of later payouts, and written off at last', async () => {
    const { token, orders } = await payer(1, 6); // 2 000 CNY
    for (let i = 0; i < 10; ++i) await give(server, room, token, { giftId: 9, quantity: 1 });
    await server.rpc('PayoutService/SetPayee', { method: 'bank', holder: 'A Singer', account: '6222020012345678', bank: 'ICBKCNBJ', taxScheme: 'none' }, { token: singer });
    await server.rpc('PayoutService/VerifyPayee', { userId: singerId, version: 1, reason: 'papers seen' }, { token: finance });
    const pay = async () => {
      const p = await server.rpc('PayoutService/RequestPayout', { key: randomUUID() }, { token: singer });
      await server.psql(`update payments.payout set day = date '2000-01-01' + id::int where user_id = ${singerId}`);
      const done = await server.rpc('PayoutService/DecidePayout', { payoutId: p.id, decision: 'PAYOUT_DECISION_APPROVE', reason: 'looked at it' }, { token: finance });
      await server.rpc('PayoutService/SubmitPayouts', { key: randomUUID(), reason: 'the batch' }, { token: finance });
      await server.rpc('PayoutService/SettlePayout', { payoutId: p.id, answer: 'BANK_ANSWER_PAID', reason: 'the bank says so' }, { token: finance });
      return done;
    };
    const paid = await pay();
    assert.equal(paid.recoveredMinor ?? '0', '0');
    const left = await standing(server, `earnings:${singerId}`);
    assert.ok(left < 10_000n, 'less than a fen is left');
    const c = await open('CHARGEBACK', { orderId: orders[0].orderId });
    const mine = c.shares.find((s) => s.account === `earnings:${singerId}`);
    assert.equal(BigInt(mine.heldMicros ?? 0), left);
    await decide(c, 'UPHOLD');
    const owed = BigInt(mine.micros) - left;
    assert.equal(await standing(server, `receivable:${singerId}`), -owed);
    assert.ok((await standing(server, `earnings:${singerId}`)) >= 0n);
    const list = await of('ListReceivables', {});
    assert.deepEqual(list.receivables.map((r) => [r.account, r.owedMicros, r.dueMicros ?? '0']), [[`receivable:${singerId}`, String(owed), '0']]);
    // Half of the next payout goes there.
    const again = await payer(1, 5);
    for (let i = 0; i < 4; ++i) await give(server, room, again.token, { giftId: 9, quantity: 1 });
    const next = await pay();
    assert.equal(BigInt(next.recoveredMinor), BigInt(next.grossMinor) / 2n);
    assert.equal(BigInt(next.netMinor), BigInt(next.grossMinor) - BigInt(next.recoveredMinor));
    const stillOwed = owed - BigInt(next.recoveredMinor) * 10_000n;
    assert.equal(await standing(server, `receivable:${singerId}`), -stillOwed);
    // Not before its time.
    await refusedWith('not_due', of('WriteOff', { key: randomUUID(), account: `receivable:${singerId}`, reason: 'she has gone' }));
    await policy(server, { maturity_days: 0, write_off_days: 0 });
    const key = randomUUID();
    await of('WriteOff', { key, account: `receivable:${singerId}`, reason: 'she has gone' });
    await of('WriteOff', { key, account: `receivable:${singerId}`, reason: 'she has gone' });
    assert.equal(await standing(server, `receivable:${singerId}`), 0n);
    assert.equal(await server.psql("select count(*) from ledger.entry where kind = 'write_off'"), '1');
    await policy(server, { maturity_days: 0 });
    await cleanBooks(server);
  });
  test('a payout that is under way and a chargeback at the same time: nobody falls below zero', async () => {
    const payers = [];
    for (let i = 0; i < 3; ++i) {
      const p = await payer();
      for (const quantity of [1314, 520]) await give(server, room, p.token, { quantity });
      payers.push(p);
    }
    const asked = [server.rpc('PayoutService/RequestPayout', { key: randomUUID(), amountMinor: 0 }, { token: singer }).catch((e) => e), ...payers.map((p) => open('CHARGEBACK', { orderId: p.orders[0].orderId }))];
    await Promise.all(asked);
    assert.ok((await standing(server, `earnings:${singerId}`)) >= 0n);
    const cases = (await of('ListCases', { kind: 'CASE_KIND_CHARGEBACK' })).cases;
    assert.equal(cases.length, 3);
    await decideAll(cases.map((c) => c.id), 'UPHOLD');
    await cleanBooks(server);
  });
});

describe('minors and fraud', () => {
  test('a minor’s claim freezes the wallet; upheld, the money goes back to the payer', async () => {
    const { token, user, orders } = await payer();
    await give(server, room, token, { quantity: 520 });
    const cash = await standing(server, 'cash:sandbox');
    const c = await open('MINOR', { orderId: orders[0].orderId, reason: 'the parents wrote' }, ops);
    assert.ok(Number(c.deadlineMs) > Date.now() + 14 * 86_400_000 && Number(c.deadlineMs) < Date.now() + 16 * 86_400_000);
    await refusedWith('insufficient_coins', give(server, room, token, { quantity: 1 }));
    assert.equal(await server.psql(`select frozen from ledger.wallet where user_id = ${user}`), 't');
    const upheld = await decide(c, 'UPHOLD', ops);
    assert.equal(upheld.state, 'CASE_STATE_UPHELD');
    assert.equal(await standing(server, 'cash:sandbox'), cash + 30_000_000n);
    await cleanBooks(server);
  });
  test('dismissed: released and unfrozen', async () => {
    const { token, user, orders } = await payer();
    const sent = await give(server, room, token, { quantity: 66 });
    const earned = await standing(server, `earnings:${singerId}`);
    const c = await open('MINOR', { orderId: orders[0].orderId }, ops);
    await decide(c, 'DISMISS', ops);
    assert.equal(await server.psql(`select frozen from ledger.wallet where user_id = ${user}`), 'f');
    assert.equal(await standing(server, `earnings:${singerId}`), earned);
    await until(async () => (await give(server, room, token, { quantity: 1 }).catch(() => null)) !== null, 5_000, 'coins can be spent again');
    assert.ok(sent.entrySeq);
  });
  test('fraud takes two persons, and freezes what is left', async () => {
    const { token, user } = await payer();
    const sent = await give(server, room, token, { quantity: 520 });
    const earned = await standing(server, `earnings:${singerId}`);
    const c = await open('FRAUD', { entrySeq: sent.entrySeq, reason: 'gave to themselves' }, ops);
    assert.ok((await standing(server, `earnings:${singerId}`)) < earned);
    await refusedWith('second_person', decide(c, 'UPHOLD', ops));
    assert.equal((await of('GetCase', { caseId: c.id })).state, 'CASE_STATE_OPEN');
    assert.equal((await decide(c, 'UPHOLD', ops2)).state, 'CASE_STATE_UPHELD');
    assert.equal(await standing(server, `wallet:${user}`), 30_000_000n);
    await refusedWith('account_frozen', give(server, room, token, { quantity: 1 }));
    await lotsAreTheWallet(token);
    await cleanBooks(server);
  });
});

describe('questions, deadlines, rates', () => {
  test('a question about an entry of one’s own', async () => {
    const { token } = await payer();
    const sent = await give(server, room, token, { quantity: 10 });
    const key = randomUUID();
    const c = await of('AskAboutEntry', { key, entrySeq: sent.entrySeq, text: 'Why was this taken twice?' }, token);
    assert.equal((await of('AskAboutEntry', { key, entrySeq: sent.entrySeq, text: 'Why was this taken twice?' }, token)).id, c.id);
    await of('AskAboutEntry', { key: randomUUID(), entrySeq: sent.entrySeq, text: 'Whom did it come from?' }, singer);
    await refusedWith('not_found', of('AskAboutEntry', { key: randomUUID(), entrySeq: sent.entrySeq, text: 'not mine at all' }, await server.logIn('listener2')));
    const answered = await decide(c, 'DISMISS', ops);
    assert.equal(answered.state, 'CASE_STATE_DISMISSED');
    assert.equal((await of('ListMyCases', {}, token)).cases.length, 1);
  });
  test('the nearest deadline first, what is overdue and the dispute rate are alarms', async () => {
    const { orders } = await payer();
    const c = await open('CHARGEBACK', { orderId: orders[0].orderId });
    await server.psql(`update payments.money_case set deadline_at = now() - interval '1 hour' where id = ${c.id}`);
    const list = await of('ListCases', {});
    assert.equal(list.cases[0].id, c.id);
    assert.equal(list.overdue, 1);
    const rate = list.rates.find((r) => r.provider === 'sandbox');
    assert.equal(Number(rate.rateBp), Math.floor((Number(rate.chargebacks) * 10_000) / Number(rate.topUps)));
    assert.equal(rate.alarmBp, 75);
    await server.restart();
    const metrics = () => fetch(`${server.url}/metrics`).then((r) => r.text());
    await until(async () => /^ovation_cases_overdue 1$/m.test(await metrics()), 10_000, 'the metric');
    assert.match(await metrics(), new RegExp(`^ovation_dispute_rate_bp ${rate.rateBp}$`, 'm'));
    assert.match(server.log(), /cases_overdue|cases overdue/);
    assert.match(server.log(), /dispute_rate|dispute rate/);
  });
  test('a case without a reason, of a wrong kind, about nothing: refused by field', async () => {
    await assert.rejects(open('CHARGEBACK', { orderId: 1, reason: '' }), (e) => e.field === 'reason');
    await assert.rejects(open('UNSPENT', { orderId: 1 }), (e) => e.field === 'kind');
    await assert.rejects(open('CHARGEBACK', {}), (e) => e.field === 'order_id');
    await assert.rejects(open('FRAUD', {}), (e) => e.field === 'entry_seq');
    await assert.rejects(open('MINOR', { orderId: 1, providerFeeMinor: 1 }), (e) => e.field === 'provider_fee_minor');
    await assert.rejects(of('ListCases', { kind: 99 }), (e) => e.field === 'kind');
    await assert.rejects(decideAll([], 'UPHOLD'), (e) => e.field === 'case_ids');
    assert.equal((await decideAll([123_456], 'UPHOLD')).refused[0].reason, 'not_found');
  });
});

describe('what breaks in between', () => {
  test('kill -9 while cases open and are decided: each is whole or not there, and the books are clean', async () => {
    for (let round = 0; round < 4; ++round) {
      const { token, orders } = await payer();
      await give(server, room, token, { quantity: 66 });
      const key = randomUUID();
      const asked = open('CHARGEBACK', { key, orderId: orders[0].orderId }).catch(() => null);
      await new Promise((done) => setTimeout(done, 2 + round * 7));
      await server.restart('SIGKILL');
      await asked;
      const c = await until(() => open('CHARGEBACK', { key, orderId: orders[0].orderId }).catch(() => null), 15_000, 'asked again under the same key');
      const ending = decide(c, round % 2 ? 'UPHOLD' : 'DISMISS').catch(() => null);
      await new Promise((done) => setTimeout(done, 2 + round * 5));
      await server.restart('SIGKILL');
      await ending;
      await until(async () => {
        const now = await of('GetCase', { caseId: c.id }).catch(() => null);
        if (now && now.state === 'CASE_STATE_NEEDS_RESPONSE') await decide(c, 'DISMISS').catch(() => null);
        return now && Number(now.closedAtMs ?? 0) > 0;
      }, 15_000, 'decided');
      await until(async () => (await server.psql('select count(*) from payments.step where kind is not null and entry_seq is null')) === '0', 10_000, 'all is posted');
      await lotsAreTheWallet(token);
    }
    await cleanBooks(server);
  });
});
