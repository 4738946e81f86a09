// Firefox as a listener: another decoder, another audio stack, another clock; the same judgement as in sound.test.mjs.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { sleep } from '../wire/harness.mjs';
import { startFirefox, startPulse } from './firefox.mjs';
import { inStep, lyricsFollow, startStudio, tonesFollow } from './studio.mjs';

const live = '[data-testid=sound][data-state=live]';
let pulse, studio;
const browsers = {}; // of each listener
const problems = [];
// A browser of its own for each who listens. Now and then this Firefox freezes while it starts its sound on a busy machine; another
// one is asked, twice.
const open = async (name, again = 2) => {
  browsers[name] = await startFirefox(pulse.env);
  const page = await browsers[name].open(studio.roomUrl);
  page.on('pageerror', (e) => problems.push(`${name}: ${e.message}`));
  studio.pages[name] = page;
  try {
    await page.waitForSelector(live, { timeout: 30_000 });
  } catch (late) {
    await browsers[name].close();
    if (again === 0) throw late;
    console.log(`${name}: frozen, asked again`);
    await open(name, again - 1);
  }
};

before(async () => {
  pulse = await startPulse();
  studio = await startStudio({ drawn: false });
});
after(async () => {
  for (const b of Object.values(browsers)) await b.close();
  await studio?.stop();
  await pulse?.stop();
});

test('voice and backing meet within 5 ms', async () => {
  await open('firefox');
  await sleep(9_000);
  await inStep(studio.pages, 'firefox', 'in normal play');
  await tonesFollow(studio.pages.firefox, 'firefox', 'in normal play');
});
test('the lyrics are within 25 ms of what the listener hears', () => lyricsFollow(studio.pages.firefox, 'firefox'));
test('who comes late hears the right place', async () => {
  await open('late');
  await sleep(6_500);
  await tonesFollow(studio.pages.late, 'late', 'after a late join');
  await inStep(studio.pages, 'late', 'after a late join');
  await lyricsFollow(studio.pages.late, 'late');
  await browsers.late.close();
});
test('a pause and a seek', async () => {
  const { firefox, singer } = studio.pages;
  await singer.getByTestId('play').click();
  await sleep(1_500);
  await singer.getByTestId('play').click();
  await sleep(6_500);
  await tonesFollow(firefox, 'firefox', 'over a pause', { seconds: 10, breaks: 1 });
  await inStep(studio.pages, 'firefox', 'after a pause');
  await singer.getByRole('button', { name: 'From the start' }).click();
  await sleep(6_500);
  await tonesFollow(firefox, 'firefox', 'over a seek', { seconds: 9, breaks: 1 });
  await inStep(studio.pages, 'firefox', 'after a seek');
});
test('the singer’s connection is cut for 5 s', async () => {
  await studio.proxy.cut(5_000);
  await studio.pages.firefox.waitForSelector(live);
  await sleep(9_000);
  await tonesFollow(studio.pages.firefox, 'firefox', 'over a cut', { seconds: 18, breaks: 1 });
  await inStep(studio.pages, 'firefox', 'after a cut');
  assert.deepEqual(problems, []);
});
