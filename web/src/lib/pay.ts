// Money out and money back: RPC clients of their own, as a listener who buys coins does not load them; fen, deadlines.
import { createClient } from '@connectrpc/connect';
import { CaseService } from '../gen/ovation/v1/case_pb';
import { PaymentService } from '../gen/ovation/v1/payment_pb';
import { PayoutService } from '../gen/ovation/v1/payout_pb';
import { transport } from './api.svelte';
import { t, type Key } from './i18n.svelte';

export { isLost, once } from './once';

export const payoutApi = createClient(PayoutService, transport);
export const caseApi = createClient(CaseService, transport);
export const refundApi = createClient(PaymentService, transport);

// ¥1,234.56, exact.
export function fen(minor: bigint): string {
  const abs = minor < 0n ? -minor : minor;
  return `${minor < 0n ? '−' : ''}¥${(abs / 100n).toLocaleString('en-US')}.${(abs % 100n).toString().padStart(2, '0')}`;
}
// What somebody typed as yuan, in fen; null: it is no amount.
export function fenOf(text: string): bigint | null {
  const m = /^(\d{1,12})(?:\.(\d{1,2}))?$/.exec(text.replaceAll(',', '').trim());
  return m ? BigInt(m[1]!) * 100n + BigInt((m[2] ?? '').padEnd(2, '0')) : null;
}
export const enough = (text: string, least = 3) => [...text.trim()].length >= least;

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
// How far a deadline is, in words.
export function due(deadlineMs: bigint, now = Date.now()): string {
  const ms = Number(deadlineMs) - now;
  const days = ms < 0 ? Math.floor(-ms / dayMs) : Math.floor(ms / dayMs);
  const hours = ms < 0 ? Math.floor(-ms / hourMs) : Math.floor(ms / hourMs);
  if (ms < 0) return days >= 2 ? t('late_d', { n: days }) : t('late_h', { n: hours });
  return days >= 2 ? t('due_d', { n: days }) : hours >= 1 ? t('due_h', { n: hours }) : t('due_m', { n: Math.floor(ms / 60_000) });
}
const known: Record<string, Key> = { demand: 'by_demand', monthly: 'by_month', payee_changed: 'why_payee_changed', held_long_enough: 'why_held_long_enough', 'cancelled by request': 'why_cancelled', 'asked for by the payer': 'why_payer' };
// What the server itself gives as a reason, in words; people's reasons as they wrote them.
export const because = (reason: string) => (known[reason] ? t(known[reason]) : reason);
// Hands a file to the browser.
export function save(name: string, type: string, text: string) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const a = Object.assign(document.createElement('a'), { href: url, download: name });
  a.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
