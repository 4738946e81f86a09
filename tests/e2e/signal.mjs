// Signals for the tests: WAV files, and the lag at which one recording is found in another.
export function wav(samples, rate) {
  const out = Buffer.alloc(44 + samples.length * 2);
  out.write('RIFF', 0);
  out.writeUInt32LE(36 + samples.length * 2, 4);
  out.write('WAVEfmt ', 8);
  out.writeUInt32LE(16, 16);
  out.writeUInt16LE(1, 20);
  out.writeUInt16LE(1, 22);
  out.writeUInt32LE(rate, 24);
  out.writeUInt32LE(rate * 2, 28);
  out.writeUInt16LE(2, 32);
  out.writeUInt16LE(16, 34);
  out.write('data', 36);
  out.writeUInt32LE(samples.length * 2, 40);
  for (let i = 0; i < samples.length; ++i) out.writeInt16LE(Math.max(-32768, Math.min(32767, Math.round(samples[i] * 32767))), 44 + 2 * i);
  return out;
}
export function bufferOf(base64) {
  const bytes = Buffer.from(base64, 'base64');
  const x = new Int16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
  return Float32Array.from(x, (v) => v / 32768);
}
function fft(re, im) {
  const n = re.length;
  for (let i = 1, j = 0; i < n; ++i) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      [re[i], re[j]] = [re[j], re[i]];
      [im[i], im[j]] = [im[j], im[i]];
    }
  }
  for (let size = 2; size <= n; size <<= 1) {
    const step = (-2 * Math.PI) / size;
    for (let start = 0; start < n; start += size)
      for (let k = 0; k < size / 2; ++k) {
        const [c, s] = [Math.cos(step * k), Math.sin(step * k)];
        const [a, b] = [start + k, start + k + size / 2];
        const [x, y] = [re[b] * c - im[b] * s, re[b] * s + im[b] * c];
        re[b] = re[a] - x;
        im[b] = im[a] - y;
        re[a] += x;
        im[a] += y;
      }
  }
}
// Where `piece` lies in `whole`: piece[i] ≈ whole[i − lag], at 16 kHz (a third of the rate) refined to samples of 48 kHz.
// strength: normalised correlation, −1 … 1.
export function lag(piece, whole) {
  const low = (x) => {
    const out = new Float32Array(Math.floor(x.length / 3));
    for (let i = 0; i < out.length; ++i) out[i] = (x[3 * i] + x[3 * i + 1] + x[3 * i + 2]) / 3;
    return out;
  };
  const [p, w] = [low(piece), low(whole)];
  let n = 1;
  while (n < p.length + w.length) n <<= 1;
  const [ar, ai, br, bi] = [0, 0, 0, 0].map(() => new Float64Array(n));
  ar.set(p);
  br.set(w);
  fft(ar, ai);
  fft(br, bi);
  const [cr, ci] = [new Float64Array(n), new Float64Array(n)];
  for (let i = 0; i < n; ++i) {
    // conj(P) · W, and conjugated for the way back
    cr[i] = ar[i] * br[i] + ai[i] * bi[i];
    ci[i] = -(ar[i] * bi[i] - ai[i] * br[i]);
  }
  fft(cr, ci);
  const sum = (x) => {
    const out = new Float64Array(x.length + 1);
    for (let i = 0; i < x.length; ++i) out[i + 1] = out[i] + x[i] * x[i];
    return out;
  };
  const [pe, we] = [sum(p), sum(w)];
  let best = { shift: 0, strength: -1 };
  for (let i = 0; i < n; ++i) {
    const shift = i < w.length ? i : i - n; // p[k] meets w[k + shift]
    const from = Math.max(0, -shift);
    const to = Math.min(p.length, w.length - shift);
    if (to - from < p.length * 0.4) continue;
    const energy = Math.sqrt((pe[to] - pe[from]) * (we[to + shift] - we[from + shift]));
    const strength = energy > 1e-6 ? cr[i] / n / energy : -1;
    if (strength > best.strength) best = { shift, strength };
  }
  // Refine on 48 kHz.
  let fine = { lag: -3 * best.shift, sum: -Infinity };
  for (let s = 3 * best.shift - 6; s <= 3 * best.shift + 6; ++s) {
    let total = 0;
    for (let k = Math.max(0, -s); k < Math.min(piece.length, whole.length - s); k += 5) total += piece[k] * whole[k + s];
    if (total > fine.sum) fine = { lag: -s, sum: total };
  }
  return { lag: fine.lag, strength: best.strength };
}
