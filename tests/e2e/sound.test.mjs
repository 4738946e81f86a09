// The sound in real browsers: a singer, listeners early and late, a pause, a seek, a cut. Judged on samples captured from the
// pages' worklets, not on what the pages say (studio.mjs).
import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { sleep, top, until } from '../wire/harness.mjs';
import { inStep, lyricsFollow, startStudio, tonesFollow } from './studio.mjs';

let studio, pages, listening;

before(async () => {
  studio = await startStudio({ drawn: false });
  pages = studio.pages;
  listening = await studio.launch();
  await studio.open(listening, 'early', studio.roomUrl, { drawn: true });
});
after(() => studio?.stop());

test('voice and backing meet within 5 ms', async () => {
  await pages.early.locator('[data-testid=sound][data-state=live]').waitFor();
  await sleep(7_000);
  await inStep(pages, 'early', 'in normal play');
  await tonesFollow(pages.early, 'early', 'in normal play');
});
test('the lyrics are within 25 ms of what the listener hears', () => lyricsFollow(pages.early, 'early'));
test('who comes late hears the right place, and loaded at most 90 kB of script before that', async () => {
  const scripts = new Map();
  const before = (page) => page.context().on('response', async (r) => {
    const name = new URL(r.url()).pathname;
    if (name.endsWith('.js') && !name.endsWith('test-tap.js')) scripts.set(r.url(), await r.body().catch(() => Buffer.alloc(0)));
  });
  await studio.open(listening, 'late', studio.roomUrl, { before });
  await pages.late.locator('[data-testid=sound][data-state=live]').waitFor();
  // Worklets are not told as responses.
  for (const name of await fs.readdir(path.join(top, 'web/dist/assets'))) if (name.startsWith('player.worklet')) scripts.set(name, await fs.readFile(path.join(top, 'web/dist/assets', name)));
  // What the page asked for only after its first sound does not count.
  await pages.late.waitForFunction(() => globalThis.firstSound() !== null, null, { polling: 100, timeout: 20_000 });
  const later = await pages.late.evaluate(() => performance.getEntriesByType('resource').filter((r) => performance.timeOrigin + r.startTime > globalThis.firstSound()).map((r) => r.name));
  const sizes = [...scripts].filter(([url]) => !later.includes(url)).map(([url, bytes]) => [path.basename(url), gzipSync(bytes, { level: 9 }).length]);
  const total = sizes.reduce((s, [, n]) => s + n, 0);
  console.log(`scripts before the first sound, gzipped: ${total} bytes: ${sizes.map(([n, s]) => `${n} ${s}`).join(', ')}`);
  assert.ok(sizes.some(([n]) => n.startsWith('live.worker')) && sizes.some(([n]) => n.startsWith('index-')), 'worker and worklet are counted');
  assert.ok(total <= 90_000, `${total} bytes`);
  await sleep(5_500);
  await tonesFollow(pages.late, 'late', 'after a late join');
  await inStep(pages, 'late', 'after a late join');
});
test('a browser without WebCodecs decodes by WASM and hears the same', async () => {
  // The served worker loses its decoder for as long as this page needs to load it.
  const assets = path.join(studio.server.web, 'assets');
  const worker = path.join(assets, (await fs.readdir(assets)).find((n) => n.startsWith('live.worker')));
  const whole = await fs.readFile(worker, 'utf8');
  await fs.writeFile(worker, `delete globalThis.AudioDecoder;${whole}`);
  const asked = [];
  const page = await studio.open(listening, 'wasm', studio.roomUrl, { before: (p) => p.context().on('request', (r) => asked.push(r.url())) });
  await page.locator('[data-testid=sound][data-state=live]').waitFor();
  await fs.writeFile(worker, whole);
  assert.ok(asked.some((url) => /opus-decoder/.test(url)), 'the decoder was fetched');
  await sleep(5_500);
  await inStep(pages, 'wasm', 'by WASM');
  await page.context().close();
  delete pages.wasm;
});
test('a pause and a seek', async () => {
  await pages.singer.getByTestId('play').click();
  await sleep(1_500);
  await pages.singer.getByTestId('play').click();
  await sleep(6_500);
  await tonesFollow(pages.early, 'early', 'over a pause', { seconds: 10, breaks: 1 });
  await inStep(pages, 'early', 'after a pause');
  await pages.singer.getByRole('button', { name: 'From the start' }).click();
  await sleep(6_500);
  for (const who of ['early', 'late']) await tonesFollow(pages[who], who, 'over a seek', { seconds: 9, breaks: 1 });
  await inStep(pages, 'early', 'after a seek');
  await inStep(pages, 'late', 'after a seek');
});
test('the slider seeks to the middle: everybody hears that place', async () => {
  await pages.singer.getByRole('slider', { name: 'Position' }).fill(String(103 * 48_000));
  await sleep(6_500);
  for (const who of ['early', 'late']) await tonesFollow(pages[who], who, 'over a jump', { seconds: 9, breaks: 1 });
  const at = Number((await studio.server.rpc('RoomService/GetRoom', { roomId: studio.room.id })).songPosition) / 48_000;
  assert.ok(at > 108 && at < 130, `${at} s`);
  await inStep(pages, 'early', 'after a jump');
});
test('the singer opens the page anew: the song goes on where it stood', async () => {
  const stands = async () => Number((await studio.server.rpc('RoomService/GetRoom', { roomId: studio.room.id })).songPosition);
  const before = await stands();
  assert.ok(before > 4 * 48_000);
  await pages.singer.reload();
  await pages.singer.getByTestId('open-microphone').click();
  await pages.singer.locator('.song').waitFor();
  await pages.singer.getByTestId('play').and(pages.singer.locator(':enabled')).click();
  await sleep(6_500);
  const after = await stands();
  assert.ok(after > before + 4 * 48_000 && after < before + 60 * 48_000, `${before / 48_000} s, then ${after / 48_000} s`);
  await inStep(pages, 'early', 'after a new page');
});
test('the singer’s connection is cut for 5 s', async () => {
  await studio.proxy.cut(5_000);
  await pages.early.locator('[data-testid=sound][data-state=live]').waitFor({ timeout: 20_000 });
  await until(async () => (await pages.early.locator('.lyric').first().innerText()).length > 0, 10_000, 'the song goes on');
  await sleep(9_000);
  for (const who of ['early', 'late']) await tonesFollow(pages[who], who, 'over a cut', { seconds: 18, breaks: 1 });
  await inStep(pages, 'early', 'after a cut');
  await inStep(pages, 'late', 'after a cut');
});
