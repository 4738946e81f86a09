// What the page, its live worker and the worklets say to each other. Times are 48 kHz samples.
export const rate = 48_000;
export const packet = 960;

export type ToWorker =
  | { t: 'open'; url: string }
  | { t: 'send'; bytes: Uint8Array }
  | { t: 'close' }
  | { t: 'player'; port: MessagePort | null }
  | { t: 'restart' }
  | { t: 'microphone'; port: MessagePort | null; bits: number }
  | { t: 'on_air'; on: boolean };
export type FromWorker =
  | { t: 'opened' }
  | { t: 'frame'; bytes: Uint8Array }
  | { t: 'closed'; code: number; reason: string }
  | ({ t: 'segment' } & Segment)
  | { t: 'codec'; words: 'webcodecs' | 'wasm' | 'none' }
  | { t: 'pitch'; semitones: number | null; position: number | null }
  | { t: 'bleed'; match: number }
  | { t: 'encoder'; problem: string };

// From `from` on (the room's media time), media time − offset is the song position; null: talk.
export interface Segment {
  from: number;
  offset: number | null;
  performance: bigint;
}
export type ToPlayer =
  | { t: 'voice'; at: number; pcm: Float32Array }
  | { t: 'backing'; at: number; left: Float32Array; right: Float32Array }
  | { t: 'cut'; at: number }
  | { t: 'restart' };
export interface PlayerStatus {
  from: number;         // context frame from which on it holds; each jump is reported at once
  frame: number;        // context frame of this report
  read: number;         // media time that leaves the worklet there
  rate: number;
  depth: number;        // samples that wait
  playing: boolean;
  started: boolean;
  underruns: number;
}
// One frame of the microphone: 20 ms.
export interface Captured {
  pcm: Float32Array;
  at: number;
  position: number | null;
  performance: bigint;
  backing: Float32Array | null;
}
export type ToStudio =
  | { t: 'sink'; port: MessagePort }
  | { t: 'song'; performance: bigint; left: Float32Array; right: Float32Array; guide: Float32Array | null }
  | { t: 'control'; playing: boolean; position?: number; atFrame?: number } // atFrame: the context's frame at which `position` sounds
  | { t: 'mix'; backing: number; guide: number; delay: number }
  | { t: 'record'; port: MessagePort | null } // gets each captured frame too
  | { t: 'click'; at: number[] };
export interface StudioStatus {
  t: 'status';
  frame: number;
  position: number;
  playing: boolean;
  level: number;
  peak: number;
}
