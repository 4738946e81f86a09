// Money out and money back, by real pages: a payout from the figures to the bank's answer, a chargeback from its opening to its
// decision, unspent coins given back, a statement as a file. The sums are computed here, not by the server.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import fs from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { cleanBooks, give, policy, standing, topUp } from '../wire/money.mjs';
import { password, startServer, top, until } from '../wire/harness.mjs';

const { chromium } = createRequire(path.join(top, 'web/package.json'))('playwright-core');
const axeSource = await fs.readFile(path.join(top, 'web/node_modules/axe-core/axe.min.js'), 'utf8');
const pictures = path.join(top, 'var/screenshots');
const sizes = { desktop: { width: 1440, height: 900 }, phone: { width: 390, height: 844 } };
const account = '6222020012345678';
const pages = {};
let server, browser, room, singerId, gross, chargeback;

const fresh = async (handle) => (await server.rpc('AuthService/LogIn', { handle, password })).accessToken;
const yuan = (minor) => `¥${(minor / 100n).toLocaleString('en-US')}.${(minor % 100n).toString().padStart(2, '0')}`;
const shown = (micros) => `${micros < 0n ? '−' : ''}¥${((micros < 0n ? -micros : micros) / 1_000_000n).toLocaleString('en-US')}.${((micros < 0n ? -micros : micros) % 1_000_000n).toString().padStart(6, '0')}`;
// The rule of rules.md for a singer: VAT inside, floors; what is left of the floors goes to the largest remainder.
function singersShare(price, bp) {
  const base = price - (price * BigInt(bp.vatBp)) / (10_000n + BigInt(bp.vatBp));
  const parts = ['rights', 'singer', 'agent', 'venue', 'platform'].map((p) => ({ p, whole: base * BigInt(bp[`${p}Bp`] ?? 0) })).map((x) => ({ ...x, amount: x.whole / 10_000n, rest: x.whole % 10_000n }));
  let left = base - parts.reduce((s, x) => s + x.amount, 0n);
  for (; left > 0n; --left) {
    const next = parts.reduce((best, x) => (x.rest > best.rest ? x : best));
    next.amount += 1n;
    next.rest = -1n;
  }
  return parts.find((x) => x.p === 'singer').amount;
}
// Labour income of a first month: 80 % of it less 5 000 CNY, by brackets; half a fen is rounded up.
const brackets = [[0, 300, 0], [36_000, 1_000, 2_520], [144_000, 2_000, 16_920], [300_000, 2_500, 31_920], [420_000, 3_000, 52_920], [660_000, 3_500, 85_920], [960_000, 4_500, 181_920]].map((r) => r.map(BigInt));
function taxOf(income) {
  const taxable = (income * 8_000n) / 10_000n - 500_000n;
  const [, rate, quick] = brackets.findLast(([above]) => taxable > above * 100n);
  return { taxable, rate, quick: quick * 100n, tax: (taxable * rate + 5_000n) / 10_000n - quick * 100n };
}

async function of(handle, at) {
  if (!pages[handle]) {
    const page = (pages[handle] = await (await browser.newContext({ viewport: sizes.desktop, locale: 'en-US', acceptDownloads: true })).newPage());
    page.setDefaultTimeout(30_000);
    page.on('pageerror', (e) => assert.fail(`${handle}: ${e.message}`));
    await page.goto(server.url);
    await page.getByRole('button', { name: 'Log in' }).first().click();
    await page.locator('input[name=handle]').fill(handle);
    await page.locator('input[name=password]').fill(password);
    await page.locator('dialog button.primary').click();
    await page.locator('dialog').waitFor({ state: 'detached' });
  }
  await pages[handle].goto(server.url + at);
  return pages[handle];
}
const somebody = (handle, name, ...roles) => server.ovation('users', 'create', handle, '--name', name, '--password', password, ...roles.flatMap((r) => ['--role', r]), '--database', server.conninfo);
async function fileOf(page, button) {
  const [download] = await Promise.all([page.waitForEvent('download'), button.click()]);
  return { name: download.suggestedFilename(), text: await fs.readFile(await download.path(), 'utf8') };
}
// A row of the desk, its reason written, one of its buttons pressed.
async function settle(row, button, reason) {
  await row.locator('input[name^=reason-]').fill(reason);
  await row.getByRole('button', { name: button, exact: true }).click();
}
const payoutOf = async () => (await server.rpc('PayoutService/GetEarnings', {}, { token: await server.logIn('singer') })).payouts[0];

before(async () => {
  server = await startServer({ flags: ['--load-profile'] });
  await fs.cp(path.join(top, 'web/dist'), server.web, { recursive: true });
  await fs.mkdir(pictures, { recursive: true });
  await somebody('finance2', 'Second Finance', 'finance');
  await somebody('payer', 'Card Payer');
  await somebody('payer2', 'Payer who is gone');
  await somebody('spender', 'Careful Spender');
  room = await server.makeRoom();
  singerId = (await server.rpc('AuthService/GetMe', {}, { token: await server.logIn('singer') })).user.id;
  await policy(server, { maturity_days: 0 });
  const rich = await topUp(server, 'listener', 7, 12);
  for (let i = 0; i < 8; ++i) await Promise.all(Array.from({ length: 5 }, () => give(server, room, rich.token, { giftId: 9, quantity: 10 })));
  browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'] });
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

test('the singer sees what can be paid out and why, and names a payee whose faults are said field by field', async () => {
  const { postings } = await server.rpc('LedgerService/ListPostings', { account: 'earnings' }, { token: await server.logIn('singer') });
  const earned = 40n * singersShare(131_400n * 10_000n, postings[0].rule);
  gross = earned / 10_000n;
  assert.ok(gross > 2_000_000n, `${gross} fen are more than 20 000 CNY`);
  const page = await of('singer', '/statement');
  const figures = page.getByTestId('payout-figures').locator('.total');
  await figures.first().waitFor();
  assert.deepEqual(await figures.allTextContents(), [shown(earned), yuan(gross), shown(0n)]);
  await page.getByTestId('payout').getByText('Less than a fen').waitFor();
  const pay = page.getByRole('button', { name: `Pay out ${yuan(gross)}` });
  assert.ok(await pay.isDisabled(), 'nobody is named yet');
  await page.getByTestId('ask-payout').getByText('Say first who is paid').waitFor();
  const payee = page.getByTestId('payee');
  await payee.getByRole('button', { name: 'Name the payee' }).click();
  await payee.locator('input[name=holder]').fill('A Singer');
  await payee.locator('input[name=payee-account]').fill('62 22');
  await payee.locator('input[name=bank]').fill('ICBKCNBJ');
  await payee.getByRole('button', { name: 'Save' }).click();
  await payee.getByRole('alert').getByText('4 to 40 letters and digits').waitFor();
  assert.equal(await payee.locator('input[name=payee-account]').getAttribute('aria-invalid'), 'true');
  await payee.locator('input[name=payee-account]').fill(account);
  await payee.getByRole('button', { name: 'Save' }).click();
  await payee.getByText('ends in 5678').waitFor();
  await payee.getByText('Waits for verification').waitFor();
  assert.equal(await page.getByText(account).count(), 0);
  assert.equal(await page.locator('button.primary:visible').count(), 1, 'one bright thing');
});

test('the withholding is explained before the tap; a lost answer is asked again under the same key', async () => {
  const page = pages.singer;
  const { taxable, rate, quick, tax } = taxOf(gross);
  const table = page.getByTestId('ask-payout').getByTestId('tax');
  for (const [what, figure] of [['Taxable', yuan(taxable)], ['Rate', `${rate / 100n} %`], ['Quick deduction', yuan(quick)], ['Withheld now', yuan(tax)], ['Net', yuan(gross - tax)]])
    assert.equal(await table.locator('tr', { hasText: what }).locator('.num').textContent(), figure, what);
  const amount = page.locator('input[name=amount]');
  await amount.fill('99.99');
  await page.getByText('A payout begins at ¥100.00').waitFor();
  await amount.fill('1.234');
  await page.getByText('with two decimals at most').waitFor();
  await amount.fill('');
  await page.getByRole('button', { name: `Pay out ${yuan(gross)}` }).click();
  const dialog = page.getByTestId('confirm-payout');
  await dialog.getByText(`Net: ${yuan(gross - tax)}`).waitFor();
  // The server acts, and its answer is lost.
  let asked = 0;
  await page.route('**/*PayoutService/RequestPayout', async (route) => {
    if (asked++ > 0) return route.continue();
    await route.fetch();
    return route.abort();
  });
  await dialog.getByRole('button', { name: 'Pay out' }).click();
  await dialog.getByRole('alert').getByText('nothing is done twice').waitFor();
  await dialog.getByRole('button', { name: 'Pay out' }).click();
  await dialog.waitFor({ state: 'detached' });
  await page.getByTestId('payouts').locator('summary').getByText('Under review').waitFor();
  assert.equal(await page.getByTestId('payouts').locator('summary').count(), 1);
  assert.equal(await server.psql('select count(*) from payments.payout'), '1');
  await page.getByTestId('statement').getByText('Payout asked for').first().waitFor();
  assert.deepEqual(await page.getByTestId('payout-figures').locator('.total').nth(1).textContent(), yuan(0n));
});

test('finance verifies the payee; two persons approve, and one is not two', async () => {
  const page = await of('finance', '/ops');
  const desk = page.getByTestId('payouts-desk');
  const { id } = await payoutOf();
  const row = desk.getByTestId(`payout-${id}`);
  await row.getByText(account).waitFor();
  await row.getByText('0 of 2 persons').waitFor();
  await settle(row, 'Approve', 'looked at it');
  await row.getByRole('alert').getByText('Verify the payee first').waitFor();
  const payee = desk.getByTestId('payees').locator('li', { hasText: account });
  await settle(payee, 'Verify', 'papers seen');
  await desk.getByText('No payee waits').waitFor();
  await row.getByText('Verified', { exact: true }).waitFor();
  await settle(row, 'Approve', 'looked at it');
  await row.getByText('1 of 2 persons').waitFor();
  await settle(row, 'Approve', 'once more, by myself');
  await row.getByRole('alert').getByText('Above this sum another person must approve it, too.').waitFor();
  const second = (await of('finance2', '/ops')).getByTestId('payouts-desk').getByTestId(`payout-${id}`);
  await settle(second, 'Approve', 'seen by the second');
  await second.getByText('Taxed, waits for the bank').first().waitFor();
});

test('the bank’s file names the payment; paid, the singer sees net and tax', async () => {
  const { id } = await payoutOf();
  const { tax } = taxOf(gross);
  const page = await of('finance', '/ops');
  const desk = page.getByTestId('payouts-desk');
  const row = desk.getByTestId(`payout-${id}`);
  await row.getByText(yuan(gross - tax)).first().waitFor();
  await settle(desk.getByTestId('send-bank'), 'Send to the bank', 'the batch of today');
  await desk.getByTestId('batch').getByText(`1 payouts, ${yuan(gross - tax)} together`).waitFor();
  const file = await fileOf(page, desk.getByRole('button', { name: 'Download the bank’s file' }));
  assert.match(file.name, /^ovation-payouts-\d+\.xml$/);
  assert.ok(file.text.includes(`<EndToEndId>PO${id}-1</EndToEndId>`) && file.text.includes(account), 'the payment is in the file');
  assert.ok(file.text.includes(`<InstdAmt Ccy="CNY">${yuan(gross - tax).replace(/[¥,]/g, '')}</InstdAmt>`), 'with its sum');
  await page.reload();
  await settle(row, 'Accepted', 'the bank has it');
  await row.getByText('In transit').first().waitFor();
  await settle(row, 'Paid', 'the bank says so');
  await desk.getByText('Nothing is at the bank').waitFor();
  const singer = await of('singer', '/statement');
  const payout = singer.getByTestId('payouts').locator('li').first();
  await payout.locator('summary').getByText('Paid', { exact: true }).waitFor();
  await payout.locator('summary').getByText(yuan(gross - tax)).waitFor();
  await payout.locator('summary').click();
  assert.equal(await payout.getByTestId('net').textContent(), yuan(gross - tax));
  assert.equal(await payout.getByTestId('tax').locator('tr', { hasText: 'Withheld now' }).locator('.num').textContent(), yuan(tax));
  assert.equal(await payout.getByTestId('payout-view').locator('ol li').count(), 7, 'each step');
  assert.equal(await standing(server, 'withholding'), tax * 10_000n);
  assert.equal(await standing(server, 'bank'), (gross - tax) * 10_000n);
  assert.equal(await singer.getByRole('button', { name: 'Cancel this payout' }).count(), 0, 'what is paid is not cancelled');
});

test('a chargeback: opened on the page, held with its reason, evidence brought, lost to the micro', async () => {
  const { token, orders } = await topUp(server, 'payer', 2);
  const sent = [await give(server, room, token, { quantity: 520 }), await give(server, room, token, { quantity: 66 })];
  const posted = BigInt(await server.psql(`select sum(singer) from ledger.gift where seq in (${sent.map((s) => s.entrySeq)})`));
  const before = await standing(server, `earnings:${singerId}`);
  const ops = await of('ops', '/ops');
  assert.equal(await ops.getByTestId('payouts-desk').count(), 0, 'payouts are for finance');
  const form = ops.getByTestId('open-case');
  await form.locator('summary').click();
  await form.locator('input[name=subject]').fill(String(orders[0].orderId));
  await form.locator('input[name=reference]').fill('dp_1');
  await form.locator('input[name=fee]').fill('15');
  await form.locator('input[name=open-reason]').fill('the card holder does not know it');
  await form.getByRole('button', { name: 'Open a case' }).click();
  const view = ops.getByTestId('case');
  await view.waitFor();
  chargeback = (await server.psql("select id from payments.money_case where kind = 'chargeback'"));
  const share = view.getByTestId('shares').locator('tr', { hasText: `earnings:${singerId}` });
  assert.deepEqual(await share.locator('.num').allTextContents(), [shown(posted), shown(posted)]);
  await ops.getByTestId('urgent').getByText(/^Chargeback, due in \d days$/).waitFor();
  // The singer sees what is held and why, and brings evidence.
  const singer = await of('singer', '/statement');
  await singer.getByTestId('held').getByText(shown(posted)).waitFor();
  const notice = singer.getByTestId('notices').locator('li').first();
  await notice.getByText(`Case ${chargeback}: your share is held`).waitFor();
  await notice.getByText('the card holder does not know it').waitFor();
  const mine = singer.getByTestId('my-cases').locator('li').first();
  await mine.getByText('Waits for an answer').waitFor();
  await mine.getByText('Add evidence').click();
  await mine.locator('textarea').fill('I sang for an hour that evening.');
  await mine.getByRole('button', { name: 'Send' }).click();
  await mine.getByRole('status').getByText('kept with the case').waitFor();
  // Finance reads it and decides.
  const finance = await of('finance', '/ops');
  const desk = finance.getByTestId('cases');
  await desk.getByTestId('urgent').getByRole('button', { name: 'Open' }).click();
  await desk.getByTestId('evidence').getByText('I sang for an hour that evening.').waitFor();
  await desk.locator('input[name=case-reason]').fill('decided by the papers');
  await desk.getByRole('button', { name: 'Evidence was sent' }).click();
  await desk.getByTestId('case').getByText('Under review').first().waitFor();
  await desk.locator('input[name=case-reason]').fill('the provider has decided');
  await desk.getByRole('button', { name: 'Uphold: the payer is right' }).click();
  await desk.getByTestId('case').getByText('Lost, taken back').first().waitFor();
  // The statement has the entry with its exact micros.
  assert.equal(await standing(server, `earnings:${singerId}`), before - posted);
  await of('singer', '/statement');
  const entry = singer.getByTestId('statement').locator('li', { hasText: 'Chargeback (held)' });
  await entry.getByText(shown(-posted)).waitFor();
  await entry.getByRole('button').click();
  await singer.getByText('Others').first().waitFor(); // whose gift it was, and what others have of it, is not told
  await mine.getByText('Lost, taken back').waitFor();
  await mine.getByText('What was brought').click();
  await mine.getByText('I sang for an hour that evening.').waitFor();
  await singer.getByTestId('notices').getByText(`Case ${chargeback}: your share was taken back`).waitFor();
  await cleanBooks(server);
});

test('several cases at once; what is refused is said one by one', async () => {
  const frauds = [];
  const { token, orders } = await topUp(server, 'payer', 2);
  for (const quantity of [10, 66]) frauds.push(await give(server, room, token, { quantity }));
  const opsToken = await server.logIn('ops');
  for (const f of frauds.slice(0, 1)) await server.rpc('CaseService/OpenCase', { key: randomUUID(), kind: 'CASE_KIND_FRAUD', entrySeq: f.entrySeq, reason: 'gave to themselves' }, { token: opsToken });
  await server.rpc('CaseService/OpenCase', { key: randomUUID(), kind: 'CASE_KIND_MINOR', orderId: orders[0].orderId, reason: 'the parents wrote' }, { token: opsToken }).catch((e) => assert.equal(e.reason, 'already_in_a_case'));
  const asked = await server.rpc('CaseService/AskAboutEntry', { key: randomUUID(), entrySeq: frauds[1].entrySeq, text: 'Why was this taken twice?' }, { token });
  const page = await of('ops', '/ops');
  const desk = page.getByTestId('cases');
  const fraud = await server.psql("select id from payments.money_case where kind = 'fraud'");
  for (const id of [fraud, asked.id]) await desk.getByRole('checkbox', { name: `Select case ${id}` }).check();
  await desk.getByText('2 selected').waitFor();
  await desk.locator('input[name=case-reason]').fill('read with care');
  await desk.getByRole('button', { name: 'Uphold: the payer is right' }).click();
  await desk.getByText('1 decided').waitFor();
  await desk.getByTestId('refused').getByText(`Case ${fraud}: Your word is kept. Another person must decide the same before it takes effect.`).waitFor();
  await page.reload();
  await desk.getByTestId('case-list').getByRole('button', { name: `Case ${fraud}` }).click();
  await desk.getByTestId('case').getByText('1 of 2 persons').waitFor();
});

test('a listener gives unspent coins back, to the fen, and asks about an entry', async () => {
  const { token, user } = await topUp(server, 'spender', 2);
  await give(server, room, token, { quantity: 66 });
  const cash = await standing(server, 'cash:sandbox');
  const page = await of('spender', '/statement');
  const lots = page.getByTestId('lots');
  await lots.getByText('2,934 left').waitFor();
  await lots.getByRole('button', { name: /^Give back/ }).click();
  const dialog = page.getByTestId('confirm-refund');
  await dialog.getByText('2,934 coins leave your wallet and ¥29.34 goes back the way you paid.').waitFor();
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  assert.equal(await standing(server, `wallet:${user}`), 29_340_000n, 'nothing went by itself');
  await lots.getByRole('button', { name: /^Give back/ }).click();
  await dialog.getByRole('button', { name: 'Give back' }).click();
  await lots.getByRole('status').getByText('¥29.34 has gone back').waitFor();
  await page.getByTestId('statement').getByText('Given back').waitFor();
  assert.equal(await standing(server, `wallet:${user}`), 0n);
  assert.equal(await standing(server, 'cash:sandbox'), cash + 29_340_000n);
  assert.equal(await lots.getByRole('button', { name: /^Give back/ }).count(), 0);
  await page.getByTestId('statement').locator('li', { hasText: 'Gift' }).getByRole('button').click();
  await page.getByRole('button', { name: 'Question this' }).click();
  const ask = page.getByTestId('ask');
  await ask.locator('textarea').fill('Who was this for?');
  await ask.getByRole('button', { name: 'Send' }).click();
  await ask.getByRole('status').waitFor();
  await page.keyboard.press('Escape');
  await page.getByTestId('my-cases').getByText('Who was this for?').waitFor();
  await cleanBooks(server);
});

test('the statement as a file: every posting, and its sum is the balance', async () => {
  const page = await of('singer', '/statement');
  await page.getByTestId('statement').locator('li').first().waitFor();
  const { name, text } = await fileOf(page, page.getByRole('button', { name: 'Download CSV' }));
  assert.match(name, /^ovation-earnings-\d{4}-\d\d-\d\d\.csv$/);
  const [head, ...lines] = text.trimEnd().split('\r\n').map((l) => l.split(','));
  assert.deepEqual(head, ['seq', 'time', 'kind', 'amount', 'balance_after', 'version', 'key']);
  const micros = (t) => BigInt(t.replace('.', ''));
  assert.ok(lines.every((l) => /^-?\d+\.\d{6}$/.test(l[3]) && !Number.isNaN(Date.parse(l[1]))));
  assert.equal(lines.reduce((s, l) => s + micros(l[3]), 0n), await standing(server, `earnings:${singerId}`));
  assert.equal(micros(lines[0][4]), await standing(server, `earnings:${singerId}`));
  assert.equal(lines.length, Number(lines[0][5]), 'as many as the account has versions');
});

test('the new parts are clean for axe-core: both sizes, light and dark, both languages', async () => {
  // The desk is paused, and judged as it is when its figures are old.
  // Something of everything: a payout under review, a payee that waits, a chargeback that is due, a debt from one that was lost.
  const finance = await server.logIn('finance');
  const singer = await fresh('singer');
  const openChargeback = (order, providerReference) => server.rpc('CaseService/OpenCase', { key: randomUUID(), kind: 'CASE_KIND_CHARGEBACK', orderId: order.orderId, providerReference, providerFeeMinor: 1500, reason: 'not known' }, { token: finance });
  await policy(server, { maturity_days: 0, write_off_days: 0 });
  const gone = await topUp(server, 'payer2', 6);
  await give(server, room, gone.token, { giftId: 9, quantity: 10 });
  await server.psql(`update payments.payout set day = day - 1 where user_id = ${singerId}`);
  await server.rpc('PayoutService/RequestPayout', { key: randomUUID(), amountMinor: 0 }, { token: singer });
  const lost = await openChargeback(gone.orders[0], 'dp_2');
  await server.rpc('CaseService/DecideCases', { caseIds: [lost.id], decision: 'CASE_DECISION_UPHOLD', reason: 'the provider has decided' }, { token: finance });
  const rich = await server.logIn('listener');
  for (let i = 0; i < 2; ++i) await give(server, room, rich, { giftId: 9, quantity: 10 });
  const { token: other, orders } = await topUp(server, 'listener2', 6);
  await give(server, room, other, { giftId: 9, quantity: 10 });
  const late = await openChargeback(orders[0], 'dp_3');
  await server.psql(`update payments.money_case set deadline_at = now() + interval '9 hours 5 minutes' where id = ${late.id}`);
  await server.rpc('PayoutService/SetPayee', { method: 'alipay', holder: 'Riverside Agency of the Long Name', account: 'agent@example.com', taxScheme: 'none' }, { token: await server.logIn('agent') });
  // One that no provider sends.
  await server.psql(`insert into payments.refund (case_id, order_id, provider, amount_minor, currency) values (${late.id}, ${orders[0].orderId}, 'bank_transfer', 12345, 'CNY')`);
  const views = [
    ['earnings', 'singer', '/statement', async (p) => { await p.getByTestId('payouts').locator('summary').last().click(); await p.getByTestId('payee').getByRole('button').click(); await p.getByTestId('statement').locator('li button').first().click(); await p.getByTestId('my-cases').locator('li').first().waitFor(); }],
    ['wallet', 'spender', '/statement', async (p) => { await p.getByTestId('lots').locator('li').first().waitFor(); await p.getByTestId('my-cases').locator('summary').first().click(); }],
    ['desk', 'finance', '/ops', async (p) => { await p.getByTestId('urgent').getByRole('button').click(); await p.getByTestId('case').waitFor(); await p.getByTestId('open-case').locator('summary').click(); await p.getByTestId('payees').locator('li').first().waitFor(); await p.getByTestId('refunds').locator('li').first().waitFor(); await p.getByTestId('payouts-desk').locator('summary').first().click(); await p.locator('main .btn[aria-pressed]').first().click(); await p.locator('.totals .stale').first().waitFor(); }],
  ];
  const bad = [];
  for (const [name, handle, at, ready] of views)
    for (const language of ['zh', 'en']) {
      const page = await of(handle, at);
      await page.setViewportSize(sizes.desktop);
      await page.evaluate((l) => localStorage.setItem('language', l), language);
      await page.reload();
      await ready(page).catch(async (e) => { await page.screenshot({ path: path.join(pictures, 'money-failed.png'), fullPage: true }); throw e; });
      await page.evaluate(axeSource);
      for (const [size, viewport] of Object.entries(sizes))
        for (const colorScheme of ['light', 'dark']) {
          await page.setViewportSize(viewport);
          await page.emulateMedia({ colorScheme });
          const { violations } = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa'] }));
          bad.push(...violations.map((v) => `${name}, ${size}, ${colorScheme}, ${language}: ${v.id}: ${v.nodes.map((n) => n.target.join(' ')).slice(0, 4).join(' | ')}`));
          const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
          if (wide > 0) bad.push(`${name}, ${size}, ${language}: ${wide} px too wide`);
          if ((language === 'zh') === (colorScheme === 'light')) await page.screenshot({ path: path.join(pictures, `money-${name}-${size}-${language}.png`), fullPage: true });
        }
      await page.setViewportSize({ width: 320, height: 700 });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (wide > 0) {
        const out = await page.evaluate(() => [...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > document.documentElement.clientWidth).map((e) => `${e.tagName.toLowerCase()}.${e.className} ${e.textContent.trim().slice(0, 30)}`).slice(-4));
        bad.push(`${name}, 320 px, ${language}: ${wide} px too wide: ${out.join(' | ')}`);
      }
      // No key without its words.
      const bare = await page.evaluate(() => [...document.querySelectorAll('section[data-testid]')].flatMap((e) => e.innerText.match(/\b[a-z]+(?:_[a-z0-9]+)+\b/g) ?? []));
      bad.push(...bare.filter((w) => !/^dp_\d$/.test(w)).map((w) => `${name}, ${language}: ${w}`));
    }
  assert.deepEqual(bad, []);
});

test('what is owed is recovered from at most half of a payout, and is written off with a reason', async () => {
  const owed = -(await standing(server, `receivable:${singerId}`)) / 10_000n;
  const available = (await standing(server, `earnings:${singerId}`)) / 10_000n;
  assert.ok(owed > 0n && available > 0n);
  const page = await of('singer', '/statement');
  await page.evaluate(() => localStorage.setItem('language', 'en'));
  await page.reload();
  const recovered = owed < available / 2n ? owed : available / 2n;
  const table = page.getByTestId('ask-payout').getByTestId('tax');
  assert.equal(await table.locator('tr', { hasText: 'Recovered' }).locator('.num').textContent(), yuan(recovered));
  const withheld = BigInt((await table.locator('tr', { hasText: 'Withheld now' }).locator('.num').textContent()).replace(/\D/g, ''));
  assert.equal(await table.getByTestId('net').textContent(), yuan(available - recovered - withheld));
  const finance = await of('finance', '/ops');
  await finance.evaluate(() => localStorage.setItem('language', 'en'));
  await finance.reload();
  const receivables = finance.getByTestId('receivables');
  await receivables.locator('input').fill('she has gone');
  await receivables.getByRole('button', { name: 'Write off' }).click();
  await receivables.getByText('Nobody owes anything').waitFor();
  assert.equal(await standing(server, `receivable:${singerId}`), 0n);
});

test('what goes back by hand is noted with its reference', async () => {
  const page = await of('finance', '/ops');
  await page.evaluate(() => localStorage.setItem('language', 'en'));
  await page.reload();
  const row = page.getByTestId('refunds').locator('li', { hasText: '¥123.45' });
  await row.getByLabel('Reference of what was sent').fill('TRANSFER 12');
  const sent = row.getByRole('button', { name: 'Sent by hand' });
  assert.ok(await sent.isDisabled(), 'not without a reason');
  await row.getByLabel('Reason').fill('sent from the account');
  await sent.click();
  await page.getByText('Nothing waits to be sent back').waitFor();
  assert.equal(await server.psql("select state || ' ' || reference from payments.refund where amount_minor = 12345"), 'sent TRANSFER 12');
});

test('a payout is held with a reason, goes on, and is cancelled by its owner', async () => {
  const { id, grossMinor } = await payoutOf();
  const page = await of('finance', '/ops');
  const row = page.getByTestId('payouts-desk').getByTestId(`payout-${id}`);
  await settle(row, 'Hold', 'asks for papers');
  await row.getByText('Held', { exact: true }).first().waitFor();
  const singer = await of('singer', '/statement');
  const payout = singer.getByTestId('payouts').locator('li', { hasText: `Payout ${id}` }).first();
  await payout.locator('summary').getByText('Held', { exact: true }).waitFor();
  await payout.locator('summary').click();
  await payout.getByText('asks for papers').waitFor();
  await settle(row, 'Resume', 'papers are here');
  await row.getByText('Under review').first().waitFor();
  await payout.getByRole('button', { name: 'Cancel this payout' }).click();
  const dialog = singer.locator('dialog');
  await dialog.getByText(`${yuan(BigInt(grossMinor))} goes back into your earnings.`).waitFor();
  await dialog.getByRole('button', { name: 'Cancel it' }).click();
  await dialog.waitFor({ state: 'detached' });
  await payout.locator('summary').getByText('Cancelled, back in the earnings').waitFor();
  assert.equal(await standing(server, `held:payout_${id}`), 0n);
  await cleanBooks(server);
});
