// What ops and finance do in other people's rooms needs a reason and is written down; what the room's own staff does is their business.
// Reports are read, decided once, and kept.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { RpcError, startServer } from './harness.mjs';
import { Live } from './raw.mjs';

let server, room, ids, songs;
const token = {};
before(async () => {
  server = await startServer();
  room = await server.makeRoom();
  ids = JSON.parse(await server.psql('select json_object_agg(subject, id) from identity.users'));
  for (const who of Object.keys(ids)) token[who] = await server.logIn(who);
  songs = (await server.rpc('SongService/ListSongs')).songs.map((s) => s.id);
});
after(() => server?.stop());

const as = (who, method, request) => server.rpc(method, request, { token: token[who] });
const trail = async () => (await as('finance', 'OpsService/ListAudit', { limit: 500 })).rows ?? [];
/** What the trail has got by `act`, newest first. */
async function written(act) {
  const before = await trail();
  await act();
  const now = await trail();
  assert.deepEqual(now.slice(now.length - before.length), before, 'what stood there stays');
  return now.slice(0, now.length - before.length);
}
const refused = async (promise, reason, field = '') => {
  const e = await promise.then(() => null, (failure) => failure);
  assert.ok(e instanceof RpcError, `it was done; ${reason} was expected`);
  assert.deepEqual([e.reason, e.field], [reason, field], e.message);
};
const tooShort = [undefined, '', 'ab', '歌歌'];

describe('an act on a person or a room', () => {
  const person = () => `user:${ids.listener2}`;
  const restraints = () => server.psql(`select coalesce(string_agg(kind || ' ' || reason, ', ' order by kind), '') from rooms.restraint where user_id = ${ids.listener2}`);
  const bumps = () => server.psql(`select bump_price_coins || ' ' || bumps_per_show from rooms.room where id = ${room.id}`);
  const acts = [
    { name: 'a mute', method: 'RoomService/MuteUser', request: { minutes: 5 }, action: 'mute_in_room', subject: person, state: restraints, most: 200 },
    { name: 'an unmute', method: 'RoomService/MuteUser', request: { unmute: true }, action: 'unmute_in_room', subject: person, state: restraints, most: 200 },
    { name: 'the price of bumps', method: 'RoomService/SetBumps', request: { priceCoins: 120, perShow: 3 }, action: 'set_bumps', subject: () => `room:${room.id}`, state: bumps, most: 500 },
    { name: 'a kick', method: 'RoomService/KickUser', request: { minutes: 5 }, action: 'kick_from_room', subject: person, state: restraints, most: 200 },
  ];
  const request = (a, reason) => ({ roomId: room.id, userId: a.method.endsWith('SetBumps') ? undefined : ids.listener2, ...a.request, reason });

  for (const a of acts)
    test(`${a.name} by ops takes a reason of 3 to ${a.most} characters and stands in the trail`, async () => {
      const was = await a.state();
      const rows = await written(async () => {
        for (const reason of [...tooShort, '歌'.repeat(a.most + 1)]) await refused(as('ops', a.method, request(a, reason)), 'invalid_argument', 'reason');
      });
      assert.deepEqual(rows, []);
      assert.equal(await a.state(), was, 'nothing was done');

      const began = Date.now();
      const [row, ...more] = await written(() => as('ops', a.method, request(a, '歌声吵')));
      assert.deepEqual(more, []);
      assert.deepEqual([row.actorId, row.actor, row.action, row.subject, row.reason], [String(ids.ops), 'Wire ops', a.action, a.subject(), '歌声吵']);
      assert.ok(Math.abs(Number(row.atMs) - began) < 10_000, `${row.atMs} is now`);
      assert.notDeepEqual(JSON.parse(row.before), JSON.parse(row.after));
      assert.notEqual(await a.state(), was, 'it was done');
    });
  test('the trail says what it was and what it is', async () => {
    const [set] = await written(() => as('ops', 'RoomService/SetBumps', { roomId: room.id, priceCoins: 7, perShow: 1, reason: '歌'.repeat(500) }));
    assert.deepEqual([JSON.parse(set.before), JSON.parse(set.after)], [{ priceCoins: 120, perShow: 3 }, { priceCoins: 7, perShow: 1 }]);
    const mute = (minutes, more) => as('ops', 'RoomService/MuteUser', { roomId: room.id, userId: ids.listener, minutes, reason: 'r'.repeat(200), ...more });
    const [second, first] = await written(async () => (await mute(5), await mute(60)));
    const until = (text) => Date.parse(JSON.parse(text).until);
    assert.deepEqual([JSON.parse(first.before), JSON.parse(first.after).room, JSON.parse(first.after).kind], [{ room: Number(room.id), kind: 'muted', until: null }, Number(room.id), 'muted']);
    assert.ok(Math.abs(until(first.after) - Number(first.atMs) - 5 * 60_000) < 5_000);
    assert.equal(until(second.before), until(first.after));
    assert.ok(Math.abs(until(second.after) - Number(second.atMs) - 60 * 60_000) < 5_000);
    const [lifted] = await written(() => mute(0, { unmute: true }));
    assert.deepEqual([until(lifted.before), JSON.parse(lifted.after).until], [until(second.after), null]);
  });
  test('what is refused for another reason is not in it', async () => {
    const rows = await written(async () => {
      const said = { roomId: room.id, reason: 'a good reason' };
      for (const method of ['RoomService/KickUser', 'RoomService/MuteUser']) {
        await refused(as('ops', method, { ...said, userId: 999_999 }), 'not_found');
        for (const who of ['singer', 'agent']) await refused(as('ops', method, { ...said, userId: ids[who] }), 'is_staff');
        await refused(as('ops', method, { ...said, userId: ids.ops }), 'invalid_argument', 'user_id');
        for (const minutes of [-1, 43_201]) await refused(as('ops', method, { ...said, userId: ids.listener, minutes }), 'invalid_argument', 'minutes');
        await refused(as('finance', method, { ...said, userId: ids.listener }), 'permission_denied');
        await refused(as('listener2', method, { ...said, userId: ids.listener }), 'permission_denied');
      }
      for (const [field, value] of [['priceCoins', -1], ['priceCoins', 200_001], ['perShow', -1], ['perShow', 1_001]])
        await refused(as('ops', 'RoomService/SetBumps', { ...said, [field]: value }), 'invalid_argument', field.replace(/[A-Z]/, (c) => `_${c.toLowerCase()}`));
      await refused(as('ops', 'RoomService/SetBumps', { ...said, roomId: 999_999 }), 'not_found');
      await refused(as('finance', 'RoomService/SetBumps', said), 'permission_denied');
    });
    assert.deepEqual(rows, []);
    assert.equal(await bumps(), '7 1');
  });
  test('the room’s singer and a helper need no such row', async () => {
    await as('singer', 'RoomService/NameHelper', { roomId: room.id, handle: 'listener' });
    const rows = await written(async () => {
      for (const who of ['singer', 'listener', 'agent']) {
        await as(who, 'RoomService/KickUser', { roomId: room.id, userId: ids.listener2, reason: '.', minutes: 1 });
        await as(who, 'RoomService/MuteUser', { roomId: room.id, userId: ids.listener2, reason: 'no', minutes: 1 });
        await as(who, 'RoomService/MuteUser', { roomId: room.id, userId: ids.listener2, unmute: true });
        await as(who, 'RoomService/SetBumps', { roomId: room.id, priceCoins: 9, perShow: 9 });
      }
    });
    assert.deepEqual(rows, []);
    assert.equal(await restraints(), 'kicked .');
    assert.equal(await bumps(), '9 9');
    await as('singer', 'RoomService/NameHelper', { roomId: room.id, handle: 'listener', remove: true });
  });
  test('an unmute of somebody who is not muted changes nothing and is not in the trail', async () => {
    assert.deepEqual(await written(() => as('ops', 'RoomService/MuteUser', { roomId: room.id, userId: ids.finance, unmute: true, reason: 'a good reason' })), []);
  });
  test('finance, named a helper, says why too', async () => {
    await as('singer', 'RoomService/NameHelper', { roomId: room.id, handle: 'finance' });
    const mute = (reason) => as('finance', 'RoomService/MuteUser', { roomId: room.id, userId: ids.listener, minutes: 1, reason });
    const rows = await written(async () => {
      await refused(mute('ab'), 'invalid_argument', 'reason');
      await refused(as('finance', 'RoomService/SetBumps', { roomId: room.id, priceCoins: 1, perShow: 1 }), 'invalid_argument', 'reason');
      await mute('abc');
    });
    assert.deepEqual(rows.map((r) => [r.actorId, r.action, r.reason]), [[String(ids.finance), 'mute_in_room', 'abc']]);
    await as('singer', 'RoomService/NameHelper', { roomId: room.id, handle: 'finance', remove: true });
  });
});

describe('a live command', () => {
  let requests = 10;
  async function ask(live, body) {
    const id = ++requests;
    await live.command(id, body);
    const got = await live.reply(id);
    assert.ok(got, `an answer to ${JSON.stringify(body)}`);
    const { reason, field } = got.refused?.detail ?? { reason: 'done' };
    return field ? `${reason} ${field}` : reason;
  }
  const enter = (who) => Live.enter(server, room.id, { token: token[who] });
  let ops, singer, asker;
  before(async () => {
    [ops, singer, asker] = await Promise.all(['ops', 'singer', 'listener'].map(enter));
    for (const songId of songs) assert.equal(await ask(asker, { requestSong: { songId } }), 'done');
  });
  after(() => {
    for (const live of [ops, singer, asker]) live?.destroy();
  });
  /** {queue, stage} as a newcomer is told. */
  async function shown() {
    const live = await enter();
    live.destroy();
    return live.welcome;
  }
  const order = async () => ((await shown()).queue.entries ?? []).map((e) => [e.id, e.held ?? false]);

  for (const [name, body, was] of [
    ['arrange_queue', { arrangeQueue: { action: 'ACTION_MOVE', id: '3', index: 1 } }, async () => JSON.stringify(await order())],
    ['arrange_seat', { arrangeSeat: { action: 'ACTION_UNLOCK' } }, async () => String((await shown()).stage.seatLocked)],
  ])
    test(`${name} by ops takes a reason of 3 to 500 characters beside it; else nothing happens`, async () => {
      const before = await was();
      const rows = await written(async () => {
        for (const reason of [...tooShort, '歌'.repeat(501)]) assert.equal(await ask(ops, { ...body, reason }), 'invalid_argument reason');
      });
      assert.deepEqual(rows, []);
      assert.equal(await was(), before);
    });
  test('arrange_queue by ops stands in the trail, with the queue as it was', async () => {
    const steps = [
      [{ action: 'ACTION_MOVE', id: '3', index: 1 }, 'abc', [['1', false], ['3', false], ['2', false]]],
      [{ action: 'ACTION_HOLD', id: '2' }, '歌'.repeat(500), [['1', false], ['3', false], ['2', true]]],
      [{ action: 'ACTION_RELEASE', id: '2' }, 'goes on', [['1', false], ['3', false], ['2', false]]],
      [{ action: 'ACTION_SKIP', id: '3' }, 'is not there', [['1', false], ['2', false]]],
      [{ action: 'ACTION_UNDO_SKIP' }, 'is back', [['1', false], ['3', false], ['2', false]]],
    ];
    for (const [arrangeQueue, reason, becomes] of steps) {
      const was = await order();
      const [row, ...more] = await written(async () => assert.equal(await ask(ops, { arrangeQueue, reason }), 'done'));
      assert.deepEqual(more, []);
      assert.deepEqual([row.actorId, row.action, row.subject, row.reason], [String(ids.ops), 'arrange_queue', `room:${room.id}`, reason]);
      assert.deepEqual(JSON.parse(row.before).entries.map((e) => [e.id, e.held ?? false]), was);
      assert.notDeepEqual(JSON.parse(row.after), JSON.parse(row.before));
      assert.deepEqual(await order(), becomes);
    }
  });
  test('arrange_seat by ops stands in the trail, with the stage as it was', async () => {
    await server.rpc('AuthService/Register', { handle: 'second', displayName: 'Second', password: 'wire-tests-only' });
    await server.psql("update identity.users set roles = roles | 8 where subject = 'second'");
    for (const [arrangeSeat, becomes] of [[{ action: 'ACTION_UNLOCK' }, (s) => !s.seatLocked], [{ action: 'ACTION_LOCK' }, (s) => s.seatLocked], [{ action: 'ACTION_INVITE', handle: 'second' }, (s) => s.invitedName === 'Second']]) {
      const was = (await shown()).stage;
      const [row, ...more] = await written(async () => assert.equal(await ask(ops, { arrangeSeat, reason: 'a duet' }), 'done'));
      assert.deepEqual(more, []);
      assert.deepEqual([row.actorId, row.action, row.subject, row.reason], [String(ids.ops), 'arrange_seat', `room:${room.id}`, 'a duet']);
      const { seatLocked, version } = JSON.parse(row.before);
      assert.deepEqual([seatLocked, version], [was.seatLocked, was.version]);
      assert.notDeepEqual(JSON.parse(row.after), JSON.parse(row.before));
      assert.ok(becomes((await shown()).stage), `${arrangeSeat.action} was done`);
    }
  });
  test('the same by the room’s singer or a helper needs no reason and leaves no row', async () => {
    await as('singer', 'RoomService/NameHelper', { roomId: room.id, handle: 'listener' });
    const rows = await written(async () => {
      for (const live of [singer, asker]) {
        for (const action of ['ACTION_HOLD', 'ACTION_RELEASE']) assert.equal(await ask(live, { arrangeQueue: { action, id: '2' } }), 'done');
        for (const action of ['ACTION_UNLOCK', 'ACTION_LOCK']) assert.equal(await ask(live, { arrangeSeat: { action } }), 'done');
      }
    });
    assert.deepEqual(rows, []);
    await as('singer', 'RoomService/NameHelper', { roomId: room.id, handle: 'listener', remove: true });
  });
  test('an act of ops that is refused is not in the trail', async () => {
    const rows = await written(async () => {
      for (const body of [{ arrangeQueue: { action: 'ACTION_SKIP', id: '77' } }, { arrangeQueue: {} }, { arrangeQueue: { action: 'ACTION_UNDO_SKIP' } }, { arrangeSeat: { action: 'ACTION_INVITE', handle: 'nobody' } }, { arrangeSeat: { action: 'ACTION_MUTE', userId: '77' } }, { arrangeSeat: {} }])
        assert.notEqual(await ask(ops, { ...body, reason: 'a good reason' }), 'done');
    });
    assert.deepEqual(rows, []);
  });
  test('who may not arrange may not with a reason', async () => {
    const guest = await Live.enter(server, room.id);
    const finance = await enter('finance');
    const rows = await written(async () => {
      for (const body of [{ arrangeQueue: { action: 'ACTION_SKIP', id: '2' } }, { arrangeSeat: { action: 'ACTION_UNLOCK' } }]) {
        assert.equal(await ask(asker, { ...body, reason: 'because' }), 'permission_denied');
        assert.equal(await ask(finance, { ...body, reason: 'because' }), 'permission_denied');
        assert.equal(await ask(guest, { ...body, reason: 'because' }), 'log_in_first');
      }
    });
    assert.deepEqual(rows, []);
    for (const live of [guest, finance]) live.destroy();
  });
  test('ops neither takes back another’s request nor asks for somebody else, whatever the reason; their own they do', async () => {
    const was = await order();
    for (const reason of [undefined, 'a very good reason']) {
      assert.equal(await ask(ops, { cancelRequest: { id: '2' }, reason }), 'not_yours');
      assert.equal(await ask(ops, { requestSong: { songId: songs[0], forName: 'Table four' }, reason }), 'not_staff');
    }
    assert.deepEqual(await order(), was);
    assert.equal(await ask(ops, { requestSong: { songId: songs[0] } }), 'done');
    assert.equal((await order()).length, was.length + 1);
    assert.equal(await ask(ops, { cancelRequest: { id: (await shown()).queue.entries.find((e) => e.userId === String(ids.ops)).id } }), 'done');
    assert.equal(await ask(singer, { cancelRequest: { id: '2' } }), 'done', 'the singer takes back anybody’s');
    assert.deepEqual((await order()).map(([id]) => id), ['1', '3']);
  });
});

describe('reports', () => {
  const list = async (request) => (await as('ops', 'RoomService/ListReports', request)).reports ?? [];
  const report = async (who, about, text) => (await as(who, 'RoomService/ReportUser', { roomId: room.id, userId: ids[about], text })).reportId;
  const made = [];
  test('about nobody, or in no room, is refused each time, and harms no later one', async () => {
    for (let i = 0; i < 10; ++i) {
      await refused(as('listener', 'RoomService/ReportUser', { roomId: room.id, userId: 999_999, text: 'x' }), 'not_found');
      await refused(as('listener', 'RoomService/ReportUser', { roomId: 999_999, userId: ids.listener2, text: 'x' }), 'not_found');
    }
    assert.deepEqual(await list({}), []);
  });
  test('are taken with 1 to 500 characters about somebody in a room', async () => {
    const about = { roomId: room.id, userId: ids.listener2 };
    for (const text of ['', '歌'.repeat(501)]) await refused(as('listener', 'RoomService/ReportUser', { ...about, text }), 'invalid_argument', 'text');
    await refused(server.rpc('RoomService/ReportUser', { ...about, text: 'x' }), 'log_in_first');
    assert.deepEqual(await list({}), []);
    for (const [who, whom, text] of [['listener', 'listener2', '!'], ['listener2', 'singer', '歌'.repeat(500)], ['singer', 'listener', 'shouts']]) made.push(await report(who, whom, text));
  });
  test('ops reads them, newest first, with all that is to be known', async () => {
    const [newest, middle, oldest] = await list({ open: true });
    assert.deepEqual([newest.id, middle.id, oldest.id], made.toReversed());
    const { atMs, ...rest } = newest;
    assert.ok(Math.abs(Number(atMs) - Date.now()) < 30_000);
    assert.deepEqual(rest, { id: made[2], roomId: room.id, roomName: 'Wire room', userId: String(ids.listener), name: 'Wire listener', handle: 'listener', byUserId: String(ids.singer), byName: 'Wire singer', text: 'shouts' });
    assert.equal(middle.text, '歌'.repeat(500));
  });
  test('nobody else reads or closes them', async () => {
    const rows = await written(async () => {
      for (const who of ['listener', 'singer', 'agent', 'finance']) {
        await refused(as(who, 'RoomService/ListReports', {}), 'role_missing');
        await refused(as(who, 'RoomService/CloseReport', { reportId: made[0], reason: 'mine to close' }), 'role_missing');
      }
      await refused(server.rpc('RoomService/ListReports', {}), 'log_in_first');
      await refused(server.rpc('RoomService/CloseReport', { reportId: made[0], reason: 'mine to close' }), 'log_in_first');
    });
    assert.deepEqual(rows, []);
    assert.equal((await list({ open: true })).length, 3);
  });
  test('one is closed with a reason of 3 to 500 characters, once, and stays to be read', async () => {
    const close = (reason, reportId = made[1]) => as('ops', 'RoomService/CloseReport', { reportId, reason });
    const none = await written(async () => {
      for (const reason of [...tooShort, '歌'.repeat(501)]) await refused(close(reason), 'invalid_argument', 'reason');
      await refused(close('there is none', 999_999), 'not_found');
    });
    assert.deepEqual(none, []);
    assert.equal((await list({ open: true })).length, 3);

    let closed;
    const [row, ...more] = await written(async () => (closed = await close('歌'.repeat(500))));
    assert.deepEqual(more, []);
    assert.ok(Math.abs(Number(closed.closedAtMs) - Date.now()) < 10_000);
    assert.deepEqual([row.actorId, row.action, row.subject, row.reason], [String(ids.ops), 'close_report', `report:${made[1]}`, '歌'.repeat(500)]);
    const was = JSON.parse(row.before);
    assert.deepEqual([was.user, was.room, was.text], [ids.singer, Number(room.id), '歌'.repeat(500)]);
    assert.notDeepEqual(JSON.parse(row.after), was);
    assert.deepEqual((await list({ open: true })).map((r) => r.id), [made[2], made[0]]);
    assert.deepEqual((await list({})).map((r) => [r.id, r.closedAtMs]), [[made[2], undefined], [made[1], closed.closedAtMs], [made[0], undefined]]);

    let again;
    assert.deepEqual(await written(async () => (again = await close('once more'))), []);
    assert.deepEqual(again, closed);
  });
  test('closed by many at once it is closed once', async () => {
    const rows = await written(() => Promise.all(Array.from({ length: 8 }, (_, i) => as('ops', 'RoomService/CloseReport', { reportId: made[0], reason: `hand ${i}` }))));
    assert.equal(rows.length, 1);
    assert.deepEqual((await list({ open: true })).map((r) => r.id), [made[2]]);
  });
  test('a list has 1 to 200, 50 when nothing is said', async () => {
    await server.psql(`insert into rooms.report (room_id, user_id, by_user, text) select ${room.id}, ${ids.listener}, ${ids.listener2}, 'number ' || n from generate_series(1, 210) n`);
    for (const [limit, many] of [[undefined, 50], [0, 50], [1, 1], [200, 200]]) {
      const got = await list({ open: true, limit });
      assert.equal(got.length, many);
      assert.deepEqual(got.map((r) => r.text), Array.from({ length: many }, (_, i) => `number ${210 - i}`));
    }
    for (const limit of [-1, 201]) await refused(as('ops', 'RoomService/ListReports', { limit }), 'invalid_argument', 'limit');
  });
});
