// RPC and the live wire over TLS 1.2 and 1.3; older versions are refused; a socket moves to its room's core with its TLS state.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import https from 'node:https';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { startServer } from './harness.mjs';
import { acceptFor, frame, op } from './raw.mjs';

const folder = mkdtempSync(path.join(os.tmpdir(), 'ovation-tls-'));
const cert = path.join(folder, 'cert.pem');
const key = path.join(folder, 'key.pem');
execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-keyout', key, '-out', cert], { stdio: 'ignore' });
const ca = readFileSync(cert);
process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';  // the harness' fetch; the cases below verify the certificate themselves
let server;
const rooms = [];

before(async () => {
  server = await startServer({ songs: false, flags: ['--tls-cert', cert, '--tls-key', key, '--cores', '2'] });
  const room = await server.makeRoom();
  rooms.push(room.id);
  const agent = await server.logIn('agent');
  rooms.push((await server.rpc('RoomService/CreateRoom', { channelId: room.channelId, name: 'the other core', singerHandle: 'singer' }, { token: agent })).id);
});
after(async () => {
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const enter = (version, room) =>
  new Promise((done, failed) => {
    const k = 'dGhlIHNhbXBsZSBub25jZQ==';
    const request = https.request({ host: '127.0.0.1', port: server.port, path: '/v1/live', ca, rejectUnauthorized: true, minVersion: version, maxVersion: version, headers: { Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': k, 'Sec-WebSocket-Protocol': 'ovation.v1.json' } });
    request.on('error', failed);
    request.on('upgrade', (answer, socket) => {
      assert.equal(answer.headers['sec-websocket-accept'], acceptFor(k));
      assert.equal(socket.getProtocol(), version);
      socket.write(frame(op.text, JSON.stringify({ requestId: '1', enter: { roomId: room } })));
      let bytes = Buffer.alloc(0);
      socket.on('data', (part) => {
        bytes = Buffer.concat([bytes, part]);
        if (!bytes.includes('"welcome"')) return;
        socket.destroy();
        done();
      });
      socket.setTimeout(5_000, () => failed(new Error('no welcome')));
    });
    request.end();
  });

for (const version of ['TLSv1.2', 'TLSv1.3'])
  for (const which of [0, 1]) test(`${version}: a room on ${which === 0 ? 'one core' : 'the other core'} is entered`, () => enter(version, rooms[which]));
test('an RPC over TLS', async () => assert.ok((await server.rpc('RoomService/ListLiveRooms')).rooms.length === 1));
test('TLS 1.1 is refused', async () => {
  await assert.rejects(new Promise((done, failed) => tls.connect({ host: '127.0.0.1', port: server.port, ca, minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }, done).on('error', failed)));
});
test('plain HTTP on the TLS port ends at once', async () => {
  await assert.rejects(fetch(`http://127.0.0.1:${server.port}/healthz`, { signal: AbortSignal.timeout(3_000) }));
});
