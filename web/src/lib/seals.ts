// The seals of the books, checked here and not by the server: a checkpoint's signature, that it goes on from the one that this
// browser saw before, that an entry is among those it signs. Formats: c2sp.org/signed-note, tlog-checkpoint, tlog-tiles,
// tlog-proof (docs/formats.md); proofs: RFC 9162 sections 2.1.3.2 and 2.1.4.2.
type Bytes = Uint8Array<ArrayBuffer>;
export type Checkpoint = { origin: string; size: number; root: Bytes };
export type Figures = { seq: bigint; price?: bigint; amounts: bigint[] };
export class NotProven extends Error {}

const utf8 = new TextEncoder();
function bytesOf(base64: string): Bytes {
  try {
    return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  } catch {
    throw new NotProven();
  }
}
const same = (a: Bytes, b: Bytes) => a.length === b.length && a.every((x, i) => x === b[i]);
const sha256 = async (...parts: Bytes[]): Promise<Bytes> => new Uint8Array(await crypto.subtle.digest('SHA-256', await new Blob(parts).arrayBuffer()));
const leafHash = (leaf: Bytes) => sha256(Uint8Array.of(0), leaf);
const nodeHash = (left: Bytes, right: Bytes) => sha256(Uint8Array.of(1), left, right);

// A note's checkpoint, when the signature by `verifier` ("<name>+<id>+<base64 of 0x01 and the key>") holds.
export async function openCheckpoint(note: string, verifier: string): Promise<Checkpoint> {
  const [, name, key64] = /^([^+\s]+)\+[0-9a-f]{8}\+(\S+)$/.exec(verifier.trim()) ?? [];
  const end = note.indexOf('\n\n');
  const body = note.slice(0, end + 1);
  const line = note.slice(end + 2).split('\n').find((l) => l.startsWith(`\u2014 ${name} `));
  if (end < 0 || !name || !line) throw new NotProven();
  const key = await crypto.subtle.importKey('raw', bytesOf(key64!).slice(1), 'Ed25519', false, ['verify']);
  if (!(await crypto.subtle.verify('Ed25519', key, bytesOf(line.slice(name.length + 3)).slice(4), utf8.encode(body)))) throw new NotProven();
  const [origin, size, root] = body.split('\n');
  return { origin: origin!, size: Number(size), root: bytesOf(root!) };
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
    if (!got) this.read.set(path, (got = fetch(path).then(async (r) => (r.ok ? new Uint8Array(await r.arrayBuffer()) : Promise.reject(new Error(`${path}: ${r.status}`))))));
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

// What a leaf says (docs/formats.md, "The tree of entries"): a gift's price and what each party got, or an entry's amounts.
function figuresOf(leaf: Bytes): Figures {
  const view = new DataView(leaf.buffer, leaf.byteOffset, leaf.length);
  let at = 18; // version, letter, salt
  const number = () => view.getBigInt64((at += 8) - 8);
  const length = () => view.getUint32((at += 4) - 4);
  const skip = () => {
    const text = length();
    at += text;
  };
  const seq = number();
  if (leaf[1] === 0x67) {
    at += 16 + 8 * 6; // key; at, payer, route, item, room, performance
    const price = number();
    at += 16; // bonus, gift-only
    return { seq, price, amounts: Array.from({ length: 7 }, number) };
  }
  at += 8;
  for (let i = 0; i < 4; ++i) skip(); // kind, key, reference, detail
  const amounts = Array.from({ length: length() }, () => {
    skip(); // the account's name
    return number();
  });
  return { seq, amounts };
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
  if (figures.seq !== BigInt(place) + 1n || !(await provesInclusion(path.map(bytesOf), leaf, place, at))) throw new NotProven();
  return { at, note, figures };
}

// What this browser saw: the newest checkpoint, by whose key, and when the first one came. It is kept only when it goes on from
// the one before it.
export type Seen = { verifier: string; note: string; since: number };
const keptUnder = 'seals';
export const seen = () => JSON.parse(localStorage.getItem(keptUnder) ?? 'null') as Seen | null;
export async function keep(note: string, verifier: string): Promise<{ now: Checkpoint; before: Checkpoint | null; since: number }> {
  const old = seen();
  if (old && old.verifier !== verifier) throw new NotProven('key');
  const now = await openCheckpoint(note, verifier);
  const before = old && (await openCheckpoint(old.note, verifier));
  if (before && before.size > now.size) throw new NotProven('shorter');
  const path = before && before.size > 0 && before.size < now.size ? await new Tiles(now.size).goesOn(before.size) : [];
  if (before && !(await provesConsistency(path, before, now))) throw new NotProven('changed');
  const since = old?.since ?? Date.now();
  localStorage.setItem(keptUnder, JSON.stringify({ verifier, note, since } satisfies Seen));
  return { now, before, since };
}
// The newest checkpoint and its key as this server serves them; null: it keeps no seals.
export async function newest(): Promise<{ note: string; verifier: string } | null> {
  const [note, verifier] = await Promise.all(['checkpoint', 'verifier'].map((name) => fetch(`/seals/${name}`, { cache: 'no-store' })));
  if (note!.status === 404 || verifier!.status === 404) return null;
  if (!note!.ok || !verifier!.ok) throw new Error(`/seals/: ${note!.status}`);
  return { note: await note!.text(), verifier: (await verifier!.text()).trim() };
}
