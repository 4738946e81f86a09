// Payments that begin at a provider and are asked after, settlement files, bank transfers: against providers' APIs played here, which
// check what we sign and sign what they answer.
import assert from 'node:assert/strict';
import { createSign, createVerify, generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import fs from 'node:fs/promises';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { password, startServer, top, until } from './harness.mjs';
import { cleanBooks, give, legsOf, noMonthlyRun, standing } from './money.mjs';

const secret = 'whsec_of_the_wire_tests';
const pair = () => generateKeyPairSync('rsa', { modulusLength: 2048 });
const [platform, ours, ali, oursAli] = [pair(), pair(), pair(), pair()];
const pem = (key) => (key.type === 'public' ? key.export({ type: 'spki', format: 'pem' }) : key.export({ type: 'pkcs8', format: 'pem' }));
const sign = (key, text) => createSign('RSA-SHA256').update(text).sign(key.privateKey, 'base64');
const verified = (key, text, signature) => createVerify('RSA-SHA256').update(text).verify(key.publicKey, signature, 'base64');

let server, folder, api, token, finance;
/** What the providers know: orders by number. `mood`: how they answer. */
const sessions = new Map();
const refunds = new Map();
const seen = [];
let mood = 'well';
function answer(request, body, reply) {
  const url = new URL(request.url, 'http://api');
  seen.push({ method: request.method, path: url.pathname, headers: request.headers, body });
  const send = (status, text, headers = {}) => reply.writeHead(status, { 'content-type': 'application/json', ...headers }).end(text);
  if (mood === 'down') return request.socket.destroy();
  if (url.pathname.startsWith('/v1/') && request.headers.authorization !== 'Bearer sk_test_wire') return send(401, '{"error":{"message":"Invalid API Key"}}');
  if (url.pathname.startsWith('/v1/refunds')) {
    if (url.searchParams.has('payment_intent')) return send(200, JSON.stringify({ data: [...refunds.values()].filter((r) => r.payment_intent === url.searchParams.get('payment_intent')).map((r) => ({ ...r, metadata: { refund: r['metadata[refund]'] } })) }));
    if (request.method === 'GET') return send(200, JSON.stringify([...refunds.values()].find((r) => url.pathname.endsWith(r.id))));
    const key = request.headers['idempotency-key'];
    if (!refunds.has(key)) refunds.set(key, { id: `re_${refunds.size}`, status: 'pending', ...Object.fromEntries(new URLSearchParams(body)) });
    return send(200, JSON.stringify(refunds.get(key)));
  }
  if (url.pathname.startsWith('/v1/checkout/sessions')) {
    if (request.method === 'GET') {
      const s = [...sessions.values()].find((x) => url.pathname.endsWith(x.id));
      return s ? send(200, JSON.stringify(s)) : send(404, '{"error":{"message":"No such checkout.session"}}');
    }
    const form = new URLSearchParams(body);
    const key = request.headers['idempotency-key'];
    if (!sessions.has(key)) sessions.set(key, { id: `cs_${randomBytes(6).toString('hex')}`, url: `https://pay.example/${key}`, payment_intent: `pi_${key}`, client_reference_id: form.get('client_reference_id'), amount_total: Number(form.get('line_items[0][price_data][unit_amount]')), currency: form.get('line_items[0][price_data][currency]'), payment_status: 'unpaid', status: 'open' });
    return send(200, JSON.stringify(sessions.get(key)));
  }
  if (url.pathname.startsWith('/v3/')) {
    const given = Object.fromEntries([...(request.headers.authorization ?? '').matchAll(/(\w+)="([^"]*)"/g)].map((m) => [m[1], m[2]]));
    const text = `${request.method}\n${request.url}\n${given.timestamp}\n${given.nonce_str}\n${body}\n`;
    const good = verified(ours, text, given.signature) && given.mchid === '1900000001' && given.serial_no === 'OURS1';
    const signed = (status, content) => {
      const [time, nonce] = [String(Math.floor(Date.now() / 1000)), randomBytes(8).toString('hex')];
      const key = mood === 'forged' ? ours : platform;
      send(status, content, { 'wechatpay-timestamp': time, 'wechatpay-nonce': nonce, 'wechatpay-serial': 'SERIAL1', 'wechatpay-signature': sign(key, `${time}\n${nonce}\n${content}\n`) });
    };
    if (!good) return signed(401, '{"code":"SIGN_ERROR","message":"wrong signature"}');
    if (url.pathname === '/v3/refund/domestic/refunds') {
      const asked = JSON.parse(body);
      if (!refunds.has(asked.out_refund_no)) refunds.set(asked.out_refund_no, asked);
      return signed(200, JSON.stringify({ refund_id: `wx${asked.out_refund_no}`, out_refund_no: asked.out_refund_no, status: 'SUCCESS' }));
    }
    if (request.method === 'POST') {
      const asked = JSON.parse(body);
      sessions.set(asked.out_trade_no, { ...asked, trade_state: 'NOTPAY' });
      return signed(200, JSON.stringify({ code_url: `weixin://wxpay/bizpayurl?pr=${asked.out_trade_no}` }));
    }
    const s = sessions.get(url.pathname.split('/').at(-1));
    return s ? signed(200, JSON.stringify({ out_trade_no: s.out_trade_no, trade_state: s.trade_state, amount: s.amount })) : signed(404, '{"code":"ORDER_NOT_EXIST","message":"none"}');
  }
  if (url.pathname === '/gateway.do') {
    const form = Object.fromEntries(new URLSearchParams(body));
    const { sign: signature, ...rest } = form;
    const text = Object.keys(rest).sort().map((k) => `${k}=${rest[k]}`).join('&');
    const number = JSON.parse(form.biz_content).out_trade_no;
    const s = sessions.get(`ali${number}`);
    const asked = JSON.parse(form.biz_content);
    const answers = { 'alipay.trade.refund': mood === 'unwilling' ? { code: '40004', sub_code: 'ACQ.SELLER_BALANCE_NOT_ENOUGH' } : { code: '10000', fund_change: 'N' }, 'alipay.trade.fastpay.refund.query': { code: '10000', refund_status: 'REFUND_SUCCESS' } };
    if (form.method === 'alipay.trade.refund') refunds.set(`ali${asked.out_request_no}`, asked);
    const content = !verified(oursAli, text, signature) ? { code: '40002', sub_code: 'isv.invalid-signature', sub_msg: 'wrong signature' } : answers[form.method] ?? (s ? { code: '10000', out_trade_no: number, ...s } : { code: '40004', sub_code: 'ACQ.TRADE_NOT_EXIST' });
    const raw = JSON.stringify(content);
    return send(200, `{"${form.method.replaceAll('.', '_')}_response":${raw},"sign":"${sign(mood === 'forged' ? oursAli : ali, raw)}"}`);
  }
  send(404, '{}');
}
/** A bank's statement of credits: text, minor units. */
const camt = (bookings, closing) => `<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.02"><BkToCstmrStmt><Stmt>${[['OPBD', 0], ['CLBD', closing]].map(([c, m]) => `<Bal><Tp><CdOrPrtry><Cd>${c}</Cd></CdOrPrtry></Tp><Amt Ccy="CNY">${(m / 100).toFixed(2)}</Amt><CdtDbtInd>CRDT</CdtDbtInd></Bal>`).join('')}${bookings.map(([text, minor]) => `<Ntry><Amt Ccy="CNY">${(minor / 100).toFixed(2)}</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts><BookgDt><Dt>2026-11-21</Dt></BookgDt><NtryDtls><TxDtls><RmtInf><Ustrd>${text}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>`).join('')}</Stmt></BkToCstmrStmt></Document>`;
/** The payer has paid there. */
const pay = { stripe: (o) => Object.assign(sessions.get(`ovation-order-${o}`), { payment_status: 'paid', status: 'complete' }), wechat_pay: (o) => Object.assign(sessions.get(String(o).padStart(8, '0')), { trade_state: 'SUCCESS' }), alipay: (o) => sessions.set(`ali${o}`, { trade_status: 'TRADE_SUCCESS', total_amount: '6.00' }) };
const coins = async () => Number((await server.rpc('LedgerService/GetWallet', {}, { token })).coins ?? 0);
const create = (provider, key = randomUUID()) => server.rpc('PaymentService/CreateTopUp', { key, packId: '1', provider }, { token });
const get = (orderId) => server.rpc('PaymentService/GetTopUp', { orderId }, { token });
/** A provider is asked at most every three seconds. */
const asked = (orderId, state) => until(async () => (await get(orderId)).state === `TOP_UP_STATE_${state}`, 12_000, `order ${orderId} is ${state}`);
const older = (orderId, minutes) => server.psql(`update payments.top_up set created_at = created_at - interval '${minutes} minutes', asked_at = null where id = ${orderId}`);

before(async () => {
  folder = await fs.mkdtemp(path.join(os.tmpdir(), 'ovation-ways-'));
  const keep = async (name, text) => (await fs.writeFile(path.join(folder, name), text), path.join(folder, name));
  api = http.createServer((request, reply) => {
    let body = '';
    request.on('data', (d) => (body += d));
    request.on('end', () => answer(request, body, reply));
  });
  await new Promise((done) => api.listen(0, '127.0.0.1', done));
  const at = `http://127.0.0.1:${api.address().port}`;
  server = await startServer({
    songs: false, prepare: noMonthlyRun,
    flags: ['--load-profile', '--public-url', 'https://sing.example', '--bank-account', 'ICBC 6222 0200 0000 0001', '--stripe-secret', secret, '--stripe-key', 'sk_test_wire', '--stripe-api', at,
      '--wechat-api-key', '0123456789abcdef0123456789abcdef', '--wechat-merchant', '1900000001', '--wechat-keys', `SERIAL1=${await keep('wechat.pem', pem(platform.publicKey))}`, '--wechat-app-id', 'wx1',
      '--wechat-private-key', await keep('ours.pem', pem(ours.privateKey)), '--wechat-serial', 'OURS1', '--wechat-api', at,
      '--alipay-public-key', await keep('ali.pem', pem(ali.publicKey)), '--alipay-app-id', '2021', '--alipay-seller-id', '2088', '--alipay-private-key', await keep('ours-ali.pem', pem(oursAli.privateKey)), '--alipay-gateway', `${at}/gateway.do`],
  });
  finance = await server.logIn('finance');
  token = (await server.rpc('AuthService/Register', { handle: 'payer-of-ways', displayName: 'Payer', password })).accessToken;
});
after(async () => {
  await server?.stop();
  api?.close();
  api?.closeAllConnections();
  if (folder) await fs.rm(folder, { recursive: true, force: true });
});

describe('a payment begins at its provider', () => {
  test('stripe: a session of Checkout, the same for the same order', async () => {
    const key = randomUUID();
    const order = await create('stripe', key);
    assert.match(order.payUrl, /^https:\/\/pay\.example\//);
    const { headers, body } = seen.at(-1);
    const form = Object.fromEntries(new URLSearchParams(body));
    assert.deepEqual([form.client_reference_id, form['line_items[0][price_data][unit_amount]'], form['line_items[0][price_data][currency]'], form.success_url, form['payment_intent_data[metadata][order]']], [order.orderId, '600', 'cny', 'https://sing.example/statement', order.orderId]);
    assert.equal(headers['idempotency-key'], `ovation-order-${order.orderId}`);
    const calls = seen.length;
    assert.deepEqual(await create('stripe', key), order);
    assert.equal(seen.length, calls, 'it is not begun twice');
  });
  test('wechat pay: the text of a QR code, signed with our key, answered with theirs', async () => {
    const order = await create('wechat_pay');
    assert.match(order.payUrl, /^weixin:\/\//);
    const asked = JSON.parse(seen.at(-1).body);
    assert.deepEqual([asked.appid, asked.mchid, Number(asked.out_trade_no), asked.amount, asked.notify_url], ['wx1', '1900000001', Number(order.orderId), { total: 600, currency: 'CNY' }, 'https://sing.example/webhooks/wechat_pay']);
    assert.ok(asked.out_trade_no.length >= 6);
  });
  test('alipay: an address that carries our signature', async () => {
    const order = await create('alipay');
    const { searchParams } = new URL(order.payUrl);
    const fields = Object.fromEntries(searchParams);
    const { sign: signature, ...rest } = fields;
    assert.ok(verified(oursAli, Object.keys(rest).sort().map((k) => `${k}=${rest[k]}`).join('&'), signature));
    assert.deepEqual(JSON.parse(fields.biz_content), { out_trade_no: order.orderId, product_code: 'FAST_INSTANT_TRADE_PAY', total_amount: '6.00', subject: 'Coins' });
  });
  test('a provider that is down or answers falsely: said so, nothing lost, the same key goes on', async () => {
    for (const [way, how, reason] of [['stripe', 'down', 'provider_unreachable'], ['wechat_pay', 'forged', 'provider_refused']]) {
      mood = how;
      const key = randomUUID();
      await assert.rejects(create(way, key), (e) => e.reason === reason && e.retryable, way);
      mood = 'well';
      assert.ok((await create(way, key)).payUrl);
    }
  });
});

describe('nothing is given up before the provider was asked', () => {
  const end = { stripe: (o) => Object.assign(sessions.get(`ovation-order-${o}`), { status: 'expired' }), wechat_pay: (o) => Object.assign(sessions.get(String(o).padStart(8, '0')), { trade_state: 'CLOSED' }), alipay: () => {} };
  for (const way of ['stripe', 'wechat_pay', 'alipay'])
    test(`${way}: paid without a notification, and never paid`, async () => {
      const had = await coins();
      const [paid, never] = [await create(way), await create(way)];
      assert.equal((await get(paid.orderId)).state, 'TOP_UP_STATE_CREATED');
      pay[way](paid.orderId);
      await asked(paid.orderId, 'PAID');
      assert.equal(await coins(), had + 600);
      end[way](never.orderId);
      await until(async () => (await server.psql(`select asked_at is not null from payments.top_up where id = ${never.orderId}`)) === 't' || (await get(never.orderId), false), 5_000, 'it was asked');
      assert.equal((await get(never.orderId)).state, 'TOP_UP_STATE_CREATED', 'not before its time');
      await older(never.orderId, 20);
      await asked(never.orderId, 'FAILED');
      assert.equal(await coins(), had + 600);
    });
  test('orders that nobody looks at are asked after by the server; another sum is not credited', async () => {
    const [order, wrong] = [await create('stripe'), await create('stripe')];
    pay.stripe(order.orderId);
    Object.assign(sessions.get(`ovation-order-${wrong.orderId}`), { payment_status: 'paid', amount_total: 1 });
    await server.psql(`update payments.top_up set created_at = created_at - interval '5 minutes' where id in (${order.orderId}, ${wrong.orderId})`);
    await server.restart();
    await until(async () => (await server.psql(`select state from payments.top_up where id = ${order.orderId}`)) === 'paid', 15_000, 'paid');
    assert.equal(await server.psql(`select state from payments.top_up where id = ${wrong.orderId}`), 'created');
    assert.match(server.log(), /amount_differs|amount differs/);
  });
  test('a provider that is down: the order stays, also when it is old', async () => {
    const order = await create('wechat_pay');
    await older(order.orderId, 60);
    mood = 'down';
    assert.equal((await get(order.orderId)).state, 'TOP_UP_STATE_CREATED');
    mood = 'forged';
    await older(order.orderId, 1);
    assert.equal((await get(order.orderId)).state, 'TOP_UP_STATE_CREATED');
    mood = 'well';
  });
});

describe('settlement files', () => {
  const settle = (provider, file, more = {}) => server.rpc('PaymentService/ImportSettlement', { provider, file, fromDay: '2020-01-01', toDay: '2099-01-01', bankReference: 'BANK-1', reason: 'the file of today', ...more }, { token: finance });
  test('stripe: what agrees is booked once, each difference is named', async () => {
    const orders = (await server.psql("select id from payments.top_up where provider = 'stripe' and state = 'paid' order by id")).split('\n');
    const [other, open] = [await create('alipay'), await create('stripe')];
    const lines = [[orders[0], '6.00', '0.24', 'charge'], [other.orderId, '6.00', '0.24', 'charge'], [open.orderId, '6.00', '0.24', 'charge'], ['', '-6.00', '0.00', 'refund'], ['ref"x,', '1.00', '0.10', 'charge']];
    const file = ['balance_transaction_id,reporting_category,gross,fee,net,currency,payment_metadata[order]', ...lines.map(([o, g, f, k], i) => `txn_${i},${k},${g},${f},0,cny,"${o.replaceAll('"', '""')}"`)].join('\n');
    const before = { cash: await standing(server, 'cash:stripe'), bank: await standing(server, 'bank'), fees: await standing(server, 'provider_fees') };
    const said = await settle('stripe', file);
    assert.deepEqual([said.orders, said.grossMinor, said.feeMinor], [1, '600', '24']);
    assert.deepEqual(await legsOf(server, said.entrySeq), { bank: -5_760_000n, 'cash:stripe': 6_000_000n, provider_fees: -240_000n });
    assert.deepEqual(said.differences.map((d) => [d.orderId ?? '', d.number ?? '', d.why]).sort(), [...orders.slice(1).map((o) => [o, '', 'not_in_file']), [other.orderId, '', 'not_our_order'], [open.orderId, '', 'not_paid_here'], ['', '', 'not_a_payment'], ['', 'ref"x,', 'no_order']].sort());
    assert.equal(await standing(server, 'cash:stripe'), before.cash + 6_000_000n);
    // The same file is the same settlement; the order in another file was settled before.
    assert.equal((await settle('stripe', file)).settlementId, said.settlementId);
    assert.equal(await standing(server, 'bank'), before.bank - 5_760_000n);
    assert.ok((await settle('stripe', file + '\n')).differences.some((d) => d.orderId === orders[0] && d.why === 'settled_before'));
    await cleanBooks(server);
  });
  test('wechat pay and alipay as they give them', async () => {
    const wechat = (await server.psql("select id from payments.top_up where provider = 'wechat_pay' and state = 'paid' order by id limit 1"));
    const bill = `\uFEFF交易时间,商户订单号,交易状态,应结订单金额,手续费\n\`2026-11-21 10:00:00,\`${wechat.padStart(8, '0')},\`SUCCESS,\`6.00,\`0.03600\n\`x,\`1,\`REFUND,\`0.00,\`0\n总交易单数,应结订单总金额\n\`1,\`6.00\n`.replace('0.03600', '0.04');
    const one = await settle('wechat_pay', bill, { bankReference: 'BANK-2' });
    assert.deepEqual([one.orders, one.grossMinor, one.feeMinor], [1, '600', '4']);
    const alipay = await server.psql("select id from payments.top_up where provider = 'alipay' and state = 'paid' order by id limit 1");
    const details = `#支付宝业务明细查询\n支付宝交易号,商户订单号,业务类型,订单金额（元）,服务费（元）\n2026112122001,${alipay}\t,交易,6.00,-0.04\n#业务明细列表结束\n`;
    const two = await settle('alipay', details, { bankReference: 'BANK-3' });
    assert.deepEqual([two.orders, two.grossMinor, two.feeMinor], [1, '600', '4']);
  });
  test('a file of 50 000 lines: each that is not ours is named', async () => {
    const lines = Array.from({ length: 50_000 }, (_, i) => `txn_far_${i},charge,6.00,0.24,5.76,cny,${10_000_000 + i}`);
    const file = ['balance_transaction_id,reporting_category,gross,fee,net,currency,payment_metadata[order]', ...lines].join('\n');
    assert.ok(file.length > 2 * 1024 * 1024);
    const said = await settle('stripe', file);
    assert.equal(said.differences.filter((d) => d.why === 'not_our_order').length, lines.length);
  });
  test('a file that cannot be read, by its line', async () => {
    await assert.rejects(settle('stripe', 'a,b\n1,2'), (e) => e.field === 'file' && /payment_metadata\[order\]/.test(e.message));
    await assert.rejects(settle('stripe', 'payment_metadata[order],gross\n1,2'), (e) => /line 1: the column fee is missing/.test(e.message));
    await assert.rejects(settle('sandbox', 'order,amount_minor,fee_minor\n1,x,0'), (e) => /line 2/.test(e.message));
    await assert.rejects(settle('stripe', 'x', { fromDay: 'yesterday' }), (e) => e.field === 'from_day' || e.field === 'file');
    await assert.rejects(settle('paypal', 'x'), (e) => e.field === 'provider');
  });
});

describe('bank transfers', () => {
  const book = (file) => server.rpc('PaymentService/ImportBankFile', { file, reason: 'the statement of today' }, { token: finance });
  test('an order names its reference; the bank’s file credits it once; the rest is told', async () => {
    const had = await coins();
    const [order, short] = [await create('bank_transfer'), await create('bank_transfer')];
    assert.match(order.reference, new RegExp(`^OV${order.orderId}-\\d\\d$`));
    assert.equal(order.payTo, 'ICBC 6222 0200 0000 0001');
    const wrong = `${order.reference.slice(0, -2)}${String((Number(order.reference.slice(-2)) + 1) % 100).padStart(2, '0')}`;
    const file = camt([[`coins ${order.reference} thank you`, 600], [short.reference, 599], ['rent', 1000], [wrong, 600]], 2799);
    const said = await book(file);
    assert.deepEqual(said.credited.map((l) => [l.orderId, l.minor]), [[order.orderId, '600']]);
    assert.deepEqual(said.left.map((l) => [l.text, l.why]), [[short.reference, 'amount_differs'], ['rent', 'no_order'], [wrong, 'no_order']]);
    assert.deepEqual(await legsOf(server, said.credited[0].entrySeq), { bank: -6_000_000n, [`wallet:${(await server.rpc('AuthService/GetMe', {}, { token })).user.id}`]: 6_000_000n });
    assert.equal((await get(order.orderId)).state, 'TOP_UP_STATE_PAID');
    await book(file);
    assert.equal(await coins(), had + 600, 'the file again credits nothing again');
    await assert.rejects(book('<x/>'), (e) => e.field === 'file');
    await cleanBooks(server);
  });
});

describe('money back is sent where it came from', () => {
  let payer, user;
  const list = async (sent = false) => (await server.rpc('PaymentService/ListRefunds', { sent }, { token: finance })).refunds ?? [];
  const settle = (refundId, reference = '', more = {}) => server.rpc('PaymentService/SettleRefund', { refundId, reference, reason: 'the desk of today', ...more }, { token: finance });
  const calls = (path) => seen.filter((c) => c.path.startsWith(path) && c.method === 'POST').length;
  const open = async () => Number(/^ovation_refunds_open (\d+)/m.exec(await (await fetch(`${server.url}/metrics`)).text())[1]);
  /** An order of this way that is paid and given back. */
  const givenBack = async (way) => {
    const { orderId, reference } = await server.rpc('PaymentService/CreateTopUp', { key: randomUUID(), packId: '1', provider: way }, { token: payer });
    if (way === 'bank_transfer') await server.rpc('PaymentService/ImportBankFile', { file: camt([[reference, 600]], 600), reason: 'the statement of today' }, { token: finance });
    else pay[way](orderId);
    await until(async () => (await server.rpc('PaymentService/GetTopUp', { orderId }, { token: payer })).state === 'TOP_UP_STATE_PAID', 12_000, 'paid');
    const c = await server.rpc('CaseService/RefundTopUp', { orderId }, { token: payer });
    const r = (await list()).find((x) => x.orderId === orderId);
    assert.deepEqual([r.caseId, r.provider, r.amountMinor, r.currency, r.state, r.name], [c.id, way, '600', 'CNY', 'REFUND_STATE_TO_SEND', 'Payer back']);
    return r;
  };
  before(async () => {
    payer = (await server.rpc('AuthService/Register', { handle: 'payer-back', displayName: 'Payer back', password })).accessToken;
    user = (await server.rpc('AuthService/GetMe', {}, { token: payer })).user.id;
  });
  test('stripe: under way, then sent; asked twice it is one refund', async () => {
    const r = await givenBack('stripe');
    const first = await settle(r.id);
    assert.deepEqual([first.state, first.reference, first.tries], ['REFUND_STATE_TO_SEND', `re_0`, 1]);
    const made = refunds.get(`ovation-refund-${r.id}`);
    assert.deepEqual([made.payment_intent, made.amount, made['metadata[refund]']], [`pi_ovation-order-${r.orderId}`, '600', r.id]);
    await assert.rejects(settle(r.id, 'BY-HAND'), (e) => e.reason === 'wrong_state', 'nobody knows yet what came of it');
    // An answer that was lost: what is there already is not made again, however late.
    await server.psql(`update payments.refund set reference = '' where id = ${r.id}`);
    assert.equal((await settle(r.id)).reference, 're_0');
    made.status = 'succeeded';
    const done = await settle(r.id);
    assert.deepEqual([done.state, done.reference, Number(done.sentAtMs) > 0], ['REFUND_STATE_SENT', 're_0', true]);
    assert.equal(calls('/v1/refunds'), 1);
    assert.ok(!(await list()).some((x) => x.id === r.id) && (await list(true)).some((x) => x.id === r.id));
    await assert.rejects(settle(r.id), (e) => e.reason === 'wrong_state');
    await assert.rejects(server.psql(`update payments.refund set state = 'to_send', sent_at = null where id = ${r.id}`), /what was sent stays/);
  });
  test('a line that is gone is missed by verify; one that was never made is made by its migration, for a person to look at', async () => {
    const r = await givenBack('stripe');
    await cleanBooks(server);
    await server.psql(`delete from payments.refund where id = ${r.id}`);
    const missed = await server.ovation('ledger', 'verify', '--database', server.conninfo).then(() => assert.fail('clean'), (e) => e.stdout);
    assert.match(missed, new RegExp(`^cases +BAD .*${r.caseId}`, 'm'));
    await server.psql(await fs.readFile(path.join(top, 'migrations/0029_refunds_before.sql'), 'utf8'));
    await cleanBooks(server);
    const made = (await list()).find((x) => x.orderId === r.orderId);
    assert.deepEqual([made.caseId, made.amountMinor, made.state, made.tries ?? 0], [r.caseId, '600', 'REFUND_STATE_REFUSED', 0]);
    assert.match(made.why, /look whether it was sent/);
    assert.equal((await settle(made.id, 'SENT BY HAND')).state, 'REFUND_STATE_SENT');
  });
  test('wechat pay: down, asked again by the server itself', async () => {
    const r = await givenBack('wechat_pay');
    mood = 'down';
    const down = await settle(r.id);
    assert.deepEqual([down.state, down.tries], ['REFUND_STATE_TO_SEND', 1]);
    assert.ok(down.why.length > 0);
    mood = 'well';
    await server.psql(`update payments.refund set next_try = now() where id = ${r.id}`);
    await server.restart();
    await until(async () => (await list(true)).some((x) => x.id === r.id), 15_000, 'sent');
    assert.deepEqual(refunds.get(r.id.padStart(8, '0')).amount, { refund: 600, total: 600, currency: 'CNY' });
    await until(async () => (await open()) === 0, 5_000, 'nothing is open');
  });
  test('alipay: refused there, then by hand, or again when the reason is gone', async () => {
    mood = 'unwilling';
    const [r, other] = [await givenBack('alipay'), await givenBack('alipay')];
    for (const x of [r, other]) {
      const no = await settle(x.id);
      assert.deepEqual([no.state, no.why], ['REFUND_STATE_REFUSED', 'ACQ.SELLER_BALANCE_NOT_ENOUGH']);
    }
    mood = 'well';
    assert.deepEqual(refunds.get(`ali${r.id}`), { out_trade_no: r.orderId, out_request_no: r.id, refund_amount: '6.00' });
    for (const reference of ['ab', 'x'.repeat(65), 'a\nb']) await assert.rejects(settle(r.id, reference), (e) => e.field === 'reference', reference);
    const byHand = await settle(r.id, 'ALI-HAND-1');
    assert.deepEqual([byHand.state, byHand.reference], ['REFUND_STATE_SENT', 'ALI-HAND-1']);
    assert.equal((await settle(r.id, 'ALI-HAND-1')).state, 'REFUND_STATE_SENT', 'said again');
    await assert.rejects(settle(r.id, 'ALI-HAND-2'), (e) => e.reason === 'wrong_state');
    assert.equal((await settle(other.id)).state, 'REFUND_STATE_SENT');
  });
  test('a bank transfer goes back by hand; not one’s own; the trail says who', async () => {
    const r = await givenBack('bank_transfer');
    await server.rpc('OpsService/GrantRole', { userId: user, role: 'ROLE_FINANCE', reason: 'to see what it may do' }, { token: await server.logIn('ops') });
    const mine = (await server.rpc('AuthService/LogIn', { handle: 'payer-back', password })).accessToken;
    await assert.rejects(server.rpc('PaymentService/SettleRefund', { refundId: r.id, reference: 'TO-ME', reason: 'mine' }, { token: mine }), (e) => e.reason === 'own_money');
    assert.equal((await settle(r.id, 'TRANSFER 77')).state, 'REFUND_STATE_SENT');
    assert.match(await server.psql(`select action || ' ' || reason from identity.audit where subject = 'refund:${r.id}'`), /^refund_sent the desk of today$/);
    await assert.rejects(settle('999999'), (e) => e.code === 'not_found');
    await cleanBooks(server);
  });
});

describe('bonus coins', () => {
  let user, room;
  const grant = (n, key = randomUUID()) => server.logIn('ops').then((ops) => server.rpc('PaymentService/GrantBonus', { key, userId: user, coins: n, reason: 'a warm welcome' }, { token: ops }));
  const left = async () => ((await server.rpc('PaymentService/ListBonus', {}, { token })).bonus ?? []).map((b) => Number(b.leftCoins ?? 0));
  test('granted from promo, spent first, the oldest first; what is over goes back', async () => {
    user = (await server.rpc('AuthService/GetMe', {}, { token })).user.id;
    room = await server.makeRoom();
    const key = randomUUID();
    const one = await grant(30, key);
    assert.deepEqual(await legsOf(server, one.entrySeq), { [`bonus:${user}`]: 300_000n, promo: -300_000n });
    assert.equal((await grant(30, key)).id, one.id);
    await assert.rejects(grant(31, key), (e) => e.reason === 'key_reused');
    await assert.rejects(grant(100_001), (e) => e.field === 'coins');
    assert.ok(Number(one.expiresAtMs) > Date.now() + 29 * 86_400_000);
    await grant(50);
    const paid = await coins();
    await give(server, room, token, { quantity: 10 });
    assert.equal(await coins(), paid, 'the paid coins are not touched');
    assert.deepEqual(await left(), [50, 20]);
    const receipt = (await server.rpc('LedgerService/ListPostings', { account: 'bonus' }, { token })).postings[0];
    assert.deepEqual([receipt.kind, receipt.bonusMicros, receipt.amountMicros], ['gift', '100000', '-100000']);
    const promo = await standing(server, 'promo');
    await server.psql(`update payments.bonus set expires_at = now() where id = ${one.id}`);
    await server.restart();
    await until(async () => (await left()).join() === '50,0', 15_000, 'it is over');
    await until(async () => (await standing(server, 'promo')) === promo + 200_000n, 5_000, 'it went back');
    assert.equal(await standing(server, `bonus:${user}`), 500_000n);
    // A gift of them that is reversed after that: they go on to promo.
    await server.rpc('CaseService/OpenCase', { key: randomUUID(), kind: 'CASE_KIND_GIFT', entrySeq: receipt.entrySeq, reason: 'sent twice by a fault' }, { token: finance });
    assert.equal(await standing(server, `bonus:${user}`), 600_000n);
    await server.restart();
    await until(async () => (await standing(server, `bonus:${user}`)) === 500_000n, 10_000, 'they are over as well');
    assert.equal(await standing(server, 'promo'), promo + 200_000n, 'the reversal had taken them from there');
    await cleanBooks(server);
  });
  test('a gift over two grants, reversed when both are over: each takes back its own; what is spent meanwhile stays spent', async () => {
    const bonus = () => standing(server, `bonus:${user}`);
    const over = () => server.psql(`update payments.bonus set expires_at = now() where not over and user_id = ${user}`);
    await over();
    await server.restart();
    await until(async () => (await bonus()) === 0n, 15_000, 'nothing is left of the first');
    await grant(5);
    const last = await grant(8);
    const sent = await give(server, room, token, { quantity: 10 });
    await over();
    await server.restart();
    await until(async () => (await bonus()) === 0n, 15_000, 'both are over');
    // The reversal and what the sweep writes down for it are posted here by hand, one thing between the other, in a transaction that ends in nothing.
    const trial = await server.psql(`begin;
      select ledger.post_entry((select writer_epoch from ledger.head), 'promo', 'trial:1', '{promo,bonus:${user}}', '{-100000,100000}', '', '{}');
      select 'step ' || payments.return_bonus(${user});
      select 'one ' || id || ' ' || expired from payments.bonus where user_id = ${user} and id >= ${last.id};
      select ledger.post_entry((select writer_epoch from ledger.head), 'promo', 'trial:2', '{bonus:${user},promo}', '{-70000,70000}', '', '{}');
      select payments.count_bonus((select max(id) from payments.step));
      select 'two ' || expired from payments.bonus where id = ${last.id};
      select 'step ' || (amounts[2] / 10000) from payments.step order by id desc limit 1;
      rollback`);
    assert.match(trial, new RegExp(`one ${last.id} 8\\n`), 'the newest takes what it has room for');
    assert.match(trial, /two 6\nstep 3/, 'three of its five were there still');
    await server.rpc('CaseService/OpenCase', { key: randomUUID(), kind: 'CASE_KIND_GIFT', entrySeq: sent.entrySeq, reason: 'sent twice by a fault' }, { token: finance });
    for (let i = 0; i < 4 && (await bonus()) !== 0n; ++i) {
      await server.restart();
      const before = await bonus();
      await until(async () => (await bonus()) < before, 10_000, 'a part goes back').catch(() => {});
    }
    assert.equal(await bonus(), 0n);
    assert.equal(await server.psql(`select string_agg(expired::text, ' ' order by id desc) from (select * from payments.bonus where user_id = ${user} order by id desc limit 2) b`), '8 5');
    await cleanBooks(server);
  });
});
