// One server for one test file, on a fresh database of the cluster named by DEV_TEST_PG (a folder with PostgreSQL's unix socket).
// OVATION_BIN names the binary; default: build/dev/ovation.
import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
export const top = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const password = 'wire-tests-only';
const people = { agent: ['agent'], singer: ['singer'], ops: ['ops'], finance: ['finance'], listener: [], listener2: [] };
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));
const startMs = 30_000;
const stopMs = 20_000;

/** A new gift key: a UUID of version 7, of now or of another time. */
export const uuid7 = (atMs = Date.now()) => {
  const b = randomBytes(16);
  b.writeUIntBE(atMs, 0, 6);
  b[6] = 0x70 | (b[6] & 15);
  b[8] = 0x80 | (b[8] & 63);
  return b.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
};
export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// Polls until `ask` answers something true; bounded.
export async function until(ask, ms, what) {
  for (const end = Date.now() + ms; Date.now() < end; await sleep(50)) {
    const got = await ask();
    if (got) return got;
  }
  throw new Error(`${what}: not within ${ms} ms`);
}

// The ErrorDetail of a Connect error: {reason, retryable, retryAfterMs, field}.
export function errorDetail(error) {
  const bytes = Buffer.from(error?.details?.[0]?.value ?? '', 'base64');
  const out = { reason: '', retryable: false, retryAfterMs: 0, field: '' };
  for (let i = 0; i < bytes.length; ) {
    const key = bytes[i++];
    let value = 0;
    for (let unit = 1; ; unit *= 128) {
      value += (bytes[i] & 0x7f) * unit;
      if (bytes[i++] < 0x80) break;
    }
    if (key === 0x0a) out.reason = bytes.toString('utf8', i, i + value);
    if (key === 0x10) out.retryable = value === 1;
    if (key === 0x18) out.retryAfterMs = value;
    if (key === 0x22) out.field = bytes.toString('utf8', i, i + value);
    if ((key & 7) === 2) i += value;
  }
  return out;
}

export class RpcError extends Error {
  constructor(status, error, headers) {
    super(`${status} ${error?.code}: ${error?.message}`);
    Object.assign(this, { status, code: error?.code, details: error?.details ?? [], headers, ...errorDetail(error) });
  }
}

export function binary() {
  return path.resolve(top, process.env.OVATION_BIN || 'build/dev/ovation');
}
// The binary refuses OVATION_ variables that it does not know; all settings go as flags.
export function environment() {
  const env = { ...process.env };
  for (const name of Object.keys(env)) if (name.startsWith('OVATION_')) delete env[name];
  return env;
}

/**
 * Starts a server; the caller awaits `stop()` in an `after` hook.
 * @param {{flags?: string[], songs?: boolean, port?: number, beside?: object, prepare?: (psql: (sql: string) => Promise<string>) => Promise<void>}} [options]
 *   flags: more flags of `ovation serve`; prepare: runs after the migrations, as the schema's owner; beside: one more server on the
 *   database of this one, which must be stopped first
 */
export async function startServer({ flags = [], songs = true, port: asked = 0, beside, prepare } = {}) {
  const pg = process.env.DEV_TEST_PG;
  if (!pg) throw new Error('DEV_TEST_PG must name the folder of a PostgreSQL unix socket; ./dev test sets it.');
  const bin = binary();
  await until(() => existsSync(bin), startMs, `${bin} exists`);
  const name = beside?.database ?? `wire_${process.pid}_${randomBytes(4).toString('hex')}`;
  const base = await fs.mkdtemp(path.join(os.tmpdir(), 'ovation-wire-'));
  const media = path.join(base, 'media');
  const web = path.join(base, 'web');
  await fs.mkdir(media);
  await fs.mkdir(path.join(web, 'assets'), { recursive: true });
  await fs.writeFile(path.join(web, 'index.html'), '<!doctype html><title>wire</title>');
  await fs.writeFile(path.join(web, 'assets', 'app-1234.js'), 'export {};\n');

  const env = environment();
  const database = `host=${pg} dbname=${name} user=ovation_app`;
  const owner = `host=${pg} dbname=${name} user=owner`;
  const psql = async (sql) => (await run('psql', ['-X', '-h', pg, '-U', 'owner', '-d', name, '-v', 'ON_ERROR_STOP=1', '-Atqc', sql], { env })).stdout.trim();
  const ovation = (...given) => run(bin, given, { env, cwd: top, timeout: startMs });
  if (!beside) await run('createdb', ['-h', pg, '-U', 'owner', name], { env });

  let child = null;
  let log = '';
  const end = async (signal = 'SIGTERM') => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((done) => child.once('exit', done));
    process.kill(child.pid, signal);
    const hard = setTimeout(() => child.kill('SIGKILL'), stopMs);
    await ended;
    clearTimeout(hard);
    // A sanitizer's finding while stopping shows nowhere else.
    if (child.exitCode) throw new Error(`the server ended with ${child.exitCode}: ${log.slice(-4_000)}`);
  };
  const launch = (port) => {
    child = spawn(bin, ['serve', '--demo', '--port', String(port), '--database', database, '--media-root', media, '--recording-root', path.join(base, 'recordings'), '--web-root', web, ...flags], { cwd: top, env, stdio: ['ignore', 'pipe', 'pipe'] });
    const it = child;
    // A test run that is cut short leaves no server behind.
    const last = () => it.kill('SIGKILL');
    process.once('exit', last);
    it.once('exit', () => process.off('exit', last));
    it.stderr.on('data', (text) => (log = (log + text).slice(-200_000)));
    return new Promise((done, failed) => {
      const late = setTimeout(() => failed(new Error(`the server does not listen within ${startMs} ms\n${log}`)), startMs);
      let out = '';
      it.once('error', failed);
      it.once('exit', (code, signal) => failed(new Error(`the server ended with ${code ?? signal}\n${log}`)));
      it.stdout.on('data', (text) => {
        out += text;
        const line = /^listening (\S+)$/m.exec(out);
        if (!line) return;
        clearTimeout(late);
        done(line[1]);
      });
    });
  };
  const stop = async () => {
    try {
      await end();
    } finally {
      if (!beside) await run('dropdb', ['-h', pg, '-U', 'owner', '--if-exists', '--force', name], { env });
      await fs.rm(base, { recursive: true, force: true });
    }
  };

  try {
    if (!beside) await ovation('migrate', '--owner-database', owner, '--database', database);
    await prepare?.(psql);
    for (const [handle, roles] of Object.entries(beside ? {} : people))
      await ovation('users', 'create', handle, '--name', `Wire ${handle}`, '--password', password, ...roles.flatMap((r) => ['--role', r]), '--database', database);
    if (songs && !beside) await ovation('songs', 'import', 'songs/demo', '--keys', '0', '--media-root', media, '--database', database);
    const url = await launch(asked);
    /** Ends the server by a signal and starts it again on the same port. */
    const restart = async (signal = 'SIGTERM') => {
      await end(signal);
      await launch(new URL(url).port);
    };
    return makeHandle({ url, ovation, conninfo: database, database: name, base, media, web, psql, stop, restart, child: () => child, log: () => log });
  } catch (failure) {
    await stop();
    throw failure;
  }
}

function makeHandle(s) {
  const { hostname, port } = new URL(s.url);
  const tokens = new Map();
  const server = {
    ...s,
    hostname,
    port: Number(port),
    running: () => s.child().exitCode === null && s.child().signalCode === null,

    /** One unary RPC in JSON: `rpc('RoomService/GetRoom', {roomId: 1}, {token, headers})`; throws RpcError. */
    async rpc(method, request = {}, { token, headers = {} } = {}) {
      const answer = await fetch(`${s.url}/ovation.v1.${method}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'connect-protocol-version': '1', ...(token ? { authorization: `Bearer ${token}` } : {}), ...headers },
        body: JSON.stringify(request),
        signal: AbortSignal.timeout(30_000),
      });
      const text = await answer.text();
      let body = null;
      try {
        body = JSON.parse(text);
      } catch {
        body = { code: 'not_json', message: text };
      }
      if (answer.status !== 200) throw new RpcError(answer.status, body, answer.headers);
      return body;
    },

    /** The access token of one of the people; kept, as log-ins have a rate. */
    async logIn(handle) {
      if (!tokens.has(handle)) tokens.set(handle, (await server.rpc('AuthService/LogIn', { handle, password })).accessToken);
      return tokens.get(handle);
    },

    /** A room with an open show: the agent makes channel and room, the singer opens. */
    async makeRoom({ channelName = 'Wire channel', roomName = 'Wire room' } = {}) {
      const agent = await server.logIn('agent');
      const singer = await server.logIn('singer');
      const channel = await server.rpc('ChannelService/CreateChannel', { name: channelName }, { token: agent });
      const room = await server.rpc('RoomService/CreateRoom', { channelId: channel.id, name: roomName, singerHandle: 'singer' }, { token: agent });
      return server.rpc('RoomService/OpenShow', { roomId: room.id }, { token: singer });
    },
  };
  return server;
}
