// Sessions: refresh tokens, the list, their end; and a restart in the middle of a show, after which everybody goes on.
import assert from 'node:assert/strict';
import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { password, RpcError, startServer, until, uuid7 } from './harness.mjs';
import { Live, op } from './raw.mjs';

let server, room, ids;
before(async () => {
  server = await startServer({ flags: ['--load-profile'] });
  room = await server.makeRoom();
  ids = JSON.parse(await server.psql('select json_object_agg(subject, id) from identity.users'));
});
after(() => server?.stop());

const logIn = (handle, headers) => server.rpc('AuthService/LogIn', { handle, password }, { headers });
const spentBefore = (time) => server.psql(`update identity.spent_refresh set at = at - interval '${time}'`);
const refresh = (refreshToken) => server.rpc('AuthService/Refresh', { refreshToken });
const me = (token) => server.rpc('AuthService/GetMe', {}, { token });
const sessions = async (token) => (await server.rpc('AuthService/ListSessions', {}, { token })).sessions ?? [];
const refused = async (promise, reason, code = 'unauthenticated') => {
  const e = await promise.then(() => null, (failure) => failure);
  assert.ok(e instanceof RpcError, `it was taken; ${reason} was expected`);
  assert.deepEqual([e.code, e.reason], [code, reason], e.message);
};
const closedWith = async (live, code) => {
  assert.equal((await live.close())?.code, code);
  live.destroy();
};

describe('tokens', () => {
  test('a refresh brings new tokens of the same session; the old access token holds until its time is over', async () => {
    const first = await logIn('listener');
    const second = await refresh(first.refreshToken);
    assert.notEqual(second.refreshToken, first.refreshToken);
    assert.equal((await sessions(second.accessToken)).find((s) => s.current).id, (await sessions(first.accessToken)).find((s) => s.current).id);
    const third = await refresh(second.refreshToken);
    await me(third.accessToken);
    await me(first.accessToken);
  });
  test('a refresh token shown again ends the whole session: new tokens, old ones, open sockets; and no other session', async () => {
    const other = await logIn('listener');
    const first = await logIn('listener');
    const second = await refresh(first.refreshToken);
    const sockets = [await Live.enter(server, room.id, { token: first.accessToken }), await Live.enter(server, room.id, { token: second.accessToken })];
    const bystander = await Live.enter(server, room.id, { token: other.accessToken });
    await spentBefore('31 seconds');
    await refused(refresh(first.refreshToken), 'refresh_invalid');
    for (const live of sockets) await closedWith(live, 4001);
    for (const token of [first.accessToken, second.accessToken]) await refused(me(token), 'session_ended');
    await refused(refresh(second.refreshToken), 'refresh_invalid');
    const late = await Live.open(server);
    await late.command(1, { enter: { roomId: room.id, accessToken: second.accessToken } });
    assert.equal((await late.reply(1)).refused.detail.reason, 'session_ended');
    await closedWith(late, 4001);
    await bystander.works();
    bystander.destroy();
    await me(other.accessToken);
    await refresh(other.refreshToken);
  });
  test('a refresh whose answer was lost is done again with the same token for half a minute, two at once too', async () => {
    const { accessToken, refreshToken } = await logIn('listener2');
    const lost = await refresh(refreshToken);
    await spentBefore('28 seconds');
    const [one, two] = await Promise.all([refresh(refreshToken), refresh(refreshToken)]);
    for (const t of [lost, one, two]) await me(t.accessToken);
    const current = (await sessions(accessToken)).find((s) => s.current).id;
    assert.equal((await sessions(two.accessToken)).find((s) => s.current).id, current);
    // Whoever has the answer that came first is known as well for that long; then it is a thief's or ours, and the session ends.
    const last = await refresh(one.refreshToken);
    await spentBefore('31 seconds');
    await me((await refresh(last.refreshToken)).accessToken);
    await refused(refresh(two.refreshToken), 'refresh_invalid');
    await refused(me(accessToken), 'session_ended');
  });
  for (const [name, token] of [['nothing', ''], ['an invention', randomBytes(32).toString('base64url')], ['an access token', null], ['a very long one', 'x'.repeat(100_000)]])
    test(`${name} is no refresh token, and ends nothing`, async () => {
      const { accessToken } = await logIn('listener2');
      await refused(refresh(token ?? accessToken), 'refresh_invalid');
      await me(accessToken);
    });
  test('a refresh token unused for more than 30 days is over, one of 29 days is not', async () => {
    const old = await logIn('listener2');
    const idOf = async (t) => (await sessions(t.accessToken)).find((s) => s.current).id;
    await server.psql(`update identity.sessions set used_at = now() - interval '30 days 1 second' where id = ${await idOf(old)}`);
    await refused(refresh(old.refreshToken), 'refresh_invalid');
    const young = await logIn('listener2');
    await server.psql(`update identity.sessions set used_at = now() - interval '29 days 23 hours' where id = ${await idOf(young)}`);
    await me((await refresh(young.refreshToken)).accessToken);
  });
  describe('an access token', () => {
    let key, session;
    const make = ({ user = ids.listener, expiresMs, roles = 4, by = key }) => {
      const payload = Buffer.from(`1.${user}.${session}.${roles}.${expiresMs}.Wire listener`).toString('base64url');
      return `${payload}.${createHmac('sha256', by).update(payload).digest('base64url')}`;
    };
    before(async () => {
      // As the server makes them, with the installation's key.
      const secret = await server.psql("select encode(value, 'hex') from identity.secret where name = 'token_key'");
      const { accessToken } = await logIn('listener');
      session = (await sessions(accessToken)).find((s) => s.current).id;
      const [payload, mac] = accessToken.split('.');
      key = [Buffer.from(secret, 'hex'), secret].find((k) => createHmac('sha256', k).update(payload).digest('base64url') === mac);
      assert.ok(key, 'the test signs as the server does');
      const lasts = Number(Buffer.from(payload, 'base64url').toString().split('.')[4]) - Date.now();
      assert.ok(lasts > 14 * 60_000 && lasts <= 15 * 60_000, `it lasts 15 minutes, not ${lasts} ms`);
    });
    test('that has not expired is taken', () => me(make({ expiresMs: Date.now() + 30_000 })));
    test('that has expired is refused by RPC', () => refused(me(make({ expiresMs: Date.now() - 1 })), 'token_invalid'));
    test('that has expired is refused by the live wire: 4001', async () => {
      const live = await Live.open(server);
      await live.command(1, { enter: { roomId: room.id, accessToken: make({ expiresMs: Date.now() - 1 }) } });
      assert.equal((await live.reply(1)).refused.detail.reason, 'token_invalid');
      await closedWith(live, 4001);
    });
    test('signed with another key is refused', () => refused(me(make({ expiresMs: Date.now() + 30_000, by: randomBytes(32) })), 'token_invalid'));
    test('whose roles were changed is refused', async () => {
      const [payload, mac] = make({ expiresMs: Date.now() + 30_000 }).split('.');
      const ops = Buffer.from(Buffer.from(payload, 'base64url').toString().replace('.4.', '.36.')).toString('base64url');
      await refused(me(`${ops}.${mac}`), 'token_invalid');
    });
    for (const token of ['.', 'a.', '.b', 'a.b.c', `${'x'.repeat(2_000)}.y`]) test(`"${token.slice(0, 10)}" is refused`, () => refused(me(token), 'token_invalid'));
  });
});

describe('the list of sessions', () => {
  test('has each session with its client, the current one marked; ending one ends that one alone', async () => {
    const phone = await logIn('agent', { 'user-agent': 'Phone/1' });
    const desk = await logIn('agent', { 'user-agent': `Desk/2 ${'x'.repeat(300)}` });
    const seen = await sessions(desk.accessToken);
    const ofPhone = seen.find((s) => s.client === 'Phone/1');
    const ofDesk = seen.find((s) => s.current);
    assert.ok(ofPhone && !ofPhone.current);
    assert.match(ofDesk.client, /^Desk\/2 x+$/);
    assert.equal(ofDesk.client.length, 200);
    for (const s of [ofPhone, ofDesk]) assert.ok(Math.abs(Number(s.createdAtMs) - Date.now()) < 60_000 && Number(s.usedAtMs) >= Number(s.createdAtMs));

    const live = await Live.enter(server, room.id, { token: phone.accessToken });
    await server.rpc('AuthService/EndSession', { sessionId: ofPhone.id }, { token: desk.accessToken });
    await closedWith(live, 4001);
    await refused(me(phone.accessToken), 'session_ended');
    await refused(refresh(phone.refreshToken), 'refresh_invalid');
    assert.ok(!(await sessions(desk.accessToken)).some((s) => s.id === ofPhone.id));
    await me(desk.accessToken);
    await refused(server.rpc('AuthService/EndSession', { sessionId: ofPhone.id }, { token: desk.accessToken }), 'permission_denied', 'permission_denied');
  });
  test('of somebody else is neither shown nor ended', async () => {
    const mine = await logIn('finance');
    const theirs = await logIn('listener2');
    const id = (await sessions(theirs.accessToken)).find((s) => s.current).id;
    assert.ok(!(await sessions(mine.accessToken)).some((s) => s.id === id));
    await refused(server.rpc('AuthService/EndSession', { sessionId: id }, { token: mine.accessToken }), 'permission_denied', 'permission_denied');
    await me(theirs.accessToken);
  });
});

describe('a restart', () => {
  const glow = { giftId: 11, quantity: 1, priceVersion: 1 };
  const frames = (live) => live.seen.filter((f) => f.opcode === op.text).map((f) => JSON.parse(f.payload));
  const give = (token, key = uuid7()) => server.rpc('GiftService/SendGift', { ...glow, roomId: room.id, key }, { token });
  const enter = async (token, resume) => {
    const live = await Live.open(server);
    await live.command(1, { enter: { roomId: room.id, accessToken: token, noMedia: true, resume } });
    live.welcome = (await live.reply(1))?.welcome;
    assert.ok(live.welcome, 'welcome');
    return live;
  };
  /** Everything up to the answer of a ping. */
  const settled = async (live) => {
    await live.works();
    return frames(live);
  };
  const seqs = (all) => all.filter((f) => f.gift).map((f) => Number(f.gift.entrySeq));
  let giver, singer, helper, stage;
  before(async () => {
    giver = (await logIn('listener')).accessToken;
    singer = (await logIn('singer')).accessToken;
    helper = (await logIn('ops')).accessToken;
    const order = await server.rpc('PaymentService/CreateTopUp', { key: randomUUID(), packId: 1, provider: 'sandbox' }, { token: giver });
    await server.rpc('PaymentService/PaySandboxOrder', { orderId: order.orderId }, { token: giver });
  });

  for (const signal of ['SIGTERM', 'SIGKILL'])
    test(`by ${signal} in the middle of a show: gifts and moderation that were missed are told once, the stage waits for its singer`, { timeout: 60_000 }, async () => {
      await server.rpc('RoomService/OpenShow', { roomId: room.id }, { token: singer });
      const onStage = await enter(singer);
      for (const [id, command] of [[2, { takeStage: {} }], [3, { pickSong: { songId: 1 } }], [4, { controlSong: { action: 'ACTION_PLAY' } }]]) {
        await onStage.command(id, command);
        assert.ok((await onStage.reply(id))?.done);
      }
      const performance = (await enter(undefined)).welcome.stage.performanceId;
      const live = await enter(giver);
      await give(giver);
      const shown = JSON.parse((await live.find((f) => f.opcode === op.text && JSON.parse(f.payload).gift)).payload);
      const known = { epoch: live.welcome.epoch, offset: shown.offset, entrySeq: shown.gift.entrySeq };
      live.destroy();

      const missed = [];
      const keys = [uuid7(), uuid7(), uuid7()];
      for (const key of keys) missed.push(Number((await give(giver, key)).entrySeq));
      await server.rpc('RoomService/MuteUser', { roomId: room.id, userId: ids.listener2, reason: `by ${signal}`, minutes: 5 }, { token: helper });
      const room1 = await enter(undefined);
      await server.restart(signal);
      if (signal === 'SIGTERM') assert.equal((await room1.close())?.code, 4012);

      const back = await enter(giver, known);
      assert.equal(back.welcome.resumed, true);
      assert.ok(!back.welcome.reload);
      assert.notEqual(back.welcome.epoch, known.epoch);
      assert.equal(back.welcome.stage.state, 'STATE_RECONNECTING');
      assert.equal(back.welcome.stage.performanceId, performance);
      assert.ok(Number(back.welcome.stage.reconnectUntilMs) - Date.now() <= 90_000);
      let told = await settled(back);
      assert.deepEqual(seqs(told), missed, 'each gift that was missed, once, in order');
      assert.ok(told.filter((f) => f.gift).every((f) => f.gift.earlier));
      const muted = told.filter((f) => f.moderation?.reason === `by ${signal}`);
      assert.deepEqual(muted.map((f) => [f.moderation.kind, f.moderation.userId]), [['KIND_MUTED', String(ids.listener2)]]);

      const next = Number((await until(() => give(giver).catch((e) => (e.retryable ? null : Promise.reject(e))), 15_000, 'the ledger takes gifts again')).entrySeq);
      assert.ok(await back.find((f) => f.opcode === op.text && Number(JSON.parse(f.payload).gift?.entrySeq) === next));
      told = await settled(back);
      assert.deepEqual(seqs(told), [...missed, next], 'and the next one once');

      // The same keys after the restart are known.
      for (const [i, key] of keys.entries()) {
        const again = await give(giver, key);
        assert.deepEqual([Number(again.entrySeq), again.replayed], [missed[i], true]);
      }
      await server.rpc('AuthService/GetMe', {}, { token: giver });
      const offset = frames(back).findLast((f) => f.gift).offset;
      const third = await enter(giver, { epoch: back.welcome.epoch, offset, entrySeq: String(next) });
      assert.deepEqual(seqs(await settled(third)), [], 'who has seen all is told nothing');

      const again = await enter(singer);
      await again.command(2, { takeStage: {} });
      assert.ok((await again.reply(2))?.done);
      const now = (await enter(undefined)).welcome.stage;
      assert.deepEqual([now.state, now.performanceId], ['STATE_PAUSED', performance]);
      for (const l of [back, third, again, onStage, room1]) l.destroy();
    });
  test('log-outs before the restart hold behind it', async () => {
    const gone = await logIn('finance');
    const kept = await logIn('finance');
    await server.rpc('AuthService/LogOut', {}, { token: gone.accessToken });
    await server.restart();
    await refused(me(gone.accessToken), 'session_ended');
    await me(kept.accessToken);
    await me((await refresh(kept.refreshToken)).accessToken);
  });
  test('who missed gifts that are older than ten minutes is told to reload', async () => {
    await until(() => give(giver).catch((e) => (e.retryable ? null : Promise.reject(e))), 15_000, 'the ledger takes gifts');
    await server.psql("begin; set local session_replication_role = replica; update ledger.gift set at = at - interval '11 minutes'; commit");
    const fresh = Number((await give(giver)).entrySeq);
    const back = await enter(giver, { epoch: 'before', offset: '0', entrySeq: '0' });
    assert.deepEqual(seqs(await settled(back)), [fresh], 'what is not older is told');
    assert.equal(back.welcome.reload, true);
    back.destroy();
    const inTime = await enter(giver, { epoch: 'before', offset: '0', entrySeq: String(fresh - 1) });
    assert.ok(!inTime.welcome.reload, 'who missed only the newest has nothing to reload');
    inTime.destroy();
  });
  test('the books are clean after all this', async () => {
    const health = await server.rpc('LedgerService/GetLedgerHealth', {}, { token: await server.logIn('ops') });
    for (const c of health.checks) assert.ok(c.ok, JSON.stringify(c));
  });
});
