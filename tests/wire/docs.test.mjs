// The pages say what the program does: docs/operating.md its settings and metrics, docs/wire.md its RPCs, frames, rules, reasons and close codes.
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { createFileRegistry, fromBinary, getOption } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { binary, environment, startServer, top } from './harness.mjs';

const run = promisify(execFile);
const page = (name) => readFileSync(path.join(top, 'docs', name), 'utf8');
const operating = page('operating.md');
const wire = page('wire.md');
const cells = (line) => line.split(/(?<!\\)\|/).slice(1, -1).map((c) => c.trim());

const folder = mkdtempSync(path.join(os.tmpdir(), 'ovation-docs-'));
const protos = readdirSync(path.join(top, 'proto/ovation/v1')).map((f) => `ovation/v1/${f}`);
execFileSync('protoc', ['-I', path.join(top, 'proto'), '--include_imports', `--descriptor_set_out=${path.join(folder, 'set')}`, ...protos]);
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(path.join(folder, 'set'))));

describe('operating.md', () => {
  let server;
  before(async () => (server = await startServer({ songs: false })));
  after(() => server?.stop());
  // A table of settings: | `name` | default | meaning |
  const listed = operating.split('\n').filter((l) => /^\| `\w+` \|/.test(l)).map(cells).map(([name, standard, meaning]) => ({ name: name.slice(1, -1), standard, meaning }));

  test('lists the settings of `ovation serve --help`, in its order and words', async () => {
    const { stdout } = await run(binary(), ['serve', '--help'], { env: environment(), cwd: top });
    const flags = [...stdout.matchAll(/^ {2}--([a-z-]+)(?: TEXT)?\s+(\S.*)$/gm)].map(([, name, meaning]) => ({ name: name.replaceAll('-', '_'), meaning })).filter((f) => f.name !== 'config');
    assert.ok(flags.length > 15, stdout);
    assert.deepEqual(listed.map(({ name, meaning }) => ({ name, meaning })), flags);
  });
  test('has the default of each setting', async () => {
    const { stdout } = await run(binary(), ['check', '--database', `host=${process.env.DEV_TEST_PG} dbname=${server.database} user=ovation_app`], { env: environment(), cwd: top });
    const standards = new Map([...stdout.matchAll(/^(\w+) = (.*)$/gm)].map(([, name, value]) => [name, value === '""' ? 'empty' : value]));
    for (const secret of ['database', 'owner_database', 'sandbox_key']) standards.delete(secret);
    for (const [name, value] of standards) assert.equal(listed.find((s) => s.name === name)?.standard, value, name);
    assert.ok(standards.size > 15);
  });
  test('lists the metrics of GET /metrics, with type and meaning', async () => {
    const text = await (await fetch(`${server.url}/metrics`)).text();
    const types = new Map([...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name, type]));
    const given = [...text.matchAll(/^# HELP (\S+) (.*)$/gm)].map(([, name, meaning]) => `${name} (${types.get(name)}): ${meaning}`);
    const written = [...operating.matchAll(/^- `(\w+)(?:\{[\w,]+\})?` \((\w+)\): (.*)$/gm)].map(([, name, type, meaning]) => `${name} (${type}): ${meaning}`);
    assert.ok(given.length > 10);
    assert.deepEqual(written.sort(), [...new Set(given)].sort());
  });
  test('names the labels of a metric as they are', async () => {
    const text = await (await fetch(`${server.url}/metrics`)).text();
    const labelled = new Map([...text.matchAll(/^(\w+)\{([^}]*)\} /gm)].filter(([, name]) => !name.endsWith('_bucket')).map(([, name, labels]) => [name, labels.replace(/="[^"]*"/g, '')]));
    const written = new Map([...operating.matchAll(/^- `(\w+)\{([\w,]+)\}`/gm)].map(([, name, labels]) => [name, labels]));
    assert.deepEqual([...written], [...labelled]);
  });
});

describe('formats.md', () => {
  test('has each deviation that the readers name, and no other', () => {
    const text = ['ultrastar', 'lrc', 'import'].map((n) => readFileSync(path.join(top, 'songs', `${n}.cpp`), 'utf8')).join('\n');
    const given = new Set([...text.matchAll(/(?:note_deviation|deviates)\((?:\w+ \? )?"(\w+)"(?: : "(\w+)")?|deviations\.push_back\(\{\w+, "(\w+)"/g)].flatMap((m) => m.slice(1).filter(Boolean)));
    const written = new Set(page('formats.md').split('\n').filter((l) => l.startsWith('| `')).flatMap((l) => [...cells(l)[0].matchAll(/`([a-z_]+)`/g)].map((m) => m[1])));
    assert.ok(given.size > 25);
    assert.deepEqual([...written].sort(), [...given].sort());
    const tests = ['unit/formats_test.cpp', 'wire/songs.test.mjs'].map((n) => readFileSync(path.join(top, 'tests', n), 'utf8')).join('\n');
    assert.deepEqual([...given].filter((code) => !new RegExp(`["']${code}["']`).test(tests)), [], 'each of them is in a test');
  });
});

describe('wire.md', () => {
  const option = { rpc: registry.getExtension('ovation.v1.access'), live: registry.getExtension('ovation.v1.live_access') };
  const wordOf = (kind, n, cut) => registry.getEnum(`ovation.v1.${kind}`).value[n].name.slice(cut).toLowerCase().replaceAll('_', ' ');
  // What the line of a call must say of its rule.
  const words = (rule) => [
    ...rule.roles.map((r) => wordOf('Role', r, 5)),
    ...(wordOf('Relation', rule.relation, 9) === 'any' ? [] : [wordOf('Relation', rule.relation, 9)]),
    ...(rule.needsKey ? ['key'] : []),
    ...(rule.audited ? ['audited'] : []),
    ...(rule.safe ? ['GET'] : []),
  ];
  const lines = wire.split('\n').filter((l) => l.startsWith('|'));
  /** What is wrong with the table row that begins with `name`. */
  const judged = (name, rule) => {
    const mine = lines.filter((l) => cells(l)[0] === `\`${name}\``);
    if (mine.length !== 1) return [`${name}: ${mine.length} rows of a table begin with it`];
    const rest = cells(mine[0]).slice(1).join(' ');
    const roles = [...rest.matchAll(/\b(anyone|audience|singer|agent|ops|finance|integrator)\b(?! of| party)/g)].map((m) => m[1]);
    const missing = words(rule).filter((w) => !rest.includes(w)).map((w) => `${name}: its row does not say "${w}"`);
    const extra = roles.filter((r) => !words(rule).join(' ').includes(r)).map((r) => `${name}: its row says "${r}", the rule does not`);
    return [...missing, ...extra];
  };
  for (const service of [...registry].filter((t) => t.kind === 'service'))
    test(`has each RPC of ${service.name} with its rule`, () => assert.deepEqual(service.methods.flatMap((m) => judged(`${service.name}/${m.name}`, getOption(m, option.rpc))), []));
  const members = (message, oneof) => registry.getMessage(`ovation.v1.${message}`).oneofs.find((o) => o.name === oneof).fields;
  test('has each command of a ClientFrame with its rule', () => assert.deepEqual(members('ClientFrame', 'command').flatMap((f) => judged(f.name, getOption(f, option.live))), []));
  test('has each body of a ServerFrame', () => assert.deepEqual(members('ServerFrame', 'body').map((f) => f.name).filter((n) => !wire.includes(`\`${n}\``)), []));

  const sources = (...folders) => folders.flatMap((f) => readdirSync(path.join(top, f)).filter((n) => /\.[ch]pp$/.test(n)).map((n) => readFileSync(path.join(top, f, n), 'utf8'))).join('\n');
  test('has each reason that the sources give, and no other', () => {
    const text = sources('base', 'identity', 'ledger', 'songs', 'gifts', 'payments', 'channels', 'rooms', 'server');
    const given = new Set([...text.matchAll(/\b(?:denied|precondition|exhausted|unavailable|unauthenticated)\(\s*"([a-z_]+)"/g), ...text.matchAll(/\breason = "([a-z_]+)"/g)].map((m) => m[1]));
    for (const always of ['invalid_argument', 'not_found', 'internal']) given.add(always);
    // What only the command line says, and what is answered in another way.
    for (const local of ['no_schema', 'schema_too_old', 'schema_too_new', 'migration_changed', 'not_the_owner', 'disk_full', 'no_ffmpeg', 'seal_broken', 'books_shorter', 'books_changed', 'not_proven', 'month_open', 'month_not_over', 'earlier_month_open']) given.delete(local);
    for (const inside of ['redis_absent', 'redis_lost', 'redis_refused', 'boards_refilled']) given.delete(inside);
    const rows = wire.slice(wire.indexOf('| reason'), wire.indexOf('## Live')).split('\n').filter((l) => l.startsWith('| `'));
    const written = new Set(rows.flatMap((l) => [...cells(l)[0].matchAll(/`([a-z_]+)`/g)].map((m) => m[1])));
    assert.deepEqual({ missing: [...given].filter((r) => !written.has(r)).sort(), invented: [...written].filter((r) => !given.has(r)).sort() }, { missing: [], invented: [] });
  });
  test('each reason has a sentence in the pages, in Chinese too', () => {
    const rows = wire.slice(wire.indexOf('| reason'), wire.indexOf('## Live')).split('\n').filter((l) => l.startsWith('| `'));
    const written = rows.flatMap((l) => [...cells(l)[0].matchAll(/`([a-z_]+)`/g)].map((m) => m[1]));
    const source = readFileSync(path.join(top, 'web/src/lib/refusals.ts'), 'utf8');
    const table = source.slice(source.indexOf('= {'));
    const said = new Set([...table.matchAll(/\s([a-z_]+): \[/g)].map((m) => m[1]));
    assert.deepEqual({ missing: written.filter((r) => !said.has(r)), invented: [...said].filter((r) => !written.includes(r)) }, { missing: [], invented: [] });
  });
  test('has each close code of our own', () => {
    const codes = [...sources('rooms').matchAll(/\bclose_\w+ = (4\d{3})/g)].map((m) => m[1]);
    assert.ok(codes.length >= 5);
    const written = lines.flatMap((l) => [...cells(l)[0].matchAll(/\b(4\d{3})\b/g)].map((m) => m[1]));
    assert.deepEqual(written.sort(), codes.sort());
  });
});
