// Ways to pay, as their providers speak: Stripe's own library signs, WeChat Pay and Alipay are signed here by their published
// schemes with keys made for the test. Whatever comes, an order is credited once or not at all.
import assert from 'node:assert/strict';
import { createCipheriv, createSign, generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import Stripe from 'stripe';
import { password, startServer } from './harness.mjs';

const secret = 'whsec_of_the_wire_tests';
const apiKey = '0123456789abcdef0123456789abcdef';
const stripe = new Stripe('sk_test_none');
const platform = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ali = generateKeyPairSync('rsa', { modulusLength: 2048 });
const rsa = (key, text) => createSign('RSA-SHA256').update(text).sign(key.privateKey, 'base64');
const seconds = () => Math.floor(Date.now() / 1000);

let server, folder, token;
const coins = async () => Number((await server.rpc('LedgerService/GetWallet', {}, { token })).coins ?? 0);
const newUser = async () => {
  token = (await server.rpc('AuthService/Register', { handle: `payer-${randomBytes(4).toString('hex')}`, displayName: 'Payer', password })).accessToken;
};
const order = async (provider) => Number((await server.rpc('PaymentService/CreateTopUp', { key: randomUUID(), packId: '1', provider }, { token })).orderId); // 600 coins, 600 fen
const post = (name, { body, headers }) => fetch(`${server.url}/webhooks/${name}`, { method: 'POST', body, headers });

/** Each makes one notification of 600 fen for an order, as its provider does. */
const ways = {
  stripe: (of, { amount = 600, at = seconds(), id = `evt_${randomUUID()}`, currency = 'cny', type = 'checkout.session.completed', key = secret } = {}) => {
    const body = JSON.stringify({ id, object: 'event', type, data: { object: { payment_status: 'paid', client_reference_id: String(of), amount_total: amount, currency } } });
    return { body, headers: { 'stripe-signature': stripe.webhooks.generateTestHeaderString({ payload: body, secret: key, timestamp: at }) } };
  },
  wechat_pay: (of, { amount = 600, at = seconds(), id = `EV-${randomUUID()}`, currency = 'CNY', type = 'TRANSACTION.SUCCESS', key = platform } = {}) => {
    const paid = JSON.stringify({ mchid: '1900000001', out_trade_no: String(of), trade_state: 'SUCCESS', amount: { total: amount, currency } });
    const nonce = randomBytes(6).toString('hex');
    const cipher = createCipheriv('aes-256-gcm', apiKey, nonce).setAAD(Buffer.from('transaction'));
    const ciphertext = Buffer.concat([cipher.update(paid), cipher.final(), cipher.getAuthTag()]).toString('base64');
    const body = JSON.stringify({ id, event_type: type, resource: { algorithm: 'AEAD_AES_256_GCM', ciphertext, nonce, associated_data: 'transaction' } });
    const signature = rsa(key, `${at}\n${nonce}\n${body}\n`);
    return { body, headers: { 'wechatpay-timestamp': String(at), 'wechatpay-nonce': nonce, 'wechatpay-serial': 'SERIAL1', 'wechatpay-signature': signature } };
  },
  alipay: (of, { amount = 600, at = seconds(), id = `n${randomUUID()}`, type = 'TRADE_SUCCESS', key = ali } = {}) => {
    const fields = { notify_id: id, notify_time: new Date((at + 8 * 3600) * 1000).toISOString().slice(0, 19).replace('T', ' '), out_trade_no: String(of), total_amount: (amount / 100).toFixed(2), trade_status: type, app_id: '2021', seller_id: '2088', subject: '金币 & more' };
    const text = Object.keys(fields).sort().map((k) => `${k}=${fields[k]}`).join('&');
    return { body: new URLSearchParams({ ...fields, sign: rsa(key, text), sign_type: 'RSA2' }).toString(), headers: { 'content-type': 'application/x-www-form-urlencoded' } };
  },
};
const thanks = { stripe: 'ok\n', wechat_pay: '{"code":"SUCCESS"}', alipay: 'success' };

before(async () => {
  folder = await fs.mkdtemp(path.join(os.tmpdir(), 'ovation-providers-'));
  await fs.writeFile(path.join(folder, 'wechat.pem'), platform.publicKey.export({ type: 'spki', format: 'pem' }));
  await fs.writeFile(path.join(folder, 'alipay.pem'), ali.publicKey.export({ type: 'spki', format: 'pem' }));
  server = await startServer({
    songs: false,
    flags: ['--load-profile', '--stripe-secret', secret, '--wechat-api-key', apiKey, '--wechat-merchant', '1900000001', '--wechat-keys', `SERIAL1=${path.join(folder, 'wechat.pem')}`,
      '--alipay-public-key', path.join(folder, 'alipay.pem'), '--alipay-app-id', '2021', '--alipay-seller-id', '2088'],
  });
});
after(async () => {
  await server?.stop();
  await fs.rm(folder, { recursive: true, force: true });
});

for (const name of Object.keys(ways)) {
  describe(name, () => {
    const make = ways[name];
    test('a payment is credited once, however often and at once its notification comes, and the provider hears what it waits for', async () => {
      await newUser();
      const of = await order(name);
      const letter = make(of, { id: `one-${name}` });
      const answers = await Promise.all(Array.from({ length: 20 }, () => post(name, letter)));
      for (const a of answers) assert.deepEqual([a.status, await a.text()], [200, thanks[name]]);
      assert.equal((await post(name, make(of))).status, 200, 'another event of the same payment');
      assert.equal(await coins(), 600);
      assert.equal(await server.psql(`select sum(amount) from ledger.posting_in_order where account_name = 'cash:${name}'`), '-6000000');
      assert.match(await server.psql(`select detail->'lot'->>'provider' from ledger.entry where key = 'topup:${of}'`), new RegExp(`^${name}$`));
      assert.equal(Buffer.from((await server.psql(`select encode(raw, 'hex') from payments.notification where event_id = 'one-${name}'`)), 'hex').toString(), letter.body, 'the raw bytes');
    });
    test('forged, edited, stale, from the future, of another amount, another provider or of nothing: not a coin', async () => {
      await newUser();
      const of = await order(name);
      const late = name === 'alipay' ? 27 * 3600 : 310;
      const edited = make(of);
      edited.body = edited.body.replace(String(of), String(of + 1));
      const other = name === 'stripe' ? 'whsec_other' : generateKeyPairSync('rsa', { modulusLength: 2048 });
      for (const [what, letter, status] of [['forged', make(of, { key: other }), 403], ['edited', edited, 403], ['stale', make(of, { at: seconds() - late }), 403], ['future', make(of, { at: seconds() + 310 }), 403],
        ['unsigned', { body: edited.body, headers: {} }, 403], ['too little', make(of, { amount: 599 }), 400], ['too much', make(of, { amount: 60_000 }), 400], ['no order', make(987_654), 404]])
        assert.equal((await post(name, letter)).status, status, what);
      if (name !== 'alipay') assert.equal((await post(name, make(of, { currency: 'usd' }))).status, 400, 'another currency');
      assert.equal((await post(name, make(of, { type: 'something.else' }))).status, 200, 'an event that moves no money is acknowledged');
      const elsewhere = await order(name === 'stripe' ? 'alipay' : 'stripe');
      assert.equal((await post(name, make(elsewhere))).status, 404, 'an order of another provider');
      assert.equal(await coins(), 0);
    });
  });
}

test('of hundreds of deliveries in any order, each order is credited once or not at all', async () => {
  await newUser();
  const names = Object.keys(ways);
  const letters = [];
  let due = 0;
  for (let i = 0; i < 60; ++i) {
    const name = names[i % names.length];
    const of = await order(name);
    const good = ways[name](of);
    const bad = { ...good, body: good.body.slice(0, -2) + '00' };
    const paid = i % 4 !== 3;
    if (paid) due += 600;
    for (let k = 0; k < 6; ++k) letters.push([name, paid && k > 1 ? good : bad]);
  }
  for (let i = letters.length - 1; i > 0; --i) {
    const k = Math.floor(Math.random() * (i + 1));
    [letters[i], letters[k]] = [letters[k], letters[i]];
  }
  for (let i = 0; i < letters.length; i += 30) await Promise.all(letters.slice(i, i + 30).map(([name, letter]) => post(name, letter)));
  assert.equal(await coins(), due);
  assert.match((await server.ovation('ledger', 'verify', '--database', server.conninfo)).stdout, /The books are clean/);
});

test('a server that was not told of a provider knows none, and settings that cannot work are refused with a sentence', async () => {
  await newUser();
  await assert.rejects(server.rpc('PaymentService/CreateTopUp', { key: randomUUID(), packId: '1', provider: 'paypal' }, { token }), (e) => e.code === 'invalid_argument');
  assert.equal((await post('paypal', { body: '{}', headers: {} })).status, 404);
  for (const [flags, says] of [[['--wechat-api-key', 'short', '--wechat-merchant', '1'], /wechat_api_key: an APIv3 key has 32 bytes/], [['--wechat-api-key', apiKey, '--wechat-merchant', '1'], /wechat_keys/],
    [['--alipay-public-key', path.join(folder, 'none.pem'), '--alipay-app-id', '1', '--alipay-seller-id', '1'], /alipay_public_key: .* cannot be read/], [['--alipay-public-key', path.join(folder, 'alipay.pem')], /alipay_app_id/]])
    await assert.rejects(server.ovation('check', '--database', server.conninfo, ...flags), (e) => e.code === 2 && says.test(e.stderr), String(says));
});

describe('what the ledger cannot take at the moment', () => {
  for (const name of Object.keys(ways))
    test(`${name}: a payment stays open until it is credited, and is credited once`, async () => {
      await newUser();
      const notice = ways[name](await order(name));
      await server.psql(`create function public.not_now() returns trigger language plpgsql as $$ begin raise exception 'not now'; end $$;
        create trigger not_now before insert on ledger.entry for each row execute function public.not_now()`);
      try {
        const refused = await post(name, notice);
        assert.ok(refused.status >= 500, `the provider is asked to come again, not thanked: ${refused.status}`);
      } finally {
        await server.psql('drop trigger not_now on ledger.entry; drop function public.not_now');
      }
      assert.equal(await coins(), 0);
      for (let i = 0; i < 2; ++i) {
        const taken = await post(name, notice);
        assert.equal(taken.status, 200);
        assert.equal(await taken.text(), thanks[name]);
      }
      assert.equal(await coins(), 600);
    });
});
