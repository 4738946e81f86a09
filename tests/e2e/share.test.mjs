// What is left of a song: kept while it is sung, mixed, published, opened by a guest, given to, taken back. And listeners whose
// browser wants a tap first, or whose link is slow. Pictures of studio, room and share page as phones and desktops show them.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { password, sleep, top, until } from '../wire/harness.mjs';
import { Live } from '../wire/raw.mjs';
import { startProxy } from './proxy.mjs';
import { inStep, startStudio, tonesFollow } from './studio.mjs';

const axeSource = await fs.readFile(path.join(top, 'web/node_modules/axe-core/axe.min.js'), 'utf8');
const pictures = path.join(top, 'var/screenshots');
const phone = { viewport: { width: 390, height: 844 }, hasTouch: true };
const looks = [['phone-light', phone, 'light'], ['phone-dark', phone, 'dark'], ['desktop-light', {}, 'light'], ['desktop-dark', {}, 'dark']];
let studio, server, pages, listening, link;
const proxies = [];
const uuid7 = () => {
  const b = randomBytes(16);
  b.writeUIntBE(Date.now(), 0, 6);
  b[6] = 0x70 | (b[6] & 15);
  b[8] = 0x80 | (b[8] & 63);
  return b.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
};
async function coins(handle) {
  const token = await server.logIn(handle);
  const order = await server.rpc('PaymentService/CreateTopUp', { key: uuid7(), packId: '2', provider: 'sandbox' }, { token });
  await server.rpc('PaymentService/PaySandboxOrder', { orderId: order.orderId }, { token });
  return token;
}
async function accessible(page, name) {
  await page.evaluate(axeSource);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa'] }));
  assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(' ')).slice(0, 4).join(' | ')}`), [], `${name} is clean for axe-core`);
}
// The page as it is, in both sizes and schemes; nothing sticks out to the side.
async function picture(page, name) {
  for (const [look, { viewport = { width: 1440, height: 900 } }, colorScheme] of looks) {
    await page.setViewportSize(viewport);
    await page.emulateMedia({ colorScheme });
    await sleep(300);
    await page.screenshot({ path: path.join(pictures, `${name}-${look}.png`) });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.equal(wide, 0, `${name} ${look}: ${wide} px stick out`);
    await accessible(page, `${name} ${look}`);
  }
  await page.setViewportSize({ width: 1440, height: 900 });
}

before(async () => {
  await fs.mkdir(pictures, { recursive: true });
  studio = await startStudio({ storage: { record: '1' }, drawn: false });
  ({ server, pages } = studio);
  listening = await studio.launch();
});
after(async () => {
  await studio?.stop();
  for (const p of proxies) await p.stop();
});

test('a browser that plays nothing unasked says so, and plays after one tap', async () => {
  // This browser without a screen plays whatever it is told; as others do, its contexts wait here for somebody's hand.
  const before = (page) => page.addInitScript(() => {
    const Real = globalThis.AudioContext;
    let touched = false;
    addEventListener('pointerdown', (e) => (touched ||= e.isTrusted), { capture: true });
    globalThis.AudioContext = class extends Real {
      constructor(options) {
        super(options);
        void super.suspend();
      }
      resume() {
        return touched ? super.resume() : new Promise(() => {});
      }
    };
  });
  const page = await studio.open(listening, 'tapped', studio.roomUrl, { before });
  await page.getByTestId('tap').waitFor();
  assert.equal(await page.locator('[data-state=live]').count(), 0);
  await page.getByTestId('tap').click();
  await page.locator('[data-testid=sound][data-state=live]').waitFor();
  await sleep(6_000);
  await tonesFollow(page, 'tapped', 'after a tap', { seconds: 5 });
  await inStep(pages, 'tapped', 'after a tap');
  assert.equal(await page.getByTestId('tap').count(), 0);
});
test('a slow link gets the 48 kb/s rendition, and the same song in the same place', async () => {
  const rate = {};
  for (const [name, storage] of [['fast', {}], ['slow', { low_rate: '1' }]]) {
    const proxy = await startProxy(server.port);
    proxies.push(proxy);
    const page = await studio.open(listening, name, `${proxy.url}/room/${studio.room.id}`, { storage });
    await page.locator('[data-testid=sound][data-state=live]').waitFor();
    await sleep(4_000);
    const before = await proxy.bytes();
    await sleep(6_000);
    rate[name] = ((await proxy.bytes()) - before) / 6;
  }
  console.log(`# bytes a second: ${Math.round(rate.fast)} at 96 kb/s, ${Math.round(rate.slow)} at 48 kb/s`);
  assert.ok(rate.fast - rate.slow > 4_500, `${rate.fast} and ${rate.slow} bytes a second`);
  await inStep(pages, 'slow', 'at the low rate');
  for (const name of ['fast', 'slow', 'tapped']) {
    await pages[name].context().close();
    delete pages[name];
  }
});
test('what is sung, given and said is kept, mixed, and only for the singer at first', async () => {
  const token = await coins('listener');
  const live = await Live.enter(server, studio.room.id, { token });
  await live.command(2, { sendChat: { text: 'what a song' } });
  assert.ok((await live.reply(2))?.done);
  await server.rpc('GiftService/SendGift', { key: uuid7(), roomId: studio.room.id, giftId: 2, quantity: 1, priceVersion: 1 }, { token });
  live.c.socket.destroy();
  await studio.open(listening, 'guest', studio.roomUrl);
  await pages.guest.locator('[data-testid=sound][data-state=live]').waitFor();
  await picture(pages.guest, 'room');
  await picture(pages.singer, 'studio');
  await pages.singer.getByRole('button', { name: 'End song' }).click();
  await pages.singer.goto(`${studio.proxy.url}/recordings`);
  await until(async () => (await pages.singer.getByTestId('rec-state').textContent()) === 'only for you', 60_000, 'the mix is made');
  await picture(pages.singer, 'recordings');
  const [kept] = (await server.rpc('RecordingService/ListRecordings', {}, { token: await server.logIn('singer') })).recordings;
  link = `${server.url}/r/${kept.token}`;
  await pages.guest.goto(link);
  await pages.guest.getByTestId('rec-gone').waitFor();
});
test('published, its page plays with lyrics, score, gifts and chat at their places, by the keyboard alone too', async () => {
  await pages.singer.getByRole('button', { name: 'Agree to publish' }).click();
  await pages.singer.getByRole('link', { name: 'Open its page' }).waitFor();
  assert.equal(await pages.singer.getByRole('link', { name: 'Open its page' }).getAttribute('href'), new URL(link).pathname);
  const html = await (await fetch(link)).text();
  for (const property of ['og:title', 'og:description', 'og:image', 'og:audio', 'og:url']) assert.match(html, new RegExp(`<meta property="${property}" content="[^"]+"`), property);
  assert.match(html, /og:title" content="[^"]*Tones/);
  const page = pages.guest;
  await page.goto(link);
  const slider = page.getByRole('slider', { name: 'Position' });
  await page.getByTestId('rec-play').focus();
  await page.keyboard.press('Enter');
  await until(async () => Number(await slider.inputValue()) > 48_000, 10_000, 'it plays');
  const wiped = () => page.evaluate(() => [...document.querySelectorAll('.syl')].map((s) => parseFloat(s.style.getPropertyValue('--w') || '0')).reduce((a, b) => a + b, 0));
  const from = await wiped();
  await until(async () => (await wiped()) !== from, 5_000, 'the lyrics move');
  await slider.focus();
  await page.keyboard.press('End');
  await page.getByTestId('rec-events').getByText('what a song').waitFor();
  await page.getByTestId('rec-events').getByText('sent Rose ×1').waitFor();
  await page.getByTestId('rec-line').waitFor();
  await page.keyboard.press('Home');
  await page.getByTestId('rec-events').getByText('Quiet so far').waitFor();
  // What the clock of the sound says and what the lyrics show: the same place of the song, within a syllable's wipe.
  await page.getByTestId('rec-play').focus();
  if ((await page.getByTestId('rec-play').textContent()) === 'Listen') await page.keyboard.press('Enter');
  await until(async () => Number(await slider.inputValue()) > 3 * 48_000, 10_000, 'it plays again');
  await picture(page, 'share');
});
test('a guest logs in there and gives; the books have it under the recording', async () => {
  const before = await coins('listener2');
  const page = pages.guest;
  await page.getByRole('button', { name: /^Rose/ }).click();
  await page.locator('input[name=handle]').fill('listener2');
  await page.locator('input[name=password]').fill(password);
  await page.locator('dialog button.primary').click();
  await page.locator('dialog').waitFor({ state: 'detached' });
  await page.getByRole('button', { name: /^Rose/ }).click();
  await page.getByText('It has arrived. Thank you').waitFor();
  const [posting] = (await server.rpc('LedgerService/ListPostings', { account: 'wallet', pageSize: 1 }, { token: before })).postings;
  assert.deepEqual([posting.kind, posting.priceMicros, posting.roomId ?? '0'].slice(0, 2), ['gift', '1000000']);
  const singers = (await server.rpc('LedgerService/ListPostings', { account: 'earnings', pageSize: 1 }, { token: await server.logIn('singer') })).postings[0];
  assert.equal(singers.entrySeq, posting.entrySeq);
});
test('withdrawn, the page is gone for others; deleted, it is gone for good', async () => {
  await pages.singer.reload();
  await pages.singer.getByRole('button', { name: 'Withdraw' }).click();
  await pages.singer.getByRole('button', { name: 'Agree to publish' }).waitFor();
  await pages.guest.reload();
  await pages.guest.getByTestId('rec-gone').waitFor();
  await pages.singer.getByRole('button', { name: 'Delete' }).click();
  await pages.singer.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await pages.singer.getByText('Nothing kept yet').waitFor();
  assert.deepEqual(await server.rpc('RecordingService/ListRecordings', {}, { token: await server.logIn('singer') }), {});
});
