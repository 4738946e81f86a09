// Where a song's words are at a position; positions in samples of 48 kHz.
import type { LyricLine, Song, Syllable } from '../gen/ovation/v1/song_pb';

// A line stays until the next one is near.
export function lineAt(lines: LyricLine[], at: number): number {
  let i = 0;
  while (i + 1 < lines.length && at > (Number(lines[i]!.end) + Number(lines[i + 1]!.start)) / 2) ++i;
  return i;
}
// How much of a syllable has been sung, 0 … 1.
export const sung = (s: Syllable, at: number) => Math.min(1, Math.max(0, (at - Number(s.start)) / Math.max(1, Number(s.length))));
export const words = (line: LyricLine | undefined) => line?.syllables.map((s) => s.text.replace('~', '')).join('') ?? '';
// A duet's lines by who sings them; what both sing (voice 0) is in both. A choir's stay together.
export function parts(song: Song): LyricLine[][] {
  if (song.voices !== 2) return [song.lines];
  return [1, 2].map((v) => song.lines.filter((l) => l.voice === 0 || l.voice === v));
}
