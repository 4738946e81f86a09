// Paid bumps on the wire: price, limit and place in the queue; money held, captured to the micro, given back; replays; kill -9.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { sleep, startServer, until } from './harness.mjs';
import { Live, op } from './raw.mjs';

const price = 500;
const micros = 10_000;
const sungMs = 30_000;
let server, room, songs, singer, one, two, agent;
let next = 100;

function uuid7() {
  const b = randomBytes(16);
  b.writeUIntBE(Date.now(), 0, 6);
  b[6] = 0x70 | (b[6] & 15);
  b[8] = 0x80 | (b[8] & 63);
  const h = b.toString('hex');
  return [h.slice(0, 8), h.slice(8, 12), h.slice(12, 16), h.slice(16, 20), h.slice(20)].join('-');
}
async function ask(live, command) {
  const id = ++next;
  await live.command(id, command);
  const got = await live.reply(id);
  assert.ok(got, `an answer to ${JSON.stringify(command)}`);
  return got.refused?.detail?.reason ?? 'done';
}
const bump = (live, id, { key = uuid7(), coins = price } = {}) => ask(live, { bumpRequest: { key, id: String(id), priceCoins: String(coins) } });
const enter = async (handle) => Live.enter(server, room.id, { token: await server.logIn(handle) });
// The queue as a newcomer is told it: ids, bumped ones marked, and how many are left.
async function queue() {
  const live = await Live.enter(server, room.id);
  live.destroy();
  const q = live.welcome.queue ?? {};
  return { order: (q.entries ?? []).map((e) => e.id + (e.bumped ? '!' : '')).join(' '), price: Number(q.bumpPriceCoins ?? 0), left: q.bumpsLeft ?? 0 };
}
async function request(live, song) {
  assert.equal(await ask(live, { requestSong: { songId: songs[song] } }), 'done');
  return Math.max(...(await queue()).order.split(' ').map((e) => parseInt(e, 10))); // not of the database: it is saved behind the answer
}
const set = async (priceCoins, perShow, token = agent) => server.rpc('RoomService/SetBumps', { roomId: room.id, priceCoins, perShow }, { token });
async function topUp(handle, packId) {
  const token = await server.logIn(handle);
  const order = await server.rpc('PaymentService/CreateTopUp', { key: uuid7(), packId, provider: 'sandbox' }, { token });
  await server.rpc('PaymentService/PaySandboxOrder', { orderId: order.orderId }, { token });
}
const wallet = async (handle) => {
  const w = await server.rpc('LedgerService/GetWallet', {}, { token: await server.logIn(handle) });
  return { coins: Number(w.coins ?? 0), spent: Number(w.spentTodayCoins ?? 0) };
};
const account = async (name) => BigInt((await server.psql(`select b.amount from ledger.standing b join ledger.account a on a.id = b.account_id where a.name = '${name}'`)) || 0);
const held = async () => Number(await server.psql(`select coalesce(sum(b.amount), 0) from ledger.standing b join ledger.account a on a.id = b.account_id where a.kind = 'held'`));
const state = (key) => server.psql(`select state from gifts.bump where key = '${key}'`);
const becomes = (key, wanted) => until(async () => (await state(key)) === wanted, 10_000, `bump ${key} ${wanted}`);
const verify = async () => server.ovation('ledger', 'verify', '--database', server.conninfo);

before(async () => {
  server = await startServer();
  room = await server.makeRoom();
  agent = await server.logIn('agent');
  const contract = await server.rpc('ChannelService/OfferContract', { channelId: room.channelId, singerHandle: 'singer', agentBp: 1234, fromDate: '2026-01-01' }, { token: agent });
  await server.rpc('ChannelService/DecideContract', { contractId: contract.id, accept: true }, { token: await server.logIn('singer') });
  await server.psql('update songs.song set public_domain = false');
  [singer, one, two] = [await enter('singer'), await enter('listener'), await enter('listener2')];
  songs = (await server.rpc('SongService/ListSongs')).songs.map((s) => s.id);
  await topUp('listener', 3);  // 9 800 coins
});
after(() => server?.stop());

let first, sung;  // requests: the locked one, and the one that is sung
const sungKey = uuid7();
test('staff sets price and limit, within bounds; others may not', async () => {
  await assert.rejects(set(price, 3, await server.logIn('listener')), { reason: 'permission_denied' });
  for (const [coins, shows] of [[-1, 3], [200_001, 3], [500, -1], [500, 1_001]]) await assert.rejects(set(coins, shows), { reason: 'invalid_argument' });
  first = await request(one, 0);
  await request(two, 1);
  sung = await request(one, 1);
  assert.equal(await bump(one, sung), 'bumps_not_sold');
  const told = await set(price, 3);
  assert.deepEqual([told.bumpPriceCoins, told.bumpsPerShow], [String(price), 3]);
  assert.deepEqual(await queue(), { order: '1 2 3', price, left: 3 });
  assert.equal((await server.rpc('RoomService/ListMyRooms', {}, { token: agent })).rooms[0].bumpPriceCoins, String(price));
});
test('refused, with nothing charged: no coins, another price, another’s request, the next one, no key', async () => {
  const before = await server.psql('select seq from ledger.head');
  const broke = await request(two, 2);
  assert.equal(await bump(two, broke), 'insufficient_coins');
  assert.equal(await bump(one, sung, { coins: price - 1 }), 'price_changed');
  assert.equal(await bump(one, broke), 'not_yours');
  assert.equal(await bump(one, first), 'next_is_locked');
  assert.equal(await bump(one, 999), 'not_found');
  for (const key of ['', 'x', '0e6dd9ac-5a3c-4b52-b0b1-1cbeb2b4b5a7']) assert.equal(await bump(one, sung, { key }), 'invalid_argument');
  await server.psql(`update ledger.wallet set frozen = true where user_id = (select id from identity.users where subject = 'listener')`);
  assert.equal(await bump(one, sung), 'account_frozen');
  await server.psql(`update ledger.wallet set frozen = false, daily_limit = ${(price - 1) * micros}`);
  assert.equal(await bump(one, sung), 'spend_limit');
  await server.psql('update ledger.wallet set daily_limit = 2000000000');
  assert.equal(await server.psql('select seq from ledger.head'), before);
  assert.deepEqual(await wallet('listener'), { coins: 9_800, spent: 0 });
  assert.equal(await ask(two, { cancelRequest: { id: String(broke) } }), 'done');
});
test('it moves in front of all but the next one; the coins are held; the payer is told the balance', async () => {
  assert.equal((await queue()).order, '1 2 3');
  assert.equal(await bump(one, sung, { key: sungKey }), 'done');
  assert.deepEqual(await queue(), { order: '1 3! 2', price, left: 2 });
  const told = one.seen.filter((f) => f.opcode === op.text).map((f) => JSON.parse(f.payload)).filter((f) => f.balance);
  assert.equal(told.at(-1).balance.coins, String(9_800 - price));
  assert.deepEqual(await wallet('listener'), { coins: 9_800 - price, spent: price });
  assert.equal(await held(), price * micros);
  assert.equal(await bump(one, sung), 'already_bumped');
});
test('the same key again is the same bump, on any socket, at any time; other content under it is refused', async () => {
  const again = await enter('listener');
  assert.equal(await bump(again, sung, { key: sungKey }), 'done');
  assert.equal(await bump(one, first, { key: sungKey }), 'key_reused');
  await topUp('listener2', 2);
  assert.equal(await bump(two, sung, { key: sungKey }), 'key_reused');
  await set(price + 1, 3);
  assert.equal(await bump(one, sung, { key: sungKey }), 'done');
  await set(price, 3);
  assert.equal(await server.psql(`select count(*) from ledger.entry where kind = 'hold'`), '1');
  again.destroy();
});
test('as often as the room sells it; a place that is given back is sold again', async () => {
  const mine = [await request(two, 2), await request(two, 0)];
  await set(price, 2);
  const keys = [uuid7(), uuid7()];
  assert.equal(await bump(two, mine[0], { key: keys[0] }), 'done');
  assert.equal(await bump(two, mine[1]), 'bumps_sold_out');
  assert.equal((await wallet('listener2')).spent, price);
  // Cancelled: the coins come back, also to what may be spent today.
  assert.equal(await ask(two, { cancelRequest: { id: String(mine[0]) } }), 'done');
  await becomes(keys[0], 'released');
  assert.deepEqual(await wallet('listener2'), { coins: 3_000, spent: 0 });
  assert.equal(await bump(two, mine[0], { key: keys[0] }), 'bump_released');
  // Skipped and taken back: still bumped. Skipped, and the next skip: gone.
  assert.equal(await bump(two, mine[1], { key: keys[1] }), 'done');
  const skip = (id) => ask(singer, { arrangeQueue: { action: 'ACTION_SKIP', id: String(id) } });
  assert.equal(await skip(mine[1]), 'done');
  assert.equal(await ask(singer, { arrangeQueue: { action: 'ACTION_UNDO_SKIP' } }), 'done');
  assert.equal((await queue()).order, `1 3! ${mine[1]}! 2`);
  assert.equal(await skip(mine[1]), 'done');
  assert.equal(await state(keys[1]), 'held');
  assert.equal(await skip(2), 'done');
  await becomes(keys[1], 'released');
  assert.deepEqual(await wallet('listener2'), { coins: 3_000, spent: 0 });
  assert.deepEqual(await queue(), { order: '1 3!', price, left: 1 });
});
test('two for the last place at once: one gets it, the other keeps the coins', async () => {
  const ids = [await request(one, 2), await request(two, 1)];
  const keys = [uuid7(), uuid7()];
  const said = await Promise.all([bump(one, ids[0], { key: keys[0] }), bump(two, ids[1], { key: keys[1] })]);
  assert.deepEqual([...said].sort(), ['bumps_sold_out', 'done']);
  const lost = said.indexOf('bumps_sold_out');
  const there = await state(keys[lost]);
  assert.ok(there === '' || there === 'released', there);
  const [a, b] = [await wallet('listener'), await wallet('listener2')];
  assert.equal(a.coins + b.coins, 9_800 - price + 3_000 - price);
  for (const [i, live] of [one, two].entries()) assert.equal(await ask(live, { cancelRequest: { id: String(ids[i]) } }), 'done');
  await becomes(keys[1 - lost], 'released');
  await set(price, 20);
});
test('sung for 30 s: captured, and split to the micro by the contract', async () => {
  assert.equal(await ask(singer, { takeStage: {} }), 'done');
  assert.equal(await ask(singer, { pickSong: { songId: songs[1], songRequestId: String(sung) } }), 'done');
  assert.equal(await ask(singer, { controlSong: { action: 'ACTION_PLAY' } }), 'done');
  const began = Date.now();
  while (Date.now() - began < sungMs + 500) {
    await sleep(Math.min(8_000, sungMs + 600 - (Date.now() - began)));
    for (const live of [singer, one, two]) await live.command(0, { ping: { sentAtMs: 1 } });
  }
  assert.equal(await state(sungKey), 'held');
  assert.equal(await ask(singer, { controlSong: { action: 'ACTION_STOP' } }), 'done');
  await becomes(sungKey, 'captured');
  // ovation-default with an agent at 1234 and a licensed song: rights 500, singer 4766, agent 1234, platform 3500.
  const whole = BigInt(price * micros);
  const vat = (whole * 600n) / 10_600n;
  const base = whole - vat;
  const shares = { 'earnings:rights': 500n, [`earnings:${room.singerId}`]: 4_766n, 'earnings:agent': 1_234n, platform: 3_500n };
  const legs = Object.entries(shares).map(([name, bp]) => ({ name, floor: (base * bp) / 10_000n, rest: (base * bp) % 10_000n }));
  let left = base - legs.reduce((s, l) => s + l.floor, 0n);
  for (const l of [...legs].sort((a, b) => Number(b.rest - a.rest))) if (left-- > 0n) l.floor += 1n;
  const agentId = await server.psql(`select id from identity.users where subject = 'agent'`);
  for (const l of legs) assert.equal(await account(l.name === 'earnings:agent' ? `earnings:${agentId}` : l.name), l.floor, l.name);
  assert.equal(await account('vat'), vat);
  assert.equal(vat + legs.reduce((s, l) => s + l.floor, 0n), whole);
  assert.equal(await held(), 0);
  const earned = await server.rpc('LedgerService/ListPostings', { account: 'earnings' }, { token: await server.logIn('singer') });
  assert.equal(earned.postings[0].kind, 'capture');
  assert.equal(await bump(one, sung, { key: sungKey }), 'done');
});
test('not sung for 30 s, sought or not: given back', async () => {
  const id = await request(one, 2);
  const key = uuid7();
  assert.equal(await bump(one, id, { key }), 'done');
  assert.equal(await ask(singer, { pickSong: { songId: songs[2], songRequestId: String(id) } }), 'done');
  assert.equal(await ask(singer, { controlSong: { action: 'ACTION_PLAY' } }), 'done');
  assert.equal(await ask(singer, { controlSong: { action: 'ACTION_SEEK', songPosition: String(48 * 60_000) } }), 'done');
  assert.equal(await ask(singer, { leaveStage: {} }), 'done');
  await becomes(key, 'released');
  assert.equal((await wallet('listener')).coins, 9_800 - price);
});

// The server is killed where it waits for a lock that is held from outside: between two steps of one bump.
// `cut`: PostgreSQL drops the statement that waited; else it carries it out for a client that is no more.
async function killedAt(lock, id, key, reached, cut) {
  const locker = spawn('psql', ['-X', '-q', '-h', process.env.DEV_TEST_PG, '-U', 'owner', '-d', server.database], { stdio: ['pipe', 'pipe', 'inherit'] });
  try {
    locker.stdin.write(`begin; select 'locked' from ${lock};\n`);
    await new Promise((done) => locker.stdout.once('data', done));
    await two.command(++next, { bumpRequest: { key, id: String(id), priceCoins: String(price) } });
    await until(reached, 10_000, 'the step before the lock');
    // What is younger than two minutes may be on its way from another server.
    await server.psql("update gifts.bump set at = at - interval '3 minutes' where state = 'intended'");
    const back = server.restart('SIGKILL');
    if (cut) await server.psql(`select pg_terminate_backend(pid) from pg_stat_activity where wait_event_type = 'Lock' and datname = '${server.database}'`);
    locker.stdin.end('rollback;\n');
    await back;
  } finally {
    locker.kill();
  }
  [singer, one, two] = [await enter('singer'), await enter('listener'), await enter('listener2')];
}
const waitsForLock = async () => (await server.psql(`select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = '${server.database}'`)) !== '0';
test('kill -9 between the hold and the queue: the coins come back, the queue is as it was', async () => {
  const id = await request(two, 2);
  const last = await request(two, 0);
  const key = uuid7();
  // The queue has moved in memory and is not saved; whoever asked has not been told.
  await killedAt('rooms.show where ended_at is null for no key update', last, key, async () => (await state(key)) === 'held' && (await waitsForLock()), true);
  await becomes(key, 'released');
  assert.deepEqual(await wallet('listener2'), { coins: 3_000, spent: 0 });
  assert.deepEqual(await queue(), { order: `1 ${id} ${last}`, price, left: 19 });
  assert.equal(await bump(two, last, { key }), 'bump_released');
});
test('kill -9 while the hold is on its way to the books: they say what happened, and the coins are back', async () => {
  const last = Number((await queue()).order.split(' ').at(-1));
  const before = (await queue()).order;
  const key = uuid7();
  await killedAt('ledger.head for update', last, key, async () => (await state(key)) === 'intended' && (await waitsForLock()), false);
  const settled = await until(async () => /refused|released/.exec(await state(key))?.[0], 10_000, 'the bump that was cut short is settled');
  assert.equal(await server.psql(`select count(*) from ledger.entry where key = 'bump-hold:${key}'`), settled === 'released' ? '1' : '0');
  assert.deepEqual(await wallet('listener2'), { coins: 3_000, spent: 0 });
  assert.equal((await queue()).order, before);
  assert.equal(await held(), 0);
});
test('a bump that was told survives kill -9; with the show’s end it is given back', async () => {
  const last = Number((await queue()).order.split(' ').at(-1));
  const key = uuid7();
  assert.equal(await bump(two, last, { key }), 'done');
  const shown = await queue();
  assert.match(shown.order, new RegExp(`^1 ${last}! `));
  await server.restart('SIGKILL');
  assert.deepEqual(await queue(), shown);
  assert.equal(await state(key), 'held');
  two = await enter('listener2');
  assert.equal(await bump(two, last, { key }), 'done');
  await server.rpc('RoomService/EndShow', { roomId: room.id }, { token: await server.logIn('singer') });
  await becomes(key, 'released');
  assert.deepEqual(await wallet('listener2'), { coins: 3_000, spent: 0 });
  assert.equal(await bump(two, last), 'room_closed');
  await server.rpc('RoomService/OpenShow', { roomId: room.id }, { token: await server.logIn('singer') });
  assert.deepEqual(await queue(), { order: '', price, left: 20 });
});
test('the books are clean, and nothing is held', async () => {
  await verify();
  assert.equal(await held(), 0);
  assert.equal(await server.psql(`select string_agg(distinct state, ' ' order by state) from gifts.bump where state <> 'refused'`), 'captured released');
  await server.psql('update ledger.balance set spent = spent + 1 where spent_day > 0');
  await assert.rejects(verify());
});
