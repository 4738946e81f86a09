// Several servers on one database: what is asked of one is posted by the one that writes, is seen in the rooms of both, and the
// other goes on when the writer dies.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { password, sleep, startServer, until, uuid7 } from './harness.mjs';
import { Live, op } from './raw.mjs';

const freePort = () =>
  new Promise((done) => {
    const probe = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => done(port));
    });
  });
const metric = async (server, name) => Number(new RegExp(`^${name} (\\d+)`, 'm').exec(await (await fetch(`${server.url}/metrics`)).text())?.[1] ?? 0);
const gift = (roomId, more = {}) => ({ key: uuid7(), giftId: 11, quantity: 1, priceVersion: 1, roomId, ...more });

let first, second, room, listener;
before(async () => {
  const ports = [await freePort(), await freePort()];
  const flags = (port) => ['--load-profile', '--node-url', `http://127.0.0.1:${port}`, '--sandbox-key', 'nodes'];
  first = await startServer({ songs: false, port: ports[0], flags: flags(ports[0]) });
  await until(async () => (await fetch(`${first.url}/readyz`)).ok, 10_000, 'the first writes');
  second = await startServer({ beside: first, port: ports[1], flags: flags(ports[1]) });
  await until(async () => (await fetch(`${second.url}/readyz`)).ok, 10_000, 'the second is ready while the first writes');
  room = await first.makeRoom();
  listener = await first.logIn('listener');
});
after(async () => {
  await second?.stop();
  await first?.stop();
});

test('a top-up and gifts at the server that does not write are posted by the one that does, and known everywhere', async () => {
  const order = await second.rpc('PaymentService/CreateTopUp', { key: uuid7(), packId: 2, provider: 'sandbox' }, { token: listener });
  const paid = await second.rpc('PaymentService/PaySandboxOrder', { orderId: order.orderId }, { token: listener });
  assert.equal(paid.state, 'TOP_UP_STATE_PAID');
  const request = gift(room.id, { quantity: 10 });
  const sent = await second.rpc('GiftService/SendGift', request, { token: listener });
  assert.ok(Number(sent.entrySeq) > 0);
  assert.equal(Number(sent.coins), 10);
  assert.ok(Number(sent.comboTotal) >= 10, 'the combo is the writer\'s');
  for (const server of [first, second]) {
    const again = await server.rpc('GiftService/SendGift', request, { token: listener });
    assert.deepEqual([again.entrySeq, again.replayed], [sent.entrySeq, true]);
    await assert.rejects(server.rpc('GiftService/SendGift', { ...request, quantity: 1 }, { token: listener }), (e) => e.reason === 'key_reused');
    assert.equal((await server.rpc('GiftService/GetGiftSend', { key: request.key }, { token: listener })).state, 'GIFT_SEND_STATE_DONE');
  }
  const dry = gift(room.id, { giftId: 11, quantity: 1314 });
  for (let i = 0; i < 20; i++) {
    const refused = await second.rpc('GiftService/SendGift', { ...dry, key: uuid7() }, { token: listener }).then(() => null, (e) => e.reason);
    if (refused) return assert.ok(['insufficient_coins', 'spend_limit'].includes(refused), refused);
  }
  assert.fail('nothing was refused');
});

test('both rooms show a gift once, whichever server took it, in the order of the books', async () => {
  await first.psql("update ledger.wallet set daily_limit = 1000000000000");
  const order = await first.rpc('PaymentService/CreateTopUp', { key: uuid7(), packId: 2, provider: 'sandbox' }, { token: listener });
  await first.rpc('PaymentService/PaySandboxOrder', { orderId: order.orderId }, { token: listener });
  const before = Number(await first.psql('select seq from ledger.head'));  // what is older may still be on its way to the other's room
  const seen = { first: [], second: [] };
  const sockets = [];
  for (const [name, server] of Object.entries({ first, second })) {
    const live = await Live.enter(server, room.id);
    sockets.push(live);
    live.collecting = (async () => {
      for (let i = 0; i < 400; i++) {
        const frame = await live.find((f) => f.opcode === op.text && JSON.parse(f.payload).gift, 5_000);
        if (!frame) return;
        const seq = Number(JSON.parse(frame.payload).gift.entrySeq);
        if (seq > before) seen[name].push(seq);
        if (seen[name].length === 20) return;
      }
    })();
  }
  const sent = [];
  for (let i = 0; i < 20; i++) sent.push(Number((await (i % 2 ? first : second).rpc('GiftService/SendGift', gift(room.id), { token: listener })).entrySeq));
  await Promise.all(sockets.map((s) => s.collecting));
  assert.deepEqual(seen.first, sent);
  assert.deepEqual(seen.second, sent);
  assert.ok((await metric(second, 'ovation_ledger_forwarded_total')) > 10);
  assert.equal(await metric(first, 'ovation_ledger_forwarded_total'), 0);
});

test('a ban and a log-out at one server hold at the other within a second or two, on open sockets too', async () => {
  const [a, b] = [await first.logIn('listener2'), (await second.rpc('AuthService/LogIn', { handle: 'listener2', password })).accessToken];
  const user = (await first.rpc('AuthService/GetMe', {}, { token: a })).user.id;
  const [live, other] = [await Live.enter(first, room.id, { token: a }), await Live.enter(first, room.id, { token: b })];
  await second.rpc('AuthService/LogOut', {}, { token: b });
  assert.equal((await other.close())?.code, 4001, 'that session alone');
  await live.command(5, { ping: {} });
  assert.ok((await live.reply(5))?.pong);
  const ops = await second.logIn('ops');
  await second.rpc('OpsService/BanUser', { userId: user, reason: 'abuse in three rooms' }, { token: ops });
  assert.equal((await live.close())?.code, 4001);
  await assert.rejects(first.rpc('AuthService/GetMe', {}, { token: a }), (e) => e.reason === 'session_ended');
  // Lifted at the other one: the first server has it lifted as well, and the one that banned.
  await first.rpc('OpsService/BanUser', { userId: user, reason: 'a mistake', lift: true }, { token: ops });
  const again = (await first.rpc('AuthService/LogIn', { handle: 'listener2', password })).accessToken;
  await until(async () => second.rpc('AuthService/GetMe', {}, { token: again }).then(() => true, () => false), 5_000, 'the second knows that the ban is lifted');
  await sleep(1_500);
  await first.rpc('AuthService/GetMe', {}, { token: again });
});

test('only a server of this installation may bring commands', async () => {
  const body = JSON.stringify({ commands: [{ entry: { kind: 'topup', key: 'stolen', detailJson: '{}', legs: [{ account: 'cash:sandbox', amount: -10000 }, { account: 'wallet:1', amount: 10000 }] } }] });
  const post = async (authorization) => {
    const r = await fetch(`${first.url}/ovation.v1.NodeService/PostCommands`, { method: 'POST', body, headers: { 'content-type': 'application/json', ...(authorization ? { authorization } : {}) } });
    return r.status;
  };
  const key = await first.psql("select encode(value, 'hex') from identity.secret where name = 'token_key'");
  const prove = (at, text, by) => `Node ${at}.${createHmac('sha256', by).update(`ovation node\n${at}\n${text}`).digest('base64url')}`;
  assert.equal(await post(), 401);
  assert.equal(await post(`Bearer ${listener}`), 403);
  assert.equal(await post('Node 1.x'), 401);
  assert.equal(await post(prove(Date.now(), body, 'another key')), 401);
  assert.equal(await post(prove(Date.now() - 61_000, body, key)), 401, 'an old proof');
  assert.equal(await post(prove(Date.now(), `${body} `, key)), 401, 'a proof of another body');
  assert.equal(await first.psql("select count(*) from ledger.entry where key = 'stolen'"), '0');
  assert.equal(await post(prove(Date.now(), body, key)), 200);
  assert.equal(await first.psql("select count(*) from ledger.entry where key = 'stolen'"), '1');
  // Others cannot have it carried on: who does not write, refuses.
  const elsewhere = await fetch(`${second.url}/ovation.v1.NodeService/PostCommands`, { method: 'POST', body, headers: { 'content-type': 'application/json', authorization: prove(Date.now(), body, key) } });
  assert.equal((await elsewhere.json()).answers[0].reason, 'not_the_writer');
});

test('the writer is killed while gifts come at the other: each is answered, none is lost or doubled', { timeout: 90_000 }, async () => {
  const order = await second.rpc('PaymentService/CreateTopUp', { key: uuid7(), packId: 4, provider: 'sandbox' }, { token: listener });
  await second.rpc('PaymentService/PaySandboxOrder', { orderId: order.orderId }, { token: listener });
  const answers = [];
  let killing = true;
  const sender = async () => {
    while (killing) {
      const request = gift(room.id);
      for (let tries = 0; tries < 200; tries++) {
        const r = await second.rpc('GiftService/SendGift', request, { token: listener }).catch((e) => e);
        if (r.entrySeq) {
          answers.push([request.key, Number(r.entrySeq)]);
          break;
        }
        if (r.reason && !r.retryable) throw r;
        await sleep(20);
      }
    }
  };
  const senders = Array.from({ length: 8 }, sender);
  await sleep(500);
  await first.restart('SIGKILL');
  await until(() => second.rpc('GiftService/SendGift', gift(room.id), { token: listener }).then(() => true, () => false), 20_000, 'gifts go on');
  await sleep(500);
  killing = false;
  await Promise.all(senders);
  assert.ok(answers.length > 50, `${answers.length} gifts`);
  assert.equal(new Set(answers.map(([, seq]) => seq)).size, answers.length, 'each has an entry of its own');
  const rows = new Map((await first.psql('select key, seq from ledger.gift')).split('\n').map((l) => l.split('|')).map(([k, s]) => [k, Number(s)]));
  for (const [key, seq] of answers) assert.equal(rows.get(key), seq);
  const { stdout } = await first.ovation('ledger', 'verify', '--database', first.conninfo);
  assert.match(stdout, /clean|ok/i);
});
