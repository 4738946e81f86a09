// `./dev run` as a newcomer meets it, in a copy of the tree with the binary and the pages that are built already.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs/promises';
import https from 'node:https';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { binary, environment, errorDetail, top, until } from './harness.mjs';

const run = promisify(execFile);
const readyMs = 60_000, showMs = 60_000, endMs = 30_000;
let copy, port, door;

const freePort = () => new Promise((done) => { const s = net.createServer().listen(0, '127.0.0.1', () => { const { port: free } = s.address(); s.close(() => done(free)); }); });
const env = { ...environment(), DEV_PRESET: 'dev' };
const dev = (...given) => run('./dev', given, { cwd: copy, env, timeout: readyMs });
// Every process that lives off the copy: servers name its path, or that of its services.
const alive = async () => {
  const services = [copy];
  if (process.getuid() === 0) services.push(`/var/tmp/ovation-${(await run('sh', ['-c', `printf '%s' '${copy}/var' | cksum | cut -d' ' -f1`])).stdout.trim()}`);
  const found = [];
  for (const pid of (await fs.readdir('/proc')).filter((n) => /^\d+$/.test(n))) {
    const text = await fs.readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (Number(pid) !== process.pid && services.some((s) => text.includes(s))) found.push(text.replaceAll('\0', ' ').slice(0, 100));
  }
  return found;
};
function open(...given) {
  const child = spawn('./dev', ['run', '--no-build', '--port', String(port), ...given], { cwd: copy, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const it = { said: '', child, ended: new Promise((done) => child.once('exit', (code) => done(code))) };
  child.stdout.on('data', (t) => (it.said += t));
  child.stderr.on('data', (t) => (it.said += t));
  it.ready = () => until(() => {
    if (child.exitCode !== null) throw new Error(`./dev run ended with ${child.exitCode}: ${it.said}`);
    return /Ovation is ready:/.test(it.said) && /Ctrl-C/.test(it.said);
  }, readyMs, 'Ovation is ready');
  it.stop = async () => {
    child.kill('SIGINT');
    const hard = setTimeout(() => child.kill('SIGKILL'), endMs);
    const code = await it.ended;
    clearTimeout(hard);
    return code;
  };
  return it;
}
const ask = async (method, request = {}, token) => {
  const answer = await fetch(`http://127.0.0.1:${port}/ovation.v1.${method}`, { method: 'POST', headers: { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) }, body: JSON.stringify(request) });
  const body = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(body.message), errorDetail(body));
  return body;
};

before(async () => {
  copy = await fs.mkdtemp(path.join(os.tmpdir(), 'ovation-door-'));
  await fs.chmod(copy, 0o755);
  await run('sh', ['-c', `git -C '${top}' ls-files -z --cached --others --exclude-standard | tar -C '${top}' --null -T - --ignore-failed-read -cf - | tar -C '${copy}' -xf -`]);
  port = await freePort();
});
after(async () => {
  await door?.stop();
  await dev('services', 'down').catch(() => {});
  await run('./dev', ['clean'], { cwd: copy, env }).catch(() => {});
  await fs.rm(copy, { recursive: true, force: true });
});

test('what cannot be is said in a sentence', async () => {
  const refused = (given, what) => assert.rejects(run('./dev', given, { cwd: copy, env }), (e) => e.code === 1 && what.test(e.stderr));
  await refused(['run', '--no-build', '--port', String(port)], /There is no .*build\/dev\/ovation yet: run \.\/dev run without --no-build once/);
  await refused(['run', '--fast'], /does not know --fast/);
  await refused(['sing'], /There is no \.\/dev sing/);
  const taken = net.createServer().listen(port, '127.0.0.1');
  await refused(['run', '--no-build', '--port', String(port)], new RegExp(`Port ${port} is taken.*--port ${port + 1}`));
  await new Promise((done) => taken.close(done));
  assert.match((await dev('help')).stdout, /\.\/dev run \[--port N\]/);
});

test('it ends ready, prints the page and log-ins that work, and a show is on within a minute', async () => {
  await fs.mkdir(path.join(copy, 'build/dev'), { recursive: true });
  await fs.copyFile(binary(), path.join(copy, 'build/dev/ovation'));
  await fs.cp(path.join(top, 'web/dist'), path.join(copy, 'web/dist'), { recursive: true });
  door = open();
  await door.ready();
  assert.match(door.said, new RegExp(`http://localhost:${port}`));
  assert.equal((await fetch(`http://127.0.0.1:${port}/readyz`)).status, 200);
  assert.match(await (await fetch(`http://127.0.0.1:${port}/`)).text(), /<!doctype html>/i);
  const printed = [...door.said.matchAll(/(?:^ {4}|  )(listener|singer2?|agent|ops|finance) {2}/gm)].map((m) => m[1]);
  const password = /password (\S+) as/.exec(door.said)[1];
  assert.deepEqual([...printed].sort(), ['agent', 'finance', 'listener', 'ops', 'singer', 'singer2']);
  for (const handle of printed) assert.ok((await ask('AuthService/LogIn', { handle, password })).accessToken);
  await until(async () => (await ask('RoomService/ListLiveRooms')).rooms?.some((r) => r.playing && r.listeners >= 2), showMs, 'somebody sings to somebody');
});

test('Ctrl-C ends everything that it started; starting again loses nothing and is quick', async () => {
  const me = await ask('AuthService/Register', { handle: 'newcomer', displayName: 'Newcomer', password: 'newcomer-here' });
  const song = createHash('sha256').update(JSON.stringify((await ask('SongService/ListSongs')).songs.map((s) => s.title).sort())).digest('hex');
  assert.equal(await door.stop(), 0);
  assert.deepEqual(await alive(), []);
  const began = Date.now();
  door = open('--no-demo');
  await door.ready();
  const tookMs = Date.now() - began;
  console.log(`# started again within ${tookMs} ms`);
  assert.equal((await ask('AuthService/LogIn', { handle: 'newcomer', password: 'newcomer-here' })).user.id, me.user.id);
  assert.equal(createHash('sha256').update(JSON.stringify((await ask('SongService/ListSongs')).songs.map((s) => s.title).sort())).digest('hex'), song);
  await assert.rejects(dev('run', '--no-build', '--port', String(port)), /is taken/);
  assert.equal(await door.stop(), 0);
  assert.deepEqual(await alive(), []);
});

test('--lan: TLS by a local authority, a code to scan, and bots there too', async () => {
  door = open('--lan');
  await door.ready();
  const ca = await fs.readFile(path.join(copy, 'var/tls/ca.pem'));
  const host = new RegExp(`https://([0-9.]+):${port}`).exec(door.said)[1];
  const live = (at) => new Promise((done, failed) => {
    https.request({ host: at, port, path: '/ovation.v1.RoomService/ListLiveRooms', method: 'POST', ca, headers: { 'content-type': 'application/json' } }, (r) => {
      let text = '';
      r.on('data', (t) => (text += t)).on('end', () => done(JSON.parse(text).rooms ?? []));
    }).on('error', failed).end('{}');
  });
  await until(async () => (await live(host)).some((r) => r.playing && r.listeners >= 2), showMs, 'somebody sings to somebody over TLS');
  assert.match(door.said, /█/);
  assert.equal(await door.stop(), 0);
});

test('services that run already are used and left; without --demo the demo’s accounts do not log in', async () => {
  const settings = Object.fromEntries((await dev('services', 'up')).stdout.trim().split('\n').map((l) => /^(OVATION_\w+)='(.*)'$/.exec(l).slice(1)));
  door = open('--no-demo');
  await door.ready();
  const old = (await ask('AuthService/LogIn', { handle: 'listener', password: 'ovation-demo' }));
  assert.equal(await door.stop(), 0);
  assert.ok((await alive()).some((p) => p.includes('postgres')));
  const child = spawn(path.join(copy, 'build/dev/ovation'), ['serve', '--port', String(port), '--media-root', path.join(copy, 'var/media'), '--recording-root', path.join(copy, 'var/recordings')], { env: { ...env, ...settings }, stdio: ['ignore', 'pipe', 'ignore'] });
  try {
    await until(() => fetch(`http://127.0.0.1:${port}/readyz`).then((r) => r.status === 200, () => false), readyMs, 'a real installation is ready');
    await assert.rejects(ask('AuthService/LogIn', { handle: 'ops', password: 'ovation-demo' }), (e) => e.reason === 'demo_account');
    await assert.rejects(ask('AuthService/GetMe', {}, old.accessToken), (e) => e.reason === 'session_ended');
    await assert.rejects(ask('AuthService/Refresh', { refreshToken: old.refreshToken }), (e) => e.reason === 'refresh_invalid');
    assert.ok((await ask('AuthService/LogIn', { handle: 'newcomer', password: 'newcomer-here' })).accessToken);
  } finally {
    const ended = new Promise((done) => child.once('exit', done));
    child.kill('SIGTERM');
    await ended;
  }
  await dev('services', 'down');
  assert.deepEqual(await alive(), []);
});
