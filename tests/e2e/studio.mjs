// A singer in a real browser, whose microphone is a voice that nobody here wrote (Debian's festival), over a backing that says at
// each sample where it is; and the judgement of what listeners hear, on samples captured from their pages' worklets (tap.js).
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs/promises';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { sleep, startServer, top } from '../wire/harness.mjs';
import { logIn } from './log_in.mjs';
import { bufferOf, finder, lag, wav } from './signal.mjs';
import { startProxy } from './proxy.mjs';

const { chromium } = createRequire(path.join(top, 'web/package.json'))('playwright-core');
export const rate = 48_000;
export const song = 'Tones';
export const tapFile = path.join(top, 'tests/e2e/tap.js');
const apartMaxMs = 5; // voice against backing
const songSeconds = 240; // then a song is over; a bench asks for more
const tones = 40; // as far apart that none can be taken for another, a little earlier or later
const toneAt = (second) => 300 * 2 ** ((((second * 7) % tones) / tones) * 2);
const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required'];

// Where sound is judged and not looks: without a graphics card, drawing takes the processors that the players need.
export const drawSeldom = () => {
  globalThis.requestAnimationFrame = (draw) => setTimeout(() => draw(performance.now()), 100);
  globalThis.cancelAnimationFrame = clearTimeout;
};

// The backing: each second another gliding tone of forty, so that any piece of it says where it is to the sample.
export function backing(seconds = songSeconds) {
  const out = new Float32Array(seconds * rate);
  for (let s = 0; s < seconds; ++s)
    for (let i = 0; i < 0.8 * rate; ++i) {
      const edge = Math.min(1, i / 480, (0.8 * rate - i) / 480);
      out[s * rate + i] = 0.3 * edge * Math.sin((2 * Math.PI * toneAt(s) * (i + (i * i) / (1.6 * rate))) / rate);
    }
  return out;
}
async function makeSong(to, seconds) {
  await fs.writeFile(path.join(to, 'tones.wav'), wav(backing(seconds), rate));
  // 120 beats a minute in the file's quarters: a beat is 125 ms; four syllables a second pair.
  let notes = '';
  for (let s = 0; s < seconds; s += 2) notes += `: ${s * 8} 4 0 a${s}\n: ${s * 8 + 4} 4 2 b${s}\n: ${s * 8 + 8} 6 4 c${s}\n- ${s * 8 + 15}\n`;
  await fs.writeFile(path.join(to, 'tones.txt'), `#VERSION:1.0.0\n#TITLE:${song}\n#ARTIST:Test\n#AUDIO:tones.wav\n#BPM:120\n#OVATION-RIGHTS:public-domain\n${notes}E\n`);
}

/**
 * A server whose singer sings on, through a proxy, until `stop()`.
 * @param {{env?: Record<string, string>, seconds?: number, storage?: Record<string, string>, drawn?: boolean}} [options] env: of the browsers; seconds: of the song; storage: more of what the singer's
 *   browser remembers; drawn: whether pages that say nothing else draw as often as they can
 */
export async function startStudio({ env = {}, seconds = songSeconds, storage = {}, drawn = true } = {}) {
  const pages = {};
  const browsers = [];
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), 'ovation-sound-'));
  let server, proxy;
  const stop = async () => {
    for (const b of browsers) await b.close();
    await proxy?.stop();
    await server?.stop();
    await fs.rm(folder, { recursive: true, force: true });
  };
  // A browser that only listens; that sings what is in a file; or, with a sound server's `env`, whose microphone is real.
  const launch = async (microphone) => {
    const real = typeof microphone === 'object' ? microphone.env : null;
    const args = real ? [...flags, '--use-fake-ui-for-media-stream'] : microphone ? [...flags, '--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream', `--use-file-for-fake-audio-capture=${microphone}`] : flags;
    const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', ignoreDefaultArgs: ['--mute-audio'], args, env: { ...process.env, ...env, ...real } });
    browsers.push(browser);
    return browser;
  };
  // A page of a context of its own: nothing in its cache. `before` sees the page before it goes anywhere.
  const open = async (browser, name, at, { handle, storage = {}, before, taps = true, drawn: often = drawn } = {}) => {
    const context = await browser.newContext({ locale: 'en-US', viewport: { width: 1440, height: 900 }, ...(often ? {} : { reducedMotion: 'reduce' }) });
    if (!often) await context.addInitScript(drawSeldom);
    if (taps) await context.addInitScript({ path: tapFile });
    await context.addInitScript((kept) => { for (const [k, v] of Object.entries(kept)) localStorage.setItem(k, v); }, storage);
    const page = await context.newPage();
    page.setDefaultTimeout(30_000);
    page.on('pageerror', (e) => assert.fail(`${name}: ${e.message}`));
    page.on('console', (m) => m.type() === 'error' && process.stderr.write(`${name}: ${m.text()}\n`));
    pages[name] = page;
    await before?.(page);
    await page.goto(at);
    if (handle) await logIn(page, handle);
    return page;
  };
  try {
    await makeSong(folder, seconds);
    const microphone = path.join(folder, 'microphone.wav');
    execFileSync('text2wave', ['-mode', 'singing', '/usr/share/doc/festival/examples/songs/daisy.xml', '-o', path.join(folder, 'sung.wav')], { stdio: 'ignore' });
    execFileSync('ffmpeg', ['-loglevel', 'error', '-i', path.join(folder, 'sung.wav'), '-ar', '48000', '-ac', '1', '-af', 'volume=0.7', microphone]);
    server = await startServer();
    await fs.cp(path.join(top, 'web/dist'), server.web, { recursive: true });
    await fs.copyFile(path.join(top, 'tests/e2e/tap.worklet.js'), path.join(server.web, 'assets/test-tap.js'));
    await server.ovation('songs', 'import', folder, '--keys', '0', '--media-root', server.media, '--database', server.conninfo);
    const room = await server.makeRoom();
    proxy = await startProxy(Number(new URL(server.url).port));
    const page = await open(await launch(microphone), 'singer', proxy.url, { handle: 'singer', storage: { device_delay_ms: '0', studio_backing: '1', ...storage } });
    await page.goto(`${proxy.url}/studio`);
    await page.getByTestId('open-microphone').click();
    await page.getByTestId('level').waitFor();
    await page.getByRole('button', { name: `Pick a song: ${song}` }).click();
    await page.getByTestId('play').click();
    return { server, room, proxy, pages, launch, open, stop, folder, roomUrl: `${server.url}/room/${room.id}` };
  } catch (failure) {
    await stop();
    throw failure;
  }
}

// What was captured last; of a page of either driver.
export async function tap(page, which, seconds) {
  const t = await page.evaluate(([w, s]) => globalThis.takeTap(w, s), [which, seconds]);
  assert.ok(t, `${which} was recorded`);
  return { at: t.at, gaps: t.gaps, wall: t.wall, a: bufferOf(t.a), b: bufferOf(t.b) };
}
const power = (x) => Math.sqrt(x.reduce((s, v) => s + v * v, 0) / x.length);

// Each 250 ms of what is heard, found in what is sung: short, so that a buffer which is just being steered (0.2 %) blurs nothing.
// heard[i] ≈ sung[i − lag]. A held note resembles itself a period on, and the same note elsewhere: some pieces are looked for
// everywhere, and where most of them agree all are looked for again.
export function findPieces(heard, sung) {
  const size = rate / 4;
  const loud = [];
  for (let at = 0; at + size <= heard.a.length; at += size) if ([heard.a, heard.b].every((x) => power(x.subarray(at, at + size)) > 0.02)) loud.push(at);
  const track = (from, whole) => {
    const piece = (at) => from.subarray(at, at + size);
    const anywhere = finder(whole);
    const found = loud.filter((_, i) => i % 2 === 0).map((at) => ({ at, ...anywhere(piece(at)) })).map((f) => ({ lag: f.at + f.lag, strength: f.strength }));
    const agree = (f) => found.reduce((s, g) => s + (Math.abs(g.lag - f.lag) < rate / 40 ? g.strength : 0), 0);
    const anchor = found.reduce((best, f) => (agree(f) > agree(best) ? f : best), found[0]);
    return loud.map((at) => {
      const start = Math.max(0, at - anchor.lag - rate / 4);
      const near = lag(piece(at), whole.subarray(start, start + size + rate / 2));
      return { lag: at - start + near.lag, strength: near.strength };
    });
  };
  const [voice, backing] = [track(heard.a, sung.a), track(heard.b, sung.b)];
  return loud.map((_, i) => ({ voice: voice[i], backing: backing[i] }));
}
// The listener hears microphone sample m together with the backing that the singer heard at m: both have the same lag.
export async function inStep(pages, listener, what, again = 2) {
  const [heard, sung] = await Promise.all([tap(pages[listener], 'player', 3), tap(pages.singer, 'studio', 8)]);
  if (heard.gaps + sung.gaps > 0 && again > 0) {
    await sleep(4_000); // foreign work on the machine: taken again, not judged
    return inStep(pages, listener, what, again - 1);
  }
  assert.equal(heard.gaps + sung.gaps, 0, 'nothing of the recordings is lost');
  const pieces = findPieces(heard, sung);
  const judged = pieces.length;
  const apart = pieces.filter((p) => p.voice.strength > 0.7 && p.backing.strength > 0.7).map((p) => ((p.voice.lag - p.backing.lag) / rate) * 1000);
  if (judged < 4) console.log(listener, what, await pages[listener].evaluate(() => document.querySelector('[data-testid=sound]')?.innerText), [heard.a, heard.b].map((x) => power(x).toFixed(4)));
  apart.sort((x, y) => x - y);
  console.log(`${listener}, ${what}: voice against backing ${apart.map((x) => x.toFixed(2)).join(' ')} ms, ${judged} pieces`);
  const known = judged >= 4 && apart.length >= judged * 0.7;
  const together = Math.abs(apart[apart.length >> 1]) <= apartMaxMs && apart.filter((x) => Math.abs(x) <= apartMaxMs).length >= apart.length * 0.8;
  // Foreign work on the machine stalls a player now and then; what is wrong stays wrong.
  if (again > 0 && !(known && together)) {
    await sleep(4_000);
    return inStep(pages, listener, what, again - 1);
  }
  assert.ok(known, `${listener}, ${what}: ${apart.length} of ${judged} pieces are the singer's voice over the song's backing`);
  assert.ok(together, `${listener}, ${what}: ${apart} ms apart`);
}
// Which tones were heard, in their order: the second of the song, of forty, and where in the recording it began (5 ms). A whole
// tone has 1.2 f cycles, whatever a buffer that is being steered does to it.
function tonesIn(heard) {
  const step = rate / 200;
  const loud = (i) => power(heard.subarray(i, i + step)) > 0.03;
  const found = [];
  for (let at = 0; at + step < heard.length; ) {
    let end = at;
    while (end + step < heard.length && loud(end)) end += step;
    if (end > at && at > 0 && end + step < heard.length) {
      let cycles = 0;
      for (let i = at + 1; i < end; ++i) if (heard[i - 1] < 0 && heard[i] >= 0) ++cycles;
      const off = (s) => Math.abs(Math.log2((cycles / 1.2) / toneAt(s)));
      const second = [...Array(tones).keys()].reduce((best, s) => (off(s) < off(best) ? s : best));
      const ms = ((end - at) / rate) * 1000;
      found.push({ second: Math.abs(ms - 800) < 20 && off(second) < 0.4 * 2 / tones ? second : null, began: at, ms });
    }
    at = Math.max(end, at + step);
  }
  return found;
}
// Each tone follows the one before it in the song, a second later, without a wrong or a missing one; at most `breaks` places (a
// pause, a jump) cut that, where a tone may be cut too.
export async function tonesFollow(page, name, what, { seconds = 8, breaks = 0, again = 2 } = {}) {
  const heard = await tap(page, 'player', seconds);
  const found = tonesIn(heard.b);
  if (found[0]?.second === null && found[0].ms < 780) found.shift(); // the sound began within it
  const runs = [];
  let wrong = 0;
  for (const t of found) {
    const run = runs.at(-1), last = run?.at(-1);
    if (t.second === null) wrong += t.ms > 820 ? 1 : 0; // shorter: cut by a jump, and beside one it stands
    else if (last && t.second === (last.second + 1) % tones && Math.abs(t.began - last.began - rate) < rate / 50) run.push(t);
    else runs.push([t]);
  }
  const cut = found.filter((t) => t.second === null).length;
  console.log(`${name}, ${what}: tones ${runs.map((r) => `${r[0].second}…${r.at(-1).second}`).join(' | ')}${cut ? `, ${cut} cut` : ''}`);
  const good = runs.length >= 1 && runs.length <= 1 + breaks && wrong === 0 && cut <= 2 * breaks && runs.at(-1).length >= 3;
  if (!good && again > 0) {
    await sleep((seconds + 1) * 1_000); // foreign work on the machine made the player wait: later it does not
    return tonesFollow(page, name, what, { seconds, breaks, again: again - 1 });
  }
  assert.ok(good, `${name}, ${what}: ${JSON.stringify(found.map((t) => [t.second, Math.round(t.ms)]))}`);
}
// The lyrics as the page shows them against the backing that leaves its output then: the median is within 25 ms.
export async function lyricsFollow(page, name) {
  const [wipes, heard] = [await page.evaluate(() => globalThis.taps.wipes), await tap(page, 'player', 8)];
  const original = backing();
  const errors = [];
  const looks = wipes.filter((w) => w.frame > heard.at + rate / 2 && w.frame < heard.at + heard.b.length - rate / 2);
  for (const w of looks.filter((_, i) => i % Math.ceil(looks.length / 24) === 0)) {
    const m = /^[abc](\d+)$/.exec(w.line.split('|')[w.i]);
    const shown = (Number(m[1]) * 8 + w.i * 4 + (w.w / 100) * (w.i === 2 ? 6 : 4)) * 0.125 * rate;
    // The half second around what leaves the output at that look, found in the song up to 2 s from where the lyrics are.
    const from = Math.round(w.frame - heard.at) - rate / 4;
    const near = Math.max(0, Math.round(shown) - 2 * rate);
    const found = lag(heard.b.subarray(from, from + rate / 2), original.subarray(near, near + 4 * rate));
    if (found.strength > 0.8) errors.push(((shown - (near + rate / 4 - found.lag)) / rate) * 1000);
  }
  errors.sort((x, y) => x - y);
  const [middle, worst] = [errors[errors.length >> 1], errors[Math.floor(errors.length * 0.98)]];
  console.log(`${name}, lyrics: ${errors.length} looks, median ${middle?.toFixed(1)} ms, 98 % ${worst?.toFixed(1)} ms`);
  assert.ok(errors.length > 10);
  assert.ok(Math.abs(middle) <= 25, `median ${middle} ms`);
}
