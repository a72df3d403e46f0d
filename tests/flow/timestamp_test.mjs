// RFC 3161 time stamps over the log's heads, from an authority made of `openssl ts`.
import test from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { VERIFY, folder, until, verify } from '../lib/gateway.mjs';
import { ticketsBehind } from '../lib/tickets.mjs';
import { Authority } from '../lib/tsa.mjs';

const stamps = gateway => { try { return fs.readdirSync(path.join(gateway.evidence, 'timestamps')).filter(name => name.endsWith('.tsr')).sort(); } catch { return []; } };
const yaml = (authority, every = '1s') => `timestamps: { url: "${authority.url}", ca: ${authority.ca}, every: ${every} }\n`;

test('heads are stamped; openssl and the verifier accept the stamps, and not those of another authority or over another head', async () => {
  const dir = folder(), authority = await new Authority(dir).start(), other = new Authority(dir, 'other');
  const { gateway, end } = await ticketsBehind({ more: { evidence: yaml(authority) } });
  const client = await gateway.client('tickets', await gateway.token('alice'));
  for (let i = 0; i < 2; i++) {
    await client.callTool({ name: 'read_ticket', arguments: { id: i } });
    await until(() => stamps(gateway).length > i, `stamp ${i + 1}`);
  }
  await client.close();
  assert.equal(await end(), 0);
  const [first] = stamps(gateway), at = path.join(gateway.evidence, 'timestamps', first.slice(0, 20));
  const openssl = spawnSync('openssl', ['ts', '-verify', '-data', at + '.note', '-in', at + '.tsr', '-CAfile', authority.ca], { encoding: 'utf8' });
  assert.equal(openssl.status, 0, openssl.stderr);
  const key = gateway.key();
  const { code, report } = verify(gateway.evidence, key, ['--tsa-ca', authority.ca]);
  assert.equal(code, 0, JSON.stringify(report));
  assert.ok(report.timestamps >= 2 && report.stamped_entries > 0);
  assert.ok(Math.abs(report.stamped_at - Date.now() / 1000) < 60);
  assert.equal(verify(gateway.evidence, key).report.timestamps, 0, 'nobody asked');

  const strange = verify(gateway.evidence, key, ['--tsa-ca', other.ca]);
  assert.equal(strange.code, 1);
  assert.equal(strange.report.faults[0].code, 'timestamp');
  fs.copyFileSync(at + '.tsr', path.join(gateway.evidence, 'timestamps', stamps(gateway)[1]));
  const moved = verify(gateway.evidence, key, ['--tsa-ca', authority.ca]);
  assert.equal(moved.code, 1);
  assert.equal(moved.report.faults[0].code, 'timestamp');
  await authority.stop();
});

test('an authority that is away or lies is put on record, nothing of it is kept, and it is asked again', async () => {
  const dir = folder(), authority = await new Authority(dir).start((bytes, n) => (n <= 2 ? bytes.subarray(0, bytes.length - 1) : bytes));
  const { gateway, end } = await ticketsBehind({ more: { evidence: yaml(authority) } });
  await until(() => gateway.entries('sink.failed').length === 1, 'the failure on record');
  assert.equal(gateway.entries('sink.failed')[0].name, 'timestamps');
  await until(() => gateway.entries('sink.recovered').length === 1, 'the recovery on record');
  assert.ok(stamps(gateway).length >= 1);
  assert.equal(await end(), 0);
  assert.equal(verify(gateway.evidence, gateway.key(), ['--tsa-ca', authority.ca]).code, 0);
  await authority.stop();
});

test('in a pack they are listed, and judged when the authority is named', async () => {
  const dir = folder(), authority = await new Authority(dir).start(), other = new Authority(dir, 'other');
  const { gateway, end } = await ticketsBehind({ more: { evidence: yaml(authority) } });
  const client = await gateway.client('tickets', await gateway.token('alice'));
  for (let i = 0; i < 2; i++) {
    await client.callTool({ name: 'read_ticket', arguments: { id: i } });
    await until(() => stamps(gateway).length > i, `stamp ${i + 1}`);
  }
  await client.close();
  assert.equal(await end(), 0);
  const pack = path.join(dir, 'pack.zip');
  const exported = async out => { const made = await gateway.run(['evidence', 'export', '-d', gateway.evidence, '-o', out]); assert.equal(made.code, 0, made.err); };
  await exported(pack);
  const judged = (file, ...args) => { const { status, stdout } = spawnSync(VERIFY, ['pack', file, '--key', gateway.key(), '--json', ...args], { encoding: 'utf8' }); return { status, report: JSON.parse(stdout) }; };
  const listed = judged(pack);
  assert.deepEqual([listed.status, listed.report.stamped_entries], [0, 0], JSON.stringify(listed.report));
  assert.ok(listed.report.timestamps >= 2);
  const good = judged(pack, '--tsa-ca', authority.ca);
  assert.equal(good.status, 0, JSON.stringify(good.report));
  assert.ok(good.report.stamped_entries > 0 && Math.abs(good.report.stamped_at - Date.now() / 1000) < 60, JSON.stringify(good.report));
  const strange = judged(pack, '--tsa-ca', other.ca);
  assert.deepEqual([strange.status, strange.report.faults[0].code], [1, 'timestamp']);
  // An answer over another head, in a pack whose digests are all right.
  const [first, second] = stamps(gateway), moved = path.join(dir, 'moved.zip');
  fs.copyFileSync(path.join(gateway.evidence, 'timestamps', first), path.join(gateway.evidence, 'timestamps', second));
  await exported(moved);
  assert.equal(judged(moved).status, 0, 'nobody asked');
  const wrong = judged(moved, '--tsa-ca', authority.ca);
  assert.deepEqual([wrong.status, wrong.report.faults.map(one => one.code), wrong.report.faults[0].file], [1, ['timestamp'], `timestamps/${second}`]);
  await authority.stop();
});
