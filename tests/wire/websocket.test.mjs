// RFC 6455 on raw TCP, after the families of the Autobahn suite, and the live protocol's own first rules.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { sleep, startServer, until } from './harness.mjs';
import { acceptFor, closeBody, Connection, exchange, frame, Live, op, upgradeRequest } from './raw.mjs';

const commandBytesMax = 8192;
let server, room, listener;
let silentTcp, silentLive, pingingLive, dribblingLive, idleLive;

before(async () => {
  server = await startServer();
  room = (await server.makeRoom()).id;
  listener = await server.logIn('listener');
  // The deadlines run while the other cases do.
  const measured = async (open, keep) => {
    const c = await open();
    const started = Date.now();
    const out = { frames: [], lastedMs: null };
    out.done = (async () => {
      await keep?.(c.c ?? c);
      await (c.c ?? c).closes(45_000);
      out.lastedMs = (c.c ?? c).ended ? Date.now() - started : null;
      c.destroy();
    })();
    return out;
  };
  silentTcp = await measured(() => Connection.open(server));
  silentLive = await measured(() => Live.open(server));
  pingingLive = await measured(
    () => Live.open(server),
    async (c) => {
      for (let i = 0; i < 20 && !c.ended; i++) {
        await c.write(frame(op.ping, 'still here'));
        await sleep(400);
      }
    },
  );
  dribblingLive = await measured(
    () => Live.open(server),
    async (c) => {
      const slow = frame(op.text, JSON.stringify({ enter: { roomId: room } }));
      for (let i = 0; i < 20 && i < slow.length - 1 && !c.ended; i++) {
        await c.write(slow.subarray(i, i + 1));
        await sleep(400);
      }
    },
  );
  idleLive = await measured(() => Live.enter(server, room));
});
after(() => server?.stop());

// Every case has a socket of its own in the room.
const inRoom = (name, body, options = {}) =>
  test(name, { timeout: 20_000, ...options }, async () => {
    const live = await Live.enter(server, room, options.enter);
    try {
      await body(live);
    } finally {
      live.destroy();
    }
  });
const outside = (name, body, options) =>
  test(name, { timeout: 20_000 }, async () => {
    const live = await Live.open(server, options);
    try {
      await body(live);
    } finally {
      live.destroy();
    }
  });
const ping = (requestId, padTo = 0) => {
  const bare = JSON.stringify({ requestId, ping: { sentAtMs: 7 } });
  return bare + ' '.repeat(Math.max(0, padTo - bare.length));
};
const chat = (requestId, text) => JSON.stringify({ requestId, sendChat: { text } });

describe('handshake', () => {
  const cases = [
    ['a right request is upgraded', {}, 101],
    ['header names and the values of Upgrade and Connection are read without regard to case', { headers: { Upgrade: 'WebSocket', Connection: 'keep-alive, UPGRADE' } }, 101],
    ['a query behind the path does no harm', { target: '/v1/live?room=1' }, 101],
    ['no key is refused', { headers: { 'Sec-WebSocket-Key': null } }, 400],
    ['an empty key is refused', { headers: { 'Sec-WebSocket-Key': '' } }, 400],
    ['a key of 15 bytes is refused', { headers: { 'Sec-WebSocket-Key': Buffer.alloc(15).toString('base64') } }, 400],
    ['a key of 17 bytes is refused', { headers: { 'Sec-WebSocket-Key': Buffer.alloc(17).toString('base64') } }, 400],
    ['a key that is not base64 is refused', { headers: { 'Sec-WebSocket-Key': '!!!!!!!!!!!!!!!!!!!!!!==' } }, 400],
    ['two keys are refused', { headers: { 'Sec-WebSocket-Key': ['dGhlIHNhbXBsZSBub25jZQ==', 'dGhlIHNhbXBsZSBub25jZQ=='] } }, 400],
    ['no version is refused with the right one named', { headers: { 'Sec-WebSocket-Version': null } }, 426],
    ['version 8 is refused with the right one named', { headers: { 'Sec-WebSocket-Version': '8' } }, 426],
    ['version 14 is refused with the right one named', { headers: { 'Sec-WebSocket-Version': '14' } }, 426],
    ['no subprotocol is refused', { headers: { 'Sec-WebSocket-Protocol': null } }, 400],
    ['an unknown subprotocol is refused', { headers: { 'Sec-WebSocket-Protocol': 'chat, superchat' } }, 400],
    ['a subprotocol in other letters is refused: the names are exact', { headers: { 'Sec-WebSocket-Protocol': 'Ovation.v1.JSON' } }, 400],
    ['a foreign origin is refused', { headers: { Origin: 'https://evil.example' } }, 403],
    ['the origin null is refused', { headers: { Origin: 'null' } }, 403],
    ['an origin that only begins like the host is refused', () => ({ headers: { Origin: `http://${server.hostname}:${server.port}.evil.example` } }), 403],
    ['an origin that only ends like the host is refused', () => ({ headers: { Origin: `http://evil@${server.hostname}:${server.port}` } }), 403],
    ['the same host with another port is a foreign origin', () => ({ headers: { Origin: `http://${server.hostname}:1` } }), 403],
    ['the origin of the same host is let in', () => ({ headers: { Origin: `http://${server.hostname}:${server.port}` } }), 101],
    ['POST is no upgrade', { method: 'POST', headers: { 'Content-Length': '0' } }, 426],
    ['no Upgrade header is no upgrade', { headers: { Upgrade: null } }, 426],
    ['no Connection header is no upgrade', { headers: { Connection: null } }, 426],
    ['HTTP/1.0 cannot be upgraded', { version: 'HTTP/1.0' }, [400, 426, 505]],
    ['a Connection header that only contains the word upgrade is no upgrade', { headers: { Connection: 'keep-alive, x-upgrade-later' } }, 426],
  ];
  for (const [name, request, status] of cases)
    test(name, async () => {
      const got = await exchange(server, upgradeRequest(server, typeof request === 'function' ? request() : request));
      assert.ok([].concat(status).includes(got?.status), `${got?.status} ${got?.text}`);
      if (status === 426 && name.includes('version')) assert.equal(got.headers['sec-websocket-version'], '13');
      if (status !== 101) assert.equal(got.headers['sec-websocket-accept'], undefined);
    });
  test('the answer proves that the key was read', async () => {
    const key = Buffer.from('0123456789abcdef').toString('base64');
    const got = await exchange(server, upgradeRequest(server, { headers: { 'Sec-WebSocket-Key': key } }));
    assert.equal(got.headers['sec-websocket-accept'], acceptFor(key));
    assert.equal(got.headers.upgrade.toLowerCase(), 'websocket');
    assert.equal(got.headers.connection.toLowerCase(), 'upgrade');
  });
  const offers = [
    ['ovation.v1.proto', 'ovation.v1.proto'],
    ['ovation.v1.json', 'ovation.v1.json'],
    ['ovation.v1.proto, ovation.v1.json', 'ovation.v1.proto'],
    ['ovation.v1.json, ovation.v1.proto', 'ovation.v1.json'],
    ['ovation.v9.proto,ovation.v1.json', 'ovation.v1.json'],
    [['ovation.v1.json', 'ovation.v1.proto'], 'ovation.v1.json'],
  ];
  for (const [offered, chosen] of offers)
    test(`of the offer ${[].concat(offered).join(' | ')} the first known one is chosen`, async () => {
      const got = await exchange(server, upgradeRequest(server, { headers: { 'Sec-WebSocket-Protocol': offered } }));
      assert.equal(got.status, 101);
      assert.equal(got.headers['sec-websocket-protocol'], chosen);
    });
  for (const offered of ['permessage-deflate', 'permessage-deflate; client_max_window_bits, permessage-deflate', 'x-webkit-deflate-frame'])
    test(`the extension offer "${offered}" is never taken`, async () => {
      const got = await exchange(server, upgradeRequest(server, { headers: { 'Sec-WebSocket-Extensions': offered } }));
      assert.equal(got.status, 101);
      assert.equal(got.headers['sec-websocket-extensions'], undefined);
    });
  test('a refused upgrade leaves the connection to HTTP', async () => {
    const c = await Connection.open(server);
    await c.write(upgradeRequest(server, { headers: { 'Sec-WebSocket-Protocol': null } }));
    assert.equal((await c.response()).status, 400);
    await c.write(`GET /healthz HTTP/1.1\r\nHost: ${server.hostname}:${server.port}\r\n\r\n`);
    assert.equal((await c.response())?.status, 200);
    c.destroy();
  });
  test('frames in the same packet as the upgrade request are read', async () => {
    const live = await Live.open(server, { first: frame(op.text, JSON.stringify({ requestId: 1, enter: { roomId: room, noMedia: true } })) });
    assert.ok((await live.reply(1))?.welcome);
    live.destroy();
  });
  test('the handshake may come in single bytes', { timeout: 20_000 }, async () => {
    const c = await Connection.open(server);
    await c.writeChopped(Buffer.from(upgradeRequest(server)));
    assert.equal((await c.response())?.status, 101);
    c.destroy();
  });
});

describe('lengths', () => {
  for (const size of [0, 1])
    inRoom(`a message of ${size} bytes is no frame of the protocol, is answered, and does not end the socket`, async (live) => {
      await live.send(op.text, '{'.repeat(size));
      const got = await live.find((f) => f.opcode === op.text && JSON.parse(f.payload).refused);
      assert.equal(JSON.parse(got.payload).refused.code, 'invalid_argument');
      await live.works();
    });
  for (const size of [125, 126, 127, 128, 4096, commandBytesMax - 1, commandBytesMax])
    inRoom(`a message of ${size} bytes is taken`, async (live) => {
      await live.send(op.text, ping(2, size));
      assert.ok((await live.reply(2))?.pong);
    });
  for (const size of [commandBytesMax + 1, 65_535, 65_536, 100_000])
    inRoom(`a message of ${size} bytes is too big: 1009`, async (live) => {
      await live.send(op.text, ping(2, size));
      await live.fails(1009);
    });
  inRoom('a length of a terabyte is refused on its header alone: 1009', async (live) => {
    await live.send(op.text, '', { claim: 1n << 40n });
    await live.fails(1009);
  });
  inRoom('the largest 63-bit length is refused without an overflow: 1009', async (live) => {
    await live.send(op.text, '', { claim: (1n << 63n) - 1n });
    await live.fails(1009);
  });
  inRoom('a 64-bit length with its sign bit set is a protocol error: 1002', async (live) => {
    await live.send(op.text, '', { claim: 1n << 63n });
    await live.fails(1002);
  });
  inRoom('a 64-bit length of all ones is a protocol error: 1002', async (live) => {
    await live.send(op.text, '', { claim: (1n << 64n) - 1n });
    await live.fails(1002);
  });
  for (const [length, bits] of [[0, 16], [5, 16], [125, 16], [5, 64], [126, 64], [8192, 64]])
    inRoom(`the length ${length} written in ${bits} bits is not minimal: 1002`, async (live) => {
      await live.send(op.text, ping(2, length).slice(0, length), { size: bits });
      await live.fails(1002);
    });
  inRoom('fragments that together pass the limit are too big: 1009', async (live) => {
    await live.send(op.text, ping(2, 5000), { fin: false });
    await live.send(op.continuation, ' '.repeat(commandBytesMax - 5000 + 1));
    await live.fails(1009);
  });
  inRoom('fragments that together reach the limit are taken', async (live) => {
    await live.send(op.text, ping(2, 5000), { fin: false });
    await live.send(op.continuation, ' '.repeat(commandBytesMax - 5000));
    assert.ok((await live.reply(2))?.pong);
  });
  inRoom('the limit is of a message: two of the largest in a row are taken', async (live) => {
    await live.c.write(Buffer.concat([frame(op.text, ping(2, commandBytesMax)), frame(op.text, ping(3, commandBytesMax))]));
    assert.ok((await live.reply(2))?.pong);
    assert.ok((await live.reply(3))?.pong);
  });
});

describe('reserved bits, opcodes and the mask', () => {
  for (let rsv = 1; rsv <= 7; rsv++)
    inRoom(`reserved bits ${rsv.toString(2).padStart(3, '0')} on a text frame: 1002`, async (live) => {
      await live.send(op.text, ping(2), { rsv });
      await live.fails(1002);
    });
  for (const [name, code] of [['ping', op.ping], ['close', op.close]])
    inRoom(`a reserved bit on a ${name} frame: 1002`, async (live) => {
      await live.send(code, '', { rsv: 4 });
      await live.fails(1002);
    });
  for (const opcode of [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
    inRoom(`the reserved opcode ${opcode}: 1002`, async (live) => {
      await live.send(opcode, '');
      await live.fails(1002);
    });
  for (const [name, code, payload] of [['text', op.text, '{}'], ['empty text', op.text, ''], ['ping', op.ping, 'a'], ['close', op.close, closeBody(1000)]])
    inRoom(`an unmasked ${name} frame: 1002`, async (live) => {
      await live.send(code, payload, { mask: false });
      await live.fails(1002);
    });
  for (const key of [Buffer.alloc(4), Buffer.from([255, 255, 255, 255])])
    inRoom(`the mask ${key.toString('hex')} is as good as any`, async (live) => {
      await live.send(op.text, ping(2), { key });
      assert.ok((await live.reply(2))?.pong);
    });
  inRoom('a wrong frame is refused on its first two bytes, without waiting for the rest', async (live) => {
    await live.c.write(Buffer.from([0x83, 0x80]));
    await live.fails(1002);
  });
  inRoom('after a protocol error nothing more is taken', async (live) => {
    await live.c.write(Buffer.concat([frame(3, ''), frame(op.text, ping(2)), frame(op.ping, 'x')]));
    assert.equal((await live.close())?.code, 1002);
    assert.ok(!live.seen.some((f) => f.opcode === op.pong));
    assert.equal(await live.reply(2, 300), null);
  });
  inRoom('what came whole before a protocol error is answered, in another packet', async (live) => {
    await live.send(op.text, ping(2));
    assert.ok((await live.reply(2))?.pong);
    await live.send(3, '');
    await live.fails(1002);
  });
  inRoom('what came whole before a protocol error is answered, in the same packet', async (live) => {
    await live.c.write(Buffer.concat([frame(op.text, ping(2)), frame(op.ping, 'before'), frame(3, '')]));
    assert.equal((await live.close())?.code, 1002);
    assert.ok(live.seen.some((f) => f.opcode === op.text && JSON.parse(f.payload).requestId === '2'), 'the command is answered');
    assert.ok(live.seen.some((f) => f.opcode === op.pong), 'the ping is answered');
  });
});

describe('fragments', () => {
  inRoom('a text in fragments of one byte is put together', async (live) => {
    const bytes = Buffer.from(ping(2));
    for (let i = 0; i < bytes.length; i++) await live.send(i === 0 ? op.text : op.continuation, bytes.subarray(i, i + 1), { fin: i === bytes.length - 1 });
    assert.ok((await live.reply(2))?.pong);
  });
  inRoom('empty fragments before, between and behind do no harm', async (live) => {
    const half = ping(2).length >> 1;
    await live.c.write(
      Buffer.concat([
        frame(op.text, '', { fin: false }),
        frame(op.continuation, ping(2).slice(0, half), { fin: false }),
        frame(op.continuation, '', { fin: false }),
        frame(op.continuation, ping(2).slice(half), { fin: false }),
        frame(op.continuation, ''),
      ]),
    );
    assert.ok((await live.reply(2))?.pong);
  });
  inRoom('pings between fragments are answered before the message is whole', async (live) => {
    await live.send(op.text, ping(2).slice(0, 5), { fin: false });
    await live.send(op.ping, 'one');
    assert.equal(String(await live.pong()), 'one');
    await live.send(op.continuation, ping(2).slice(5, 9), { fin: false });
    await live.send(op.ping, 'two');
    assert.equal(String(await live.pong()), 'two');
    await live.send(op.continuation, ping(2).slice(9));
    assert.ok((await live.reply(2))?.pong);
  });
  inRoom('a pong between fragments does no harm', async (live) => {
    await live.c.write(Buffer.concat([frame(op.text, ping(2).slice(0, 5), { fin: false }), frame(op.pong, 'unasked'), frame(op.continuation, ping(2).slice(5))]));
    assert.ok((await live.reply(2))?.pong);
  });
  inRoom('a close between fragments is answered', async (live) => {
    await live.send(op.text, ping(2).slice(0, 5), { fin: false });
    await live.send(op.close, closeBody(1000));
    assert.equal((await live.close())?.code, 1000);
  });
  for (const fin of [true, false])
    inRoom(`a continuation without a start, fin ${fin}: 1002`, async (live) => {
      await live.send(op.continuation, 'x', { fin });
      await live.fails(1002);
    });
  inRoom('a continuation behind a finished message: 1002', async (live) => {
    await live.send(op.text, ping(2));
    assert.ok((await live.reply(2))?.pong);
    await live.send(op.continuation, 'x');
    await live.fails(1002);
  });
  for (const [name, code] of [['text', op.text], ['binary', op.binary]])
    inRoom(`a new ${name} frame inside a fragmented message: 1002`, async (live) => {
      await live.send(op.text, ping(2).slice(0, 5), { fin: false });
      await live.send(code, ping(3));
      await live.fails(1002);
    });
  for (const [name, code] of [['ping', op.ping], ['pong', op.pong], ['close', op.close]])
    inRoom(`a fragmented ${name}: 1002`, async (live) => {
      await live.send(code, '', { fin: false });
      await live.fails(1002);
    });
});

describe('ping and pong', () => {
  for (const payload of [Buffer.alloc(0), Buffer.from('hello'), Buffer.from([0, 255, 254, 253, 0]), Buffer.alloc(125, 'x')])
    inRoom(`a ping of ${payload.length} bytes comes back as a pong with the same bytes`, async (live) => {
      await live.send(op.ping, payload);
      assert.deepEqual(await live.pong(), payload);
    });
  for (const code of [op.ping, op.pong, op.close])
    inRoom(`a control frame (${code}) of 126 bytes: 1002`, async (live) => {
      await live.send(code, Buffer.concat([closeBody(1000), Buffer.alloc(124, 'x')]));
      await live.fails(1002);
    });
  inRoom('an unasked pong is ignored', async (live) => {
    await live.send(op.pong, 'unasked');
    await live.send(op.pong, '');
    await live.works();
  });
  inRoom('a pong and then a ping: only the ping is answered', async (live) => {
    await live.send(op.pong, 'no');
    await live.send(op.ping, 'yes');
    assert.equal(String(await live.pong()), 'yes');
  });
  inRoom('ten pings in one packet are answered, in their order', async (live) => {
    await live.c.write(Buffer.concat(Array.from({ length: 10 }, (_, i) => frame(op.ping, `ping ${i}`))));
    for (let i = 0; i < 10; i++) assert.equal(String(await live.pong()), `ping ${i}`);
  });
  inRoom('a ping in single bytes is answered', async (live) => {
    await live.c.writeChopped(frame(op.ping, Buffer.alloc(125, 'y')));
    assert.equal((await live.pong())?.length, 125);
  });
  outside('a ping before enter is answered', async (live) => {
    await live.send(op.ping, 'early');
    assert.equal(String(await live.pong()), 'early');
  });
});

describe('UTF-8', () => {
  const wrap = (bytes) => Buffer.concat([Buffer.from('{"requestId":2,"ping":{"sentAtMs":7},"x":"'), bytes, Buffer.from('"}')]);
  const good = { 'two bytes': 'ß', 'three bytes': '晚风', 'four bytes': '🎤', 'U+10FFFF': '\u{10ffff}', 'U+FFFE, a noncharacter': '\ufffe', 'U+D7FF and U+E000': '\ud7ff\ue000', 'U+0080 and U+0800': '\u0080\u0800\u{10000}' };
  for (const [name, text] of Object.entries(good)) {
    inRoom(`${name}: taken`, async (live) => {
      await live.send(op.text, wrap(Buffer.from(text)));
      assert.ok((await live.reply(2))?.pong);
    });
    inRoom(`${name}, cut into fragments of one byte: taken`, async (live) => {
      const bytes = wrap(Buffer.from(text));
      await live.c.write(Buffer.concat([...bytes].map((b, i) => frame(i === 0 ? op.text : op.continuation, Buffer.from([b]), { fin: i === bytes.length - 1 }))));
      assert.ok((await live.reply(2))?.pong);
    });
  }
  const bad = {
    'a lone continuation byte': [0x80],
    'an overlong slash in two bytes': [0xc0, 0xaf],
    'an overlong NUL in two bytes': [0xc0, 0x80],
    'an overlong slash in three bytes': [0xe0, 0x80, 0xaf],
    'an overlong slash in four bytes': [0xf0, 0x80, 0x80, 0xaf],
    'the largest overlong form of three bytes': [0xe0, 0x9f, 0xbf],
    'the largest overlong form of four bytes': [0xf0, 0x8f, 0xbf, 0xbf],
    'the surrogate U+D800': [0xed, 0xa0, 0x80],
    'the surrogate U+DFFF': [0xed, 0xbf, 0xbf],
    'a surrogate pair': [0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80],
    'U+110000, beyond the last': [0xf4, 0x90, 0x80, 0x80],
    'the start byte F5': [0xf5, 0x80, 0x80, 0x80],
    'a form of five bytes': [0xf8, 0x88, 0x80, 0x80, 0x80],
    'the byte FE': [0xfe],
    'the byte FF': [0xff],
    'a character cut short by ASCII': [0xe4, 0xbd, 0x41],
  };
  for (const [name, bytes] of Object.entries(bad)) {
    inRoom(`${name}: 1007`, async (live) => {
      await live.send(op.text, wrap(Buffer.from(bytes)));
      await live.fails(1007);
    });
  }
  inRoom('a text that ends inside a character: 1007', async (live) => {
    await live.send(op.text, Buffer.from([0x7b, 0xe6, 0x99]));
    await live.fails(1007);
  });
  inRoom('a character cut by fragments and never finished: 1007', async (live) => {
    await live.send(op.text, Buffer.from([0x7b, 0xe6]), { fin: false });
    await live.send(op.continuation, Buffer.from([0x99]));
    await live.fails(1007);
  });
  inRoom('bad UTF-8 in a first fragment is refused at once, before the message is whole: 1007', async (live) => {
    await live.send(op.text, Buffer.from([0x7b, 0xf4, 0x90]), { fin: false });
    await live.fails(1007);
  });
  inRoom('the state of one message does not leak into the next', async (live) => {
    await live.send(op.text, ping(2));
    await live.send(op.text, wrap(Buffer.from('晚')));
    assert.ok((await live.reply(2))?.pong);
    assert.ok((await live.reply(2))?.pong);
  });
  inRoom('a chat text of 200 four-byte characters arrives as it was sent', async (live) => {
    const text = '🎤'.repeat(200);
    await live.send(op.text, chat(2, text));
    const got = await live.find((f) => f.opcode === op.text && JSON.parse(f.payload).chat?.text === text);
    assert.ok(got, JSON.stringify(live.seen.map((f) => String(f.payload).slice(0, 200))));
  }, { get enter() { return { token: listener }; } });
});

describe('close', () => {
  for (const code of [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999])
    inRoom(`the close code ${code} is echoed`, async (live) => {
      await live.send(op.close, closeBody(code, 'enough'));
      assert.equal((await live.close())?.code, code);
    });
  for (const code of [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535])
    inRoom(`the close code ${code} may not be sent: 1002`, async (live) => {
      await live.send(op.close, closeBody(code));
      await live.fails(1002);
    });
  inRoom('a close without a body is answered with 1000 or without a body', async (live) => {
    await live.send(op.close, '');
    assert.ok([1000, 1005].includes((await live.close())?.code));
  });
  inRoom('a close with a body of one byte: 1002', async (live) => {
    await live.send(op.close, Buffer.from([3]));
    await live.fails(1002);
  });
  inRoom('a close with the longest reason is answered', async (live) => {
    await live.send(op.close, closeBody(1000, 'x'.repeat(123)));
    assert.equal((await live.close())?.code, 1000);
  });
  inRoom('a close with a reason that is not UTF-8: 1007', async (live) => {
    await live.send(op.close, Buffer.concat([closeBody(1000), Buffer.from([0xce, 0xba, 0xe1, 0xbd])]));
    await live.fails(1007);
  });
  inRoom('after the answer to a close the server ends the connection at once', async (live) => {
    await live.send(op.close, closeBody(1000));
    assert.equal((await live.close())?.code, 1000);
    const started = Date.now();
    assert.ok(await live.c.closes(6_000));
    assert.ok(Date.now() - started < 1_000, `it took ${Date.now() - started} ms`);
  });
  inRoom('after its own close is answered the server ends the connection at once', async (live) => {
    await live.send(3, '');
    assert.equal((await live.close())?.code, 1002);
    await live.send(op.close, closeBody(1002));
    const started = Date.now();
    assert.ok(await live.c.closes(6_000));
    assert.ok(Date.now() - started < 1_000, `it took ${Date.now() - started} ms`);
  });
  inRoom('a peer that never answers a close is cut off within 5 s', async (live) => {
    await live.send(3, '');
    assert.equal((await live.close())?.code, 1002);
    assert.ok(await live.c.closes(5_000));
  });
  inRoom('frames behind a close are not answered', async (live) => {
    await live.c.write(Buffer.concat([frame(op.close, closeBody(1000)), frame(op.ping, 'late'), frame(op.text, ping(2)), frame(op.close, closeBody(1000))]));
    assert.equal((await live.close())?.code, 1000);
    assert.equal(await live.next(700), null);
  });
  outside('a close before enter is answered', async (live) => {
    await live.send(op.close, closeBody(1001));
    assert.equal((await live.close())?.code, 1001);
  });
  test('a connection that ends without a close frees its place', { timeout: 20_000 }, async () => {
    const count = async () => Number((await server.rpc('RoomService/GetRoom', { roomId: room })).listeners ?? 0);
    const before = await count();
    const live = await Live.enter(server, room);
    await until(async () => (await count()) >= before + 1 || live.c.ended, 5_000, 'the room counts the socket').catch(() => {});
    live.destroy();
    await until(async () => (await count()) <= before, 8_000, 'the room forgets the socket');
  });
});

describe('the first frame', () => {
  const refusedWith = async (live, code, reason, closeCode = 1008) => {
    const got = await live.find((f) => f.opcode === op.text);
    assert.ok(got, 'the refusal is said');
    const { refused } = JSON.parse(got.payload);
    assert.equal(refused.code, code);
    if (reason) assert.equal(refused.detail.reason, reason);
    assert.equal((await live.close())?.code, closeCode);
  };
  outside('enter is answered with welcome', async (live) => {
    await live.command(9, { enter: { roomId: room } });
    const { welcome } = await live.reply(9);
    assert.equal(welcome.room.id, room);
    assert.equal(welcome.userId, undefined);
  });
  outside('an account enters with its access token', async (live) => {
    await live.command(9, { enter: { roomId: room, accessToken: listener } });
    assert.ok(Number((await live.reply(9)).welcome.userId) > 0);
  });
  outside('a command before enter is refused and ends the socket', async (live) => {
    await live.command(9, { ping: {} });
    await refusedWith(live, 'invalid_argument');
  });
  outside('a frame without a command before enter is refused and ends the socket', async (live) => {
    await live.send(op.text, '{}');
    await refusedWith(live, 'invalid_argument');
  });
  outside('bad JSON before enter is refused and ends the socket', async (live) => {
    await live.send(op.text, '{"enter":');
    await refusedWith(live, 'invalid_argument');
  });
  outside('enter without a room is refused', async (live) => {
    await live.command(9, { enter: {} });
    await refusedWith(live, 'invalid_argument');
  });
  outside('enter with a negative room is refused', async (live) => {
    await live.command(9, { enter: { roomId: '-1' } });
    await refusedWith(live, 'invalid_argument');
  });
  outside('enter into a room that does not exist is refused', async (live) => {
    await live.command(9, { enter: { roomId: '9223372036854775807' } });
    await refusedWith(live, 'not_found');
  });
  outside('enter with a token that is none is refused, with the code for an ended session', async (live) => {
    await live.command(9, { enter: { roomId: room, accessToken: 'nonsense' } });
    await refusedWith(live, 'unauthenticated', undefined, 4001);
  });
  outside('enter with a forged token is refused', async (live) => {
    await live.command(9, { enter: { roomId: room, accessToken: listener.slice(0, -4) + (listener.endsWith('AAAA') ? 'BBBB' : 'AAAA') } });
    await refusedWith(live, 'unauthenticated', undefined, 4001);
  });
  outside('enter in fragments with a ping between is taken', async (live) => {
    const text = JSON.stringify({ requestId: 9, enter: { roomId: room } });
    await live.c.write(Buffer.concat([frame(op.text, text.slice(0, 8), { fin: false }), frame(op.ping, 'x'), frame(op.continuation, text.slice(8))]));
    assert.equal(String(await live.pong()), 'x');
    assert.ok((await live.reply(9))?.welcome);
  });
  outside('commands in the same packet as enter are answered behind the welcome, in order', async (live) => {
    const enter = JSON.stringify({ requestId: 9, enter: { roomId: room } });
    await live.c.write(Buffer.concat([frame(op.text, enter), frame(op.text, ping(10)), frame(op.ping, 'between'), frame(op.text, ping(11))]));
    for (const id of ['9', '10', '11']) assert.ok(await live.reply(id), `${id} is answered`);
  });
  outside('half a command in the same packet as enter is not lost', async (live) => {
    const second = frame(op.text, ping(10));
    await live.c.write(Buffer.concat([frame(op.text, JSON.stringify({ requestId: 9, enter: { roomId: room } })), second.subarray(0, 9)]));
    assert.ok((await live.reply(9))?.welcome);
    await live.c.write(second.subarray(9));
    assert.ok((await live.reply(10))?.pong);
  });
  outside('a message of more than 8 KiB as the first frame: 1009', async (live) => {
    await live.send(op.text, ping(2, commandBytesMax + 1));
    await live.fails(1009);
  });
  inRoom('a second enter is refused and the socket stays', async (live) => {
    await live.command(2, { enter: { roomId: room } });
    assert.equal((await live.reply(2))?.refused?.code, 'failed_precondition');
    await live.works();
  });
});

describe('the type of a message', () => {
  inRoom('a binary message on the JSON subprotocol: 1003', async (live) => {
    await live.send(op.binary, ping(2));
    await live.fails(1003);
  });
  outside('a binary first message on the JSON subprotocol: 1003', async (live) => {
    await live.send(op.binary, 'x');
    await live.fails(1003);
  });
  outside('a text message on the binary subprotocol: 1003', async (live) => {
    await live.send(op.text, '{}');
    await live.fails(1003);
  }, { protocol: 'ovation.v1.proto' });
  // ClientFrame{request_id: 5, enter{room_id}} and ClientFrame{request_id: 6, ping{sent_at_ms: 7}}, by hand.
  const enterProto = () => Buffer.from([0x08, 5, 0x12, 2, 0x08, Number(room)]);
  const pingProto = Buffer.from([0x08, 6, 0x1a, 2, 0x08, 7]);
  const requestOf = (f) => (f.opcode === op.binary && f.payload[0] === 0x08 ? f.payload[1] : 0);
  outside('the binary subprotocol takes and sends binary messages', async (live) => {
    await live.send(op.binary, enterProto());
    assert.ok(await live.find((f) => requestOf(f) === 5), 'welcome');
    await live.send(op.binary, pingProto);
    const pong = await live.find((f) => requestOf(f) === 6);
    assert.equal(pong.payload[2], 0x22, 'field 4, pong');
    assert.ok(live.seen.every((f) => f.opcode === op.binary));
  }, { protocol: 'ovation.v1.proto' });
  for (const [name, bytes] of [
    ['a cut message', [0x08]],
    ['a length beyond the end', [0x1a, 0x7f, 0x08]],
    ['a field number 0', [0x00, 0x00]],
    ['a varint of eleven bytes', [0x08, ...Array(10).fill(0xff), 1]],
    ['an end of a group that never began', [0x0c]],
    ['text that is not UTF-8', [0x22, 3, 0x0a, 1, 0xff]],
  ])
    outside(`a bad protobuf frame (${name}) is answered and does not end the socket`, async (live) => {
      await live.send(op.binary, enterProto());
      assert.ok(await live.find((f) => requestOf(f) === 5), 'welcome');
      await live.send(op.binary, Buffer.from(bytes));
      const refused = await live.find((f) => f.opcode === op.binary && f.payload.includes('invalid_argument'));
      assert.ok(refused, 'the refusal is said');
      await live.send(op.binary, pingProto);
      assert.ok(await live.find((f) => requestOf(f) === 6), 'the socket still works');
    }, { protocol: 'ovation.v1.proto' });
  for (const [name, text] of [
    ['cut', '{"ping":'],
    ['an array', '[]'],
    ['a number', '17'],
    ['a string', '"ping"'],
    ['two objects', '{"ping":{}}{"ping":{}}'],
    ['a key twice', '{"requestId":1,"requestId":2,"ping":{}}'],
    ['two commands in one frame', '{"requestId":1,"ping":{},"takeStage":{}}'],
    ['40 levels deep', `{"x":${'['.repeat(40)}${']'.repeat(40)}}`],
    ['a wrong type', '{"ping":{"sentAtMs":"soon"}}'],
    ['a number beyond 64 bits', '{"requestId":"18446744073709551616","ping":{}}'],
    ['a negative request number', '{"requestId":-1,"ping":{}}'],
    ['a lone surrogate', '{"requestId":1,"sendChat":{"text":"\\ud800"}}'],
  ])
    inRoom(`a bad JSON frame (${name}) is answered and does not end the socket`, async (live) => {
      await live.send(op.text, text);
      const got = await live.find((f) => f.opcode === op.text && JSON.parse(f.payload).refused);
      assert.ok(got, 'the refusal is said');
      assert.equal(JSON.parse(got.payload).refused.code, 'invalid_argument');
      await live.works();
    });
  inRoom('unknown JSON fields are ignored', async (live) => {
    await live.send(op.text, '{"requestId":2,"ping":{"sentAtMs":7,"later":{"a":[1,2]}},"newer":"x"}');
    assert.ok((await live.reply(2))?.pong);
  });
  inRoom('a frame without a command is answered', async (live) => {
    await live.send(op.text, '{"requestId":2}');
    assert.equal((await live.reply(2))?.refused?.code, 'invalid_argument');
    await live.works();
  });
  inRoom('the largest request number comes back whole', async (live) => {
    await live.send(op.text, '{"requestId":"18446744073709551615","ping":{}}');
    assert.ok((await live.reply('18446744073709551615'))?.pong);
  });
  inRoom('a command of a singer is refused to a guest', async (live) => {
    await live.command(2, { takeStage: {} });
    assert.match((await live.reply(2))?.refused?.code ?? '', /^(unauthenticated|permission_denied)$/);
    await live.works();
  });
});

describe('many and few bytes at a time', () => {
  inRoom('frames chopped into single TCP bytes are read', async (live) => {
    await live.c.writeChopped(Buffer.concat([frame(op.text, ping(2, 300)), frame(op.text, ping(3))]));
    assert.ok((await live.reply(2))?.pong);
    assert.ok((await live.reply(3))?.pong);
  });
  inRoom('thirty frames in one packet are each answered, in order', async (live) => {
    await live.c.write(Buffer.concat(Array.from({ length: 30 }, (_, i) => frame(op.text, ping(100 + i)))));
    for (let i = 0; i < 30; i++) assert.ok((await live.reply(100 + i))?.pong, `${100 + i}`);
  });
  for (const at of [2, 3, 7, 13])
    inRoom(`a stream of frames cut every ${at} bytes is read`, async (live) => {
      const bytes = Buffer.concat([frame(op.text, ping(2, 130)), frame(op.ping, 'p'), frame(op.text, ping(3).slice(0, 4), { fin: false }), frame(op.continuation, ping(3).slice(4))]);
      await live.c.writeChopped(bytes, at);
      assert.ok((await live.reply(2))?.pong);
      assert.ok((await live.reply(3))?.pong);
    });
});

describe('limits', () => {
  inRoom('of 100 commands at once each is answered: done, or resource_exhausted with a retry hint', async (live) => {
    await live.c.write(Buffer.concat(Array.from({ length: 100 }, (_, i) => frame(op.text, ping(100 + i)))));
    let done = 0;
    let refused = 0;
    for (let i = 0; i < 100; i++) {
      const got = await live.reply(100 + i);
      assert.ok(got, `${100 + i} is answered`);
      if (got.pong) done++;
      else {
        refused++;
        assert.equal(got.refused.code, 'resource_exhausted');
        assert.equal(got.refused.detail.retryable, true);
        assert.ok(Number(got.refused.detail.retryAfterMs) > 0, 'with a hint');
      }
    }
    assert.ok(done >= 40 && done <= 60, `the burst is 40: ${done} done, ${refused} refused`);
    await sleep(1_000);
    await live.works();
  });
  inRoom('whoever waits as long as the hint says is let in', async (live) => {
    await live.c.write(Buffer.concat(Array.from({ length: 60 }, (_, i) => frame(op.text, ping(100 + i)))));
    let hint = 0;
    for (let i = 0; i < 60; i++) hint = Number((await live.reply(100 + i))?.refused?.detail?.retryAfterMs ?? hint);
    assert.ok(hint > 0);
    await sleep(hint + 20);
    await live.works();
  });
  inRoom('a flood of refused commands ends the socket with 1008', async (live) => {
    await live.c.write(Buffer.concat(Array.from({ length: 600 }, (_, i) => frame(op.text, ping(100 + i)))));
    assert.equal((await live.close())?.code, 1008);
  });
  inRoom('bad frames count against the rate too: 600 at once end the socket', async (live) => {
    await live.c.write(Buffer.concat(Array.from({ length: 600 }, () => frame(op.text, '{'))));
    assert.equal((await live.close())?.code, 1008);
  });
  inRoom('whoever floods without reading gets whole frames or none, then an end', async (live) => {
    live.c.socket.pause();
    const some = Buffer.concat(Array.from({ length: 500 }, (_, i) => frame(i % 10 === 9 ? op.text : op.ping, i % 10 === 9 ? '{' : Buffer.alloc(125, 'p'))));
    for (let i = 0; i < 200 && !live.c.ended; i++) live.c.socket.write(some);
    await sleep(500);
    live.c.socket.resume();
    // next() checks each frame; a broken stream fails there.
    for (let i = 0; i < 200_000; i++) if (!(await live.next(4_000))) break;
    assert.ok(live.c.ended, 'the flood ends');
    assert.ok(server.running());
  });
  test('a sixth socket of one account closes its oldest one with 4009', { timeout: 20_000 }, async () => {
    const token = await server.logIn('listener2');
    const all = [];
    try {
      for (let i = 0; i < 6; i++) all.push(await Live.enter(server, room, { token }));
      assert.equal((await all[0].close())?.code, 4009);
      await all[5].works();
    } finally {
      for (const live of all) live.destroy();
    }
  });
  test('nine sockets in a hurry leave five', { timeout: 20_000 }, async () => {
    const token = await server.logIn('ops');
    const all = [];
    try {
      for (let i = 0; i < 9; i++) all.push(await Live.enter(server, room, { token }));
      await sleep(3_500);
      let open = 0;
      for (const live of all) {
        if (live.c.ended) continue;
        await live.command(77, { ping: {} });
        if ((await live.reply(77, 1_000))?.pong) open++;
      }
      assert.equal(open, 5);
    } finally {
      for (const live of all) live.destroy();
    }
  });
});

describe('deadlines', () => {
  const cases = [
    ['a TCP connection that says nothing is closed after 5 s', () => silentTcp, 4_500, 7_500],
    ['a socket that does not enter is closed after 5 s', () => silentLive, 4_500, 7_500],
    ['pings do not put off the deadline for enter', () => pingingLive, 4_500, 7_500],
    ['an enter that comes byte by byte does not put off the deadline', () => dribblingLive, 4_500, 7_500],
    ['a socket in a room that says nothing is closed after 30 s', () => idleLive, 29_500, 33_500],
  ];
  for (const [name, which, least, most] of cases)
    test(name, { timeout: 60_000 }, async () => {
      const it = which();
      await it.done;
      assert.ok(it.lastedMs !== null, 'it ends');
      assert.ok(it.lastedMs >= least && it.lastedMs <= most, `it lasted ${it.lastedMs} ms`);
    });
});

test('after all this the server still stands and its books are clean', async () => {
  assert.ok(server.running());
  const live = await Live.enter(server, room);
  await live.works();
  live.destroy();
  assert.doesNotMatch(server.log(), /"unhandled|terminate called|AddressSanitizer|runtime error/);
});
