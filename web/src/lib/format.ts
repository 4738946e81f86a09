// Numbers as people read them. Money is cut, never rounded; minus is −.
export const coins = (n: bigint | number) => Number(n).toLocaleString('en-US');

// Micros as ¥24.52 and the four further digits.
export function money(micros: bigint): { sign: string; main: string; rest: string } {
  const sign = micros < 0n ? '−' : '';
  const abs = micros < 0n ? -micros : micros;
  const whole = abs / 1_000_000n;
  const part = (abs % 1_000_000n).toString().padStart(6, '0');
  return { sign, main: `¥${whole.toLocaleString('en-US')}.${part.slice(0, 2)}`, rest: part.slice(2) };
}
export const yuan = (minor: bigint | number) => `¥${(Number(minor) / 100).toFixed(2).replace(/\.00$/, '')}`;
export const percent = (bp: number) => `${(bp / 100).toLocaleString('en-US', { maximumFractionDigits: 2 })} %`;
export const clock = (ms: bigint | number) => new Date(Number(ms)).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
export const span = (samples: number) => {
  const s = Math.max(0, Math.floor(samples / 48_000));
  return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, '0')}`;
};
const hues = [['#4e9cc9', '#234a7e'], ['#d9a441', '#8a5316'], ['#e0785a', '#7c2f4a'], ['#7f8fd9', '#363f85'], ['#5aa88a', '#1f5a4a'], ['#a77bd0', '#4b2f78'], ['#9a9a5a', '#4d4d22']];
export function face(name: string, id: bigint | number = 0) {
  const [a, b] = hues[Number(BigInt(id) % 7n)]!;
  return { letter: [...name][0]?.toUpperCase() ?? '?', style: `--a:${a};--b:${b}` };
}
// UUID version 7 on the server's clock.
export function uuid7(offsetMs: number): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  let ms = BigInt(Date.now() + Math.round(offsetMs));
  for (let i = 5; i >= 0; --i, ms >>= 8n) bytes[i] = Number(ms & 255n);
  bytes[6] = 0x70 | (bytes[6]! & 15);
  bytes[8] = 0x80 | (bytes[8]! & 63);
  const hex = [...bytes].map((b) => b.toString(16).padStart(2, '0')).join('');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
