// Order in the house, by real pages: people are reported, silenced and put out; accounts mind themselves; operations decide;
// finance reads the books; contracts end; gifts shine by their tier and as each viewer wants. And all pages for axe-core.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import fs from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { password, sleep, startServer, top, until } from '../wire/harness.mjs';

const { chromium } = createRequire(path.join(top, 'web/package.json'))('playwright-core');
const axeSource = await fs.readFile(path.join(top, 'web/node_modules/axe-core/axe.min.js'), 'utf8');
const sizes = { desktop: { width: 1440, height: 900 }, phone: { width: 390, height: 844 } };
const pages = {};
let server, browser, room;

const fresh = async (handle) => (await server.rpc('AuthService/LogIn', { handle, password })).accessToken;
async function logIn(page, handle) {
  await page.getByRole('button', { name: 'Log in' }).first().click();
  await page.locator('input[name=handle]').fill(handle);
  await page.locator('input[name=password]').fill(password);
  await page.locator('dialog button.primary').click();
}
async function open(handle, at) {
  const context = await browser.newContext({ viewport: sizes.desktop, locale: 'en-US' });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  page.on('pageerror', (e) => assert.fail(`${handle}: ${e.message}`));
  await page.goto(server.url);
  await logIn(page, handle);
  await page.locator('dialog').waitFor({ state: 'detached' });
  await page.goto(server.url + at);
  return page;
}
// One page a person, kept over the tests.
async function of(handle, at) {
  const page = (pages[handle] ??= await open(handle, at));
  if (new URL(page.url()).pathname !== at) await page.goto(server.url + at);
  if (at.startsWith('/room')) await page.locator('.chat').waitFor();
  return page;
}
const here = () => `/room/${room.id}`;
async function say(page, text) {
  await page.locator('#say').fill(text);
  await page.locator('#say').press('Enter');
}
const heard = (page, text) => page.locator('.chat li', { hasText: text }).last();
// The dialog about who said this.
async function about(page, text) {
  await heard(page, text).getByRole('button').click();
  const dialog = page.getByTestId('person');
  await dialog.waitFor();
  return dialog;
}
const audit = async () => (await server.rpc('OpsService/ListAudit', { limit: 20 }, { token: await server.logIn('ops') })).rows ?? [];
async function coinsFor(handle, packId) {
  const token = await server.logIn(handle);
  const order = await server.rpc('PaymentService/CreateTopUp', { key: randomUUID(), packId, provider: 'sandbox' }, { token });
  await server.rpc('PaymentService/PaySandboxOrder', { orderId: order.orderId }, { token });
}

before(async () => {
  server = await startServer();
  await fs.cp(path.join(top, 'web/dist'), server.web, { recursive: true });
  room = await server.makeRoom({ roomName: 'Kind room' });
  await server.rpc('AuthService/Register', { handle: 'giver', displayName: 'Wire giver', password });
  browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream', '--autoplay-policy=no-user-gesture-required'] });
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

test('a listener is reported from the chat; the keyboard comes back to the name', async () => {
  const [loud, other] = [await of('listener', here()), await of('listener2', here())];
  await say(loud, 'buy my watches');
  const name = heard(other, 'buy my watches').getByRole('button');
  await name.focus();
  await other.keyboard.press('Enter');
  const dialog = other.getByTestId('person');
  await dialog.getByRole('heading', { name: 'Wire listener' }).waitFor();
  await other.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  assert.equal(await other.evaluate(() => document.activeElement?.textContent), 'Wire listener');
  await other.keyboard.press('Enter');
  // Who is no staff only reports; without words there is nothing to send.
  assert.equal(await dialog.getByRole('button', { name: /Mute|Put out/ }).count(), 0);
  const send = dialog.getByRole('button', { name: 'Send the report' });
  assert.ok(await send.isDisabled());
  await dialog.locator('textarea').fill('sells watches in every song');
  await send.click();
  await dialog.getByText('Operations will look at it').waitFor();
  await dialog.getByRole('button', { name: 'Close' }).click();
  // Who is not logged in is asked to, first.
  const guest = await browser.newPage({ locale: 'en-US' });
  await guest.goto(server.url + here());
  await heard(guest, 'buy my watches').getByRole('button').click();
  await guest.locator('dialog input[name=handle]').waitFor();
  await guest.close();
  // One's own name is no button.
  assert.equal(await heard(loud, 'buy my watches').getByRole('button').count(), 0);
});

test('the singer mutes, lets speak again and puts out; who is muted is told so, who is out stays out', async () => {
  const [loud, singer] = [pages.listener, await of('singer', here())];
  const dialog = await about(singer, 'buy my watches');
  const mute = dialog.getByRole('button', { name: 'Mute for 10 min' });
  assert.ok(await mute.isDisabled(), 'not without a reason');
  await dialog.locator('input[name=reason]').fill('selling');
  await mute.click();
  await dialog.getByText('Wire listener is muted for 10 min').waitFor();
  await say(loud, 'still here');
  await loud.locator('form.bar [role=alert]').getByText('muted you for a while').waitFor();
  assert.equal(await heard(singer, 'still here').count(), 0);
  await dialog.getByRole('button', { name: 'Let speak again' }).click();
  await dialog.getByText('Wire listener may speak again').waitFor();
  await say(loud, 'sorry for that');
  await heard(singer, 'sorry for that').waitFor();
  await dialog.getByRole('button', { name: 'Put out for 1 h' }).click();
  await dialog.getByText('Wire listener has been put out').waitFor();
  await loud.locator('.strip').getByText('asked you to leave').waitFor();
  await loud.reload();
  await loud.locator('.strip').getByText('asked you to leave').waitFor();
  await singer.keyboard.press('Escape');
});

test('operations say why in three characters, and the singer is not theirs to silence', async () => {
  const [singer, ops] = [await of('singer', here()), await of('ops', here())];
  await say(singer, 'good evening');
  const dialog = await about(ops, 'good evening');
  const mute = dialog.getByRole('button', { name: 'Mute for 1 h' });
  await dialog.locator('input[name=reason]').fill('no');
  assert.ok(await mute.isDisabled());
  await dialog.getByText('3 to 200 characters').waitFor();
  await dialog.locator('input[name=reason]').fill('not theirs');
  await mute.click();
  await dialog.getByRole('alert').getByText('own singer').waitFor();
  await ops.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  const other = await about(ops, 'sorry for that');
  await other.locator('input[name=reason]').fill('a word from the house');
  await other.getByRole('button', { name: 'Mute for 1 h' }).click();
  await other.getByText('is muted for 60 min').waitFor();
  assert.ok((await audit()).some((r) => r.action === 'mute_in_room' && r.reason === 'a word from the house'));
  await ops.keyboard.press('Escape');
});

test('the report is on the page of operations, is closed with a reason and stands in the audit trail', async () => {
  const page = await of('ops', '/ops');
  const report = page.getByTestId('reports').locator('li', { hasText: 'sells watches in every song' });
  await report.getByText('reported by Wire listener2').waitFor();
  await report.getByText('Kind room').waitFor();
  const close = report.getByRole('button', { name: 'Close' });
  assert.ok(await close.isDisabled());
  await report.locator('input').fill('put out by the singer');
  await close.click();
  await report.waitFor({ state: 'detached' });
  await page.getByTestId('reports').getByText('No report is open').waitFor();
  await page.locator('li', { hasText: 'close_report' }).getByText('put out by the singer').waitFor();
});

test('a report ends in a ban; the person is found, let in again, given a role and loses it', async () => {
  const ids = JSON.parse(await server.psql('select json_object_agg(subject, id) from identity.users'));
  await server.rpc('RoomService/ReportUser', { roomId: room.id, userId: ids.listener, text: 'again, watches' }, { token: await server.logIn('agent') });
  const page = await of('ops', '/ops');
  const report = page.getByTestId('reports').locator('li', { hasText: 'again, watches' });
  await report.locator('input').fill('warned twice');
  await report.getByRole('button', { name: 'Ban' }).click();
  await report.waitFor({ state: 'detached' });
  await assert.rejects(fresh('listener'), /banned/);
  const people = page.getByTestId('people');
  const act = async (button, reason) => {
    await people.locator('input[name=why]').fill(reason);
    await people.getByRole('button', { name: button }).click();
    await page.locator('li').getByText(reason).waitFor();
  };
  await people.locator('input[name=person]').fill('nobody_here');
  await people.getByRole('button', { name: 'Find' }).click();
  await people.getByRole('alert').waitFor();
  await people.locator('input[name=person]').fill('listener');
  await people.getByRole('button', { name: 'Find' }).click();
  await people.getByTestId('found').getByText('banned').waitFor();
  await act('Lift the ban', 'has apologised');
  await fresh('listener');
  await people.locator('select').selectOption({ label: 'Singer' });
  await act('Give', 'sings on Fridays');
  await people.getByTestId('found').getByText('Singer').waitFor();
  await act('Take away', 'only once');
  await until(async () => !(await people.getByTestId('found').getByText('Singer').count()), 30_000, 'the role is gone');
  const said = (await audit()).slice(0, 5).map((r) => [r.action, r.reason]);
  assert.deepEqual(said.slice(0, 4), [['revoke_role', 'only once'], ['grant_role', 'sings on Fridays'], [said[2][0], 'has apologised'], ['close_report', 'warned twice']]);
  // The ban and the role's loss have ended the listener's log-ins.
  await pages.listener.context().close();
  delete pages.listener;
});

test('my account: another session is ended from here, and this one goes on', async () => {
  const [page, far] = [await of('listener2', '/'), await open('listener2', '/')];
  await page.getByRole('button', { name: 'My account' }).click();
  const dialog = page.getByTestId('account');
  const rows = dialog.getByTestId('sessions').locator('li');
  await rows.first().waitFor();
  assert.equal(await rows.getByText('this one').count(), 1);
  assert.equal(await rows.count(), 2);
  await rows.getByRole('button', { name: /^Log out: Chrome/ }).click();
  await until(async () => (await rows.count()) === 1, 30_000, 'the other session is gone');
  await far.reload();
  await far.getByRole('button', { name: 'Log in' }).first().waitFor();
  await far.context().close();
  // A lower limit acts at once, a higher one tomorrow.
  const limit = dialog.locator('form', { has: page.locator('input[name=limit]') });
  const set = async (n) => {
    await limit.locator('input').fill(n);
    await limit.getByRole('button').click();
  };
  await set('100');
  await dialog.getByTestId('limit').getByText('0 of 100 coins').waitFor();
  await set('200000');
  await dialog.getByTestId('raise').getByText(/^From .+ the limit is 200,000 coins$/).waitFor();
  await dialog.getByTestId('limit').getByText('0 of 100 coins').waitFor();
  // A name of one's own, and whether it is on boards.
  await dialog.locator('input[name=display]').fill('Night Nurse');
  await dialog.getByRole('button', { name: 'Save' }).first().click();
  await dialog.getByText('Saved').waitFor();
  await page.locator('header .av').getByText('N', { exact: true }).waitFor();
  await dialog.getByRole('checkbox').check();
  const me = async () => (await server.rpc('AuthService/GetMe', {}, { token: await fresh('listener2') })).user;
  await until(async () => (await me()).showOnBoards, 30_000, 'the boards may show it');
  assert.equal((await me()).displayName, 'Night Nurse');
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  assert.equal(await page.evaluate(() => document.activeElement?.getAttribute('aria-label')), 'My account');
});

test('gifts shine by their tier, wait for one another, and as each viewer wants', async () => {
  await coinsFor('giver', '7');
  const [giver, page] = [await of('giver', here()), await of('listener2', here())];
  await page.evaluate(() => {
    globalThis.seen = [];
    const look = () => {
      const e = document.querySelector('[data-testid=gift-effect]');
      const last = globalThis.seen.at(-1);
      if (e && last?.node !== e) globalThis.seen.push({ node: e, tier: e.className.includes('star') ? 'star' : 'bouquet', calm: e.classList.contains('calm'), from: performance.now(), width: e.querySelector('svg').getBoundingClientRect().width });
      if (e) globalThis.seen.at(-1).to = performance.now();
      requestAnimationFrame(look);
    };
    look();
  });
  const seen = () => page.evaluate(() => globalThis.seen.map((s) => ({ tier: s.tier, calm: s.calm, ms: s.to - s.from })));
  const gone = () => until(async () => !(await page.getByTestId('gift-effect').count()), 30_000, 'the effects are over');
  const give = async (name) => {
    await giver.getByRole('radio', { name }).click();
    const before = await giver.getByTestId('balance').textContent();
    await giver.getByTestId('send-gift').click();
    await until(async () => (await giver.getByTestId('balance').textContent()) !== before, 30_000, `${name} is paid`);
  };
  await until(async () => (await giver.getByTestId('balance').textContent()) === '500,000', 30_000, 'the coins are there');
  await page.getByTestId('send-gift').waitFor(); // what comes behind the sound is here
  await give(/Lantern/);
  await page.locator('.combo').waitFor();
  assert.equal(await page.getByTestId('gift-effect').count(), 0, 'a rose is a combo and no more');
  // The dearer one waits less; all are shown, one at a time.
  await give(/Fan/);
  await give(/Spotlight/);
  await give(/Starfall/);
  await page.getByTestId('more-gifts').getByText('and 2 more').waitFor();
  await page.getByTestId('ticker').getByText('sent Starfall ×1').waitFor();
  await gone();
  const [fan, star, spot] = await seen();
  assert.deepEqual([fan.tier, star.tier, spot.tier], ['bouquet', 'star', 'bouquet']);
  assert.ok(fan.ms > 2_000 && fan.ms < 4_500, `a bouquet: ${fan.ms} ms`);
  assert.ok(star.ms > fan.ms + 1_500 && star.ms > 5_000, `a star: ${star.ms} ms, a bouquet: ${fan.ms} ms`);
  // Calm: a still picture. Off: nothing, also after the page came anew.
  const choose = async (what) => {
    await page.getByTestId('sound').click();
    await page.getByTestId('shine').selectOption(what);
    await page.getByTestId('sound').click();
  };
  await choose('calm');
  await give(/Starfall/);
  await page.locator('[data-testid=gift-effect].calm').waitFor();
  await gone();
  const calm = (await seen()).at(-1);
  assert.ok(calm.calm && calm.ms < 4_500, JSON.stringify(calm));
  await choose('off');
  await page.reload();
  await page.getByTestId('send-gift').waitFor();
  await give(/Starfall/);
  await page.locator('li[data-kind=gift]', { hasText: 'Starfall' }).last().waitFor();
  await sleep(500);
  assert.equal(await page.locator('[data-testid=gift-effect], .combo, [data-testid=ticker]').count(), 0);
  // Who asks their system for less motion gets calm, whatever is chosen.
  await choose('full');
  await page.emulateMedia({ reducedMotion: 'reduce' });
  await give(/Fan/);
  await page.locator('[data-testid=gift-effect].calm').waitFor();
  assert.equal(await page.evaluate(() => document.getAnimations().length), 0);
  await page.emulateMedia({ reducedMotion: 'no-preference' });
});

test('a supporter on the board is somebody, too', async () => {
  const [giver, page] = [await of('giver', here()), await of('listener2', here())];
  await giver.getByRole('button', { name: 'My account' }).click();
  await giver.getByTestId('account').getByRole('checkbox').check();
  await giver.getByText('Saved').waitFor();
  await giver.keyboard.press('Escape');
  await page.reload();
  await page.getByRole('button', { name: 'All supporters' }).first().click();
  const board = page.getByTestId('board');
  await board.getByRole('button', { name: 'Wire giver' }).click();
  await page.getByTestId('person').getByText('Report', { exact: true }).waitFor();
  // Escape closes one after the other.
  await page.keyboard.press('Escape');
  await page.getByTestId('person').waitFor({ state: 'detached' });
  assert.equal(await board.count(), 1);
  await page.keyboard.press('Escape');
  await board.waitFor({ state: 'detached' });
});

test('finance reads the platform’s account to its first entry, and its sum is the balance', async () => {
  // More than a page of them.
  const token = await server.logIn('giver');
  const lantern = (await server.rpc('GiftService/ListGifts')).gifts.find((g) => g.code === 'lantern');
  for (let i = 0; i < 35; ++i) {
    await server.rpc('GiftService/SendGift', { key: uuid7(), roomId: room.id, giftId: lantern.id, quantity: 1, priceVersion: lantern.priceVersion }, { token });
    await sleep(110); // ten a second
  }
  const page = await of('finance', '/statement');
  await page.getByRole('button', { name: 'platform' }).click();
  const rows = page.getByTestId('statement').locator('li');
  await until(async () => (await rows.count()) === 30, 30_000, 'the first page');
  const older = page.getByRole('button', { name: 'Older entries' });
  for (let before = 30; (await older.count()) > 0; before = await rows.count()) {
    await older.click();
    await until(async () => (await rows.count()) > before, 30_000, 'older entries');
  }
  assert.ok((await rows.count()) > 35);
  const micros = (text) => BigInt(text.replace('−', '-').replace(/[^0-9-]/g, ''));
  const sum = (await rows.locator('.money').allTextContents()).reduce((s, x) => s + micros(x), 0n);
  assert.ok(sum > 0n);
  assert.equal(sum, micros(await page.getByTestId('balance').textContent()));
  assert.equal(sum, BigInt(await server.psql("select b.amount from ledger.account a join ledger.standing b on b.account_id = a.id where a.name = 'platform'")));
  // Any account by its name; one that is not there is said to be so.
  await page.locator('input[name=account]').fill('earnings:999999');
  await page.getByRole('button', { name: 'Show' }).click();
  await page.getByRole('alert').waitFor();
  assert.equal(await rows.count(), 0);
  await page.getByRole('button', { name: 'vat' }).click();
  await until(async () => (await rows.count()) === 30, 30_000, 'the VAT');
  // Others have no such choice.
  assert.equal(await (await of('agent', '/statement')).locator('input[name=account]').count(), 0);
});

test('a contract is ended by the agent with this day, and one that has not begun by the singer at once', async () => {
  const [agent, singer] = [await of('agent', '/channel'), await of('singer', '/studio')];
  const offer = async (from) => {
    await agent.locator('input[name=singer]').fill('singer');
    await agent.locator('input[name=from]').fill(from);
    await agent.getByRole('button', { name: 'Offer a contract' }).click();
    await agent.getByTestId('contracts').locator('li', { hasText: from }).getByText('Offered').waitFor();
    await singer.reload();
    await singer.getByRole('button', { name: 'Accept' }).click();
    await singer.getByTestId('contracts').locator('li', { hasText: from }).getByText('Accepted').waitFor();
    await agent.reload();
  };
  await offer('2026-01-01');
  const mine = agent.getByTestId('contracts').locator('li', { hasText: '2026-01-01' });
  await mine.getByRole('button', { name: /^End…/ }).click();
  await agent.getByText('It ends with this day').waitFor();
  await agent.keyboard.press('Escape');
  await agent.locator('dialog').waitFor({ state: 'detached' });
  await mine.getByRole('button', { name: /^End…/ }).click();
  await agent.getByRole('button', { name: 'End it' }).click();
  const last = await until(() => server.psql("select to_date - 1 from channels.contract where from_date = '2026-01-01'"), 30_000, 'the contract has an end');
  await mine.getByText(`2026-01-01 to ${last}, the last day`).waitFor();
  assert.equal(await mine.getByRole('button').count(), 0, 'it ends once');
  await singer.reload();
  await singer.getByTestId('contracts').getByText(`2026-01-01 to ${last}, the last day`).waitFor();
  await offer('2090-01-01');
  const future = singer.getByTestId('contracts').locator('li', { hasText: '2090-01-01' });
  await future.getByRole('button', { name: /^End…/ }).click();
  await singer.getByText('It has not begun yet').waitFor();
  await singer.getByRole('button', { name: 'End it' }).click();
  await future.getByText('Ended').waitFor();
  assert.equal(await server.psql("select state from channels.contract where from_date = '2090-01-01'"), 'ended');
});

test('every page and dialog is clean for axe-core: both sizes, light and dark, both languages', async () => {
  const views = [
    ['home', 'listener2', '/', (p) => p.getByTestId('room-card').first().waitFor()],
    ['account', 'listener2', '/', async (p) => { await p.locator('header .btn.icon').click(); await p.getByTestId('limit').waitFor(); }],
    ['room', 'listener2', here(), (p) => p.getByTestId('send-gift').waitFor()],
    ['person', 'singer', here(), async (p) => { await p.locator('.chat .nm').last().click(); await p.getByTestId('person').waitFor(); }],
    ['studio', 'singer', '/studio', (p) => p.getByTestId('songs').locator('li').first().waitFor()],
    ['channel', 'agent', '/channel', (p) => p.getByTestId('contracts').locator('li').first().waitFor()],
    ['ops', 'ops', '/ops', async (p) => { await p.locator('input[name=person]').fill('listener'); await p.locator('input[name=person]').press('Enter'); await p.getByTestId('found').waitFor(); await p.getByTestId('health').locator('li').first().waitFor(); }],
    ['statement', 'finance', '/statement', async (p) => { await p.getByRole('button', { name: 'platform' }).click(); await p.getByTestId('statement').locator('li').first().waitFor(); }],
  ];
  const ids = JSON.parse(await server.psql('select json_object_agg(subject, id) from identity.users'));
  await server.rpc('RoomService/ReportUser', { roomId: room.id, userId: ids.listener, text: 'one more' }, { token: await server.logIn('agent') });
  const bad = [];
  for (const [name, handle, at, ready] of views)
    for (const language of ['zh', 'en']) {
      const page = await of(handle, at);
      await page.setViewportSize(sizes.desktop);
      await page.evaluate((l) => localStorage.setItem('language', l), language);
      await page.reload();
      await ready(page);
      await page.evaluate(axeSource);
      for (const [size, viewport] of Object.entries(sizes))
        for (const colorScheme of ['light', 'dark']) {
          await page.setViewportSize(viewport);
          await page.emulateMedia({ colorScheme });
          const { violations } = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa'] }));
          bad.push(...violations.map((v) => `${name}, ${size}, ${colorScheme}, ${language}: ${v.id}: ${v.nodes.map((n) => n.target.join(' ')).slice(0, 4).join(' | ')}`));
        }
    }
  assert.deepEqual(bad, []);
});

function uuid7() {
  const id = randomUUID().replaceAll('-', '');
  const at = Date.now().toString(16).padStart(12, '0');
  const hex = `${at}7${id.slice(13)}`;
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
