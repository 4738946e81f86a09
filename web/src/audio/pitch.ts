// McLeod's pitch method as on the server (songs/pitch.cpp), for what the singer sees of themselves.
const size = 512;
const lagMin = 14;
const lagMax = 247;

// `x`: 512 samples at 16 kHz. Semitones from C4; null: no voice.
export function findPitch(x: Float32Array): number | null {
  let energy = 0;
  for (let i = 0; i < size; ++i) energy += x[i]! * x[i]!;
  if (Math.sqrt(energy / size) < 0.00316) return null;
  const n = new Float32Array(lagMax + 2);
  let squares = 2 * energy;
  for (let lag = 1; lag <= lagMax + 1; ++lag) {
    squares -= x[lag - 1]! ** 2 + x[size - lag]! ** 2;
    if (lag < lagMin - 1) continue;
    let sum = 0;
    for (let i = 0; i + lag < size; ++i) sum += x[i]! * x[i + lag]!;
    n[lag] = squares > 0 ? (2 * sum) / squares : 0;
  }
  const peaks: number[] = [];
  let best = 0;
  let lag = lagMin;
  while (lag <= lagMax && n[lag]! > 0 && n[lag]! < n[lag - 1]!) ++lag;
  for (; lag <= lagMax; ++lag) {
    const here = n[lag]!;
    if (here > 0 && here >= n[lag - 1]! && here > n[lag + 1]! && (best === 0 || here > n[best]!)) best = lag;
    if ((here <= 0 || lag === lagMax) && best !== 0) {
      peaks.push(best);
      best = 0;
    }
  }
  const highest = Math.max(0, ...peaks.map((p) => n[p]!));
  if (highest < 0.5) return null;
  const at = peaks.find((p) => n[p]! >= 0.88 * highest)!;
  const curve = n[at - 1]! - 2 * n[at]! + n[at + 1]!;
  const shift = curve < 0 ? (0.5 * (n[at - 1]! - n[at + 1]!)) / curve : 0;
  return 12 * Math.log2(16_000 / (at + shift) / 261.6255653);
}
