// The Connect protocol, unary, on HTTP/1.1: a table of cases for each point of the checklist, and HTTP's own edges.
import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import zlib from 'node:zlib';
import { password, sleep, startServer } from './harness.mjs';
import { Connection, exchange } from './raw.mjs';

let server, room, song, listener, ops;
before(async () => {
  server = await startServer({ flags: ['--load-profile'] });
  room = (await server.makeRoom()).id;
  listener = await server.logIn('listener');
  ops = await server.logIn('ops');
  song = (await server.rpc('SongService/ListSongs')).songs[0].id;
});
after(() => server?.stop());

const at = (method) => `/ovation.v1.${method}`;
const json = { 'content-type': 'application/json' };
const proto = { 'content-type': 'application/proto' };
const host = () => `${server.hostname}:${server.port}`;

// node:http, as fetch hides headers, verbs and compression.
function call(target, { method = 'POST', headers = json, body } = {}) {
  return new Promise((done, failed) => {
    const request = http.request({ host: server.hostname, port: server.port, path: target, method, headers, agent: false, timeout: 10_000 }, (answer) => {
      const parts = [];
      answer.on('data', (part) => parts.push(part)).on('error', failed);
      answer.on('end', () => {
        const bytes = Buffer.concat(parts);
        done({ status: answer.statusCode, headers: answer.headers, bytes, text: bytes.toString('utf8') });
      });
    });
    request.on('error', failed).on('timeout', () => request.destroy(new Error('no answer')));
    request.end(body);
  });
}
const ask = (method, body, { headers, ...rest } = {}) => call(at(method), { headers: { ...json, ...headers }, body: typeof body === 'string' || Buffer.isBuffer(body) || body === undefined ? body : JSON.stringify(body), ...rest });

// ---- the smallest protobuf reader ----
function fields(bytes) {
  const out = {};
  let i = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      assert.ok(i < bytes.length, 'a varint is whole');
      const b = bytes[i++];
      value |= BigInt(b & 0x7f) << shift;
      if (b < 0x80) return value;
    }
  };
  while (i < bytes.length) {
    const key = varint();
    if ((key & 7n) === 0n) out[key >> 3n] = varint();
    else {
      assert.equal(key & 7n, 2n, 'only varints and lengths are expected');
      const size = Number(varint());
      assert.ok(i + size <= bytes.length, 'a field is whole');
      out[key >> 3n] = bytes.subarray(i, i + size);
      i += size;
    }
  }
  return out;
}
const varint = (n) => {
  const out = [];
  for (let v = BigInt(n); ; v >>= 7n) {
    if (v < 0x80n) return Buffer.from([...out, Number(v)]);
    out.push(Number(v & 0x7fn) | 0x80);
  }
};
const idMessage = (n) => Buffer.concat([Buffer.from([0x08]), varint(n)]);

/** Checks the shape of an error and opens its detail. */
function fault(answer, code, status) {
  assert.equal(answer.headers['content-type'], 'application/json', answer.text);
  const error = JSON.parse(answer.text);
  assert.equal(error.code, code, answer.text);
  if (status) assert.equal(answer.status, status);
  assert.ok(typeof error.message === 'string' && error.message.length > 0, 'a sentence for people');
  assert.equal(error.details.length, 1);
  const [detail] = error.details;
  assert.equal(detail.type, 'ovation.v1.ErrorDetail');
  assert.match(detail.value, /^[A-Za-z0-9+/]*$/, 'base64 without padding');
  assert.notEqual(detail.value.length % 4, 1);
  const f = fields(Buffer.from(detail.value, 'base64'));
  return { ...error, reason: f[1]?.toString() ?? '', retryable: f[2] === 1n, retryAfterMs: Number(f[3] ?? 0n), field: f[4]?.toString() ?? '' };
}
const refused = (name, request, code, status, more) =>
  test(name, async () => {
    const got = await (typeof request === 'function' ? request() : call(...request));
    const f = fault(got, code, status);
    more?.(f, got);
  });
const accepted = (name, request, more) =>
  test(name, async () => {
    const got = await (typeof request === 'function' ? request() : call(...request));
    assert.equal(got.status, 200, got.text);
    await more?.(got);
  });

describe('paths and verbs', () => {
  for (const target of [at('GiftService/Nope'), at('NopeService/ListGifts'), '/ovation.v2.GiftService/ListGifts', `${at('GiftService/ListGifts')}/`, at('giftservice/listgifts'), '/other.v1.GiftService/ListGifts', '/nowhere'])
    test(`POST ${target} is 404`, async () => assert.equal((await call(target, { body: '{}' })).status, 404));
  for (const method of ['PUT', 'DELETE', 'PATCH', 'HEAD']) {
    test(`${method} on a safe RPC is 405 with Allow: GET, POST`, async () => {
      const got = await call(at('GiftService/ListGifts'), { method });
      assert.equal(got.status, 405);
      assert.equal(got.headers.allow, 'GET, POST');
    });
    test(`${method} on a mutating RPC is 405 with Allow: POST`, async () => {
      const got = await call(at('AuthService/LogIn'), { method });
      assert.equal(got.status, 405);
      assert.equal(got.headers.allow, 'POST');
    });
  }
  for (const method of ['AuthService/LogIn', 'AuthService/GetMe', 'GiftService/SendGift', 'RoomService/ListMyRooms', 'PaymentService/CreateTopUp', 'OpsService/BanUser'])
    test(`GET on ${method}, which is not safe, is 405 with Allow: POST`, async () => {
      const got = await call(`${at(method)}?encoding=json&message=%7B%7D&connect=v1`, { method: 'GET', headers: {} });
      assert.equal(got.status, 405);
      assert.equal(got.headers.allow, 'POST');
    });
  for (const [method, target] of [['DELETE', '/healthz'], ['POST', '/media/x'], ['GET', '/webhooks/sandbox']])
    test(`${method} ${target} is 405 and says what is allowed`, async () => {
      const got = await call(target, { method, headers: {} });
      assert.equal(got.status, 405);
      assert.ok(got.headers.allow, 'Allow');
    });
});

describe('content types', () => {
  for (const type of ['application/json', 'application/json; charset=utf-8', 'application/json;charset=UTF-8', 'application/json ; charset=utf-8', 'Application/JSON'])
    accepted(`"${type}" is JSON`, () => ask('GiftService/ListGifts', '{}', { headers: { 'content-type': type } }), (got) => {
      assert.equal(got.headers['content-type'], 'application/json');
      assert.ok(JSON.parse(got.text).gifts.length > 0);
    });
  accepted('application/proto is answered in application/proto', [at('GiftService/ListGifts'), { headers: proto }], (got) => {
    assert.equal(got.headers['content-type'], 'application/proto');
    assert.ok(fields(got.bytes)[1].length > 0);
  });
  for (const type of ['application/connect+json', 'application/connect+proto', 'application/grpc', 'application/grpc+proto', 'application/grpc-web', 'application/grpc-web+proto', 'application/grpc-web-text', 'text/plain', 'text/plain; application/json', 'application/jsonx', 'application/xml', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'application/protobuf', ''])
    test(`"${type}" is 415`, async () => assert.equal((await ask('GiftService/ListGifts', '{}', { headers: { 'content-type': type } })).status, 415));
  test('no content type is 415', async () => assert.equal((await call(at('GiftService/ListGifts'), { headers: {}, body: '{}' })).status, 415));
});

describe('protocol version', () => {
  accepted('absent is taken without an origin', () => ask('AuthService/LogIn', { handle: 'listener2', password }));
  accepted('1 is taken', () => ask('GiftService/ListGifts', '{}', { headers: { 'connect-protocol-version': '1' } }));
  for (const version of ['2', '0', '1.0', 'v1', '01', '1, 1'])
    refused(`"${version}" is refused`, () => ask('GiftService/ListGifts', '{}', { headers: { 'connect-protocol-version': version } }), 'invalid_argument', 400);
  for (const [name, headers] of [['Origin', () => ({ origin: `http://${host()}` })], ['Sec-Fetch-Site', () => ({ 'sec-fetch-site': 'cross-site' })], ['Sec-Fetch-Site of one site', () => ({ 'sec-fetch-site': 'same-origin' })]]) {
    refused(`a mutating RPC with ${name} and without a version is refused`, () => ask('AuthService/LogIn', { handle: 'listener2', password }, { headers: headers() }), 'invalid_argument', 400);
    accepted(`a mutating RPC with ${name} and version 1 is taken`, () => ask('AuthService/LogIn', { handle: 'listener2', password }, { headers: { ...headers(), 'connect-protocol-version': '1' } }));
    accepted(`a safe RPC with ${name} needs no version`, () => ask('GiftService/ListGifts', '{}', { headers: headers() }));
  }
  test('a mutating RPC that was refused for its version did nothing', async () => {
    const handle = `never-${process.pid}`;
    await ask('AuthService/Register', { handle, displayName: 'N', password: 'long enough' }, { headers: { origin: 'https://evil.example' } });
    assert.equal(await server.psql(`select count(*) from identity.users where subject = '${handle}'`), '0');
  });
});

describe('other origins', () => {
  test('a preflight of our own origin is allowed, with the headers that a client needs', async () => {
    const got = await call(at('AuthService/LogIn'), { method: 'OPTIONS', headers: { origin: `http://${host()}`, 'access-control-request-method': 'POST', 'access-control-request-headers': 'connect-protocol-version' } });
    assert.equal(got.status, 204);
    assert.equal(got.headers['access-control-allow-origin'], `http://${host()}`);
    for (const one of ['content-type', 'connect-protocol-version', 'connect-timeout-ms', 'authorization']) assert.ok(got.headers['access-control-allow-headers'].includes(one), one);
    assert.equal(got.headers['access-control-allow-credentials'], undefined);
    assert.match(got.headers.vary, /Origin/);
  });
  test('204 carries no Content-Length', async () => {
    const got = await call(at('AuthService/LogIn'), { method: 'OPTIONS', headers: { origin: `http://${host()}` } });
    assert.equal(got.headers['content-length'], undefined);
  });
  for (const origin of ['https://evil.example', 'null'])
    test(`a preflight of ${origin} is refused`, async () => {
      const got = await call(at('AuthService/LogIn'), { method: 'OPTIONS', headers: { origin, 'access-control-request-method': 'POST' } });
      assert.equal(got.status, 403);
      assert.equal(got.headers['access-control-allow-origin'], undefined);
    });
  test('an answer to a foreign origin names no origin', async () => {
    const got = await ask('GiftService/ListGifts', '{}', { headers: { origin: 'https://evil.example' } });
    assert.equal(got.headers['access-control-allow-origin'], undefined);
  });
});

describe('timeouts', () => {
  for (const timeout of ['soon', '1.5', '1e3', '-1', '-0', '+5', '0x10', '10 ', '12345678901', '99999999999999999999', '1000, 1000'])
    // A trailing blank is no part of a header's value.
    timeout === '10 '
      ? accepted('a blank behind the timeout is no part of it', () => ask('GiftService/ListGifts', '{}', { headers: { 'connect-timeout-ms': '5000 ' } }))
      : refused(`"${timeout}" is refused`, () => ask('GiftService/ListGifts', '{}', { headers: { 'connect-timeout-ms': timeout } }), 'invalid_argument', 400);
  for (const timeout of ['5000', '9999999999', '0000005000'])
    accepted(`"${timeout}" is taken`, () => ask('GiftService/ListGifts', '{}', { headers: { 'connect-timeout-ms': timeout } }));
  for (const timeout of ['0', '0000000000'])
    refused(`"${timeout}" is over at once`, () => ask('GiftService/ListGifts', '{}', { headers: { 'connect-timeout-ms': timeout } }), 'deadline_exceeded', 504);
  refused('what takes longer than its time is deadline_exceeded', () => ask('AuthService/LogIn', { handle: 'listener2', password }, { headers: { 'connect-timeout-ms': '1' } }), 'deadline_exceeded', 504);
  test('a keyed command whose time is over at once was not done', async () => {
    const key = '018f0000-0000-7000-8000-000000000001';
    const got = await ask('PaymentService/CreateTopUp', { key, packId: '1', provider: 'sandbox' }, { headers: { 'connect-timeout-ms': '0', authorization: `Bearer ${listener}` } });
    fault(got, 'deadline_exceeded', 504);
  });
});

describe('compression', () => {
  const gz = { ...json, 'content-encoding': 'gzip' };
  const body = (text) => zlib.gzipSync(Buffer.from(text));
  accepted('a gzip request is read', () => ask('SongService/GetSong', body(JSON.stringify({ songId: song })), { headers: gz }), (got) => assert.equal(JSON.parse(got.text).id, song));
  accepted('a gzip request in protobuf is read', () => ask('SongService/GetSong', zlib.gzipSync(idMessage(song)), { headers: { ...gz, ...proto } }));
  accepted('identity is no compression', () => ask('GiftService/ListGifts', '{}', { headers: { 'content-encoding': 'identity' } }));
  for (const other of ['br', 'deflate', 'zstd', 'snappy', 'gzip, gzip'])
    refused(`${other} is unimplemented, and gzip is named`, () => ask('GiftService/ListGifts', '{}', { headers: { 'content-encoding': other } }), 'unimplemented', 501, (_, got) => assert.match(got.headers['accept-encoding'] ?? '', /gzip/));
  const broken = {
    'no gzip at all': '{}',
    'a cut gzip': body('{"search":"a long enough text to be cut"}').subarray(0, 20),
    'a gzip with a wrong checksum': (() => {
      const b = body('{}');
      b[b.length - 8] ^= 1;
      return b;
    })(),
    'a gzip with a wrong length': (() => {
      const b = body('{}');
      b[b.length - 1] ^= 1;
      return b;
    })(),
    'bytes behind the gzip': Buffer.concat([body('{}'), Buffer.from('more')]),
    'zlib instead of gzip': zlib.deflateSync(Buffer.from('{}')),
  };
  for (const [name, bytes] of Object.entries(broken)) refused(`${name} is refused`, () => ask('GiftService/ListGifts', bytes, { headers: gz }), 'invalid_argument', 400);
  for (const megabytes of [2, 200])
    test(`${megabytes} MB behind gzip are refused, quickly`, { timeout: 20_000 }, async () => {
      const bomb = zlib.gzipSync(Buffer.alloc(megabytes * 1024 * 1024, ' '), { level: 9 });
      const started = Date.now();
      const got = await ask('GiftService/ListGifts', bomb, { headers: gz });
      assert.ok([400, 413, 429].includes(got.status), `${got.status}`);
      assert.match(JSON.parse(got.text).code, /^(invalid_argument|resource_exhausted)$/);
      assert.ok(Date.now() - started < 3_000);
    });
  accepted('a long answer is gzip where it is accepted', () => ask('SongService/GetSong', { songId: song }, { headers: { 'accept-encoding': 'gzip' } }), (got) => {
    assert.equal(got.headers['content-encoding'], 'gzip');
    assert.equal(JSON.parse(zlib.gunzipSync(got.bytes)).id, song);
    assert.match(got.headers.vary, /Accept-Encoding/i);
  });
  for (const accepts of [undefined, 'identity', 'br', 'gzip;q=0', 'gzip;q=0, identity', 'x-not-gzip-at-all'])
    accepted(`Accept-Encoding ${accepts}: the answer is not compressed`, () => ask('SongService/GetSong', { songId: song }, { headers: accepts === undefined ? {} : { 'accept-encoding': accepts } }), (got) => {
      assert.equal(got.headers['content-encoding'], undefined);
      assert.equal(JSON.parse(got.text).id, song);
    });
});

describe('errors', () => {
  const bearer = (token) => ({ headers: { authorization: `Bearer ${token}` } });
  refused('nobody: unauthenticated 401', () => ask('AuthService/GetMe', {}), 'unauthenticated', 401);
  refused('a token that is none: unauthenticated 401', () => ask('AuthService/GetMe', {}, bearer('nonsense')), 'unauthenticated', 401);
  refused('a wrong password: unauthenticated 401', () => ask('AuthService/LogIn', { handle: 'listener', password: 'not the password' }), 'unauthenticated', 401);
  refused('a role that is missing: permission_denied 403', () => ask('OpsService/FindUser', { handle: 'agent' }, bearer(listener)), 'permission_denied', 403);
  refused('what does not exist: not_found 404', () => ask('RoomService/GetRoom', { roomId: '999999' }), 'not_found', 404);
  refused('a wrong argument: invalid_argument 400, with its field', () => ask('AuthService/Register', { handle: 'x', displayName: 'X', password: 'long enough' }), 'invalid_argument', 400, (f) => assert.equal(f.field, 'handle'));
  refused('what exists already: already_exists 409', () => ask('AuthService/Register', { handle: 'listener', displayName: 'X', password: 'long enough' }), 'already_exists', 409);
  refused('a gift without coins is refused with a reason', () => ask('GiftService/SendGift', { key: uuidv7(), roomId: room, giftId: '1', quantity: 1, priceVersion: 1 }, bearer(listener)), 'failed_precondition', 400, (f) => assert.match(f.reason, /^[a-z_]+$/));
  refused('errors are JSON for protobuf requests too', [at('AuthService/GetMe'), { headers: proto }], 'unauthenticated', 401);
  test('an authorization that is not Bearer is refused', async () => {
    const got = await ask('AuthService/GetMe', {}, { headers: { authorization: 'Basic YTpi' } });
    fault(got, got.status === 401 ? 'unauthenticated' : 'invalid_argument');
  });
  test('no error tells a cache to keep it', async () => {
    const got = await call(`${at('RoomService/GetRoom')}?encoding=json&connect=v1&message=${encodeURIComponent('{"roomId":"999999"}')}`, { method: 'GET', headers: {} });
    fault(got, 'not_found', 404);
    assert.doesNotMatch(got.headers['cache-control'] ?? '', /public|max-age=[1-9]/);
  });
  test('too many log-ins: resource_exhausted 429, retryable, with a hint in detail and header', async (t) => {
    // Twenty at once, then two a second; on a server with the limits of every day.
    const strict = await startServer({ songs: false });
    t.after(() => strict.stop());
    for (let i = 0; i < 60; i++) {
      const answer = await fetch(`${strict.url}/ovation.v1.AuthService/LogIn`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ handle: 'nobody-at-all', password: 'whatever it is' }) });
      const got = { status: answer.status, headers: Object.fromEntries(answer.headers), text: await answer.text() };
      if (got.status === 401) continue;
      const f = fault(got, 'resource_exhausted', 429);
      assert.ok(f.retryable && f.retryAfterMs > 0);
      assert.ok(Number(got.headers['retry-after']) >= 1);
      return;
    }
    assert.fail('sixty log-ins in a row were let through');
  });
});
function uuidv7() {
  const time = Date.now().toString(16).padStart(12, '0');
  const random = () => Math.floor(Math.random() * 0x10000).toString(16).padStart(4, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7${random().slice(1)}-8${random().slice(1)}-${random()}${random()}${random()}`;
}

describe('GET', () => {
  const get = (method, query, headers = {}) => call(`${at(method)}?${query}`, { method: 'GET', headers });
  const message = (value) => `message=${encodeURIComponent(typeof value === 'string' ? value : JSON.stringify(value))}`;
  const b64 = (bytes) => Buffer.from(bytes).toString('base64url');
  accepted('JSON in the query is answered', () => get('SongService/GetSong', `connect=v1&encoding=json&${message({ songId: song })}`), (got) => assert.equal(JSON.parse(got.text).id, song));
  accepted('connect=v1 may be absent', () => get('SongService/GetSong', `encoding=json&${message({ songId: song })}`));
  accepted('JSON in base64url is answered', () => get('SongService/GetSong', `encoding=json&base64=1&message=${b64(JSON.stringify({ songId: song }))}`), (got) => assert.equal(JSON.parse(got.text).id, song));
  accepted('padding in base64url is taken', () => get('SongService/GetSong', `encoding=json&base64=1&message=${encodeURIComponent(Buffer.from(`{"songId":"${song}"} `.padEnd(22)).toString('base64').replaceAll('+', '-').replaceAll('/', '_'))}`));
  accepted('protobuf in base64url is answered in protobuf', () => get('SongService/GetSong', `encoding=proto&base64=1&message=${b64(idMessage(song))}`), (got) => {
    assert.equal(got.headers['content-type'], 'application/proto');
    assert.equal(String(fields(got.bytes)[1]), song);
  });
  accepted('protobuf in percent-encoding is answered', () => get('SongService/GetSong', `encoding=proto&message=${[...idMessage(song)].map((b) => `%${b.toString(16).padStart(2, '0')}`).join('')}`));
  accepted('an empty protobuf message is an empty message', () => get('GiftService/ListGifts', 'encoding=proto&base64=1&message='));
  accepted('a gzip message is read', () => get('SongService/GetSong', `encoding=json&base64=1&compression=gzip&message=${b64(zlib.gzipSync(JSON.stringify({ songId: song })))}`), (got) => assert.equal(JSON.parse(got.text).id, song));
  accepted('compression=identity is no compression', () => get('SongService/GetSong', `encoding=json&compression=identity&${message({ songId: song })}`));
  refused('another compression is unimplemented', () => get('SongService/GetSong', `encoding=json&compression=br&${message({ songId: song })}`), 'unimplemented', 501);
  for (const encoding of ['', 'encoding=xml&', 'encoding=JSON&'])
    test(`"${encoding}" is 415`, async () => assert.equal((await get('GiftService/ListGifts', `${encoding}message=%7B%7D`)).status, 415));
  refused('connect=v2 is refused', () => get('GiftService/ListGifts', 'connect=v2&encoding=json&message=%7B%7D'), 'invalid_argument', 400);
  refused('bad base64 is refused', () => get('GiftService/ListGifts', 'encoding=json&base64=1&message=!!!'), 'invalid_argument', 400);
  refused('bad JSON is refused', () => get('GiftService/ListGifts', `encoding=json&${message('{"a"')}`), 'invalid_argument', 400);
  for (const bad of ['%zz', '%7', '%', '%7B%7D%'])
    test(`bad percent-encoding (${bad}) is 400, not an empty message`, async () => assert.equal((await get('GiftService/ListGifts', `encoding=json&message=${bad}`)).status, 400));
  refused('a timeout holds for GET too', () => get('GiftService/ListGifts', 'encoding=json&message=%7B%7D', { 'connect-timeout-ms': '0' }), 'deadline_exceeded', 504);
  accepted('what is the same for everybody may be kept for a moment', () => get('GiftService/ListGifts', 'encoding=json&message=%7B%7D'), (got) => {
    assert.match(got.headers['cache-control'], /^public, max-age=\d+$/);
    assert.match(got.headers.vary, /Accept-Encoding/i);
  });
  accepted('what an account asks is kept by nobody', () => get('GiftService/ListGifts', 'encoding=json&message=%7B%7D', { authorization: `Bearer ${listener}` }), (got) => assert.equal(got.headers['cache-control'], 'no-store'));
  accepted('what only ops may see is kept by nobody', () => get('OpsService/GetLiveTotals', 'encoding=json&message=%7B%7D', { authorization: `Bearer ${ops}` }), (got) => assert.equal(got.headers['cache-control'], 'no-store'));
  refused('GET asks the access rules too', () => get('OpsService/GetLiveTotals', 'encoding=json&message=%7B%7D'), 'unauthenticated', 401);
  accepted('a POST is kept by nobody', () => ask('GiftService/ListGifts', '{}'), (got) => assert.equal(got.headers['cache-control'], 'no-store'));
});

describe('JSON', () => {
  refused('an empty body is no JSON', () => ask('GiftService/ListGifts', ''), 'invalid_argument', 400);
  refused('a body of blanks is no JSON', () => ask('GiftService/ListGifts', ' \n'), 'invalid_argument', 400);
  accepted('blanks around the object do no harm', () => ask('GiftService/ListGifts', ' \r\n\t{ } \n'));
  accepted('a 64-bit number as a string is taken, and comes as a string', () => ask('SongService/GetSong', `{"songId":"${song}"}`), (got) => assert.equal(JSON.parse(got.text).id, song));
  accepted('a 64-bit number as a number is taken', () => ask('SongService/GetSong', `{"songId":${song}}`));
  accepted('the name of the .proto file is taken', () => ask('SongService/GetSong', `{"song_id":"${song}"}`));
  accepted('null is the default', () => ask('SongService/ListSongs', '{"search":null,"afterId":null}'));
  accepted('unknown fields are ignored', () => ask('SongService/GetSong', `{"songId":"${song}","newer":{"deep":[1,{"a":null}]},"x":"y"}`));
  const bad = {
    'a key twice': '{"songId":"1","songId":"2"}',
    'a key twice, once with an escape': '{"songId":"1","song\\u0049d":"2"}',
    'a field twice, under both of its names': '{"songId":"1","song_id":"2"}',
    'an unknown key twice': '{"x":1,"x":2}',
    'a key twice, deep inside': '{"x":[{"y":{"z":1,"z":1}}]}',
    '33 objects deep': '{"x":'.repeat(33) + '1' + '}'.repeat(33),
    '1000 arrays deep': `{"x":${'['.repeat(1000)}${']'.repeat(1000)}}`,
    '300000 arrays deep and never closed': `{"x":${'['.repeat(300_000)}`,
    'bad UTF-8': Buffer.from([...Buffer.from('{"x":"'), 0xff, ...Buffer.from('"}')]),
    'an overlong form': Buffer.from([...Buffer.from('{"x":"'), 0xc0, 0xaf, ...Buffer.from('"}')]),
    'a surrogate in UTF-8': Buffer.from([...Buffer.from('{"x":"'), 0xed, 0xa0, 0x80, ...Buffer.from('"}')]),
    'bad UTF-8 in a key': Buffer.from([...Buffer.from('{"'), 0xff, ...Buffer.from('":1}')]),
    'a lone high surrogate': '{"search":"\\ud800"}',
    'a lone low surrogate': '{"search":"\\udc00x"}',
    'something behind the object': '{}x',
    'a second object': '{}{}',
    'a NUL behind the object': '{}\0',
    'a byte order mark': '\ufeff{}',
    'a cut object': '{"songId":"1"',
    'a comma at the end': '{"songId":"1",}',
    'a comment': '{/* */"songId":"1"}',
    'single quotes': "{'songId':'1'}",
    'a bare key': '{songId:1}',
    'a raw line break in a string': '{"search":"a\nb"}',
    'NaN': '{"songId":NaN}',
    'a leading zero': '{"songId":01}',
    'a leading plus': '{"songId":+1}',
    'a hexadecimal number': '{"songId":0x1}',
    'an array': '[]',
    'a string': '"x"',
    'a number': '1',
    'true': 'true',
    'an empty string for a number': '{"songId":""}',
    'a blank before a number in a string': '{"songId":" 1"}',
    'a fraction for an integer': '{"songId":1.5}',
    'a number beyond 64 bits': '{"songId":"9223372036854775808"}',
    'a number beyond 64 bits, unquoted': '{"songId":9223372036854775808}',
    'an exponent that no number holds': '{"songId":1e999}',
    'an object for a number': '{"songId":{}}',
    'true for a number': '{"songId":true}',
    'a number for a string': '{"search":7}',
  };
  for (const [name, body] of Object.entries(bad)) refused(`${name} is refused`, () => ask(/search/.test(body) ? 'SongService/ListSongs' : 'SongService/GetSong', body), 'invalid_argument', 400);
  accepted('31 levels below the object are taken', () => ask('GiftService/ListGifts', `{"x":${'['.repeat(31)}${']'.repeat(31)}}`));
  test('a NUL inside a text is refused or finds nothing; it is no fault of the server', async () => {
    for (const [method, body] of [['AuthService/LogIn', '{"handle":"a\\u0000b","password":"long enough"}'], ['SongService/ListSongs', '{"search":"a\\u0000b"}'], ['AuthService/Register', `{"handle":"nul-${process.pid}","displayName":"a\\u0000b","password":"long enough"}`]]) {
      const got = await ask(method, body);
      assert.ok(got.status < 500, `${method}: ${got.text}`);
    }
  });
  for (const search of ['%', '_', "' or 1=1 --", '\\', '"', '<script>', '\u202e', 'x'.repeat(200)])
    accepted(`a search for ${JSON.stringify(search.slice(0, 20))} is only text`, () => ask('SongService/ListSongs', { search }));
});

describe('protobuf', () => {
  accepted('an empty body is an empty message', [at('GiftService/ListGifts'), { headers: proto }]);
  accepted('unknown fields are ignored', () => call(at('SongService/GetSong'), { headers: proto, body: Buffer.concat([idMessage(song), Buffer.from([0xfa, 0x7f, 2, 1, 2])]) }));
  const bad = {
    'a cut varint': Buffer.from([0x08]),
    'a length beyond the end': Buffer.from([0x0a, 0x7f, 1]),
    'the field number 0': Buffer.from([0x00, 0x00]),
    'a varint of eleven bytes': Buffer.from([0x08, ...Array(10).fill(0xff), 1]),
    'bytes behind the message': () => Buffer.concat([idMessage(song), Buffer.from([0xff])]),
    'a group that never ends': Buffer.from([0x13]),
    'an end of a group that never began': Buffer.from([0x14]),
    'groups 300 deep': Buffer.from([...Array(300).fill(0x7b), ...Array(300).fill(0x7c)]),
    'JSON': Buffer.from('{"songId":"1"}'),
  };
  for (const [name, body] of Object.entries(bad)) refused(`${name} is refused`, () => call(at('SongService/GetSong'), { headers: proto, body: typeof body === 'function' ? body() : body }), 'invalid_argument', 400);
  refused('a string that is not UTF-8 is refused', [at('SongService/ListSongs'), { headers: proto, body: Buffer.from([0x0a, 1, 0xff]) }], 'invalid_argument', 400);
});

describe('HTTP', () => {
  const head = (target = '/healthz', more = '', { method = 'GET', version = 'HTTP/1.1', hostLine = `Host: ${host()}\r\n` } = {}) => `${method} ${target} ${version}\r\n${hostLine}${more}\r\n`;
  const post = (method, body, more = '') => `POST ${at(method)} HTTP/1.1\r\nHost: ${host()}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${more}\r\n${body}`;
  const over = async (bytes) => {
    const c = await Connection.open(server);
    await c.write(bytes);
    return c;
  };
  test('pipelined requests are answered in their order', async () => {
    const c = await over(head('/healthz') + post('SongService/GetSong', JSON.stringify({ songId: song })) + post('GiftService/ListGifts', '{}') + post('AuthService/GetMe', '{}') + head('/nothing-here.txt') + head('/healthz'));
    const seen = [];
    for (let i = 0; i < 6; i++) seen.push(await c.response());
    assert.deepEqual(seen.map((r) => r?.status), [200, 200, 200, 401, 404, 200]);
    assert.equal(JSON.parse(seen[1].text).id, song);
    c.destroy();
  });
  test('a request in single bytes is answered', { timeout: 20_000 }, async () => {
    const c = await Connection.open(server);
    await c.writeChopped(Buffer.from(post('SongService/GetSong', JSON.stringify({ songId: song })) + head()));
    assert.equal((await c.response())?.status, 200);
    assert.equal((await c.response())?.status, 200);
    c.destroy();
  });
  test('a second request that comes in two halves is answered', async () => {
    const second = post('SongService/GetSong', JSON.stringify({ songId: song }));
    const c = await over(head() + second.slice(0, 30));
    assert.equal((await c.response())?.status, 200);
    await c.write(second.slice(30));
    assert.equal((await c.response())?.status, 200);
    c.destroy();
  });
  test('Connection: close is honoured', async () => {
    const c = await over(head('/healthz', 'Connection: close\r\n') + head());
    const got = await c.response();
    assert.equal(got.status, 200);
    assert.equal(got.headers.connection, 'close');
    assert.ok(await c.closes());
    assert.equal(c.bytes.length, 0, 'what stood behind is not answered');
  });
  test('HTTP/1.0 is answered and then ends', async () => {
    const c = await over(head('/healthz', '', { version: 'HTTP/1.0' }));
    assert.equal((await c.response())?.status, 200);
    assert.ok(await c.closes());
  });
  for (const [name, bytes] of [
    ['no HTTP at all', 'hello\r\n\r\n'],
    ['HTTP/2 without asking', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['a TLS hello', Buffer.from([0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0, 13, 10, 13, 10])],
    ['a blank before the colon of a header', () => head('/healthz', 'X-Test : 1\r\n')],
    ['a header without a colon', () => head('/healthz', 'nonsense\r\n')],
    ['a NUL in a header', () => head('/healthz', 'X-Test: a\0b\r\n')],
    ['a negative length', () => head(at('GiftService/ListGifts'), 'Content-Type: application/json\r\nContent-Length: -1\r\n', { method: 'POST' })],
    ['a length that is no number', () => head(at('GiftService/ListGifts'), 'Content-Type: application/json\r\nContent-Length: 2x\r\n', { method: 'POST' }) + '{}'],
    ['two different lengths', () => head(at('GiftService/ListGifts'), 'Content-Type: application/json\r\nContent-Length: 2\r\nContent-Length: 3\r\n', { method: 'POST' }) + '{} '],
    ['a length and chunks together', () => head(at('GiftService/ListGifts'), 'Content-Type: application/json\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n', { method: 'POST' }) + '2\r\n{}\r\n0\r\n\r\n'],
    ['a transfer coding that is not chunked', () => head(at('GiftService/ListGifts'), 'Content-Type: application/json\r\nTransfer-Encoding: gzip\r\nContent-Length: 2\r\n', { method: 'POST' }) + '{}'],
    ['two transfer codings', () => head(at('GiftService/ListGifts'), 'Content-Type: application/json\r\nTransfer-Encoding: gzip, chunked\r\n', { method: 'POST' }) + '2\r\n{}\r\n0\r\n\r\n'],
    ['a chunk of no hexadecimal length', () => head(at('GiftService/ListGifts'), 'Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n', { method: 'POST' }) + 'zz\r\n{}\r\n0\r\n\r\n'],
    ['a chunk longer than any number', () => head(at('GiftService/ListGifts'), 'Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n', { method: 'POST' }) + 'ffffffffffffffffff\r\n{}\r\n0\r\n\r\n'],
    ['HTTP/1.1 without a Host', () => head('/healthz', '', { hostLine: '' })],
    ['two Hosts', () => head('/healthz', 'Host: evil.example\r\n')],
  ])
    test(`${name} is refused and the connection ends`, async () => {
      const c = await over(typeof bytes === 'function' ? bytes() : bytes);
      const got = await c.response();
      assert.ok([400, 413].includes(got?.status), `${got?.status} ${got?.text}`);
      assert.ok(await c.closes(), 'it ends');
      assert.equal(c.bytes.length, 0, 'nothing stands behind the refusal');
    });
  test('a target in absolute form is understood', async () => assert.equal((await exchange(server, head(`http://${host()}/healthz`)))?.status, 200));
  test('headers of 15 KiB are read', async () => assert.equal((await exchange(server, head('/healthz', `X-Long: ${'x'.repeat(15 * 1024)}\r\n`)))?.status, 200));
  for (const [name, more] of [['one header of 17 KiB', () => `X-Long: ${'x'.repeat(17 * 1024)}\r\n`], ['many headers of 64 KiB', () => Array.from({ length: 1000 }, (_, i) => `X-${i}: ${'y'.repeat(55)}\r\n`).join('')]])
    test(`${name}: 431`, async () => {
      const c = await over(head('/healthz', more()));
      assert.equal((await c.response())?.status, 431);
      assert.ok(await c.closes());
    });
  test('a target of 17 KiB: 431 or 414', async () => assert.ok([431, 414].includes((await exchange(server, head(`/${'x'.repeat(17 * 1024)}`)))?.status)));
  test('headers without an end: 431', async () => {
    const c = await Connection.open(server);
    await c.write(`GET /healthz HTTP/1.1\r\nHost: ${host()}\r\n`);
    for (let i = 0; i < 80 && !c.ended; i++) await c.write(`X-${i}: ${'z'.repeat(250)}\r\n`);
    assert.equal((await c.response())?.status, 431);
    c.destroy();
  });
  const big = 1024 * 1024;
  test('a body of 1 MiB is read', async () => assert.equal((await ask('GiftService/ListGifts', '{}'.padEnd(big))).status, 200));
  test('a body of 1 MiB and one byte: 413', async () => {
    const c = await over(post('GiftService/ListGifts', '{}'.padEnd(big + 1)));
    assert.equal((await c.response())?.status, 413);
    c.destroy();
  });
  // An RPC that carries a file: more from who may call it.
  const file = (bytes) => '{"file":"'.padEnd(bytes - 2, 'x') + '"}';
  for (const [bytes, handle, status] of [[8 * big, 'finance', 400], [8 * big + 1, 'finance', 413], [big, '', 401], [big + 1, '', 413], [big, 'ops', 403], [big + 1, 'ops', 413]])
    test(`a file in a body of ${bytes} bytes from ${handle || 'nobody'}: ${status}`, async () => {
      const c = await over(post('PaymentService/ImportSettlement', file(bytes), handle ? `Authorization: Bearer ${await server.logIn(handle)}\r\n` : ''));
      assert.equal((await c.response())?.status, status);
      c.destroy();
    });
  for (let round = 1; round <= 5; round++)
    test(`a client that sends all of a body of 4 MiB before it reads gets its 413 (${round})`, async () => {
      const c = await Connection.open(server);
      c.socket.pause();
      const body = '{}'.padEnd(4 * big);
      let sent = false;
      c.socket.write(post('GiftService/ListGifts', body), () => (sent = true));
      for (let i = 0; i < 20 && !sent && !c.reset; i++) await sleep(50);
      c.socket.resume();
      assert.equal((await c.response())?.status, 413, c.reset ? 'the connection was reset before the answer could be read' : '');
      c.destroy();
    });
  test('a length of a terabyte: 413 without waiting for it', async () => assert.equal((await exchange(server, head(at('GiftService/ListGifts'), 'Content-Type: application/json\r\nContent-Length: 1099511627776\r\n', { method: 'POST' })))?.status, 413));
  test('a chunked body that grows beyond 1 MiB: 413', async () => {
    const c = await over(head(at('GiftService/ListGifts'), 'Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n', { method: 'POST' }));
    const chunk = `10000\r\n${' '.repeat(65536)}\r\n`;
    for (let i = 0; i < 17 && !c.ended; i++) await c.write(chunk);
    assert.equal((await c.response())?.status, 413);
    c.destroy();
  });
  test('a chunked body is read', async () => {
    const c = await over(head(at('SongService/GetSong'), 'Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n', { method: 'POST' }) + `1\r\n{\r\nb;x=y\r\n"songId":"1\r\n2\r\n"}\r\n0\r\nX-Trailer: z\r\n\r\n` + head());
    assert.equal((await c.response())?.status, 200);
    assert.equal((await c.response())?.status, 200, 'and what follows it is a request of its own');
    c.destroy();
  });
  test('a chunked body in single bytes is read', { timeout: 20_000 }, async () => {
    const c = await Connection.open(server);
    await c.writeChopped(Buffer.from(head(at('GiftService/ListGifts'), 'Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n', { method: 'POST' }) + '1\r\n{\r\n1\r\n}\r\n0\r\n\r\n'));
    assert.equal((await c.response())?.status, 200);
    c.destroy();
  });
  test('an empty chunked body whose end comes in pieces is read', async () => {
    const c = await over(head('/healthz', 'Transfer-Encoding: chunked\r\n', { method: 'POST' }) + '0\r\n');
    for (const rest of ['\r', '\n']) {
      await sleep(100);
      await c.write(rest);
    }
    assert.ok((await c.response())?.status, 'it is answered');
    c.destroy();
    assert.equal((await exchange(server, head('/healthz')))?.status, 200, 'and the server goes on');
  });
  for (const expect of ['100-continue', '100-Continue'])
    test(`Expect: ${expect} is answered before the body is sent`, async () => {
      const body = JSON.stringify({ songId: song });
      const c = await over(head(at('SongService/GetSong'), `Content-Type: application/json\r\nContent-Length: ${body.length}\r\nExpect: ${expect}\r\n`, { method: 'POST' }));
      assert.equal((await c.response({ ms: 2_000 }))?.status, 100);
      await c.write(body);
      assert.equal((await c.response())?.status, 200);
      c.destroy();
    });
  test('Expect: 100-continue for a body that is too long: 413 at once', async () => {
    const got = await exchange(server, head(at('SongService/GetSong'), `Content-Type: application/json\r\nContent-Length: ${big + 1}\r\nExpect: 100-continue\r\n`, { method: 'POST' }));
    assert.equal(got?.status, 413);
  });
  test('HEAD has the headers of GET and no body', async () => {
    const c = await over(head('/healthz', '', { method: 'HEAD' }) + head('/healthz'));
    const first = await c.response({ head: true });
    const second = await c.response();
    assert.equal(first.status, 200);
    assert.equal(second?.status, 200, 'no body stands between');
    assert.equal(first.headers['content-length'], second.headers['content-length']);
    c.destroy();
  });
  test('HEAD of what is not there has no body', async () => {
    const c = await over(head('/nothing.txt', '', { method: 'HEAD' }) + head('/healthz'));
    assert.equal((await c.response({ head: true }))?.status, 404);
    assert.equal((await c.response())?.status, 200);
    c.destroy();
  });
  test('a client that goes away in the middle of its request does no harm', async () => {
    for (let i = 0; i < 20; i++) {
      const c = await over(post('SongService/GetSong', '{"songId":"1"}').slice(0, 40 + i * 5));
      c.destroy();
    }
    assert.equal((await call('/healthz', { method: 'GET', headers: {} })).status, 200);
  });
});

describe('files', () => {
  const get = (target, options = {}) => exchange(server, `${options.method ?? 'GET'} ${target} HTTP/1.1\r\nHost: ${host()}\r\n\r\n`, { head: options.method === 'HEAD' });
  before(async () => {
    await fs.writeFile(path.join(server.base, 'secret.txt'), 'secret');
    await fs.mkdir(path.join(server.base, 'media-secret'));
    await fs.writeFile(path.join(server.base, 'media-secret', 'x.txt'), 'secret');
    await fs.writeFile(path.join(server.media, 'a+b c.txt'), 'plus');
    await fs.writeFile(path.join(server.media, 'plain.txt'), 'plain');
    await fs.symlink(path.join(server.base, 'secret.txt'), path.join(server.media, 'way-out.txt'));
    await fs.symlink(server.base, path.join(server.media, 'way-up'));
    await fs.symlink(path.join(server.base, 'secret.txt'), path.join(server.web, 'way-out.txt'));
  });
  const ways = [
    '/media/../secret.txt', '/media/../../../../../../../../etc/passwd', '/media/%2e%2e/secret.txt', '/media/%2E%2E%2Fsecret.txt', '/media/..%2fsecret.txt', '/media/..%5csecret.txt', '/media/....//secret.txt', '/media//etc/passwd',
    '/media/%2fetc%2fpasswd', '/media/%252e%252e/secret.txt', '/media/./../secret.txt', '/media/plain.txt/../../secret.txt', '/media/%00/../../secret.txt', '/media/plain.txt%00.opus', '/media/..;/secret.txt', '/media/%c0%ae%c0%ae/secret.txt', '/media/../media-secret/x.txt',
    '/media-secret/x.txt', '/media/way-out.txt', '/media/way-up/secret.txt', '/media/', '/media/.', '/media/..', '/../secret.txt', '/%2e%2e/secret.txt', '/..%2fsecret.txt', '/assets/../../secret.txt', '/assets/%2e%2e/%2e%2e/secret.txt', '//etc/passwd', '/way-out.txt', '/%2fetc%2fpasswd', '/..%2f..%2f..%2f..%2f..%2fetc%2fpasswd.txt', `/media/${'a/'.repeat(4000)}x.txt`,
  ];
  for (const target of ways)
    test(`GET ${target.slice(0, 60)} leads nowhere outside`, async () => {
      const got = await get(target);
      assert.ok(got, 'there is an answer');
      assert.doesNotMatch(got.text, /secret|root:/);
      if (got.status === 200) assert.match(got.text, /<title>wire/, 'at most the page');
      else assert.ok([400, 404].includes(got.status), `${got.status}`);
    });
  for (const target of ['/media/%', '/media/%zz', '/media/%1', '/%'])
    test(`GET ${target}: 400`, async () => assert.equal((await get(target))?.status, 400));
  test('a plus in a path is a plus', async () => assert.equal((await get('/media/a+b%20c.txt'))?.text, 'plus'));
  test('an encoded plus in a path is a plus', async () => assert.equal((await get('/media/a%2Bb%20c.txt'))?.text, 'plus'));
  test('a query behind a file does no harm', async () => assert.equal((await get('/media/plain.txt?x=../y'))?.text, 'plain'));
  test('a page has its type and says what browsers must not do', async () => {
    const got = await get('/');
    assert.ok([200, 404].includes(got.status));
    const page = await get('/index.html');
    assert.equal(page.status, 200);
    assert.equal(page.headers['content-type'], 'text/html; charset=utf-8');
    assert.equal(page.headers['x-content-type-options'], 'nosniff');
    assert.match(page.headers['content-security-policy'], /default-src 'self'/);
  });
  for (const target of ['/', '/room/7', '/studio'])
    test(`${target} is a page of the application`, async () => assert.match((await get(target))?.text ?? '', /<title>wire/));
  test('a file with a fingerprint may be kept for ever', async () => assert.match((await get('/assets/app-1234.js')).headers['cache-control'], /immutable/));
  test('a page is asked for again', async () => assert.doesNotMatch((await get('/index.html')).headers['cache-control'], /max-age=[1-9]|immutable/));
  test('a file that is missing is 404, not the page', async () => assert.equal((await get('/assets/gone-1.js'))?.status, 404));
  test('a missing file among the assets may not be kept', async () => assert.doesNotMatch((await get('/assets/gone-1.js')).headers['cache-control'] ?? '', /immutable/));
  test('HEAD of a file has its length', async () => assert.equal((await get('/media/plain.txt', { method: 'HEAD' })).headers['content-length'], '5'));
});

test('after all this the server still stands and has logged no fault of its own', () => {
  assert.ok(server.running());
  assert.doesNotMatch(server.log(), /terminate called|AddressSanitizer|runtime error/);
});
