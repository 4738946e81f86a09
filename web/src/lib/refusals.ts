// What each refusal of the server says, by its reason: [Chinese, English]; null: the server's own sentence is the English one.
// docs/wire.md lists the reasons; the tests hold this table to it. Loaded behind the page.
const later = '请稍后再试';
const free = '没有扣币';
export const refusals: Record<string, readonly [string, string | null]> = {
  invalid_argument: ['填写的内容不对，请检查', null], not_found: ['找不到了，可能已经不在', null],
  log_in_first: ['请先登录', null], role_missing: ['你的账号没有这个权限', null], permission_denied: ['这不是你的，或者不存在', null],
  wrong_log_in: ['登录名或密码不对', null], token_invalid: ['登录已过期，请重新登录', null], session_ended: ['登录已结束，请重新登录', null], banned: ['这个账号已被封禁', null], demo_account: ['这是演示账号，请注册自己的账号', null], refresh_invalid: ['登录已过期，请重新登录', null],
  insufficient_coins: [`金币不够，${free}；充值后再送`, null], spend_limit: [`会超过今天的上限，${free}；上限可以从明天起调高`, null], account_frozen: [`钱包已冻结，${free}；请联系客服`, null],
  price_changed: [`价格变了，${free}；看一下新价格再来`, null], room_closed: [`演出没有在进行，${free}`, null], wrong_singer: [`这位歌手已经不在台上，${free}`, null], key_reused: [`这次请求和之前的不一样，${free}；请重新操作`, null],
  key_expired: [`请求放得太久或者设备的时间不对，${free}；请重新操作`, null], unknown_outcome: ['还不知道有没有付成，正在确认，请不要重复', null],
  handle_taken: ['这个登录名已经有人用了', null], name_taken: ['这个名字已经有人用了', null], already_decided: ['这份合同已经处理过了', null], contract_overlaps: ['这位歌手在这段日子里已经有合同', null], rate_out_of_bounds: ['分成超出了范围', null],
  is_staff: ['这是房间自己的歌手或经纪', null], not_yourself: ['不能对自己这样做', null],
  no_seals: ['这台服务器没有封存账本', null], not_sealed_yet: ['这一笔会在下一次封存里，请稍后再试', null], tells_of_others: ['案件的账目涉及他人，由财务出具证明', null], not_sealed: ['这一笔和封存的账本不一致，请联系我们', null],
  no_wallet: ['这个账号还没有钱包，请重新登录', null], no_sandbox: ['沙盒只在演示服务器上有', null], amount_differs: ['金额或币种和订单不一致', null], bad_signature: ['签名不对', null], stale_notification: ['通知的时间相差太多', null],
  database_busy: [`系统忙，${later}`, null], database_lost: [`系统忙，${later}`, null], ledger_unavailable: [`现在不能付款，${free}，${later}`, null], not_the_writer: [`正在切换，${free}，${later}`, null],
  shutting_down: [`服务器正在重启，${free}，${later}`, null], gone: ['连接断了', null], deadline_exceeded: [`时间到了还没有付成，${free}`, null], internal: [`出错了，${later}`, null],
  media_too_fast: ['声音发得太快', null], too_many_gifts: [`送得太快，${free}，${later}`, null], too_many_top_ups: [`短时间里订单太多，${later}`, null], too_many_log_ins: [`试的次数太多，${later}`, null],
  too_many_commands: [`操作太快，${later}`, null], chat_too_fast: ['慢一点：一秒一条', null], ledger_busy: [`礼物太多了，${free}，${later}`, null], busy: ['正在处理，马上再试一次', null],
  muted: ['你被禁言了，过一会儿再说', null], kicked: ['你被请出了房间，过一会儿再来', 'The room’s staff has asked you to leave for a while.'], already_entered: ['一个连接只能进一个房间', null], not_on_stage: ['请先上台', null], no_song: ['请先选歌', null], key_not_made: ['这首歌没有做这个调，请换一个', null],
  too_many_requests: ['你已经点了三首，唱完一首或取消一首再点', null], queue_full: ['点歌单满了，唱完一首再来', null], already_asked: ['这首你已经点过了', null], next_is_locked: ['下一首已经定了，只能动它后面的', null], nothing_skipped: ['没有可以撤销的跳过', null],
  not_staff: ['只有房间的工作人员可以替别人点', null], not_yours: [`这是别人点的，${free}`, null],
  bumps_not_sold: [`这个房间不卖提前，${free}`, null], bumps_sold_out: [`今晚的提前名额卖完了，${free}`, null], already_bumped: [`已经提前过了，${free}`, null], bump_released: ['金币已经退回钱包；要再提前请重新操作', null],
  own_room: ['这是你自己的房间，台就是你的', null], seat_taken: ['位置上有人', null], seat_locked: ['位置留给被邀请的歌手，请让主唱邀请你', null],
  sung_alone: ['这里只有你自己', null], not_ready: ['录音还没有好，请稍等', null], nothing_sung: ['这段录音里没有唱', null], no_free_gift: ['今天的免费礼物用完了；听十分钟送一个，一天最多十个', null],
  no_payee: ['还不知道打给谁，请先填写收款人', null], once_a_day: ['一天只能申请一次提现，请明天再来', null], not_available: ['现在可提的没有这么多：其余的还没有到期、被冻结或已申请', null], below_threshold: ['没有达到提现起点', null], insufficient_earnings: ['收入刚刚变少了，没有扣款；请看一下账单再申请', null],
  wrong_state: ['状态已经变了，请重新看一下', null], wrong_version: ['收款人刚刚改过，请先看新的账户', null], payee_not_verified: ['收款账户还没有核实，请先核实收款人', null], own_payee: ['自己的收款账户要由别人核实', null], own_payout: ['自己的提现要由别人决定', null],
  second_person: ['您的意见已记下；还要另一个人作出同样的决定才生效', null], not_paid: ['这笔充值没有付过款', null], all_spent: ['这笔充值的金币都用完了', null], all_given_back: ['这笔充值已经全部退回', null], too_late: ['已过退款期，不能再退', null],
  own_money: ['和自己有关的钱要由别人决定', null], coins_held: ['有金币正为点歌冻结着，唱完再来', null],
  provider_unreachable: [`付款平台暂时连不上，${free}，${later}`, null], provider_refused: [`付款平台没有接受，${free}；请再试或换一种方式`, null],
  already_in_a_case: ['这笔钱已经在另一个案件里', null], not_due: ['还没有到可以核销的时候', null],
  // Of a socket that was closed.
  'session ended': ['登录已结束，请重新登录', 'This session has ended. Log in again.'], 'too many sockets': ['同一个账号打开的页面太多了，请关掉几个', 'This account has too many pages open. Close some of them.'],
};
