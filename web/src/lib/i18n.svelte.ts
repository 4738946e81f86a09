// Every string in both languages: key → [Chinese, English]. {name} is filled in.
const words = {
  home: ['首页', 'Home'], studio: ['演播室', 'Studio'], channel: ['频道', 'Channel'], ops: ['运营', 'Operations'], statement: ['账单', 'Statement'],
  log_in: ['登录', 'Log in'], log_out: ['退出', 'Log out'], register: ['注册', 'Register'], handle: ['登录名', 'Log-in name'], password: ['密码', 'Password'], display_name: ['昵称', 'Display name'],
  live_now: ['正在直播', 'Live now'], live: ['直播', 'LIVE'], listening: ['{n} 人在听', '{n} listening'], nobody_live: ['还没有人开唱，稍后再来看看', 'Nobody is singing yet. Look again in a while'], enter: ['进入', 'Enter'],
  coming_in: ['正在进入…', 'Coming in…'], reconnecting: ['连接断了，正在重连（第 {n} 次）', 'Connection lost, trying again ({n})'], offline: ['没有网络。礼物没有发出，不会扣币', 'You are offline. Nothing was sent, nothing was charged'],
  singer_back: ['歌手正在回来，最多等 90 秒', 'The singer is coming back, up to 90 s'], show_over: ['演出结束了，谢谢你来听', 'The show is over. Thank you for listening'], not_open: ['演出还没有开始', 'The show has not begun'],
  no_song: ['歌手在和大家聊天', 'The singer is talking with the room'], say: ['说点什么…', 'Say something…'], send: ['发送', 'Send'], room_chat: ['聊天', 'Room chat'], empty_chat: ['还没有人说话，来第一句', 'Nobody has spoken yet. Be first'],
  gift: ['送礼', 'Gift'], all: ['全部', 'All'], rose: ['玫瑰', 'Rose'], bouquet: ['舞台', 'Stage'], star: ['星光', 'Star'], to: ['送给', 'To'], send_coins: ['送出 {n} 金币', 'Send {n} coins'], hold_coins: ['按住送出 {n} 金币', 'Hold to send {n} coins'], confirm_coins: ['再按一次，送出 {n} 金币', 'Press again to send {n} coins'],
  sending: ['正在送出…', 'Sending…'], checking: ['正在确认这份礼物，请不要重复发送', 'Checking this gift, no need to send again'], sent: ['送出 {gift}', 'sent {gift}'], quantity: ['数量', 'Quantity'], balance: ['余额', 'Balance'], top_up: ['充值', 'Top up'], coins: ['金币', 'coins'],
  short: ['还差 {n} 金币', '{n} coins short'], choose_pack: ['选择金额（沙盒：不会真的付款）', 'Choose an amount (sandbox: no real money)'], paid: ['充值成功，余额 {n} 金币', 'Paid. Your balance is {n} coins'], pay: ['支付', 'Pay'], cancel: ['取消', 'Cancel'], close: ['关闭', 'Close'],
  supporters: ['今日支持者', 'Supporters today'], hidden: ['未公开', 'Hidden'], you: ['我', 'You'], no_supporters: ['还没有人送礼，做第一个', 'No gifts yet. Be the first'], missed: ['刚才', 'earlier'], skipped: ['跳过了 {n} 条消息', '{n} messages were skipped'],
  open_show: ['开始演出', 'Open the show'], end_show: ['结束演出…', 'End the show…'], sure_end: ['确定结束吗？正在听的有 {n} 人', 'End it now? {n} are listening'], yes_end: ['结束', 'End it'], pick_song: ['选一首歌', 'Pick a song'], play: ['开始', 'Play'], pause: ['暂停', 'Pause'], stop: ['停止', 'Stop'], my_room: ['我的房间', 'My room'],
  no_room: ['还没有房间。请经纪人为你开一间', 'You have no room yet. Ask your agent to open one'], came_in: ['本场收入', 'What came in'], nothing_yet: ['还没有收入', 'Nothing yet'], contracts: ['合同', 'Contracts'], offered: ['待接受', 'Offered'], accepted: ['已接受', 'Accepted'], declined: ['已拒绝', 'Declined'], ended: ['已结束', 'Ended'],
  accept: ['接受', 'Accept'], decline: ['拒绝', 'Decline'], share_with: ['签约后你得 {n}', 'With it you keep {n}'], share_without: ['不签约你得 {n}', 'Without it {n}'], rate: ['经纪分成 {n}', 'Agent’s rate {n}'], from_date: ['开始日期', 'From'], to_date: ['结束日期（可空）', 'To (may be empty)'],
  singers: ['歌手', 'Singers'], revenue: ['频道收入', 'Revenue'], offer: ['发出合同', 'Offer a contract'], singer_handle: ['歌手登录名', 'Singer’s log-in name'], rate_bp: ['分成（基点，1000 = 10 %）', 'Rate (basis points, 1000 = 10 %)'], new_channel: ['新建频道', 'New channel'], new_room: ['新建房间', 'New room'], name: ['名称', 'Name'], create: ['创建', 'Create'], gifts: ['礼物', 'Gifts'], agent_share: ['经纪所得', 'Agent’s share'], singer_share: ['歌手所得', 'Singer’s share'], rooms: ['房间', 'Rooms'],
  live_rooms: ['直播间', 'Live rooms'], listeners: ['听众', 'Listeners'], gifts_today: ['今日礼物', 'Gifts today'], coins_today: ['今日金币', 'Coins today'], top_ups_today: ['今日充值', 'Top-ups today'], queue: ['记账队列', 'Posting queue'], boards: ['榜单', 'Boards'], ledger: ['账本', 'Ledger'], day: ['日', 'Day'], week: ['周', 'Week'], month: ['月', 'Month'], senders: ['支持者', 'Supporters'], behind: ['榜单落后账本 {n} 条', 'Boards are {n} entries behind the books'], where_coins: ['金币在哪里', 'Where the coins are'], paused: ['已暂停', 'Paused'], resume: ['继续', 'Resume'], as_of: ['{t} 更新', 'as of {t}'], audit: ['操作记录', 'Audit trail'],
  check_total: ['所有账户之和为零', 'All accounts together are zero'], check_coins: ['钱包都是整数金币', 'Wallets hold whole coins'], check_floors: ['没有账户低于零', 'No account is below zero'], check_head: ['账本连续', 'The books are complete'],
  wallet: ['钱包', 'Wallet'], earnings: ['收入', 'Earnings'], why: ['为什么是这个数', 'Why this figure'], price: ['支付', 'Paid'], vat: ['增值税', 'VAT'], base: ['分成基数', 'Base'], singer: ['歌手', 'Singer'], agent: ['经纪', 'Agent'], rights: ['版权', 'Rights'], platform: ['平台', 'Platform'], party_wallet: ['钱包', 'Wallet'], promo: ['赠送', 'Promo'], bonus: ['赠币', 'Bonus'], venue: ['场地', 'Venue'], cash: ['收款', 'Cash'], gift_only: ['礼物币', 'Gift-only'], sum_zero: ['各笔合计', 'Sum of all legs'], rule_from: ['规则：{preset}，来自{source}', 'Rule: {preset}, from {source}'], entry: ['第 {n} 笔', 'Entry {n}'], balance_after: ['之后余额', 'Balance after'], more: ['更多', 'More'], empty_statement: ['还没有任何账目', 'No entries yet'], kind_gift: ['礼物', 'Gift'], kind_topup: ['充值', 'Top-up'], src_preset: ['预设', 'the preset'], src_contract: ['合同', 'the contract'], src_channel: ['频道', 'the channel'], src_event: ['活动', 'the event'],
  try_again: ['再试', 'Try again'], not_allowed: ['请先登录有权限的账号', 'Log in with an account that may see this'], need_log_in: ['登录后可以聊天和送礼', 'Log in to chat and to give'], language: ['English', '中文'], skip: ['跳到内容', 'Skip to content'], back: ['返回', 'Back'], sound_later: ['歌词与歌手同步', 'Lyrics follow the singer'], public_me: ['在榜单上公开我', 'Show me on boards'], shares: ['分成', 'Shares'], report: ['举报', 'Report'],
} as const satisfies Record<string, readonly [string, string]>;

export type Key = keyof typeof words;
const stored = localStorage.getItem('language');
export const language = $state({ now: stored === 'en' || (stored === null && !navigator.language.startsWith('zh')) ? 'en' : 'zh' });
document.documentElement.lang = language.now;

export function toggleLanguage() {
  language.now = language.now === 'zh' ? 'en' : 'zh';
  localStorage.setItem('language', language.now);
  document.documentElement.lang = language.now;
}
export function t(key: Key, values: Record<string, string | number> = {}): string {
  let text: string = words[key][language.now === 'zh' ? 0 : 1];
  for (const [name, value] of Object.entries(values)) text = text.replace(`{${name}}`, String(value));
  return text;
}
