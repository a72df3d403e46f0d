// The worked examples of docs/formats, put together to a log as the pages say and judged by the programs: a page that is wrong fails here.
import test from 'node:test';
import assert from 'node:assert/strict';
import { createDecipheriv, createHash, createHmac, randomBytes } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { once } from 'node:events';
import { ROOT, SALLYPORT, VERIFY, folder } from '../lib/gateway.mjs';
import { Notary } from '../lib/notary.mjs';
import { Witness } from '../lib/witness.mjs';

const page = name => fs.readFileSync(path.join(ROOT, 'docs/formats', name), 'utf8');
/** The indented blocks of a page, without their indentation. */
const blocks = name => [...page(name).matchAll(/(?:^ {4}.*\n(?:\n(?= {4}))?)+/gm)].map(([text]) => text.replace(/^ {4}/gm, '').replace(/\n+$/, '\n'));
/** Those of hexadecimal digits only, as bytes. */
const hexes = name => blocks(name).flatMap(text => text.split('\n\n')).filter(text => /^(?:[0-9a-f]{2}|\s)+$/.test(text)).map(text => Buffer.from(text.replace(/\s/g, ''), 'hex'));
const keys = name => [...page(name).matchAll(/^ {4}((?:PRIVATE\+KEY\+)?[a-z./]+\+[0-9a-f]{8}\+[A-Za-z0-9+/]+=*)$/gm)].map(([, key]) => key);

const entries = hexes('entry.md');
const [logKey, logSigner, witnessKey, witnessSigner] = keys('checkpoint.md');
const note = blocks('checkpoint.md').find(text => text.includes('\n— witness.example '));
const sha = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest();
const leaves = entries.map(entry => sha(Buffer.from([0]), entry));
const node = (left, right) => sha(Buffer.from([1]), left, right);
const origin = 'example.org/evidence';

const table = Array.from({ length: 256 }, (_, i) => { for (let k = 0; k < 8; k++) i = i & 1 ? i >>> 1 ^ 0x82F63B78 : i >>> 1; return i >>> 0; });
const crc32c = bytes => { let crc = 0xFFFFFFFF; for (const byte of bytes) crc = crc >>> 8 ^ table[(crc ^ byte) & 255]; return (crc ^ 0xFFFFFFFF) >>> 0; };

/** segment.md: one batch with all entries. */
function segment() {
  const header = Buffer.alloc(4096), salt = randomBytes(16);
  header.write('SPEVSEG1', 0);
  header.writeUInt32LE(1, 8);
  header.writeUInt32LE(4096, 12);
  Buffer.from(Array.from({ length: 16 }, (_, i) => i)).copy(header, 16);
  salt.copy(header, 40);
  header.fill(0xFF, 56, 64);
  header.writeUInt16LE(origin.length, 112);
  header.write(origin, 114);
  header.writeUInt32LE(crc32c(header.subarray(0, 4092)), 4092);
  const payload = Buffer.concat(entries.flatMap(entry => { const record = Buffer.alloc(5); record[0] = 1; record.writeUInt32LE(entry.length, 1); return [record, entry]; }));
  const frame = Buffer.alloc(48);
  frame.writeUInt32LE(1, 0);
  frame.writeUInt32LE(payload.length, 4);
  frame.writeUInt32LE(entries.length, 16);
  frame.writeUInt32LE(entries.length, 20);
  salt.copy(frame, 24);
  frame.writeUInt32LE(crc32c(Buffer.concat([frame.subarray(0, 40), payload])), 40);
  return Buffer.concat([header, frame, payload, Buffer.alloc(-(payload.length) & 7)]);
}

test('the entries, the head and the cosignature of the pages are a log that the verifier calls valid and witnessed', () => {
  assert.equal(entries.length, 3);
  const dir = folder();
  fs.mkdirSync(path.join(dir, 'segments'));
  fs.writeFileSync(path.join(dir, 'segments', '0'.repeat(20) + '.seg'), segment());
  fs.writeFileSync(path.join(dir, 'checkpoint'), note);
  const run = () => { const { status, stdout } = spawnSync(VERIFY, [dir, '--key', logKey, '--witness', witnessKey, '--json'], { encoding: 'utf8' }); return { status, report: JSON.parse(stdout) }; };
  const { status, report } = run();
  assert.equal(status, 0, JSON.stringify(report));
  assert.deepEqual([report.entries, report.signed_entries, report.witnessed_entries, report.heads], [3, 3, 3, 1]);
  for (const [name, code] of [['witness.example', 'witness'], [origin + '/epoch-1', 'epoch'], [origin, 'head-signature']]) {
    fs.writeFileSync(path.join(dir, 'checkpoint'), note.replace(new RegExp(`(— ${name} .{20})(.)`), (all, start, c) => start + (c === 'A' ? 'B' : 'A')));
    assert.equal(run().report.faults[0].code, code);
  }
});

test('the witness of the page knows its cosignature again', async t => {
  const dir = folder(), state = path.join(dir, 'witness.example.state');
  fs.mkdirSync(state);
  fs.writeFileSync(path.join(dir, 'witness.example.key'), witnessSigner + '\n');
  fs.writeFileSync(path.join(state, sha(origin).toString('hex')), note);
  const witness = await new Witness(dir, 'witness.example', [logKey]).start();
  t.after(() => witness.stop());
  assert.equal(witness.key, witnessKey);
  assert.equal(await (await fetch(`${witness.url}/${sha(origin).toString('hex')}/checkpoint`)).text(), note);
  const behind = await fetch(witness.url + '/add-checkpoint', { method: 'POST', body: `old 0\n\n${note}` });
  assert.deepEqual([behind.status, await behind.text()], [409, '3\n']);
});

test('the notary answers as notary.md shows, and remembers as checkpoint.md lays out', async t => {
  const dir = folder(), file = path.join(dir, 'log.key');
  fs.writeFileSync(file, logSigner + '\n');
  const notary = await new Notary(dir, { origin, key: ['--key', file] }).start();
  t.after(() => notary.stop());
  const socket = net.connect(notary.socket);
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  let got = Buffer.alloc(0);
  const answer = async request => {
    socket.write(request);
    while (got.length < 4 || got.length < 4 + got.readUInt32LE(0)) got = Buffer.concat([got, (await once(socket, 'data'))[0]]);
    const one = got.subarray(0, 4 + got.readUInt32LE(0));
    got = got.subarray(one.length);
    return one;
  };
  const frames = hexes('notary.md');
  assert.equal(frames.length, 6);
  for (let i = 0; i < frames.length; i += 2) assert.equal((await answer(frames[i])).toString('hex'), frames[i + 1].toString('hex'));
  // Born with a slot of sequence 1 over nothing, then the head over three entries as sequence 2.
  const memory = fs.readFileSync(notary.state);
  assert.equal(memory.length, 8192);
  for (const [at, sequence, hashes] of [[4096, 1, []], [0, 2, [node(leaves[0], leaves[1]), leaves[2]]]]) {
    const slot = Buffer.alloc(4096);
    slot.write('SPHEAD2\0', 0, 'latin1');
    slot.writeUInt8(sequence, 8);
    slot.writeUInt8(hashes.length === 0 ? 0 : 3, 16);
    sha(origin).copy(slot, 24);
    Buffer.concat(hashes).copy(slot, 56);
    slot.writeUInt32LE(crc32c(slot.subarray(0, 4092)), 4092);
    assert.equal(memory.subarray(at, at + 4096).toString('hex'), slot.toString('hex'));
  }
  const epochs = fs.readFileSync(notary.state + '-epochs');
  assert.deepEqual([epochs.length, epochs.toString('latin1', 0, 8), epochs.readUInt32LE(8), epochs.readUInt32LE(124)], [128, 'SPEPOCH1', 0, crc32c(epochs.subarray(0, 124))]);
  assert.ok(epochs.subarray(16, 48).every(byte => byte === 0) && epochs.subarray(48, 80).some(byte => byte !== 0) && epochs.subarray(80, 124).every(byte => byte === 0));
});

test('the tiles of tiles.md are those of the entries of entry.md, and the programs make a receipt of them', () => {
  const [tile, bundle] = hexes('tiles.md');
  assert.equal(tile.toString('hex'), Buffer.concat(leaves).toString('hex'));
  assert.equal(bundle.toString('hex'), Buffer.concat(entries.flatMap(entry => [Buffer.from([entry.length >> 8, entry.length & 255]), entry])).toString('hex'));
  const dir = folder();
  fs.mkdirSync(path.join(dir, 'segments'));
  fs.writeFileSync(path.join(dir, 'segments', '0'.repeat(20) + '.seg'), segment());
  fs.writeFileSync(path.join(dir, 'checkpoint'), note);
  const { status, stdout, stderr } = spawnSync(SALLYPORT, ['receipt', '--index', '2', '-d', dir], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  assert.equal(stdout, `c2sp.org/tlog-proof@v1\nextra ${entries[2].toString('base64')}\nindex 2\n${node(leaves[0], leaves[1]).toString('base64')}\n\n${note}`);
});

test('the pseudonym of payload.md is made as the page says', () => {
  const salt = Buffer.from(Array.from({ length: 16 }, (_, i) => i));
  assert.ok(blocks('payload.md').includes(`~${createHmac('sha256', salt).update('alice').digest('base64url').slice(0, 22)}\n`));
});

test('the veiled entry of payload.md is what its salts, values and record make, and what pack.md opens of it', () => {
  const [map, record, entry] = hexes('payload.md'), run = (from, n) => Buffer.from(Array.from({ length: n }, (_, i) => from + i));
  const hmac = (key, ...parts) => parts.reduce((made, part) => made.update(part), createHmac('sha256', key)).digest();
  const key = hmac(run(0x60, 32), 'sallyport veiled values', record.subarray(0, 32));
  const cipher = createDecipheriv('aes-256-gcm', key, Buffer.alloc(12)).setAuthTag(record.subarray(-16));
  const plain = Buffer.concat([cipher.update(record.subarray(32, -16)), cipher.final()]);
  assert.equal(plain.toString('hex'), Buffer.concat([run(0xa0, 32), map]).toString('hex'));
  const text = value => Buffer.concat([Buffer.from([0x60 + value.length]), Buffer.from(value)]);
  const salt = field => hmac(run(0xa0, 32), Buffer.from([field])), veil = (field, value) => hmac(salt(field), text(value));
  for (const bytes of [veil(13, 'db'), veil(14, '192.0.2.7'), sha(record)]) assert.ok(entry.includes(bytes));
  assert.ok(page('payload.md').includes(sha(Buffer.from([0]), entry).toString('hex')));
  for (const [name, value] of [['salt_13', salt(13)], ['salt_14', salt(14)], ['key    ', key]]) assert.ok(page('payload.md').includes(`${name} = ${value.toString('hex')}`), name);
  assert.ok(hexes('pack.md').some(fields => fields.equals(Buffer.concat([Buffer.from([0xa1, 14, 0x82, 0x58, 0x20]), salt(14), text('192.0.2.7')]))));
});
