// Two clients that others wrote prove the protocol: connect-web and buf curl. First: npm ci, in this folder.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { password, startServer, top } from './harness.mjs';

const run = promisify(execFile);
const here = path.dirname(fileURLToPath(import.meta.url));
const bin = (name) => path.join(here, 'node_modules', '.bin', name);
assert.ok(existsSync(bin('buf')), 'the clients are not there: run `npm ci` in tests/wire first');
const gen = path.join(here, 'gen');
// buf keeps what it needs beside the tests, never in a home folder.
const env = { ...process.env, BUF_CACHE_DIR: path.join(gen, '.cache') };

let server, roomId, song;
before(async () => {
  server = await startServer();
  roomId = (await server.makeRoom()).id;
  song = (await server.rpc('SongService/ListSongs')).songs[0];
  await fs.mkdir(gen, { recursive: true });
});
after(() => server?.stop());

describe('connect-web', () => {
  const schema = {};
  let connect, protobuf, web;
  before(async () => {
    const template = JSON.stringify({ version: 'v2', plugins: [{ local: bin('protoc-gen-es'), out: gen, opt: ['target=js', 'import_extension=js'] }] });
    await run(bin('buf'), ['generate', path.join(top, 'proto'), '--template', template], { cwd: here, env, timeout: 60_000 });
    connect = await import('@connectrpc/connect');
    protobuf = await import('@bufbuild/protobuf');
    web = await import('@connectrpc/connect-web');
    for (const name of ['access', 'auth', 'gift', 'room', 'song', 'payment', 'ops']) schema[name] = await import(pathToFileURL(path.join(gen, 'ovation', 'v1', `${name}_pb.js`)).href);
  });
  const bearer = (token) => ({ headers: { Authorization: `Bearer ${token}` } });

  for (const [wire, useBinaryFormat] of [['binary', true], ['JSON', false]])
    describe(wire, () => {
      // `seen`: what went over the wire in the last call.
      const seen = {};
      const client = (service, options = {}) =>
        connect.createClient(
          service,
          web.createConnectTransport({
            baseUrl: server.url,
            useBinaryFormat,
            fetch: async (input, init) => {
              const answer = await fetch(input, init);
              Object.assign(seen, { method: init?.method, type: answer.headers.get('content-type'), status: answer.status });
              return answer;
            },
            ...options,
          }),
        );
      const failure = async (promise, code) => {
        const error = await promise.then(() => assert.fail('it was not refused'), (e) => connect.ConnectError.from(e));
        assert.equal(connect.Code[error.code], connect.Code[code], String(error));
        return error;
      };

      test('a catalogue is read', async () => {
        const got = await client(schema.gift.GiftService).listGifts({});
        assert.ok(got.gifts.length > 0);
        assert.equal(typeof got.gifts[0].priceCoins, 'bigint');
        assert.equal(seen.type, useBinaryFormat ? 'application/proto' : 'application/json');
        assert.equal(seen.method, 'POST');
      });
      test('a song with its lyrics, in Unicode and 64-bit numbers, is read as it was written', async () => {
        const got = await client(schema.song.SongService).getSong({ songId: BigInt(song.id) });
        assert.equal(got.title, song.title);
        assert.equal(String(got.durationSamples), song.durationSamples);
        assert.ok(got.lines.length > 0 && got.lines[0].syllables.length > 0);
      });
      test('safe RPCs work by GET', async () => {
        const got = await client(schema.song.SongService, { useHttpGet: true }).getSong({ songId: BigInt(song.id) });
        assert.equal(String(got.id), song.id);
      });
      test('log-in and an RPC of an account', async () => {
        const auth = client(schema.auth.AuthService);
        const session = await auth.logIn({ handle: 'listener', password });
        const { user } = await auth.getMe({}, bearer(session.accessToken));
        assert.equal(user.handle, 'listener');
        assert.deepEqual(user.roles, [schema.access.Role.AUDIENCE]);
      });
      test('optional fields keep the difference between absent and empty', async () => {
        const auth = client(schema.auth.AuthService);
        const { accessToken } = await auth.logIn({ handle: 'listener2', password });
        await auth.updateMe({ showOnBoards: true }, bearer(accessToken));
        const { user } = await auth.updateMe({ showOnBoards: false }, bearer(accessToken));
        assert.equal(user.showOnBoards, false);
        assert.equal(user.displayName, 'Wire listener2');
      });
      test('an error has its code, its sentence and a detail that can be opened', async () => {
        const error = await failure(client(schema.auth.AuthService).register({ handle: 'x', displayName: 'X', password: 'long enough' }), connect.Code.InvalidArgument);
        assert.ok(error.rawMessage.length > 0);
        const details = error.findDetails(schema.access.ErrorDetailSchema);
        assert.equal(details.length, 1);
        assert.equal(details[0].field, 'handle');
        assert.equal(details[0].retryable, false);
      });
      test('what does not exist is NotFound', () => failure(client(schema.room.RoomService).getRoom({ roomId: 999_999n }), connect.Code.NotFound));
      test('nobody is Unauthenticated', () => failure(client(schema.auth.AuthService).getMe({}), connect.Code.Unauthenticated));
      test('a missing role is PermissionDenied', async () => failure(client(schema.ops.OpsService).findUser({ handle: 'agent' }, bearer(await server.logIn('listener'))), connect.Code.PermissionDenied));
      test('a time that is over is DeadlineExceeded', () => failure(client(schema.auth.AuthService).logIn({ handle: 'agent', password }, { timeoutMs: 1 }), connect.Code.DeadlineExceeded));
      test('an RPC that the server does not know is Unimplemented', async () => {
        const later = { ...schema.song.SongService, typeName: 'ovation.v1.LaterService' };
        later.methods = schema.song.SongService.methods.map((method) => ({ ...method, parent: later }));
        await failure(client(later).listSongs({}), connect.Code.Unimplemented);
      });
      test('a sandbox purchase, the same key twice is one order', async () => {
        const payments = client(schema.payment.PaymentService);
        const token = await server.logIn('listener');
        const { packs } = await payments.listCoinPacks({});
        const key = crypto.randomUUID();
        const first = await payments.createTopUp({ key, packId: packs[0].id, provider: 'sandbox' }, bearer(token));
        const again = await payments.createTopUp({ key, packId: packs[0].id, provider: 'sandbox' }, bearer(token));
        assert.equal(again.orderId, first.orderId);
        assert.equal(first.coins, packs[0].coins);
      });
    });
});

describe('buf curl', () => {
  const curl = (method, data, ...more) => run(bin('buf'), ['curl', '--schema', path.join(top, 'proto'), '--protocol', 'connect', ...more, '--data', JSON.stringify(data), `${server.url}/ovation.v1.${method}`], { cwd: here, env, timeout: 30_000 });
  const failure = async (promise) => {
    const error = await promise.then(() => assert.fail('it was not refused'), (e) => e);
    return JSON.parse(error.stderr.slice(error.stderr.indexOf('{')));
  };
  test('a room is read', async () => {
    const got = JSON.parse((await curl('RoomService/GetRoom', { roomId })).stdout);
    assert.equal(got.id, roomId);
    assert.equal(got.name, 'Wire room');
  });
  test('a long answer comes whole through its gzip', async () => {
    const { stdout, stderr } = await curl('SongService/GetSong', { songId: song.id }, '-v');
    assert.equal(JSON.parse(stdout).contentHash, song.contentHash);
    assert.match(stderr, /content-encoding: gzip/i);
  });
  test('an RPC of an account', async () => {
    const got = JSON.parse((await curl('AuthService/GetMe', {}, '--header', `Authorization: Bearer ${await server.logIn('singer')}`)).stdout);
    assert.equal(got.user.handle, 'singer');
    assert.deepEqual(got.user.roles, ['ROLE_AUDIENCE', 'ROLE_SINGER']);
  });
  test('an error has its code and its detail', async () => {
    const error = await failure(curl('AuthService/Register', { handle: 'x', displayName: 'X', password: 'long enough' }));
    assert.equal(error.code, 'invalid_argument');
    assert.equal(error.details[0].type, 'ovation.v1.ErrorDetail');
    // The value alone: `debug` is an extra that not every server gives. Field 4 of ErrorDetail is `field`.
    const value = Buffer.from(error.details[0].value, 'base64');
    assert.ok(value.includes(Buffer.from([0x22, 6, ...Buffer.from('handle')])), value.toString('latin1'));
  });
  test('what does not exist is not_found', async () => assert.equal((await failure(curl('RoomService/GetRoom', { roomId: '999999' }))).code, 'not_found'));
});
