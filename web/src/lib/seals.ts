// The seals of the books, checked here and not by the server: a checkpoint's signature, that it goes on from the one that this
// browser saw before, that an entry is among those it signs. Formats: c2sp.org/signed-note, tlog-checkpoint, tlog-tiles,
// tlog-proof (docs/formats.md); proofs: RFC 9162 sections 2.1.3.2 and 2.1.4.2.
type Bytes = Uint8Array<ArrayBuffer>;
export type Checkpoint = { origin: string; size: number; root: Bytes };
// What an entry says: its key, and each posting as "party amount", in order of these words.
export type Figures = { seq: bigint; kind: string; key: string; postings: string[] };
export class NotProven extends Error {}

const utf8 = new TextEncoder();
function bytesOf(base64: string): Bytes {
  try {
    return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  } catch {
    throw new NotProven();
  }
}
function hashOf(base64: string): Bytes {
  const out = bytesOf(base64);
  if (out.length !== 32) throw new NotProven();
  return out;
}
const same = (a: Bytes, b: Bytes) => a.length === b.length && a.every((x, i) => x === b[i]);
const sha256 = async (...parts: Bytes[]): Promise<Bytes> => new Uint8Array(await crypto.subtle.digest('SHA-256', await new Blob(parts).arrayBuffer()));
const leafHash = (leaf: Bytes) => sha256(Uint8Array.of(0), leaf);
const nodeHash = (left: Bytes, right: Bytes) => sha256(Uint8Array.of(1), left, right);

// A note's checkpoint, when the signature by `verifier` ("<name>+<id>+<base64 of 0x01 and the key>") holds.
export async function openCheckpoint(note: string, verifier: string): Promise<Checkpoint> {
  if (!('subtle' in crypto)) throw new DOMException('no https', 'NotSupportedError');
  const [, name, key64] = /^([^+\s]+)\+[0-9a-f]{8}\+(\S+)$/.exec(verifier.trim()) ?? [];
  const end = note.indexOf('\n\n');
  const body = note.slice(0, end + 1);
  const line = note.slice(end + 2).split('\n').find((l) => l.startsWith(`\u2014 ${name} `));
  if (end < 0 || !name || !line) throw new NotProven();
  const key = await crypto.subtle.importKey('raw', bytesOf(key64!).slice(1), 'Ed25519', false, ['verify']);
  if (!(await crypto.subtle.verify('Ed25519', key, bytesOf(line.slice(name.length + 3)).slice(4), utf8.encode(body)))) throw new NotProven();
  const [origin, size = '', root = ''] = body.split('\n');
  if (!/^(0|[1-9]\d{0,15})$/.test(size)) throw new NotProven();
  return { origin: origin!, size: Number(size), root: hashOf(root) };
}

// Hashes of a log of `size` leaves, from its tiles at /seals/. Nothing that comes is believed: proofs are checked against roots.
const tileHashes = 256;
class Tiles {
  private read = new Map<string, Promise<Bytes>>();
  constructor(readonly size: number) {}
  private tile(level: number, n: number): Promise<Bytes> {
    const there = Math.floor(this.size / tileHashes ** level) - n * tileHashes;
    const groups = [String(n % 1000).padStart(3, '0')];
    for (let rest = Math.floor(n / 1000); rest > 0; rest = Math.floor(rest / 1000)) groups.unshift(`x${String(rest % 1000).padStart(3, '0')}`);
    const path = `/seals/tile/${level}/${groups.join('/')}${there >= tileHashes ? '' : `.p/${there}`}`;
    let got = this.read.get(path);
    if (!got) this.read.set(path, (got = fetch(path).then(async (r) => {
      if (!r.ok && r.status !== 404) throw new Error(`${path}: ${r.status}`);
      const bytes = new Uint8Array(r.ok ? await r.arrayBuffer() : new ArrayBuffer(0));
      if (bytes.length < 32 * Math.min(there, tileHashes)) throw new NotProven('changed'); // a log gives all of what it signed
      return bytes;
    })));
    return got;
  }
  // Root over the leaves [from, to).
  async subtree(from: number, to: number): Promise<Bytes> {
    const n = to - from;
    const low = largestPower(n);
    if (low !== n) return nodeHash(await this.subtree(from, from + low), await this.subtree(from + low, to));
    const level = Math.floor(Math.log2(n) / 8);
    const unit = tileHashes ** level;
    const [first, count] = [from / unit, n / unit];
    const tile = await this.tile(level, Math.floor(first / tileHashes));
    const at = first % tileHashes;
    let row = Array.from({ length: count }, (_, i) => tile.slice((at + i) * 32, (at + i + 1) * 32));
    while (row.length > 1) row = await Promise.all(Array.from({ length: row.length / 2 }, (_, i) => nodeHash(row[2 * i]!, row[2 * i + 1]!)));
    return row[0]!;
  }
  // RFC 6962 section 2.1.2.
  async goesOn(old: number, from = 0, to = this.size, whole = true): Promise<Bytes[]> {
    if (old === to - from) return whole ? [] : [await this.subtree(from, to)];
    const k = splitOf(to - from);
    return old <= k ? [...(await this.goesOn(old, from, from + k, whole)), await this.subtree(from + k, to)] : [...(await this.goesOn(old - k, from + k, to, false)), await this.subtree(from, from + k)];
  }
}
const largestPower = (n: number) => 2 ** Math.floor(Math.log2(n));
const splitOf = (n: number) => (largestPower(n) === n ? n / 2 : largestPower(n)); // the largest power of two below n

export async function provesConsistency(path: Bytes[], old: Checkpoint, now: Checkpoint): Promise<boolean> {
  if (old.size > now.size) return false;
  if (old.size === now.size) return same(old.root, now.root);
  if (old.size === 0) return true;
  const all = largestPower(old.size) === old.size ? [old.root, ...path] : path;
  let [fn, sn] = [BigInt(old.size) - 1n, BigInt(now.size) - 1n];
  while (fn & 1n) [fn, sn] = [fn >> 1n, sn >> 1n];
  if (!all.length) return false;
  let [fr, sr] = [all[0]!, all[0]!];
  for (const c of all.slice(1)) {
    if (sn === 0n) return false;
    if (fn & 1n || fn === sn) {
      [fr, sr] = [await nodeHash(c, fr), await nodeHash(c, sr)];
      while (!(fn & 1n) && fn !== 0n) [fn, sn] = [fn >> 1n, sn >> 1n];
    } else sr = await nodeHash(sr, c);
    [fn, sn] = [fn >> 1n, sn >> 1n];
  }
  return sn === 0n && same(fr, old.root) && same(sr, now.root);
}
export async function provesInclusion(path: Bytes[], leaf: Bytes, index: number, at: Checkpoint): Promise<boolean> {
  if (index >= at.size) return false;
  let [fn, sn] = [BigInt(index), BigInt(at.size) - 1n];
  let r = await leafHash(leaf);
  for (const p of path) {
    if (sn === 0n) return false;
    if (fn & 1n || fn === sn) {
      r = await nodeHash(p, r);
      while (!(fn & 1n) && fn !== 0n) [fn, sn] = [fn >> 1n, sn >> 1n];
    } else r = await nodeHash(r, p);
    [fn, sn] = [fn >> 1n, sn >> 1n];
  }
  return sn === 0n && same(r, at.root);
}

// What a leaf says (docs/formats.md, "The tree of entries").
const giftParties = ['vat', 'rights', 'singer', 'agent', 'venue', 'platform', 'promo'];
export const postingsOf = (legs: readonly (readonly [party: string, amount: bigint])[]) => legs.map(([party, amount]) => `${party} ${amount}`).sort();
function figuresOf(leaf: Bytes): Figures {
  const view = new DataView(leaf.buffer, leaf.byteOffset, leaf.length);
  let at = 18; // version, letter, salt
  const number = () => view.getBigInt64((at += 8) - 8);
  const bytes = (n: number) => {
    if (at + n > leaf.length) throw new NotProven();
    return leaf.subarray((at += n) - n, at);
  };
  const length = () => view.getUint32((at += 4) - 4);
  const text = () => new TextDecoder().decode(bytes(length()));
  const seq = number();
  if (leaf[1] === 0x67) {
    const key = [...bytes(16)].map((x) => x.toString(16).padStart(2, '0')).join('').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
    at += 8 * 6; // at, payer, route, item, room, performance
    const [price, bonus, giftOnly] = [number(), number(), number()];
    const legs = [['wallet', bonus + giftOnly - price], ['gift_only', -giftOnly], ['bonus', -bonus], ...giftParties.map((party) => [party, number()] as const)] as const;
    return { seq, kind: 'gift', key, postings: postingsOf(legs.filter(([, amount]) => amount !== 0n)) };
  }
  at += 8;
  const [kind, key] = [text(), text()];
  text(); // reference
  text(); // detail
  const legs = Array.from({ length: Math.min(length(), leaf.length) }, () => [text().split(':')[0]!, number()] as const);
  return { seq, kind, key, postings: postingsOf(legs) };
}
// What a proof of an entry says, when it holds, and the checkpoint by which it does.
export async function openProof(text: string, verifier: string): Promise<{ at: Checkpoint; note: string; figures: Figures }> {
  const end = text.indexOf('\n\n');
  const [, extra, index, ...path] = text.slice(0, end).split('\n');
  const note = text.slice(end + 2);
  const at = await openCheckpoint(note, verifier);
  const leaf = bytesOf(extra!.slice('extra '.length));
  const place = Number(index!.slice('index '.length));
  let figures: Figures;
  try {
    figures = figuresOf(leaf);
  } catch {
    throw new NotProven(); // shorter than what it should hold
  }
  if (figures.seq !== BigInt(place) + 1n || !(await provesInclusion(path.map(hashOf), leaf, place, at))) throw new NotProven();
  return { at, note, figures };
}

// What this browser saw: the newest checkpoint, by whose key, and when the first one came.
export type Seen = { verifier: string; note: string; since: number };
const keptUnder = 'seals';
const seen = () => JSON.parse(localStorage.getItem(keptUnder) ?? 'null') as Seen | null;
// The newest checkpoint and its key as this server serves them; null: it keeps no seals.
async function newest(): Promise<{ note: string; verifier: string } | null> {
  const [note, verifier] = await Promise.all(['checkpoint', 'verifier'].map(async (name) => {
    const r = await fetch(`/seals/${name}`, { cache: 'no-store' });
    if (!r.ok && r.status !== 404) throw new Error(`/seals/${name}: ${r.status}`);
    return r.ok ? (await r.text()).trimEnd() + '\n' : '';
  }));
  return note && verifier ? { note, verifier: verifier.trim() } : null;
}
// Of two checkpoints the larger one goes on from the smaller one.
async function agree(a: Checkpoint, b: Checkpoint) {
  const [old, now] = a.size <= b.size ? [a, b] : [b, a];
  const path = old.size > 0 && old.size < now.size ? await new Tiles(now.size).goesOn(old.size) : [];
  if (old.origin !== now.origin || !(await provesConsistency(path, old, now))) throw new NotProven('changed');
}
// Looks at the newest checkpoint, and at another `note` that was given to this browser: all that it sees are of one log. What it
// has seen is kept only when that holds. One tab at a time. Null: there are no seals.
export function watch(given = ''): Promise<{ now: Checkpoint; before: Checkpoint | null; since: number } | null> {
  const look = async () => {
    const fresh = await newest();
    if (!fresh) return null;
    const old = seen();
    if (old && old.verifier !== fresh.verifier) throw new NotProven('key');
    const now = await openCheckpoint(fresh.note, fresh.verifier);
    const before = old && (await openCheckpoint(old.note, old.verifier));
    if (before && before.size > now.size) throw new NotProven('shorter');
    if (before) await agree(before, now);
    if (given) await agree(await openCheckpoint(given, fresh.verifier), now);
    const since = old?.since ?? Date.now();
    localStorage.setItem(keptUnder, JSON.stringify({ ...fresh, since } satisfies Seen));
    return { now, before, since };
  };
  return navigator.locks ? navigator.locks.request('seals', look) : look();
}
export const keptVerifier = () => seen()?.verifier ?? '';
