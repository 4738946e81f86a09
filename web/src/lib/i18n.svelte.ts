// Every string of the listeners' pages in both languages: key → [Chinese, English]. {name} is filled in. The desks bring their own
// (words.desk.ts), which a listener does not load.
import type { deskWords } from './words.desk';
import type { moneyWords } from './words.money';
import type { moreWords } from './words.more';
import type { peopleWords } from './words.people';

const words = {
  is_recorded: ['正在录音，发言会一起留下', 'Being recorded, chat included'],
  home: ['首页', 'Home'], studio: ['演播室', 'Studio'], channel: ['频道', 'Channel'], ops: ['运营', 'Operations'], statement: ['账单', 'Statement'], log_in: ['登录', 'Log in'],
  log_out: ['退出', 'Log out'], my_account: ['我的账号', 'My account'], register: ['注册', 'Register'], handle: ['登录名', 'Log-in name'], password: ['密码', 'Password'], display_name: ['昵称', 'Display name'],
  live_now: ['正在直播', 'Live now'], live: ['直播', 'LIVE'], listening: ['{n} 人在听', '{n} listening'],
  enter: ['进入', 'Enter'], coming_in: ['正在进入…', 'Coming in…'],
  reconnecting: ['连接断了，正在重连（第 {n} 次）', 'Connection lost, trying again ({n})'], offline: ['没有网络。礼物没有发出，不会扣币', 'You are offline. Nothing was sent, nothing was charged'],
  singer_back: ['歌手正在回来，最多等 90 秒', 'The singer is coming back, up to 90 s'], show_over: ['演出结束了，谢谢你来听', 'The show is over. Thank you for listening'],
  not_open: ['演出还没有开始', 'The show has not begun'], no_song: ['歌手在和大家聊天', 'The singer is talking with the room'], say: ['说点什么…', 'Say something…'], send: ['发送', 'Send'],
  newer: ['{n} 条新消息', '{n} new'], room_chat: ['聊天', 'Room chat'], empty_chat: ['还没有人说话，来第一句', 'Nobody has spoken yet. Be first'], gift: ['送礼', 'Gift'], all: ['全部', 'All'],
  to: ['送给', 'To'],
  sent: ['送出 {gift}', 'sent {gift}'],
  balance: ['余额', 'Balance'], top_up: ['充值', 'Top up'], coins: ['金币', 'coins'],
  cancel: ['取消', 'Cancel'], close: ['关闭', 'Close'], supporters: ['今日支持者', 'Supporters today'], hidden: ['未公开', 'Hidden'],
  no_supporters: ['还没有人送礼，做第一个', 'No gifts yet. Be the first'], missed: ['刚才', 'earlier'], skipped: ['跳过了 {n} 条消息', '{n} messages were skipped'], name: ['名称', 'Name'],
  gifts: ['礼物', 'Gifts'], queue: ['记账队列', 'Posting queue'], price: ['支付', 'Paid'], vat: ['增值税', 'VAT'], singer: ['歌手', 'Singer'], agent: ['经纪', 'Agent'],
  rights: ['版权', 'Rights'], platform: ['平台', 'Platform'], try_again: ['再试', 'Try again'], need_log_in: ['登录后可以聊天和送礼', 'Log in to chat and to give'],
  language: ['English', '中文'], skip: ['跳到内容', 'Skip to content'], back: ['返回', 'Back'], seat_away: ['掉线了，位置保留', 'connection lost, seat kept'],
  invited_you: ['{n} 邀请你上台合唱', '{n} invites you to sing along'], sing_along: ['上台合唱', 'Sing along'], recordings: ['我的录音', 'My recordings'],
  queue_title: ['点歌', 'Requests'], ask_song: ['点一首歌', 'Ask for a song'],
  tap: ['点一下，开始听', 'Tap to listen'], sound_connecting: ['声音连接中…', 'Sound is connecting…'],
  sound_live: ['声音延迟 {n} 秒', 'Sound {n} s behind'], sound_waits: ['声音缓冲中…', 'Sound is catching up'],
  sound_none: ['这个浏览器放不出声音，歌词照常', 'This browser cannot play the sound; the lyrics run'], sound_muted: ['已静音', 'Muted'], sound: ['声音', 'Sound'],
  bleed: ['麦克风听到了伴奏，请戴耳机', 'The microphone hears the backing. Use headphones'], backing: ['伴奏', 'Backing'], key: ['调', 'Key'], restart: ['从头开始', 'From the start'],
  total_points: ['{n} 分', '{n} points'], offline_page: ['现在连不上服务器，请检查网络再试', 'The server cannot be reached. Check your network and try again'], all_supporters: ['支持者榜', 'All supporters'], you: ['你', 'You'], score: ['得分', 'Score'], line_perfect: ['很稳', 'Steady'], line_good: ['接近', 'Close'], line_off: ['有点飘', 'Wandering'],
} as const satisfies Record<string, readonly [string, string]>;

export type Key = keyof typeof words | keyof typeof deskWords | keyof typeof moneyWords | keyof typeof moreWords | keyof typeof peopleWords;
const known: Partial<Record<Key, readonly [string, string]>> = { ...words };
export const addWords = (more: Record<string, readonly [string, string]>) => Object.assign(known, more);
const stored = localStorage.getItem('language');
export const language = $state({ now: stored === 'en' || (stored === null && !navigator.language.startsWith('zh')) ? 'en' : 'zh' });
document.documentElement.lang = language.now;

export function toggleLanguage() {
  language.now = language.now === 'zh' ? 'en' : 'zh';
  localStorage.setItem('language', language.now);
  document.documentElement.lang = language.now;
}
export function t(key: Key, values: Record<string, string | number> = {}): string {
  let text: string = known[key]?.[language.now === 'zh' ? 0 : 1] ?? key;
  for (const [name, value] of Object.entries(values)) text = text.replace(`{${name}}`, String(value));
  return text;
}
