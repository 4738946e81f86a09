// The microphone's frames to media messages: Opus 48 kHz mono, 20 ms × 3. Media time and song position name the first *decoded*
// sample: the encoder's look-ahead, read from the OpusHead, is subtracted. A jump of the position cuts the message short.
import { create, toBinary } from '@bufbuild/protobuf';
import { ClientFrameSchema } from '../gen/ovation/v1/live_pb';
import { packet, type Captured, type FromWorker } from './messages';
import { findPitch } from './pitch';

const perMessage = 3;
const probeEvery = 250; // frames: 5 s
const probeFrames = 25;

interface Stamp {
  at: number;
  position: number | null;
  performance: bigint;
}

export class Publisher {
  private encoder: AudioEncoder;
  private stamps: Stamp[] = [];
  private group: { stamp: Stamp; packets: Uint8Array[] } | null = null;
  private preSkip = 312;
  private low = new Float32Array(512);
  private probe: { mic: Float32Array; backing: Float32Array }[] = [];
  private frames = 0;
  onAir = false;

  constructor(bits: number, private send: (bytes: Uint8Array) => void, private tell: (m: FromWorker) => void) {
    this.encoder = new AudioEncoder({
      output: (chunk, meta) => {
        const head = meta?.decoderConfig?.description;
        if (head) {
          const view = head instanceof ArrayBuffer ? new DataView(head) : new DataView((head as ArrayBufferView).buffer, (head as ArrayBufferView).byteOffset);
          if (view.byteLength >= 12) this.preSkip = view.getUint16(10, true);
        }
        const stamp = this.stamps.shift();
        const bytes = new Uint8Array(chunk.byteLength);
        chunk.copyTo(bytes);
        if (stamp) this.encoded(stamp, bytes);
      },
      error: (e) => this.tell({ t: 'encoder', problem: e.message }),
    });
    this.encoder.configure({ codec: 'opus', sampleRate: 48_000, numberOfChannels: 1, bitrate: bits, opus: { frameDuration: 20_000, complexity: 7 } } as AudioEncoderConfig);
  }
  take(f: Captured) {
    this.look(f);
    if (this.encoder.state !== 'configured') return;
    this.stamps.push({ at: f.at, position: f.position, performance: f.performance });
    this.encoder.encode(new AudioData({ format: 'f32-planar', sampleRate: 48_000, numberOfFrames: packet, numberOfChannels: 1, timestamp: Math.round((f.at / 48_000) * 1e6), data: f.pcm as never }));
  }
  private encoded(stamp: Stamp, bytes: Uint8Array) {
    const g = this.group;
    if (g) {
      const n = g.packets.length;
      const goes = stamp.at === g.stamp.at + n * packet && stamp.performance === g.stamp.performance && (stamp.position === null ? g.stamp.position === null : g.stamp.position !== null && stamp.position === g.stamp.position + n * packet);
      if (!goes) this.flush();
    }
    if (this.group) this.group.packets.push(bytes);
    else this.group = { stamp, packets: [bytes] };
    if (this.group.packets.length === perMessage) this.flush();
  }
  private flush() {
    const g = this.group;
    this.group = null;
    if (!g || !this.onAir) return;
    const sings = g.stamp.position !== null;
    const media = { mediaTime: BigInt(g.stamp.at - this.preSkip), voice: g.packets, performanceId: sings ? g.stamp.performance : 0n, songPosition: sings ? BigInt(Math.round(g.stamp.position!) - this.preSkip) : undefined, flags: sings ? 1 : 0 };
    this.send(toBinary(ClientFrameSchema, create(ClientFrameSchema, { command: { case: 'media', value: media as never } })));
  }
  // What the singer sees: pitch each 20 ms; and whether the microphone hears the backing.
  private look(f: Captured) {
    const low = third(f.pcm);
    this.low.copyWithin(0, low.length);
    this.low.set(low, this.low.length - low.length);
    this.tell({ t: 'pitch', semitones: findPitch(this.low), position: f.position });
    if (!f.backing) return;
    if (++this.frames % probeEvery < probeFrames * 2) this.probe.push({ mic: low, backing: third(f.backing) });
    else if (this.probe.length >= probeFrames * 2) {
      this.tell({ t: 'bleed', match: match(this.probe) });
      this.probe = [];
    }
  }
  close() {
    if (this.encoder.state !== 'closed') this.encoder.close();
  }
}

function third(x: Float32Array): Float32Array {
  const out = new Float32Array(x.length / 3);
  for (let i = 0; i < out.length; ++i) out[i] = (x[3 * i]! + x[3 * i + 1]! + x[3 * i + 2]!) / 3;
  return out;
}
// Highest correlation of the second half of the microphone with the backing up to half a second before.
function match(frames: { mic: Float32Array; backing: Float32Array }[]): number {
  const join = (k: 'mic' | 'backing') => {
    const out = new Float32Array(frames.length * 320);
    frames.forEach((f, i) => out.set(f[k], i * 320));
    return out;
  };
  const [mic, backing] = [join('mic'), join('backing')];
  const half = mic.length / 2;
  let energy = 0;
  for (let i = half; i < mic.length; ++i) energy += mic[i]! ** 2;
  let best = 0;
  if (energy / half < 1e-7) return 0;
  for (let lag = 0; lag < half; lag += 1) {
    let cross = 0;
    let square = 0;
    for (let i = half; i < mic.length; i += 2) {
      cross += mic[i]! * backing[i - lag]!;
      square += backing[i - lag]! ** 2;
    }
    if (square > 1e-6) best = Math.max(best, Math.abs(cross) / Math.sqrt((square * energy) / 2));
  }
  return best;
}
