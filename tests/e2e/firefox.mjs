// Firefox by WebDriver BiDi, and the sound server without which it plays nothing: a PulseAudio of one's own with a null sink.
import { spawn } from 'node:child_process';
import fs from 'node:fs/promises';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { top, until } from '../wire/harness.mjs';
import { tapFile } from './studio.mjs';

const puppeteer = createRequire(path.join(top, 'web/package.json'))('puppeteer-core');
const startMs = 15_000;
// Its sound by way of another process stands still for ever now and then (the thread of PulseAudio asks the page for samples while
// the page waits for that thread's lock), so the page plays by itself, which its sandbox would not let it.
const prefs = {
  'media.cubeb.sandbox': false,
  'security.sandbox.content.level': 0,
  'media.autoplay.default': 0,
  'media.autoplay.blocking_policy': 0,
  'intl.accept_languages': 'en-US',
  'app.update.enabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
};

// `wires`: more lines of its start script, to make a microphone that hears the loudspeaker. `env`: for the programs that are to
// play there.
export async function startPulse(wires = []) {
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), 'ovation-pulse-'));
  const socket = path.join(folder, 'native');
  const env = { HOME: folder, XDG_RUNTIME_DIR: folder, PULSE_RUNTIME_PATH: folder, PULSE_SERVER: `unix:${socket}` };
  const script = path.join(folder, 'start.pa');
  await fs.writeFile(script, ['load-module module-null-sink sink_name=nowhere rate=48000', ...wires, `load-module module-native-protocol-unix socket=${socket} auth-anonymous=1`, ''].join('\n'));
  const child = spawn('pulseaudio', ['-n', '--daemonize=no', '--use-pid-file=no', '--exit-idle-time=-1', '-F', script], { env: { ...process.env, ...env, PULSE_SERVER: '' }, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (text) => (said = (said + text).slice(-4_000)));
  const ended = new Promise((done) => child.once('exit', done));
  const last = () => child.kill('SIGKILL');
  process.once('exit', last);
  const stop = async () => {
    process.off('exit', last);
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM');
      const hard = setTimeout(last, 5_000);
      await ended;
      clearTimeout(hard);
    }
    await fs.rm(folder, { recursive: true, force: true });
  };
  try {
    await until(async () => {
      if (child.exitCode !== null) throw new Error(`pulseaudio ended with ${child.exitCode}: ${said}`);
      return fs.access(socket).then(() => true, () => false);
    }, startMs, 'the sound server listens');
  } catch (failure) {
    await stop();
    throw failure;
  }
  return { env, stop };
}

export async function startFirefox(env) {
  const browser = await puppeteer.launch({ browser: 'firefox', executablePath: '/usr/bin/firefox-esr', headless: true, protocolTimeout: 60_000, env: { ...process.env, ...env }, extraPrefsFirefox: prefs, defaultViewport: { width: 1440, height: 900 } });
  return {
    // A page with the taps in it.
    async open(at) {
      const page = await browser.newPage();
      page.setDefaultTimeout(60_000);
      await page.evaluateOnNewDocument(await fs.readFile(tapFile, 'utf8'));
      await page.goto(at);
      return page;
    },
    // Also when it does not answer any more; then with its whole group: a frozen page's process would outlive the browser and hold
    // its pipes, and the test that waits for these would never end.
    async close() {
      await Promise.race([browser.close().catch(() => {}), sleep(5_000, null, { ref: false })]);
      try {
        process.kill(-browser.process().pid, 'SIGKILL');
      } catch (gone) {
        if (gone.code !== 'ESRCH') throw gone;
      }
    },
  };
}
