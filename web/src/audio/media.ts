// The one message that the live worker reads itself (live.proto, Media), so that a listener's worker stays small: a whole protobuf
// library would be a third of what the page loads before its first sound. Held to the .proto by tests/e2e/sound.test.mjs.
export interface Heard {
  performanceId: bigint;
  mediaTime: number;
  songPosition: number | null;
  publisherId: bigint;
  rendition: number;
  backingFirst: number;
  accompanies: boolean; // a voice beside the one that leads the song
  voice: Uint8Array[];
  backing: Uint8Array[];
}
// `frame`: a ServerFrame whose first field is `media` (16, length-delimited). Null: cut short.
export function readMedia(frame: Uint8Array): Heard | null {
  let at = 2;
  const varint = (): bigint => {
    let out = 0n;
    for (let shift = 0n; at < frame.length && shift < 70n; shift += 7n) {
      const b = frame[at++]!;
      out |= BigInt(b & 0x7f) << shift;
      if (b < 0x80) break;
    }
    return BigInt.asUintN(64, out);
  };
  const end = Number(varint()) + at;
  if (end > frame.length) return null;
  const out: Heard = { performanceId: 0n, mediaTime: 0, songPosition: null, publisherId: 0n, rendition: 0, backingFirst: 0, accompanies: false, voice: [], backing: [] };
  while (at < end) {
    const tag = Number(varint());
    const kind = tag & 7;
    if (kind === 2) {
      const size = Number(varint());
      if (at + size > end) return null;
      const bytes = frame.subarray(at, at + size);
      at += size;
      if (tag >> 3 === 5) out.voice.push(bytes);
      if (tag >> 3 === 8) out.backing.push(bytes);
      continue;
    }
    if (kind !== 0) return null;
    const v = varint();
    switch (tag >> 3) {
      case 1: out.performanceId = v; break;
      case 3: out.mediaTime = Number(BigInt.asIntN(64, v)); break;
      case 4: out.songPosition = Number((v >> 1n) ^ -(v & 1n)); break; // sint64
      case 6: out.publisherId = v; break;
      case 7: out.rendition = Number(v); break;
      case 10: out.accompanies = (v & 4n) !== 0n; break;
      case 9: out.backingFirst = Number(v); break;
    }
  }
  return out;
}
