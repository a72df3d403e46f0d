// The disk of the evidence fails or fills up: nothing new runs, what runs is recorded to its end, and service comes back by
// itself when writing works again.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { execFileSync, spawnSync } from 'node:child_process';
import { ticketsBehind } from '../lib/tickets.mjs';
import { ROOT, folder, until } from '../lib/gateway.mjs';

const read = { name: 'big', arguments: { bytes: 10 } };
const decision = answer => answer._meta?.['sallyport/decision'];

async function failsAndRecovers(error) {
  const dir = folder();
  const shim = path.join(dir, 'shim.so'), control = path.join(dir, 'fail');
  execFileSync('clang-19', ['-shared', '-fPIC', '-O1', '-o', shim, path.join(ROOT, 'tests/fixtures/eio_shim.c'), '-ldl']);
  const { gateway, tickets, end } = await ticketsBehind({ env: { LD_PRELOAD: shim, EIO_WHEN: control } });
  const client = await gateway.client('tickets', await gateway.token('alice'));
  assert.ok(!(await client.callTool(read)).isError);
  const running = client.callTool({ name: 'slow', arguments: { ms: 700, steps: 1 } }).catch(e => e);
  await until(() => tickets.calls.some(call => call.name === 'slow'), 'a running call');
  const before = tickets.calls.length;

  fs.writeFileSync(control, error);
  const refused = await client.callTool(read);
  assert.equal(refused.isError, true);
  assert.equal(decision(refused).decision, 'unavailable');
  assert.match(refused.content[0].text, /evidence cannot be written, so the command was not run/);
  const ready = await gateway.get('/readyz');
  assert.equal(ready.status, 503);
  assert.match(ready.body, /evidence/);
  assert.equal(tickets.calls.length, before, 'nothing reached the server');
  const withheld = await running;
  assert.ok(!JSON.stringify(withheld.content ?? '').includes('done'), 'no answer without its outcome');
  assert.match(String(withheld.message), /withheld/);

  fs.rmSync(control);
  await until(async () => (await gateway.get('/readyz')).status === 200, 'service comes back by itself');
  assert.ok(!(await client.callTool(read)).isError);
  await until(() => gateway.entries('outcome').some(entry => /answer was withheld/.test(entry.error ?? '')), 'the outcome that was owed');
  await client.close();
  assert.equal(await end(), 0);
  const { code, report, out } = gateway.verify();
  assert.equal(code, 0, out);
  assert.equal(report.open_sessions, 0);
  const entries = gateway.entries();
  for (const call of tickets.calls) assert.ok(entries.some(entry => entry.kind === 'command' && entry.request_id === call.request));
}

test('EIO', { timeout: 60_000 }, () => failsAndRecovers('EIO'));
test('ENOSPC', { timeout: 60_000 }, () => failsAndRecovers('ENOSPC'));

test('a small file system fills up and is emptied again', { timeout: 120_000 }, async context => {
  const mount = folder();
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', mount], { encoding: 'utf8' });
  // A sandbox may forbid mounts even to root; what the log does when the disk is full is then shown by ENOSPC above alone.
  if (mounted.status !== 0) return void console.log(`NOT RUN: no tmpfs could be mounted: ${mounted.stderr.trim()}`);
  context.after(() => spawnSync('umount', ['-l', mount]));
  const { gateway, tickets, end } = await ticketsBehind({ evidence: path.join(mount, 'evidence'), more: { evidence: 'segment: 1MiB' } });
  const client = await gateway.client('tickets', await gateway.token('alice'));
  assert.ok(!(await client.callTool(read)).isError);
  const running = client.callTool({ name: 'slow', arguments: { ms: 800, steps: 1 } });
  await until(() => tickets.calls.some(call => call.name === 'slow'), 'a running call');

  // Somebody else fills the disk to the last byte.
  const hog = path.join(mount, 'hog');
  spawnSync('dd', ['if=/dev/zero', `of=${hog}`, 'bs=64k'], { stdio: 'ignore' });
  await until(async () => (await gateway.get('/readyz')).status === 503, 'readyz turns red');
  const before = tickets.calls.length;
  const refused = await client.callTool(read);
  assert.equal(decision(refused)?.decision, 'unavailable', JSON.stringify(refused));
  assert.equal(tickets.calls.length, before);
  assert.equal((await running).content[0].text, 'done', 'what ran ends cleanly');

  fs.rmSync(hog);
  await until(async () => (await gateway.get('/readyz')).status === 200, 'service comes back by itself');
  assert.ok(!(await client.callTool(read)).isError);
  await client.close();
  assert.equal(await end(), 0);
  const { code, out } = gateway.verify();
  assert.equal(code, 0, out);
});
