// Song requests on the wire: rotation, own and other, staff's moves, a restart in between, and a request that is sung.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startServer } from './harness.mjs';
import { Live, op } from './raw.mjs';

let server, room, singer, one, two, songs;
let next = 100;
before(async () => {
  server = await startServer();
  room = await server.makeRoom();
  singer = await Live.enter(server, room.id, { token: await server.logIn('singer') });
  one = await Live.enter(server, room.id, { token: await server.logIn('listener') });
  two = await Live.enter(server, room.id, { token: await server.logIn('listener2') });
  songs = (await server.rpc('SongService/ListSongs')).songs.map((s) => s.id);
});
after(() => server?.stop());

async function ask(live, command) {
  const id = ++next;
  await live.command(id, command);
  const got = await live.reply(id);
  assert.ok(got, `an answer to ${JSON.stringify(command)}`);
  return got.refused?.detail?.reason ?? 'done';
}
// The newest queue that this socket is told after a change of its own or another's.
async function queue(live) {
  const got = await live.find((f) => f.opcode === op.text && JSON.parse(f.payload).queue);
  return JSON.parse(got.payload).queue.entries ?? [];
}
const welcome = async (handle) => {
  const live = await Live.enter(server, room.id, { token: await server.logIn(handle) });
  return live;
};

test('a second request stands behind another’s first; the next is locked; waits grow', async () => {
  for (const song of [0, 1]) assert.equal(await ask(one, { requestSong: { songId: songs[song] } }), 'done');
  assert.equal(await ask(one, { requestSong: { songId: songs[0] } }), 'already_asked');
  assert.equal(await ask(two, { requestSong: { songId: songs[2], key: 2 } }), 'done');
  const live = await welcome('listener');
  const shown = live.welcome?.queue?.entries ?? (await queue(two));
  assert.deepEqual(shown.map((e) => e.songId), [songs[0], songs[2], songs[1]]);
  assert.equal(shown[0].locked, true);
  assert.ok(Number(shown[2].waitMs) > Number(shown[1].waitMs));
  live.destroy();
});
test('refused: an unknown song, a key that is none, for somebody else without being staff, another’s request', async () => {
  assert.equal(await ask(one, { requestSong: { songId: '999999' } }), 'not_found');
  assert.equal(await ask(one, { requestSong: { songId: songs[2], key: 7 } }), 'invalid_argument');
  assert.equal(await ask(one, { requestSong: { songId: songs[2], forName: 'Somebody' } }), 'not_staff');
  assert.equal(await ask(two, { cancelRequest: { id: '1' } }), 'not_yours');
  assert.equal(await ask(one, { arrangeQueue: { action: 'ACTION_SKIP', id: '3' } }), 'permission_denied');
});
test('staff asks for somebody without a phone, moves, skips, takes back and holds', async () => {
  assert.equal(await ask(singer, { requestSong: { songId: songs[2], forName: 'Table four' } }), 'done');
  assert.equal(await ask(singer, { arrangeQueue: { action: 'ACTION_MOVE', id: '4', index: 1 } }), 'done');
  assert.equal(await ask(singer, { arrangeQueue: { action: 'ACTION_MOVE', id: '4', index: 0 } }), 'next_is_locked');
  assert.equal(await ask(singer, { arrangeQueue: { action: 'ACTION_SKIP', id: '3' } }), 'done');
  assert.equal(await ask(singer, { arrangeQueue: { action: 'ACTION_UNDO_SKIP' } }), 'done');
  assert.equal(await ask(singer, { arrangeQueue: { action: 'ACTION_UNDO_SKIP' } }), 'nothing_skipped');
  assert.equal(await ask(singer, { arrangeQueue: { action: 'ACTION_HOLD', id: '1' } }), 'done');
});
test('a restart keeps the queue; a request that is sung leaves it', async () => {
  await new Promise((done) => setTimeout(done, 300));
  await server.restart('SIGKILL');
  singer = await Live.enter(server, room.id, { token: await server.logIn('singer') });
  assert.equal(await ask(singer, { takeStage: {} }), 'done');
  const held = JSON.parse(await server.psql('select queue from rooms.show order by id desc limit 1')).entries;
  assert.deepEqual(held.map((e) => e.id), ['1', '4', '3', '2']);
  assert.equal(await ask(singer, { pickSong: { songId: songs[2], songRequestId: '4' } }), 'done');
  assert.equal(await ask(singer, { cancelRequest: { id: '4' } }), 'not_found');
  assert.equal(await ask(singer, { cancelRequest: { id: '1' } }), 'done');
});
