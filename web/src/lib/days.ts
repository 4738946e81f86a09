// A contract's days. Its end is the first day without it; people say the last day with it.
import './words.desk';
import { t } from './i18n.svelte';

const dayMs = 86_400_000;
export const date = (ms: number) => new Date(ms).toISOString().slice(0, 10);
export const lastDay = (toDate: string) => date(Date.parse(toDate) - dayMs);
export const days = (c: { fromDate: string; toDate: string }) => (c.toDate ? t('from_to', { a: c.fromDate, b: lastDay(c.toDate) }) : t('from_on', { a: c.fromDate }));
