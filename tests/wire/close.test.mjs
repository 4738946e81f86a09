// The month's close: its marker, its pack, the bank's statement, the signature that others check, and what is refused.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { binary, startServer } from './harness.mjs';
import { give, noMonthlyRun, policy, standing, topUp } from './money.mjs';

const run = promisify(execFile);
let server, room, singer, finance, payoutId, folder, signer;
// Entries are of now; a month that is over is made by moving the books back: by whoever owns the database, before anything is sealed.
const month = (back) => {
  const d = new Date();
  d.setUTCDate(15);
  d.setUTCMonth(d.getUTCMonth() - back);
  return d.toISOString().slice(0, 7);
};
const close = (which, ...more) => server.ovation('ledger', 'close', which, '--folder', folder, '--signer', signer, '--by', 'finance', '--database', server.conninfo, ...more);
const file = async (name, which = month(1)) => fs.readFile(path.join(folder, which, name), 'utf8');
const csv = async (name) => {
  const [head, ...lines] = (await file(name)).trim().split('\n').map((l) => l.split(','));
  return lines.map((l) => Object.fromEntries(l.map((value, i) => [head[i], value])));
};
const camt = (bookings, { opening = 0, closing, ns = '053.001.02' } = {}) => `<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.${ns}"><BkToCstmrStmt><GrpHdr><MsgId>1</MsgId></GrpHdr><Stmt><Id>1</Id><Acct><Id><Othr><Id>622200</Id></Othr></Id></Acct>
${[['OPBD', opening], ['CLBD', closing]].map(([code, minor]) => `<Bal><Tp><CdOrPrtry><Cd>${code}</Cd></CdOrPrtry></Tp><Amt Ccy="CNY">${(Math.abs(minor) / 100).toFixed(2)}</Amt><CdtDbtInd>${minor < 0 ? 'DBIT' : 'CRDT'}</CdtDbtInd></Bal>`).join('\n')}
${bookings.map(([reference, minor]) => `<Ntry><Amt Ccy="CNY">${(Math.abs(minor) / 100).toFixed(2)}</Amt><CdtDbtInd>${minor < 0 ? 'DBIT' : 'CRDT'}</CdtDbtInd><Sts>BOOK</Sts><BookgDt><Dt>${month(1)}-20</Dt></BookgDt><NtryDtls><TxDtls><Refs><EndToEndId>${reference}</EndToEndId></Refs></TxDtls></NtryDtls></Ntry>`).join('\n')}
</Stmt></BkToCstmrStmt></Document>`;
// One file with the statements of several days.
const together = (...files) => files.join('').replaceAll(/<\/BkToCstmrStmt><\/Document><\?xml[^]*?<\/GrpHdr>/g, '');

before(async () => {
  server = await startServer({ flags: ['--load-profile'], prepare: noMonthlyRun });
  folder = path.join(server.base, 'months');
  signer = path.join(server.base, 'close.key');
  room = await server.makeRoom();
  singer = await server.logIn('singer');
  finance = await server.logIn('finance');
  const user = (await server.rpc('AuthService/GetMe', {}, { token: singer })).user.id;
  await policy(server, { maturity_days: 0 });
  const rich = await topUp(server, 'listener', 5, 3);
  for (let i = 0; i < 5; ++i) await give(server, room, rich.token, { giftId: 9, quantity: 1 });
  const lost = await give(server, room, rich.token, { quantity: 520 });
  await server.rpc('CaseService/OpenCase', { key: randomUUID(), kind: 'CASE_KIND_GIFT', entrySeq: lost.entrySeq, reason: 'sent twice' }, { token: finance });
  await server.rpc('PayoutService/SetPayee', { method: 'bank', holder: 'A "quoted" Singer', account: '6222020012345678', bank: 'ICBKCNBJ', taxScheme: 'cn_labour' }, { token: singer });
  await server.rpc('PayoutService/VerifyPayee', { userId: user, version: 1, reason: 'papers seen' }, { token: finance });
  payoutId = (await server.rpc('PayoutService/RequestPayout', { key: randomUUID(), amountMinor: 20_000 }, { token: singer })).id;
  await server.rpc('PayoutService/DecidePayout', { payoutId, decision: 'PAYOUT_DECISION_APPROVE', reason: 'looked at it' }, { token: finance });
  await server.rpc('PayoutService/SubmitPayouts', { key: randomUUID(), reason: 'the batch' }, { token: finance });
  await server.rpc('PayoutService/SettlePayout', { payoutId, answer: 'BANK_ANSWER_PAID', reason: 'the bank says so' }, { token: finance });
});
after(() => server?.stop());

describe('what is refused', () => {
  test('a month that is not over, no month at all, nobody of finance', async () => {
    await assert.rejects(close(month(0)), (e) => /not over/.test(e.stderr));
    await assert.rejects(close('2026-13'), (e) => /month: looks like 2026-11/.test(e.stderr));
    await assert.rejects(server.ovation('ledger', 'close', month(1), '--folder', folder, '--signer', signer, '--by', 'singer', '--database', server.conninfo), (e) => /not an account with the role finance/.test(e.stderr));
  });
  test('a bank’s file that is none, or does not add up', async () => {
    const bad = path.join(server.base, 'bad.xml');
    for (const [text, why] of [['<a', /not well-formed XML/], ['<a/>', /not a camt\.053/], [camt([['x', 100]], { closing: 99 }), /its bookings lead to 100, its closing balance says 99/], [camt([], { closing: 0 }).replace('OPBD', 'XXXX'), /needs an opening/],
      [camt([], { closing: 0 }).replace(/<Stmt>[^]*<\/Stmt>/, ''), /holds no statement/], [together(camt([['x', 100]], { closing: 100 }), camt([], { opening: 0, closing: 0 })), /a statement closes with 100, the next opens with 0/],
      [together(camt([], { closing: 0 }), camt([], { closing: 0 }).replace('622200', '622201')), /holds statements of 622200 and of 622201/]]) {
      await fs.writeFile(bad, text);
      await assert.rejects(close(month(1), '--bank', bad), (e) => why.test(e.stderr), String(why));
    }
  });
});

describe('a month', () => {
  before(async () => {
    // The books as they would stand a month later.
    await server.psql(`set session_replication_role = replica;
      update ledger.gift set at = at - interval '1 month'; update ledger.entry set at = at - interval '1 month';
      update payments.step set at = at - interval '1 month'; update payments.withholding set month = extract(month from now() - interval '1 month')`);
  });
  test('is closed by the server that runs; the pack adds up', async () => {
    const bank = path.join(server.base, 'bank.xml');
    const net = Number(await server.psql(`select net_minor from payments.payout where id = ${payoutId}`));
    await fs.writeFile(bank, together(camt([[`PO${payoutId}-1`, -net]], { opening: 0, closing: -net }), camt([['FEE', -150]], { opening: -net, closing: -net - 150 })));
    const { stdout } = await close(month(1), '--bank', bank);
    assert.match(stdout, new RegExp(`${month(1)} is closed by entry \\d+`));
    assert.match(stdout, /bank: 1 bookings agree, 0 only in the books, 1 only at the bank; the closing balances differ by 150 /);
    const trial = await csv('trial_balance.csv');
    assert.equal(trial.reduce((s, r) => s + BigInt(r.closing_micros), 0n), 0n, 'the trial balance is zero');
    for (const r of trial) assert.equal(BigInt(r.opening_micros) - BigInt(r.debits_micros) + BigInt(r.credits_micros), BigInt(r.closing_micros), r.account);
    const of = (name) => BigInt(trial.find((r) => r.account === name).closing_micros);
    assert.equal(of('vat'), await standing(server, 'vat'));
    assert.equal(of('wallet:*'), await server.psql("select sum(s.amount) from ledger.standings s join ledger.account a on a.id = s.account_id where a.kind = 'wallet'").then(BigInt));
    const coins = Object.fromEntries((await csv('coins.csv')).map((r) => [r.what, BigInt(r.micros)]));
    assert.equal(coins.unspent, of('wallet:*') + (trial.some((r) => r.account === 'bonus:*') ? of('bonus:*') : 0n));
    const vat = await csv('vat.csv');
    assert.equal(vat.reduce((s, r) => s + BigInt(r.vat_micros), 0n), of('vat'));
    assert.deepEqual(vat.map((r) => [r.what, r.entries]), [['gifts', '6'], ['refund', '1']]);
    const [withheld] = await csv('withholding.csv');
    assert.deepEqual([withheld.payout, withheld.scheme, withheld.income_minor], [payoutId, 'cn_labour', '20000']);
    assert.match(await file('withholding.csv'), /"A ""quoted"" Singer"/);
    const [paid] = await csv('payouts.csv');
    assert.deepEqual([paid.payout, paid.gross_minor, paid.net_minor, paid.state], [payoutId, '20000', String(net), 'paid']);
    const lines = await csv('bank.csv');
    assert.deepEqual(lines.filter((l) => l.side === 'both').map((l) => [l.reference, l.minor]), [[`PO${payoutId}-1`, String(-net)]]);
    assert.deepEqual(lines.filter((l) => l.side === 'bank').map((l) => [l.reference, l.minor]), [['FEE', '-150']]);
    assert.equal(lines.at(-1).minor, lines.at(-2).minor, 'the difference is explained line by line');
    assert.equal((await file('receivables.csv')).trim(), 'account,owed_micros,days_0_30,days_31_90,days_91_180,over_180');
  });
  test('closed again it is the same marker and the same pack', async () => {
    const before = await file('trial_balance.csv');
    const { stdout } = await close(month(1));
    assert.equal(await server.psql("select count(*) from ledger.entry where kind = 'marker'"), '1');
    assert.equal(await file('trial_balance.csv'), before);
    assert.match(stdout, /is closed by entry/);
    const trail = (await server.rpc('OpsService/ListAudit', { limit: 5 }, { token: finance })).rows.filter((r) => r.action === 'month_close_closed');
    assert.deepEqual(trail.map((r) => [r.actor, r.reason, r.subject]), [['Wire finance', 'the month is over', `month_close:${month(1).replace('-', '')}`]]);
  });
  test('whoever has the key checks the pack without server or database, and finds a changed figure', async () => {
    const check = () => run(binary(), ['ledger', 'check', path.join(folder, month(1), 'manifest'), '--verifier', path.join(folder, month(1), 'verifier')], { env: { PATH: process.env.PATH }, cwd: server.base });
    assert.match((await check()).stdout, /The pack is as ovation signed it: 6 files/);
    const name = path.join(folder, month(1), 'vat.csv');
    const was = await fs.readFile(name, 'utf8');
    await fs.writeFile(name, was.replace(/\d\n$/, (d) => `${(Number(d[0]) + 1) % 10}\n`));
    await assert.rejects(check(), (e) => e.code === 1 && /BAD {2}vat\.csv/.test(e.stdout) && /NOT as it was signed/.test(e.stdout));
    await fs.writeFile(name, was);
    const manifest = path.join(folder, month(1), 'manifest');
    const note = await fs.readFile(manifest, 'utf8');
    await fs.writeFile(manifest, note.replace(/last entry (\d+)/, (_, n) => `last entry ${Number(n) + 1}`));
    await assert.rejects(check(), (e) => e.code === 1 && /not signed/.test(e.stdout));
    await fs.writeFile(manifest, note);
  });
  test('a statement at a moment: by the day of recording, and by the day that entries belong to', async () => {
    const user = (await server.rpc('AuthService/GetMe', {}, { token: singer })).user.id;
    const page = (more = {}, token = singer) => server.rpc('LedgerService/ListPostings', { account: 'earnings', pageSize: 200, ...more }, { token });
    const now = await page();
    // The sums of the journal itself, up to each posting's time.
    const rows = (await server.psql(`select seq, (extract(epoch from at) * 1000)::bigint, amount from ledger.posting p join ledger.account a on a.id = p.account where a.name = 'earnings:${user}' order by seq, leg`)).split('\n').map((l) => l.split('|').map(BigInt));
    for (const at of [rows[0][1] - 1000n, rows[0][1], rows[3][1], rows.at(-1)[1], BigInt(Date.now())]) {
      const then = await page({ asOfMs: String(at) });
      const sum = rows.filter((r) => r[1] <= at).reduce((s, r) => s + r[2], 0n);
      assert.equal(BigInt(then.balanceMicros ?? 0), sum, String(at));
      assert.equal((then.postings ?? []).length, rows.filter((r) => r[1] <= at).length);
      if (then.postings?.length) assert.deepEqual([then.postings[0].balanceAfterMicros ?? '0', then.postings[0].accountVersion], [String(sum), String(then.postings.length)]);
    }
    assert.equal(now.postings.length, rows.length);
    // Cut into pages it is the same.
    const whole = (await page({ asOfMs: String(rows.at(-1)[1]) })).postings;
    const cut = [];
    for (let token = ''; ; ) {
      const r = await server.rpc('LedgerService/ListPostings', { account: 'earnings', pageSize: 3, pageToken: token, asOfMs: String(rows.at(-1)[1]) }, { token: singer });
      cut.push(...r.postings);
      token = r.nextPageToken ?? '';
      if (!token) break;
    }
    assert.deepEqual(cut, whole);
    // A refund of today that belongs to the day of its gift.
    const seq = await server.psql('select max(seq) from ledger.gift where seq not in (select gift from ledger.given_back)');
    await server.psql(`set session_replication_role = replica; create table held_month as select * from ledger.closed_month; delete from ledger.closed_month`);
    const c = await server.rpc('CaseService/OpenCase', { key: randomUUID(), kind: 'CASE_KIND_GIFT', entrySeq: seq, reason: 'belongs to last month' }, { token: finance });
    await server.psql(`set session_replication_role = replica; insert into ledger.closed_month select * from held_month; drop table held_month`);
    const asOf = String(Date.now() - 86_400_000 * 2);
    const recorded = await page({ asOfMs: asOf });
    const effective = await page({ asOfMs: asOf, byEffective: true });
    const share = (await page()).postings.find((p) => p.entrySeq === c.steps[0].entrySeq);
    assert.match(share.effectiveDay, /^\d{4}-\d\d-\d\d$/);
    assert.equal(share.caseId, c.id);
    assert.equal(BigInt(effective.balanceMicros), BigInt(recorded.balanceMicros) + BigInt(share.amountMicros));
    assert.deepEqual(effective.postings.map((p) => p.entrySeq), [share.entrySeq, ...recorded.postings.map((p) => p.entrySeq)]);
    assert.equal(effective.postings[0].balanceAfterMicros, effective.balanceMicros);
    await assert.rejects(page({ byEffective: true }), (e) => e.field === 'as_of_ms');
    await assert.rejects(page({ asOfMs: '-1' }), (e) => e.field === 'as_of_ms');
  });
  test('nothing is dated back into a closed month; corrections go to the open one', async () => {
    const seq = await server.psql('select min(seq) from ledger.gift');
    const c = await server.rpc('CaseService/OpenCase', { key: randomUUID(), kind: 'CASE_KIND_GIFT', entrySeq: seq, reason: 'a late correction' }, { token: finance });
    assert.equal(c.state, 'CASE_STATE_UPHELD');
    assert.equal(await server.psql(`select to_char((detail->>'effective')::date, 'YYYY-MM') from ledger.entry where seq = ${c.steps[0].entrySeq}`), await server.psql(`select to_char(now() at time zone 'Asia/Shanghai', 'YYYY-MM')`));
    const before = await file('trial_balance.csv');
    await close(month(1));
    assert.equal(await file('trial_balance.csv'), before, 'the closed month does not know of it');
    await assert.rejects(
      server.psql(`insert into ledger.entry (seq, kind, key, at, accounts, amounts, detail) select 999999, 'adjustment', 'x', now(), array[min(id), max(id)], array[0, 0], jsonb_build_object('effective', '${month(1)}-10') from ledger.account`),
      (e) => /is closed/.test(e.stderr),
    );
  });
  test('without a running server the program books the marker itself; months go in their order', async () => {
    await assert.rejects(close(month(2)), (e) => /earlier month|later month/i.test(e.stderr));
    await server.psql(`set session_replication_role = replica; update ledger.entry set at = at - interval '1 month' where kind <> 'marker'; update ledger.gift set at = at - interval '1 month'`);
    await server.psql(`set session_replication_role = replica; delete from ledger.closed_month; delete from payments.month_close; delete from payments.step where subject = 'month_close'; update ledger.entry set key = key || ':old', reference = 'old', detail = '{}' where kind = 'marker'`);
    await assert.rejects(close(month(1)), (e) => /earlier month/i.test(e.stderr));
    process.kill(server.child().pid, 'SIGKILL');
    const { stdout } = await close(month(2));
    assert.match(stdout, /is closed by entry/);
    await close(month(1));
    assert.equal(await server.psql('select count(*) from ledger.closed_month'), '2');
  });
});
test('the books of an untouched month are clean, its check included', async () => {
  const { stdout } = await server.ovation('ledger', 'verify', '--database', server.conninfo).catch((e) => e);
  assert.match(stdout, /^months {4}ok/m);
});
