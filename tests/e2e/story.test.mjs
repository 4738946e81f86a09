// The whole story in a real browser: agent, singer, three listeners (one late, one cut off mid-show), top-ups, thirty gifts in one
// combo and others, boards, statements. The sums are computed here, not by the server.
import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { createRequire } from 'node:module';
import { startProxy } from './proxy.mjs';
import { password, startServer, top, until } from '../wire/harness.mjs';

const { chromium } = createRequire(path.join(top, 'web/package.json'))('playwright-core');
const axeSource = await fs.readFile(path.join(top, 'web/node_modules/axe-core/axe.min.js'), 'utf8');
const pictures = path.join(top, 'var/screenshots');
const desktop = { viewport: { width: 1440, height: 900 }, locale: 'en-US', colorScheme: 'dark' };
const phone = { viewport: { width: 390, height: 844 }, locale: 'zh-CN', colorScheme: 'light', hasTouch: true };
let server, browser, proxy;
const pages = {};
const lateGifts = [['玫瑰', 100], ['奶茶', 188], ['纸鹤', 520]];
const gifts = [...Array(30).fill(20), ...lateGifts.map(([, coins]) => coins)];
const allCoins = gifts.reduce((a, b) => a + b, 0);

// The rule of rules.md, a third time: VAT inside, floor, largest remainder, ties rights, singer, agent, venue, platform.
function split(price, shares, vatBp = 600n) {
  const vat = (price * vatBp) / (10_000n + vatBp);
  const base = price - vat;
  const parts = Object.entries(shares).map(([party, bp]) => ({ party, amount: (base * bp) / 10_000n, rest: (base * bp) % 10_000n }));
  let left = base - parts.reduce((s, p) => s + p.amount, 0n);
  for (; left > 0n; --left) {
    const next = parts.reduce((best, p) => (p.rest > best.rest ? p : best));
    next.amount += 1n;
    next.rest = -1n;
  }
  return { vat, ...Object.fromEntries(parts.map((p) => [p.party, p.amount])) };
}
const shown = (micros) => `¥${micros / 1_000_000n}.${(micros % 1_000_000n).toString().padStart(6, '0')}`;

async function open(name, options, handle, at = server.url) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  page.on('pageerror', (e) => assert.fail(`${name}: ${e.message}`));
  pages[name] = page;
  await page.goto(at);
  if (handle) {
    await page.getByRole('button', { name: /^(Log in|登录)$/ }).first().click();
    await page.locator('input[name=handle]').fill(handle);
    await page.locator('input[name=password]').fill(password);
    await page.locator('dialog button.primary').click();
    await page.locator('dialog').waitFor({ state: 'detached' });
  }
  return page;
}
async function accessible(page, name) {
  await page.evaluate(axeSource);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa'] }));
  assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(' ')).slice(0, 4).join(' | ')}`), [], `${name} is clean for axe-core`);
}

before(async () => {
  server = await startServer();
  await fs.cp(path.join(top, 'web/dist'), server.web, { recursive: true });
  await fs.mkdir(pictures, { recursive: true });
  proxy = await startProxy(Number(new URL(server.url).port));
  browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream', '--autoplay-policy=no-user-gesture-required'] });
});
after(async () => {
  await browser?.close();
  await proxy?.stop();
  await server?.stop();
});

test('the agent makes a channel, offers a contract and makes a room', async () => {
  const page = await open('agent', desktop, 'agent');
  await page.goto(`${server.url}/channel`);
  await page.locator('input[name=channel]').fill('Riverside Folk');
  await page.getByRole('button', { name: 'Create' }).click();
  await page.locator('input[name=singer]').fill('singer');
  await page.locator('input[name=rate]').fill('1000');
  await page.getByRole('button', { name: 'Offer a contract' }).click();
  await page.getByText('Offered').first().waitFor();
  await page.locator('input[name=room]').fill('Evening by the River');
  await page.getByRole('button', { name: 'Create' }).click();
  await page.getByText('Evening by the River').first().waitFor();
  await accessible(page, 'channel');
});

// A slow machine may be behind the song.
const sung = async () => {
  const page = pages.singer;
  if (await page.getByRole('button', { name: 'Pause' }).isVisible()) return;
  await page.getByRole('button', { name: 'Pick a song: 茉莉花' }).click();
  await page.getByTestId('play').click();
  await page.getByRole('button', { name: 'Pause' }).waitFor();
};
// The song may end while a page is still on its way into the room.
const follows = (page, who) =>
  until(async () => {
    if (await page.getByTestId('lyric').isVisible()) return true;
    await sung();
    return false;
  }, 60_000, `${who} follows the lyrics`);

test('the singer sees what the contract does, accepts, and goes live with a song', async () => {
  const page = await open('singer', desktop, 'singer');
  await page.goto(`${server.url}/studio`);
  await page.getByText('With it you keep 50 %').waitFor();
  await page.getByRole('button', { name: 'Accept' }).click();
  await page.getByTestId('open-show').click();
  await page.getByTestId('open-microphone').click();
  await page.getByTestId('level').waitFor();
  await sung();
  await accessible(page, 'studio');
  await page.screenshot({ path: path.join(pictures, 'studio.png') });
});

test('a listener needs no account, follows the lyrics, buys coins and gives thirty times in one combo', async () => {
  const page = await open('first', desktop);
  await page.getByTestId('room-card').click();
  await follows(page, 'the first');
  // The wipe moves with the song.
  const wiped = () => page.evaluate(() => [...document.querySelectorAll('.syl')].map((s) => parseFloat(s.style.getPropertyValue('--w') || '0')).reduce((a, b) => a + b, 0));
  const from = await wiped();
  await until(async () => (await wiped()) !== from, 30_000, 'the lyrics move');
  await page.getByRole('button', { name: 'Log in' }).first().click();
  await page.locator('input[name=handle]').fill('listener');
  await page.locator('input[name=password]').fill(password);
  await page.locator('dialog button.primary').click();
  await page.locator('dialog').waitFor({ state: 'detached' });
  await page.getByRole('radio', { name: /Lantern/ }).click();
  // Without coins: the short sentence, the smallest pack that suffices, and back.
  await page.getByTestId('send-gift').click();
  await page.getByText('20 coins short').waitFor();
  await page.getByRole('button', { name: /3,000/ }).click();
  await page.locator('dialog').waitFor({ state: 'detached' });
  assert.equal(await page.getByTestId('balance').textContent(), '3,000');
  for (let i = 1; i <= 30; ++i) {
    await page.getByTestId('send-gift').click();
    await until(async () => (await page.getByTestId('balance').textContent()) === (3000 - 20 * i).toLocaleString('en-US'), 30_000, `gift ${i} is paid`);
  }
  await page.locator('li[data-kind=gift]').getByText('×30').waitFor();
  await accessible(page, 'room');
  await page.screenshot({ path: path.join(pictures, 'room.png') });
});

test('a late listener on a phone gives gifts of three kinds; one who is cut off meanwhile sees each of them, once', async () => {
  const cutOff = await open('cut', { ...desktop, locale: 'zh-CN' }, undefined, proxy.url);
  await cutOff.goto(`${proxy.url}/room/1`);
  await follows(cutOff, 'who is cut off');
  const late = await open('late', phone, 'listener2');
  await late.goto(`${server.url}/room/1`);
  await follows(late, 'who comes late');
  await late.locator('button.open').click();
  await late.getByRole('button', { name: '充值' }).last().click();
  await late.getByRole('button', { name: /3,000/ }).click();
  await until(async () => (await late.getByTestId('balance').textContent()) === '3,000', 30_000, 'the coins are there');
  await late.locator('dialog').getByRole('button', { name: '关闭' }).click();
  const letIn = proxy.cut(6_000);
  await cutOff.getByText(/正在重连/).waitFor();
  let left = 3_000;
  for (const [name, coins] of lateGifts) {
    await late.getByRole('radio', { name: new RegExp(name) }).click();
    await late.getByTestId('send-gift').click();
    left -= coins;
    await until(async () => (await late.getByTestId('balance').textContent()) === left.toLocaleString('en-US'), 30_000, `${name} is paid`);
  }
  await letIn;
  for (const name of ['cut', 'late']) await until(async () => (await pages[name].locator('li[data-kind=gift]').count()) === lateGifts.length, 15_000, `${name} sees ${lateGifts.length} gifts`);
  await until(async () => (await pages.first.locator('li[data-kind=gift]').count()) === 1 + lateGifts.length, 30_000, 'who was there all the time sees them too');
  await late.screenshot({ path: path.join(pictures, 'room-phone.png') });
});

test('boards and statements agree with the sums made here', async () => {
  const parts = gifts.map((coins) => split(BigInt(coins) * 10_000n, { rights: 0n, singer: 5_500n, agent: 1_000n, venue: 0n, platform: 3_500n }));
  const sum = (party) => parts.reduce((all, p) => all + p[party], 0n);
  const singer = pages.singer;
  await singer.goto(`${server.url}/statement`);
  await until(async () => (await singer.locator('.total').first().textContent()) === shown(sum('singer')), 30_000, `the singer's statement says ${shown(sum('singer'))}`);
  await singer.getByText('55 %').first().waitFor();
  await accessible(singer, 'statement');
  const agent = pages.agent;
  await agent.goto(`${server.url}/channel`);
  await agent.getByTestId('revenue').getByText(allCoins.toLocaleString('en-US')).waitFor();
  assert.ok((await agent.getByTestId('revenue').textContent()).includes(shown(sum('agent'))), `the agent's revenue says ${shown(sum('agent'))}`);
  const board = async (subject) => (await server.rpc('GiftService/GetBoard', { scope: 'BOARD_SCOPE_ROOM', scopeId: '1', subject, period: 'BOARD_PERIOD_DAY' })).rows ?? [];
  await until(async () => (await board('BOARD_SUBJECT_SINGER'))[0]?.coins === String(allCoins), 30_000, 'the board has all coins');
  // Consent: the supporters said nothing, so names and amounts are hidden.
  assert.deepEqual(await board('BOARD_SUBJECT_SENDER'), [{ rank: 1, hidden: true }, { rank: 2, hidden: true }]);
  // What nobody else got is the platform's and the tax office's: to the micro.
  const finance = await server.logIn('finance');
  for (const party of ['platform', 'vat']) {
    const { balanceMicros } = await server.rpc('LedgerService/ListAccountPostings', { account: party }, { token: finance });
    assert.equal(BigInt(balanceMicros), sum(party), `the account ${party}`);
  }
  const ops = await open('ops', desktop, 'ops');
  await ops.goto(`${server.url}/ops`);
  await ops.getByTestId('totals').getByText(allCoins.toLocaleString('en-US')).waitFor();
  assert.equal(await ops.locator('.chip.bad').count(), 0);
  await accessible(ops, 'ops');
  await ops.screenshot({ path: path.join(pictures, 'ops.png') });
});

test('the show ends cleanly', async () => {
  const singer = pages.singer;
  await singer.goto(`${server.url}/studio`);
  await singer.getByRole('button', { name: 'End the show…' }).click();
  await singer.getByRole('button', { name: 'End it' }).click();
  await pages.first.getByText('The show has not begun').waitFor();
  assert.ok(await pages.first.getByTestId('send-gift').isDisabled());
});
