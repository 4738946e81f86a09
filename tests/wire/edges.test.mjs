// Edges of an installation: where a day, a week and a month end in its zone, a database that is gone for a while, pages of other
// origins, the configuration as it is delivered, and more log-ins at once than there are hands.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { binary, environment, password, RpcError, sleep, startServer, top, until, uuid7 } from './harness.mjs';
import { exchange, Live, upgradeRequest } from './raw.mjs';

const run = promisify(execFile);
async function topUp(server, token, packId) {
  const order = await server.rpc('PaymentService/CreateTopUp', { key: randomUUID(), packId, provider: 'sandbox' }, { token });
  await server.rpc('PaymentService/PaySandboxOrder', { orderId: order.orderId }, { token });
}
const give = async (server, token, room, giftId, quantity) => Number((await server.rpc('GiftService/SendGift', { key: uuid7(), roomId: room.id, giftId, quantity, priceVersion: 1 }, { token })).entrySeq);

describe('boards', () => {
  const dayMs = 86_400_000;
  const flags = ['--load-profile', '--time-zone', 'Asia/Shanghai', '--redis', ''];
  const redis = `unix:${process.env.DEV_TEST_PG}/redis.sock`;
  let server, room, token;
  const cli = async (...words) => (await run('redis-cli', ['-s', redis.slice('unix:'.length), ...words])).stdout.trim();
  const set = (zone, sets) => ((flags[2] = zone), (flags[4] = sets));
  before(async () => {
    server = await startServer({ songs: false, flags });
    room = await server.makeRoom();
    token = await server.logIn('listener');
    await topUp(server, token, 6);
    await server.rpc('AuthService/UpdateMe', { showOnBoards: true }, { token });
  });
  after(() => server?.stop());

  /** The day in a zone as Date.UTC counts it. */
  const localDay = (atMs, zone) => {
    const { year, month, day } = Object.fromEntries(new Intl.DateTimeFormat('en-u-ca-gregory', { timeZone: zone, year: 'numeric', month: 'numeric', day: 'numeric' }).formatToParts(atMs).map((p) => [p.type, Number(p.value)]));
    return Date.UTC(year, month - 1, day);
  };
  const firstOfWeek = (day) => day - ((new Date(day).getUTCDay() + 6) % 7) * dayMs;
  const firstOfMonth = (day) => Date.UTC(new Date(day).getUTCFullYear(), new Date(day).getUTCMonth(), 1);
  /** The first millisecond of a day in a zone: the clocks there are at most 14 h off. */
  function midnight(day, zone) {
    let [before, at] = [day - 15 * 3_600_000, day + 15 * 3_600_000];
    while (at - before > 1) {
      const middle = Math.floor((before + at) / 2);
      if (localDay(middle, zone) < day) before = middle;
      else at = middle;
    }
    return at;
  }
  // Each sum says which of the gifts are in it: the price of one is more than that of all before it together.
  const gifts = [[11, 1], [11, 10], [2, 1], [2, 10], [9, 1], [9, 10]];
  const prices = [1, 10, 100, 1_000, 13_140, 131_400];
  const periods = ['DAY', 'WEEK', 'MONTH', 'ALL'];
  async function board(period, scope, subject) {
    const scopeId = { SITE: 0, CHANNEL: room.channelId, ROOM: room.id }[scope];
    const { rows = [] } = await server.rpc('GiftService/GetBoard', { scope: `BOARD_SCOPE_${scope}`, scopeId, subject: `BOARD_SUBJECT_${subject}`, period: `BOARD_PERIOD_${period}` });
    return rows.reduce((sum, r) => sum + Number(r.coins), 0);
  }
  const boards = async (scope = 'SITE', subject = 'SENDER') => Object.fromEntries(await Promise.all(periods.map(async (p) => [p, await board(p, scope, subject)])));
  async function shows(expected, scope, subject) {
    let got;
    await until(async () => JSON.stringify((got = await boards(scope, subject))) === JSON.stringify(expected), 8_000, 'the boards').catch(() => {});
    assert.deepEqual(got, expected, `${scope} ${subject}`);
  }

  const seqs = [];
  for (const [zone, sets] of [['Asia/Shanghai', ''], ['Asia/Kathmandu', redis], ['America/New_York', ''], ['America/New_York', redis], ['Pacific/Kiritimati', '']])
    test(`in ${zone}${sets ? ', from Redis' : ''}: day, week and month begin with their first microsecond`, { timeout: 120_000 }, async () => {
      for (const [gift, quantity] of seqs.length ? [] : gifts) seqs.push(await give(server, token, room, gift, quantity));
      // Not while the day ends.
      while (localDay(Date.now() + 30_000, zone) !== localDay(Date.now(), zone)) await sleep(1_000);
      const today = localDay(Date.now(), zone);
      const begins = { DAY: midnight(today, zone), WEEK: midnight(firstOfWeek(today), zone), MONTH: midnight(firstOfMonth(today), zone), ALL: -Infinity };
      // The last microsecond before, and the first one.
      const instants = ['MONTH', 'WEEK', 'DAY'].flatMap((p) => [begins[p] - 0.001, begins[p]]);
      const moved = instants.map((at, i) => `update ledger.gift set at = '${new Date(Math.floor(at)).toISOString()}'::timestamptz + interval '${i % 2 ? 0 : 999} microseconds' where seq = ${seqs[i]}`);
      await server.psql(`begin; set local session_replication_role = replica; ${moved.join('; ')}; commit`);
      set(zone, sets);
      await server.restart();
      await server.ovation('boards', 'rebuild', '--database', server.conninfo, '--time-zone', zone, '--redis', sets);
      const expected = Object.fromEntries(periods.map((p) => [p, prices.filter((_, i) => instants[i] >= begins[p]).reduce((a, b) => a + b, 0)]));
      assert.ok(expected.DAY >= 131_400 && expected.DAY < expected.ALL);
      for (const scope of ['SITE', 'CHANNEL', 'ROOM']) for (const subject of ['SENDER', 'SINGER']) await shows(expected, scope, subject);
      if (sets) {
        const read = async () => Number(/^ovation_boards_redis_reads_total (\d+)/m.exec(await (await fetch(`${server.url}/metrics`)).text())[1]);
        await until(async () => (await boards(), (await read()) > 0), 8_000, 'Redis has the boards');
        await shows(expected, 'SITE', 'SENDER');
        const was = await read();
        await boards();
        assert.equal((await read()) - was, 3, 'week, month and all are read there');
      }
    });

  for (const sets of ['', redis])
    test(`when a day has gone by, the day's board is empty and begins anew${sets ? ', from Redis' : ''}; nothing else is lost`, { timeout: 120_000 }, async () => {
      // The same moment, a day later: from twelve hours behind to twelve hours ahead.
      const [here, there] = ['Etc/GMT+12', 'Etc/GMT-12'];
      while (localDay(Date.now() + 60_000, here) !== localDay(Date.now(), here)) await sleep(1_000);
      const day = localDay(Date.now(), here);
      await server.psql('begin; set local session_replication_role = replica; update ledger.gift set at = now(); commit; update ledger.balance set spent = 0, spent_day = 0');
      set(here, sets);
      await server.restart();
      await server.ovation('boards', 'rebuild', '--database', server.conninfo, '--time-zone', here, '--redis', sets);
      const all = Number(await server.psql('select sum(price) / 10000 from ledger.gift'));
      await shows({ DAY: all, WEEK: all, MONTH: all, ALL: all });
      const wallet = () => server.rpc('LedgerService/GetWallet', {}, { token });
      await until(() => give(server, token, room, 11, 1).catch((e) => (e.retryable ? null : Promise.reject(e))), 15_000, 'the ledger takes gifts');
      await shows({ DAY: all + 1, WEEK: all + 1, MONTH: all + 1, ALL: all + 1 });
      assert.equal((await wallet()).spentTodayCoins, '1');

      set(there, sets);
      await server.restart();
      assert.equal(localDay(Date.now(), there), day + dayMs);
      const kept = (first) => (day >= first(day + dayMs) ? all + 1 : 0);
      const left = { DAY: 0, WEEK: kept(firstOfWeek), MONTH: kept(firstOfMonth), ALL: all + 1 };
      await shows(left);
      assert.equal((await wallet()).spentTodayCoins, undefined, 'and what may be spent in a day is there again');
      await until(() => give(server, token, room, 11, 10).catch((e) => (e.retryable ? null : Promise.reject(e))), 15_000, 'the ledger takes gifts');
      await shows(Object.fromEntries(periods.map((p) => [p, left[p] + 10])));
      assert.equal((await wallet()).spentTodayCoins, '10');
    });
  test('after a restored backup the boards in Redis, which know of more than the books, are counted again', async () => {
    const right = await boards();
    const keys = (await cli('keys', 'ovation:boards:*')).split('\n').filter((k) => k && !k.endsWith(':m'));
    for (const key of keys) for (const member of (await cli('zrange', key, '0', '-1')).split('\n').filter(Boolean)) await cli('zincrby', key, '777', member);
    assert.ok((await boards()).ALL >= right.ALL + 777, 'Redis is read');
    await server.ovation('users', 'create', 'finance3', '--name', 'Wire finance3', '--password', password, '--role', 'finance', '--database', server.conninfo);
    await server.ovation('ledger', 'restored', '--by', 'finance3', '--reason', 'the disk broke', '--database', server.conninfo);
    await shows(right);
  });
});

describe('the front door', () => {
  let server, room, token;
  before(async () => {
    server = await startServer({ songs: false, flags: ['--load-profile', '--allowed-origins', 'https://stage.example, http://localhost:5173'] });
    room = await server.makeRoom();
    token = await server.logIn('listener');
    await topUp(server, token, 1);
  });
  after(() => server?.stop());

  describe('for a page', () => {
    const own = () => `http://${server.hostname}:${server.port}`;
    const socket = (origin) => exchange(server, upgradeRequest(server, { headers: { Origin: origin } }));
    const ask = (origin, method = 'POST', name = 'AuthService/LogIn', headers = {}) =>
      fetch(`${server.url}/ovation.v1.${name}`, { method, headers: { origin, ...(method === 'POST' ? { 'content-type': 'application/json', 'connect-protocol-version': '1' } : {}), ...headers }, body: method === 'POST' ? JSON.stringify({ handle: 'listener', password }) : undefined });
    for (const [name, origin] of [['its own', own], ['one that is allowed', () => 'https://stage.example'], ['another one that is allowed', () => 'http://localhost:5173']])
      test(`of ${name} origin: socket, preflight and answer`, async () => {
        assert.equal((await socket(origin()))?.status, 101);
        const preflight = await ask(origin(), 'OPTIONS');
        assert.deepEqual([preflight.status, preflight.headers.get('access-control-allow-origin')], [204, origin()]);
        assert.match(preflight.headers.get('access-control-allow-headers'), /connect-protocol-version/);
        assert.match(preflight.headers.get('vary'), /Origin/);
        const answer = await ask(origin());
        assert.deepEqual([answer.status, answer.headers.get('access-control-allow-origin')], [200, origin()]);
        assert.match(answer.headers.get('vary'), /Origin/);
        assert.ok((await answer.json()).accessToken);
      });
    for (const origin of ['https://evil.example', 'http://stage.example', 'https://stage.example:8443', 'https://stage.example.evil.example', 'https://evil.stage.example', 'https://STAGE.example/', 'http://localhost:5174', 'https://stage.example, http://localhost:5173', 'null'])
      test(`of ${origin}: none of them`, async () => {
        assert.equal((await socket(origin))?.status, 403);
        const preflight = await ask(origin, 'OPTIONS');
        assert.deepEqual([preflight.status, preflight.headers.get('access-control-allow-origin')], [403, null]);
        // What a page could send without asking first is not taken; what it cannot send is not shown to it.
        const simple = await ask(origin, 'POST', 'AuthService/LogIn', { 'connect-protocol-version': '' });
        assert.equal(simple.status, 400);
        assert.equal((await ask(origin)).headers.get('access-control-allow-origin'), null);
        assert.equal((await ask(origin, 'GET', 'GiftService/ListGifts?connect=v1&encoding=json&message=%7B%7D')).headers.get('access-control-allow-origin'), null);
      });
  });

  test('the configuration as it is delivered fits, with what a machine sets for itself; a word that is no setting is named', async () => {
    const delivered = path.join(top, 'deploy/ovation.toml');
    const at = (name) => path.join(server.base, name);
    await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1', '-subj', '/CN=localhost', '-keyout', at('key.pem'), '-out', at('cert.pem')]);
    const ofMachine = { database: server.conninfo, redis: `unix:${process.env.DEV_TEST_PG}/redis.sock`, tls_cert: at('cert.pem'), tls_key: at('key.pem'), web_root: server.web, media_root: server.media, recording_root: at('recordings'), words_file: path.join(top, 'deploy/words.txt') };
    const check = (file) => run(binary(), ['check', '--config', file, ...Object.entries(ofMachine).flatMap(([key, value]) => [`--${key.replaceAll('_', '-')}`, value])], { env: environment(), cwd: top });
    const { stdout } = await check(delivered);
    assert.match(stdout, /fit this server\.\n$/);
    const text = await fs.readFile(delivered, 'utf8');
    const shown = stdout.split('\n');
    for (const [key, value] of Object.entries(ofMachine)) {
      assert.match(text, new RegExp(`^${key} = `, 'm'), `${key} is there to be set`);
      if (key !== 'database') assert.ok(shown.includes(`${key} = "${value}"`), `a flag wins over ${key}`);
    }
    const rest = [...text.matchAll(/^(\w+) = .+$/gm)].filter(([, key]) => !(key in ofMachine));
    assert.ok(rest.length >= 3);
    for (const [line] of rest) assert.ok(shown.includes(line), `${line} is in force`);
    for (const [added, named] of [['prot = 443', 'prot'], ['time-zone = "UTC"', 'time-zone'], ['[server]\nport = 443', 'server']]) {
      const file = at('added.toml');
      await fs.writeFile(file, `${text}\n${added}\n`);
      await assert.rejects(check(file), (e) => e.code > 0 && e.stderr.includes(named) && e.stderr.includes('added.toml') && !/fit this server/.test(e.stdout));
    }
  });

  test('a configuration with which the server does not start does not fit', async () => {
    for (const [flag, value] of [['--words-file', '/nowhere/words.txt'], ['--address', 'localhost'], ['--tls-cert', '/nowhere/a.pem', '--tls-key', '/nowhere/a.key']].map((f) => [f[0], f.slice(1)]))
      await assert.rejects(server.ovation('check', '--database', server.conninfo, flag, ...value), (e) => e.code > 0 && e.stderr.includes(flag.slice(2).replace('-', '_')), flag);
  });
  test('more log-ins at once than there are hands: each is answered or told when to come back, and nobody else waits', { timeout: 90_000 }, async () => {
    const many = 240;
    const live = await Live.enter(server, room.id, { token });
    let over = false;
    const waits = [];
    const watch = (async () => {
      while (!over) {
        const began = performance.now();
        assert.equal((await fetch(`${server.url}/healthz`)).status, 200);
        await live.works();
        waits.push(performance.now() - began);
        await sleep(10);
      }
    })();
    let slowest = 0;
    const logIn = async (n) => {
      const began = performance.now();
      const answer = await fetch(`${server.url}/ovation.v1.AuthService/LogIn`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ handle: n % 3 ? 'listener2' : 'nobody-at-all', password }), signal: AbortSignal.timeout(60_000) });
      const body = await answer.json();
      slowest = Math.max(slowest, performance.now() - began);
      if (answer.status === 200) return 'in';
      const e = new RpcError(answer.status, body, answer.headers);
      if (e.reason === 'busy') assert.ok(e.retryable && e.retryAfterMs > 0 && e.code === 'resource_exhausted' && Number(answer.headers.get('retry-after')) >= 1, e.message);
      return e.reason;
    };
    const answers = await Promise.all(Array.from({ length: many }, (_, n) => logIn(n))).finally(() => (over = true));
    await watch;
    live.destroy();
    assert.deepEqual([...new Set(answers)].sort(), ['busy', 'in', 'wrong_log_in'], 'some of each, and nothing else');
    assert.ok(answers.filter((a) => a !== 'busy').length >= 64, `${answers}`);
    const longest = Math.max(...waits);
    assert.ok(waits.length >= 5 && longest < slowest / 2, `a log-in takes up to ${Math.round(slowest)} ms; others wait up to ${Math.round(longest)} ms, ${waits.length} times`);
    assert.equal(await logIn(1), 'in', 'and then it is quiet again');
  });

  test('without its database the server says so at /readyz and lives on; when it is back, so is everything', { timeout: 120_000 }, async () => {
    const ready = async () => {
      const answer = await fetch(`${server.url}/readyz`, { signal: AbortSignal.timeout(15_000) });
      return { status: answer.status, lines: (await answer.text()).trim().split('\n') };
    };
    const well = { status: 200, lines: ['database ok', 'ledger_writer ok'] };
    assert.deepEqual(await ready(), well);
    const balance = (await server.rpc('LedgerService/GetWallet', {}, { token })).coins;
    const live = await Live.enter(server, room.id, { token });
    let over = false;
    const alive = (async () => {
      for (; !over; await sleep(20)) assert.equal((await fetch(`${server.url}/healthz`, { signal: AbortSignal.timeout(5_000) })).status, 200);
    })();
    try {
      await server.psql(`revoke connect on database ${server.database} from public; select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`);
      await until(async () => (await ready()).status === 503, 15_000, '/readyz is 503');
      await sleep(4_000); // the writer's lease ends too
      assert.deepEqual(await ready(), { status: 503, lines: ['database failing', 'ledger_writer failing'] });
      for (const [method, request] of [['LedgerService/GetWallet', {}], ['GiftService/SendGift', { key: uuid7(), roomId: room.id, giftId: 11, quantity: 1, priceVersion: 1 }], ['AuthService/LogIn', { handle: 'listener', password }]])
        await assert.rejects(server.rpc(method, request, { token }), (e) => e instanceof RpcError && e.retryable && e.code === 'unavailable' && !/socket|host|ovation_app|wire_|FATAL|server closed/.test(e.message), method);
      await live.works();
      assert.ok(server.running());

      await server.psql(`grant connect on database ${server.database} to public`);
      // Each core has connections of its own, which come back one by one.
      let inRow = 0;
      await until(async () => (inRow = (await ready()).status === 200 ? inRow + 1 : 0) >= 20, 30_000, '/readyz is 200 again and stays so');
      assert.deepEqual(await ready(), well);
    } finally {
      over = true;
      await server.psql(`grant connect on database ${server.database} to public`);
      await alive;
    }
    // A connection that died meanwhile may be found dead by who uses it first: asked again, with the same key, it is done.
    const done = (method, request) => until(() => server.rpc(method, request, { token }).catch((e) => (e.retryable ? null : Promise.reject(e))), 15_000, method);
    await done('GiftService/SendGift', { key: uuid7(), roomId: room.id, giftId: 11, quantity: 1, priceVersion: 1 });
    assert.ok(await live.find((f) => f.opcode === 1 && JSON.parse(f.payload).gift), 'the room shows it');
    assert.equal((await done('LedgerService/GetWallet', {})).coins, String(Number(balance) - 1), 'and nothing else was charged');
    live.destroy();
    assert.equal((await done('AuthService/LogIn', { handle: 'listener', password })).user.handle, 'listener');
    await server.ovation('ledger', 'verify', '--database', server.conninfo);
  });
  test('connections that died while nobody used them cost nobody a refusal', { timeout: 60_000 }, async () => {
    for (let i = 0; i < 10; ++i) await Promise.all(Array.from({ length: 100 }, () => server.rpc('LedgerService/GetWallet', {}, { token })));
    await server.psql('select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()');
    await sleep(6_000);
    const failed = [];
    for (let i = 0; i < 60; ++i) await server.rpc('LedgerService/GetWallet', {}, { token }).catch((e) => failed.push(e.reason));
    assert.deepEqual(failed, []);
  });
});
