// Strings of what a listener's page loads behind its sound: gifts, requests, boards, top-ups, the mixer; and of the first page.
import { addWords } from './i18n.svelte';

export const moreWords = {
  for_name: ['替谁点（没有手机的人）', 'For whom (somebody without a phone)'], search_rooms: ['歌名、歌手、房间，拼音也行', 'Song, singer or room'],
  singing_now: ['正在唱 · {n}', 'Now singing · {n}'], no_account: ['不登录也能听', 'No account needed'], day: ['日', 'Day'], week: ['周', 'Week'], month: ['月', 'Month'],
  next_up: ['下一首', 'Next'], in_minutes: ['约 {n} 分钟', '≈ {n} min'], soon: ['马上', 'soon'], held_place: ['保留位置', 'place kept'], take_back: ['取消', 'Take back'],
  sing_it: ['唱这首', 'Sing it'], skip_it: ['跳过', 'Skip'], undo_skip: ['撤销跳过', 'Undo skip'], earlier_up: ['提前', 'Earlier'], keep_place: ['保留', 'Hold'],
  release_place: ['恢复', 'Release'], bumped: ['已提前', 'moved up'], bump_for: ['提前：{n} 金币 {yuan}', 'Move up: {n} coins {yuan}'],
  bump_unknown: ['还不知道有没有扣币。再按一次就会查询，不会重复扣', 'It is not known yet whether this was paid. Press again to ask; you are not charged twice'],
  bumps_left: ['今晚还可提前 {n} 次', '{n} earlier places left'], bumps_gone: ['提前名额已售完', 'Earlier places are sold out'],
  bump_price: ['提前一首的价格（金币，0 为不卖）', 'Price of an earlier place (coins, 0: none)'], bump_limit: ['每场次数', 'Places a show'], save: ['保存', 'Save'], shine: ['礼物效果', 'Gift effects'], shine_full: ['全部', 'Full'], shine_calm: ['安静', 'Calm'], shine_off: ['关闭', 'Off'],
  shine_still: ['系统要求减少动画，效果不会动', 'Your system asks for less motion: effects stand still'], more_gifts: ['还有 {n} 份', 'and {n} more'], far_gift: ['{name} 在「{room}」送出 {gift}', '{name} sent {gift} in {room}'],
  choose_pack: ['选择金额（沙盒：不会真的付款）', 'Choose an amount (sandbox: no real money)'], paid: ['充值成功，余额 {n} 金币', 'Paid. Your balance is {n} coins'], pay: ['支付', 'Pay'],
  search_song: ['搜索歌名、歌手、拼音', 'Search title, singer, pinyin'], no_found: ['没有找到，换个词试试', 'Nothing found. Try another word'],
  nobody_live: ['还没有人开唱，稍后再来看看', 'Nobody is singing yet. Look again in a while'], empty_queue: ['还没有人点歌，来第一首', 'Nobody has asked for a song yet. Be first'],
  volume: ['音量', 'Volume'], voice_backing: ['伴奏 ⟷ 人声', 'Backing ⟷ voice'], save_data: ['省流量（48 kb/s）', 'Save data (48 kb/s)'], mute: ['静音', 'Mute'],
  unmute: ['取消静音', 'Unmute'], hold_coins: ['按住送出 {n} 金币', 'Hold to send {n} coins'],
  confirm_coins: ['再按一次，送出 {n} 金币', 'Press again to send {n} coins'], checking: ['正在确认这份礼物，请不要重复发送', 'Checking this gift, no need to send again'],
  send_free: ['送出掌声', 'Send, it is free'],
  free_left: ['剩 {n} 个', '{n} left'], short: ['还差 {n} 金币', '{n} coins short'], quantity: ['数量', 'Quantity'],
  send_coins: ['送出 {n} 金币', 'Send {n} coins'], sending: ['正在送出…', 'Sending…'], rose: ['玫瑰', 'Rose'], bouquet: ['舞台', 'Stage'], star: ['星光', 'Star'],
} as const satisfies Record<string, readonly [string, string]>;
addWords(moreWords);
