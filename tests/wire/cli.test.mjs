// Whatever a person can get wrong with the `ovation` binary ends with a code other than 0 and a sentence on stderr that says what is
// wrong and what to do: no silence, no crash, no name of an exception.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { binary, environment, password, top, until } from './harness.mjs';

const run = promisify(execFile);
const pg = process.env.DEV_TEST_PG;
const names = { full: '', empty: '', newer: '', older: '', changed: '' };
let base, taken;
const at = (...parts) => path.join(base, ...parts);
const database = (name) => `host=${pg} dbname=${names[name] ?? name} user=ovation_app`;
const owner = (name) => `host=${pg} dbname=${names[name] ?? name} user=owner`;
const sql = (name, text) => run('psql', ['-X', '-h', pg, '-U', 'owner', '-d', names[name], '-v', 'ON_ERROR_STOP=1', '-qc', text]);

/** Runs to its end: {code, stdout, stderr}; a program that goes on is ended and has code null. */
function ovation(args, env = {}) {
  return new Promise((done) => {
    const child = spawn(binary(), args, { cwd: top, env: { ...environment(), ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (d) => (stdout += d));
    child.stderr.on('data', (d) => (stderr += d));
    const late = setTimeout(() => child.kill('SIGKILL'), 12_000);
    child.once('close', (code, signal) => {
      clearTimeout(late);
      done({ code, signal, stdout, stderr });
    });
  });
}
const internals = /terminate called|what\(\)|exception|std::|boost|asio|CLI::|toml::|nlohmann|\w+_error\b|\.[ch]pp\b|0x[0-9a-f]{6}|Assertion|\bSIG[A-Z]+|system:\d|generic:\d|\bat line 0\b|line 0:|^ERROR:/im;
const logLine = /^\d{4}-\d\d-\d\dT[\d:.]+\S* (debug|info|warning|error) /;

/** Not 0, no signal, and on stderr one sentence (a parser's own may have a second line: where the help is). */
function mistake(got, says, hint) {
  const shown = JSON.stringify(got);
  assert.equal(got.signal, null, `it ends by itself: ${shown}`);
  assert.ok(got.code > 0 && got.code < 128, `code ${got.code}: ${shown}`);
  const lines = got.stderr.split('\n').filter((l) => l.trim() && !logLine.test(l));
  assert.ok(lines.length >= 1, `stderr says something: ${shown}`);
  assert.ok(lines.length <= 2 && lines.join(' ').length <= 300, `one sentence: ${shown}`);
  assert.doesNotMatch(lines.join('\n'), internals);
  assert.match(lines.join(' '), says);
  if (hint) assert.match(lines.join(' '), hint, 'what to do');
}
const wrong = (name, args, says, hint, env) => test(name, async () => mistake(await ovation(typeof args === 'function' ? await args() : args, env), says, hint));

before(async () => {
  base = await fs.mkdtemp(path.join(os.tmpdir(), 'ovation-cli-'));
  await Promise.all(
    Object.keys(names).map(async (which) => {
      names[which] = `cli_${which}_${process.pid}_${randomBytes(3).toString('hex')}`;
      await run('createdb', ['-h', pg, '-U', 'owner', names[which]]);
    }),
  );
  for (const which of ['full', 'newer', 'older', 'changed']) assert.equal((await ovation(['migrate', '--owner-database', owner(which)])).code, 0);
  await sql('newer', 'update public.schema_migration set min_server = 99 where name = (select max(name) from public.schema_migration)');
  await sql('older', 'delete from public.schema_migration where name = (select max(name) from public.schema_migration)');
  await sql('changed', "update public.schema_migration set sha256 = 'x' where name = (select min(name) from public.schema_migration)");
  assert.equal((await ovation(['users', 'create', 'somebody', '--password', password, '--database', database('full')])).code, 0);
  taken = net.createServer().listen(0, '127.0.0.1');
  await new Promise((done) => taken.once('listening', done));
  await fs.mkdir(at('empty'));
  await fs.mkdir(at('songs'));
  await fs.mkdir(at('media'));
  await fs.writeFile(at('songs', 'bad.txt'), 'this is no song\n');
  await fs.writeFile(at('a-file'), 'x');
  await fs.writeFile(at('bad.toml'), 'port = = 1\n');
  await fs.writeFile(at('key.toml'), 'prot = 8080\n');
  await fs.writeFile(at('type.toml'), 'port = [1]\n');
  await fs.writeFile(at('range.toml'), 'port = 70000\n');
  await fs.writeFile(at('text.toml'), 'port = "many"\n');
  await fs.writeFile(at('not.pem'), 'not a certificate\n');
  for (const who of ['a', 'b'])
    await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1', '-subj', '/CN=localhost', '-keyout', at(`${who}.key`), '-out', at(`${who}.pem`)]);
});
after(async () => {
  taken?.close();
  for (const name of Object.values(names)) if (name) await run('dropdb', ['-h', pg, '-U', 'owner', '--if-exists', '--force', name]);
  if (base) await fs.rm(base, { recursive: true, force: true });
});

const full = () => ['--database', database('full')];
const serve = (...more) => () => ['serve', ...(String(more).includes('--port') ? [] : ['--port', '0']), ...full(), '--media-root', at('media'), '--web-root', at('empty'), ...more.map((m) => (typeof m === 'function' ? m() : m))];

describe('what is said', () => {
  const help = /help/i;
  wrong('nothing', [], /subcommand/i, help);
  wrong('an unknown subcommand', ['dance'], /dance/, help);
  for (const group of ['ledger', 'boards', 'songs', 'users']) {
    wrong(`${group} and nothing more`, [group], /subcommand/i, help);
    wrong(`${group} and an unknown word`, [group, 'dance'], /dance/, help);
  }
  wrong('an unknown flag', ['serve', '--prot', '1'], /--prot/, help);
  wrong('a flag without its value', ['serve', '--port'], /--port/, help);
  wrong('a word too many', ['check', 'everything'], /everything/, help);
  wrong('a port that is a word', serve('--port', 'http'), /port.*"http".*whole number from 0 to 65535/);
  wrong('a port too large', serve('--port', '65536'), /port.*65536.*from 0 to 65535/);
  wrong('a port below zero', serve('--port=-1'), /port.*-1.*from 0 to 65535/);
  wrong('a fraction of a core', serve('--cores', '1.5'), /cores.*1\.5.*whole number/);
  wrong('no workers', serve('--workers', '0'), /workers.*from 1 to 64/);
  wrong('an empty number', serve('--workers', ''), /workers.*whole number/);
  wrong('a log level that there is not', serve('--log-level', 'loud'), /log_level.*loud/, /debug, info, warn or error/);
  wrong('a time zone that there is not', serve('--time-zone', 'Mars/Olympus'), /time_zone.*Mars\/Olympus/);
  wrong('an unknown variable', ['check'], /OVATION_PROT/, /--help/, { OVATION_PROT: '1' });
  wrong('a variable with a wrong value', ['check'], /port.*"many"/, undefined, { OVATION_PORT: 'many' });
});

describe('files', () => {
  const config = (file) => () => ['check', '--config', at(file)];
  wrong('a configuration that is not there', config('nowhere.toml'), /nowhere\.toml.*(not there|not found|cannot be read|does not exist|could not be opened)/i);
  wrong('a folder as configuration', config('empty'), /empty.*(cannot|could not|folder|directory)/i);
  wrong('a configuration that is no TOML', config('bad.toml'), /bad\.toml: line 1:/);
  wrong('an unknown key', config('key.toml'), /prot.*key\.toml.*no such setting/, /--help/);
  wrong('a key of the wrong type', config('type.toml'), /port.*text, a whole number, true or false/);
  wrong('a number out of range', config('range.toml'), /port.*70000.*from 0 to 65535/);
  wrong('a text for a number', config('text.toml'), /port.*"many".*whole number/);
  wrong('a list of words that is not there', serve('--words-file', () => at('no-words.txt')), /words_file.*no-words\.txt/);
  wrong('a folder as list of words', serve('--words-file', () => at('empty')), /words_file.*empty/);
  wrong('a certificate without a key', serve('--tls-cert', () => at('a.pem')), /tls_cert and tls_key.*both or none/);
  wrong('a key without a certificate', serve('--tls-key', () => at('a.key')), /tls_cert and tls_key.*both or none/);
  wrong('a certificate that is not there', serve('--tls-cert', () => at('no.pem'), '--tls-key', () => at('a.key')), /tls_cert.*no\.pem/);
  wrong('a certificate that is none', serve('--tls-cert', () => at('not.pem'), '--tls-key', () => at('a.key')), /tls_cert.*not\.pem/);
  wrong('a key that is not there', serve('--tls-cert', () => at('a.pem'), '--tls-key', () => at('no.key')), /tls_key.*no\.key/);
  wrong('the key of another certificate', serve('--tls-cert', () => at('a.pem'), '--tls-key', () => at('b.key')), /tls_key.*b\.key/);
});

describe('the address', () => {
  wrong('a port that is taken', () => serve('--port', String(taken.address().port))(), /Port \d+ of 127\.0\.0\.1 is taken/, /choose another port with --port/);
  wrong('a name for an address', serve('--address', 'localhost'), /address.*localhost is not an IP address/);
  wrong('an address of somebody else', serve('--address', '192.0.2.1', '--port', '8080'), /192\.0\.2\.1.*(not an address of this|cannot be listened|Cannot listen|Cannot assign)/i);
});

describe('the database', () => {
  const commands = {
    serve: (db) => ['serve', '--port', '0', '--media-root', at('media'), '--database', db],
    check: (db) => ['check', '--database', db],
    'ledger verify': (db) => ['ledger', 'verify', '--database', db],
    'ledger dump': (db) => ['ledger', 'dump', '--database', db],
    'boards rebuild': (db) => ['boards', 'rebuild', '--database', db],
    'songs import': (db) => ['songs', 'import', path.join(top, 'songs/demo'), '--keys', '0', '--media-root', at('media'), '--database', db],
    'users create': (db) => ['users', 'create', 'newcomer', '--password', password, '--database', db],
    'users grant': (db) => ['users', 'grant', 'somebody', '--role', 'ops', '--database', db],
  };
  for (const [name, args] of Object.entries({ ...commands, migrate: (db) => ['migrate', '--owner-database', db] })) {
    wrong(`${name}: nobody listens there`, () => args(`host=${at('empty')} dbname=x user=y`), /database/i, /is PostgreSQL running|running/i);
    wrong(`${name}: there is no such database`, () => args(`host=${pg} dbname=nowhere user=owner`), /database "nowhere" does not exist/);
  }
  wrong('there is no such role', () => ['check', '--database', `host=${pg} dbname=${names.full} user=nobody`], /role "nobody" does not exist/);
  wrong('no connection string', ['check', '--database', 'nonsense'], /database|connection/i);
  for (const [name, args] of Object.entries(commands)) wrong(`${name}: the schema is missing`, () => args(database('empty')), /empty|no schema|schema/i, /ovation migrate/);
  for (const name of ['serve', 'check']) {
    wrong(`${name}: the schema is newer than this server`, () => commands[name](database('newer')), /schema.*newer server/);
    wrong(`${name}: the schema is older than this server`, () => commands[name](database('older')), /Migration \S+ is missing/, /ovation migrate/);
  }
  wrong('migrate: an applied migration was changed', () => ['migrate', '--owner-database', owner('changed')], /Migration 0001\S* was applied with another text/, /a change is a new migration/);
  wrong('migrate: by a role that may not', () => ['migrate', '--owner-database', database('empty')], /permission denied|may not/i);
});

describe('people', () => {
  const create = (...more) => () => ['users', 'create', ...more, ...full()];
  wrong('a name that is taken', create('somebody', '--password', password), /name is taken/, /Choose another/);
  wrong('a name with capitals', create('Somebody', '--password', password), /handle.*3 to 32 of a-z, 0-9, _ and -/);
  wrong('a name too short', create('ab', '--password', password), /handle.*3 to 32/);
  wrong('no password', create('newcomer'), /--password/, /help|required/i);
  wrong('a password too short', create('newcomer', '--password', 'short'), /password.*8 to 128/);
  wrong('a display name too long', create('newcomer', '--password', password, '--name', '歌'.repeat(41)), /display_name.*1 to 40/);
  wrong('an unknown role', create('newcomer', '--password', password, '--role', 'king'), /no role "king"/, /singer, agent, ops/);
  wrong('a role that nobody can have yet', create('newcomer', '--password', password, '--role', 'kiosk'), /no role "kiosk"/, /singer, agent, ops/);
  wrong('a role for nobody', () => ['users', 'grant', 'nobody', '--role', 'ops', ...full()], /nobody called nobody/);
  wrong('an unknown role to grant', () => ['users', 'grant', 'somebody', '--role', 'king', ...full()], /no role "king"/);
  wrong('a grant of nothing', () => ['users', 'grant', 'somebody', ...full()], /role/);
  test('none of this made an account', async () => {
    const { stdout } = await run('psql', ['-X', '-h', pg, '-U', 'owner', '-d', names.full, '-Atqc', "select string_agg(subject || roles, ' ') from identity.users"]);
    assert.equal(stdout.trim(), 'somebody4');
  });
});

describe('songs', () => {
  const bring = (folder, media = 'media') => () => ['songs', 'import', at(folder), '--media-root', at(media), ...full()];
  wrong('a folder that is not there', bring('nowhere'), /nowhere.*(not there|does not exist)|no (such )?folder .*nowhere/i);
  wrong('one file that is no song', bring('a-file'), /a-file/);
  wrong('a folder without songs', bring('empty'), /no \.txt .*file in .*empty/);
  wrong('a file that is no song', bring('songs'), /bad\.txt/);
  wrong('a media folder that cannot be', () => ['songs', 'import', path.join(top, 'songs/demo'), '--keys', '0', '--media-root', at('a-file', 'media'), ...full()], /a-file/);
});

describe('programs that talk to a server', () => {
  let server;
  let url;
  before(async () => {
    server = spawn(binary(), serve()(), { cwd: top, env: environment(), stdio: ['ignore', 'pipe', 'ignore'] });
    let out = '';
    server.stdout.on('data', (d) => (out += d));
    url = (await until(() => /^listening (\S+)$/m.exec(out), 20_000, 'the server listens'))[1];
  });
  after(async () => {
    if (server?.exitCode !== null) return;
    const ended = new Promise((done) => server.once('exit', done));
    process.kill(server.pid, 'SIGTERM');
    await ended;
  });
  const publish = (more) => () => ['publish', at('a-file'), '--url', url, '--handle', 'somebody', '--password', password, '--room', '1', ...more];
  wrong('demo people on a server without --demo', () => ['demo', '--url', url, '--seconds', '-1'], /./, /--demo/);
  wrong('demo: nobody listens there', ['demo', '--url', 'http://127.0.0.1:1'], /Cannot reach 127\.0\.0\.1 port 1/, /Is the server running/);
  wrong('demo: no URL', ['demo', '--url', 'nonsense'], /url.*nonsense/, /http:\/\//);
  wrong('demo: seconds that are no number', ['demo', '--seconds', 'long'], /seconds/);
  wrong('publish: no file', () => ['publish', at('nowhere.opus'), ...publish([])().slice(2)], /nowhere\.opus/);
  wrong('publish: a file that is no Ogg Opus', publish([]), /Ogg|Opus/);
  wrong('publish: a room that is no number', publish(['--room', 'blue']), /room/);
  wrong('publish: without what it needs', () => ['publish', at('a-file')], /--\w+/, /required/i);
  test('a demo that was refused left no account behind', async () => {
    const { stdout } = await run('psql', ['-X', '-h', pg, '-U', 'owner', '-d', names.full, '-Atqc', 'select count(*) from identity.users']);
    assert.equal(stdout.trim(), '1');
  });
});

describe('what is no mistake', () => {
  for (const args of [['--help'], ['serve', '--help'], ['--version'], ['songs', 'import', '--help']])
    test(`${args.join(' ')} ends with 0 and says nothing on stderr`, async () => {
      const got = await ovation(args);
      assert.deepEqual([got.code, got.stderr], [0, '']);
      assert.ok(got.stdout.length > 0);
    });
  test('migrate twice applies nothing the second time', async () => {
    const got = await ovation(['migrate', '--owner-database', owner('full')]);
    assert.deepEqual([got.code, got.stdout], [0, '0 migrations applied\n']);
  });
  test('check shows the settings, and no password', async () => {
    const got = await ovation(['check', '--database', `${database('full')} password=hunter2`, '--sandbox-key', 'hunter3']);
    assert.equal(got.code, 0, got.stderr);
    assert.match(got.stdout, /^port = 8080$/m);
    assert.doesNotMatch(got.stdout + got.stderr, /hunter/);
  });
});
