// Without a mouse, and without motion: the keyboard alone opens the tray, chooses, sends and comes back; who asks for reduced
// motion gets none, and lyrics by whole syllables.
import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { password, startServer, top, until } from '../wire/harness.mjs';

const { chromium } = createRequire(path.join(top, 'web/package.json'))('playwright-core');
const tabsMost = 40;
const sizes = { desktop: { width: 1440, height: 900 }, phone: { width: 390, height: 844 } };
let server, browser, room;

async function open(at, { handle, size = 'desktop', ...options } = {}) {
  const context = await browser.newContext({ viewport: sizes[size], locale: 'en-US', ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  page.on('pageerror', (e) => assert.fail(e.message));
  await page.goto(at);
  if (handle) await logIn(page, handle);
  return page;
}
async function logIn(page, handle) {
  await tabTo(page, 'button', 'Log in');
  await page.keyboard.press('Enter');
  await page.locator('dialog input[name=handle]').waitFor();
  await tabTo(page, 'input', '', 'handle');
  await page.keyboard.type(handle);
  await page.keyboard.press('Tab');
  await page.keyboard.type(password);
  await page.keyboard.press('Enter');
  await page.locator('dialog').waitFor({ state: 'detached' });
}
const focused = (page) => page.evaluate(() => {
  const e = document.activeElement;
  return { tag: e.tagName.toLowerCase(), name: e.getAttribute('name') ?? '', role: e.getAttribute('role') ?? '', words: e === document.body ? '' : (e.getAttribute('aria-label') ?? e.textContent ?? '').trim(), checked: e.getAttribute('aria-checked'), seen: e.checkVisibility({ visibilityProperty: true }) };
});
// Tab until there; bounded.
async function tabTo(page, tag, words, name = '') {
  const met = [];
  for (let i = 0; i < tabsMost; ++i) {
    const f = await focused(page);
    if (f.tag === tag && f.words.includes(words) && f.name.includes(name)) return f;
    met.push(`${f.tag} ${f.words.slice(0, 20)}`);
    await page.keyboard.press('Tab');
  }
  assert.fail(`Tab does not come to ${tag} "${words}": ${met.join(', ')}`);
}

before(async () => {
  server = await startServer();
  await fs.cp(path.join(top, 'web/dist'), server.web, { recursive: true });
  room = `${server.url}/room/${(await server.makeRoom()).id}`;
  browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream', '--autoplay-policy=no-user-gesture-required'] });
  const singer = await open(`${server.url}/studio`, { handle: 'singer' });
  await singer.getByTestId('open-microphone').click();
  await singer.getByTestId('level').waitFor();
  await singer.getByRole('button', { name: 'Pick a song: 茉莉花' }).click();
  await singer.getByTestId('play').click();
  await singer.getByRole('button', { name: 'Pause' }).waitFor();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

for (const size of Object.keys(sizes))
  test(`${size}: the tray by keyboard alone`, async () => {
    const page = await open(room, { handle: 'listener', size });
    await page.getByTestId('lyric').waitFor();
    // G opens it, and the hand is in it.
    const before = size === 'phone' ? 'Gift' : 'Top up';
    await tabTo(page, 'button', before);
    await page.keyboard.press('g');
    await until(async () => (await focused(page)).role === 'radio', 30_000, 'the focus is on a gift');
    const first = await focused(page);
    assert.ok(first.seen && first.checked === 'true', JSON.stringify(first));
    await page.keyboard.press('ArrowRight');
    const second = await focused(page);
    assert.ok(second.role === 'radio' && second.words !== first.words && second.checked === 'true', JSON.stringify(second));
    await page.keyboard.press('ArrowLeft');
    assert.equal((await focused(page)).words, first.words);
    // One stop for all gifts, one for all quantities.
    await page.keyboard.press('Tab');
    const quantity = await focused(page);
    assert.ok(quantity.role === 'radio' && quantity.words === '1', JSON.stringify(quantity));
    await page.keyboard.press('ArrowRight');
    assert.equal((await focused(page)).words, '10');
    await page.keyboard.press('ArrowLeft');
    await tabTo(page, 'button', 'coins ¥');
    // Esc closes, and the hand is where it was before.
    await page.keyboard.press('Escape');
    await until(async () => !(await page.locator('.room.tray-open').count()), 30_000, 'the tray closes');
    await until(async () => { const f = await focused(page); return f.seen && f.words === before; }, 30_000, 'the focus is back');
    // On a phone by its button, too, and closed by the tray's own.
    if (size === 'phone') {
      await page.keyboard.press('Enter');
      await until(async () => (await focused(page)).role === 'radio', 30_000, 'the focus is on a gift');
      await tabTo(page, 'button', 'Close');
      await page.keyboard.press('Enter');
      await until(async () => (await focused(page)).words === 'Gift', 30_000, 'the focus is back');
    }
    // Letters are letters where one writes.
    await page.keyboard.press('/');
    await until(async () => (await focused(page)).tag === 'input', 30_000, 'the focus is in the message');
    await page.keyboard.type('gm');
    assert.equal(await page.locator('#say').inputValue(), 'gm');
    assert.equal(await page.locator('.room.tray-open').count(), 0);
    // M is quiet, and M again.
    await page.evaluate(() => document.activeElement?.blur());
    const sound = page.getByTestId('sound');
    await page.keyboard.press('m');
    await until(async () => /muted/i.test(await sound.innerText()), 30_000, 'it is muted');
    await page.keyboard.press('m');
    await until(async () => !/muted/i.test(await sound.innerText()), 30_000, 'it is heard again');
    await page.context().close();
  });

test('a gift is paid and sent by keyboard alone', async () => {
  const page = await open(room, { handle: 'listener' });
  await page.getByTestId('lyric').waitFor();
  await page.keyboard.press('g');
  await until(async () => (await focused(page)).role === 'radio', 30_000, 'the focus is on a gift');
  await tabTo(page, 'button', 'coins ¥');
  await page.keyboard.press('Enter');
  // Without coins: the packs, a dialog; Enter on one, and back.
  await page.getByText('coins short').waitFor();
  await tabTo(page, 'button', '3,000');
  await page.keyboard.press('Enter');
  await page.locator('dialog').waitFor({ state: 'detached' });
  await until(async () => (await focused(page)).words.includes('coins ¥'), 30_000, 'the focus is back on the button');
  await page.keyboard.press('Enter');
  await page.locator('li[data-kind=gift]').getByText('×1').waitFor();
  // The hand stays on the button: once more.
  await page.keyboard.press('Enter');
  await page.locator('li[data-kind=gift]').getByText('×2').waitFor();
  await page.context().close();
});

test('reduced motion: nothing moves by itself, and lyrics go by whole syllables', async () => {
  const page = await open(room, { handle: 'listener2', reducedMotion: 'reduce' });
  await page.getByTestId('lyric').waitFor();
  await page.evaluate(() => {
    globalThis.moved = [];
    globalThis.widths = new Set();
    const look = () => {
      for (const a of document.getAnimations()) globalThis.moved.push(a.animationName ?? a.transitionProperty ?? 'animation');
      for (const s of document.querySelectorAll('[data-testid=lyric] .syl')) globalThis.widths.add(s.style.getPropertyValue('--w'));
      requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  });
  // A gift with its effects, and the tray that comes and goes.
  const giver = await open(room, { handle: 'listener' });
  await giver.getByTestId('lyric').waitFor();
  await giver.getByTestId('send-gift').click();
  await page.locator('.combo').waitFor();
  await page.keyboard.press('g');
  await page.locator('.room.tray-open').waitFor();
  await page.keyboard.press('Escape');
  await until(() => page.evaluate(() => globalThis.widths.has('100%')), 30_000, 'a syllable is sung');
  assert.deepEqual(await page.evaluate(() => [...new Set(globalThis.moved)]), []);
  assert.deepEqual(await page.evaluate(() => [...globalThis.widths].filter((w) => w !== '' && w !== '0%' && w !== '100%')), []);
  await giver.context().close();
  await page.context().close();
});
