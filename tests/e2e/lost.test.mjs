// What a browser does when answers are lost and when a log-in is in several tabs: nothing is paid twice, nobody is put out.
import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import fs from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { sleep, startServer, top, until } from '../wire/harness.mjs';
import { logIn } from './log_in.mjs';
import { startProxy } from './proxy.mjs';

const { chromium } = createRequire(path.join(top, 'web/package.json'))('playwright-core');
const wayMs = 400; // from the page to the server, and back
let server, browser, room, slow, users;

// A page in the room with the log-in that its context has, or a new one.
async function open(context, { at = server.url, handle } = {}) {
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  page.on('pageerror', (e) => assert.fail(e.message));
  await page.goto(`${at}/room/${room.id}`);
  if (handle) await logIn(page, handle);
  await page.locator('#say').waitFor();
  return page;
}
const context = () => browser.newContext({ viewport: { width: 1440, height: 900 }, locale: 'en-US' });
const say = async (page, text) => {
  await page.locator('#say').fill(text);
  await page.locator('#say').press('Enter');
};
// Said until it is heard: a page that is on its way in takes nothing.
const sayAndHear = (page, text, from = page) =>
  until(async () => {
    await say(page, text);
    return from.locator('.chat li', { hasText: text }).first().waitFor({ timeout: 3_000 }).then(() => true, () => false);
  }, 60_000, text);
const giftsOf = (handle) => server.psql(`select count(*) from ledger.gift where payer = ${users[handle]}`).then(Number);
async function coinsFor(handle) {
  const token = await server.logIn(handle);
  const order = await server.rpc('PaymentService/CreateTopUp', { key: randomUUID(), packId: 2, provider: 'sandbox' }, { token });
  await server.rpc('PaymentService/PaySandboxOrder', { orderId: order.orderId }, { token });
}

before(async () => {
  server = await startServer({ songs: false });
  await fs.cp(path.join(top, 'web/dist'), server.web, { recursive: true });
  room = await server.makeRoom();
  users = JSON.parse(await server.psql('select json_object_agg(subject, id) from identity.users'));
  slow = await startProxy(Number(new URL(server.url).port), { delayMs: wayMs });
  await coinsFor('listener');
  browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'] });
});
after(async () => {
  await browser?.close();
  await slow?.stop();
  await server?.stop();
});

test('tabs share a log-in: tokens that are over are refreshed once for all of them, and a log-out is everybody’s', async () => {
  const tabs = await context();
  const one = await open(tabs, { at: slow.url, handle: 'listener2' }); // slow: both are on their way at once
  const two = await open(tabs, { at: slow.url });
  await sayAndHear(two, 'from the second tab', one);
  // With another key of the installation no access token holds any more; what refreshes it does.
  const spent = () => server.psql(`select count(*) from identity.spent_refresh p join identity.sessions s on s.id = p.session_id where s.user_id = ${users.listener2}`).then(Number);
  const before = await spent();
  await server.psql(`update identity.secret set value = '\\x${randomBytes(32).toString('hex')}' where name = 'token_key'`);
  await server.restart();
  await Promise.all([sayAndHear(one, 'the first is back'), sayAndHear(two, 'the second is back')]);
  assert.equal(await spent(), before + 1, 'one refresh for both tabs');
  assert.equal(await server.psql(`select count(*) from identity.sessions where user_id = ${users.listener2} and ended_at is null`), '1');
  // Whoever logs out in one tab is a guest in the other.
  await one.goto(slow.url);
  await one.getByRole('button', { name: 'Log out' }).click();
  await two.getByRole('button', { name: 'Log in' }).first().waitFor();
  assert.equal(await two.evaluate(() => localStorage.getItem('session')), null);
  await tabs.close();
});

for (const [what, arrives] of [['on its way to the server', false], ['on the way back', true]])
  test(`a gift whose frames were lost ${what} is given once`, async () => {
    const own = await context();
    const page = await open(own, { at: slow.url, handle: 'listener' });
    const asked = [];
    page.on('request', (r) => r.url().includes('GiftService/') && asked.push(r.url().split('/').at(-1)));
    await until(() => page.getByTestId('send-gift').isEnabled(), 30_000, 'gifts can be sent');
    const before = await giftsOf('listener');
    await page.getByTestId('send-gift').click();
    if (arrives) await until(async () => (await giftsOf('listener')) > before, 30_000, 'it is given, and nobody there knows');
    else await sleep(wayMs / 2);
    await slow.cut(1_500);
    await until(async () => (await giftsOf('listener')) > before, 30_000, 'it is given');
    await until(async () => (await page.getByTestId('send-gift').getAttribute('aria-disabled')) === 'false', 30_000, 'the page knows');
    assert.equal(await page.locator('[role=status].bad, .note.bad').count(), 0, 'no trouble is shown');
    assert.deepEqual([asked.includes('GetGiftSend'), asked.includes('SendGift')], [true, !arrives], `it asked what came of it, and sent only what had not come: ${asked.join()}`);
    await sleep(2_500);
    assert.equal(await giftsOf('listener'), before + 1);
    await own.close();
  });

test('Enter held down on the button gives one gift', async () => {
  const own = await context();
  const page = await open(own, { handle: 'listener' });
  await until(() => page.getByTestId('send-gift').isEnabled(), 30_000, 'gifts can be sent');
  const before = await giftsOf('listener');
  await page.getByTestId('send-gift').focus();
  for (let i = 0; i < 20; ++i) {
    await page.keyboard.down('Enter'); // all but the first are repeats
    await sleep(50);
  }
  await page.keyboard.up('Enter');
  await sayAndHear(page, 'that was all');
  assert.equal(await giftsOf('listener'), before + 1);
  await own.close();
});

test('a top-up pressed again after a lost answer is one order, paid once', async () => {
  const own = await context();
  const page = await open(own, { at: slow.url, handle: 'listener' });
  const orders = () => server.psql(`select count(*), count(*) filter (where state = 'paid') from payments.top_up where user_id = ${users.listener}`).then((r) => r.split('|').map(Number));
  const before = await orders();
  await page.getByRole('button', { name: 'Top up' }).first().click();
  const dialog = page.locator('dialog');
  const pack = dialog.getByRole('button', { name: '3,000' });
  await pack.click();
  await until(async () => (await orders())[1] > before[1], 30_000, 'the order is paid');
  await slow.cut(1_500); // before the page hears of it
  await dialog.locator('.note.bad').waitFor();
  await pack.click();
  await dialog.locator('.note.ok').waitFor();
  assert.deepEqual(await orders(), before.map((n) => n + 1));
  // The next one is another intention.
  await pack.click();
  await until(async () => (await orders())[1] === before[1] + 2, 30_000, 'a second order');
  await own.close();
});
