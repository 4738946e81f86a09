// The command-line publisher sends a real Ogg Opus file; listeners get its packets unchanged, in order, each labelled with media
// time and song position; who comes late gets the last messages at once; who wants no media gets the stage's position.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { create, createFileRegistry, fromBinary, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { password, startServer, top, until } from './harness.mjs';
import { Live, op } from './raw.mjs';

const out = path.join(mkdtempSync(path.join(os.tmpdir(), 'ovation-media-')), 'set.binpb');
execFileSync('protoc', ['-I', path.join(top, 'proto'), '--include_imports', `--descriptor_set_out=${out}`, 'ovation/v1/live.proto']);
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(out)));
const client = registry.getMessage('ovation.v1.ClientFrame');
const serverFrame = registry.getMessage('ovation.v1.ServerFrame');
let server, room, file, publisher;

// The audio packets of an Ogg file, by its lacing values.
function oggPackets(bytes) {
  const packets = [];
  let open = [];
  for (let at = 0; at + 27 <= bytes.length; ) {
    assert.equal(bytes.toString('latin1', at, at + 4), 'OggS');
    const segments = bytes[at + 26];
    let body = at + 27 + segments;
    for (let i = 0; i < segments; ++i) {
      const size = bytes[at + 27 + i];
      open.push(bytes.subarray(body, body + size));
      body += size;
      if (size < 255) {
        packets.push(Buffer.concat(open));
        open = [];
      }
    }
    at = body;
  }
  return packets.slice(2);
}
async function listen(noMedia) {
  const live = await Live.open(server, { protocol: 'ovation.v1.proto' });
  const frame = create(client, { requestId: 1n, command: { case: 'enter', value: create(registry.getMessage('ovation.v1.Enter'), { roomId: BigInt(room.id), noMedia, bufferMs: 500 }) } });
  await live.send(op.binary, Buffer.from(toBinary(client, frame)));
  return live;
}
async function media(live, count) {
  const got = [];
  for (const end = Date.now() + 10_000; got.length < count && Date.now() < end; ) {
    const f = await live.next(end - Date.now());
    if (!f) break;
    if (f.opcode !== op.binary) continue;
    const body = fromBinary(serverFrame, f.payload).body;
    if (body.case === 'media') got.push(body.value);
  }
  return got;
}

before(async () => {
  server = await startServer();
  room = await server.makeRoom();
  file = path.join(server.media, readdirSync(server.media).find((n) => n.endsWith('.opus')));
  const env = Object.fromEntries(Object.entries(process.env).filter(([k]) => !k.startsWith('OVATION_')));
  publisher = spawn(path.resolve(top, process.env.OVATION_BIN || 'build/dev/ovation'), ['publish', file, '--url', server.url, '--handle', 'singer', '--password', password, '--room', String(room.id), '--song', '1', '--seconds', '12'], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  publisher.stdout.on('data', (d) => (said += d));
  await until(() => said.includes('on stage'), 10_000, 'the publisher is on stage');
});
after(async () => {
  publisher?.kill('SIGTERM');
  await server?.stop();
});

test('a listener gets the packets of the file, unchanged and in order, labelled to the sample', async () => {
  const packets = oggPackets(readFileSync(file));
  const live = await listen(false);
  const got = await media(live, 20);
  assert.equal(got.length, 20);
  for (const [i, m] of got.entries()) {
    if (i > 0) assert.equal(m.sequence, got[i - 1].sequence + 1, 'no gap');
    const first = (Number(m.mediaTime) + 312) / 960;
    assert.ok(Number.isInteger(first), 'media time names the first decoded sample: packet × 960 − pre-skip');
    assert.equal(m.songPosition, m.mediaTime);
    assert.ok(m.performanceId > 0n && m.publisherId > 0n);
    assert.equal(m.voice.length, 3);
    for (const [k, packet] of m.voice.entries()) assert.ok(Buffer.from(packet).equals(packets[first + k]), `packet ${first + k}`);
  }
  live.c.socket.destroy();
});

test('a late listener has the last five messages at once', async () => {
  const live = await listen(false);
  const got = await media(live, 6);
  // The first five were sent before this socket was open: they are in order, and what follows joins on without a gap.
  assert.equal(got.length, 6);
  for (let i = 1; i < 6; ++i) assert.equal(got[i].sequence, got[i - 1].sequence + 1);
  live.c.socket.destroy();
});

test('without media the stage says where the song stands', async () => {
  const live = await Live.enter(server, room.id);
  const stage = live.welcome.stage;
  assert.equal(stage.state, 'STATE_PLAYING');
  assert.equal(stage.songId, '1');
  assert.ok(Number(stage.songPosition) > 0);
  const later = await Live.enter(server, room.id);
  const ran = Number(later.welcome.stage.songPosition) - Number(stage.songPosition);
  const passed = (Number(later.welcome.stage.serverTimeMs) - Number(stage.serverTimeMs)) * 48;
  assert.ok(Math.abs(ran - passed) < 48 * 120, `the position runs with the clock: ${ran} samples in ${passed}`);
  live.c.socket.destroy();
  later.c.socket.destroy();
});

test('a singer whose connection dies keeps the stage, and the audience is told', async () => {
  const live = await Live.enter(server, room.id);
  publisher.kill('SIGKILL');
  const told = await live.find((f) => f.opcode === op.text && JSON.parse(f.payload).stage?.state === 'STATE_RECONNECTING');
  assert.ok(told, 'the stage says reconnecting');
  const stage = JSON.parse(told.payload).stage;
  const left = Number(stage.reconnectUntilMs) - Number(stage.serverTimeMs);
  assert.ok(left > 85_000 && left <= 90_000, `${left} ms`);
  assert.ok((await server.rpc('RoomService/GetRoom', { roomId: room.id })).showId, 'the show goes on');
  live.c.socket.destroy();
});
