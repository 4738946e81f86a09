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
// For each size: the turns of each stage one after the other, and where each place goes in reversed bits.
const tables = new Map();
function tableOf(n) {
  if (!tables.has(n)) {
    const [cos, sin, swap] = [new Float64Array(n), new Float64Array(n), new Uint32Array(n)];
    for (let half = 1; half < n; half <<= 1)
      for (let k = 0; k < half; ++k) {
        cos[half + k] = Math.cos((-Math.PI * k) / half);
        sin[half + k] = Math.sin((-Math.PI * k) / half);
      }
    for (let i = 1; i < n; ++i) swap[i] = (swap[i >> 1] >> 1) | (i & 1 ? n >> 1 : 0);
    tables.set(n, { cos, sin, swap });
  }
  return tables.get(n);
}
function fft(re, im) {
  const n = re.length;
  const { cos, sin, swap } = tableOf(n);
  for (let i = 1; i < n; ++i) {
    const j = swap[i];
    if (i >= j) continue;
    let x = re[i];
    re[i] = re[j];
    re[j] = x;
    x = im[i];
    im[i] = im[j];
    im[j] = x;
  }
  for (let half = 1; half < n; half <<= 1)
    for (let start = 0; start < n; start += 2 * half)
      for (let k = 0; k < half; ++k) {
        const c = cos[half + k];
        const s = sin[half + k];
        const a = start + k;
        const b = a + half;
        const x = re[b] * c - im[b] * s;
        const y = re[b] * s + im[b] * c;
        re[b] = re[a] - x;
        im[b] = im[a] - y;
        re[a] += x;
        im[a] += y;
      }
}
const low = (x) => {
  const out = new Float64Array(Math.floor(x.length / 3));
  for (let i = 0; i < out.length; ++i) out[i] = (x[3 * i] + x[3 * i + 1] + x[3 * i + 2]) / 3;
  return out;
};
const energies = (x) => {
  const out = new Float64Array(x.length + 1);
  for (let i = 0; i < x.length; ++i) out[i + 1] = out[i] + x[i] * x[i];
  return out;
};
// Where a piece lies in `whole`: piece[i] ≈ whole[i − lag], at 16 kHz (a third of the rate) refined to samples of 48 kHz.
// strength: normalised correlation, −1 … 1. For many pieces of one recording: what is of the recording is computed once.
export function finder(whole) {
  const w = low(whole);
  const we = energies(w);
  const spectra = new Map();
  const spectrumOf = (n) => {
    if (!spectra.has(n)) {
      const [re, im] = [new Float64Array(n), new Float64Array(n)];
      re.set(w);
      fft(re, im);
      spectra.set(n, [re, im]);
    }
    return spectra.get(n);
  };
  return (piece) => {
    const p = low(piece);
    let n = 1;
    while (n < p.length + w.length) n <<= 1;
    const [br, bi] = spectrumOf(n);
    const [cr, ci] = [new Float64Array(n), new Float64Array(n)];
    cr.set(p);
    fft(cr, ci);
    for (let i = 0; i < n; ++i) {
      // conj(P) · W, and conjugated for the way back
      const [x, y] = [cr[i], ci[i]];
      cr[i] = x * br[i] + y * bi[i];
      ci[i] = -(x * bi[i] - y * br[i]);
    }
    fft(cr, ci);
    const pe = energies(p);
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
  };
}
export const lag = (piece, whole) => finder(whole)(piece);
// The distance at which all pieces agree that a voice lies: `near` is what was sung around where `piece` is expected, `around`
// samples more on either side, and a sum of voices is in the piece. Correlations of whitened spectra (100 Hz … 2 kHz) are added
// up. ms: positive where the voice is later in `near`; clear: how many times the root mean square of the places further
// off than 10 ms; by chance it is about 4. each: of the single pieces.
export function peak(pieces, around) {
  const [down, n] = [3, 32_768];
  const hz = 48_000 / down / n;
  const reach = Math.floor(around / down);
  const total = new Float64Array(2 * reach + 1);
  const spectrum = (x) => {
    const [re, im] = [new Float64Array(n), new Float64Array(n)];
    const m = Math.min(n, Math.floor(x.length / down));
    for (let i = 0; i < m; ++i) re[i] = (x[3 * i] + x[3 * i + 1] + x[3 * i + 2]) / 3;
    fft(re, im);
    const wide = Math.round(60 / hz);
    let run = 0;
    const sums = new Float64Array(n / 2 + 1);
    for (let k = 0; k < n / 2; ++k) sums[k + 1] = run += re[k] * re[k] + im[k] * im[k];
    for (let k = 0; k < n; ++k) {
      const at = k <= n / 2 ? k : n - k;
      const inside = at * hz > 100 && at * hz < 2_000;
      const [from, to] = [Math.max(0, at - wide), Math.min(n / 2, at + wide)];
      const g = inside ? 1 / Math.sqrt((sums[to] - sums[from]) / (to - from) + 1e-9) : 0;
      re[k] *= g;
      im[k] *= g;
    }
    return [re, im];
  };
  const best = (x) => {
    let at = 0;
    for (let i = 0; i < x.length; ++i) if (x[i] > x[at]) at = i;
    const others = x.filter((_, i) => Math.abs(i - at) * down > 480);
    return { ms: ((at - reach) * down) / 48, clear: x[at] / Math.sqrt(others.reduce((sum, v) => sum + v * v, 0) / others.length + 1e-12) };
  };
  const each = [];
  for (const { piece, near } of pieces) {
    const [[pr, pi], [wr, wi]] = [spectrum(piece), spectrum(near)];
    const [cr, ci] = [new Float64Array(n), new Float64Array(n)];
    for (let k = 0; k < n; ++k) {
      cr[k] = pr[k] * wr[k] + pi[k] * wi[k];
      ci[k] = -(pr[k] * wi[k] - pi[k] * wr[k]);
    }
    fft(cr, ci);
    const one = new Float64Array(2 * reach + 1);
    for (let i = 0; i < one.length; ++i) total[i] += one[i] = cr[i] / n;
    each.push(best(one));
  }
  return { ...best(total), each };
}
