// What the tests of money out and money back share: a rich listener, gifts, and the books behind them.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { uuid7 } from './harness.mjs';

export const micros = 10_000n;
/** People with money to spend: `packs` top-ups of a pack, a limit that does not bind. */
export async function topUp(server, handle, packId, packs = 1) {
  const token = await server.logIn(handle);
  const orders = [];
  for (let i = 0; i < packs; ++i) {
    const order = await server.rpc('PaymentService/CreateTopUp', { key: randomUUID(), packId, provider: 'sandbox' }, { token });
    orders.push(await server.rpc('PaymentService/PaySandboxOrder', { orderId: order.orderId }, { token }));
  }
  const user = (await server.rpc('AuthService/GetMe', {}, { token })).user.id;
  await server.psql(`update ledger.wallet set daily_limit = 1000000000000 where user_id = ${user}`);
  return { token, user, orders };
}
/** For startServer: this month's run of payouts is over, so that none comes in between. */
export const noMonthlyRun = (psql) => psql("insert into payments.payout_run values (date_trunc('month', now() at time zone 'Asia/Shanghai'), now(), 0)");
/** One gift: glow sticks (1 coin each) or starfalls (13 140 coins). */
export const give = (server, room, token, { giftId = 11, quantity = 10, key = uuid7() } = {}) => server.rpc('GiftService/SendGift', { key, roomId: room.id, giftId, quantity, priceVersion: 1 }, { token });
/** Micros on an account, by its name, as the books have it now. */
export const standing = async (server, name) => BigInt((await server.psql(`select coalesce((select s.amount from ledger.standings s join ledger.account a on a.id = s.account_id where a.name = '${name}'), 0)`)) || 0);
/** A policy from now on. */
export const policy = (server, columns) => server.psql(`insert into payments.policy (${Object.keys(columns).join(', ')}) values (${Object.values(columns).join(', ')})`);
/** Every account together is nought, and every line of verify is good. */
export async function cleanBooks(server) {
  const { stdout } = await server.ovation('ledger', 'verify', '--database', server.conninfo);
  assert.match(stdout, /The books are clean/);
}
/** The legs of an entry: account name → micros. */
export async function legsOf(server, seq) {
  const rows = await server.psql(`select a.name, sum(u.amount) from ledger.entry e cross join lateral unnest(e.accounts, e.amounts) u (account, amount) join ledger.account a on a.id = u.account where e.seq = ${seq} group by 1 order by 1`);
  return Object.fromEntries(rows.split('\n').filter(Boolean).map((l) => l.split('|')).map(([name, amount]) => [name, BigInt(amount)]));
}
