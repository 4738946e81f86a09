// A statement as CSV: yuan with six digits, exact; times in UTC.
import type { Posting } from '../gen/ovation/v1/ledger_pb';

export function decimal(micros: bigint): string {
  const abs = micros < 0n ? -micros : micros;
  return `${micros < 0n ? '-' : ''}${abs / 1_000_000n}.${(abs % 1_000_000n).toString().padStart(6, '0')}`;
}
const cell = (text: string) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
export const heading = 'seq,time,kind,amount,balance_after,version,key\r\n';
export const line = (p: Posting) => [p.entrySeq, new Date(Number(p.atMs)).toISOString(), p.kind, decimal(p.amountMicros), decimal(p.balanceAfterMicros), p.accountVersion, p.key].map((v) => cell(String(v))).join(',') + '\r\n';

type Page = { postings: Posting[]; nextPageToken: string };
export async function statementCsv(page: (token: string) => Promise<Page>, onread: (lines: number) => void): Promise<string> {
  const lines: string[] = [];
  for (let token = ''; ; ) {
    const got = await page(token);
    lines.push(...got.postings.map(line));
    onread(lines.length);
    token = got.nextPageToken;
    if (!token) return heading + lines.join('');
  }
}
