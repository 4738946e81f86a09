// A TCP proxy between a page and the server: delays each way with jitter (order is kept, as TCP does), and cuts. It lives on
// a thread of its own: what the test computes does not hold it up.
import net from 'node:net';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

export async function startProxy(port, { delayMs = 0, jitterMs = 0 } = {}) {
  const worker = new Worker(new URL(import.meta.url), { workerData: { port, delayMs, jitterMs } });
  const said = (what) => new Promise((done) => {
    const hear = (m) => {
      if (!(what in m)) return;
      worker.off('message', hear);
      done(m[what]);
    };
    worker.on('message', hear);
  });
  const own = await said('port');
  return {
    port: own,
    url: `http://127.0.0.1:${own}`,
    // Ends all connections; new ones are refused until `ms` are over.
    async cut(ms) {
      worker.postMessage({ cut: ms });
      await said('whole');
    },
    // What the server has sent so far.
    async bytes() {
      worker.postMessage({ count: true });
      return said('bytes');
    },
    stop: () => worker.terminate(),
  };
}

if (!isMainThread) {
  const { port, delayMs, jitterMs } = workerData; // each way
  const pairs = new Set();
  let blocked = false;
  let down = 0;
  const server = net.createServer((near) => {
    if (blocked) return near.destroy();
    const far = net.connect(port, '127.0.0.1');
    const pair = [near, far];
    pairs.add(pair);
    const pipe = (from, to) => {
      // One line for all: timers of different lengths that are due together would not keep the order.
      const line = [];
      let timer = null;
      let last = 0;
      const go = () => {
        timer = null;
        while (line.length > 0 && line[0].due <= performance.now()) {
          const { bytes } = line.shift();
          if (to.destroyed) line.length = 0;
          else if (bytes) to.write(bytes);
          else to.destroy();
        }
        if (line.length > 0) timer ??= setTimeout(go, line[0].due - performance.now());
      };
      const later = (bytes) => {
        last = Math.max(last, performance.now() + delayMs + (Math.random() * 2 - 1) * jitterMs);
        line.push({ due: last, bytes });
        timer ??= setTimeout(go, last - performance.now());
      };
      from.setNoDelay(true);
      if (from === far) from.on('data', (bytes) => (down += bytes.length));
      from.on('data', (bytes) => (delayMs === 0 && jitterMs === 0 ? to.write(bytes) : later(bytes)));
      from.on('close', () => {
        pairs.delete(pair);
        later(null);
      });
      from.on('error', () => to.destroy());
    };
    pipe(near, far);
    pipe(far, near);
  });
  server.listen(0, '127.0.0.1', () => parentPort.postMessage({ port: server.address().port }));
  parentPort.on('message', ({ cut, count }) => {
    if (count) return parentPort.postMessage({ bytes: down });
    blocked = true;
    for (const s of [...pairs].flat()) s.destroy();
    setTimeout(() => {
      blocked = false;
      parentPort.postMessage({ whole: true });
    }, cut);
  });
}
