// What staff and ops do takes effect at once, on open sockets too; a forged payment notification changes nothing.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createHmac, randomUUID } from 'node:crypto';
import { password, startServer } from './harness.mjs';
import { Live } from './raw.mjs';

let server, room, ids;
before(async () => {
  server = await startServer({ songs: false, flags: ['--sandbox-key', 'people', '--words-file', new URL('../../deploy/words.txt', import.meta.url).pathname] });
  room = await server.makeRoom();
  ids = JSON.parse(await server.psql("select json_object_agg(subject, id) from identity.users"));
});
after(() => server?.stop());
const reason = (answer) => answer?.refused?.detail?.reason;
const fresh = async (handle) => (await server.rpc('AuthService/LogIn', { handle, password })).accessToken;

test('a log-out closes the session’s sockets at once, and no others', async () => {
  const one = await fresh('listener');
  const two = await fresh('listener');
  const a = await Live.enter(server, room.id, { token: one });
  const b = await Live.enter(server, room.id, { token: two });
  await server.rpc('AuthService/LogOut', {}, { token: one });
  assert.equal((await a.close())?.code, 4001);
  await b.command(5, { ping: {} });
  assert.ok((await b.reply(5))?.pong);
  await assert.rejects(server.rpc('AuthService/GetMe', {}, { token: one }), /session_ended|ended/);
  b.c.socket.destroy();
});
test('a muted listener stays muted after coming back; refused words are refused', async () => {
  const token = await fresh('listener');
  const live = await Live.enter(server, room.id, { token });
  await live.command(2, { sendChat: { text: 'what the FUCK' } });
  assert.equal(reason(await live.reply(2)), 'invalid_argument');
  await live.command(3, { sendChat: { text: '晚上好' } });
  assert.ok((await live.reply(3))?.done);
  await server.rpc('RoomService/MuteUser', { roomId: room.id, userId: ids.listener, reason: 'too loud', minutes: 5 }, { token: await server.logIn('singer') });
  await live.command(4, { sendChat: { text: 'hello' } });
  assert.equal(reason(await live.reply(4)), 'muted');
  live.c.socket.destroy();
  const again = await Live.enter(server, room.id, { token });
  await again.command(5, { sendChat: { text: 'hello' } });
  assert.equal(reason(await again.reply(5)), 'muted');
  again.c.socket.destroy();
});
test('a kicked listener is put out and not let in again', async () => {
  const token = await fresh('listener');
  const live = await Live.enter(server, room.id, { token });
  await server.rpc('RoomService/KickUser', { roomId: room.id, userId: ids.listener, reason: 'enough', minutes: 5 }, { token: await server.logIn('singer') });
  assert.equal((await live.close())?.code, 4003);
  const back = await Live.open(server);
  await back.command(1, { enter: { roomId: room.id, accessToken: token } });
  assert.equal(reason(await back.reply(1)), 'kicked');
});
test('who comes back from another epoch is told what staff did meanwhile', async () => {
  const live = await Live.open(server);
  await live.command(1, { enter: { roomId: room.id, resume: { epoch: 'before the restart', offset: '7', entrySeq: '0' } } });
  assert.ok((await live.reply(1))?.welcome?.resumed);
  const told = await live.find((f) => JSON.parse(f.payload).moderation?.kind === 'KIND_KICKED');
  assert.equal(JSON.parse(told.payload).moderation.userId, String(ids.listener));
  live.c.socket.destroy();
});
test('a role is given and taken with a reason; who loses it is logged out everywhere, however many log-ins there are', async () => {
  const ops = await server.logIn('ops');
  const change = (revoke) => server.rpc('OpsService/GrantRole', { userId: ids.singer, role: 'ROLE_AGENT', revoke, reason: revoke ? 'left' : 'joined' }, { token: ops });
  await change(false);
  const token = await fresh('singer');
  await server.rpc('ChannelService/CreateChannel', { name: 'of a singer' }, { token });
  await server.psql(`insert into identity.sessions (user_id, client, refresh_hash, used_at) select ${ids.singer}, 'more', sha256(n::text::bytea), now() + interval '1 hour' from generate_series(1, 60) n`);
  const live = await Live.enter(server, room.id, { token });
  await change(true);
  assert.equal((await live.close())?.code, 4001);
  await assert.rejects(server.rpc('AuthService/GetMe', {}, { token }), /ended/);
  assert.equal(await server.psql(`select count(*) from identity.sessions where user_id = ${ids.singer} and ended_at is null`), '0');
  await assert.rejects(server.rpc('ChannelService/CreateChannel', { name: 'again' }, { token: await fresh('singer') }), (e) => e.reason === 'role_missing');
  const rows = (await server.rpc('OpsService/ListAudit', {}, { token: ops })).rows.slice(0, 2);
  assert.deepEqual(rows.map((r) => [r.action, r.reason]), [['revoke_role', 'left'], ['grant_role', 'joined']]);
  assert.notEqual(rows[0].before, rows[0].after);
});
test('a ban closes open sockets at once, ends log-in, and is audited with actor, reason, before and after', async () => {
  const live = await Live.enter(server, room.id, { token: await fresh('listener2') });
  await server.rpc('OpsService/BanUser', { userId: ids.listener2, reason: 'abuse in three rooms' }, { token: await server.logIn('ops') });
  assert.equal((await live.close())?.code, 4001);
  await assert.rejects(fresh('listener2'), /banned/);
  const [row] = (await server.rpc('OpsService/ListAudit', {}, { token: await server.logIn('finance') })).rows;
  assert.deepEqual([row.actorId, row.action, row.subject, row.reason, JSON.parse(row.before), JSON.parse(row.after)], [String(ids.ops), 'ban_user', `user:${ids.listener2}`, 'abuse in three rooms', { banned: false }, { banned: true }]);
});
test('a signed notification is believed once, however often and at once it comes; a stale, a future, another amount or currency credit nothing', async () => {
  const token = (await server.rpc('AuthService/Register', { handle: 'hooked', displayName: 'Hooked', password })).accessToken;
  const coins = async () => (await server.rpc('LedgerService/GetWallet', {}, { token })).coins ?? '0';
  const order = async () => Number((await server.rpc('PaymentService/CreateTopUp', { key: randomUUID(), packId: '1', provider: 'sandbox' }, { token })).orderId);
  const notify = (of, { lateS = 0, event = `event-${randomUUID()}`, amount = 600, currency = 'CNY' } = {}) => {
    const body = JSON.stringify({ event: 'payment.succeeded', event_id: event, order_id: of, amount_minor: amount, currency });
    const at = String(Math.floor(Date.now() / 1000) + lateS);
    const signature = `v1,${createHmac('sha256', 'people').update(`${event}.${at}.${body}`).digest('base64')}`;
    return fetch(`${server.url}/webhooks/sandbox`, { method: 'POST', body, headers: { 'webhook-id': event, 'webhook-timestamp': at, 'webhook-signature': signature } });
  };
  const one = await order();
  for (const [how, status, says] of [[{ lateS: -310 }, 403, 'older or newer'], [{ lateS: 310 }, 403, 'older or newer'], [{ amount: 599 }, 400, 'differs from the order'], [{ currency: 'USD' }, 400, 'differs from the order']]) {
    const r = await notify(one, how);
    assert.equal(r.status, status, JSON.stringify(how));
    assert.match(await r.text(), new RegExp(says));
  }
  assert.equal(await coins(), '0');
  const event = 'the-one';
  const answers = await Promise.all(Array.from({ length: 20 }, () => notify(one, { event })));
  assert.ok(answers.every((r) => r.status === 200), answers.map((r) => r.status).join(' '));
  assert.equal(await coins(), '600');
  assert.equal((await notify(one)).status, 200, 'another event about the same payment');
  assert.equal(await coins(), '600');
  assert.equal((await notify(await order())).status, 200);
  assert.equal(await coins(), '1200', 'another order is another payment');
});
test('a top-up is credited once; forged notifications credit nothing', async () => {
  const token = await fresh('listener');
  const order = await server.rpc('PaymentService/CreateTopUp', { key: randomUUID(), packId: '1', provider: 'sandbox' }, { token });
  const body = JSON.stringify({ event: 'payment.succeeded', event_id: 'evil', order_id: Number(order.orderId), amount_minor: 600, currency: 'CNY' });
  const forged = await fetch(`${server.url}/webhooks/sandbox`, { method: 'POST', body, headers: { 'webhook-id': 'evil', 'webhook-timestamp': String(Math.floor(Date.now() / 1000)), 'webhook-signature': 'v1,AAAA' } });
  assert.equal(forged.status, 403);
  const coins = async () => (await server.rpc('LedgerService/GetWallet', {}, { token })).coins ?? '0';
  assert.equal(await coins(), '0');
  for (let i = 0; i < 3; ++i) assert.equal((await server.rpc('PaymentService/PaySandboxOrder', { orderId: order.orderId }, { token })).balanceCoins, '600');
  assert.equal(await coins(), '600');
  assert.equal((await fetch(`${server.url}/webhooks/nobody`, { method: 'POST', body })).status, 404);
});
