// Plays voice and backing from one ring with one read pointer and one rate: they cannot drift apart. The buffer adapts to the
// network: it is steered by its smallest depth over a second, between 120 ms and 2 s.
import { registerDynamics } from './dynamics';
import { rate as hertz, type PlayerStatus, type ToPlayer } from './messages';

declare const currentFrame: number;
declare function registerProcessor(name: string, of: unknown): void;
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}

const size = 1 << 19; // 10.9 s
const mask = size - 1;
const ms = hertz / 1000;
const leastFloor = 60 * ms;
const mostFloor = 1_900 * ms;
const startDepth = 250 * ms;
const message = 60 * ms;
const fade = 5 * ms;
const steer = 0.002; // of the rate; not heard
const reportEvery = 2_048;

class Player extends AudioWorkletProcessor {
  private voice = new Float32Array(size);
  private left = new Float32Array(size);
  private right = new Float32Array(size);
  private read = 0; // media time; whole samples plus `part`
  private part = 0;
  private newest = 0;
  private has = false;
  private playing = false;
  private started = false;
  private floor = 120 * ms; // smallest depth wanted
  private least = Infinity;
  private leastUntil = 0;
  private calmSince = 0;
  private speed = 1;
  private underruns = 0;
  private reported = 0;
  private gain = 0;

  constructor() {
    super();
    this.port.onmessage = (e: MessageEvent) => {
      if (e.data instanceof MessagePort) e.data.onmessage = (m: MessageEvent<ToPlayer>) => this.take(m.data);
    };
  }
  private take(m: ToPlayer) {
    switch (m.t) {
      case 'restart':
        this.voice.fill(0);
        this.left.fill(0);
        this.right.fill(0);
        this.has = false;
        this.playing = false;
        this.reported = -Infinity;
        break;
      case 'cut':
        // What the old place had beyond the jump goes, softly.
        for (let i = 0; i < fade; ++i) {
          const k = (m.at - fade + i) & mask;
          if (m.at - fade + i <= this.read) continue;
          const g = 1 - i / fade;
          this.left[k]! *= g;
          this.right[k]! *= g;
        }
        for (let i = 0; i < 4_800; ++i) this.left[(m.at + i) & mask] = this.right[(m.at + i) & mask] = 0;
        break;
      case 'voice': {
        this.reach(m.at, m.at + m.pcm.length);
        for (let i = Math.max(0, Math.ceil(this.read) - m.at); i < m.pcm.length; ++i) this.voice[(m.at + i) & mask]! += m.pcm[i]!;
        break;
      }
      case 'backing':
        for (let i = this.has ? Math.max(0, Math.ceil(this.read) - m.at) : 0; i < m.left.length; ++i) {
          const k = (m.at + i) & mask;
          this.left[k] = m.left[i]!;
          this.right[k] = m.right[i]!;
        }
        break;
    }
  }
  private reach(from: number, to: number) {
    if (!this.has || Math.abs(from - this.newest) > size / 2) {
      this.has = true;
      this.read = from;
      this.newest = from;
      this.playing = false;
      this.reported = -Infinity;
    }
    if (to > this.newest) this.newest = to;
    // Much more than is wanted (a burst after a stall): the oldest goes.
    const most = this.floor + message + 2_500 * ms;
    if (this.newest - this.read > most) this.jump(this.newest - this.floor - message);
  }
  private jump(to: number) {
    to = Math.floor(to);
    for (let i = Math.floor(this.read); i < to; ++i) this.voice[i & mask] = this.left[i & mask] = this.right[i & mask] = 0;
    this.read = to;
    this.part = 0;
    this.gain = 0;
    this.reported = -Infinity;
  }

  process(_: Float32Array[][], outputs: Float32Array[][]): boolean {
    const voice = outputs[0]![0]!;
    const [left, right] = [outputs[1]![0]!, outputs[1]![1] ?? outputs[1]![0]!];
    const count = voice.length;
    const depth = this.newest - this.read;
    if (this.has && !this.playing) {
      const wanted = Math.max(startDepth, this.floor + message * 2);
      if (depth >= wanted) {
        this.jump(this.newest - wanted);
        this.playing = this.started = true;
        this.calmSince = this.leastUntil = currentFrame;
        this.least = Infinity;
      }
    }
    if (this.playing && depth < count * this.speed + 4) {
      // Nothing is left: silence, and a deeper buffer from here on.
      this.playing = false;
      this.reported = -Infinity;
      this.underruns += 1;
      this.floor = Math.min(mostFloor, this.floor + 80 * ms);
      this.speed = 1;
    }
    if (!this.playing) {
      voice.fill(0);
      left.fill(0);
      right.fill(0);
    } else {
      const straight = this.speed === 1 && this.part === 0;
      for (let i = 0; i < count; ++i) {
        const k = this.read & mask;
        if (this.gain < 1) this.gain = Math.min(1, this.gain + 1 / fade);
        if (straight) {
          voice[i] = this.voice[k]! * this.gain;
          left[i] = this.left[k]! * this.gain;
          right[i] = this.right[k]! * this.gain;
        } else {
          voice[i] = cubic(this.voice, k, this.part) * this.gain;
          left[i] = cubic(this.left, k, this.part) * this.gain;
          right[i] = cubic(this.right, k, this.part) * this.gain;
        }
        this.part += this.speed;
        while (this.part >= 1) {
          // One behind stays for the interpolation.
          const gone = (this.read - 1) & mask;
          this.voice[gone] = this.left[gone] = this.right[gone] = 0;
          this.part -= 1;
          this.read += 1;
        }
        if (this.speed === 1 && this.part < 1e-9) this.part = 0;
      }
      this.least = Math.min(this.least, this.newest - this.read);
      if (currentFrame - this.leastUntil >= hertz) {
        // Once a second: towards the smallest depth that is wanted.
        const off = this.least - this.floor;
        this.speed = off > (this.speed > 1 ? 60 : 140) * ms ? 1 + steer : off < -20 * ms ? 1 - steer : 1;
        this.least = Infinity;
        this.leastUntil = currentFrame;
        if (currentFrame - this.calmSince > 20 * hertz && this.floor > leastFloor) {
          this.floor = Math.max(leastFloor, this.floor - 20 * ms);
          this.calmSince = currentFrame;
        }
      }
    }
    if (currentFrame - this.reported >= reportEvery) {
      this.reported = currentFrame;
      const status: PlayerStatus = { from: currentFrame, frame: currentFrame + count, read: this.read + this.part, rate: this.playing ? this.speed : 0, depth: this.newest - this.read, playing: this.playing, started: this.started, underruns: this.underruns };
      this.port.postMessage(status);
    }
    return true;
  }
}

// Four points (Catmull-Rom).
function cubic(of: Float32Array, k: number, t: number): number {
  const a = of[(k - 1) & mask]!;
  const b = of[k]!;
  const c = of[(k + 1) & mask]!;
  const d = of[(k + 2) & mask]!;
  return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)));
}
registerProcessor('player', Player);
registerDynamics();
