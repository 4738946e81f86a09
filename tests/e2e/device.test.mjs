// A singer's device with a real way through the air: the loudspeaker of a sound server is heard by its microphone. The check finds
// the device's delay, headphones are asked for, and a take that only hears the backing is flagged with evidence.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { sleep, until } from '../wire/harness.mjs';
import { startPulse } from './firefox.mjs';
import { lag } from './signal.mjs';
import { rate, song, startStudio, tap } from './studio.mjs';

const withinMs = 30;
const further = 150; // ms of air more
let studio;
before(async () => (studio = await startStudio({ drawn: false })));
after(() => studio?.stop());

// A singer's page whose output and input are a sound server's, in a room of its own.
async function desk(pulse) {
  const browser = await studio.launch({ env: pulse.env });
  const page = await studio.open(browser, 'device', studio.server.url, { handle: 'singer', storage: { studio_backing: '1' } });
  await page.goto(`${studio.server.url}/sing`);
  await page.getByTestId('open-microphone').click();
  await page.getByTestId('level').waitFor();
  return page;
}
const delayOf = async (page) => parseInt(await page.getByTestId('delay').innerText(), 10);
async function check(page) {
  const button = page.getByRole('button', { name: 'Check', exact: true });
  await button.click();
  await until(() => button.isDisabled(), 2_000, 'the check runs');
  await until(() => button.isEnabled(), 10_000, 'the check is over');
}
// What the microphone hears of the backing, against the backing that the page played: the device's whole way.
async function wayOf(page) {
  const t = await tap(page, 'studio', 4);
  const [size, around] = [rate / 2, rate];
  const found = [];
  for (let at = around; at + size + around <= t.b.length; at += size) {
    const near = lag(t.b.subarray(at, at + size), t.a.subarray(at, at + size + around));
    if (near.strength > 0.8) found.push((-near.lag / rate) * 1000);
  }
  assert.ok(found.length >= 2, 'the microphone hears the backing');
  found.sort((a, b) => a - b);
  return found[found.length >> 1];
}
// A browser takes no monitor for a microphone.
const microphoneOn = (sink) => [`load-module module-remap-source source_name=microphone master=${sink}.monitor`, 'set-default-source microphone'];
const wires = {
  'headphones held to the microphone': microphoneOn('nowhere'),
  'the same, and more air': ['load-module module-null-sink sink_name=air rate=48000', `load-module module-loopback source=nowhere.monitor sink=air latency_msec=${further} source_dont_move=true sink_dont_move=true`, 'set-default-sink nowhere', ...microphoneOn('air')],
};
const ways = [];
for (const [what, lines] of Object.entries(wires))
  describe(what, () => {
    let pulse, page;
    before(async () => {
      pulse = await startPulse(lines);
      page = await desk(pulse);
    });
    after(async () => {
      await page?.context().browser().close();
      await pulse?.stop();
    });
    test(`the check finds the device's delay within ${withinMs} ms, and it is remembered`, async () => {
      const found = [];
      await page.getByRole('button', { name: `Pick a song: ${song}` }).click();
      await page.getByTestId('play').and(page.locator(':enabled')).waitFor();
      await sleep(3_000); // loading shakes the browser's buffers
      for (let i = 0; i < 3; ++i) {
        await check(page);
        found.push(await delayOf(page));
      }
      await page.getByTestId('play').click();
      await sleep(6_000);
      const way = await wayOf(page);
      console.log(`${what}: found ${found} ms, the way is ${way.toFixed(1)} ms`);
      // The buffers of a busy machine grow while it goes on; what was found last is what is sung with.
      assert.ok(Math.abs(found.at(-1) - way) <= withinMs, `${found.at(-1)} ms found, ${way} ms is the way`);
      assert.equal(await page.evaluate(() => localStorage.getItem('device_delay_ms')), String(found.at(-1)));
      ways.push(way);
    });
    test('headphones are asked for while the microphone hears the backing', async () => {
      await page.getByText('The microphone hears the backing. Use headphones').waitFor();
    });
    test('a take that only hears the backing says so, with evidence', async () => {
      await sleep(8_000);
      await page.getByRole('button', { name: 'End song' }).click();
      const flags = await until(async () => await studio.server.psql("select flags from rooms.take where rules = 'ovation-1' order by made_at desc limit 1"), 10_000, 'the take is kept');
      console.log(flags);
      const evidence = JSON.parse(flags);
      assert.ok(evidence.backing && evidence.backing_match > 0.3 && evidence.probes > 0, flags);
    });
  });
test('more air is a longer way', () => assert.ok(ways[1] - ways[0] > further / 2, `${ways}`));
describe('a microphone that hears nothing of it', () => {
  let pulse, page;
  before(async () => {
    pulse = await startPulse(['load-module module-null-sink sink_name=quiet rate=48000', 'set-default-sink nowhere', ...microphoneOn('quiet')]);
    page = await desk(pulse);
  });
  after(async () => {
    await page?.context().browser().close();
    await pulse?.stop();
  });
  test('the check says what to do and changes nothing', async () => {
    const before = await delayOf(page);
    await check(page);
    await page.getByText('The clicks were not heard').waitFor();
    assert.equal(await delayOf(page), before);
  });
});
