// One client that takes more than its part: the others of its core are served all the same, and what has no end is refused.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { sleep, startServer } from './harness.mjs';
import { Connection, exchange, frame, Live, op, upgradeRequest } from './raw.mjs';

let server, room;
before(async () => {
  server = await startServer({ songs: false, flags: ['--cores', '1'] });
  room = await server.makeRoom();
});
after(() => server?.stop());

const pings = Buffer.concat(Array.from({ length: 20_000 }, () => frame(op.ping, '')));
/** Writes pings as fast as they are taken until the other side ends it; how long that took. */
async function flood(socket, mostMs) {
  const started = performance.now();
  socket.on('error', () => {});
  socket.on('data', () => {});
  while (!socket.destroyed && !socket.readableEnded && performance.now() - started < mostMs) {
    if (!socket.write(pings)) await Promise.race([new Promise((done) => socket.once('drain', done)), sleep(50)]);
    else await sleep(0);
  }
  return performance.now() - started;
}
const answers = async () => (await exchange(server, 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'))?.status;

test('pings without end before the way in: the deadline ends them, others are answered meanwhile', { timeout: 60_000 }, async () => {
  const c = await Connection.open(server);
  await c.write(upgradeRequest(server));
  const flooding = flood(c.socket, 30_000);
  for (let i = 0; i < 5; ++i) {
    assert.equal(await answers(), 200);
    await sleep(200);
  }
  assert.ok((await flooding) < 20_000, 'it was ended');
  c.socket.destroy();
});
test('pings without end in a room are a flood of commands', { timeout: 60_000 }, async () => {
  const live = await Live.enter(server, room.id);
  assert.ok((await flood(live.c.socket, 30_000)) < 20_000, 'it was ended');
  assert.equal(await answers(), 200);
  live.destroy();
});
for (const [what, head] of [['the head of a chunk', '1;'], ['trailers', '0\r\nx: ']])
  test(`${what} without end is refused`, async () => {
    const c = await Connection.open(server);
    await c.write(`POST /ovation.v1.AuthService/LogIn HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n${head}`);
    c.socket.write('x'.repeat(64 * 1024));
    assert.match(await c.wait((it) => (it.bytes.includes('\r\n\r\n') ? it.bytes.toString() : undefined)), /^HTTP\/1.1 (431|400) /);
    c.socket.destroy();
  });
test('85 000 names in one object are an answer, not a pause', { timeout: 30_000 }, async () => {
  const body = JSON.stringify(Object.fromEntries(Array.from({ length: 85_000 }, (_, i) => [i.toString(36).padStart(6, 'k'), 0])));
  const answer = await fetch(`${server.url}/ovation.v1.AuthService/LogIn`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  assert.ok([400, 413].includes(answer.status), String(answer.status));
});
