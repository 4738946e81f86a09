// Raw TCP, HTTP/1.1 and WebSocket, byte by byte: what a client library would never send can be sent here.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import net from 'node:net';

const patienceMs = 5_000;

/** A TCP connection that keeps what came until somebody takes it. */
export class Connection {
  static async open({ hostname, port }) {
    const socket = net.connect({ host: hostname, port, noDelay: true });
    await new Promise((done, failed) => socket.once('connect', done).once('error', failed));
    return new Connection(socket);
  }
  constructor(socket) {
    this.socket = socket;
    this.bytes = Buffer.alloc(0);
    this.ended = false;
    this.reset = false;
    this.wake = () => {};
    socket.removeAllListeners('error');
    socket.on('data', (part) => {
      this.bytes = Buffer.concat([this.bytes, part]);
      this.wake();
    });
    socket.on('error', () => (this.reset = true));
    const end = () => {
      this.ended = true;
      this.wake();
    };
    socket.on('end', end).on('close', end);
  }
  write(data) {
    return new Promise((done) => this.socket.write(data, () => done()));
  }
  /** One byte a TCP segment, with a turn of the loop between. */
  async writeChopped(data, at = 1) {
    for (let i = 0; i < data.length; i += at) {
      await this.write(data.subarray(i, i + at));
      await new Promise((done) => setImmediate(done));
    }
  }
  /** Waits until `ask(this)` is not undefined; null when the connection ended first or the time is over. */
  async wait(ask, ms = patienceMs) {
    const end = Date.now() + ms;
    while (true) {
      const got = ask(this);
      if (got !== undefined) return got;
      const left = end - Date.now();
      if (this.ended || left <= 0) return null;
      await new Promise((done) => {
        const timer = setTimeout(done, left);
        this.wake = () => {
          clearTimeout(timer);
          done();
        };
      });
    }
  }
  /** True when the other side ends the connection within the time. What comes meanwhile is kept. */
  async closes(ms = patienceMs) {
    await this.wait(() => undefined, ms);
    return this.ended;
  }
  take(size) {
    const out = this.bytes.subarray(0, size);
    this.bytes = this.bytes.subarray(size);
    return out;
  }
  /** The next HTTP response, with its body by Content-Length; null when none comes. */
  response({ ms = patienceMs, head = false } = {}) {
    return this.wait(() => {
      const at = this.bytes.indexOf('\r\n\r\n');
      if (at < 0) return undefined;
      const [first, ...lines] = this.bytes.subarray(0, at).toString('latin1').split('\r\n');
      const headers = {};
      for (const line of lines) {
        const cut = line.indexOf(':');
        const name = line.slice(0, cut).toLowerCase();
        const value = line.slice(cut + 1).trim();
        headers[name] = name in headers ? `${headers[name]}, ${value}` : value;
      }
      const status = Number(first.split(' ')[1]);
      const size = head || status < 200 || status === 204 ? 0 : Number(headers['content-length'] ?? 0);
      if (this.bytes.length < at + 4 + size) return undefined;
      this.take(at + 4);
      const body = this.take(size);
      return { status, version: first.split(' ')[0], headers, body, text: body.toString('utf8') };
    }, ms);
  }
  destroy() {
    this.socket.destroy();
  }
}

/** Sends raw bytes on a connection of their own and reads one response. */
export async function exchange(server, bytes, options) {
  const c = await Connection.open(server);
  try {
    await c.write(bytes);
    return await c.response(options);
  } finally {
    c.destroy();
  }
}

export const op = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 };

/** One frame of a client, right or wrong as wished. `size`: 7, 16 or 64 bits for the length; default the shortest. */
export function frame(opcode, payload = '', { fin = true, rsv = 0, mask = true, size, claim, key = randomBytes(4) } = {}) {
  const body = Buffer.from(payload);
  const length = claim ?? BigInt(body.length);
  const bits = size ?? (length < 126n ? 7 : length < 65536n ? 16 : 64);
  const head = [(fin ? 0x80 : 0) | (rsv << 4) | opcode];
  const flag = mask ? 0x80 : 0;
  if (bits === 7) head.push(flag | Number(length));
  else {
    head.push(flag | (bits === 16 ? 126 : 127));
    for (let shift = bits - 8; shift >= 0; shift -= 8) head.push(Number((BigInt.asUintN(64, length) >> BigInt(shift)) & 0xffn));
  }
  if (!mask) return Buffer.concat([Buffer.from(head), body]);
  const masked = Buffer.from(body);
  for (let i = 0; i < masked.length; i++) masked[i] ^= key[i & 3];
  return Buffer.concat([Buffer.from(head), key, masked]);
}
export function closeBody(code, reason = '') {
  const head = Buffer.alloc(2);
  head.writeUInt16BE(code);
  return Buffer.concat([head, Buffer.from(reason)]);
}

export function upgradeRequest(server, { target = '/v1/live', method = 'GET', version = 'HTTP/1.1', headers = {} } = {}) {
  const all = {
    Host: `${server.hostname}:${server.port}`,
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Protocol': 'ovation.v1.json',
    ...headers,
  };
  let out = `${method} ${target} ${version}\r\n`;
  for (const [name, value] of Object.entries(all)) for (const one of [].concat(value ?? [])) out += `${name}: ${one}\r\n`;
  return `${out}\r\n`;
}
export const acceptFor = (key) => createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');

/** A WebSocket on raw TCP. */
export class Live {
  /** After the handshake; `first`: bytes that go in the same packet as the upgrade request. */
  static async open(server, { protocol = 'ovation.v1.json', first } = {}) {
    const c = await Connection.open(server);
    const request = Buffer.from(upgradeRequest(server, { headers: { 'Sec-WebSocket-Protocol': protocol } }));
    await c.write(first ? Buffer.concat([request, first]) : request);
    const answer = await c.response();
    assert.equal(answer?.status, 101, `the upgrade is answered with 101, not ${answer?.status} ${answer?.text}`);
    return new Live(c, protocol);
  }
  /** In the room: `enter` sent and `welcome` read. */
  static async enter(server, roomId, { protocol = 'ovation.v1.json', token = '', alone = false } = {}) {
    const live = await Live.open(server, { protocol });
    await live.command(1, { enter: { roomId, alone, accessToken: token, noMedia: true } });
    const welcome = await live.reply(1);
    assert.ok(welcome?.welcome, `enter is answered with welcome, not ${JSON.stringify(welcome)}`);
    live.welcome = welcome.welcome;
    return live;
  }
  constructor(connection, protocol) {
    this.c = connection;
    this.protocol = protocol;
    this.seen = [];
  }
  send(opcode, payload, options) {
    return this.c.write(frame(opcode, payload, options));
  }
  /** A JSON command. */
  command(requestId, body) {
    return this.send(op.text, JSON.stringify({ requestId, ...body }));
  }
  /** The next frame of the server, checked: whole, unmasked, shortest length, known opcode; null: end or silence. */
  async next(ms = patienceMs) {
    const got = await this.c.wait(({ bytes }) => {
      if (bytes.length < 2) return undefined;
      const short = bytes[1] & 0x7f;
      const at = short === 126 ? 4 : short === 127 ? 10 : 2;
      if (bytes.length < at) return undefined;
      const length = short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short;
      if (bytes.length < at + length) return undefined;
      const first = bytes[0];
      const masked = (bytes[1] & 0x80) !== 0;
      const shortest = length < 126 ? at === 2 : length < 65536 ? at === 4 : true;
      this.c.take(at);
      return { opcode: first & 0x0f, fin: (first & 0x80) !== 0, rsv: (first >> 4) & 7, masked, shortest, payload: this.c.take(length) };
    }, ms);
    if (!got) return null;
    assert.equal(got.masked, false, 'a server masks nothing');
    assert.equal(got.rsv, 0, 'no extension was agreed, so no reserved bit is set');
    assert.ok(got.shortest, 'the length is in its shortest form');
    assert.ok(Object.values(op).includes(got.opcode), `opcode ${got.opcode}`);
    if (got.opcode >= 8) assert.ok(got.fin && got.payload.length <= 125, 'a control frame is whole and short');
    this.seen.push(got);
    return got;
  }
  /** Reads frames until one fits; others (presence, boards) pass by. */
  async find(fits, ms = patienceMs) {
    for (const end = Date.now() + ms; Date.now() < end; ) {
      const got = await this.next(end - Date.now());
      if (!got) return null;
      if (fits(got)) return got;
    }
    return null;
  }
  /** The JSON answer to a command; null: none came. */
  async reply(requestId, ms) {
    const got = await this.find((f) => f.opcode === op.text && JSON.parse(f.payload).requestId === String(requestId), ms);
    return got && JSON.parse(got.payload);
  }
  async pong(ms) {
    return (await this.find((f) => f.opcode === op.pong, ms))?.payload ?? null;
  }
  /** The close frame: {code, reason}; null: none came. */
  async close(ms) {
    const got = await this.find((f) => f.opcode === op.close, ms);
    if (!got) return null;
    if (got.payload.length === 0) return { code: 1005, reason: '' };
    return { code: got.payload.readUInt16BE(0), reason: got.payload.subarray(2).toString('utf8') };
  }
  /** The server closes with this code. That the connection then ends is the close family's business. */
  async fails(code) {
    const got = await this.close();
    assert.ok(got, `a close frame with ${code} comes`);
    assert.equal(got.code, code, `closed with ${got.code} "${got.reason}"`);
  }
  /** Still of use: a ping of the protocol is answered. */
  async works() {
    await this.command(4242, { ping: { sentAtMs: 7 } });
    const got = await this.reply(4242);
    assert.equal(got?.pong?.sentAtMs, '7', `the socket still works; got ${JSON.stringify(got)}`);
  }
  destroy() {
    this.c.destroy();
  }
}
