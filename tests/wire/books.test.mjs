// The books in other hands: exports that hledger and beancount take, checkpoints and proofs by the command line, as somebody does
// it who does not trust the server.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import fs from 'node:fs/promises';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { binary, password, startServer, until, uuid7 } from './harness.mjs';

const run = promisify(execFile);

let server, room, listener, seals, signer;
const file = (name) => path.join(server.base, name);
const books = (...args) => server.ovation('ledger', ...args, '--database', server.conninfo);
/** With nothing but the program: no database, no server, no variables of either. */
const alone = (...args) => run(binary(), ['ledger', 'check', ...args], { env: { PATH: process.env.PATH }, cwd: server.base });
const give = (n) => Promise.all(Array.from({ length: n }, () => server.rpc('GiftService/SendGift', { key: uuid7(), roomId: room.id, giftId: 11, quantity: 10, priceVersion: 1 }, { token: listener })));

before(async () => {
  server = await startServer();
  room = await server.makeRoom();
  listener = await server.logIn('listener');
  const order = await server.rpc('PaymentService/CreateTopUp', { key: randomUUID(), packId: 4, provider: 'sandbox' }, { token: listener });
  await server.rpc('PaymentService/PaySandboxOrder', { orderId: order.orderId }, { token: listener });
  await give(25);
  seals = file('seals');
  signer = file('signer.key');
});
after(() => server?.stop());

describe('export', () => {
  test('hledger takes it, strictly, and its trial balance is zero', async () => {
    const { stdout } = await books('export', '--format', 'hledger');
    await fs.writeFile(file('books.journal'), stdout);
    await run('hledger', ['-f', file('books.journal'), 'check', '--strict', 'ordereddates']);
    const total = (await run('hledger', ['-f', file('books.journal'), 'balance', '--format', '%(total)', '--no-elide', '-N', '--depth', '0'])).stdout.trim();
    assert.match(total === '' ? '0' : total, /^0$/);
    // Each account's balance is the server's.
    const rows = (await server.psql('select a.name, s.amount from ledger.standings s join ledger.account a on a.id = s.account_id where s.amount <> 0 order by 1')).split('\n').map((l) => l.split('|'));
    const said = (await run('hledger', ['-f', file('books.journal'), 'balance', '--flat', '-N', '-O', 'csv'])).stdout.trim().split('\n').slice(1).map((l) => JSON.parse(`[${l}]`));
    const micros = (text) => BigInt(text.replace(/[^\d.-]/g, '').replace('.', ''));
    assert.deepEqual(Object.fromEntries(said.map(([name, amount]) => [name, micros(amount)])), Object.fromEntries(rows.map(([name, amount]) => [name, BigInt(amount)])));
  });
  test('beancount takes it', async () => {
    const { stdout } = await books('export', '--format', 'beancount');
    await fs.writeFile(file('books.beancount'), stdout);
    const { stdout: said, stderr } = await run('bean-check', [file('books.beancount')]);
    assert.equal(said + stderr, '');
    assert.equal(stdout.match(/^\d{4}-\d\d-\d\d \* /gm).length, Number(await server.psql("select (select count(*) from ledger.gift) + (select count(*) from ledger.entry where kind <> 'marker')")));
  });
  test('another format is refused with a sentence', async () => {
    await assert.rejects(books('export', '--format', 'excel'), (e) => e.code === 2 && /format: hledger or beancount/.test(e.stderr));
  });
});

describe('seals', () => {
  let verifier, first;
  test('a checkpoint is signed by a key that is made once and kept for its owner', async () => {
    const { stdout, stderr } = await books('seal', seals, '--signer', signer, '--origin', 'books.wire');
    assert.match(stderr, /a new signer's key was made/);
    verifier = /^verifier (books\.wire\+[0-9a-f]{8}\+\S+)$/m.exec(stdout)[1];
    assert.equal((await fs.stat(signer)).mode & 0o777, 0o600);
    first = Number(await server.psql('select tree_seq from ledger.head'));
    assert.match(stdout, new RegExp(`^${first} entries are sealed`));
    const note = await fs.readFile(path.join(seals, 'checkpoint'), 'utf8');
    assert.match(note, new RegExp(`^books\\.wire\\n${first}\\n[A-Za-z0-9+/]{43}=\\n\\n— books\\.wire \\S+\\n$`));
  });
  test('the line of a statement is proven to somebody without server and database', async () => {
    const mine = (await server.rpc('LedgerService/ListPostings', { account: 'wallet' }, { token: listener })).postings.find((p) => p.kind === 'gift');
    const { stdout } = await books('prove', seals, String(mine.entrySeq));
    await fs.writeFile(file('proof'), stdout);
    const said = (await alone(file('proof'), '--verifier', verifier)).stdout;
    assert.match(said, new RegExp(`^price +${-BigInt(mine.amountMicros)}$`, 'm'));
    assert.match(said, new RegExp(`Entry ${mine.entrySeq} is in the books of books.wire`));
    await fs.writeFile(file('other'), stdout.replace(/^index .*/m, `index ${mine.entrySeq}`));
    await assert.rejects(alone(file('other'), '--verifier', verifier), (e) => e.code === 1 && /NOT among/.test(e.stdout));
    await assert.rejects(alone(file('proof'), '--verifier', 'nobody'), (e) => e.code === 2 && /verifier key/.test(e.stderr));
  });
  test('a later checkpoint goes on from an earlier one, and verify holds the books to both', async () => {
    await give(10);
    // Sealed is what is committed; nothing waits for the checkpoint of balances.
    const { stdout } = await books('seal', seals, '--signer', signer);
    assert.match(stdout, new RegExp(`^${first + 10} entries are sealed`));
    const proof = (await books('prove', seals, '--from', String(first))).stdout;
    await fs.writeFile(file('goes-on'), proof);
    assert.match((await alone(file('goes-on'), '--verifier', path.join(seals, 'verifier'))).stdout, /nothing before it was changed/);
    assert.match((await books('verify', '--seals', seals)).stdout, /^seals +ok +2 .*\n[^]*The books are clean\.$/m);
  });
  test('a row that was rewritten is found by verify, by the kept checkpoint, and has no proof', async () => {
    const seq = await server.psql('select min(seq) from ledger.gift');
    await server.psql(`begin; set local session_replication_role = replica; update ledger.gift set room = room + 1 where seq = ${seq}; commit`);
    await assert.rejects(books('verify', '--seals', seals), (e) => e.code === 1 && /^tree +BAD/m.test(e.stdout) && /^seals +BAD/m.test(e.stdout));
    await assert.rejects(books('prove', seals, seq), (e) => e.code === 2 && /NOT what was sealed/.test(e.stderr));
    await server.psql(`begin; set local session_replication_role = replica; update ledger.gift set room = room - 1 where seq = ${seq}; commit`);
    await books('verify', '--seals', seals);
  });
  test('what is not asked for rightly gets a sentence', async () => {
    await assert.rejects(books('prove', seals), (e) => e.code === 2 && /Say which entry/.test(e.stderr));
    await assert.rejects(books('prove', seals, '99999'), (e) => e.code === 2 && /entries 1 to/.test(e.stderr));
    await assert.rejects(books('prove', seals, '--from', '3'), (e) => e.code === 2 && /no checkpoint of 3/.test(e.stderr));
    await assert.rejects(books('prove', file('nowhere'), '1', '--verifier', verifier), (e) => e.code === 2 && /checkpoint/i.test(e.stderr));
    await assert.rejects(alone(file('absent'), '--verifier', verifier), (e) => e.code === 2 && /cannot be read/.test(e.stderr));
    await assert.rejects(alone(file('proof')), (e) => e.code === 2 && /whose signature counts/.test(e.stderr));
  });
});

describe('rebuild', () => {
  test('by the owner, beside a running server: what was wrong is right, and the next gift is posted', async () => {
    await server.psql("update ledger.balance set amount = amount + 10000 where account_id = (select id from ledger.account where name = 'platform')");
    await assert.rejects(books('verify'), (e) => /^balances +BAD/m.test(e.stdout));
    const said = (await books('rebuild', '--owner-database', server.conninfo.replace('user=ovation_app', 'user=owner'))).stdout;
    assert.match(said, /; 1 were not what they had to be/);
    await books('verify');
    let answer;
    for (let i = 0; i < 50 && !answer; ++i) answer = await give(1).catch(() => new Promise((done) => setTimeout(done, 100)));
    assert.ok(answer);
    await books('verify');
    await assert.rejects(books('rebuild', '--owner-database', server.conninfo), (e) => e.code === 2);
  });
});

test('a restored backup is a marker in the books, by whoever restored it', async () => {
  const restored = (by, ...more) => books('restored', '--by', by, ...more);
  const epoch = () => server.psql('select restore_epoch from ledger.head').then(Number);
  const before = [await epoch(), await server.psql('select seq from ledger.head').then(Number)];
  await assert.rejects(restored('singer', '--reason', 'the disk broke'), (e) => /not an account with the role finance/.test(e.stderr));
  await assert.rejects(restored('finance'), (e) => /--reason is required/.test(e.stderr));
  assert.equal(await epoch(), before[0], 'nothing was written');
  const { stdout } = await restored('finance', '--reason', 'the disk broke, backup of the 12th');
  const seq = Number(/is entry (\d+) of the books/.exec(stdout)[1]);
  assert.ok(seq > before[1]);
  const [kind, reference, detail] = (await server.psql(`select kind, reference, detail->>'last_seq' from ledger.entry where seq = ${seq}`)).split('|');
  assert.deepEqual([kind, reference], ['marker', 'restore:1']);
  assert.ok(Number(detail) < seq && Number(detail) >= before[1]);
  assert.equal(await epoch(), before[0] + 1);
  assert.match(await server.psql("select action, reason from identity.audit where subject = 'restore:1'"), /^restore_restored\|the disk broke, backup of the 12th$/);
  // Where no server runs the program posts it itself.
  process.kill(server.child().pid, 'SIGKILL');
  await restored('finance', '--reason', 'once more');
  assert.equal(await epoch(), before[0] + 2);
  assert.match((await books('verify')).stdout, /The books are clean/);
  await server.restart();
});

describe('a server that seals by itself', () => {
  let own, key;
  const get = async (name) => {
    const r = await fetch(`${own.url}/seals/${name}`);
    return { status: r.status, cache: r.headers.get('cache-control'), text: await r.text() };
  };
  const sealedSize = async () => Number((await get('checkpoint')).text.split('\n')[1] ?? 0);
  before(async () => {
    key = path.join(await fs.mkdtemp(path.join(os.tmpdir(), 'ovation-signer-')), 'key');
    await fs.copyFile(signer, key);
    own = await startServer({ songs: false, flags: ['--seal-folder', path.join(path.dirname(key), 'seals'), '--seal-signer', key, '--seal-every-s', '1'] });
  });
  after(async () => {
    await own?.stop();
    await fs.rm(path.dirname(key), { recursive: true, force: true });
  });

  test('its checkpoint grows with the books, and everybody may read it', async () => {
    const someone = (await own.rpc('AuthService/LogIn', { handle: 'listener', password })).accessToken;
    const order = await own.rpc('PaymentService/CreateTopUp', { key: randomUUID(), packId: 1, provider: 'sandbox' }, { token: someone });
    await own.rpc('PaymentService/PaySandboxOrder', { orderId: order.orderId }, { token: someone });
    const head = Number(await own.psql('select seq from ledger.head'));
    await until(async () => (await sealedSize()) >= head, 8_000, 'the top-up is sealed');
    const { status, cache } = await get('checkpoint');
    assert.deepEqual([status, cache], [200, 'no-cache']);
    assert.match((await get('verifier')).text, /^books\.wire\+[0-9a-f]{8}\+/);
    assert.match((await fetch(`${own.url}/metrics`).then((r) => r.text())), new RegExp(`^ovation_ledger_sealed ${head}$`, 'm'));
    const folder = path.join(path.dirname(key), 'seals');
    const proof = path.join(path.dirname(key), 'proof');
    await fs.writeFile(proof, (await own.ovation('ledger', 'prove', folder, String(head), '--database', own.conninfo)).stdout);
    assert.match((await run(binary(), ['ledger', 'check', proof, '--verifier', (await get('verifier')).text.trim()], { env: { PATH: process.env.PATH } })).stdout, /is in the books of books\.wire/);
  });
  test('nothing beside the seals is served, and a key among them is refused', async () => {
    // As written: a URL would be put in order first.
    const raw = (where) => new Promise((done, failed) => http.get({ host: own.hostname, port: own.port, path: where }, (r) => r.resume().once('end', () => done(r.statusCode))).once('error', failed));
    for (const name of ['../key', '%2e%2e/key', 'tile/../../key', 'tile/..%2f..%2fkey', 'nothing']) assert.ok([400, 404].includes(await raw(`/seals/${name}`)), name);
    const folder = path.join(path.dirname(key), 'seals');
    await assert.rejects(own.ovation('check', '--database', own.conninfo, '--seal-folder', path.dirname(key), '--seal-signer', key), (e) => e.code === 2 && /may not lie in seal_folder/.test(e.stderr));
    await assert.rejects(own.ovation('check', '--database', own.conninfo, '--seal-folder', folder), (e) => e.code === 2 && /seal_signer: seals need/.test(e.stderr));
    await assert.rejects(own.ovation('check', '--database', own.conninfo, '--seal-folder', folder, '--seal-signer', path.join(folder, 'none')), (e) => e.code === 2 && /cannot be read/.test(e.stderr));
  });
});
