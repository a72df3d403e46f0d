// Gigabytes through the gateway, in bounded memory: COPY each way, a million rows, one field of a gigabyte each way, and a
// client that stops reading.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Gateway } from '../lib/gateway.mjs';
import { Postgres, Wire, psql } from '../lib/postgres.mjs';

let pg, gateway, alice, env;
before(async () => {
  pg = await Postgres.start({ settings: { max_wal_size: "'4GB'", wal_level: 'minimal', max_wal_senders: 0, full_page_writes: 'off', autovacuum: 'off' } });
  pg.sql(`create role app login password 'upstream-secret'; create database shop owner app`);
  pg.sql(`set role app; create unlogged table taken (line text)`, 'shop');
  gateway = new Gateway({ tls: false, postgres: true, policy: `- { id: engineers, allow: { who: "group:engineers" } }\n- { id: pii, mask: { target: shop, when: 'sql.verb == "select"', detect: [email, pan], with: partial } }`,
    targets: { shop: { postgres: `host: ${pg.dir}, port: ${pg.port}, database: shop, user: app, credential: { password: { file: upstream.token } }` },
      plain: { postgres: `host: ${pg.dir}, port: ${pg.port}, database: shop, user: app, credential: { password: { file: upstream.token } }` } } });
  await gateway.start();
  alice = await gateway.token('alice');
  env = gateway.libpq('alice', 'shop', alice);
});
after(async () => { await gateway.stop(); await pg.down(); });
const peak = () => Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync(`/proc/${gateway.pid}/status`, 'utf8'))[1]) >> 10;
const GB = 1 << 30;

test('a gigabyte of COPY each way', { timeout: 120_000 }, async () => {
  const copy = spawn('psql', ['-X', '-q', '-c', 'copy taken from stdin'], { env, stdio: ['pipe', 'pipe', 'pipe'] });
  const block = Buffer.from(`${'a line of one hundred bytes, of which each row that is copied here is made, and nothing else at all '.padEnd(127)}\n`.repeat(8192));
  for (let sent = 0; sent < GB; sent += block.length) if (!copy.stdin.write(block)) await once(copy.stdin, 'drain');
  copy.stdin.end();
  const [code] = await once(copy, 'close');
  assert.equal(code, 0);
  assert.equal(pg.sql('select count(*) from taken', 'shop'), String(GB / 128));
  const out = spawn('psql', ['-X', '-q', '-c', 'copy taken to stdout'], { env });
  let bytes = 0;
  out.stdout.on('data', data => { bytes += data.length; });
  const [ended] = await once(out, 'close');
  assert.equal(ended, 0);
  assert.equal(bytes, GB);
  assert.ok(peak() < 200, `the gateway took ${peak()} MiB`);
  pg.sql('truncate taken', 'shop');
});

test('a million rows, with masks', { timeout: 60_000 }, async () => {
  const out = spawn('psql', ['-X', '-q', '-At', '-v', 'FETCH_COUNT=0', '-c', `select i, repeat(md5(i::text), 6), case when i % 1000 = 0 then 'user' || i || '@example.com' else 'none' end from generate_series(1, 1000000) i`], { env });
  let lines = 0, masked = 0, tail = '';
  out.stdout.on('data', data => {
    const text = tail + data;
    const rows = text.split('\n');
    tail = rows.pop();
    lines += rows.length;
    for (const row of rows) if (row.includes('***@***')) masked++;
    assert.ok(!text.includes('@example.com'));
  });
  const [code] = await once(out, 'close');
  assert.equal(code, 0);
  assert.equal(lines, 1_000_000);
  assert.equal(masked, 1000);
  assert.ok(peak() < 200, `the gateway took ${peak()} MiB`);
});

test('one field of nearly a gigabyte, shown and sent', { timeout: 120_000 }, async () => {
  const wire = await (await Wire.connect(gateway.postgresPort)).login('alice', 'plain', alice);
  // Read without keeping: the test's own buffer would hold it all.
  const take = async until => {
    let bytes = 0, tail = Buffer.alloc(0);
    wire.socket.removeAllListeners('data');
    await new Promise(resolve => wire.socket.on('data', data => { bytes += data.length; tail = Buffer.concat([tail, data.subarray(-16)]).subarray(-16); if (tail.includes(until)) resolve(); }));
    return bytes;
  };
  const READY = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);
  const shown = take(READY);
  wire.send(Wire.message('Q', `select repeat('x', 900000000)`));
  assert.ok(await shown > 900_000_000);
  const size = 500_000_000, i16 = n => { const b = Buffer.alloc(2); b.writeInt16BE(n); return b; }, i32 = n => { const b = Buffer.alloc(4); b.writeInt32BE(n); return b; };
  const prepared = take(READY);
  wire.send(Wire.message('P', 'big', 'select length($1::bytea)', Buffer.from([0, 0])), Wire.message('S'));
  await prepared;
  const head = Buffer.concat([Buffer.from('\0big\0'), i16(1), i16(1), i16(1), i32(size)]), foot = Buffer.from([0, 0]);
  const answered = take(READY);
  wire.raw(Buffer.concat([Buffer.from('B'), i32(4 + head.length + size + foot.length), head]));
  const block = Buffer.alloc(1 << 20, 1);
  for (let sent = 0; sent < size; sent += block.length) {
    if (!wire.socket.write(block.subarray(0, Math.min(block.length, size - sent)))) await once(wire.socket, 'drain');
  }
  wire.raw(foot);
  wire.send(Wire.message('D', Buffer.from('P\0')), Wire.message('E', '', i32(0)), Wire.message('S'));
  assert.ok(await answered > 60);
  wire.close();
  assert.ok(peak() < 200, `the gateway took ${peak()} MiB`);
});

test('a client that stops reading stops its server, and nobody else', { timeout: 60_000 }, async () => {
  const before = peak();
  const wire = await (await Wire.connect(gateway.postgresPort)).login('alice', 'plain', alice);
  wire.socket.pause();
  wire.send(Wire.message('Q', `select repeat('y', 1000) from generate_series(1, 2000000)`));
  for (let i = 0; i < 20; i++) assert.equal((await psql(env, 'select 1;')).out.trim(), '1');
  assert.ok(peak() < before + 32, `the gateway took ${peak() - before} MiB more`);
  assert.equal(pg.sql(`select wait_event from pg_stat_activity where query like 'select repeat(''y''%'`), 'ClientWrite');
  wire.close();
});

test('every one of these has its outcome, and the record verifies', () => {
  const outcomes = gateway.entries('outcome');
  assert.ok(outcomes.some(entry => Number(entry.facts?.copied_in_bytes) === GB), 'the bytes of COPY are counted');
  assert.ok(outcomes.some(entry => /^[0-9a-f]{64}$/.test(entry.facts?.unrecorded_sha256 ?? '')), 'what is not recorded is hashed');
  assert.equal(gateway.verify().code, 0);
});
