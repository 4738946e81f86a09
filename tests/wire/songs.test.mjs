// The catalogue's tools with real files: import of both formats and of sound that is not WAV, lint, export, a mended encoding.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import net from 'node:net';
import { startServer, until } from './harness.mjs';

let server, folder, ops;
const bytesOf = (text, encoding) => execFileSync('iconv', ['-f', 'UTF-8', '-t', encoding], { input: text });
const song = async (title) => {
  const found = (await server.rpc('SongService/ListSongs', { pageSize: 200 })).songs.find((s) => s.title === title);
  assert.ok(found, `${title} is in the catalogue`);
  return server.rpc('SongService/GetSong', { songId: found.id });
};
const words = (s) => s.lines.map((l) => l.syllables.map((x) => x.text).join('')).join('/');
const text = (title, line) => `#VERSION:1.0.0\n#TITLE:${title}\n#ARTIST:Test\n#LANGUAGE:German\n#GENRE:Folk\n#BPM:120\n#GAP:1000\n: 0 4 0 ${line}\n: 8 4 2 la\nE\n`;
const legacy = (title, line) => text(title, line).replace('#VERSION:1.0.0\n', '');
const lrc = (title, line) => `[ti:${title}]\n[ar:Test]\n[00:01.00]${line}\n[00:04.50]zweite Zeile\n`;
before(async () => {
  server = await startServer();
  ops = { token: await server.logIn('ops') };
  folder = path.join(server.base, 'new');
  await fs.mkdir(folder);
  const sound = (name, codec) => execFileSync('ffmpeg', ['-loglevel', 'error', '-f', 'lavfi', '-i', 'sine=frequency=440:duration=6', '-c:a', codec, path.join(folder, name)]);
  await fs.writeFile(path.join(folder, 'plain.txt'), text('Plain', 'schön'));
  await fs.writeFile(path.join(folder, 'flac.txt'), text('With FLAC', 'schön').replace('#BPM', '#AUDIO:flac.flac\n#BPM'));
  sound('flac.flac', 'flac');
  await fs.writeFile(path.join(folder, 'words.lrc'), lrc('Words', 'erste Zeile'));
  sound('words.mp3', 'libmp3lame');
  await fs.writeFile(path.join(folder, 'legacy.txt'), bytesOf(legacy('Legacy', 'żółć'), 'CP1250'));
  await fs.writeFile(path.join(folder, 'chinese.lrc'), bytesOf(lrc('歌词', '长亭外'), 'GB18030'));
  sound('chinese.ogg', 'libvorbis');
});
after(() => server?.stop());
const imports = (...more) => server.ovation('songs', 'import', ...more, '--keys', '0', '--media-root', server.media, '--database', server.conninfo);

test('UltraStar and LRC are imported, with sound of other kinds', async () => {
  for (const name of ['plain.txt', 'flac.txt', 'words.lrc']) await imports(path.join(folder, name));
  assert.equal(words(await song('Plain')), 'schönla');
  const flac = await song('With FLAC');
  assert.ok(Number(flac.durationSamples) >= 6 * 48_000 - 960, flac.durationSamples);
  const of = await song('Words');
  assert.deepEqual([words(of), of.scored ?? false, of.lines[1].start], ['erste Zeile/zweite Zeile', false, String(4.5 * 48_000)]);
});
test('the catalogue is listed by language and genre, and the most sung first', async () => {
  const titles = async (q) => ((await server.rpc('SongService/ListSongs', q)).songs ?? []).map((s) => s.title);
  assert.deepEqual((await titles({ language: 'german' })).sort(), ['Plain', 'With FLAC']);
  assert.deepEqual(await titles({ genre: 'Folk', language: 'Chinese' }), []);
  await server.psql("update songs.song set plays = 7 where title = 'With FLAC'; update songs.song set plays = 3 where title = 'Words'");
  assert.deepEqual((await titles({ popular: true })).slice(0, 2), ['With FLAC', 'Words']);
});
test('a file in an old encoding is read as its operator says, and exported as UTF-8', async () => {
  await imports(path.join(folder, 'chinese.lrc'), '--encoding', 'GB18030');
  const of = await song('歌词');
  assert.equal(words(of), '长亭外/zweite Zeile');
  const { stdout } = await server.ovation('songs', 'export', of.id, '--database', server.conninfo);
  assert.match(stdout, /长亭外/);
});
test('an operator mends a wrong guess; it is audited, and the export follows', async () => {
  await imports(path.join(folder, 'legacy.txt'), '--encoding', 'CP1252');
  const wrong = await song('Legacy');
  assert.notEqual(words(wrong), 'żółćla');
  await assert.rejects(server.rpc('SongService/MendEncoding', { songId: wrong.id, encoding: 'nonsense', reason: 'a try' }, ops), (e) => e.code === 'invalid_argument');
  const mended = await server.rpc('SongService/MendEncoding', { songId: wrong.id, encoding: 'CP1250', reason: 'it is Polish' }, ops);
  assert.equal(words(mended), 'żółćla');
  assert.equal(words(await song('Legacy')), 'żółćla');
  const { stdout } = await server.ovation('songs', 'export', wrong.id, '--database', server.conninfo);
  assert.match(stdout, /żółć/);
  const [row] = (await server.rpc('OpsService/ListAudit', {}, ops)).rows;
  assert.deepEqual([row.action, row.reason], ['mend_encoding', 'it is Polish']);
});
test('lint names each deviation with its line, and fails where a file cannot be read', async () => {
  const odd = path.join(folder, 'odd.txt');
  await fs.writeFile(odd, text('Odd', 'la').replace('E\n', 'rubbish here\nE\n'));
  const { stdout } = await server.ovation('songs', 'lint', odd);
  assert.match(stdout, /odd\.txt:10: .*rubbish|odd\.txt:10.*junk_line|10.*junk_line/);
  await fs.writeFile(path.join(folder, 'none.txt'), 'no song at all');
  await assert.rejects(server.ovation('songs', 'lint', path.join(folder, 'none.txt')), (e) => e.code === 1);
});
test('a song whose sound is not there gets a backing from its notes, and says so', async () => {
  await fs.writeFile(path.join(folder, 'lost.txt'), text('Lost sound', 'la').replace('#BPM', '#AUDIO:lost.mp3\n#BPM'));
  await imports(path.join(folder, 'lost.txt'));
  const lost = await song('Lost sound');
  assert.equal(await server.psql(`select deviations->0->>'code' from songs.song where id = ${lost.id}`), 'audio_missing');
  assert.equal(await server.psql(`select count(*) > 0 from songs.rendition where song_id = ${lost.id}`), 't');
});
test('a large file of sound goes out in pieces: whole, over one connection, and without being held in memory', async () => {
  const size = 64 << 20;
  const big = path.join(server.media, 'big.opus');
  await fs.writeFile(big, '');
  await fs.truncate(big, size);
  const end = await fs.open(big, 'r+');
  await end.write('the end', size - 7);
  await end.close();
  const rss = async () => Number(/VmRSS:\s+(\d+)/.exec(await fs.readFile(`/proc/${server.child().pid}/status`, 'utf8'))[1]) * 1024;
  const before = await rss();
  // Eight who ask and do not read.
  const slow = Array.from({ length: 8 }, () => net.connect(server.port, '127.0.0.1').pause());
  for (const s of slow) s.write('GET /media/big.opus HTTP/1.1\r\nHost: x\r\n\r\n');
  const bytes = Buffer.from(await (await fetch(`${server.url}/media/big.opus`)).arrayBuffer());
  assert.equal(bytes.length, size);
  assert.equal(bytes.subarray(-7).toString(), 'the end');
  const grown = (await rss()) - before;
  assert.ok(grown < size / 2, `${grown} bytes more in memory`);
  for (const s of slow) s.destroy();
  // Another request behind it on the same connection; HEAD says the length alone.
  const c = net.connect(server.port, '127.0.0.1');
  let got = 0, last = Buffer.alloc(0);
  c.on('data', (d) => ((got += d.length), (last = Buffer.concat([last, d]).subarray(-4_000))));
  c.write('HEAD /media/big.opus HTTP/1.1\r\nHost: x\r\n\r\nGET /media/big.opus HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  await until(() => /HTTP\/1\.1 200 OK[^]*\r\n\r\nok\n$/.test(last.toString('latin1').split('the end').at(-1)), 20_000, 'the next answer comes behind the file');
  assert.ok(got > size && got < size + 4_000, `${got}`);
});
test('the guide is made in each key that the song is', async () => {
  const made = path.join(folder, 'keys.txt');
  await fs.writeFile(made, text('In keys', 'la'));
  await server.ovation('songs', 'import', made, '--keys', '-1:1', '--media-root', server.media, '--database', server.conninfo);
  const { renditions } = await song('In keys');
  const pitches = [];
  for (const key of [-1, 0, 1]) {
    const { guideUrl } = renditions.find((r) => (r.key ?? 0) === key && r.kbps === 96);
    const bytes = Buffer.from(await (await fetch(server.url + guideUrl)).arrayBuffer());
    const raw = execFileSync('ffmpeg', ['-loglevel', 'error', '-i', 'pipe:0', '-ss', '1.1', '-t', '0.3', '-f', 'f32le', '-ac', '1', '-ar', '48000', 'pipe:1'], { input: bytes });
    const x = new Float32Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + (raw.length & ~3)));
    // The lag at which the tone is most like itself: its period.
    let best = [0, -Infinity];
    for (let lag = 48_000 / 400; lag < 48_000 / 200; ++lag) {
      let like = 0;
      for (let i = 0; i + 240 < x.length; ++i) like += x[i] * x[i + lag];
      if (like > best[1]) best = [lag, like];
    }
    pitches.push(48_000 / best[0]);
  }
  for (const [i, semitones] of [-1, 0, 1].entries()) assert.ok(Math.abs(12 * Math.log2(pitches[i] / 261.63) - semitones) < 0.3, pitches.join(' '));
});
test('what is exported imports as the same song', async () => {
  for (const title of ['Plain', 'Words', '茉莉花']) {
    const before = await song(title);
    const { stdout } = await server.ovation('songs', 'export', before.id, '--database', server.conninfo);
    const again = path.join(folder, `again${title === 'Words' ? '.lrc' : '.txt'}`);
    await fs.writeFile(again, stdout);
    if (title === 'Words') await fs.copyFile(path.join(folder, 'words.mp3'), path.join(folder, 'again.mp3'));
    await imports(again);
    const after = await song(title);
    assert.deepEqual([after.id, after.lines], [before.id, before.lines], title);
  }
});
