// Strings of money out and money back: payouts, who is paid, top-ups given back, cases, what is owed. Loaded by the statement and the desks.
import { addWords } from './i18n.svelte';

export const moneyWords = {
  // The statement: kinds of entries, accounts in their legs.
  kind_promo: ['赠送', 'Promo'], kind_transfer: ['转账', 'Transfer'], kind_settlement: ['渠道结算', 'Settlement of a provider'], kind_adjustment: ['人工调整', 'Adjustment'], kind_royalty: ['版权费', 'Royalty'],
  kind_write_off: ['核销', 'Written off'], kind_refund: ['退款', 'Given back'], kind_payout_requested: ['提现申请', 'Payout asked for'], kind_payout_risk_review: ['提现审核', 'Payout under review'],
  kind_payout_approved: ['提现通过', 'Payout approved'], kind_payout_tax_computed: ['提现计税', 'Payout taxed'], kind_payout_submitted: ['提现送银行', 'Payout sent to the bank'],
  kind_payout_in_transit: ['提现转账中', 'Payout in transit'], kind_payout_paid: ['提现到账', 'Payout paid'], kind_payout_returned: ['提现被退回', 'Payout returned'], kind_payout_failed: ['提现失败', 'Payout failed'],
  kind_payout_rejected: ['提现未通过', 'Payout rejected'], kind_payout_cancelled: ['提现已取消', 'Payout cancelled'], kind_payout_held: ['提现暂停', 'Payout held'], kind_payout_resumed: ['提现继续', 'Payout goes on'],
  kind_chargeback_opened: ['拒付（冻结）', 'Chargeback (held)'], kind_chargeback_responded: ['拒付已答复', 'Chargeback answered'], kind_chargeback_won: ['拒付胜诉（解冻）', 'Chargeback won (released)'], kind_chargeback_lost: ['拒付败诉', 'Chargeback lost'],
  kind_case_opened: ['案件（冻结）', 'Case (held)'], kind_case_upheld: ['案件成立', 'Case upheld'], kind_case_dismissed: ['案件驳回（解冻）', 'Case dismissed (released)'],
  payout_transit: ['待打款', 'On the way to the bank'], withholding: ['代扣税', 'Tax withheld'], receivable: ['欠款', 'Owed'], bank: ['银行', 'Bank'], disputed: ['争议款', 'Disputed'], provider_fees: ['渠道手续费', 'Provider fees'],
  csv: ['下载 CSV', 'Download CSV'], csv_busy: ['已读 {n} 条…', '{n} lines read…'],
  // What can be paid out.
  payout: ['提现', 'Payout'], all_earnings: ['收入合计', 'Earnings, all'], can_now: ['现在可提', 'Can be paid out now'], ripening: ['未满 {n} 天', 'Ripening ({n} days)'],
  in_books: ['账上的收入', 'Earnings in the books'], still_ripening: ['未满 {n} 天的收入', 'Younger than {n} days'], ripe_why: ['礼物要满 {n} 天才能提现：这段时间里付款可能被撤回。', 'A gift ripens for {n} days before it can be paid out: until then its payment may still be called back.'],
  below_fen: ['不足一分，留在账上', 'Less than a fen, stays in the books'], being_booked: ['已申请，正在入账', 'Asked for, being booked'], on_the_way: ['已申请，尚未到账', 'Asked for, not yet paid'], held_by_cases: ['因案件冻结', 'Held by cases'],
  held_why: ['不在上面的收入里。案件了结后退还或扣除。', 'Not part of the earnings above. Released or taken when the case is decided.'], owed: ['您欠平台', 'You owe'], owed_why: ['以后每次提现最多扣 {n} 偿还。', 'At most {n} of each later payout goes there.'],
  threshold: ['提现起点', 'A payout begins at'], next_run: ['下次每月自动提现', 'Next monthly run'], no_run: ['收款人核实后，每月自动提现。', 'Once the payee is verified, the monthly run pays out by itself.'],
  notices: ['通知', 'Notices'], shares_held: ['案件 {n} 冻结了您的分成', 'Case {n}: your share is held'], shares_taken: ['案件 {n} 扣除了您的分成', 'Case {n}: your share was taken back'], shares_released: ['案件 {n} 退还了您的分成', 'Case {n}: your share is released'],
  amount_yuan: ['金额（元，空着就是全部）', 'Amount in CNY (empty: all of it)'], amount_wrong: ['请写成 1234.56 这样，最多两位小数', 'Write it as 1234.56, with two decimals at most'], pay_out: ['提现 {n}', 'Pay out {n}'],
  why_no_payee: ['请先填写收款人', 'Say first who is paid'], why_below: ['{n} 起可以提现', 'A payout begins at {n}'], why_too_much: ['现在可提 {n}', '{n} can be paid out now'],
  if_all: ['如果现在全部提现', 'If all of it is paid out today'], of_this: ['这次提现怎么算', 'How this payout is computed'], gross: ['提现金额', 'Taken from the earnings'], recovered: ['偿还欠款', 'Recovered of what is owed'], income_now: ['这次的收入', 'Income of this payout'],
  year_income: ['{y} 年累计收入（含这次）', 'Income of {y}, with this payout'], tax_months: ['累计月数', 'Months counted'], taxable: ['应纳税所得额', 'Taxable'], tax_rate: ['预扣率', 'Rate'], quick: ['速算扣除数', 'Quick deduction'],
  tax_whole: ['这次代扣 = {a} × {r} − {q} − {b}', 'Withheld now = {a} × {r} − {q} − {b}'], taxable_of: ['累计收入的 {p}，每月减 {m}', '{p} of the income, less {m} a month'], others: ['其他各方', 'Others'], evidence_brought: ['已提交的材料', 'What was brought'], tax_before: ['之前已扣', 'Already withheld'], tax_now: ['这次代扣', 'Withheld now'], net: ['实到', 'Net, goes to the payee'],
  no_tax: ['企业自行开票，不代扣。', 'An enterprise that sends invoices: nothing is withheld.'], tax_floor: ['半分进一；不会小于零，也不会超过这次的收入。', 'Half a fen is rounded up; never below zero, never more than the income of this payout.'],
  tax_at_most: ['只提一部分时，代扣不会超过 {n}；确切的数在通过时算出。', 'Of a part, at most {n} is withheld; the exact figure is computed when it is approved.'],
  confirm_payout: ['确认提现 {n}？', 'Pay out {n}?'], goes_to: ['打到 {n}', 'It goes to {n}'], withheld_of: ['代扣 {n}', 'Withheld: {n}'], net_of: ['实到 {n}', 'Net: {n}'], yes_pay_out: ['确认提现', 'Pay out'],
  not_known: ['还不知道有没有收到。再按一次就会查询，不会重复', 'It is not known yet whether this has arrived. Press again to ask; nothing is done twice'],
  my_payouts: ['提现记录', 'Payouts'], no_payouts: ['还没有提现', 'No payouts yet'], payout_n: ['提现 {n}', 'Payout {n}'], cancel_payout: ['取消提现', 'Cancel this payout'], sure_cancel: ['取消后，{n} 回到您的收入里。', '{n} goes back into your earnings.'],
  yes_cancel: ['取消提现', 'Cancel it'], keep_it: ['保留', 'Keep it'], steps: ['经过', 'Steps'], booking: ['正在入账', 'being booked'], by_demand: ['按申请', 'asked for'], by_month: ['每月自动', 'monthly run'], held_until: ['暂停到 {t}', 'Held until {t}'],
  ps1: ['已申请', 'Requested'], ps2: ['审核中', 'Under review'], ps3: ['已通过', 'Approved'], ps4: ['已计税，等待打款', 'Taxed, waits for the bank'], ps5: ['已送银行', 'Sent to the bank'], ps6: ['银行转账中', 'In transit'],
  ps7: ['已到账', 'Paid'], ps8: ['未通过，已退回收入', 'Rejected, back in the earnings'], ps9: ['已取消，已退回收入', 'Cancelled, back in the earnings'], ps10: ['银行付款失败，已退回收入', 'Failed at the bank, back in the earnings'],
  ps11: ['银行退回，已退回收入', 'Returned by the bank, back in the earnings'], ps12: ['已暂停', 'Held'],
  why_payee_changed: ['收款人有改动，等待核实', 'The payee was changed and waits'], why_held_long_enough: ['等待期满', 'It was held long enough'], why_cancelled: ['按申请取消', 'Cancelled as asked'], why_payer: ['付款人申请', 'Asked for by the payer'],
  // Who is paid.
  payee: ['收款人', 'Payee'], no_payee_yet: ['还没有收款人。填写后由财务核实。', 'Nobody yet. Finance verifies whom you name.'], method: ['方式', 'Method'], m_bank: ['银行账户', 'Bank account'], m_alipay: ['支付宝', 'Alipay'], m_wechat_pay: ['微信支付', 'WeChat Pay'],
  holder: ['户名', 'Name on the account'], pay_account: ['账号', 'Account'], ends_in: ['尾号 {n}', 'ends in {n}'], bank_name: ['银行（代码或名称）', 'Bank (code or name)'], tax_scheme: ['税务', 'Tax'], tax_cn_labour: ['个人，劳务报酬累计预扣', 'A person: cumulative withholding on labour income'],
  tax_none: ['企业，自行开票', 'An enterprise that sends invoices'], verified: ['已核实', 'Verified'], waits_verify: ['等待核实', 'Waits for verification'], was_refused: ['未通过核实', 'Not verified'], holds_until: ['刚改过收款人：{t} 以后才打款', 'Changed lately: payouts wait until {t}'],
  change_payee: ['更改收款人', 'Change the payee'], set_payee: ['填写收款人', 'Name the payee'], change_warns: ['更改后要重新核实，打款会等几天。', 'A change is verified anew and holds payouts for some days.'], payee_saved: ['已保存，等待财务核实', 'Saved. Finance will verify it'],
  // Coins by their top-up.
  my_coins: ['我的金币', 'My coins'], coins_of: ['{n} 金币', '{n} coins'], left_of: ['剩 {n}', '{n} left'], no_lots: ['还没有充值', 'No top-ups yet'], give_back: ['退回', 'Give back'], until_when: ['{t} 前可退', 'can be given back until {t}'],
  past_refund: ['已过退款期', 'too old to be given back'], is_spent: ['已用完或已退', 'spent or given back'], not_now: ['现在不能退', 'cannot be given back now'], lots_why: ['先充的先用。没用的在期限内可以退回原支付方式。', 'The oldest are spent first. What is not spent can go back the way it was paid.'],
  sure_refund: ['退回 {n} 金币？', 'Give back {n} coins?'], refund_says: ['{c} 金币从钱包扣除，{y} 原路退回。用掉的金币不退。', '{c} coins leave your wallet and {y} goes back the way you paid. Spent coins stay spent.'], refunded: ['已退回 {y}', '{y} has gone back'], top_up_n: ['充值 {n}', 'Top-up {n}'],
  // Questions and cases.
  question_this: ['有疑问？', 'Question this'], question_title: ['这笔账有什么问题？', 'What is wrong with this entry?'], question_text: ['您的问题（3 到 500 字）', 'Your question (3 to 500 characters)'], question_sent: ['收到了。案件 {n}，进展在“我的案件”里', 'Thank you. It is case {n}; follow it under “My cases”'],
  send_it: ['提交', 'Send'], my_cases: ['我的案件', 'My cases'], no_my_cases: ['没有案件', 'No cases'], case_n: ['案件 {n}', 'Case {n}'], ck1: ['未用金币退回', 'Unspent coins given back'], ck2: ['礼物撤销', 'Gift reversed'], ck3: ['拒付', 'Chargeback'], ck4: ['未成年人申请', 'Claim of a minor'],
  ck5: ['欺诈', 'Fraud'], ck6: ['账目疑问', 'Question'], cs1: ['待处理', 'Open'], cs2: ['等待答复', 'Waits for an answer'], cs3: ['审理中', 'Under review'], cs4: ['胜诉，已解冻', 'Won, released'], cs5: ['败诉，已扣除', 'Lost, taken back'], cs6: ['成立', 'Upheld'], cs7: ['驳回', 'Dismissed'],
  about_top_up: ['关于充值 {n}', 'about top-up {n}'], about_entry: ['关于第 {n} 笔', 'about entry {n}'], opened_at: ['{t} 开始', 'opened {t}'], closed_at: ['{t} 结案', 'decided {t}'], due_d: ['还剩 {n} 天', 'due in {n} days'], due_h: ['还剩 {n} 小时', 'due in {n} h'], due_m: ['还剩 {n} 分钟', 'due in {n} min'],
  late_d: ['逾期 {n} 天', '{n} days overdue'], late_h: ['逾期 {n} 小时', '{n} h overdue'], evidence: ['证据', 'Evidence'], add_evidence: ['补充证据', 'Add evidence'], evidence_text: ['发生了什么，有什么可以证明（3 到 4000 字）', 'What happened, and what shows it (3 to 4000 characters)'],
  evidence_sent: ['收到了，和案件放在一起', 'Thank you. It is kept with the case'], by_at: ['{n}，{t}', '{n}, {t}'],
  // Finance: payouts.
  payouts: ['提现', 'Payouts'], to_review: ['待审核', 'Waiting for review'], nothing_to_review: ['没有待审核的提现', 'Nothing waits for review'], persons: ['{a} / {b} 人已通过', '{a} of {b} persons'], approve: ['通过', 'Approve'], reject: ['拒绝', 'Reject'], hold_it: ['暂停', 'Hold'],
  reason_3: ['原因（3 到 500 字，会留档）', 'Reason (3 to 500 characters, kept)'], goes_on: ['恢复', 'Resume'], for_bank: ['等待送银行', 'Waiting for the bank’s file'], none_for_bank: ['没有等待送银行的', 'Nothing waits for the bank'], send_bank: ['送银行', 'Send to the bank'],
  batch_says: ['批次 {n}：{c} 笔，合计 {y}', 'Batch {n}: {c} payouts, {y} together'], batch_empty: ['没有可以送的：收款人有改动或未核实的已暂停', 'Nothing could be sent; what has a payee that is new or not verified is held now'], get_file: ['下载银行文件', 'Download the bank’s file'],
  earlier_batch: ['以前的批次号', 'An earlier batch, by number'], fetch_it: ['取文件', 'Fetch'], at_bank: ['在银行', 'At the bank'], none_at_bank: ['没有在银行的', 'Nothing is at the bank'], bank_accepted: ['银行已接受', 'Accepted'], bank_paid: ['已付', 'Paid'], bank_failed: ['失败', 'Failed'],
  bank_returned: ['被退回', 'Returned'], bank_unknown: ['银行没有这笔', 'Unknown there'], paid_lately: ['最近到账', 'Paid lately'], payees_wait: ['待核实的收款人', 'Payees to verify'], no_payees: ['没有待核实的收款人', 'No payee waits'], verify: ['核实', 'Verify'], refuse: ['不通过', 'Refuse'],
  // The desk of cases.
  cases: ['案件', 'Cases'], no_cases: ['没有待处理的案件', 'No case is open'], no_closed: ['还没有结案的', 'No case is decided yet'], overdue_n: ['{n} 件逾期', '{n} overdue'], urgent: ['{k}，{d}', '{k}, {d}'], open_it: ['打开', 'Open'], opened_only: ['待处理', 'Open'], closed_only: ['已结案', 'Decided'], every_kind: ['全部类型', 'Every kind'],
  dispute_rate: ['{p}：30 天 {b} 笔充值中 {a} 笔拒付，{r}，警戒 {l}', '{p}: {a} chargebacks of {b} top-ups in 30 days, {r}; alarm at {l}'], kind_of_case: ['类型', 'Kind'], decide: ['决定', 'Decide'], selected: ['已选 {n} 件', '{n} selected'], respond: ['证据已提交', 'Evidence was sent'],
  uphold: ['成立：付款人有理', 'Uphold: the payer is right'], dismiss: ['驳回', 'Dismiss'], decide_hint: ['拒付：成立即败诉，驳回即胜诉。欺诈要两个人。', 'Of a chargeback: upheld is lost, dismissed is won. Fraud takes two persons.'], decided_n: ['{n} 件已决定', '{n} decided'],
  select_case: ['选择案件 {n}', 'Select case {n}'], case_amount: ['金额', 'Amount'], case_rest: ['其中未用（钱包里冻结）', 'Of it not spent (frozen in the wallet)'], case_fee: ['渠道手续费', 'Provider’s fee'], provider: ['支付渠道', 'Provider'], provider_ref: ['渠道编号', 'Provider’s reference'], payer: ['付款人', 'Payer'],
  by_party: ['各方份额', 'Shares by account'], taken: ['要扣', 'To be taken'], held_now: ['已冻结', 'Held'], by_gift: ['按礼物', 'By gift'], no_shares: ['没有涉及任何份额', 'No shares are concerned'], open_case: ['开立案件', 'Open a case'], order_id: ['充值单号', 'Top-up’s number'], entry_seq: ['账目序号', 'Entry’s number'],
  refunds_to_send: ['待退款项', 'Money to send back'], no_refunds: ['没有待退的款项', 'Nothing waits to be sent back'], refund_of: ['订单 {o}，案件 {c}，{p}，{t}', 'order {o}, case {c}, {p}, {t}'], refund_refused: ['渠道不退', 'Not by the provider'], refund_asked: ['已向渠道申请', 'Asked of the provider'], refund_waits: ['等待', 'Waits'],
  refund_reference: ['凭证号（手工退款，3 到 64 字）', 'Reference of what was sent by hand (3 to 64)'], sent_by_hand: ['已手工退款', 'Sent by hand'], ask_again: ['再向渠道申请', 'Ask the provider again'],
  fee_yuan: ['渠道手续费（元）', 'Provider’s fee, CNY'], case_opened: ['案件 {n} 已开立', 'Case {n} is open'], receivables: ['应收欠款', 'What parties owe'], no_receivables: ['没有人欠款', 'Nobody owes anything'], owes: ['{t} 起欠', 'owed since {t}'], due_write_off: ['可核销（满 {n} 天）', 'May be written off (older than {n} days)'], write_off: ['核销', 'Write off'],
} as const satisfies Record<string, readonly [string, string]>;
addWords(moneyWords);
