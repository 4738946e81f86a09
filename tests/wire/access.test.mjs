// The authorisation matrix, generated from the access rules in the .proto: every RPC and every live command × every role ×
// an object in the caller's relation / somebody else's.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { randomUUID } from 'node:crypto';
import { createFileRegistry, fromBinary, getOption } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { startServer, top } from './harness.mjs';
import { Live } from './raw.mjs';

// What the gate itself says; anything else means that the rule let the call through.
const refusedByGate = new Set(['log_in_first', 'role_missing', 'permission_denied']);

const out = path.join(mkdtempSync(path.join(os.tmpdir(), 'ovation-access-')), 'set.binpb');
execFileSync('protoc', ['-I', path.join(top, 'proto'), '--include_imports', `--descriptor_set_out=${out}`, ...readdirSync(path.join(top, 'proto/ovation/v1')).map((n) => `ovation/v1/${n}`)]);
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(out)));
const accessOption = registry.getExtension('ovation.v1.access');
const liveOption = registry.getExtension('ovation.v1.live_access');
const enumName = (name, n) => registry.getEnum(`ovation.v1.${name}`).value[n].name;

const roleNames = { guest: [], listener: ['AUDIENCE'], listener2: ['AUDIENCE'], helper: ['AUDIENCE'], singer: ['AUDIENCE', 'SINGER'], singer2: ['AUDIENCE', 'SINGER'], agent: ['AUDIENCE', 'AGENT'], agent2: ['AUDIENCE', 'AGENT'], ops: ['AUDIENCE', 'OPS'], finance: ['AUDIENCE', 'FINANCE'], integrator: ['AUDIENCE', 'INTEGRATOR'] };
let server;
const world = [];  // two of everything: index 0 belongs to agent/singer/listener, 1 to agent2/singer2/listener2

const detailReason = (e) => {
  const value = e.details?.[0]?.value;
  if (!value) return '';
  const bytes = Buffer.from(value, 'base64');
  return bytes[0] === 0x0a ? bytes.subarray(2, 2 + bytes[1]).toString() : '';
};
before(async () => {
  server = await startServer({ flags: ['--load-profile'], songs: false });
  for (const [user, roles] of Object.entries(roleNames)) {
    if (user === 'guest') continue;
    const handle = `m-${user}`;
    const made = await server.rpc('AuthService/Register', { handle, displayName: user, password: 'access-matrix-1' });
    const bits = roles.reduce((b, r) => b | (1 << registry.getEnum('ovation.v1.Role').values.find((v) => v.name === `ROLE_${r}`).number), 0);
    await server.psql(`update identity.users set roles = ${bits} where id = ${made.user.id}`);
  }
  const log = async (user) => (await server.rpc('AuthService/LogIn', { handle: `m-${user}`, password: 'access-matrix-1' })).accessToken;
  for (const [i, names] of [['agent', 'singer', 'listener'], ['agent2', 'singer2', 'listener2']].entries()) {
    const [agent, singer, listener] = await Promise.all(names.map(log));
    const channel = await server.rpc('ChannelService/CreateChannel', { name: `matrix ${i}` }, { token: agent });
    const room = await server.rpc('RoomService/CreateRoom', { channelId: channel.id, name: 'matrix', singerHandle: `m-${names[1]}` }, { token: agent });
    await server.rpc('RoomService/OpenShow', { roomId: room.id }, { token: singer });
    const contract = await server.rpc('ChannelService/OfferContract', { channelId: channel.id, singerHandle: `m-${names[1]}`, agentBp: 500, fromDate: '2026-01-01' }, { token: agent });
    const order = await server.rpc('PaymentService/CreateTopUp', { key: randomUUID(), packId: 1, provider: 'sandbox' }, { token: listener });
    const session = (await server.rpc('AuthService/ListSessions', {}, { token: listener })).sessions.at(-1);
    if (i === 0) await server.rpc('RoomService/NameHelper', { roomId: room.id, handle: 'm-helper' }, { token: singer });
    const recording = await server.psql(`
      with song as (insert into songs.song (content_hash, title, artist, duration_samples, source, lyrics) values ('matrix', 'matrix ${i}', 'matrix', 1, '', '{}') returning id),
        performance as (insert into rooms.performance (singer_id, song_id, ended_at) select u.id, song.id, now() from song, identity.users u where u.subject = 'm-${names[1]}' returning id, singer_id),
        recording as (insert into rooms.recording (performance_id, token, state) select id, 'matrix-recording-token-${i}', 'ready' from performance returning id)
      insert into rooms.recording_part (recording_id, singer_id) select recording.id, performance.singer_id from recording, performance returning recording_id`);
    const payout = await server.psql(`
      with y as (insert into payments.payee (user_id, method, holder, account, tax_scheme) select id, 'alipay', 'matrix', 'matrix', 'none' from identity.users where subject = 'm-${names[1]}' returning user_id)
      insert into payments.payout (user_id, key, asked_minor, origin, day, state, gross_minor, needs) select user_id, gen_random_uuid(), 0, 'demand', now(), 'paid', 1, 1 from y returning id`);
    const question = await server.psql(`insert into payments.money_case (key, kind, state, user_id, reason, opened_by) select gen_random_uuid(), 'question', 'open', id, 'matrix', id from identity.users where subject = 'm-${names[2]}' returning id`);
    world.push({ payout_id: payout, case_id: question, recording_id: recording, agent: names[0], singer: names[1], listener: names[2], channel_id: channel.id, room_id: room.id, contract_id: contract.id, order_id: order.orderId, session_id: session.id });
  }
});
after(() => server?.stop());

// Does `user` stand in this relation to object set `w`? Written down here, not asked of the server.
function stands(relation, subject, user, w) {
  switch (relation) {
    case 'RELATION_ANY': return true;
    case 'RELATION_OWN':
      if (subject === 'payout_id' && user === 'finance') return true; // the house may look, and cancel
      if (subject === 'case_id' && ['ops', 'finance'].includes(user)) return true;
      return user === (['recording_id', 'payout_id'].includes(subject) ? w.singer : w.listener);
    case 'RELATION_ROOM_SINGER': return user === w.singer;
    case 'RELATION_ON_STAGE': return user === w.singer; // nobody has the other seat
    case 'RELATION_ROOM_STAFF': return user === w.singer || user === w.agent || user === 'ops' || (user === 'helper' && w === world[0]);
    case 'RELATION_CHANNEL_AGENT': return user === w.agent;
    case 'RELATION_CONTRACT_SINGER': return user === w.singer;
    case 'RELATION_CONTRACT_PARTY': return user === w.singer || user === w.agent;
    default: throw new Error(`${relation} of ${subject}`);
  }
}
const mayRole = (rule, user) => rule.roles.some((r) => enumName('Role', r) === 'ROLE_ANYONE' || roleNames[user].includes(enumName('Role', r).slice(5)));

const services = [...registry].filter((t) => t.kind === 'service');
for (const service of services)
  for (const method of service.methods) {
    const rule = getOption(method, accessOption);
    const relation = enumName('Relation', rule.relation);
    test(`${service.name}/${method.name}: ${rule.roles.map((r) => enumName('Role', r).slice(5)).join(' ')}, ${relation.slice(9)}${rule.subject ? ` of ${rule.subject}` : ''}`, async () => {
      for (const user of Object.keys(roleNames))
        for (const [which, w] of (relation === 'RELATION_ANY' ? [world[0]] : world).entries()) {
          // A log-in of its own for each call: some of them end it.
          const token = user === 'guest' ? undefined : (await server.rpc('AuthService/LogIn', { handle: `m-${user}`, password: 'access-matrix-1' })).accessToken;
          const request = rule.subject ? { [method.input.field[Object.keys(method.input.field).find((k) => method.input.field[k].name === rule.subject)]?.jsonName ?? rule.subject]: w[rule.subject] } : {};
          if (rule.audited) request.reason = 'the matrix';
          let reason = '';
          try {
            await server.rpc(`${service.name}/${method.name}`, request, { token });
          } catch (e) {
            reason = detailReason(e);
          }
          const allowed = mayRole(rule, user) && stands(relation, rule.subject, user, w);
          assert.equal(!refusedByGate.has(reason), allowed, `${user}, object ${which}: ${reason || 'let through'}`);
        }
    });
  }

for (const field of registry.getMessage('ovation.v1.ClientFrame').oneofs.find((o) => o.name === 'command').fields) {
  const rule = getOption(field, liveOption);
  const relation = enumName('Relation', rule.relation);
  if (field.name === 'enter') continue;  // the rule of everybody; websocket.test.mjs enters in every way
  test(`live ${field.name}: ${rule.roles.map((r) => enumName('Role', r).slice(5)).join(' ')}, ${relation.slice(9)}`, async () => {
    for (const user of Object.keys(roleNames))
      for (const [which, w] of world.entries()) {
        const token = user === 'guest' ? '' : (await server.rpc('AuthService/LogIn', { handle: `m-${user}`, password: 'access-matrix-1' })).accessToken;
        const live = await Live.enter(server, w.room_id, { token });
        await live.command(2, { [field.jsonName]: {} });
        const answer = await live.reply(2);
        const allowed = mayRole(rule, user) && stands(relation, '', user, w);
        assert.equal(!refusedByGate.has(answer.refused?.detail?.reason ?? ''), allowed, `${user}, room ${which}: ${JSON.stringify(answer)}`);
        live.c.socket.destroy();
      }
  });
}
