// What is kept of a performance: the voice as it came, the mix, the share page and its card, consent, gifts to it, deletion; a
// song sung alone; a server that is killed while somebody sings.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs/promises';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { sleep, startServer, until } from './harness.mjs';
import { Live, op } from './raw.mjs';

let server, room, singer, listener, token, audience, song, packets;
let next = 100;

// The audio packets of an Ogg file, by its lacing values.
function oggPackets(bytes) {
  const out = [];
  let open = [];
  for (let at = 0; at + 27 <= bytes.length; ) {
    const segments = bytes[at + 26];
    let body = at + 27 + segments;
    for (let i = 0; i < segments; ++i) {
      const size = bytes[at + 27 + i];
      open.push(bytes.subarray(body, body + size));
      body += size;
      if (size < 255) {
        out.push(Buffer.concat(open));
        open = [];
      }
    }
    at = body;
  }
  return out.slice(2);
}
async function ask(live, command) {
  const id = ++next;
  await live.command(id, command);
  const got = await live.reply(id);
  assert.ok(got, `an answer to ${JSON.stringify(command)}`);
  return got.refused?.detail?.reason ?? 'done';
}
// The newest stage that fits: told already, or on its way.
const stageOf = async (live, wanted) => {
  const fits = (f) => f.opcode === op.text && JSON.parse(f.payload).stage && wanted(JSON.parse(f.payload).stage);
  const got = live.seen.findLast(fits) ?? (await live.find(fits));
  assert.ok(got, 'a stage that fits is told');
  return JSON.parse(got.payload).stage;
};
// `seconds` of the song from `from` on, at 2.5 times its speed: the guide melody as the voice. lateMs: of the device.
async function sing(live, performance, { from = 0, seconds, media = 1_000_000, lateMs = 0 }) {
  const first = Math.round(from * 50);
  for (let i = 0; i < seconds * 50; i += 3) {
    const position = (first + i) * 960 - 312 + lateMs * 48;
    await live.command(0, { media: { performanceId: performance, mediaTime: String(media + i * 960), songPosition: String(position), voice: packets.slice(first + i, first + i + 3).map((p) => p.toString('base64')) } });
    await sleep(24);
  }
}
const mine = async () => (await server.rpc('RecordingService/ListRecordings', {}, { token })).recordings ?? [];
const settled = async (id) => {
  let found;
  await until(async () => {
    found = (await mine()).find((r) => (id ? r.id === id : true));
    return found && ['RECORDING_STATE_READY', 'RECORDING_STATE_FAILED'].includes(found.state);
  }, 30_000, 'the mix is done');
  return found;
};
const uuid7 = () => {
  const b = crypto.getRandomValues(new Uint8Array(16));
  let t = Date.now();
  for (let i = 5; i >= 0; --i, t = Math.floor(t / 256)) b[i] = t % 256;
  b[6] = (b[6] & 15) | 0x70;
  b[8] = (b[8] & 63) | 0x80;
  const h = Buffer.from(b).toString('hex');
  return `${h.slice(0, 8)}-${h.slice(8, 12)}-${h.slice(12, 16)}-${h.slice(16, 20)}-${h.slice(20)}`;
};

before(async () => {
  server = await startServer();
  room = await server.makeRoom();
  token = await server.logIn('singer');
  audience = await server.logIn('listener');
  singer = await Live.enter(server, room.id, { token });
  listener = await Live.enter(server, room.id, { token: audience });
  song = (await server.rpc('SongService/ListSongs')).songs[0];
  const guide = readdirSync(server.media).find((n) => n === path.basename((song.guideUrl ?? '').replace('/media/', ''))) ?? readdirSync(server.media).find((n) => n.includes('guide'));
  packets = oggPackets(readFileSync(path.join(server.media, guide)));
});
after(() => server?.stop());

test('without the singer’s word nothing is kept', async () => {
  assert.equal(await ask(singer, { takeStage: {} }), 'done');
  assert.equal(await ask(singer, { pickSong: { songId: song.id } }), 'done');
  const s = await stageOf(singer, (x) => x.performanceId && x.performanceId !== '0');
  await sing(singer, s.performanceId, { seconds: 2 });
  assert.equal(await ask(singer, { controlSong: { action: 'ACTION_STOP' } }), 'done');
  await sleep(500);
  assert.deepEqual(await mine(), []);
});

let kept, rose;
test('a song with chat and a gift is kept, mixed and private', async () => {
  const order = await server.rpc('PaymentService/CreateTopUp', { key: uuid7(), packId: 2, provider: 'sandbox' }, { token: audience });
  await server.rpc('PaymentService/PaySandboxOrder', { orderId: order.orderId }, { token: audience });
  assert.equal(await ask(singer, { pickSong: { songId: song.id, record: true } }), 'done');
  const s = await stageOf(singer, (x) => x.recorded === true && x.performanceId !== '0');
  assert.equal(s.recorded, true, 'everybody is told that it is being kept');
  const singing = sing(singer, s.performanceId, { seconds: 14 });
  await sleep(1_500);
  assert.equal(await ask(listener, { sendChat: { text: 'Lovely <3' } }), 'done');
  rose = (await server.rpc('GiftService/ListGifts')).gifts.find((g) => g.code === 'rose');
  assert.equal(await ask(listener, { sendGift: { key: uuid7(), roomId: room.id, giftId: rose.id, quantity: 1, priceVersion: rose.priceVersion } }), 'done');
  await singing;
  const before = await mine();
  assert.equal(before[0].state, 'RECORDING_STATE_RECORDING');
  await assert.rejects(server.rpc('RecordingService/DeleteRecording', { recordingId: before[0].id }, { token }), /not finished/);
  assert.equal(await ask(singer, { controlSong: { action: 'ACTION_STOP' } }), 'done');
  kept = await settled();
  assert.equal(kept.state, 'RECORDING_STATE_READY', kept.problem);
  assert.ok(Math.abs(Number(kept.durationSamples) / 48_000 - 14) < 0.2, `${Number(kept.durationSamples) / 48_000} s`);
  assert.equal(kept.published ?? false, false);
  assert.equal(kept.singers[0].you, true);
  assert.ok(Math.abs(kept.loudnessLufs + 16) < 1, `${kept.loudnessLufs} LUFS`);
  await assert.rejects(server.rpc('RecordingService/GetRecording', { token: kept.token }, { token: audience }), /not_found|not found|there/i);
  await assert.rejects(server.rpc('RecordingService/SetConsent', { recordingId: kept.id, consents: true }, { token: audience }));
});

test('both files play, carry their tags and have the loudness that they say', async () => {
  const folder = path.join(server.base, 'check');
  await fs.mkdir(folder);
  for (const kind of ['opus', 'm4a']) {
    const bytes = Buffer.from(await (await fetch(`${server.url}${kept[`${kind}Url`]}`)).arrayBuffer());
    const file = path.join(folder, `a.${kind}`);
    await fs.writeFile(file, bytes);
    const told = JSON.parse(execFileSync('ffprobe', ['-v', 'error', '-show_format', '-show_streams', '-of', 'json', file], { encoding: 'utf8' }));
    const tags = { ...told.format.tags, ...told.streams[0].tags };
    assert.equal(tags.title ?? tags.TITLE, song.title);
    assert.ok(Math.abs(Number(told.format.duration) - 14) < 0.3, `${kind}: ${told.format.duration} s`);
    if (kind === 'opus') assert.ok(tags.R128_TRACK_GAIN !== undefined && tags.OVATION_PERFORMANCE !== undefined);
    const range = await fetch(`${server.url}${kept[`${kind}Url`]}`, { headers: { range: 'bytes=10-19' } });
    assert.equal(range.status, 206);
    assert.equal(range.headers.get('content-range'), `bytes 10-19/${bytes.length}`);
    assert.deepEqual(Buffer.from(await range.arrayBuffer()), bytes.subarray(10, 20));
    assert.equal((await fetch(`${server.url}${kept[`${kind}Url`]}`, { headers: { range: `bytes=${bytes.length}-` } })).status, 416);
  }
  // The voice itself lies where no page reaches it.
  for (const name of ['parts', '../parts']) assert.equal((await fetch(`${server.url}/recordings/${name}`)).status !== 200 || (await (await fetch(`${server.url}/recordings/${name}`)).text()).startsWith('<!doctype'), true);
});

test('published: everybody hears it, the link has a card, a message stands where it was said', async () => {
  const r = await server.rpc('RecordingService/SetConsent', { recordingId: kept.id, consents: true }, { token });
  assert.equal(r.published, true);
  const seen = await server.rpc('RecordingService/GetRecording', { token: kept.token });
  const chat = seen.events.find((e) => e.kind === 'chat');
  assert.equal(chat.text, 'Lovely <3');
  assert.equal(chat.at - Number(seen.pieces[0].at ?? 0), Number(chat.songPosition) - Number(seen.pieces[0].position ?? 0), 'at its position, to the sample');
  assert.ok(Number(chat.at) > 48_000 && Number(chat.at) < 14 * 48_000);
  assert.ok(seen.events.filter((e) => e.kind === 'line').length > 0, 'line scores');
  const gift = seen.events.find((e) => e.kind === 'gift');
  assert.ok(Number(gift.entrySeq) > 0, 'the gift names its entry');
  assert.ok(Math.abs(Number(gift.at) - Number(seen.pieces[0].at ?? 0) - (Number(gift.songPosition) - Number(seen.pieces[0].position ?? 0))) <= 960);
  assert.equal(Number(seen.giftCoins), 100);
  const page = await (await fetch(`${server.url}/r/${kept.token}`)).text();
  for (const part of ['og:title', 'og:audio', 'og:image', 'og:url', song.title]) assert.ok(page.includes(part), `${part} in ${page.slice(0, 800)}`);
  assert.ok(!(await (await fetch(`${server.url}/r/${'x'.repeat(24)}`)).text()).includes('og:title'));
});

test('a gift to it is split like one to a show, and is in no live room', async () => {
  const give = (more) => server.rpc('GiftService/SendGift', { key: uuid7(), recordingId: kept.id, giftId: rose.id, quantity: 1, priceVersion: rose.priceVersion, ...more }, { token: audience });
  await assert.rejects(give({ roomId: room.id }), /recording_id/);
  await assert.rejects(give({ recordingId: '999999' }));
  await assert.rejects(give({ toSingerId: '1' }), /not in the recording/);
  const key = uuid7();
  const paid = await give({ key });
  // 100 coins: VAT 600 inside, a song in the public domain and no agent: singer 6000, platform 4000; the last micro to the larger rest.
  const legs = (await server.psql(`select account_name, amount from ledger.posting_in_order where seq = ${paid.entrySeq} order by leg`)).split('\n').map((l) => l.split('|'));
  assert.deepEqual(legs.map(([name, amount]) => [name.split(':')[0], Number(amount)]), [['wallet', -1_000_000], ['vat', 56_603], ['earnings', 566_038], ['platform', 377_359]]);
  assert.equal((await give({ key })).replayed, true);
  await listener.find(() => false, 800);
  assert.ok(!listener.seen.some((f) => f.opcode === op.text && JSON.parse(f.payload).gift?.entrySeq === paid.entrySeq), 'no live room shows it');
  await until(async () => Number((await server.rpc('RecordingService/GetRecording', { token: kept.token })).giftCoins ?? 0) === 200, 10_000, 'the gift counts');
  assert.match((await server.ovation('ledger', 'verify', '--database', server.conninfo)).stdout, /clean|ok|0 /i);
});

test('another dress is mixed again; withdrawn, the old link ends', async () => {
  const again = await server.rpc('RecordingService/MixRecording', { recordingId: kept.id, effect: 'ktv' }, { token });
  assert.equal(again.state, 'RECORDING_STATE_MIXING');
  const done = await settled(kept.id);
  assert.equal(done.effect, 'ktv');
  assert.equal(done.state, 'RECORDING_STATE_READY');
  await assert.rejects(server.rpc('RecordingService/MixRecording', { recordingId: kept.id, effect: 'cathedral' }, { token }), /off, ktv/);
  const back = await server.rpc('RecordingService/SetConsent', { recordingId: kept.id, consents: false }, { token });
  assert.notEqual(back.token, kept.token);
  assert.equal((await fetch(`${server.url}/recordings/${kept.token}.opus`)).status, 404);
  assert.equal((await fetch(`${server.url}/recordings/${back.token}.opus`)).status, 200);
  await assert.rejects(server.rpc('RecordingService/GetRecording', { token: back.token }, { token: audience }));
});

test('withdrawn while it is mixed again: the old link is over all the same', async () => {
  const was = await server.rpc('RecordingService/SetConsent', { recordingId: kept.id, consents: true }, { token });
  assert.equal((await fetch(`${server.url}/recordings/${was.token}.opus`)).status, 200);
  await server.rpc('RecordingService/MixRecording', { recordingId: kept.id, effect: 'hall' }, { token });
  const now = await server.rpc('RecordingService/SetConsent', { recordingId: kept.id, consents: false }, { token });
  assert.notEqual(now.token, was.token);
  const done = await settled(kept.id);
  assert.equal(done.token, now.token);
  await until(async () => (await fetch(`${server.url}/recordings/${now.token}.opus`)).status === 200, 5_000, 'the mix lies under its new name');
  assert.equal((await fetch(`${server.url}/recordings/${was.token}.opus`)).status, 404);
  assert.deepEqual((await fs.readdir(path.join(server.base, 'recordings', 'shared'))).sort(), [`${now.token}.m4a`, `${now.token}.opus`]);
});

test('a server that is killed loses less than a second, and goes on in the same recording', async () => {
  assert.equal(await ask(singer, { pickSong: { songId: song.id, record: true } }), 'done');
  const s = await stageOf(singer, (x) => x.recorded === true && x.state === 'STATE_PAUSED');
  await sing(singer, s.performanceId, { seconds: 8 });
  await server.restart('SIGKILL');
  singer = await Live.enter(server, room.id, { token });
  assert.equal(await ask(singer, { takeStage: {} }), 'done');
  const back = singer.welcome?.stage ?? (await stageOf(singer, (x) => x.performanceId === s.performanceId));
  assert.equal(back.performanceId, s.performanceId);
  await sleep(600); // the song is loaded again
  await sing(singer, s.performanceId, { from: 8, seconds: 6, media: 5_000 });
  assert.equal(await ask(singer, { controlSong: { action: 'ACTION_STOP' } }), 'done');
  const found = (await mine()).find((r) => r.id !== kept.id);
  const done = await settled(found.id);
  assert.equal(done.state, 'RECORDING_STATE_READY', done.problem);
  const seconds = Number(done.durationSamples) / 48_000;
  assert.ok(seconds > 12.9 && seconds < 14.2, `${seconds} s of 14`);
});

test('sung alone: nobody else is there, no gifts, scored and kept', async () => {
  await assert.rejects(Live.enter(server, 0, { token: audience, alone: true }).then((l) => (l.welcome ? l : Promise.reject(new Error('refused')))));
  const alone = await Live.enter(server, 0, { token, alone: true });
  assert.equal(await ask(alone, { takeStage: {} }), 'done');
  assert.equal(await ask(alone, { requestSong: { songId: song.id } }), 'room_closed');
  assert.equal(await ask(alone, { arrangeSeat: { action: 'ACTION_UNLOCK' } }), 'sung_alone');
  assert.equal(await ask(alone, { pickSong: { songId: song.id, record: true } }), 'done');
  const s = await stageOf(alone, (x) => x.recorded === true);
  const live = await server.rpc('RoomService/ListLiveRooms');
  assert.equal(live.rooms.length, 1, 'in no list');
  await sing(alone, s.performanceId, { seconds: 10 });
  assert.equal(await ask(alone, { controlSong: { action: 'ACTION_STOP' } }), 'done');
  const total = await alone.find((f) => f.opcode === op.text && JSON.parse(f.payload).scoreTotal);
  assert.ok(Number(JSON.parse(total.payload).scoreTotal.points) > 0);
  const found = (await mine())[0];
  const done = await settled(found.id);
  assert.equal(done.roomName ?? '', '');
  assert.equal(done.state, 'RECORDING_STATE_READY');
  await server.rpc('RecordingService/DeleteRecording', { recordingId: done.id }, { token });
  assert.ok(!(await mine()).some((r) => r.id === done.id));
  assert.equal((await fetch(`${server.url}${done.opusUrl}`)).status, 404);
  const parts = await fs.readdir(path.join(server.base, 'recordings', 'parts'));
  assert.ok(!parts.some((p) => p.startsWith(`${s.performanceId}-`)), 'no voice stays');
});

test('a device that is late, or early, is found out while it sings, and costs nothing', async () => {
  const alone = await Live.enter(server, 0, { token, alone: true });
  assert.equal(await ask(alone, { takeStage: {} }), 'done');
  const totals = {};
  for (const lateMs of [0, 240, -60]) {
    const from = alone.seen.length;
    assert.equal(await ask(alone, { pickSong: { songId: song.id } }), 'done');
    const { performanceId } = JSON.parse(alone.seen.slice(from).findLast((f) => f.opcode === op.text && JSON.parse(f.payload).stage).payload).stage;
    await sing(alone, performanceId, { seconds: 24, lateMs });
    assert.equal(await ask(alone, { controlSong: { action: 'ACTION_STOP' } }), 'done');
    const fits = (f) => f.opcode === op.text && JSON.parse(f.payload).scoreTotal?.performanceId === performanceId;
    const told = alone.seen.findLast(fits) ?? (await alone.find(fits));
    totals[lateMs] = JSON.parse(told.payload).scoreTotal;
    assert.ok(Math.abs((totals[lateMs].offsetMs ?? 0) - lateMs) <= 30, `${totals[lateMs].offsetMs} ms for ${lateMs} ms`);
  }
  for (const lateMs of [240, -60]) assert.ok(Math.abs(totals[lateMs].points - totals[0].points) <= totals[0].points * 0.02, `${totals[lateMs].points} points against ${totals[0].points}`);
});
