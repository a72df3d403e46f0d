// Who signs the log's heads: a child of the gateway, a notary of its own, a PKCS#11 token; and what happens when it is away.
import test from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { Gateway, folder, until, verify } from '../lib/gateway.mjs';
import { Notary, softToken } from '../lib/notary.mjs';
import { ticketsBehind } from '../lib/tickets.mjs';

const signedSize = gateway => Number(fs.readFileSync(path.join(gateway.evidence, 'checkpoint'), 'utf8').split('\n')[1]);
const epochs = gateway => gateway.entries('key.epoch').map(entry => entry.epoch);
const call = async (gateway, client) => (await client.callTool({ name: 'search_tickets', arguments: { query: "invoice" } })).isError !== true;
const allSigned = gateway => until(() => signedSize(gateway) >= gateway.entries().length, 'a head over every entry');

test('the notary is a child of the gateway; when it dies, another one goes on from its memory', async () => {
  const { gateway, end } = await ticketsBehind({ more: { evidence: 'epoch: 1s' } });
  const child = () => spawnSync('pgrep', ['-P', String(gateway.pid), '-f', 'notary --embedded'], { encoding: 'utf8' }).stdout.trim().split('\n').filter(Boolean).map(Number);
  const client = await gateway.client('tickets', await gateway.token('alice'));
  assert.ok(await call(gateway, client));
  await allSigned(gateway);
  const [first] = child();
  process.kill(first, 'SIGKILL');
  const before = signedSize(gateway);
  assert.ok(await call(gateway, client));
  await until(() => signedSize(gateway) > before, 'a head after the notary was killed');
  assert.notEqual(child().at(-1), first);
  await until(() => epochs(gateway).length >= 3, 'three epochs');
  await client.close();
  assert.equal(await end(), 0);
  const { code, report } = verify(gateway.evidence, gateway.key());
  assert.equal(code, 0, JSON.stringify(report));
  const notes = fs.readFileSync(path.join(gateway.evidence, 'checkpoints'), 'utf8');
  assert.match(notes, /\n— test\/evidence [^\n]+\n— test\/evidence\/epoch-1 /);
  // Another epoch's signature, a missing one, and one by a key that nobody announced are found by name.
  const copy = folder();
  for (const [from, to] of [[/epoch-1 /g, 'epoch-2 '], [/— test\/evidence\/epoch-1 [^\n]+\n/g, ''], [/epoch-1 /g, 'epoch-99 ']]) {
    fs.cpSync(gateway.evidence, copy, { recursive: true });
    fs.writeFileSync(path.join(copy, 'checkpoints'), notes.replace(from, to));
    const forged = verify(copy, gateway.key());
    assert.equal(forged.code, 1);
    assert.equal(forged.report.faults[0].code, 'epoch', JSON.stringify(forged.report.faults[0]));
  }
});

for (const [name, where] of [['in a process of its own', () => ({})], ['with its key in a PKCS#11 token', softToken]]) {
  test(`a notary ${name} signs; while it is away no command runs, and with it they run again`, async () => {
    const dir = folder();
    const notary = await new Notary(dir, where(dir)).start();
    const { gateway, tickets, end } = await ticketsBehind({ more: { evidence: notary.yaml + 'epoch: 1s' } });
    assert.equal(gateway.key().trim(), notary.verifier);
    assert.ok(!fs.existsSync(path.join(gateway.dir, 'state/evidence.key')), 'the gateway has no signing key');
    const client = await gateway.client('tickets', await gateway.token('alice'));
    assert.ok(await call(gateway, client));
    await allSigned(gateway);

    assert.equal(await notary.stop(), 0);
    const refused = await until(async () => { const answer = await client.callTool({ name: 'search_tickets', arguments: { query: 'x' } }).catch(error => error); return /notary/.test(JSON.stringify(answer) + answer.message) && answer; }, 'a refusal');
    assert.match(JSON.stringify(refused) + refused.message, /cannot be signed.*notary/);
    const calls = tickets.calls?.length;
    await notary.start();
    await until(() => call(gateway, client).catch(() => false), 'a call that runs again');
    if (calls !== undefined) assert.ok(tickets.calls.length > calls);
    await client.close();
    assert.equal(await end(), 0);
    assert.equal(verify(gateway.evidence, notary.verifier).code, 0);
    await notary.stop();
  });
}

test('a log that is put back to an earlier state is not gone on with: the notary remembers', async () => {
  const dir = folder();
  const notary = await new Notary(dir).start();
  const { gateway, end } = await ticketsBehind({ more: { evidence: notary.yaml } });
  const client = await gateway.client('tickets', await gateway.token('alice'));
  await call(gateway, client);
  await allSigned(gateway);
  assert.equal(await gateway.stop(), 0);
  const earlier = path.join(dir, 'earlier');
  fs.cpSync(gateway.evidence, earlier, { recursive: true });
  await gateway.start();
  assert.equal(await end(), 0);
  fs.rmSync(gateway.evidence, { recursive: true });
  fs.cpSync(earlier, gateway.evidence, { recursive: true });
  assert.equal(verify(gateway.evidence, notary.verifier).code, 0, 'by itself the earlier state is one that was signed');
  const again = spawnSync(gateway.child.spawnfile, ['serve', '-c', gateway.config], { encoding: 'utf8' });
  assert.equal(again.status, 1);
  assert.match(again.stderr, /it ends at index \d+, but a head over \d+ entries was signed/);
  await notary.stop();
});

test('the notary speaks to the gateway’s user alone, and the gateway to the notary whose key it was told', async () => {
  const dir = folder();
  const stranger = await new Notary(dir, { more: ['--client-user', 'nobody'] }).start();
  const gateway = new Gateway({ tls: false, policy: '- { id: a, allow: { who: "group:engineers" } }', targets: { t: { url: 'http://127.0.0.1:1/mcp' } }, more: { evidence: stranger.yaml } });
  await assert.rejects(gateway.start(), /notary/);
  assert.match(stranger.child.errors, /refused user/);
  await stranger.stop();

  const other = path.join(dir, 'other');
  fs.mkdirSync(other);
  const impostor = await new Notary(other).start();
  gateway.change({ more: { evidence: `notary: { socket: ${impostor.socket}, key: "${stranger.verifier}" }` } });
  await assert.rejects(gateway.start(), /the notary's key is .*, expected is/);
  await impostor.stop();
});
