// Two on one stage, on the wire: who may have the seat, both voices on one clock, who is lost while the other sings on, a
// restart, each judged on their own part, and gifts to either.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync } from 'node:fs';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { create, createFileRegistry, fromBinary, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { password, sleep, startServer, top, until } from './harness.mjs';
import { wav } from '../e2e/signal.mjs';
import { Live, op } from './raw.mjs';

const folder = mkdtempSync(path.join(os.tmpdir(), 'ovation-duet-'));
execFileSync('protoc', ['-I', path.join(top, 'proto'), '--include_imports', `--descriptor_set_out=${path.join(folder, 'set')}`, 'ovation/v1/live.proto']);
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(path.join(folder, 'set'))));
const clientFrame = registry.getMessage('ovation.v1.ClientFrame');
const serverFrame = registry.getMessage('ovation.v1.ServerFrame');
const numberOf = (name, value) => registry.getEnum(`ovation.v1.${name}`).values.find((v) => v.name === value).number;
const state = (name) => numberOf('Stage.State', `STATE_${name}`);
const seat = (name) => numberOf('ArrangeSeat.Action', `ACTION_${name}`);
const control = (name) => numberOf('ControlSong.Action', `ACTION_${name}`);
const rate = 48_000;
const jumped = 2;
const beats = 8 * 8; // of 125 ms
let server, room, ids, songs;
const open = [];

// A socket that keeps all it was told.
class Page {
  static async enter(handle, { sound = false, of = room } = {}) {
    const page = new Page();
    page.live = await Live.open(server, { protocol: 'ovation.v1.proto' });
    open.push(page);
    void page.read();
    page.ping = setInterval(() => void page.send({ case: 'ping', value: {} }, 0n), 8_000);
    page.welcome = (await page.ask('enter', { roomId: BigInt(of.id), accessToken: handle ? await server.logIn(handle) : '', noMedia: !sound, bufferMs: 1_000 })).value;
    assert.equal(page.welcome.$typeName, 'ovation.v1.Welcome', `${handle} is let in`);
    page.stage ??= page.welcome.stage;
    return page;
  }
  media = [];
  frames = [];
  scores = [];
  timing = []; // ms
  waiting = new Map();
  next = 1n;
  async read() {
    for (let f; (f = await this.live.next(60_000)); ) {
      this.live.seen.length = 0;
      if (f.opcode !== op.binary) continue;
      const m = fromBinary(serverFrame, f.payload);
      if (m.body.case === 'media') this.media.push(m.body.value);
      if (m.body.case === 'stage') this.stage = m.body.value;
      if (m.body.case === 'scoreTotal') this.scores.push(m.body.value);
      if (m.body.case === 'seatTiming') this.timing.push(Number(m.body.value.behind) / 48);
      this.waiting.get(m.requestId)?.(m.body);
      this.waiting.delete(m.requestId);
    }
  }
  send(command, requestId) {
    return this.live.send(op.binary, Buffer.from(toBinary(clientFrame, create(clientFrame, { requestId, command: { case: command.case, value: create(clientFrame.field[command.case].message, command.value) } }))));
  }
  async ask(name, value = {}) {
    const id = this.next++;
    const answer = new Promise((done, failed) => {
      const late = setTimeout(() => failed(new Error(`no answer to ${name}`)), 8_000);
      this.waiting.set(id, (body) => (clearTimeout(late), done(body)));
    });
    await this.send({ case: name, value }, id);
    return answer;
  }
  // 'done', or the reason of the refusal.
  async tries(name, value) {
    const body = await this.ask(name, value);
    return body.case === 'refused' ? body.value.detail.reason : body.case;
  }
  async does(name, value) {
    assert.equal(await this.tries(name, value), 'done', name);
  }
  when(fits, what) {
    return until(() => this.stage && fits(this.stage), 8_000, what);
  }
  lose() {
    clearInterval(this.ping);
    this.singing = null;
    this.live.destroy();
  }
  // The song began at `began` and is sung from now on: packets, 60 ms at a time, as late as this singer's way is, until
  // silence() or the last one.
  sing({ began, performance = this.stage.performanceId, packets, lateMs = 0, until: last = Infinity }) {
    const mine = (this.singing = {});
    const base = BigInt(Math.floor(Math.random() * 1e9)); // media time counts from anywhere
    this.sung = (async () => {
      for (let i = Math.max(0, Math.ceil((Date.now() - began) / 60) * 3); this.singing === mine && i < last && (!packets || i < packets.length); i += 3) {
        await sleep(Math.max(0, began + (i + 3) * 20 + lateMs - Date.now()));
        if (this.singing !== mine) return;
        const voice = packets ? packets.slice(i, i + 3) : [0, 1, 2].map(() => Buffer.from([0xf8, 0xff, 0xfe]));
        await this.send({ case: 'media', value: { performanceId: performance, mediaTime: base + BigInt(i * 960), songPosition: BigInt(i * 960 - 312), voice } }, 0n);
      }
    })();
    return this.sung;
  }
  async silence() {
    this.singing = null;
    await this.sung;
  }
  // What of this publisher came after the n-th message of all.
  of(handle, after = 0) {
    return this.media.slice(after).filter((m) => m.publisherId === ids[handle]);
  }
  hears(handle, count, after = this.media.length) {
    return until(() => this.of(handle, after).length >= count, 10_000, `${count} messages of ${handle} are heard`);
  }
}
const offset = (m) => Number(m.mediaTime - m.songPosition);
// All these voices lie on one clock.
function oneClock(messages, what) {
  const all = new Set(messages.map(offset));
  assert.equal(all.size, 1, `${what}: media time − song position is ${[...all]}`);
  return [...all][0];
}
// What the listener needs of the backing is there, each packet once.
function wholeBacking(messages, what) {
  assert.ok(messages.some((m) => m.backing.length > 0), `${what}: there is a backing`);
  let next;
  for (const m of messages.filter((x) => x.backing.length > 0)) {
    if (next !== undefined) assert.equal(m.backingFirst, next, `${what}: the backing goes on`);
    next = m.backingFirst + m.backing.length;
  }
}
function packetsOf(bytes) {
  const packets = [];
  let part = [];
  for (let at = 0; at + 27 <= bytes.length; ) {
    const segments = bytes[at + 26];
    let body = at + 27 + segments;
    for (let i = 0; i < segments; ++i) {
      const size = bytes[at + 27 + i];
      part.push(bytes.subarray(body, (body += size)));
      if (size === 255) continue;
      packets.push(Buffer.concat(part));
      part = [];
    }
    at = body;
  }
  return packets.slice(2);
}
// A song with two parts that share no tone, and each part as a voice that keeps to it.
const tones = [[0, 4], [2, 9]];
const notes = (part) => Array.from({ length: beats / 8 }, (_, i) => ({ at: i * 8, length: 6, tone: tones[part][i % 2] }));
const voiceOf = (part, key = 0) => {
  const x = new Float32Array((beats / 8 + 0.5) * rate);
  for (const n of notes(part))
    for (let i = 0; i < n.length * 6_000; ++i)
      for (let h = 1; h <= 4; ++h) x[n.at * 6_000 + i] += (0.25 / h) * Math.min(1, i / 480) * Math.sin((2 * Math.PI * h * 261.6256 * 2 ** ((n.tone + key) / 12) * i) / rate);
  return x;
};
async function makeDuet() {
  const to = path.join(folder, 'songs');
  await fs.mkdir(to);
  const text = (part) => notes(part).map((n, i) => `: ${n.at} ${n.length} ${n.tone} la${i}\n${i % 2 === 1 ? `- ${n.at + 7}\n` : ''}`).join('');
  await fs.writeFile(path.join(to, 'parts.wav'), wav(new Float32Array((beats / 8 + 1) * rate), rate));
  await fs.writeFile(path.join(to, 'parts.txt'), `#VERSION:1.0.0\n#TITLE:Two Parts\n#ARTIST:Test\n#AUDIO:parts.wav\n#BPM:120\n#OVATION-RIGHTS:public-domain\nP1\n${text(0)}P2\n${text(1)}E\n`);
  await server.ovation('songs', 'import', to, '--keys', '0:2', '--media-root', server.media, '--database', server.conninfo);
}
function encoded(part, key = 0) {
  const [from, to] = [`v${part}_${key}.wav`, `v${part}_${key}.opus`].map((n) => path.join(folder, n));
  return fs.writeFile(from, wav(voiceOf(part, key), rate)).then(() => {
    execFileSync('ffmpeg', ['-loglevel', 'error', '-y', '-i', from, '-c:a', 'libopus', '-b:a', '32k', '-frame_duration', '20', '-application', 'voip', to]);
    return packetsOf(readFileSync(to));
  });
}
const uuid7 = () => {
  const time = Date.now().toString(16).padStart(12, '0');
  const rest = randomBytes(10).toString('hex');
  return `${time.slice(0, 8)}-${time.slice(8)}-7${rest.slice(0, 3)}-8${rest.slice(3, 6)}-${rest.slice(6, 18)}`;
};
const earned = async (handle) => (await server.rpc('LedgerService/ListPostings', { account: 'earnings' }, { token: await server.logIn(handle) })).postings ?? [];

before(async () => {
  server = await startServer();
  for (const handle of ['singer2', 'singer3', 'singer4']) await server.ovation('users', 'create', handle, '--name', `Wire ${handle}`, '--password', password, '--role', 'singer', '--database', server.conninfo);
  await makeDuet();
  ids = Object.fromEntries(Object.entries(JSON.parse(await server.psql('select json_object_agg(subject, id) from identity.users'))).map(([k, v]) => [k, BigInt(v)]));
  room = await server.makeRoom();
  songs = Object.fromEntries((await server.rpc('SongService/ListSongs')).songs.map((s) => [s.title, BigInt(s.id)]));
});
after(async () => {
  for (const page of open) page.lose();
  await server?.stop();
  await fs.rm(folder, { recursive: true, force: true });
});

describe('the seat', () => {
  let singer, guest, third, agent, listener;
  before(async () => {
    [singer, guest, third, agent, listener] = await Promise.all(['singer', 'singer2', 'singer3', 'agent', 'listener'].map((h) => Page.enter(h)));
    await singer.does('takeStage');
  });
  after(() => [singer, guest, third, agent, listener].forEach((p) => p.lose()));

  test('is locked at first; it is for singers, and not for the room’s own', async () => {
    assert.equal(singer.stage.seatLocked, true);
    assert.equal(await guest.tries('takeSeat'), 'seat_locked');
    assert.equal(await listener.tries('takeSeat'), 'role_missing');
    assert.equal(await singer.tries('takeSeat'), 'own_room');
    assert.equal(await guest.tries('leaveSeat'), 'permission_denied');
  });
  test('is arranged by staff, and only singers whom somebody knows are invited', async () => {
    for (const page of [guest, listener]) assert.equal(await page.tries('arrangeSeat', { action: seat('UNLOCK') }), 'permission_denied');
    for (const handle of ['nobody', 'listener', 'singer', '']) assert.equal(await singer.tries('arrangeSeat', { action: seat('INVITE'), handle }), 'invalid_argument', `“${handle}”`);
    assert.equal(await singer.tries('arrangeSeat', { action: seat('MUTE'), userId: ids.singer2 }), 'invalid_argument');
    assert.equal(await singer.tries('arrangeSeat', {}), 'invalid_argument');
    await agent.does('arrangeSeat', { action: seat('LOCK') });
  });
  test('is for who is invited, once', async () => {
    await agent.does('arrangeSeat', { action: seat('INVITE'), handle: 'singer2' });
    await singer.when((s) => s.invitedId === ids.singer2 && s.invitedName === 'Wire singer2', 'the invitation is shown');
    assert.equal(await third.tries('takeSeat'), 'seat_locked');
    await guest.does('takeSeat');
    await listener.when((s) => s.seats.length === 2, 'both seats are shown');
    assert.deepEqual(listener.stage.seats.map((x) => [x.userId, x.name, x.away, x.muted]), [[ids.singer, 'Wire singer', false, false], [ids.singer2, 'Wire singer2', false, false]]);
    assert.equal(listener.stage.invitedId, 0n);
    assert.equal(await third.tries('takeSeat'), 'seat_taken');
    assert.equal(await singer.tries('arrangeSeat', { action: seat('INVITE'), handle: 'singer3' }), 'seat_taken');
    for (const name of ['takeStage', 'leaveStage', 'pickSong', 'controlSong', 'setStage']) assert.equal(await guest.tries(name), 'permission_denied', name);
    await guest.does('leaveSeat');
    await listener.when((s) => s.seats.length === 0, 'the seat is empty');
    assert.equal(await guest.tries('takeSeat'), 'seat_locked');
    assert.equal(await guest.tries('media', { voice: [Buffer.from([0xf8, 0xff, 0xfe])] }), 'permission_denied');
  });
  test('is not for whose invitation was taken back', async () => {
    await singer.does('arrangeSeat', { action: seat('INVITE'), handle: 'singer2' });
    await singer.does('arrangeSeat', { action: seat('REMOVE'), userId: ids.singer2 });
    assert.equal(await guest.tries('takeSeat'), 'seat_locked');
  });
  test('is for every singer while it is not locked; staff removes', async () => {
    await singer.does('arrangeSeat', { action: seat('UNLOCK') });
    await third.does('takeSeat');
    await singer.does('arrangeSeat', { action: seat('REMOVE'), userId: ids.singer3 });
    await third.when((s) => s.seats.length === 0, 'the seat is empty');
    assert.equal(await third.tries('leaveSeat'), 'permission_denied');
  });
  test('is empty after a kick', async () => {
    const fourth = await Page.enter('singer4');
    await fourth.does('takeSeat');
    await server.rpc('RoomService/KickUser', { roomId: room.id, userId: String(ids.singer4), reason: 'enough', minutes: 5 }, { token: await server.logIn('singer') });
    await listener.when((s) => s.seats.length === 0, 'the seat is empty');
    await guest.does('takeSeat');
    await guest.does('leaveSeat');
    await singer.does('arrangeSeat', { action: seat('LOCK') });
  });
});

async function duet(song, voice = 0) {
  const [singer, guest, early] = await Promise.all([Page.enter('singer'), Page.enter('singer2'), Page.enter('', { sound: true })]);
  await singer.does('takeStage');
  if (singer.stage.seats.length === 0) await singer.does('arrangeSeat', { action: seat('INVITE'), handle: 'singer2' });
  await guest.does('takeSeat');
  await singer.does('pickSong', { songId: songs[song], voice });
  await guest.when((s) => s.songId === songs[song] && s.performanceId === singer.stage.performanceId, 'the guest is told the song');
  return { singer, guest, early };
}
async function begin(singer, guest) {
  await singer.does('controlSong', { action: control('PLAY') });
  for (const page of [singer, guest]) await page.when((s) => s.startAtMs !== 0n, 'a common start is told');
  assert.equal(singer.stage.startAtMs, guest.stage.startAtMs);
  assert.equal(singer.stage.songPosition, 0n);
  assert.ok(singer.stage.startAtMs > singer.stage.serverTimeMs, 'the start is still to come');
  const began = Number(singer.stage.startAtMs);
  await sleep(began - Date.now());
  return began;
}

describe('a duet', () => {
  let singer, guest, early;
  let began; // of the song, by the clock
  before(async () => ({ singer, guest, early } = await duet('送别')));
  after(() => [singer, guest, early].forEach((p) => p.lose()));

  test('begins at one moment, and both voices lie on one clock for early and late listeners', async () => {
    began = await begin(singer, guest);
    singer.sing({ began, lateMs: 30 });
    guest.sing({ began, lateMs: 120 });
    await early.when((s) => s.state === state('PLAYING') && s.startAtMs === 0n, 'the first voice sets the song going');
    await early.hears('singer2', 20);
    const late = await Page.enter('', { sound: true });
    await late.hears('singer', 10, 0);
    await late.hears('singer2', 10, 0);
    const at = oneClock(early.media, 'the early listener');
    assert.equal(oneClock(late.media, 'the late listener'), at);
    for (const m of [early, late]) {
      const ends = m.media.map((x) => x.songPosition + BigInt(x.voice.length * 960));
      assert.deepEqual(ends, ends.toSorted((a, b) => Number(a - b)), 'neither voice runs ahead of the other');
      wholeBacking(m.media, 'a listener');
    }
    assert.equal(early.media.filter((m) => m.flags & jumped).length, 1, 'only the first message begins a segment');
    late.lose();
  });
  test('again from the start: what still comes from the place before holds nobody up', async () => {
    await singer.silence();
    await singer.does('controlSong', { action: control('SEEK'), songPosition: 0n });
    began = await begin(singer, guest); // the guest is told late, and has sung on
    assert.equal(singer.stage.state, state('PAUSED'));
    await guest.silence();
    const from = early.media.length;
    singer.sing({ began, lateMs: 30 });
    guest.sing({ began, lateMs: 120 });
    for (const who of ['singer', 'singer2']) await early.hears(who, 20, from);
    assert.ok(early.media.slice(from).every((m) => m.songPosition < 10n * 48_000n), 'only the new place is heard');
    oneClock(early.media.slice(from), 'from the start');
    early.media.splice(0, from);
  });
  test('a guest whose voice keeps coming too late is told by how much, and is heard again once moved', async () => {
    await guest.silence();
    guest.sing({ began, lateMs: 630 });
    await until(() => guest.timing.length > 0, 10_000, 'the guest is told');
    assert.ok(Math.abs(guest.timing[0] - 600) < 100, `by ${guest.timing[0]} ms`);
    await guest.silence();
    const from = early.media.length;
    guest.sing({ began: began - guest.timing[0], lateMs: 630 });
    await early.hears('singer2', 20, from);
    oneClock(early.media.slice(from), 'after the move');
    await guest.silence();
    assert.deepEqual([guest.timing.length, singer.timing.length], [1, 0], 'once, and only the guest');
    early.media.splice(0, from);
    guest.sing({ began, lateMs: 120 });
    await early.hears('singer2', 5);
  });
  test('who is muted is not heard', async () => {
    await singer.does('arrangeSeat', { action: seat('MUTE'), userId: ids.singer2 });
    await early.when((s) => s.seats[1].muted, 'the mute is shown');
    const from = early.media.length;
    await early.hears('singer', 10, from);
    // What waited for the singer's may still come out.
    assert.ok(early.of('singer2', from).length <= 5);
    const then = early.media.length;
    await early.hears('singer', 10, then);
    assert.equal(early.of('singer2', then).length, 0);
    await singer.does('arrangeSeat', { action: seat('UNMUTE'), userId: ids.singer2 });
    await early.hears('singer2', 5);
    oneClock(early.media, 'after the mute');
  });
  test('the guest is lost: the seat is kept, the singer sings on, the guest comes back in place', async () => {
    guest.lose();
    await early.when((s) => s.seats[1]?.away === true, 'the guest is away');
    assert.equal(early.stage.state, state('PLAYING'));
    const from = early.media.length;
    await early.hears('singer', 15, from);
    const other = await Page.enter('singer3');
    assert.equal(await other.tries('takeSeat'), 'seat_taken');
    other.lose();
    guest = await Page.enter('singer2');
    assert.equal(await guest.tries('media', { voice: [Buffer.from([0xf8, 0xff, 0xfe])] }), 'not_on_stage');
    await guest.does('takeSeat');
    await early.when((s) => s.seats[1]?.away === false, 'the guest is back');
    guest.sing({ began, lateMs: 120 });
    await early.hears('singer2', 10);
    oneClock(early.media, 'after the guest came back');
    wholeBacking(early.media, 'after the guest came back');
  });
  test('the singer is lost: the guest sings on over the backing, the singer comes back in place', async () => {
    const from = early.media.length;
    singer.lose();
    await early.when((s) => s.seats[0]?.away === true, 'the singer is away');
    assert.equal(early.stage.state, state('PLAYING'));
    assert.ok(early.stage.reconnectUntilMs > early.stage.serverTimeMs, 'until when the stage is kept is told');
    await early.hears('singer2', 30);
    assert.equal(early.stage.state, state('PLAYING'));
    wholeBacking(early.media.slice(from), 'while the singer is away');
    assert.ok(early.media.slice(from).every((m) => !(m.flags & jumped)), 'no jump');
    singer = await Page.enter('singer');
    await singer.does('takeStage');
    await early.when((s) => s.seats[0]?.away === false && s.state === state('PLAYING'), 'the singer is back and the song goes on');
    singer.sing({ began, lateMs: 30 });
    await early.hears('singer', 10);
    oneClock(early.media, 'after the singer came back');
    wholeBacking(early.media, 'after the singer came back');
  });
  test('both are lost, whoever is first: the stage waits', async () => {
    singer.lose();
    await early.when((s) => s.seats[0]?.away, 'the singer is away');
    assert.equal(early.stage.state, state('PLAYING'));
    guest.lose();
    await early.when((s) => s.seats[1]?.away && s.state === state('RECONNECTING'), 'nobody is left to sing');
    guest = await Page.enter('singer2');
    await guest.does('takeSeat');
    singer = await Page.enter('singer');
    await singer.does('takeStage');
    await early.when((s) => s.state === state('PAUSED') && !s.seats[0].away && !s.seats[1].away, 'both are back');
  });
  test('the guest leaves while the singer is away: the stage waits', async () => {
    guest.sing({ began });
    await early.when((s) => s.state === state('PLAYING'), 'the guest sings');
    singer.lose();
    await early.when((s) => s.seats[0]?.away, 'the singer is away');
    await guest.does('leaveSeat');
    await early.when((s) => s.seats.length === 0 && s.state === state('RECONNECTING'), 'nobody is left to sing');
    singer = await Page.enter('singer');
    await singer.does('takeStage');
    await singer.does('arrangeSeat', { action: seat('INVITE'), handle: 'singer2' });
    await guest.silence();
    await guest.does('takeSeat');
  });
  test('a restart keeps the guest’s seat for the guest', async () => {
    await until(async () => (await server.psql('select coalesce(guest_id, 0) from rooms.show order by id desc limit 1')) === String(ids.singer2), 5_000, 'the seat is kept');
    await singer.does('setStage', { effect: 'ktv', hideScore: true });
    await until(async () => (await server.psql('select effect from rooms.show order by id desc limit 1')) === 'ktv', 5_000, 'the dress is kept');
    await server.restart('SIGKILL');
    const other = await Page.enter('singer3');
    assert.deepEqual(other.welcome.stage.seats.map((x) => [x.userId, x.away]), [[ids.singer, true], [ids.singer2, true]]);
    assert.deepEqual([other.welcome.stage.seatLocked, other.welcome.stage.effect, other.welcome.stage.hideScore], [true, 'ktv', true]);
    assert.equal(await other.tries('takeSeat'), 'seat_taken');
    guest = await Page.enter('singer2');
    await guest.does('takeSeat');
    singer = await Page.enter('singer');
    await singer.does('takeStage');
    await singer.when((s) => s.seats.length === 2 && s.seats.every((x) => !x.away), 'both are back');
    other.lose();
  });
});

describe('scores', () => {
  let singer, guest, early, packets;
  before(async () => {
    packets = await Promise.all([0, 1].map((part) => encoded(part)));
    ({ singer, guest, early } = await duet('Two Parts'));
  });
  after(() => [singer, guest, early].forEach((p) => p.lose()));
  const sung = async (voice, key = 0, sounds = packets, record = false) => {
    await singer.does('pickSong', { songId: songs['Two Parts'], voice, key, record });
    await guest.when((s) => s.performanceId === singer.stage.performanceId, 'the guest is told the song');
    const performance = singer.stage.performanceId;
    assert.deepEqual(singer.stage.seats.map((x) => x.voice), voice === 2 ? [2, 1] : [1, 2]);
    const began = await begin(singer, guest);
    await Promise.all([singer.sing({ began, packets: sounds[0], performance }), guest.sing({ began, packets: sounds[1], performance, lateMs: 60 })]);
    await singer.does('controlSong', { action: control('STOP') });
    return performance;
  };
  const totals = async (performance, count) => {
    await until(() => early.scores.filter((s) => s.performanceId === performance).length >= count, 10_000, `${count} totals`);
    return Object.fromEntries(early.scores.filter((s) => s.performanceId === performance).map((s) => [s.singerId, s.points]));
  };
  const rows = async (performance) => (await server.psql(`select singer_id, voice, rules, points from rooms.take where performance_id = ${performance} order by 1, 3`)).split('\n').filter(Boolean).map((l) => l.split('|'));

  test('each is judged on their own part, and both takes are kept', async () => {
    const performance = await sung(1);
    const got = await totals(performance, 2);
    assert.ok(got[ids.singer] >= 9_000 && got[ids.singer2] >= 9_000, JSON.stringify(got, (_, v) => (typeof v === 'bigint' ? Number(v) : v)));
    assert.deepEqual((await rows(performance)).map((r) => r.slice(0, 3)), [[String(ids.singer), '1', 'ovation-1'], [String(ids.singer), '1', 'usdx-1'], [String(ids.singer2), '2', 'ovation-1'], [String(ids.singer2), '2', 'usdx-1']]);
  });
  test('the other way round neither keeps to the part', async () => {
    const performance = await sung(2);
    const got = await totals(performance, 2);
    assert.ok(got[ids.singer] < 3_000 && got[ids.singer2] < 3_000, `${Object.values(got)}`);
    assert.deepEqual((await rows(performance)).map((r) => r.slice(0, 2)), [[String(ids.singer), '2'], [String(ids.singer), '2'], [String(ids.singer2), '1'], [String(ids.singer2), '1']]);
  });
  test('in another key: the kept takes score the same again, by both rules', async () => {
    const performance = await sung(1, 2, await Promise.all([0, 1].map((part) => encoded(part, 2))));
    const got = await totals(performance, 2);
    assert.ok(got[ids.singer] >= 9_000 && got[ids.singer2] >= 9_000, `${Object.values(got)}`);
    for (const who of ['singer', 'singer2'])
      for (const rules of ['ovation-1', 'usdx-1']) {
        const { stdout } = await server.ovation('songs', 'score', `take:${performance}:${ids[who]}`, String(songs['Two Parts']), '--rules', rules, '--database', server.conninfo);
        assert.match(stdout, /equal to the stored score/, `${who} by ${rules}`);
      }
  });
  test('a recording of both is open only while both agree', async () => {
    await guest.does('leaveSeat');
    await singer.does('arrangeSeat', { action: seat('INVITE'), handle: 'singer2' });
    await guest.does('takeSeat', { record: true });
    await singer.when((s) => s.seats.length === 2, 'the guest sits again');
    const performance = await sung(1, 0, packets, true);
    await totals(performance, 2);
    const [first, second] = await Promise.all(['singer', 'singer2'].map((h) => server.logIn(h)));
    const made = await until(async () => ((await server.rpc('RecordingService/ListRecordings', {}, { token: second })).recordings ?? []).find((r) => r.state === 'RECORDING_STATE_READY'), 20_000, 'the mix is made');
    assert.deepEqual(made.singers.map((s) => [s.userId, s.voice]).sort(), [[String(ids.singer), 1], [String(ids.singer2), 2]].sort());
    const say = (token, consents) => server.rpc('RecordingService/SetConsent', { recordingId: made.id, consents }, { token });
    const open = (r) => server.rpc('RecordingService/GetRecording', { token: r.token }).then(() => 'open', (e) => e.code);
    const one = await say(first, true);
    assert.deepEqual([one.published ?? false, await open(one)], [false, 'not_found'], 'one is not enough');
    const both = await say(second, true);
    assert.deepEqual([both.published, await open(both)], [true, 'open']);
    const none = await say(second, false);
    assert.deepEqual([none.published ?? false, await open(both), await open(none)], [false, 'not_found', 'not_found'], 'either may take it back');
  });
  test('who is muted is not scored', async () => {
    await singer.does('arrangeSeat', { action: seat('MUTE'), userId: ids.singer2 });
    const performance = await (async () => {
      await singer.does('pickSong', { songId: songs['Two Parts'] });
      const of = singer.stage.performanceId;
      const began = Date.now();
      await Promise.all([singer.sing({ began, packets: packets[0], performance: of, until: 120 }), guest.sing({ began, packets: packets[1], performance: of, until: 120 })]);
      await singer.does('controlSong', { action: control('STOP') });
      return of;
    })();
    assert.deepEqual(Object.keys(await totals(performance, 1)), [String(ids.singer)]);
    assert.deepEqual([...new Set((await rows(performance)).map((r) => r[0]))], [String(ids.singer)]);
    await singer.does('arrangeSeat', { action: seat('UNMUTE'), userId: ids.singer2 });
  });
});

describe('gifts', () => {
  let singer, guest, early, giver, gift;
  before(async () => {
    ({ singer, guest, early } = await duet('送别'));
    giver = await Page.enter('listener');
    const token = await server.logIn('listener');
    const order = await server.rpc('PaymentService/CreateTopUp', { key: randomUUID(), packId: '2', provider: 'sandbox' }, { token });
    await server.rpc('PaymentService/PaySandboxOrder', { orderId: order.orderId }, { token });
    gift = (await server.rpc('GiftService/ListGifts')).gifts.find((g) => g.tier === 'rose');
  });
  after(() => [singer, guest, early, giver].forEach((p) => p.lose()));
  const give = (toSingerId) => giver.ask('sendGift', { key: uuid7(), roomId: BigInt(room.id), giftId: BigInt(gift.id), quantity: 1, priceVersion: gift.priceVersion, toSingerId });

  test('go to whom they are for', async () => {
    for (const [to, handle, other] of [[ids.singer2, 'singer2', 'singer'], [ids.singer, 'singer', 'singer2'], [0n, 'singer', 'singer2']]) {
      const before = [(await earned(handle)).length, (await earned(other)).length];
      const sent = await give(to);
      assert.equal(sent.case, 'giftSent', JSON.stringify(sent.value?.detail?.reason));
      const mine = await earned(handle);
      assert.equal(mine.length, before[0] + 1, `${handle} has it`);
      assert.equal(mine[0].entrySeq, String(sent.value.entrySeq));
      assert.equal((await earned(other)).length, before[1]);
    }
  });
  test('to who has left are refused, and nothing is charged', async () => {
    const wallet = async () => (await server.rpc('LedgerService/GetWallet', {}, { token: await server.logIn('listener') })).coins;
    await guest.does('leaveSeat');
    const [coins, before] = [await wallet(), (await earned('singer2')).length];
    for (const to of [ids.singer2, ids.singer3]) {
      const sent = await give(to);
      assert.equal(sent.value.detail?.reason, 'wrong_singer');
    }
    assert.equal(await wallet(), coins);
    assert.equal((await earned('singer2')).length, before);
  });
});
