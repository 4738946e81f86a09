// A statement for each party: what finance reads about every account adds up, to the micro, to what the rules say of each gift
// (computed here a second time), however the pages are cut.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { password, RpcError, startServer, until, uuid7 } from './harness.mjs';
import { Live } from './raw.mjs';

const perCoin = 10_000n;
const vatBp = 600n;
const prices = { 1: 20n, 2: 100n, 3: 188n, 4: 520n, 9: 13_140n, 11: 1n };
const purse = { listener: { bonus: 50n, giftOnly: 70n }, listener2: { bonus: 31n, giftOnly: 0n } }; // coins, used up first
const handles = ['agent', 'singer', 'ops', 'finance', 'listener', 'listener2']; // the accounts 1 … 6
const idOf = (handle) => handles.indexOf(handle) + 1;

let server, names;
const token = {};
const gifts = new Map(); // key → {price, payer, room, legs by account, …}
const as = (who, method, request) => server.rpc(method, request, { token: token[who] });

// Basis points as the presets have them: rights, singer, agent, venue, platform. `bp`: the contract's rate; undefined: none.
const presets = {
  'ovation-default': (bp, licensed) => [licensed ? 500 : 0, (bp === undefined ? 5_500 : 6_000 - bp) + (licensed ? 0 : 500), bp ?? 0, 0, bp === undefined ? 4_000 : 3_500],
  'agent-from-platform': (bp = 0) => [0, 5_000, bp / 2, 0, 5_000 - bp / 2],
  'agent-from-creator': (bp = 0) => [0, 5_000 - bp, bp, 0, 5_000],
  half: () => [0, 5_000, 0, 0, 5_000],
  seventy: () => [0, 7_000, 0, 0, 3_000],
};
const isGross = (preset) => preset === 'half' || preset === 'agent-from-creator';

/** Floor, then the largest remainder, ties in the order of the shares. */
function split(price, bonus, shares, gross) {
  const paid = price - bonus;
  const vat = (paid * vatBp) / (10_000n + vatBp);
  const base = gross ? paid : paid - vat;
  const parts = shares.map((bp) => ({ got: (base * BigInt(bp)) / 10_000n, rest: (base * BigInt(bp)) % 10_000n }));
  const byRest = parts.toSorted((a, b) => Number(b.rest - a.rest)); // stable
  const left = base - parts.reduce((sum, p) => sum + p.got, 0n);
  for (let i = 0; i < Number(left); ++i) byRest[i].got += 1n;
  const [rights, singer, agent, venue, platform] = parts.map((p) => p.got);
  return { vat, base, rights, singer, agent, venue, platform: platform - (gross ? vat : 0n), promo: bonus };
}

async function give(payer, place, giftId, quantity, licensed = false) {
  const key = uuid7();
  const answer = await as(payer, 'GiftService/SendGift', { key, roomId: place.room.id, giftId, quantity, priceVersion: 1 });
  const price = prices[giftId] * BigInt(quantity);
  const from = purse[payer];
  const bonus = price < from.bonus ? price : from.bonus;
  const giftOnly = price - bonus < from.giftOnly ? price - bonus : from.giftOnly;
  from.bonus -= bonus;
  from.giftOnly -= giftOnly;
  const shares = presets[place.preset](place.bp, licensed);
  const parts = split(price * perCoin, bonus * perCoin, shares, isGross(place.preset));
  const legs = {};
  const add = (account, micros) => micros && (legs[account] = (legs[account] ?? 0n) + micros);
  add(`bonus:${idOf(payer)}`, -bonus * perCoin);
  add(`gift_only:${idOf(payer)}`, -giftOnly * perCoin);
  add(`wallet:${idOf(payer)}`, -(price - bonus - giftOnly) * perCoin);
  add('vat', parts.vat);
  add('earnings:rights', parts.rights);
  add(`earnings:${place.singer}`, parts.singer);
  add(`earnings:${place.agent}`, parts.agent);
  add('platform', parts.platform);
  add('promo', parts.promo);
  gifts.set(key, { place, shares, parts, legs, payer, licensed, giftId, quantity, price: price * perCoin, bonus: bonus * perCoin, seq: answer.entrySeq });
  return answer;
}

const pages = async (account, pageSize) => {
  const out = [];
  for (let pageToken; ; ) {
    const page = await as('finance', 'LedgerService/ListAccountPostings', { account, pageSize, pageToken });
    assert.equal(page.account, account);
    out.push(page);
    pageToken = page.nextPageToken;
    if (!pageToken) return out;
    assert.ok(page.postings?.length > 0, 'a page that is not the last has something');
  }
};
const read = async (account, pageSize = 200) => (await pages(account, pageSize)).flatMap((p) => p.postings ?? []);
const sum = (postings) => postings.reduce((all, p) => all + BigInt(p.amountMicros), 0n);

const places = [];
before(async () => {
  server = await startServer({
    flags: ['--load-profile'],
    // Coins that nobody sells: bonus coins of the house, gift-only coins given back.
    prepare: (psql) =>
      psql(`select ledger.take_head('books');
        select ledger.post_entry(1, 'promo', 'promo:a', '{promo,bonus:5}', '{-500000,500000}', '', '{}');
        select ledger.post_entry(1, 'promo', 'promo:b', '{promo,bonus:6}', '{-310000,310000}', '', '{}');
        select ledger.post_entry(1, 'noble', 'noble:a', '{platform,gift_only:5}', '{-700000,700000}', '', '{}');
        select ledger.release_head(1)`),
  });
  for (const who of handles) token[who] = await server.logIn(who);
  assert.equal((await as('singer', 'AuthService/GetMe')).user.id, String(idOf('singer')));
  // One who is singer and agent: two legs of a gift on one account.
  const both = await server.rpc('AuthService/Register', { handle: 'both', displayName: 'Both', password });
  await server.psql("update identity.users set roles = roles | 24 where subject = 'both'");
  token.both = (await server.rpc('AuthService/LogIn', { handle: 'both', password })).accessToken;

  const place = async (preset, bp, agent = 'agent', singer = 'singer') => {
    const channel = await as(agent, 'ChannelService/CreateChannel', { name: `${preset} ${bp} ${agent}`, preset });
    const room = await as(agent, 'RoomService/CreateRoom', { channelId: channel.id, name: preset, singerHandle: singer });
    await as(singer, 'RoomService/OpenShow', { roomId: room.id });
    const made = { preset, bp, room, channel, singer: singer === 'both' ? both.user.id : idOf(singer), agent: agent === 'both' ? both.user.id : idOf(agent) };
    if (bp !== undefined) {
      const contract = await as(agent, 'ChannelService/OfferContract', { channelId: channel.id, singerHandle: singer, agentBp: bp, fromDate: '2026-01-01' });
      await as(singer, 'ChannelService/DecideContract', { contractId: contract.id, accept: true });
      made.contract = contract.id;
    }
    places.push(made);
    return made;
  };
  for (const payer of ['listener', 'listener2'])
    for (let i = 0; i < 2; ++i) {
      const order = await as(payer, 'PaymentService/CreateTopUp', { key: randomUUID(), packId: 6, provider: 'sandbox' });
      await as(payer, 'PaymentService/PaySandboxOrder', { orderId: order.orderId });
    }
  for (const payer of ['listener', 'listener2']) await server.psql(`update ledger.wallet set daily_limit = 100000000 * 10000::bigint where user_id = ${idOf(payer)}`);

  const some = [[11, 1], [11, 66], [1, 1], [3, 1], [4, 10], [9, 1]];
  const plain = await place('ovation-default', 1_500);
  await server.psql('update songs.song set public_domain = id <> 1');
  // Bonus, then gift-only, then paid coins: 66 = 50 + 16, 20, 188 = 34 + 154.
  for (const [gift, quantity] of [[11, 66], [1, 1], ...some]) await give('listener', plain, gift, quantity);
  const half = await place('half');
  for (const [gift, quantity] of some) await give('listener2', half, gift, quantity);
  for (const other of [await place('ovation-default'), await place('agent-from-platform', 1_234), await place('agent-from-creator', 777), await place('seventy'), await place('ovation-default', 777, 'both', 'both'), await place('ovation-default', 3_000), await place('ovation-default', 0)])
    for (const [gift, quantity] of some) await give('listener2', other, gift, quantity);
  for (const where of [plain, places.find((p) => p.preset === 'ovation-default' && p.bp === undefined), half]) {
    const singer = await Live.enter(server, where.room.id, { token: token.singer });
    for (const [songId, licensed] of [[1, true], [2, false]]) {
      for (const command of [{ takeStage: {} }, { pickSong: { songId } }]) {
        await singer.command(2, command);
        assert.ok((await singer.reply(2))?.done);
      }
      for (const [gift, quantity] of some) await give('listener', where, gift, quantity, licensed);
    }
    singer.destroy();
  }
  for (let i = 0; i < 120; i += 20) await Promise.all(Array.from({ length: 20 }, (_, k) => give(k % 2 ? 'listener' : 'listener2', places[(i + k) % places.length], 11, 1 + 9 * (k % 3 === 0))));
  names = (await server.psql('select name from ledger.account order by id')).split('\n');
});
after(() => server?.stop());

const parties = ['platform', 'vat', 'promo', 'earnings:rights', `earnings:${idOf('singer')}`, `earnings:${idOf('agent')}`, ...['listener', 'listener2'].flatMap((p) => [`wallet:${idOf(p)}`, `bonus:${idOf(p)}`]), `gift_only:${idOf('listener')}`, 'cash:sandbox'];

describe('the statement of', () => {
  for (const account of parties)
    test(`${account} goes back to its first posting without a gap and adds up, in pages of any size`, async () => {
      const [first] = await pages(account, 200);
      const all = await read(account);
      assert.ok(all.length > 0);
      assert.deepEqual(all.map((p) => Number(p.accountVersion)), Array.from({ length: all.length }, (_, i) => all.length - i));
      let balance = BigInt(first.balanceMicros ?? 0);
      for (const p of all) {
        assert.equal(BigInt(p.balanceAfterMicros ?? 0), balance, `after entry ${p.entrySeq}`);
        balance -= BigInt(p.amountMicros);
      }
      assert.equal(balance, 0n, 'before the first posting there was nothing');
      assert.equal(sum(all), BigInt(first.balanceMicros ?? 0));
      for (const p of all) assert.equal(sum(p.legs), 0n, `entry ${p.entrySeq} sums to zero`);
      for (const size of [1, 3, 50]) {
        const cut = await pages(account, size);
        assert.deepEqual(cut.flatMap((p) => p.postings), all, `pages of ${size}`);
        assert.deepEqual(cut.map((p) => p.postings.length), cut.map((_, i) => Math.min(size, all.length - i * size)), `pages of ${size} are full`);
        for (const p of cut) assert.equal(p.balanceMicros, first.balanceMicros);
      }
    });
  test('the house has more than one page of 200', async () => {
    for (const account of ['platform', 'vat']) assert.ok((await pages(account, 200)).length > 1);
  });
  test('an account with two parts of a gift has both, one above the other', async () => {
    const account = `earnings:${places.find((p) => p.agent === p.singer).agent}`;
    const all = await read(account);
    for (const size of [1, 2, 3]) {
      const cut = await pages(account, size);
      assert.deepEqual(cut.flatMap((p) => p.postings), all);
      for (const p of cut) assert.ok(p.postings.length <= size, `${p.postings.length} on a page of ${size}`);
    }
    assert.deepEqual(all.map((p) => Number(p.accountVersion)), Array.from({ length: all.length }, (_, i) => all.length - i));
    assert.deepEqual(new Set(all.map((p) => `${p.party} ${p.shareBp}`)), new Set(['agent 777', 'singer 5723']));
    assert.equal(sum(all), BigInt(all[0].balanceAfterMicros));
  });
  test('a payer is what the payer reads too', async () => {
    for (const kind of ['wallet', 'gift_only', 'bonus']) {
      const own = await as('listener', 'LedgerService/ListPostings', { account: kind, pageSize: 200 });
      assert.deepEqual(own.postings, await read(`${kind}:${idOf('listener')}`));
    }
    assert.deepEqual((await as('singer', 'LedgerService/ListPostings', { pageSize: 200 })).postings, (await pages(`earnings:${idOf('singer')}`, 200))[0].postings);
  });
});

describe('all statements together', () => {
  const found = new Map(); // entry key → {account: micros}
  const about = new Map(); // gift key → [account, posting]
  before(async () => {
    for (const name of names)
      for (const p of await read(name)) {
        const legs = found.get(p.key) ?? found.set(p.key, {}).get(p.key);
        legs[name] = (legs[name] ?? 0n) + BigInt(p.amountMicros);
        if (p.kind === 'gift') about.set(p.key, [...(about.get(p.key) ?? []), [name, p]]);
      }
  });
  test('have each gift split as the rules say, to the micro', () => {
    for (const [key, gift] of gifts) {
      const what = `gift ${gift.giftId} × ${gift.quantity}, ${gift.place.preset} ${gift.place.bp}${gift.licensed ? ', licensed' : ''}`;
      assert.deepEqual(found.get(key), gift.legs, what);
      const { vat, rights, singer, agent, venue, platform, promo } = gift.parts;
      assert.equal(vat + rights + singer + agent + venue + platform + promo, gift.price, what);
    }
    assert.equal([...found.keys()].filter((key) => about.has(key)).length, gifts.size, 'and no other gifts');
  });
  test('have every posting tell its price, base, rule and share', () => {
    for (const [key, gift] of gifts)
      for (const [account, p] of about.get(key)) {
        const [rights, singer, agent, venue, platform] = gift.shares;
        const mine = { rights, singer, agent, venue, platform };
        assert.deepEqual([p.entrySeq, p.itemId, p.quantity, p.roomId, BigInt(p.priceMicros), BigInt(p.bonusMicros ?? 0), BigInt(p.vatMicros ?? 0), BigInt(p.baseMicros ?? 0)],
          [gift.seq, String(gift.giftId), gift.quantity, gift.place.room.id, gift.price, gift.bonus, gift.parts.vat, gift.parts.base], account);
        const { id, sourceId, ...rule } = p.rule;
        const source = gift.place.bp === undefined ? (gift.place.preset === 'ovation-default' ? 'preset' : 'channel') : 'contract';
        assert.ok(Number(id) > 0);
        assert.equal(sourceId, { preset: undefined, channel: gift.place.channel.id, contract: gift.place.contract }[source]);
        const shown = { preset: gift.place.preset, presetVersion: 1, source, vatBp: 600, singerBp: singer, platformBp: platform };
        if (isGross(gift.place.preset)) shown.gross = true;
        if (rights) shown.rightsBp = rights;
        if (agent) shown.agentBp = agent;
        assert.deepEqual(rule, shown);
        assert.equal(p.shareBp ?? 0, mine[p.party] ?? 0);
        assert.deepEqual(p.legs.map((l) => [l.party, BigInt(l.amountMicros)]).filter(([party]) => party in mine), Object.keys(mine).filter((m) => gift.parts[m]).map((m) => [m, gift.parts[m]]));
      }
  });
  test('sum to zero, entry by entry and as a whole', () => {
    assert.equal(found.size, gifts.size + 4 + 3, 'gifts, four top-ups, three gifts of the house');
    for (const [key, legs] of found) assert.equal(Object.values(legs).reduce((a, b) => a + b), 0n, key);
  });
  test('used up the coins in their order', async () => {
    const wallet = await as('listener', 'LedgerService/GetWallet');
    assert.deepEqual([wallet.bonusCoins, wallet.giftOnlyCoins], [undefined, undefined]);
    const [bonus] = await read(`bonus:${idOf('listener')}`);
    assert.deepEqual(bonus.legs.map((l) => [l.party, l.amountMicros]).slice(0, 2), [['bonus', '-500000'], ['gift_only', '-160000']]);
    assert.deepEqual((await read(`gift_only:${idOf('listener')}`)).map((p) => p.amountMicros), ['-330000', '-10000', '-200000', '-160000', '700000']);
  });
});

describe('entries that come between two pages', () => {
  for (const account of ['platform', `wallet:${idOf('listener')}`, `earnings:${idOf('singer')}`])
    test(`change nothing of the older pages of ${account}`, async () => {
      const was = await read(account);
      const seen = [];
      let pageToken;
      do {
        const page = await as('finance', 'LedgerService/ListAccountPostings', { account, pageSize: 40, pageToken });
        seen.push(...page.postings);
        pageToken = page.nextPageToken;
        await give('listener', places[0], 1, 1);
      } while (pageToken);
      assert.deepEqual(seen, was);
      const now = await read(account);
      const more = Math.ceil(was.length / 40);
      assert.deepEqual(now.slice(more), was);
      assert.deepEqual(now.slice(0, more).map((p) => p.priceMicros), Array(more).fill('200000'));
      assert.equal(Number(now[0].accountVersion), was.length + more);
    });
});

describe('what is asked wrongly', () => {
  const ask = (request) => as('finance', 'LedgerService/ListAccountPostings', { account: 'platform', ...request });
  const refused = async (request, reason, field = '') => {
    const e = await ask(request).then(() => null, (failure) => failure);
    assert.ok(e instanceof RpcError, `${JSON.stringify(request)} was answered`);
    assert.deepEqual([e.reason, e.field], [reason, field], e.message);
  };
  test('a page of less than 1 or more than 200 names page_size; 0 is 50', async () => {
    for (const pageSize of [-1, 201, -2_147_483_648, 2_147_483_647]) await refused({ pageSize }, 'invalid_argument', 'page_size');
    for (const pageSize of [undefined, 0]) assert.equal((await ask({ pageSize })).postings.length, 50);
    assert.equal((await ask({ pageSize: 200 })).postings.length, 200);
  });
  for (const pageToken of ['x', '1', '1.', '1.2', '1.2.', '..', '.1.2', '1.2.x', '1..2', ' 1.2.3', '9223372036854775808.1.1', '9'.repeat(400), '9.9.9x', '9x9x9', '9.9.9.9', '9.9.-1', '-1.9.9', '9223372036854775807.-9223372036854775808.-9223372036854775808', 'bm90aGluZw==', '无'])
    test(`the token "${pageToken.slice(0, 24)}" names page_token`, () => refused({ pageToken }, 'invalid_argument', 'page_token'));
  test('the token of another account names page_token', async () => {
    const { nextPageToken: pageToken } = await ask({ pageSize: 1 });
    await refused({ account: 'vat', pageToken }, 'invalid_argument', 'page_token');
    const left = () => server.psql(`select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'`);
    await until(async () => (await left()) === '0', 2_000, 'no connection stays in its transaction');
  });
  test('no name of an account, or a long one, names account; one that nobody has is not found', async () => {
    for (const account of ['', 'p'.repeat(61)]) await refused({ account }, 'invalid_argument', 'account');
    for (const account of ['p'.repeat(60), 'Platform', 'platform ', 'wallet', 'wallet:', 'wallet:999', 'earnings:-1', "platform' or true --"]) await refused({ account }, 'not_found');
  });
  test('an account that has had nothing yet has an empty statement', async () => {
    const page = await ask({ account: `wallet:${idOf('finance')}` });
    assert.deepEqual(page, { account: `wallet:${idOf('finance')}` });
  });
  test('nobody but finance reads it', async () => {
    for (const who of ['listener', 'singer', 'agent', 'ops'])
      await assert.rejects(as(who, 'LedgerService/ListAccountPostings', { account: `wallet:${idOf(who)}` }), (e) => e.reason === 'role_missing');
  });
});
test('the books are clean after all this', async () => {
  const { checks } = await as('finance', 'LedgerService/GetLedgerHealth');
  for (const c of checks) assert.ok(c.ok, JSON.stringify(c));
  assert.equal((await server.ovation('ledger', 'verify', '--database', server.conninfo)).stderr, '');
});
