// How far the lyrics are from what is heard: a thousand simulated listeners, each with the pages' own code: listen.ts (messages to
// samples), player.worklet.ts (ring, buffer, steering) and Player.position() (what the lyrics ask). Stand-ins are the network, the
// server's cursor, the clocks, the audio device and the codec. A sample of the backing says which song position it is, so the
// truth is read from the output. Prints JSON.
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const top = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const web = path.join(top, 'web');
const packet = 960;
const preSkip = 312;
const perMs = 48;
const scale = 2 ** 23; // of a position in a sample
const listeners = Number(process.argv[2] ?? 1_000);
const listenMs = 15_000;
const songMs = 40_000;
const keptFrames = 1 << 16;

async function bundle() {
  // Both are ES modules alone, which require.resolve may not find.
  const { build } = await import(pathToFileURL(path.join(web, 'node_modules/vite/dist/node/index.js')).href);
  const { svelte } = await import(pathToFileURL(path.join(web, 'node_modules/@sveltejs/vite-plugin-svelte/src/index.js')).href);
  const entry = `export { Player } from ${JSON.stringify(path.join(web, 'src/audio/player.svelte.ts'))};
    export { Listener } from ${JSON.stringify(path.join(web, 'src/audio/listen.ts'))};
    export { chooseDecoder } from ${JSON.stringify(path.join(web, 'src/audio/decode.ts'))};
    import ${JSON.stringify(path.join(web, 'src/audio/player.worklet.ts'))};`;
  const virtual = {
    name: 'entry',
    enforce: 'pre',
    resolveId: (id) => (id === 'sound-entry' || id.includes('?worker') ? `\0${id}` : undefined),
    load: (id) => (id === '\0sound-entry' ? entry : id.includes('?worker') ? 'export default "";' : undefined),
  };
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), 'ovation-lyrics-'));
  await build({ root: web, configFile: false, logLevel: 'error', plugins: [virtual, svelte()], ssr: { noExternal: true }, build: { ssr: true, outDir: folder, target: 'es2022', rollupOptions: { input: { sound: 'sound-entry' }, external: ['opus-decoder'], output: { format: 'es', entryFileNames: 'sound.mjs' } } } });
  standIns();
  const made = await import(pathToFileURL(path.join(folder, 'sound.mjs')).href);
  await fs.rm(folder, { recursive: true, force: true });
  return made;
}
function dice(seed) {
  let s = seed >>> 0;
  const one = () => {
    s = (s + 0x6d2b79f5) >>> 0;
    let t = Math.imul(s ^ (s >>> 15), 1 | s);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return { between: (a, b) => a + (b - a) * one(), rare: (p) => one() < p, exponential: (mean) => -mean * Math.log(1 - one()), pick: (x) => x[Math.floor(one() * x.length)] };
}

// ---- the browser's parts that the code asks for ----
const world = { now: 0, later: [], processor: null, context: null, Worklet: null };
class Port {
  onmessage = null;
  peer = null;
  postMessage(data) {
    this.peer?.onmessage?.({ data });
  }
}
class Channel {
  port1 = new Port();
  port2 = new Port();
  constructor() {
    [this.port1.peer, this.port2.peer] = [this.port2, this.port1];
  }
}
class Node {
  gain = { value: 1 };
  frequency = { value: 0 };
  buffer = null;
  connect(to) {
    return to;
  }
  disconnect() {}
}
class Context {
  state = 'running';
  sampleRate = 48_000;
  destination = new Node();
  audioWorklet = { addModule: async () => undefined };
  outputLatency = 0;
  stamp = { contextTime: 0, performanceTime: 0 };
  constructor() {
    world.context = this;
  }
  async resume() {}
  async close() {}
  getOutputTimestamp() {
    return this.stamp;
  }
}
class WorkletNode extends Node {
  port = new Port();
  constructor(_, name) {
    super();
    if (name !== 'player') return; // the voice's dress: not asked where it is
    const made = (world.processor = new world.Worklet());
    this.port.peer = made.port;
    // The page hears of the worklet when its thread is free.
    made.port.postMessage = (data) => world.toPage('worklet', () => this.port.onmessage?.({ data }));
  }
}
// A packet names itself; its samples say where in the song they are (left) and how loud they are played (right).
class Decoder {
  state = 'configured';
  static isConfigSupported = async () => ({ supported: true });
  constructor({ output }) {
    this.output = output;
  }
  configure() {}
  decode({ data }) {
    const stereo = (data[0] & 4) !== 0;
    const first = new DataView(data.buffer).getUint32(4) * packet - preSkip;
    this.output({
      numberOfChannels: stereo ? 2 : 1,
      numberOfFrames: packet,
      copyTo: (plane, { planeIndex }) => {
        for (let i = 0; i < packet; ++i) plane[i] = !stereo ? 0 : planeIndex === 1 ? 1 : (first + i) / scale;
      },
      close: () => undefined,
    });
  }
  close() {
    this.state = 'closed';
  }
}
function stand(name, value) {
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
}
function standIns() {
  stand('window', { setInterval: () => 0 });
  stand('navigator', { userAgent: 'Ovation bench' });
  stand('localStorage', { getItem: () => null, setItem: () => undefined });
  stand('performance', { now: () => world.now });
  stand('MessagePort', Port);
  stand('MessageChannel', Channel);
  stand('AudioContext', Context);
  stand('AudioWorkletNode', WorkletNode);
  for (const name of ['BiquadFilterNode', 'GainNode', 'ConvolverNode']) stand(name, Node);
  stand('AudioDecoder', Decoder);
  stand('EncodedAudioChunk', class { constructor(x) { this.data = x.data; } });
  stand('AudioWorkletProcessor', class { port = new Port(); });
  stand('registerProcessor', (name, of) => name === 'player' && (world.Worklet = of));
}

// ---- singer and server: one performance with a pause, a seek and talk ----
function backingPackets(from, to) {
  const out = [];
  for (let i = from; i < to; ++i) {
    const b = new Uint8Array(8);
    b[0] = 4;
    new DataView(b.buffer).setUint32(4, i);
    out.push(b);
  }
  return out;
}
function perform(random) {
  const pauseAt = random.between(8_000, 30_000);
  const seekAt = random.between(8_000, 30_000);
  const seekTo = Math.round(random.between(10_000, 120_000)) * perMs;
  const skew = 1 + random.between(-100, 100) * 1e-6;
  const messages = [];
  let position = -1_000 * perMs;
  let group = null;
  let cursor = -1;
  let due = null;
  const access = (at) => Math.max(0, 5 * Math.floor((Math.floor((at + preSkip) / packet) - 1) / 5));
  const last = (at, n) => Math.max(0, Math.ceil((at + n * packet + preSkip) / packet));
  const flush = () => {
    if (!group) return;
    const { at, label, n } = group;
    group = null;
    const m = { sentMs: ((at + n * packet) / perMs) * skew + 8, heard: { performanceId: 1n, mediaTime: at - preSkip, songPosition: label === null ? null : label - preSkip, publisherId: 7n, rendition: 0, backingFirst: 0, voice: Array.from({ length: n }, () => new Uint8Array(8)), backing: [] } };
    if (label === null) cursor = -1;
    else {
      const p = label - preSkip;
      if (cursor < 0 || due === null || Math.abs(p - due) > packet) cursor = access(p);
      const end = Math.max(cursor, last(p, n));
      Object.assign(m.heard, { rendition: 13, backingFirst: cursor, backing: backingPackets(cursor, end) });
      m.anew = { first: access(p), end };
      cursor = end;
    }
    due = label === null ? null : label - preSkip + n * packet;
    messages.push(m);
  };
  for (let at = 0; at < songMs * perMs; at += packet) {
    const ms = at / perMs;
    if (seekAt <= ms && ms < seekAt + 20) position = seekTo;
    const sings = !(pauseAt <= ms && ms < pauseAt + 1_200);
    const label = sings ? position : null;
    if (sings) position += packet;
    if (group && (label === null ? group.label !== null : group.label === null || label !== group.label + group.n * packet)) flush();
    group ??= { at, label, n: 0 };
    if (++group.n === 3) flush();
  }
  return messages;
}
// What a listener's socket gives: the last five messages, the first of them made anew, then each in order.
function arrivals(messages, joinMs, random) {
  const [base, jitter] = [random.between(5, 200), random.pick([1, 5, 20, 60])];
  const stallMs = random.pick([0, 0, 100, 400, 1_500]);
  const now = messages.findIndex((m) => m.sentMs > joinMs);
  const first = Math.max(0, now - 5);
  let line = joinMs + base;
  return messages.slice(first).map((m, i) => {
    const stall = stallMs > 0 && random.rare(0.006) ? random.between(0.3, 1) * stallMs : 0;
    line = Math.max(line, Math.max(m.sentMs, joinMs) + base + random.exponential(jitter) + stall);
    const heard = i === 0 && m.anew ? { ...m.heard, backingFirst: m.anew.first, backing: backingPackets(m.anew.first, m.anew.end) } : m.heard;
    return { at: line, heard };
  });
}

async function listen({ Player, Listener }, seed, into) {
  const random = dice(seed);
  const messages = perform(random);
  const joinMs = random.rare(0.15) ? 0 : random.between(2_000, songMs - listenMs - 500); // most come late
  const floorMs = Math.exp(random.between(Math.log(40), Math.log(1_900)));
  const block = random.pick([128, 256, 512, 1_024]);
  const latencyMs = block / perMs + random.between(4, 150);
  const skew = 1 + random.between(-100, 100) * 1e-6;
  const stampErrorMs = random.pick([0.5, 2, 5]);
  const blocked = random.rare(0.1) ? random.between(0, 1_000) : null; // the page's thread, 250 ms of each second
  const free = (t) => (blocked === null || (t + blocked) % 1_000 >= 250 ? t : t + 250 - ((t + blocked) % 1_000));
  Object.assign(world, { now: joinMs, later: [] });
  const line = { worklet: 0, worker: 0 }; // each keeps its order
  world.toPage = (from, run) => {
    line[from] = Math.max(line[from], free(world.now + random.between(0.3, 8)));
    world.later.push({ at: line[from], run });
  };

  let ring = null;
  const player = new Player((port) => (ring = port));
  await new Promise((done) => setImmediate(done));
  const [context, worklet] = [world.context, world.processor];
  context.outputLatency = latencyMs / 1_000;
  worklet.floor = floorMs * perMs; // the buffer that it has learned
  const listener = new Listener((m) => ring.postMessage(m), (m) => m.t === 'segment' && world.toPage('worker', () => player.segment(m)));
  const inbox = arrivals(messages, joinMs, random);
  const outputs = [[new Float32Array(128)], [new Float32Array(128), new Float32Array(128)]];
  const left = new Float32Array(keptFrames);
  const right = new Float32Array(keptFrames);
  const leaves = (frame) => joinMs + latencyMs + (frame / perMs) * skew; // when a frame leaves the output
  let look = joinMs + random.between(0, 16);
  let arrived = 0;
  let audible = false;
  for (let frame = 0; frame < listenMs * perMs; frame += block) {
    world.now = joinMs + (frame / perMs) * skew;
    for (; arrived < inbox.length && inbox[arrived].at <= world.now; ++arrived) listener.take(inbox[arrived].heard);
    for (let at = frame; at < frame + block; at += 128) {
      globalThis.currentFrame = at;
      worklet.process([], outputs);
      left.set(outputs[1][0], at % keptFrames);
      right.set(outputs[1][1], at % keptFrames);
    }
    // What the browser says of its output: some error, and as old as the last callback.
    context.stamp = { contextTime: Math.max(1e-6, ((world.now - joinMs - latencyMs) / skew + random.between(-stampErrorMs, stampErrorMs)) / 1_000), performanceTime: world.now };
    const until = world.now + (block / perMs) * skew;
    const run = (to) => {
      const ready = world.later.filter((x) => x.at <= to).sort((a, b) => a.at - b.at);
      if (ready.length > 0) world.later = world.later.filter((x) => x.at > to);
      for (const x of ready) {
        world.now = x.at;
        x.run();
      }
    };
    for (; look < until; look = free(look + 16.7)) {
      run(look);
      world.now = look;
      const out = (look - leaves(0)) / skew * perMs;
      const i = Math.floor(out);
      if (i < 0 || right[i % keptFrames] < 0.3) continue;
      const truth = (left[i % keptFrames] / right[i % keptFrames]) * scale + (out - i);
      const shown = player.position();
      into.looks += 1;
      if (shown === null) {
        into.waiting += 1;
        continue;
      }
      const error = Math.abs(shown.at - truth) / perMs;
      into.errors.push(error);
      into.depths.push((worklet.newest - worklet.read) / perMs);
      if (!audible) into.first.push(error);
      audible = true;
    }
    run(until);
  }
  if (!audible) into.silent += 1;
  into.underruns += worklet.underruns;
  player.close();
}

const modules = await bundle();
await modules.chooseDecoder();
const into = { looks: 0, waiting: 0, silent: 0, underruns: 0, errors: [], first: [], depths: [] };
for (let i = 0; i < listeners; ++i) await listen(modules, 1 + i, into);
const sorted = (x) => Float64Array.from(x).sort();
const share = (x, of) => x[Math.min(x.length - 1, Math.floor(x.length * of))];
const [errors, first, depths] = [sorted(into.errors), sorted(into.first), sorted(into.depths)];
const round = (v) => Math.round(v * 10) / 10;
process.stdout.write(`${JSON.stringify({
  listeners,
  looks: into.looks,
  error_ms_p50: round(share(errors, 0.5)),
  error_ms_p99: round(share(errors, 0.99)),
  error_ms_most: round(share(errors, 1)),
  first_error_ms_p99: round(share(first, 0.99)),
  off_share: Math.round(((into.waiting + errors.filter((e) => e > 25).length) / into.looks) * 100_000) / 100_000,
  depth_ms: [0.01, 0.5, 0.99].map((k) => Math.round(share(depths, k))),
  silent: into.silent,
  underruns: into.underruns,
})}\n`, () => process.exit(0));
