// A day and a time as the reader writes them.
import { language } from './i18n.svelte';

export const when = (ms: bigint | number) => new Date(Number(ms)).toLocaleString(language.now === 'zh' ? 'zh-CN' : 'en-GB', { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit' });
