// What the first page and the operations page are told: live rooms by any word of their card, scenes, today's counts, the last hour.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { startServer, until, uuid7 } from './harness.mjs';
import { Live, op } from './raw.mjs';

let server, river, garden, ops;
before(async () => {
  server = await startServer();
  river = await server.makeRoom({ channelName: '河畔民谣', roomName: '江边的黄昏' });
  garden = await server.makeRoom({ channelName: 'Riverside Folk', roomName: 'In the Garden' });
  ops = { token: await server.logIn('ops') };
});
after(() => server?.stop());

test('live rooms are found by room, singer and channel, by pinyin and its initials, by all words of the search', async () => {
  const found = async (search) => ((await server.rpc('RoomService/ListLiveRooms', { search })).rooms ?? []).map((r) => r.id).sort();
  const both = [river.id, garden.id].sort();
  for (const [search, rooms] of [['', both], ['江边', [river.id]], ['jiangbian', [river.id]], ['jbdhh', [river.id]], ['hepan', [river.id]], ['garden', [garden.id]], ['GARDEN folk', [garden.id]], ['garden jbdhh', []], ['wire singer', both]])
    assert.deepEqual(await found(search), rooms, `“${search}”`);
  assert.equal((await server.rpc('RoomService/ListLiveRooms', { search: 'x'.repeat(200) })).rooms, undefined);
  await assert.rejects(server.rpc('RoomService/ListLiveRooms', { search: 'x'.repeat(201) }), (e) => e.code === 'invalid_argument');
});
test('a song has a scene of its own', async () => {
  const { songs } = await server.rpc('SongService/ListSongs', {});
  assert.deepEqual(Object.fromEntries(songs.map((s) => [s.title, s.scene])), { 送别: 'dusk', 茉莉花: 'garden', 'Auld Lang Syne': 'snow' });
  assert.equal(river.theme, 'dusk', 'and a channel too');
});
test('a song’s cover is served as the picture that it is', async () => {
  const folder = path.join(server.base, 'covered');
  await fs.mkdir(folder);
  const tune = (title, cover) => `#VERSION:1.0.0\n#TITLE:${title}\n#ARTIST:Test\n#BPM:120\n#COVER:${cover}\n: 0 4 ${title.length} la\nE\n`;
  const kinds = { png: 'image/png', jpg: 'image/jpeg', webp: 'image/webp' };
  for (const kind of Object.keys(kinds)) {
    await fs.writeFile(path.join(folder, `${kind}.txt`), tune(`Cover ${kind}`, `c.${kind}`));
    await fs.writeFile(path.join(folder, `c.${kind}`), `not really ${kind}`);
  }
  await server.ovation('songs', 'import', folder, '--keys', '0', '--media-root', server.media, '--database', server.conninfo);
  const { songs } = await server.rpc('SongService/ListSongs', { search: 'cover' });
  assert.equal(songs.length, 3);
  for (const s of songs) {
    const r = await fetch(new URL(s.coverUrl, server.url));
    assert.deepEqual([r.status, r.headers.get('content-type')], [200, kinds[s.title.slice(6)]]);
    assert.equal(await r.text(), `not really ${s.title.slice(6)}`);
  }
});
test('today counts the gifts and not the other entries', async () => {
  const listener = { token: await server.logIn('listener') };
  const order = await server.rpc('PaymentService/CreateTopUp', { key: randomUUID(), packId: '2', provider: 'sandbox' }, listener);
  await server.rpc('PaymentService/PaySandboxOrder', { orderId: order.orderId }, listener);
  const give = () => server.rpc('GiftService/SendGift', { key: uuid7(), roomId: river.id, giftId: '1', quantity: 1, priceVersion: 1 }, listener);
  const today = async () => {
    const t = await server.rpc('OpsService/GetLiveTotals', {}, ops);
    return [t.giftsToday ?? '0', t.topUpsToday, t.liveRooms];
  };
  assert.deepEqual(await today(), ['0', '1', 2]);
  for (let i = 0; i < 3; ++i) await give();
  assert.deepEqual(await today(), ['3', '1', 2]);
});
test('a single gift stands on the room’s board soon, for who is there and for who comes later', async () => {
  const giver = { token: await server.logIn('listener') };
  const there = await Live.enter(server, garden.id);
  await server.rpc('GiftService/SendGift', { key: uuid7(), roomId: garden.id, giftId: '1', quantity: 1, priceVersion: 1 }, giver);
  const shown = (live) => live.find((f) => f.opcode === op.text && JSON.parse(f.payload).supporters?.rows?.length === 1);
  assert.ok(await shown(there));
  const later = await Live.enter(server, garden.id);
  assert.ok(await shown(later));
  for (const live of [there, later]) live.c.socket.destroy();
});
test('the last hour gets a point each ten seconds', async () => {
  let trend = [];
  const gifts = () => trend.reduce((sum, p) => sum + (p.giftsPerMinute ?? 0), 0);
  await until(async () => ((trend = (await server.rpc('OpsService/GetLiveTotals', {}, ops)).trend ?? []), gifts() >= 24), 25_000, 'the four gifts are in it');
  assert.equal(gifts(), 24, 'four in ten seconds are twenty-four a minute');
  const point = trend.find((p) => p.giftsPerMinute);
  assert.equal(point.liveRooms, 2);
  assert.ok(point.commitP50Us > 0 && point.commitP99Us >= point.commitP50Us && point.commitP99Us < 10_000_000, JSON.stringify(point));
});
test('a star is told in the other rooms of its channel, a monument everywhere, a bouquet nowhere; a flood of them is thinned', async () => {
  const agent = await server.logIn('agent');
  const next = await server.rpc('RoomService/CreateRoom', { channelId: river.channelId, name: 'Next door', singerHandle: 'singer' }, { token: agent });
  await server.rpc('RoomService/OpenShow', { roomId: next.id }, { token: await server.logIn('singer') });
  const token = await server.logIn('listener2');
  const order = await server.rpc('PaymentService/CreateTopUp', { key: randomUUID(), packId: '6', provider: 'sandbox' }, { token });
  await server.rpc('PaymentService/PaySandboxOrder', { orderId: order.orderId }, { token });
  await server.psql('update gifts.gift set active = true where id = 10'); // the monument
  await until(async () => (await server.rpc('GiftService/ListGifts')).gifts.some((g) => g.id === '10'), 15_000, 'it is in the catalogue');
  const [own, same, other] = await Promise.all([river, next, garden].map((r) => Live.enter(server, r.id)));
  const give = (giftId) => server.rpc('GiftService/SendGift', { key: uuid7(), roomId: river.id, giftId, quantity: 1, priceVersion: 1 }, { token });
  const told = async (live, ms = 1_500) => {
    const f = await live.find((x) => x.opcode === op.text && 'ticker' in JSON.parse(x.payload), ms);
    return f ? JSON.parse(f.payload).ticker : null;
  };
  await give('8');
  assert.deepEqual(await Promise.all([own, same, other].map((l) => told(l))), [null, null, null]);
  await give('9');
  const [mine, near, far] = await Promise.all([own, same, other].map((l) => told(l)));
  assert.deepEqual([mine, far], [null, null]);
  assert.deepEqual([near.roomId, near.roomName, near.singerName, near.everywhere ?? false, near.gift.giftId, near.gift.name], [river.id, river.name, river.singerName, false, '9', 'Wire listener2']);
  await new Promise((done) => setTimeout(done, 2_000));
  await give('10');
  await give('9');
  const seen = await Promise.all([own, same, other].map((l) => told(l)));
  assert.deepEqual(seen.map((t) => t && [t.gift.giftId, t.everywhere]), [null, ['10', true], ['10', true]]);
  assert.equal(await told(same), null, 'the star a moment later is left out');
  for (const l of [own, same, other]) l.c.socket.destroy();
});
