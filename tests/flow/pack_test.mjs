// Evidence packs of what people and agents did, exported beside the running gateway and verified with its public key alone.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { SALLYPORT, VERIFY, folder, until } from '../lib/gateway.mjs';
import { approve, pending, ticketsBehind } from '../lib/tickets.mjs';

let gateway, end, key;
const dir = folder();
before(async () => {
  ({ gateway, end } = await ticketsBehind({ users: { alice: ['engineers'], dave: ['engineers'], bob: ['leads'] } }));
  key = gateway.key();
  const [alice, dave, bob] = [await gateway.token('alice'), await gateway.token('dave'), await gateway.token('bob')];
  const client = await gateway.client('tickets', alice);
  assert.match(JSON.stringify(await client.callTool({ name: 'read_ticket', arguments: { id: 1 } })), /\*\*\*/);
  assert.equal((await client.callTool({ name: 'run_command', arguments: { command: 'id' } })).isError, true);
  const held = client.callTool({ name: 'write_ticket', arguments: { id: 1, text: 'for the auditor' } });
  await approve(gateway, bob, (await pending(gateway, bob)).id, 'it is due');
  await held;
  await client.transport.terminateSession();
  await client.close();
  const other = await gateway.client('tickets', dave);
  await other.callTool({ name: 'read_ticket', arguments: { id: 2 } });
  for (let i = 0; i < 12; i++) await other.callTool({ name: 'big', arguments: { bytes: 1_000_000 + i } });
  await other.transport.terminateSession();
  await other.close();
  await until(() => gateway.entries('session.close').length === 2, 'both sessions are closed');
  const size = gateway.entries().length;
  await until(() => Number(fs.readFileSync(path.join(gateway.evidence, 'checkpoint'), 'utf8').split('\n')[1]) >= size, 'all of it is signed');
});
after(async () => { assert.equal(await end(), 0); });

const file = name => path.join(dir, name);
const export_ = async (name, ...args) => {
  const { code, err } = await gateway.run(['evidence', 'export', '-c', gateway.config, '-o', file(name), ...args]);
  assert.equal(code, 0, err);
  return fs.readFileSync(file(name));
};
const verify = (name, ...more) => {
  const { status, stdout, stderr } = spawnSync(VERIFY, ['pack', file(name), '--key', key, '--json', ...more], { encoding: 'utf8' });
  return { status, report: stdout ? JSON.parse(stdout) : null, stderr };
};
const members = name => spawnSync('unzip', ['-Z1', file(name)], { encoding: 'utf8' }).stdout.trim().split('\n');
const content = (name, member) => spawnSync('unzip', ['-p', file(name), member], { maxBuffer: 1 << 28 }).stdout;
// The log grows while the gateway runs: what must be the same twice is asked for up to an entry.
const upTo = () => ['--to-index', String(gateway.entries().findLast(entry => entry.kind === 'session.close').index + 1)];

test('a pack of everything is valid, any zip program reads it, and its report is the one the verifier makes', async () => {
  await export_('all.zip', '--payloads', 'opened', ...upTo());
  const { status, report } = verify('all.zip', '--report', file('report.html'));
  assert.equal(status, 0, JSON.stringify(report));
  assert.deepEqual([report.verdict, report.withheld, report.sessions, report.complete_sessions, report.fault_count], ['valid', 0, 2, 2, 0]);
  assert.equal(report.disclosed, report.entries);
  assert.ok(report.opened_payloads >= 26 && report.sealed_payloads === 0, JSON.stringify(report));
  assert.match(spawnSync('unzip', ['-t', file('all.zip')], { encoding: 'utf8' }).stdout, /No errors detected/);
  const html = fs.readFileSync(file('report.html'), 'utf8');
  assert.equal(content('all.zip', 'report.html').toString(), html);
  for (const word of [/alice/, /rule no-shell|no-shell/, />blocked</, /pii:email x\d/, /granted|used/, /bob/, /Supporting evidence only/, /default-src 'none'/]) assert.match(html, word);
  assert.doesNotMatch(html, /<script|https?:\/\//);
});

test('what applied is in it, and what was recorded is masked', async () => {
  const policies = members('all.zip').filter(name => name.startsWith('policies/'));
  assert.deepEqual(policies.map(name => content('all.zip', name).toString()), [fs.readFileSync(gateway.config, 'utf8')]);
  assert.equal(fs.statSync(path.join(gateway.evidence, policies[0])).mode & 0o777, 0o600);
  const read = gateway.entries('command').find(entry => entry.object === 'read_ticket');
  const answer = gateway.entries('outcome').find(entry => entry.command_index === read.index);
  const text = content('all.zip', `payloads/${String(answer.index).padStart(20, '0')}-payload`).subarray(16).toString();
  assert.match(text, /\*\*\*/);
  assert.doesNotMatch(text, /jane\.roe@example\.com/);
  const controls = JSON.parse(content('all.zip', 'controls.json'));
  assert.deepEqual(['approval', 'blocked', 'masking'].filter(name => !controls.supports.some(one => one.feature === name)), []);
});

test('the same question gives the same bytes', async () => {
  const again = ['--user', 'alice', ...upTo()];
  // Each is pinned to the newest head, which a heartbeat moves on: between two heartbeats they are one.
  await until(async () => {
    const head = fs.readFileSync(path.join(gateway.evidence, 'checkpoint'), 'utf8');
    const [one, two] = [await export_('one.zip', ...again), await export_('two.zip', ...again)];
    if (fs.readFileSync(path.join(gateway.evidence, 'checkpoint'), 'utf8') !== head) return false;
    assert.ok(one.equals(two));
    return true;
  }, 'two exports under one head', 30_000);
});

test('of one user only what is theirs is disclosed, and the rest is counted', async () => {
  await export_('alice.zip', '--user', 'alice', '--payloads', 'none', ...upTo());
  const { status, report } = verify('alice.zip', '--report', file('alice.html'));
  assert.equal(status, 0, JSON.stringify(report));
  assert.equal(report.sessions, 1);
  assert.equal(report.withheld, report.entries - report.disclosed);
  assert.ok(report.withheld > 10);
  const entries = members('alice.zip').filter(name => name.startsWith('entries/')).map(name => content('alice.zip', name).toString('latin1')).join('');
  assert.ok(!/alice|bob|dave/.test(entries), 'entries bear pseudonyms');
  const names = content('alice.zip', 'names').toString().trim().split('\n').map(line => JSON.parse(line));
  assert.deepEqual(names.map(one => one.value).sort(), ['alice', 'bob'], 'who is named in what is disclosed, and nobody else');
  assert.ok(names.every(one => entries.includes(one.token)));
  assert.match(fs.readFileSync(file('alice.html'), 'utf8'), /bob/, 'who approved is part of her story');
  const manifest = JSON.parse(content('alice.zip', 'manifest.json'));
  assert.deepEqual([manifest.query.user, manifest.counts.withheld, manifest.sessions.length], ['alice', report.withheld, 1]);
});

test('people can stay under their pseudonyms', async () => {
  await export_('nameless.zip', '--no-names', ...upTo());
  const { status } = verify('nameless.zip', '--report', file('nameless.html'));
  assert.equal(status, 0);
  assert.ok(!members('nameless.zip').includes('names'));
  assert.doesNotMatch(fs.readFileSync(file('nameless.html'), 'utf8'), /alice|dave/);
  assert.match(fs.readFileSync(file('nameless.html'), 'utf8'), /~[\w-]{22}/);
});

test('one payload can be disclosed alone', async () => {
  const command = gateway.entries('command').find(entry => entry.object === 'write_ticket' && entry.payload);
  await export_('single.zip', '--disclose', String(command.index), ...upTo());
  const { report } = verify('single.zip');
  assert.deepEqual([report.verdict, report.opened_payloads], ['valid', 1]);
  assert.ok(report.sealed_payloads > 20);
  assert.deepEqual(members('single.zip').filter(name => name.startsWith('payloads/')), [`payloads/${String(command.index).padStart(20, '0')}-payload`]);
});

test('a session that began before the range brings its beginning with it', async () => {
  const open = gateway.entries('session.open').find(entry => entry.subject === 'dave');
  await export_('late.zip', '--from-index', String(open.index + 2), '--session', open.session.slice(0, 12), ...upTo());
  const { status, report } = verify('late.zip', '--report', file('late.html'));
  assert.equal(status, 0, JSON.stringify(report));
  assert.deepEqual([report.a, report.sessions, report.complete_sessions], [open.index + 2, 1, 0]);
  assert.ok(members('late.zip').includes(`context/${String(open.index).padStart(20, '0')}.tlog-proof`));
  assert.match(fs.readFileSync(file('late.html'), 'utf8'), /dave/);
});

test('an export that is killed goes on, to the bytes of one that was not', async () => {
  const args = ['evidence', 'export', '-c', gateway.config, '-o', file('cut.zip'), '--payloads', 'opened', ...upTo()];
  // Killed once something is whole on the disk, and before the end: where exactly is not in our hands.
  let cut = false;
  for (let attempt = 0; attempt < 20 && !cut; attempt++) {
    fs.rmSync(file('cut.zip'), { force: true });
    const child = spawn(SALLYPORT, args);
    const watcher = fs.watch(dir, (event, name) => {
      if (name === 'cut.zip.part.journal' && fs.existsSync(file('cut.zip.part.journal')) && fs.readFileSync(file('cut.zip.part.journal'), 'utf8').split('\n').length > 4) child.kill('SIGKILL');
    });
    await once(child, 'close');
    watcher.close();
    cut = fs.existsSync(file('cut.zip.part.journal')) && !fs.existsSync(file('cut.zip'));
  }
  assert.ok(cut, 'it was killed on its way');
  const pinned = Buffer.from(fs.readFileSync(file('cut.zip.part.journal'), 'utf8').split('\n')[0].split(' ')[3], 'base64');
  const { code, err } = await gateway.run(args);
  assert.equal(code, 0, err);
  assert.match(err, /going on with/);
  assert.ok(content('cut.zip', 'checkpoint').equals(pinned));
  assert.equal(verify('cut.zip').status, 0);
  assert.ok(!fs.existsSync(file('cut.zip.part')) && !fs.existsSync(file('cut.zip.part.journal')));
  // One that nobody stopped, of the log as it was at that head.
  const then = path.join(dir, 'then');
  fs.cpSync(gateway.evidence, then, { recursive: true });
  fs.writeFileSync(path.join(then, 'checkpoint'), pinned);
  const whole = await gateway.run(['evidence', 'export', '-d', then, '-o', file('whole.zip'), '--payloads', 'opened', ...args.slice(-2)]);
  assert.equal(whole.code, 0, whole.err);
  assert.ok(fs.readFileSync(file('whole.zip')).equals(fs.readFileSync(file('cut.zip'))));
});

test('a changed pack, another key and wrong questions are told', async () => {
  const bytes = fs.readFileSync(file('alice.zip'));
  const at = bytes.indexOf('tools/call', bytes.indexOf('entries/'));
  bytes[at] ^= 1;
  fs.writeFileSync(file('changed.zip'), bytes);
  const changed = verify('changed.zip', '--report', file('none.html'));
  assert.equal(changed.status, 1);
  assert.ok(changed.report.faults.some(fault => fault.code === 'pack-proof') && changed.report.faults.some(fault => fault.code === 'pack-form'), JSON.stringify(changed.report));
  assert.ok(!fs.existsSync(file('none.html')));
  fs.writeFileSync(file('cut-short.zip'), bytes.subarray(0, 5000));
  assert.deepEqual(verify('cut-short.zip').report.faults.map(fault => fault.code).filter(code => code === 'pack-form'), ['pack-form']);
  assert.equal(verify('missing.zip').status, 3);
  const asked = async (...args) => (await gateway.run(['evidence', 'export', '-c', gateway.config, '-o', file('wrong.zip'), ...args])).code;
  assert.equal(await asked('--session', 'ffffffffffff'), 3);
  assert.equal(await asked('--from', 'yesterday'), 2);
  assert.equal(await asked('--kind', 'nonsense'), 2);
  assert.equal(await asked('--payloads', 'some'), 2);
  assert.equal(await asked('--from', '2026-01-01', '--from-index', '3'), 2);
});

test('reading it left no trace, as the documents say', () => assert.deepEqual(gateway.entries('evidence.read'), []));
