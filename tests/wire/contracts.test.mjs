// Contracts between a channel's agent and a singer: offers and their days, who decides and ends them, and who gets what of a gift on
// the days on which they hold. It is about noon here: no day ends while this runs.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { password, RpcError, startServer, until, uuid7 } from './harness.mjs';
import { Live } from './raw.mjs';

const behind = new Date().getUTCHours() - 12;
const zone = `Etc/GMT${behind < 0 ? behind : `+${behind}`}`;
const today = Math.floor((Date.now() - behind * 3_600_000) / 86_400_000);
/** The n-th day from today. */
const day = (n) => new Date((today + n) * 86_400_000).toISOString().slice(0, 10);

let server, licensed, free;
const token = {};
const roles = { agent: 16, agent2: 16, singer: 8, other: 8, listener: 0, ops: 32 };
before(async () => {
  server = await startServer({ flags: ['--load-profile', '--time-zone', zone] });
  for (const [who, bit] of Object.entries(roles)) {
    if (who === 'agent2' || who === 'other') {
      await server.rpc('AuthService/Register', { handle: who, displayName: `Wire ${who}`, password });
      await server.psql(`update identity.users set roles = roles | ${bit} where subject = '${who}'`);
    }
    token[who] = await server.logIn(who);
  }
  const order = await as('listener', 'PaymentService/CreateTopUp', { key: randomUUID(), packId: 4, provider: 'sandbox' });
  await as('listener', 'PaymentService/PaySandboxOrder', { orderId: order.orderId });
  await server.psql('update songs.song set public_domain = id <> 1');
  [licensed, free] = ['1', '2'];
});
after(() => server?.stop());

const as = (who, method, request) => server.rpc(method, request, { token: token[who] });
const refused = async (promise, reason, field = '') => {
  const e = await promise.then(() => null, (failure) => failure);
  assert.ok(e instanceof RpcError, `it was done; ${reason} was expected`);
  assert.deepEqual([e.reason, e.field], [reason, field], e.message);
};
let channels = 0;
const channel = (preset, agent = 'agent') => as(agent, 'ChannelService/CreateChannel', { name: `Channel ${++channels}`, preset });
const offer = (of, fromDate, toDate, { agentBp = 1_500, singerHandle = 'singer', by = 'agent' } = {}) => as(by, 'ChannelService/OfferContract', { channelId: of.id, singerHandle, agentBp, fromDate, toDate });
const decide = (contract, accept, by = 'singer') => as(by, 'ChannelService/DecideContract', { contractId: contract.id, accept });
const end = (contract, by = 'agent') => as(by, 'ChannelService/EndContract', { contractId: contract.id });
const get = (contract, by = 'agent') => as(by, 'ChannelService/GetContract', { contractId: contract.id });
const accepted = async (...args) => decide(await offer(...args), true);
const state = (contract) => contract.state.slice('CONTRACT_STATE_'.length);

const rooms = new Map();
/** The rule and the agent's micros of a gift of 20 coins to the singer in this channel, in a show of its own. */
async function gift(of, song) {
  const room = rooms.get(of.id) ?? rooms.set(of.id, await as('agent', 'RoomService/CreateRoom', { channelId: of.id, name: 'Room', singerHandle: 'singer' })).get(of.id);
  await as('singer', 'RoomService/OpenShow', { roomId: room.id });
  let live;
  if (song) {
    live = await Live.enter(server, room.id, { token: token.singer });
    for (const command of [{ takeStage: {} }, { pickSong: { songId: song } }]) {
      await live.command(2, command);
      assert.ok((await live.reply(2))?.done);
    }
  }
  const key = uuid7();
  await as('listener', 'GiftService/SendGift', { key, roomId: room.id, giftId: 1, quantity: 1, priceVersion: 1 });
  live?.destroy();
  await as('singer', 'RoomService/EndShow', { roomId: room.id });
  const { postings } = await as('listener', 'LedgerService/ListPostings', { account: 'wallet', pageSize: 1 });
  assert.equal(postings[0].key, key);
  const { rule, legs } = postings[0];
  return { preset: rule.preset, from: `${rule.source}${rule.sourceId ? ` ${rule.sourceId}` : ''}`, bp: [rule.rightsBp, rule.singerBp, rule.agentBp, rule.platformBp].map((bp) => bp ?? 0), gross: rule.gross ?? false, agent: legs.find((l) => l.party === 'agent')?.amountMicros };
}
const alone = { preset: 'ovation-default', from: 'preset', bp: [0, 6_000, 0, 4_000], gross: false, agent: undefined };
// 200 000 micros less VAT are 188 680; the rates used here leave no remainder of it.
const under = (contract, agentBp = 1_500) => ({ preset: 'ovation-default', from: `contract ${contract.id}`, bp: [0, 6_500 - agentBp, agentBp, 3_500], gross: false, agent: String((188_680 * agentBp) / 10_000) });

describe('an offer', () => {
  test('says what it is about and what it does to the singer’s share; it holds for nobody until it is accepted', async () => {
    const of = await channel();
    const made = await offer(of, day(0), '', { agentBp: 1_234 });
    const { splitWith, splitWithout, ...rest } = made;
    assert.deepEqual(rest, { id: made.id, channelId: of.id, channelName: of.name, singerId: (await as('singer', 'AuthService/GetMe')).user.id, singerName: 'Wire singer', agentBp: 1_234, fromDate: day(0), state: 'CONTRACT_STATE_OFFERED' });
    assert.deepEqual([splitWith.rightsBp, splitWith.singerBp, splitWith.agentBp, splitWith.platformBp, splitWith.vatBp], [500, 4_766, 1_234, 3_500, 600]);
    assert.deepEqual([splitWithout.rightsBp, splitWithout.singerBp, splitWithout.agentBp, splitWithout.platformBp, splitWithout.vatBp], [500, 5_500, undefined, 4_000, 600]);
    for (const who of ['agent', 'singer']) assert.deepEqual(await get(made, who), made);
    assert.deepEqual(await gift(of), alone);
    assert.deepEqual((await decide(made, true)).splitWith, splitWith);
    assert.deepEqual((await gift(of, licensed)).bp, [500, 4_766, 1_234, 3_500], 'and this is what comes');
    assert.deepEqual((await gift(of, free)).bp, [0, 5_266, 1_234, 3_500]);
  });
  test('has a last day or none; a rate within its bounds', async () => {
    const of = await channel();
    for (const [from, to] of [[day(0), ''], [day(0), day(1)], [day(-40), day(-39)], ['2024-02-29', '2028-02-29'], ['2026-12-31', '2027-01-01']]) {
      const made = await offer(of, from, to);
      assert.deepEqual([made.fromDate, made.toDate ?? ''], [from, to]);
    }
    const creator = await channel('agent-from-creator');
    assert.equal((await offer(creator, day(0), '', { agentBp: 1_500 })).splitWith.singerBp, 3_500);
    await refused(offer(creator, day(0), '', { agentBp: 1_501 }), 'rate_out_of_bounds');
  });
  for (const [name, args, field] of [
    ['no first day', [''], 'from_date'],
    ['a day in another form', ['1.1.2026'], 'from_date'],
    ['a moment for a day', ['2026-01-01T00:00'], 'from_date'],
    ['a word', ['yesterday!'], 'from_date'],
    ['digits that are none', ['２０２６-01-01'], 'from_date'],
    ['a last day in another form', [day(0), '2026-1-01'], 'to_date'],
    ['the last day “infinity”', [day(0), 'infinity'], 'to_date'],
    ['nobody', [day(0), '', { singerHandle: 'nobody' }], 'singer_handle'],
    ['somebody who does not sing', [day(0), '', { singerHandle: 'listener' }], 'singer_handle'],
    ['a rate below nothing', [day(0), '', { agentBp: -1 }], 'agent_bp'],
    ['a rate above 30 %', [day(0), '', { agentBp: 3_001 }], 'agent_bp'],
  ])
    test(`with ${name} names ${field}, and makes none`, async () => {
      const of = await channel();
      await refused(offer(of, ...args), 'invalid_argument', field);
      assert.deepEqual(await as('agent', 'ChannelService/ListContracts', { channelId: of.id }), {});
    });
  for (const [name, args, field] of [
    ['the 30th of February', ['2026-02-30'], 'from_date'],
    ['the 29th of February of a year without', ['2025-02-29'], 'from_date'],
    ['a thirteenth month', ['2026-13-01'], 'from_date'],
    ['a year nought', ['0000-01-01'], 'from_date'],
    ['a last day that does not exist', ['2026-01-01', '2026-02-30'], 'to_date'],
    ['a last day before the first', [day(0), day(-1)], 'to_date'],
    ['a last day that is the first', [day(0), day(0)], 'to_date'],
  ])
    test(`an offer with ${name} names ${field}, each time, and makes none`, async () => {
      const of = await channel();
      for (let i = 0; i < 9; ++i) await refused(offer(of, ...args), 'invalid_argument', field);
      assert.deepEqual(await as('agent', 'ChannelService/ListContracts', { channelId: of.id }), {});
      assert.equal(state(await offer(of, day(0))), 'OFFERED', 'and a right one is taken then');
    });
  test('is made by the channel’s own agent, and read by its two parties', async () => {
    const of = await channel();
    await refused(offer(of, day(0), '', { by: 'agent2' }), 'permission_denied');
    for (const by of ['singer', 'listener', 'ops']) await refused(offer(of, day(0), '', { by }), 'role_missing');
    const made = await offer(of, day(0));
    for (const by of ['agent2', 'other']) await refused(get(made, by), 'permission_denied');
    for (const by of ['listener', 'ops']) await refused(get(made, by), 'role_missing');
    await refused(as('agent2', 'ChannelService/ListContracts', { channelId: of.id }), 'permission_denied');
    assert.equal((await as('other', 'ChannelService/ListMyContracts')).contracts, undefined);
    assert.ok((await as('singer', 'ChannelService/ListMyContracts')).contracts.some((c) => c.id === made.id));
  });
});

describe('the singer', () => {
  test('declines: nothing is shared, and that is final', async () => {
    const of = await channel();
    const made = await offer(of, day(0));
    const no = await decide(made, false);
    assert.equal(state(no), 'DECLINED');
    assert.ok(Math.abs(Number(no.decidedAtMs) - Date.now()) < 30_000);
    assert.deepEqual(await decide(made, false), no, 'the same answer again changes nothing');
    await refused(decide(made, true), 'already_decided');
    for (const by of ['agent', 'singer']) await refused(end(made, by), 'already_decided');
    assert.deepEqual(await get(made), no);
    assert.deepEqual(await gift(of), alone);
  });
  test('accepts: it is shared, and that is final', async () => {
    const of = await channel();
    const made = await offer(of, day(0));
    const yes = await decide(made, true);
    assert.equal(state(yes), 'ACCEPTED');
    assert.deepEqual(await decide(made, true), yes);
    await refused(decide(made, false), 'already_decided');
    assert.deepEqual(await get(made), yes);
    assert.deepEqual(await gift(of), under(made));
  });
  test('of a yes and a no at once only one counts', async () => {
    const of = await channel();
    for (let i = 0; i < 5; ++i) {
      const made = await offer(of, day(10 + i), day(11 + i));
      const answers = await Promise.allSettled([decide(made, true), decide(made, false), decide(made, true), decide(made, false)]);
      const states = new Set(answers.filter((a) => a.status === 'fulfilled').map((a) => state(a.value)));
      assert.equal(states.size, 1);
      for (const a of answers.filter((one) => one.status === 'rejected')) assert.equal(a.reason.reason, 'already_decided');
      assert.ok(states.has(state(await get(made))));
    }
  });
  test('decides alone', async () => {
    const made = await offer(await channel(), day(0));
    await refused(decide(made, true, 'other'), 'permission_denied');
    for (const by of ['agent', 'listener', 'ops']) await refused(decide(made, true, by), 'role_missing');
    await refused(decide({ id: 999_999 }, true), 'permission_denied');
    assert.equal(state(await get(made)), 'OFFERED');
  });
});

describe('periods', () => {
  test('that touch do not overlap, nor do those of other channels, nor what is not accepted', async () => {
    const of = await channel();
    const first = await accepted(of, day(-10), day(0), { agentBp: 100 });
    const third = await accepted(of, day(2), '', { agentBp: 300 });
    const second = await accepted(of, day(0), day(2), { agentBp: 250 });
    assert.deepEqual([first, second, third].map(state), ['ENDED', 'ACCEPTED', 'ACCEPTED']);
    const elsewhere = await accepted(await channel(), day(-10), '', { agentBp: 400 });
    assert.equal(state(elsewhere), 'ACCEPTED');
    for (let i = 0; i < 2; ++i) assert.equal(state(await offer(of, day(-10))), 'OFFERED');
    assert.equal(state(await decide(await offer(of, day(-10)), false)), 'DECLINED');
    assert.deepEqual(await gift(of), under(second, 250));
    assert.deepEqual((await as('agent', 'ChannelService/ListContracts', { channelId: of.id })).contracts.map((c) => [state(c), c.agentBp]), [['DECLINED', 1_500], ['OFFERED', 1_500], ['OFFERED', 1_500], ['ACCEPTED', 250], ['ACCEPTED', 300], ['ENDED', 100]]);
  });
  test('accepting what overlaps with an accepted one is refused, each time; it stays an offer', async () => {
    const of = await channel();
    await accepted(of, day(0), day(10));
    for (const [from, to] of [[day(0), day(10)], [day(9), ''], [day(-5), day(1)], [day(-5), ''], [day(3), day(4)]]) {
      const made = await offer(of, from, to);
      for (let i = 0; i < 3; ++i) await refused(decide(made, true), 'contract_overlaps');
      assert.equal(state(await get(made)), 'OFFERED');
      assert.equal(state(await decide(made, false)), 'DECLINED');
    }
    const [a, b] = [await offer(of, day(20)), await offer(of, day(25))];
    const both = await Promise.allSettled([decide(a, true), decide(b, true)]);
    assert.deepEqual(both.map((x) => x.reason?.reason ?? 'accepted').sort(), ['accepted', 'contract_overlaps'], 'of two at once one');
  });
  for (const [name, from, to, holds] of [
    ['of today alone', 0, 1, true],
    ['that begins today', 0, undefined, true],
    ['that ended with yesterday', -1, 0, false],
    ['that begins tomorrow', 1, undefined, false],
    ['that ended the day before yesterday', -9, -1, false],
    ['that ends with tomorrow', -9, 2, true],
  ])
    test(`one ${name} ${holds ? 'shares' : 'does not share'}`, async () => {
      const of = await channel();
      const made = await accepted(of, day(from), to === undefined ? '' : day(to));
      assert.equal(state(made), to <= 0 ? 'ENDED' : 'ACCEPTED');
      assert.deepEqual(await gift(of), holds ? under(made) : alone);
    });
});

describe('its end', () => {
  for (const by of ['agent', 'singer']) {
    test(`an offer is taken back by the ${by}, and cannot be accepted any more`, async () => {
      const of = await channel();
      const made = await offer(of, day(0), day(5));
      const gone = await end(made, by);
      assert.deepEqual([state(gone), gone.fromDate, gone.toDate, gone.decidedAtMs], ['ENDED', day(0), day(5), undefined]);
      for (const accept of [true, false]) await refused(decide(made, accept), 'already_decided');
      assert.deepEqual(await end(made, by), gone);
      assert.deepEqual(await gift(of), alone);
    });
    test(`one that has not begun is gone at once by the ${by}; its days are free`, async () => {
      const of = await channel();
      const made = await accepted(of, day(1));
      assert.equal(state(await end(made, by)), 'ENDED');
      assert.equal(state(await get(made)), 'ENDED');
      assert.equal(state(await accepted(of, day(1), day(30))), 'ACCEPTED');
      await refused(decide(made, false), 'already_decided');
    });
    test(`one that has begun is ended by the ${by} with this day: it shares today, and not on the next`, async () => {
      const of = await channel();
      const made = await accepted(of, day(-3), day(40));
      const ending = await end(made, by);
      assert.deepEqual([state(ending), ending.fromDate, ending.toDate], ['ACCEPTED', day(-3), day(1)]);
      for (const again of ['agent', 'singer']) assert.deepEqual(await end(made, again), ending, 'ended twice is ended once');
      assert.deepEqual(await gift(of), under(made));
      const next = await accepted(of, day(1), '', { agentBp: 250 });
      assert.equal(state(next), 'ACCEPTED', 'the next may begin there');

      // A day goes by.
      await server.psql(`update channels.contract set from_date = from_date - 1, to_date = to_date - 1 where channel_id = ${of.id}`);
      const over = await get(made, by);
      assert.deepEqual([state(over), over.toDate], ['ENDED', day(0)]);
      assert.deepEqual(await gift(of), under(next, 250));
      for (const [who, method, request] of [['agent', 'ListContracts', { channelId: of.id }], ['singer', 'ListMyContracts', {}]])
        assert.deepEqual((await as(who, `ChannelService/${method}`, request)).contracts.find((c) => c.id === made.id), over);
      assert.deepEqual(await end(made, by), over);
      await refused(decide(made, false), 'already_decided');
    });
  }
  test('one that began today ends with today', async () => {
    const of = await channel();
    const made = await accepted(of, day(0));
    assert.equal((await end(made)).toDate, day(1));
    assert.deepEqual(await gift(of), under(made));
  });
  test('is never put off: one that ends today or is over stays as it is', async () => {
    const of = await channel();
    for (const [from, to, then] of [[-9, -4, 'ENDED'], [-2, 1, 'ACCEPTED']]) {
      const made = await accepted(of, day(from), day(to));
      const after = await end(made);
      assert.deepEqual([state(after), after.toDate], [then, day(to)]);
    }
  });
  test('is nobody else’s to say', async () => {
    const made = await accepted(await channel(), day(-1));
    for (const by of ['agent2', 'other']) await refused(end(made, by), 'permission_denied');
    for (const by of ['listener', 'ops']) await refused(end(made, by), 'role_missing');
    await refused(end({ id: 999_999 }), 'permission_denied');
    assert.equal((await get(made)).toDate, undefined);
  });
});

describe('what decides', () => {
  const cases = [
    ['ovation-default', undefined, [500, 5_500, 0, 4_000], [0, 6_000, 0, 4_000], false],
    ['ovation-default', 3_000, [500, 3_000, 3_000, 3_500], [0, 3_500, 3_000, 3_500], false],
    ['ovation-default', 0, [500, 6_000, 0, 3_500], [0, 6_500, 0, 3_500], false],
    ['agent-from-platform', undefined, [0, 5_000, 0, 5_000], null, false],
    ['agent-from-platform', 2_000, [0, 5_000, 1_000, 4_000], null, false],
    ['agent-from-creator', undefined, [0, 5_000, 0, 5_000], null, true],
    ['agent-from-creator', 1_500, [0, 3_500, 1_500, 5_000], null, true],
    ['half', undefined, [0, 5_000, 0, 5_000], null, true],
    ['half', 3_000, [0, 5_000, 0, 5_000], null, true],
    ['seventy', undefined, [0, 7_000, 0, 3_000], null, false],
    ['seventy', 3_000, [0, 7_000, 0, 3_000], null, false],
  ];
  for (const [preset, agentBp, onLicensed, onFree, gross] of cases)
    test(`${preset}, ${agentBp === undefined ? 'no contract: the channel' : `a contract of ${agentBp}: the contract`}${preset === 'ovation-default' && agentBp === undefined ? ' has nothing to say, so the preset' : ''}`, async () => {
      const of = await channel(preset);
      const contract = agentBp === undefined ? null : await accepted(of, day(0), '', { agentBp });
      const from = contract ? `contract ${contract.id}` : preset === 'ovation-default' ? 'preset' : `channel ${of.id}`;
      for (const [song, bp] of [[licensed, onLicensed], [free, onFree ?? onLicensed], [undefined, onFree ?? onLicensed]]) {
        const { agent, ...got } = await gift(of, song);
        assert.deepEqual(got, { preset, from, bp, gross });
        assert.equal(agent === undefined, bp[2] === 0);
      }
      if (contract) assert.deepEqual([contract.splitWith.rightsBp ?? 0, contract.splitWith.singerBp, contract.splitWith.agentBp ?? 0, contract.splitWith.platformBp], onLicensed, 'as the offer said');
    });
  test('the preview names the same source as the gift’s rule', async () => {
    const of = await channel();
    const made = await offer(of, day(0));
    const { from } = await gift(of, licensed);
    assert.equal(`${made.splitWithout.source}${made.splitWithout.sourceId ? ` ${made.splitWithout.sourceId}` : ''}`, from);
  });
  test('in a show without a song a contract holds from its acceptance on, and not after its end', async () => {
    const of = await channel();
    const room = await as('agent', 'RoomService/CreateRoom', { channelId: of.id, name: 'Room', singerHandle: 'singer' });
    await as('singer', 'RoomService/OpenShow', { roomId: room.id });
    const bp = async () => {
      await as('listener', 'GiftService/SendGift', { key: uuid7(), roomId: room.id, giftId: 1, quantity: 1, priceVersion: 1 });
      return (await as('listener', 'LedgerService/ListPostings', { account: 'wallet', pageSize: 1 })).postings[0].rule.agentBp ?? 0;
    };
    const seen = [await bp()];
    const made = await accepted(of, day(0));
    seen.push(await bp());
    await server.psql(`update channels.contract set from_date = from_date - 2, to_date = from_date where id = ${made.id}`);
    seen.push(state(await get(made)));
    assert.deepEqual(seen, [0, 1_500, 'ENDED']);
    // A day that ends is noticed within the time that a room believes what it knows.
    await until(async () => (await bp()) === 0, 7_000, 'the contract that ended shares no more');
    const open = await accepted(of, day(0));
    assert.equal(await bp(), 1_500);
    await as('agent', 'ChannelService/EndContract', { contractId: open.id });
    assert.equal(await bp(), 1_500, 'to the end of this day');
  });
  test('a contract in one channel means nothing in another', async () => {
    const [here, there] = [await channel(), await channel('seventy')];
    const made = await accepted(here, day(0));
    assert.deepEqual(await gift(here), under(made));
    assert.equal((await gift(there)).from, `channel ${there.id}`);
  });
  test('the channel’s revenue counts what the agent got', async () => {
    const of = await channel();
    await gift(of);
    await accepted(of, day(0), '', { agentBp: 1_000 });
    await gift(of);
    const revenue = await as('agent', 'ChannelService/GetChannelRevenue', { channelId: of.id });
    assert.deepEqual([revenue.gifts, revenue.coins, revenue.agentMicros], ['2', '40', '18868']);
    // Of 188 680 micros: 60 %, and under the contract 55 %.
    assert.deepEqual(revenue.singers.map((s) => [s.name, s.gifts, s.coins, s.agentMicros, s.singerMicros]), [['Wire singer', '2', '40', '18868', String(113_208 + 103_774)]]);
  });
});
test('the books are clean after all this', async () => {
  assert.equal((await server.ovation('ledger', 'verify', '--database', server.conninfo)).stderr, '');
});
