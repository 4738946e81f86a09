// A singer's browser holds the books to their seals: it keeps the checkpoints it saw, proves that each goes on from the last, and
// that a line of the statement stands in them; and it says so when the server cheats.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash, generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import fs from 'node:fs/promises';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { binary, startServer, top, until, uuid7 } from '../wire/harness.mjs';
import { logIn } from './log_in.mjs';

const { chromium } = createRequire(path.join(top, 'web/package.json'))('playwright-core');
let server, browser, page, room, listener, folder, own;

// A signer's key, as `ovation ledger seal` makes them.
const { publicKey, privateKey } = generateKeyPairSync('ed25519');
const raw = (key, part) => Buffer.from(key.export({ format: 'jwk' })[part], 'base64url');
const typed = (bytes) => Buffer.concat([Buffer.of(1), bytes]);
const id = createHash('sha256').update(Buffer.concat([Buffer.from('seals.e2e\n'), typed(raw(publicKey, 'x'))])).digest().subarray(0, 4);
const signed = (body) => `${body}\n\u2014 seals.e2e ${Buffer.concat([id, sign(null, Buffer.from(body), privateKey)]).toString('base64')}\n`;

const give = (n) => Promise.all(Array.from({ length: n }, () => server.rpc('GiftService/SendGift', { key: uuid7(), roomId: room.id, giftId: 11, quantity: 10, priceVersion: 1 }, { token: listener })));
const sealed = async () => (await (await fetch(`${server.url}/seals/checkpoint`)).text()).split('\n');
const head = () => server.psql('select seq from ledger.head').then(Number);
async function giveAndSeal(total) {
  while (total > 0) await give(Math.min(total, 100)).then((done) => (total -= done.length));
  const size = await head();
  await until(async () => Number((await sealed())[1]) >= size, 20_000, 'the gifts are sealed');
  return size;
}
const count = (n) => n.toLocaleString('en-US');
const books = () => page.getByTestId('books').locator('.note').first();
async function look() {
  await page.goto(`${server.url}/statement`);
  await books().waitFor();
  return books().innerText();
}
const kept = () => page.evaluate(() => JSON.parse(localStorage.getItem('seals')));
const keptSize = async () => Number((await kept()).note.split('\n')[1]);

before(async () => {
  own = await fs.mkdtemp(path.join(os.tmpdir(), 'ovation-seals-'));
  folder = path.join(own, 'seals');
  await fs.writeFile(path.join(own, 'key'), `PRIVATE+KEY+seals.e2e+${id.toString('hex')}+${typed(raw(privateKey, 'd')).toString('base64')}\n`, { mode: 0o600 });
  server = await startServer({ songs: false, flags: ['--load-profile', '--seal-folder', folder, '--seal-signer', path.join(own, 'key'), '--seal-every-s', '1'] });
  await fs.cp(path.join(top, 'web/dist'), server.web, { recursive: true });
  room = await server.makeRoom();
  listener = await server.logIn('listener');
  const order = await server.rpc('PaymentService/CreateTopUp', { key: randomUUID(), packId: 5, provider: 'sandbox' }, { token: listener });
  await server.rpc('PaymentService/PaySandboxOrder', { orderId: order.orderId }, { token: listener });
  browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'] });
  page = await (await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: 'en-US', acceptDownloads: true })).newPage();
  page.setDefaultTimeout(30_000);
  page.on('pageerror', (e) => assert.fail(e.message));
  await giveAndSeal(5);
  await page.goto(server.url);
  await logIn(page, 'singer');
});
after(async () => {
  await browser?.close();
  await server?.stop();
  await fs.rm(own, { recursive: true, force: true });
});

test('the checkpoint that was seen is kept, and each later one goes on from it, whatever their sizes', async () => {
  assert.match(await look(), /The books are sealed up to entry \d+, signed by seals\.e2e; this browser keeps watch/);
  let before = await keptSize();
  for (const more of [1, 8, 100, 143, 300, 1]) {
    const size = await giveAndSeal(more);
    assert.match(await look(), new RegExp(`up to entry ${count(size)}, signed by seals\\.e2e. Nothing of the ${count(before)} entries that this browser saw was changed`));
    assert.equal(await keptSize(), size);
    before = size;
  }
});

test('a line of the statement is proven, and so to the program without a server', async () => {
  const seq = await server.psql('select max(seq) from ledger.gift');
  await page.getByRole('button', { name: 'Check that this line' }).click();
  await page.getByTestId('proven').waitFor();
  assert.equal(await page.getByTestId('proven').innerText(), `Entry ${count(Number(seq))}, with these very figures, is among the ${count(await keptSize())} entries that everybody sees`);
  await page.screenshot({ path: path.join(top, 'var/screenshots/seals.png') });
  const waiting = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Save the proof' }).click();
  const saved = path.join(own, 'proof');
  await (await waiting).saveAs(saved);
  const { stdout } = await promisify(execFile)(binary(), ['ledger', 'check', saved, '--verifier', (await kept()).verifier], { env: { PATH: process.env.PATH }, cwd: own });
  assert.match(stdout, new RegExp(`Entry ${seq} is in the books of seals\\.e2e`));
  // Another line: a figure that is not in the leaf does not hold.
  await page.getByTestId('statement').getByRole('button').nth(3).click();
  await page.getByTestId('proven').waitFor({ state: 'detached' });
});

test('a line that was rewritten in the database is not what was sealed', async () => {
  const seq = await server.psql('select max(seq) from ledger.gift');
  const rewrite = (by) => server.psql(`begin; set local session_replication_role = replica; update ledger.gift set singer = singer + ${by}, platform = platform - ${by} where seq = ${seq}; commit`);
  await rewrite(1_000);
  await look();
  await page.getByRole('button', { name: 'Check that this line' }).click();
  await page.getByTestId('proven').waitFor();
  assert.match(await page.getByTestId('proven').innerText(), /NOT what was sealed/);
  await rewrite(-1_000);
  // The page still shows the other figures: a good proof, and not of these.
  const check = () => page.getByRole('button', { name: 'Check that this line' }).click();
  await check();
  await page.getByTestId('proven').getByText('The proof does NOT hold').waitFor();
  await look();
  await check();
  await page.getByTestId('proven').getByText('with these very figures').waitFor();
});

test('a payer proves what was paid and what was topped up', async () => {
  const own = await (await browser.newContext({ viewport: { width: 390, height: 844 }, locale: 'en-US' })).newPage();
  own.setDefaultTimeout(30_000);
  await own.goto(server.url);
  await logIn(own, 'listener');
  await server.rpc('PaymentService/CreateTopUp', { key: randomUUID(), packId: 1, provider: 'sandbox' }, { token: listener }).then((o) => server.rpc('PaymentService/PaySandboxOrder', { orderId: o.orderId }, { token: listener }));
  const size = await head();
  await until(async () => Number((await sealed())[1]) >= size, 20_000, 'the top-up is sealed');
  await own.goto(`${server.url}/statement`);
  for (const [nth, kind] of [[0, 'Top-up'], [1, 'Gift']]) {
    const line = own.getByTestId('statement').getByRole('button').nth(nth);
    assert.match(await line.innerText(), new RegExp(kind));
    await line.click();
    await own.getByRole('button', { name: 'Check that this line' }).click();
    await own.getByTestId('proven').waitFor();
    assert.match(await own.getByTestId('proven').innerText(), /with these very figures, is among/, kind);
  }
  await own.screenshot({ path: path.join(top, 'var/screenshots/seals-phone.png') });
  await own.context().close();
});

test('a proof is for those whose account the entry moves, and of what is sealed', async () => {
  const prove = (entrySeq, handle) => server.logIn(handle).then((token) => server.rpc('LedgerService/ProveEntry', { entrySeq }, { token }));
  const seq = Number(await server.psql('select max(seq) from ledger.gift'));
  for (const handle of ['listener', 'singer', 'finance']) assert.match((await prove(seq, handle)).proof, /^c2sp\.org\/tlog-proof@v1\n/, handle);
  await assert.rejects(prove(seq, 'listener2'), (e) => e.code === 'not_found');
  const topUp = Number(await server.psql("select seq from ledger.entry where kind = 'topup' limit 1"));
  await prove(topUp, 'listener');
  await assert.rejects(prove(topUp, 'singer'), (e) => e.code === 'not_found');
  const opened = await server.rpc('CaseService/OpenCase', { key: randomUUID(), kind: 'CASE_KIND_GIFT', entrySeq: seq, reason: 'sent twice by a fault' }, { token: await server.logIn('finance') });
  const reversal = Number(await server.psql(`select max(seq) from ledger.entry where detail->>'case' = '${opened.id}'`));
  await until(async () => Number((await sealed())[1]) >= reversal, 20_000, 'the reversal is sealed');
  await assert.rejects(prove(reversal, 'singer'), (e) => e.reason === 'tells_of_others');
  await prove(reversal, 'finance');
  await assert.rejects(prove(0, 'finance'), (e) => e.field === 'entry_seq');
  await assert.rejects(prove(1_000_000, 'finance'), (e) => e.reason === 'not_sealed_yet' && e.retryable);
});

test('books that are others than those seen, shorter, or signed by somebody else are told', async () => {
  const good = await kept();
  const put = (seen) => page.evaluate((s) => localStorage.setItem('seals', JSON.stringify(s)), seen);
  const [origin, size, root] = good.note.split('\n');
  const other = createHash('sha256').update('other books').digest('base64');
  for (const [what, seen, says] of [
    ['another root of the same size', { ...good, note: signed(`${origin}\n${size}\n${other}\n`) }, /NOT those that this browser saw/],
    ['another root before', { ...good, note: signed(`${origin}\n300\n${other}\n`) }, /NOT those that this browser saw/],
    ['more than there is', { ...good, note: signed(`${origin}\n${Number(size) + 1_000}\n${root}\n`) }, /SHORTER than what this browser saw/],
    ['another key', { ...good, verifier: `${good.verifier.slice(0, -4)}AAAA` }, /ANOTHER key/],
    ['a forged note', { ...good, note: good.note.replace(`\n${size}\n`, `\n${Number(size) - 1}\n`) }, /does NOT hold/],
  ]) {
    await put(seen);
    assert.match(await look(), says, what);
    assert.deepEqual(await kept(), seen, `${what}: what was seen stays`);
  }
  await put(good);
  assert.match(await look(), /The books are sealed up to/);
  // Tiles that do not lead from what was seen to what is signed.
  await give(20);
  const now = await head();
  await until(async () => Number((await sealed())[1]) >= now, 20_000, 'the gifts are sealed');
  const cdp = await page.context().newCDPSession(page);
  await cdp.send('Network.clearBrowserCache'); // a full tile never changes
  const tile = path.join(folder, 'tile/0/001');
  const bytes = await fs.readFile(tile);
  await fs.writeFile(tile, Buffer.concat([Buffer.from(bytes.subarray(0, 40)), Buffer.of(bytes[40] ^ 1), bytes.subarray(41)]));
  await put({ ...good, note: await fs.readFile(path.join(folder, 'checkpoints', (await fs.readdir(path.join(folder, 'checkpoints'))).map(Number).filter((n) => n > 256 && n < 500)[0].toString()), 'utf8') });
  assert.match(await look(), /NOT those that this browser saw/);
  await fs.writeFile(tile, bytes);
});
