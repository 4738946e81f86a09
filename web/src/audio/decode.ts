// Opus packets to samples, in order: WebCodecs where there is one, else the same packets through libopus as WASM.
import { packet } from './messages';

export type Sink = (channels: Float32Array[]) => void;
export interface Decoder {
  feed(bytes: Uint8Array): void;
  close(): void;
}
export const stereo = (bytes: Uint8Array) => (bytes[0]! & 4) !== 0;

class Native implements Decoder {
  private decoder: AudioDecoder;
  private count = 0;
  constructor(channels: number, sink: Sink) {
    this.decoder = new AudioDecoder({
      output: (data) => {
        const out: Float32Array[] = [];
        for (let c = 0; c < data.numberOfChannels; ++c) {
          const plane = new Float32Array(data.numberOfFrames);
          data.copyTo(plane, { planeIndex: c, format: 'f32-planar' });
          out.push(plane);
        }
        data.close();
        sink(out);
      },
      error: () => undefined,
    });
    this.decoder.configure({ codec: 'opus', sampleRate: 48_000, numberOfChannels: channels });
  }
  feed(bytes: Uint8Array) {
    // The time stamp only orders; where it belongs the sink knows by counting.
    if (this.decoder.state === 'configured') this.decoder.decode(new EncodedAudioChunk({ type: 'key', timestamp: this.count++ * 20_000, data: bytes }));
  }
  close() {
    if (this.decoder.state !== 'closed') this.decoder.close();
  }
}

class Wasm implements Decoder {
  private waiting: Uint8Array[] = [];
  private ready: { decodeFrame(b: Uint8Array): { channelData: Float32Array[]; samplesDecoded: number }; free(): void } | null = null;
  private closed = false;
  constructor(channels: number, private sink: Sink) {
    void import('opus-decoder').then(async ({ OpusDecoder }) => {
      const made = new OpusDecoder({ channels, preSkip: 0, forceStereo: false });
      await made.ready;
      if (this.closed) return made.free();
      this.ready = made as never;
      for (const b of this.waiting.splice(0)) this.feed(b);
    });
  }
  feed(bytes: Uint8Array) {
    if (!this.ready) return void this.waiting.push(bytes);
    const out = this.ready.decodeFrame(bytes);
    this.sink(out.samplesDecoded > 0 ? out.channelData.map((c) => c.slice(0, out.samplesDecoded)) : [new Float32Array(packet)]);
  }
  close() {
    this.closed = true;
    this.ready?.free();
    this.ready = null;
  }
}

let native: boolean | null = null;
export async function chooseDecoder(): Promise<'webcodecs' | 'wasm' | 'none'> {
  if (native === null)
    native = typeof AudioDecoder !== 'undefined' && (await AudioDecoder.isConfigSupported({ codec: 'opus', sampleRate: 48_000, numberOfChannels: 2 }).then((s) => s.supported === true, () => false));
  if (native) return 'webcodecs';
  try {
    const { OpusDecoder } = await import('opus-decoder');
    const probe = new OpusDecoder({ channels: 1 });
    await probe.ready;
    probe.free();
    return 'wasm';
  } catch {
    return 'none';
  }
}
export const makeDecoder = (channels: number, sink: Sink): Decoder => (native ? new Native(channels, sink) : new Wasm(channels, sink));
