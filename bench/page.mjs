// What a person at a browser meets, measured in real pages on one machine; adds to var/bench/stage.json. Nothing here is asserted.
// `page.mjs [lyrics] [ear] [blocked] [join] [usable] [loss]`: some of it. `--loss PERCENT`: only the stalls, inside a network
// namespace that the plain run made; prints JSON.
import { execFile, spawnSync } from 'node:child_process';
import fs from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { startPulse } from '../tests/e2e/firefox.mjs';
import { findPieces, rate, startStudio, tap } from '../tests/e2e/studio.mjs';
import { sleep, top } from '../tests/wire/harness.mjs';
import { calmly } from './calm.mjs';

const run = promisify(execFile);
const own = fileURLToPath(import.meta.url);
const file = path.join(top, 'var/bench/stage.json');
const live = '[data-testid=sound][data-state=live]';
const songSeconds = 900;
const joins = 9, loads = 5, captures = 4, blockedSeconds = 30, lossSeconds = 60, lossPages = 3;
const sorted = (x) => [...x].sort((a, b) => a - b);
const share = (x, of) => sorted(x)[Math.min(x.length - 1, Math.floor(x.length * of))];
const spread = (x) => [share(x, 0), share(x, 1)];
const round = (v, digits = 0) => (v === undefined || Number.isNaN(v) ? null : Math.round(v * 10 ** digits) / 10 ** digits);
const underruns = (page) => page.evaluate(() => globalThis.taps.player.status?.underruns ?? 0);

// From the microphone's sample in the singer's graph to that sample at the listener's output, by the browsers' own output stamps.
async function mouthToEar(studio, page) {
  const [ms, depth] = [[], []];
  for (let i = 0; i < captures; ++i) {
    for (let k = 0; k < 50; ++k) {
      depth.push(await page.evaluate(() => (globalThis.taps.player.status?.depth ?? 0) / 48));
      await sleep(100);
    }
    const [heard, sung] = await Promise.all([tap(page, 'player', 3), tap(studio.pages.singer, 'studio', 8)]);
    if (heard.gaps + sung.gaps > 0) continue;
    const apart = heard.wall + heard.at / 48 - (sung.wall + sung.at / 48);
    for (const p of findPieces(heard, sung)) if (p.voice.strength > 0.7) ms.push(apart + (p.voice.lag / rate) * 1_000);
  }
  return { ms, depth };
}
// A page opened anew, nothing in its cache, until its output gives the first sound; counted from the navigation's start.
async function joinPage(studio, browser) {
  const out = [];
  for (let i = 0; i < joins; ++i) {
    const page = await studio.open(browser, 'joiner', studio.roomUrl);
    await page.waitForFunction(() => globalThis.firstSound() !== null, null, { polling: 500, timeout: 20_000 });
    out.push(await page.evaluate(() => globalThis.firstSound() - performance.timeOrigin));
    await page.context().close();
  }
  return out;
}
// The page's thread works 250 ms of each second; the sound must not hear of it.
async function blocked(page) {
  const before = await underruns(page);
  await page.evaluate(() => {
    globalThis.blocking = setInterval(() => {
      for (const end = performance.now() + 250; performance.now() < end; );
    }, 1_000);
  });
  await sleep(blockedSeconds * 1_000);
  await page.evaluate(() => clearInterval(globalThis.blocking));
  await sleep(500);
  return (await underruns(page)) - before;
}
// Usable: room, stage and lyrics are shown, the socket has said welcome, and a pressed button has been painted.
function watchUsable() {
  const marks = (globalThis.usable = {});
  const look = () => {
    const at = performance.now();
    if (!marks.shell && document.querySelector('.room')) marks.shell = at;
    if (!marks.welcome && document.querySelector('.meta .chip.live') && !document.querySelector('.strip')) marks.welcome = at;
    if (!marks.lyrics && document.querySelector('[data-testid=lyric] .syl')) marks.lyrics = at;
    const button = document.querySelector('.meta [data-testid=sound]');
    if (marks.welcome && marks.lyrics && button && !marks.pressed) {
      marks.pressed = at;
      button.click();
    }
    if (marks.pressed && document.querySelector('.mixer')) return requestAnimationFrame(() => setTimeout(() => (marks.usable = performance.now())));
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}
async function usable(studio, browser, slower, count) {
  const out = [];
  for (let i = 0; i < count; ++i) {
    const before = async (page) => {
      await page.addInitScript(watchUsable);
      const session = await page.context().newCDPSession(page);
      await session.send('Emulation.setCPUThrottlingRate', { rate: slower });
    };
    const page = await studio.open(browser, 'slow', studio.roomUrl, { before, taps: false });
    await page.waitForFunction(() => globalThis.usable?.usable > 0, null, { polling: 1_000, timeout: 30_000 });
    out.push(await page.evaluate(() => globalThis.usable));
    await page.context().close();
  }
  return out;
}

// ---- lost packets: each that comes in by lo, in a namespace of its own, is lost by chance; no delay is added ----
const losing = (percent) => `table inet lossy { chain in { type filter hook input priority 0; numgen random mod 1000 < ${percent * 10} drop; }; }`;
async function loseNow(percent) {
  const pulse = await startPulse();
  const studio = await startStudio({ env: pulse.env, seconds: songSeconds });
  try {
    const browser = await studio.launch();
    const pages = [];
    for (let i = 0; i < lossPages; ++i) pages.push(await studio.open(browser, `lossy ${i}`, studio.roomUrl));
    for (const p of pages) await p.waitForSelector(live);
    const set = spawnSync('nft', ['-f', '-'], { input: losing(percent), encoding: 'utf8' });
    if (set.status !== 0) throw new Error(`nft: ${set.stderr}`);
    await sleep(15_000); // the buffers learn
    const before = await Promise.all(pages.map(underruns));
    await sleep(lossSeconds * 1_000);
    const after = await Promise.all(pages.map(underruns));
    const depths = await Promise.all(pages.map((p) => p.evaluate(() => globalThis.taps.player.status.depth / 48)));
    return { stalls: after.map((n, i) => ((n - before[i]) * 60) / lossSeconds), depth_ms: depths };
  } finally {
    await studio.stop();
    await pulse.stop();
  }
}
async function loss(percent) {
  const may = spawnSync('unshare', ['-n', 'sh', '-c', 'ip link set lo up && nft -f -'], { input: losing(percent), encoding: 'utf8' });
  if (may.error || may.status !== 0) return `not run: ${(may.error?.message ?? may.stderr).trim().split('\n')[0]}`;
  const { stdout } = await run('unshare', ['-n', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh', process.execPath, own, '--loss', String(percent)], { maxBuffer: 1 << 24 });
  return JSON.parse(stdout.trim().split('\n').at(-1));
}

async function write(keys, parts) {
  const before = await fs.readFile(file, 'utf8').then(JSON.parse, () => ({}));
  const disturbed = [...new Set([...(before.disturbed_in ?? []).filter((p) => !(p in parts)), ...Object.keys(parts).filter((p) => parts[p])])];
  const whole = { ...before, ...keys, disturbed: disturbed.length > 0, disturbed_in: disturbed };
  await fs.mkdir(path.dirname(file), { recursive: true });
  await fs.writeFile(file, `${JSON.stringify(whole)}\n`);
}
async function all(wanted) {
  const parts = {};
  const wants = (part) => wanted.length === 0 || wanted.includes(part);
  // One part: measured, kept at once, shown.
  const measure = async (part, work, rows) => {
    if (!wants(part.split(' ')[0])) return;
    // A simulation has a clock of its own: nobody disturbs it.
    const r = part === 'lyrics' ? { got: await work(), disturbed: false } : await calmly(work);
    parts[part] = r.disturbed;
    const keys = {};
    for (const [key, value, unit, beside] of rows(r.got)) {
      keys[key] = value;
      console.log(`${key.padEnd(34)} ${`${value} ${typeof value === 'string' ? '' : unit}`.padStart(10)}  ${beside}${r.disturbed ? `; disturbed: ${r.foreign.toFixed(1)} cores` : ''}`);
    }
    await write(keys, parts);
  };
  const middle = (x, digits = 0) => round(share(x, 0.5), digits);
  const range = (x) => spread(x).map((v) => round(v)).join('–');
  console.log('pages, server, sound server and singer on the same cores');

  const lyrics = async () => JSON.parse((await run(process.execPath, [path.join(top, 'bench/lyrics.mjs')], { maxBuffer: 1 << 24 })).stdout);
  await measure('lyrics', lyrics, (l) => [
    ['lyric_error_ms_p99', l.error_ms_p99, 'ms', `p50 ${l.error_ms_p50}, ${l.listeners} listeners, ${l.looks} looks, buffers ${l.depth_ms.join('/')} ms at p1/p50/p99`],
    ['lyric_first_error_ms_p99', l.first_error_ms_p99, 'ms', 'at the first audible frame'],
    ['lyric_off_share', l.off_share, '', 'of looks more than 25 ms off, or without a position'],
  ]);
  if (['ear', 'blocked', 'join', 'usable'].some(wants)) {
    const pulse = await startPulse();
    const studio = await startStudio({ env: pulse.env, seconds: songSeconds });
    try {
      const browser = await studio.launch();
      const ear = await studio.open(browser, 'ear', studio.roomUrl);
      await ear.waitForSelector(live);
      await sleep(8_000);
      await measure('ear', () => mouthToEar(studio, ear), (m) => [
        ['mouth_to_ear_ms_p50', middle(m.ms), 'ms', `${range(m.ms)}, ${m.ms.length} pieces`],
        // Capture, encoder, three packets a message, server, decoder and output are the way; the buffer comes on top of it.
        ['mouth_to_ear_ms_p50_at_200', middle(m.ms) - middle(m.depth) + 200, 'ms', 'the same way with a buffer of 200 ms'],
        ['mouth_to_ear_buffer_ms_p50', middle(m.depth), 'ms', range(m.depth)],
      ]);
      await measure('blocked', () => blocked(ear), (n) => [['underruns_blocked_main_thread', n, '', `${blockedSeconds} s, 250 ms of each second blocked`]]);
      await ear.context().close();
      await measure('join', () => joinPage(studio, browser), (j) => [['join_page_ms_p50', middle(j), 'ms', range(j)]]);
      for (const [slower, key] of [[4, 'usable_ms_4x_cpu'], [1, 'usable_ms']])
        await measure(`usable ${slower}`, () => usable(studio, browser, slower, loads), (u) => [[key, middle(u.map((x) => x.usable)), 'ms', `${range(u.map((x) => x.usable))}; ${['shell', 'welcome', 'lyrics'].map((k) => `${k} ${middle(u.map((x) => x[k]))}`).join(', ')}`]]);
    } finally {
      await studio.stop();
      await pulse.stop();
    }
  }
  for (const percent of [1, 3, 5])
    await measure(`loss ${percent}`, () => loss(percent), (l) => [[`stalls_per_minute_loss_${percent}`, ...(typeof l === 'string' ? [l, '', ''] : [round(l.stalls.reduce((s, v) => s + v, 0) / l.stalls.length, 2), '', `${lossPages} pages: ${l.stalls.join(' ')}; buffers then ${l.depth_ms.map((v) => round(v)).join(' ')} ms`])]]);
}

if (process.argv[2] === '--loss') console.log(JSON.stringify(await loseNow(Number(process.argv[3]))));
else await all(process.argv.slice(2));
