// Every limit of base/limits.hpp that the wire can reach, at its edge: n is taken, n + 1 is refused with the right reason and hint.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import zlib from 'node:zlib';
import { errorDetail, password, RpcError, sleep, startServer, uuid7 } from './harness.mjs';
import { Connection, exchange, frame, Live, op } from './raw.mjs';

// A send of exactly the cap, and the next one above it.
const capGift = { id: 9, version: 2, price: 20_000 };
const overGift = { id: 10, version: 2, price: 20_001 };
const glow = { id: 11, version: 1 };
const capCoins = 200_000;

let server, room, keepAlive;
before(async () => {
  server = await startServer({
    songs: false,
    flags: ['--trusted-proxies', '127.0.0.1'],
    prepare: (psql) =>
      psql(`insert into gifts.gift_version (gift_id, version, price_coins) values (${capGift.id}, ${capGift.version}, ${capGift.price}), (${overGift.id}, ${overGift.version}, ${overGift.price});
            update gifts.gift set active = true where id = ${overGift.id}`),
  });
  room = await server.makeRoom();
  keepAlive = (async () => {
    const c = await Connection.open(server);
    await c.write(`GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n`);
    assert.equal((await c.response())?.status, 200);
    const started = Date.now();
    await c.closes(75_000);
    return { ended: c.ended, lastedMs: Date.now() - started };
  })();
});
after(() => server?.stop());

// Behind the trusted proxy everybody has an address of their own, and so log-in rates of their own.
let addresses = 0;
const from = (n) => ({ 'x-forwarded-for': `10.1.${n >> 8}.${n & 255}` });
let people = 0;
/** A new account: {token, id, handle}. */
async function person({ displayName = 'Edge' } = {}) {
  const handle = `edge-${process.pid}-${++people}`;
  const made = await server.rpc('AuthService/Register', { handle, displayName, password }, { headers: from(++addresses) });
  return { token: made.accessToken, id: made.user.id, handle };
}
async function withCoins(pack, times = 1) {
  const who = await person();
  for (let i = 0; i < times; i++) {
    const order = await server.rpc('PaymentService/CreateTopUp', { key: randomUUID(), packId: pack, provider: 'sandbox' }, who);
    await server.rpc('PaymentService/PaySandboxOrder', { orderId: order.orderId }, who);
  }
  return who;
}
const gift = (which, quantity = 1, key = uuid7()) => ({ key, roomId: room.id, giftId: which.id, quantity, priceVersion: which.version });
const send = (who, which, quantity) => server.rpc('GiftService/SendGift', gift(which, quantity), who);
const fails = async (promise, code, reason, field) => {
  const e = await promise.then(
    (answer) => assert.fail(`it was taken: ${JSON.stringify(answer)}`),
    (failure) => failure,
  );
  assert.ok(e instanceof RpcError, String(e));
  assert.deepEqual([e.code, e.reason], [code, reason], e.message);
  if (field !== undefined) assert.equal(e.field, field);
  return e;
};

/** The first `burst` were taken, then one was refused; more only as the time that passed refills. */
function edge(taken, burst, perSecond, elapsedMs, ordered = true) {
  const first = taken.indexOf(false);
  const refill = (elapsedMs / 1000) * perSecond;
  if (ordered) assert.ok(first >= burst || first === -1, `number ${first + 1} is refused, before the burst of ${burst}`);
  const count = taken.filter(Boolean).length;
  assert.ok(count >= burst, `only ${count} of the burst of ${burst} are taken`);
  // The server counts whole milliseconds.
  assert.ok(count <= Math.floor(burst + refill + 0.002 * perSecond), `${count} are taken: more than ${burst} and ${refill.toFixed(1)} of ${Math.round(elapsedMs)} ms`);
  assert.ok(taken.length > burst + refill + 1, `too slow to tell: ${elapsedMs} ms`);
  assert.ok(count < taken.length, 'somebody is refused');
}
/** One pipelined connection: the answers in order, and the time. */
async function pipeline(method, requests, { headers = {}, token } = {}) {
  const head = Object.entries({ ...headers, ...(token ? { authorization: `Bearer ${token}` } : {}) }).map(([k, v]) => `${k}: ${v}\r\n`).join('');
  const c = await Connection.open(server);
  const started = performance.now();
  await c.write(requests.map((r) => JSON.stringify(r)).map((b) => `POST /ovation.v1.${method} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(b)}\r\n${head}\r\n${b}`).join(''));
  const out = [];
  for (let i = 0; i < requests.length; i++) out.push(await c.response());
  c.destroy();
  return { answers: out.map((r) => ({ status: r?.status, body: JSON.parse(r?.text || '{}'), headers: r?.headers })), elapsedMs: performance.now() - started };
}
/** The detail of a refusal for its rate: retryable, with a hint within `mostMs`, in the header too. */
function rateRefusal(answer, reason, mostMs) {
  assert.equal(answer.status, 429);
  assert.equal(answer.body.code, 'resource_exhausted');
  const d = errorDetail(answer.body);
  assert.equal(d.reason, reason);
  assert.equal(d.retryable, true);
  assert.ok(d.retryAfterMs > 0 && d.retryAfterMs <= mostMs, `${d.retryAfterMs} ms`);
  assert.equal(Number(answer.headers['retry-after']), Math.ceil(d.retryAfterMs / 1000));
}
const liveRefusal = (answer, code, reason) => assert.deepEqual([answer?.refused?.code, answer?.refused?.detail?.reason], [code, reason], JSON.stringify(answer));

describe('sizes of HTTP', () => {
  const fill = (head, size) => `${head}X-Last: ${'x'.repeat(size - head.length - 12)}\r\n\r\n`;
  const start = 'GET /healthz HTTP/1.1\r\nHost: x\r\n';
  const heads = { 'one long line': start, 'many short lines': start + Array.from({ length: 160 }, (_, i) => `X-${1000 + i}: ${'y'.repeat(90)}\r\n`).join('') };
  for (const [name, head] of Object.entries(heads))
    for (const [size, status] of [[16 * 1024, 200], [16 * 1024 + 1, 431]])
      test(`headers of ${size} bytes, with request line and blank line, in ${name}: ${status}`, async () => {
        const request = fill(head, size);
        assert.equal(request.length, size);
        assert.equal((await exchange(server, request))?.status, status);
      });
  const webhook = (size) => `POST /webhooks/sandbox HTTP/1.1\r\nHost: x\r\nwebhook-id: a\r\nwebhook-timestamp: 1\r\nwebhook-signature: v1,AAAA\r\nContent-Length: ${size}\r\n\r\n${'x'.repeat(size)}`;
  for (const [size, status] of [[256 * 1024, 403], [256 * 1024 + 1, 413]])
    test(`a notification of ${size} bytes: ${status === 413 ? '413' : 'read, and its signature judged'}`, async () => {
      assert.equal((await exchange(server, webhook(size)))?.status, status);
    });
  const mib = 1024 * 1024;
  for (const [size, status] of [[mib, 200], [mib + 1, 400]])
    test(`a compressed body that grows to ${size} bytes: ${status}`, async () => {
      const body = zlib.gzipSync('{}'.padEnd(size));
      const answer = await fetch(`${server.url}/ovation.v1.GiftService/ListGifts`, { method: 'POST', headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' }, body });
      assert.equal(answer.status, status, await answer.text());
    });
});

describe('sizes of the live wire', () => {
  const nested = (depth) => JSON.stringify({ requestId: 9, ping: {} }).slice(0, -1) + `,"x":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`;
  test('JSON of 32 levels is taken, of 33 is refused and the socket lives', async () => {
    const live = await Live.enter(server, room.id);
    await live.send(op.text, nested(32));
    assert.ok((await live.reply(9))?.pong);
    await live.send(op.text, nested(33));
    const got = await live.find((f) => f.opcode === op.text && JSON.parse(f.payload).refused);
    assert.equal(JSON.parse(got.payload).refused.code, 'invalid_argument');
    await live.works();
    live.destroy();
  });
});

describe('chat', () => {
  for (const [name, one] of [['ASCII', 'a'], ['Chinese', '歌'], ['four-byte', '🎵']])
    test(`a message of 200 ${name} characters is taken, of 201 is refused`, async () => {
      const live = await Live.enter(server, room.id, await person());
      await live.command(2, { sendChat: { text: one.repeat(200) } });
      assert.ok((await live.reply(2))?.done);
      await live.command(3, { sendChat: { text: one.repeat(201) } });
      const answer = await live.reply(3);
      liveRefusal(answer, 'invalid_argument', 'invalid_argument');
      assert.equal(answer.refused.detail.field, 'text');
      await live.command(4, { sendChat: { text: `  ${one.repeat(200)}  ` } });
      assert.ok((await live.reply(4))?.done, 'blanks around it are not counted');
      for (const [id, text] of [[5, ''], [6, '   ']]) {
        await live.command(id, { sendChat: { text } });
        liveRefusal(await live.reply(id), 'invalid_argument', 'invalid_argument');
      }
      live.destroy();
    });
  test('the burst is 5 for a person, over all their sockets; then one a second, as the hint says', async () => {
    const who = await person();
    const a = await Live.enter(server, room.id, who);
    const b = await Live.enter(server, room.id, who);
    const started = performance.now();
    const taken = [];
    let refused;
    for (let i = 0; i < 12; i++) {
      const live = i % 2 ? b : a;
      await live.command(10 + i, { sendChat: { text: `number ${i}` } });
      const answer = await live.reply(10 + i);
      taken.push(Boolean(answer?.done));
      if (!answer?.done) refused = answer;
    }
    edge(taken, 5, 1, performance.now() - started);
    liveRefusal(refused, 'resource_exhausted', 'chat_too_fast');
    const hint = Number(refused.refused.detail.retryAfterMs);
    assert.ok(refused.refused.detail.retryable && hint > 0 && hint <= 1_001, `${hint} ms`);
    await sleep(hint + 20);
    await a.command(99, { sendChat: { text: 'later' } });
    assert.ok((await a.reply(99))?.done);
    a.destroy();
    b.destroy();
  });
  test('a joiner gets the last 50 messages, in order', { timeout: 30_000 }, async () => {
    const said = [];
    for (let p = 0; p < 11; p++) {
      const live = await Live.enter(server, room.id, await person());
      for (let i = 0; i < 5; i++) {
        const text = `kept ${p}.${i}`;
        await live.command(2 + i, { sendChat: { text } });
        assert.ok((await live.reply(2 + i))?.done);
        said.push(text);
      }
      live.destroy();
    }
    const joiner = await Live.enter(server, room.id);
    assert.deepEqual(joiner.welcome.chat.map((c) => c.text), said.slice(-50));
    joiner.destroy();
  });
});

describe('rates', () => {
  test('commands: a burst of 40 on one socket, then 20 a second', async () => {
    const live = await Live.enter(server, room.id);
    const started = performance.now();
    await live.c.write(Buffer.concat(Array.from({ length: 80 }, (_, i) => frame(op.text, JSON.stringify({ requestId: 100 + i, ping: {} })))));
    const answers = [];
    for (let i = 0; i < 80; i++) answers.push(await live.reply(100 + i));
    edge(answers.map((a) => Boolean(a?.pong)), 40, 20, performance.now() - started);
    const no = answers.findLast((a) => a.refused);
    liveRefusal(no, 'resource_exhausted', 'too_many_commands');
    assert.ok(no.refused.detail.retryable && Number(no.refused.detail.retryAfterMs) <= 51);
    live.destroy();
  });
  test('gifts: a burst of 30 for a person, then 10 a second; a refused one is not charged', { timeout: 20_000 }, async () => {
    const who = await withCoins(1);
    const { answers, elapsedMs } = await pipeline('GiftService/SendGift', Array.from({ length: 100 }, () => gift(glow)), who);
    edge(answers.map((a) => a.status === 200), 30, 10, elapsedMs);
    rateRefusal(answers.findLast((a) => a.status !== 200), 'too_many_gifts', 101);
    const left = Number((await server.rpc('LedgerService/GetWallet', {}, who)).coins);
    assert.equal(left, 600 - answers.filter((a) => a.status === 200).length);
  });
  test('top-ups: 5, then one in two minutes; another person is not held up', async () => {
    const who = await person();
    const { answers } = await pipeline('PaymentService/CreateTopUp', Array.from({ length: 6 }, () => ({ key: randomUUID(), packId: 1, provider: 'sandbox' })), who);
    assert.deepEqual(answers.map((a) => a.status), [200, 200, 200, 200, 200, 429]);
    rateRefusal(answers[5], 'too_many_top_ups', 120_001);
    assert.ok(errorDetail(answers[5].body).retryAfterMs > 100_000);
    await server.rpc('PaymentService/CreateTopUp', { key: randomUUID(), packId: 1, provider: 'sandbox' }, await person());
  });
  test('log-ins: 20 from an address, then 2 a second; another address is not held up', async () => {
    const headers = from(60_001);
    const { answers, elapsedMs } = await pipeline('AuthService/LogIn', Array.from({ length: 60 }, () => ({ handle: '', password: 'x' })), { headers });
    edge(answers.map((a) => errorDetail(a.body).field === 'handle'), 20, 2, elapsedMs);
    rateRefusal(answers.findLast((a) => a.status === 429), 'too_many_log_ins', 501);
    const registered = await pipeline('AuthService/Register', [{ handle: '', displayName: 'x', password }], { headers });
    rateRefusal(registered.answers[0], 'too_many_log_ins', 501);
    assert.ok(await server.rpc('AuthService/LogIn', { handle: 'listener', password }, { headers: from(60_002) }));
  });
  test('connections: 200 from an address at once, then 50 a second', { timeout: 30_000 }, async () => {
    const sockets = [];
    const started = performance.now();
    for (let i = 0; i < 500; i++)
      sockets.push(
        await new Promise((done) => {
          const s = net.connect({ host: server.hostname, port: server.port, localAddress: '127.0.0.9' });
          s.on('error', () => {});
          s.once('connect', () => done(s)).once('close', () => done(s));
        }),
      );
    await sleep(300);
    const elapsedMs = performance.now() - started;  // the last are taken behind their connecting
    const open = sockets.map((s) => !s.destroyed && !s.readableEnded);
    for (const s of sockets) s.destroy();
    edge(open, 200, 50, elapsedMs, false);  // two doors, so not in order
    assert.equal((await exchange(server, 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'))?.status, 200, 'another address is let in');
  });
  test('HTTP: a connection that waits is kept for 60 s', { timeout: 90_000 }, async () => {
    const { ended, lastedMs } = await keepAlive;
    assert.ok(ended, 'it ends');
    assert.ok(lastedMs >= 59_000 && lastedMs <= 67_000, `it lasted ${lastedMs} ms`);
  });
});

describe('a publisher', () => {
  const varint = (n) => {
    const out = [];
    for (let v = n; ; v = Math.floor(v / 128)) {
      if (v < 128) return Buffer.from([...out, v]);
      out.push((v % 128) | 128);
    }
  };
  const field = (number, bytes) => Buffer.concat([varint(number * 8 + 2), varint(bytes.length), bytes]);
  const number = (n, value) => Buffer.concat([varint(n * 8), varint(value)]);
  const command = (id, which, body = Buffer.alloc(0)) => Buffer.concat([number(1, id), field(which, body)]);
  /** A ClientFrame whose Media takes exactly `size` bytes. */
  const media = (id, size) => {
    const rest = size - 1 - varint(size - 2).length;
    const voice = field(5, Buffer.alloc(size - 1 - varint(rest).length, 7));
    assert.equal(voice.length, size);
    return command(id, 10, voice);
  };
  const requestOf = (bytes) => {
    let value = 0;
    if (bytes[0] !== 8) return 0;
    for (let i = 1, unit = 1; ; unit *= 128) {
      value += (bytes[i] & 127) * unit;
      if (bytes[i++] < 128) return value;
    }
  };
  async function onStage() {
    const live = await Live.open(server, { protocol: 'ovation.v1.proto' });
    const token = Buffer.from(await server.logIn('singer'));
    await live.send(op.binary, command(1, 2, Buffer.concat([number(1, Number(room.id)), field(2, token), number(5, 1)])));
    await live.send(op.binary, command(2, 6));
    assert.ok(await live.find((f) => f.opcode === op.binary && requestOf(f.payload) === 2), 'on stage');
    return live;
  }
  /** Which of the messages were refused; a ping behind them tells the end. */
  async function publish(live, messages) {
    const started = performance.now();
    await live.c.write(Buffer.concat([...messages.map((m) => frame(op.binary, m)), frame(op.binary, command(5_000, 3))]));
    const refused = new Map();
    for (const end = Date.now() + 10_000; Date.now() < end; ) {
      const f = await live.next(end - Date.now());
      assert.ok(f, 'the ping is answered');
      const id = requestOf(f.payload);
      if (id === 5_000) break;
      if (id > 0) refused.set(id, f.payload.toString('latin1'));
    }
    return { refused, elapsedMs: performance.now() - started };
  }
  test('60 messages at once, then 60 a second', async () => {
    const live = await onStage();
    const { refused, elapsedMs } = await publish(live, Array.from({ length: 200 }, (_, i) => media(100 + i, 20)));
    edge(Array.from({ length: 200 }, (_, i) => !refused.has(100 + i)), 60, 60, elapsedMs);
    for (const text of refused.values()) assert.match(text, /resource_exhausted.*media_too_fast/s);
    live.destroy();
  });
  test('40 000 bytes at once, then 20 000 a second; media does not count as a command', async () => {
    const live = await onStage();
    const { refused, elapsedMs } = await publish(live, Array.from({ length: 55 }, (_, i) => media(100 + i, 4_000)));
    edge(Array.from({ length: 55 }, (_, i) => !refused.has(100 + i)), 10, 5, elapsedMs);
    for (const text of refused.values()) assert.match(text, /media_too_fast/);
    live.destroy();
  });
  test('a message of 8 KiB is taken, one byte more ends the socket with 1009', async () => {
    const live = await onStage();
    const largest = (bytes) => {
      let size = bytes - 8;
      while (media(7, size).length < bytes) size++;
      assert.equal(media(7, size).length, bytes);
      return media(7, size);
    };
    const { refused } = await publish(live, [largest(8192)]);
    assert.equal(refused.size, 0, [...refused.values()].join());
    await live.send(op.binary, largest(8193));
    await live.fails(1009);
  });
  test('1 to 6 packets a message', async () => {
    const live = await onStage();
    const packets = (id, n) => command(id, 10, Buffer.concat(Array.from({ length: n }, () => field(5, Buffer.from([1])))));
    const { refused } = await publish(live, [packets(11, 1), packets(12, 6), packets(13, 7), packets(14, 0)]);
    assert.deepEqual([...refused.keys()], [13, 14]);
    live.destroy();
  });
});

describe('money', () => {
  test('one send is at most 200 000 coins, which is also the limit of a day', async () => {
    const who = await withCoins(7);
    await fails(send(who, overGift, 10), 'invalid_argument', 'invalid_argument', 'quantity');
    const sent = await send(who, capGift, 10);
    assert.deepEqual([sent.coins, sent.balanceCoins], [String(capCoins), '300000']);
    const e = await fails(send(who, glow, 1), 'failed_precondition', 'spend_limit');
    assert.equal(e.retryable, false);
    const wallet = await server.rpc('LedgerService/GetWallet', {}, who);
    assert.deepEqual([wallet.coins, wallet.spentTodayCoins, wallet.dailyLimitCoins], ['300000', String(capCoins), String(capCoins)]);
  });
  test('one coin below the limit of a day leaves room for one coin', async () => {
    const who = await withCoins(7);
    await server.rpc('LedgerService/SetDailyLimit', { dailyLimitCoins: capGift.price + 1 }, who);
    await send(who, capGift, 1);
    await send(who, glow, 1);
    await fails(send(who, glow, 1), 'failed_precondition', 'spend_limit');
  });
  test('the last coin can be spent, the next cannot', async () => {
    const who = await withCoins(1);
    await send(who, { id: 2, version: 1 }, 1);
    for (let i = 0; i < 5; i++) await send(who, { id: 2, version: 1 }, 1);
    await fails(send(who, glow, 1), 'failed_precondition', 'insufficient_coins');
  });
  test('a person’s own limit lies between 0 and 100 000 000', async () => {
    const who = await person();
    const set = (coins) => server.rpc('LedgerService/SetDailyLimit', { dailyLimitCoins: coins }, who);
    await fails(set(-1), 'invalid_argument', 'invalid_argument', 'daily_limit_coins');
    await fails(set(100_000_001), 'invalid_argument', 'invalid_argument', 'daily_limit_coins');
    assert.equal((await set(100_000_000)).raisedLimitCoins, '100000000');
    assert.equal((await set(0)).dailyLimitCoins ?? '0', '0');
  });
  for (const quantity of [1, 10, 66, 99, 188, 520, 1314]) {
    test(`a quantity of ${quantity} is offered, ${quantity + 1} is not`, async () => {
      const who = await withCoins(2);
      assert.equal((await send(who, glow, quantity)).coins, String(quantity));
      await fails(send(who, glow, quantity + 1), 'invalid_argument', 'invalid_argument', 'quantity');
    });
  }
});

describe('texts and numbers', () => {
  const channelOf = async (more) => server.rpc('ChannelService/CreateChannel', { name: `c ${randomUUID()}`, ...more }, { token: await server.logIn('agent') });
  const roomOf = async (name) => server.rpc('RoomService/CreateRoom', { channelId: room.channelId, name, singerHandle: 'singer' }, { token: await server.logIn('agent') });
  const register = (more) => server.rpc('AuthService/Register', { handle: `edge-t-${++people}`, displayName: 'x', password, ...more }, { headers: from(++addresses) });
  const mute = async (more) => server.rpc('RoomService/MuteUser', { roomId: room.id, userId: (await target()).id, reason: 'edge', ...more }, { token: await server.logIn('singer') });
  const report = async (text) => server.rpc('RoomService/ReportUser', { roomId: room.id, userId: (await target()).id, text }, await target());
  const ban = async (reason) => server.rpc('OpsService/BanUser', { userId: (await target()).id, reason, lift: true }, { token: await server.logIn('ops') });
  let one;
  const target = () => (one ??= person());
  const distinct = (size, letter) => String(++people).padStart(size, letter);

  const cases = [
    ['a handle', 'handle', (v) => register({ handle: v }), [distinct(3, 'h'), distinct(32, 'h')], [distinct(2, 'h'), distinct(33, 'h'), 'Upper', '歌歌歌', '']],
    ['a display name', 'display_name', (v) => register({ displayName: v }), ['x', '歌'.repeat(40)], ['', '歌'.repeat(41), 'a\u202eb', 'a\nb']],
    ['a password', 'password', (v) => register({ password: v }), ['p'.repeat(8), 'p'.repeat(128), '歌歌歌'], ['p'.repeat(7), 'p'.repeat(129), '歌'.repeat(43)]],
    ['a channel’s name', 'name', (v) => channelOf({ name: v }), [distinct(60, '歌'), String.fromCharCode(97 + (process.pid % 26))], ['', '歌'.repeat(61)]],
    ['a channel’s theme', 'theme', (v) => channelOf({ theme: v }), ['snow', ''], ['dust']],
    ['a room’s name', 'name', roomOf, ['x', '歌'.repeat(60)], ['', '歌'.repeat(61)]],
    ['the minutes of a mute', 'minutes', (v) => mute({ minutes: v }), [1, 43_200], [-1, 43_201]],
    ['the reason of a mute', 'reason', (v) => mute({ reason: v }), ['x', '歌'.repeat(200)], ['', '歌'.repeat(201)]],
    ['a report', 'text', report, ['x', '歌'.repeat(500)], ['', '歌'.repeat(501)]],
    ['the reason of an audited act', 'reason', ban, ['abc', 'x'.repeat(500), '歌歌歌', '歌'.repeat(500)], ['', 'ab', 'x'.repeat(501), '歌歌', '歌'.repeat(501)]],
    ['the rows of a board', 'limit', (v) => server.rpc('GiftService/GetBoard', { scope: 'BOARD_SCOPE_SITE', subject: 'BOARD_SUBJECT_SENDER', period: 'BOARD_PERIOD_DAY', limit: v }), [1, 100], [-1, 101]],
    ['the rows of the audit', 'limit', async (v) => server.rpc('OpsService/ListAudit', { limit: v }, { token: await server.logIn('ops') }), [1, 500], [-1, 501]],
    ['a search of songs', 'search', (v) => server.rpc('SongService/ListSongs', { search: v }), ['', 'x '.repeat(100)], ['x'.repeat(201)]],
    ['a search of rooms', 'search', (v) => server.rpc('RoomService/ListLiveRooms', { search: v }), ['', 'x '.repeat(100)], ['x'.repeat(201)]],
    ['a page of songs', 'page_size', (v) => server.rpc('SongService/ListSongs', { pageSize: v }), [1, 200], [-1, 201]],
    ['a page of postings', 'page_size', async (v) => server.rpc('LedgerService/ListPostings', { pageSize: v }, await target()), [1, 200], [-1, 201]],
    ['an agent’s rate', 'agent_bp', async (v) => server.rpc('ChannelService/OfferContract', { channelId: room.channelId, singerHandle: 'singer', agentBp: v, fromDate: '2026-01-01' }, { token: await server.logIn('agent') }), [0, 3_000], [-1, 3_001]],
  ];
  for (const [what, field, ask, good, bad] of cases) {
    const shown = (v) => (typeof v === 'string' ? `${[...v].length} characters${/[^\x20-\x7e]/.test(v) ? ` (${[...v][0] === '歌' ? 'Chinese' : 'odd'})` : ''}` : v);
    for (const v of good) test(`${what}: ${shown(v)} is taken`, () => ask(v));
    for (const v of bad) test(`${what}: ${shown(v)} is refused`, () => fails(ask(v), 'invalid_argument', 'invalid_argument', field));
  }
});
