// Single fields withheld from an auditor: the log holds salted hashes in their place, a pack opens those that are to be seen, and erasing
// a session takes its fields with it.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { VERIFY, folder, until } from '../lib/gateway.mjs';
import { approve, pending, ticketsBehind } from '../lib/tickets.mjs';

const FIELDS = 'target, peer, software, object, facts, error, reason';
const dir = folder();
let gateway, end, key, bob, session;
before(async () => {
  ({ gateway, end } = await ticketsBehind({ more: { evidence: `veil: [${FIELDS}]\nkeepers: [leads]\nlog_readers: [leads]\n` } }));
  key = gateway.key();
  const alice = await gateway.token('alice');
  bob = await gateway.token('bob');
  const client = await gateway.client('tickets', alice);
  await client.callTool({ name: 'read_ticket', arguments: { id: 1 } });
  assert.equal((await client.callTool({ name: 'run_command', arguments: { command: 'id' } })).isError, true);
  const held = client.callTool({ name: 'write_ticket', arguments: { id: 1, text: 'for the auditor' } });
  await approve(gateway, bob, (await pending(gateway, bob)).id, 'signed off by hand');
  await held;
  await client.transport.terminateSession();
  await client.close();
  session = (await until(() => gateway.sessions().find(one => one.state !== 'open'), 'the session is closed')).session;
  await signed();
});
after(async () => { assert.equal(await end(), 0); });

const file = name => path.join(dir, name);
const signed = () => {
  const size = gateway.entries().length;
  return until(() => Number(fs.readFileSync(path.join(gateway.evidence, 'checkpoint'), 'utf8').split('\n')[1]) >= size, 'all of it is signed');
};
const asked = (name, ...args) => gateway.run(['evidence', 'export', '-c', gateway.config, '-o', file(name), ...args]);
const export_ = async (name, ...args) => { const { code, err } = await asked(name, ...args); assert.equal(code, 0, err); return err; };
const verify = (name, ...more) => {
  const { status, stdout } = spawnSync(VERIFY, ['pack', file(name), '--key', key, '--json', ...more], { encoding: 'utf8' });
  return { status, report: JSON.parse(stdout) };
};
const unzipped = name => {
  const names = spawnSync('unzip', ['-Z1', file(name)], { encoding: 'utf8' }).stdout.trim().split('\n');
  return Object.fromEntries(names.map(member => [member, spawnSync('unzip', ['-p', file(name), member], { maxBuffer: 1 << 28 }).stdout]));
};
/** What the entries say in the fields that are veiled, as the gateway's own files open them. */
const values = fields => new Set(gateway.entries().filter(entry => entry.veiled).flatMap(entry => fields.flatMap(field => typeof entry[field] === 'object' ? Object.values(entry[field] ?? {}) : entry[field] ?? [])));

test('the log holds veils, its owner reads values, and the verifier says which of them it computed', () => {
  const segments = fs.readdirSync(path.join(gateway.evidence, 'segments')).map(name => fs.readFileSync(path.join(gateway.evidence, 'segments', name)).toString('latin1')).join('');
  for (const value of ['read_ticket', 'write_ticket', 'signed off by hand']) assert.ok(!segments.includes(value), value);
  const [one] = gateway.sessions();
  assert.deepEqual([one.target, one.user], ['tickets', 'alice']);
  assert.match(one.peer, /^127\.0\.0\.1/);
  assert.deepEqual(gateway.entries('command').map(entry => entry.object).filter(Boolean).sort(), ['read_ticket', 'run_command', 'write_ticket']);
  const without = gateway.verify(), withKeys = gateway.verify(gateway.evidence, key, ['--keys', path.join(gateway.evidence, 'keys')]);
  assert.ok([0, 2].includes(without.code) && [0, 2].includes(withKeys.code), withKeys.out);
  assert.ok(without.report.veiled_fields > 10 && without.report.opened_fields === 0);
  assert.match(without.report.notes.join('\n'), /fields are veiled: that they are there is judged, what they say is not/);
  assert.equal(withKeys.report.opened_fields, withKeys.report.veiled_fields);
});

test('a pack opens them, and what is withheld stands nowhere in it', async () => {
  await export_('open.zip', '--user', 'alice');
  const open = verify('open.zip', '--report', file('open.html'));
  assert.equal(open.status, 0, JSON.stringify(open.report));
  assert.ok(open.report.opened_fields > 5 && open.report.withheld_fields === 0);
  for (const word of ['read_ticket', '127.0.0.1', 'tickets']) assert.ok(fs.readFileSync(file('open.html'), 'utf8').includes(word), word);
  const withheld = ['target', 'peer', 'object', 'reason'];
  await export_('withheld.zip', '--user', 'alice', '--withhold', withheld.join(','));
  const { status, report } = verify('withheld.zip', '--report', file('withheld.html'));
  assert.equal(status, 0, JSON.stringify(report));
  assert.equal(report.opened_fields + report.withheld_fields, open.report.opened_fields);
  assert.match(report.notes.join('\n'), /\d+ fields are withheld \(target, peer, object, reason\): that they are there is proven, what they say is not/);
  const members = unzipped('withheld.zip');
  const clear = values(withheld);
  for (const value of ['tickets', 'read_ticket', 'write_ticket', 'signed off by hand']) assert.ok(clear.has(value), value);
  for (const value of clear)
    for (const [name, content] of Object.entries(members)) assert.ok(!content.includes(value), `${value} is in ${name}`);
  assert.match(members['report.html'].toString(), /<i>hidden<\/i>/);
  assert.ok([...values(['software'])].some(value => members['report.html'].includes(value)), 'what is not withheld is there');
  assert.deepEqual(JSON.parse(members['manifest.json']).query.withhold, withheld);
});

test('a value that was forged is refused, by its own code', async () => {
  const bytes = fs.readFileSync(file('open.zip'));
  const at = bytes.indexOf('read_ticket', bytes.indexOf('entries/0'));
  bytes.write('open_', at);
  fs.writeFileSync(file('forged.zip'), bytes);
  const { status, report } = verify('forged.zip');
  assert.equal(status, 1);
  assert.match(report.faults.find(fault => fault.code === 'pack-veil').what, /what is given as its object is not what its veil was made of/);
});

test('receipts and the log over HTTP show veils only', async () => {
  const command = gateway.entries('command').find(entry => entry.object === 'read_ticket');
  assert.equal((await gateway.run(['receipt', command.request_id, '-d', gateway.evidence, '-o', file('mine.tlog-proof')])).code, 0);
  const receipt = fs.readFileSync(file('mine.tlog-proof'), 'utf8');
  for (const [, entry] of receipt.matchAll(/^extra (.*)$/gm)) assert.ok(!Buffer.from(entry, 'base64').includes('read_ticket'));
  const { status, stdout } = spawnSync(VERIFY, ['receipt', file('mine.tlog-proof'), '--key', key], { encoding: 'utf8' });
  assert.equal(status, 0, stdout);
  assert.match(stdout, /\(command tools\/call by ~[^\n]*, its target, object hidden, in the log/);
  fs.writeFileSync(file('token'), bob);
  const live = spawnSync(VERIFY, [`http://${gateway.admin}/log`, '--key', key, '--token-file', file('token'), '--json'], { encoding: 'utf8' });
  assert.equal(live.status, 0, live.stdout + live.stderr);
  assert.ok(JSON.parse(live.stdout).veiled_fields > 10);
});

test('wrong questions are told', async () => {
  for (const args of [['--withhold', 'subject'], ['--withhold', 'target', '--target', 'tickets'], ['--withhold', '']]) assert.equal((await asked('wrong.zip', ...args)).code, 2, args.join(' '));
});

test('an erased session takes its fields with it', async () => {
  assert.equal((await gateway.run(['evidence', 'erase', '--session', session, '--basis', 'request 17'], { token: bob })).code, 0);
  await signed();
  const one = gateway.sessions().find(found => found.session === session);
  assert.deepEqual([one.target, one.peer, one.software], ['', '', '']);
  assert.deepEqual(gateway.entries('command').filter(entry => entry.object).map(entry => typeof entry.object.veil), ['string', 'string', 'string'], 'only veils are left');
  await export_('erased.zip', '--session', session);
  const { status, report } = verify('erased.zip', '--report', file('erased.html'));
  assert.equal(status, 0, JSON.stringify(report));
  assert.ok(report.erased_fields > 5);
  assert.match(report.notes.join('\n'), /veiled fields cannot be opened: the keys of their sessions were erased/);
  for (const [name, content] of Object.entries(unzipped('erased.zip'))) assert.ok(!content.includes('read_ticket'), name);
  const { code, report: log, out } = gateway.verify(gateway.evidence, key, ['--keys', path.join(gateway.evidence, 'keys')]);
  assert.ok([0, 2].includes(code), out);
  assert.ok(log.erased_fields > 5);
});

test('a gateway that veils no more goes on in the same log, and what it writes in clear cannot be withheld', async () => {
  await gateway.stop();
  gateway.change({ more: { evidence: '' } });
  await gateway.start();
  await (await gateway.client('tickets', await gateway.token('alice'))).close();
  await until(() => gateway.entries('auth.ok').some(entry => !entry.veiled && entry.peer), 'an entry in clear text');
  await signed();
  const { code, out } = gateway.verify(gateway.evidence, key, ['--keys', path.join(gateway.evidence, 'keys')]);
  assert.ok([0, 2].includes(code), out);
  const { code: refused, err } = await asked('clear.zip', '--withhold', 'peer');
  assert.equal(refused, 3);
  assert.match(err, /entry \d+ has its peer in clear text/);
});
