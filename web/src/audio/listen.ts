// Media messages to samples on one clock (design: "A voice"). The room's media time is the clock of the ring, for every voice. Each segment {from, offset} has a backing decoder of its own; what it gives before the
// segment's begin or behind its end is clipped.
import type { Heard } from './media';
import { makeDecoder, stereo, type Decoder } from './decode';
import { packet, type FromWorker, type ToPlayer } from './messages';

const preSkip = 312;
const fade = 240;
const sameWithin = packet;
const forgetAfter = 5 * 48_000;

class Backing {
  private decoder: Decoder | null = null;
  private next = 0;    // index of the packet that is fed next
  private decoded = 0; // index of the packet that comes out next
  end = Infinity;
  channels = 0;
  constructor(readonly from: number, readonly offset: number, readonly rendition: number, first: number, private post: (m: ToPlayer, move: Transferable[]) => void) {
    this.next = this.decoded = first;
  }
  fits(first: number) {
    return first === this.next;
  }
  feed(packets: Uint8Array[]) {
    for (const p of packets) {
      if (!this.decoder) this.decoder = makeDecoder((this.channels = stereo(p) ? 2 : 1), (c) => this.take(c));
      this.decoder.feed(p);
      this.next += 1;
    }
  }
  private take(channels: Float32Array[]) {
    let at = this.decoded++ * packet - preSkip + this.offset;
    let [left, right] = [channels[0]!, channels[1] ?? channels[0]!.slice()];
    const skip = Math.max(0, this.from - at);
    const stop = Math.min(left.length, this.end - at);
    if (stop <= skip) return;
    for (let i = skip; i < stop; ++i) {
      const since = at + i - this.from;
      if (since < fade) {
        left[i]! *= since / fade;
        right[i]! *= since / fade;
      }
    }
    [left, right] = [left.slice(skip, stop), right.slice(skip, stop)];
    at += skip;
    this.post({ t: 'backing', at, left, right }, [left.buffer, right.buffer]);
  }
  close() {
    this.decoder?.close();
  }
}

class Voice {
  private decoder: Decoder;
  private due: number[] = [];
  end = -Infinity;
  constructor(private post: (m: ToPlayer, move: Transferable[]) => void) {
    this.decoder = makeDecoder(1, (c) => {
      const at = this.due.shift();
      if (at === undefined) return;
      const pcm = c[0]!;
      this.post({ t: 'voice', at, pcm }, [pcm.buffer]);
    });
  }
  feed(at: number, p: Uint8Array) {
    this.due.push(at);
    this.decoder.feed(p);
  }
  close() {
    this.decoder.close();
  }
}

export class Listener {
  private voices = new Map<bigint, Voice>();
  private offset: number | null | undefined; // of the segment; undefined: none yet
  private performance = 0n;
  private backing: Backing | null = null;
  private old: Backing | null = null;

  constructor(private post: (m: ToPlayer, move?: Transferable[]) => void, private tell: (m: FromWorker) => void) {}

  restart() {
    for (const v of this.voices.values()) v.close();
    this.voices.clear();
    this.backing?.close();
    this.old?.close();
    this.backing = this.old = null;
    this.offset = undefined;
    this.post({ t: 'restart' });
  }

  take(m: Heard) {
    const position = m.songPosition;
    const at = m.mediaTime;
    let voice = this.voices.get(m.publisherId);
    if (voice && at < voice.end - forgetAfter) {
      this.restart(); // another clock
      voice = undefined;
    }
    if (!voice) this.voices.set(m.publisherId, (voice = new Voice((x, move) => this.post(x, move))));
    if (at + packet * m.voice.length <= voice.end) return; // told again on joining
    const changed = position === null ? this.offset !== null : this.offset === null || this.offset === undefined || Math.abs(at - position - this.offset) > sameWithin || m.performanceId !== this.performance;
    // Who talks beside the song does not end it.
    if (changed && !(m.accompanies && position === null)) this.segment(at, position === null ? null : at - position, m.performanceId);
    m.voice.forEach((p, i) => {
      const start = at + i * packet;
      if (start < voice.end - 1) return;
      voice.feed(start, p);
      voice.end = start + packet;
    });
    if (m.rendition !== 0 && this.offset !== null && this.offset !== undefined) {
      const first = m.backingFirst;
      if (!this.backing || this.backing.rendition !== m.rendition || !this.backing.fits(first)) {
        if (m.backing.length === 0) return;
        if (this.backing) {
          this.backing.end = at;
          this.post({ t: 'cut', at });
        }
        this.old?.close();
        this.old = this.backing;
        this.backing = new Backing(at, this.offset, m.rendition, first, (x, move) => this.post(x, move));
      }
      this.backing.feed(m.backing);
    }
  }
  private segment(from: number, offset: number | null, performance: bigint) {
    this.offset = offset;
    this.performance = performance;
    if (this.backing) {
      this.backing.end = from;
      this.old?.close();
      this.old = this.backing;
      this.backing = null;
      this.post({ t: 'cut', at: from });
    }
    this.tell({ t: 'segment', from, offset, performance });
  }
}
