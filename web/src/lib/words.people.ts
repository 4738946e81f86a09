// Strings about people: what one does about somebody else, and one's own account. Loaded with the first such dialog.
import { addWords } from './i18n.svelte';

export const peopleWords = {
  report: ['举报', 'Report'], report_what: ['发生了什么？', 'What happened?'], report_hint: ['最多 500 字，由运营处理', 'At most 500 characters; operations will read it'],
  report_send: ['提交举报', 'Send the report'], report_sent: ['收到了，谢谢。运营会处理', 'Thank you. Operations will look at it'], keep_room: ['房间管理', 'Keep the room kind'],
  reason: ['原因', 'Reason'], reason_hint: ['请先写原因，最多 200 字', 'Say why first, in at most 200 characters'],
  reason_house: ['请先写原因（3 到 200 字），会留在操作记录里', 'Say why first, in 3 to 200 characters; it is kept in the audit trail'],
  mute_10: ['禁言 10 分钟', 'Mute for 10 min'], mute_60: ['禁言 1 小时', 'Mute for 1 h'], let_speak: ['解除禁言', 'Let speak again'], put_out: ['请出房间 1 小时', 'Put out for 1 h'],
  is_muted: ['{n} 被禁言 {m} 分钟', '{n} is muted for {m} min'], may_speak: ['{n} 可以说话了', '{n} may speak again'], is_out: ['{n} 已被请出房间', '{n} has been put out'],
  saved: ['已保存', 'Saved'], public_me: ['在榜单上公开我', 'Show me on boards'], sessions: ['登录的地方', 'Where you are logged in'], this_one: ['这一个', 'this one'],
  last_used: ['最近使用 {t}', 'last used {t}'], end_session: ['退出：{n}', 'Log out: {n}'], daily_limit: ['每日消费上限（金币）', 'Daily spend limit (coins)'],
  spent_today: ['今天用了 {n} 金币，上限 {m}', '{n} of {m} coins spent today'], limit_hint: ['调低马上生效，调高 24 小时后生效', 'A lower limit acts at once, a higher one 24 hours later'],
  limit_waits: ['{t} 起上限为 {n} 金币', 'From {t} the limit is {n} coins'],
} as const satisfies Record<string, readonly [string, string]>;
addWords(peopleWords);
