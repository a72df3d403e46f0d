// Witnesses: cosignatures on heads, refusal of logs that were rolled back or forked, and the way on from there.
import test from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { SALLYPORT, folder, until, verify } from '../lib/gateway.mjs';
import { ticketsBehind } from '../lib/tickets.mjs';
import { Liar, Witness, witnessesYaml } from '../lib/witness.mjs';

const call = (client, id = 1) => client.callTool({ name: 'read_ticket', arguments: { id } });
const headOf = file => { const text = fs.readFileSync(file, 'utf8'); return { text, size: Number(text.split('\n')[1]) }; };
const witnessed = gateway => path.join(gateway.evidence, 'checkpoint.witnessed');
const allWitnessed = gateway => until(() => fs.existsSync(witnessed(gateway)) && headOf(witnessed(gateway)).size >= gateway.entries().length, 'a witnessed head over every entry');

/** A gateway with its key known beforehand, for witnesses want it before they start. */
async function served(dir, count, more = '') {
  const key = spawnSync(SALLYPORT, ['evidence', 'keygen', 'test/evidence', '-o', path.join(dir, 'log.key')], { encoding: 'utf8' }).stdout.trim();
  const witnesses = [];
  for (let i = 0; i < count; i++) witnesses.push(await new Witness(dir, `witness.example/w${i}`.replaceAll('/', '-'), [key]).start());
  const { gateway, tickets, end } = await ticketsBehind({ more: { evidence: `signing_key: { file: ${path.join(dir, 'log.key')} }\n` + witnessesYaml(witnesses, more) } });
  return { key, witnesses, gateway, tickets, end: async () => { const code = await end(); await Promise.all(witnesses.map(one => one.child.exitCode === null && one.stop())); return code; } };
}

test('heads are cosigned by the quorum; the verifier counts the cosignatures of the witnesses it was told', async () => {
  const { key, witnesses, gateway, end } = await served(folder(), 3, ', quorum: 2');
  const client = await gateway.client('tickets', await gateway.token('alice'));
  await call(client);
  await allWitnessed(gateway);
  // One of three may be away, and comes back to a log that went on.
  await witnesses[0].stop();
  await call(client, 2);
  await allWitnessed(gateway);
  await witnesses[0].start();
  await until(() => headOf(witnessed(gateway)).text.includes('— witness.example-w0 '), 'the third cosignature again');
  await client.close();
  assert.equal(await end(), 0);
  const args = witnesses.flatMap(one => ['--witness', one.key]);
  const good = verify(gateway.evidence, key, [...args, '--quorum', '2']);
  assert.equal(good.code, 0, good.out);
  assert.equal(good.report.witnessed_entries, good.report.entries);
  // A witness nobody asked counts for nothing.
  const stranger = await new Witness(folder(), 'stranger', [key]).start();
  const missing = verify(gateway.evidence, key, ['--witness', stranger.key]);
  assert.equal(missing.code, 2, missing.out);
  assert.equal(missing.report.witnessed_entries, 0);
  await stranger.stop();
  // A cosignature that was changed is a fault.
  fs.writeFileSync(witnessed(gateway), headOf(witnessed(gateway)).text.replace(/(— witness\.example-w1 .{30})./, (all, start) => start + (all.at(-1) === 'A' ? 'B' : 'A')));
  const forged = verify(gateway.evidence, key, args);
  assert.equal(forged.code, 1);
  assert.equal(forged.report.faults[0].code, 'witness');
});

test('a log that was rolled back is refused by its witness: an alarm, no new command, also after a restart, until a new incarnation', async () => {
  const dir = folder();
  const { key, witnesses, gateway, tickets, end } = await served(dir, 1, ', refuse_after: 2s');
  const alice = await gateway.token('alice');
  let client = await gateway.client('tickets', alice);
  await call(client);
  await client.close();
  assert.equal(await gateway.stop(), 0);
  const earlier = path.join(dir, 'earlier');
  fs.cpSync(gateway.dir, earlier, { recursive: true });
  await gateway.start();
  client = await gateway.client('tickets', await gateway.token('alice'));
  await call(client, 2);
  await allWitnessed(gateway);
  await client.close();
  assert.equal(await gateway.stop(), 0);

  // The whole machine is put back, the notary’s memory with it: by itself nothing is wrong.
  for (const part of ['evidence', 'state']) {
    fs.rmSync(path.join(gateway.dir, part), { recursive: true });
    fs.cpSync(path.join(earlier, part), path.join(gateway.dir, part), { recursive: true });
  }
  const calls = tickets.calls.length;
  for (let restart = 0; restart < 2; restart++) {
    await gateway.start();
    await until(() => /ALARM: the witness witness\.example-w0 has cosigned \d+ entries of this log, which now has \d+ only/.test(gateway.child.errors) || restart === 1, 'the alarm');
    const refused = await gateway.client('tickets', await gateway.token('alice').catch(() => alice)).then(made => call(made)).then(answer => JSON.stringify(answer), error => error.message);
    assert.match(refused, /rolled back|no witness has answered|nobody can be let in/);
    const ready = await fetch(gateway.adminUrl + '/readyz');
    assert.equal(ready.status, 503);
    assert.match(await ready.text(), /rolled back/);
    await gateway.stop();
  }
  assert.equal(tickets.calls.length, calls, 'nothing reached the target');

  const opened = spawnSync(SALLYPORT, ['evidence', 'incarnation', '-c', gateway.config, '--basis', 'restored from a snapshot after a disk failure'], { encoding: 'utf8' });
  assert.equal(opened.status, 0, opened.stderr);
  assert.equal(opened.stdout, 'test/evidence-2\n');
  // The key of the new log is a new one, and its witnesses must be told.
  fs.rmSync(path.join(dir, 'log.key'));
  const fresh = spawnSync(SALLYPORT, ['evidence', 'keygen', 'test/evidence-2', '-o', path.join(dir, 'log.key')], { encoding: 'utf8' }).stdout.trim();
  await witnesses[0].stop();
  witnesses[0].logs.push(fresh);
  await witnesses[0].start();
  await gateway.start();
  await until(() => fs.existsSync(witnessed(gateway)), 'the new log’s first witnessed head');
  client = await gateway.client('tickets', await gateway.token('alice'));
  assert.notEqual((await call(client, 3)).isError, true);
  await client.close();
  const [gap] = gateway.entries('gap');
  assert.equal(gap.name, 'test/evidence');
  assert.match(gap.reason, /snapshot/);
  assert.ok(gap.signed_size > 0);
  assert.equal(await end(), 0);
  assert.equal(verify(gateway.evidence, fresh, ['--witness', witnesses[0].key]).code, 0);
  assert.equal(verify(gateway.evidence + '.closed-1', key).code, 0, 'the closed log still verifies');
});

const status = async gateway => JSON.parse((await gateway.get('/api/evidence/status', { token: await gateway.token('bob') })).body);
const metric = async (gateway, name) => Number((await gateway.get('/metrics')).body.split('\n').find(line => line.startsWith(name + ' '))?.split(' ')[1] ?? NaN);

/** The same as allWitnessed, without a program in between that would keep the liars, which live in this process, from answering. */
const nothingWaits = gateway => until(async () => {
  const text = (await gateway.get('/metrics')).body, of = name => Number(text.match(new RegExp(`^${name} (\\d+)`, 'm'))?.[1] ?? NaN);
  return of('sallyport_evidence_witnessed_entries') >= of('sallyport_evidence_entries_total');
}, 'a witnessed head over every entry');

/** Two of three witnesses, two of which can be made to lie. */
async function amongLiars() {
  const dir = folder();
  const key = spawnSync(SALLYPORT, ['evidence', 'keygen', 'test/evidence', '-o', path.join(dir, 'log.key')], { encoding: 'utf8' }).stdout.trim();
  const witnesses = [], liars = [];
  for (let i = 0; i < 3; i++) witnesses.push(await new Witness(dir, `w${i}`, [key]).start());
  for (const i of [1, 2]) liars.push(await new Liar(witnesses[i]).start());
  const signing = `signing_key: { file: ${path.join(dir, 'log.key')} }\n`;
  const { gateway, end } = await ticketsBehind({ more: { evidence: signing + witnessesYaml([witnesses[0], ...liars], ', quorum: 2') } });
  return { key, signing, liars, gateway, end: async () => { const code = await end(); for (const one of liars) one.close(); for (const one of witnesses) await one.stop(); return code; } };
}

test('a witness that lies alone is recorded and left aside; commands run, heads are witnessed by the others', async () => {
  const { key, liars, gateway, end } = await amongLiars();
  const client = await gateway.client('tickets', await gateway.token('alice'));
  await nothingWaits(gateway);
  for (const [lie, words] of [[[409, '999999999\n'], /has cosigned 999999999 entries/], [[422, 'no\n'], /was changed or forked/]]) {
    const before = await metric(gateway, 'sallyport_witness_refusals_total{witness="w1"}');
    liars[0].lie = lie;
    await until(() => metric(gateway, 'sallyport_witness_contradicts{witness="w1"}').then(one => one === 1), 'the contradiction in /metrics');
    assert.notEqual((await call(client)).isError, true, 'commands run');
    await nothingWaits(gateway);
    const now = await status(gateway);
    assert.deepEqual([now.writable, now.alarm, now.witnesses.quorum], [true, '', 2]);
    assert.deepEqual(now.witnesses.each.map(one => [one.name, one.contradicts, one.problem !== '']), [['w0', false, false], ['w1', true, true], ['w2', false, false]]);
    assert.ok(await metric(gateway, 'sallyport_witness_refusals_total{witness="w1"}') > before);
    assert.match(gateway.child.errors, /WARNING: the witness w1 /);
    if (lie[0] === 409) {
      const [warning] = await until(() => { const found = gateway.entries('sink.failed'); return found.length && found; }, 'the entry');
      assert.equal(warning.name, 'witness w1');
      assert.match(warning.reason, words);
    }
    liars[0].lie = null;
    await until(() => metric(gateway, 'sallyport_witness_contradicts{witness="w1"}').then(one => one === 0), 'it cosigns again');
  }
  await until(() => gateway.entries('sink.recovered').length === 1, 'that it cosigns again is recorded');
  assert.equal((await fetch(gateway.adminUrl + '/readyz')).status, 200);
  assert.ok(!fs.existsSync(path.join(gateway.evidence, 'alarm')));
  assert.equal(await metric(gateway, 'sallyport_evidence_alarm'), 0);
  await nothingWaits(gateway);
  assert.ok(await metric(gateway, 'sallyport_evidence_witnessed_entries') > 0);
  assert.ok(await metric(gateway, 'sallyport_evidence_witness_lag_seconds') >= 0);
  await client.close();
  assert.equal(await end(), 0);
  assert.equal(verify(gateway.evidence, key).code, 0);
});

test('an alarm takes two of three, and stands when the witnesses are taken out of the configuration', async () => {
  const { signing, liars, gateway, end } = await amongLiars();
  await nothingWaits(gateway);
  for (const one of liars) one.lie = [422, 'no\n'];
  await until(() => /ALARM: the witness w1 .*the witness w2 /.test(gateway.child.errors), 'the alarm names both');
  assert.equal(await metric(gateway, 'sallyport_evidence_alarm'), 1);
  assert.equal(await gateway.stop(), 0);
  gateway.change({ more: { evidence: signing } });
  await gateway.start();
  const ready = await fetch(gateway.adminUrl + '/readyz');
  assert.equal(ready.status, 503);
  assert.match(await ready.text(), /was changed or forked/);
  assert.equal(await metric(gateway, 'sallyport_evidence_alarm'), 1);
  const refused = await gateway.token('alice').then(token => gateway.client('tickets', token)).then(client => call(client)).then(answer => JSON.stringify(answer), error => error.message);
  assert.match(refused, /was changed or forked|nobody can be let in/);
  assert.equal(await gateway.stop(), 0);
  const opened = spawnSync(SALLYPORT, ['evidence', 'incarnation', '-c', gateway.config, '--basis', 'two of three say so'], { encoding: 'utf8' });
  assert.equal(opened.status, 0, opened.stderr);
  fs.rmSync(path.join(path.dirname(signing.match(/file: (.*) \}/)[1]), 'log.key'));
  spawnSync(SALLYPORT, ['evidence', 'keygen', 'test/evidence-2', '-o', signing.match(/file: (.*) \}/)[1]], { encoding: 'utf8' });
  await gateway.start();
  assert.equal((await fetch(gateway.adminUrl + '/readyz')).status, 200, 'a new log knows no alarm');
  const client = await gateway.client('tickets', await gateway.token('alice'));
  assert.notEqual((await call(client)).isError, true);
  await client.close();
  assert.equal(await end(), 0);
});

test('without witnesses, or with others, no head is called witnessed that was so by those before', async () => {
  const { key, witnesses, gateway, end } = await served(folder(), 1);
  await allWitnessed(gateway);
  assert.equal(await gateway.stop(), 0);
  const last = headOf(witnessed(gateway)).text;
  const options = gateway.options.more.evidence;
  gateway.change({ more: { evidence: options.replace(/witnesses: .*\n/, '') } });
  await gateway.start();
  assert.ok(!fs.existsSync(witnessed(gateway)));
  assert.ok(fs.readFileSync(path.join(gateway.evidence, 'checkpoints.witnessed'), 'utf8').endsWith(last + '\n'), 'it is in the archive');
  assert.equal(await gateway.stop(), 0);
  gateway.change({ more: { evidence: options } });
  await gateway.start();
  await allWitnessed(gateway);
  assert.equal(await gateway.stop(), 0);
  // Another witness, which is away: what the first one cosigned is not its word.
  const other = await new Witness(folder(), 'other', [key]).start();
  await other.stop();
  gateway.change({ more: { evidence: options.replace(/witnesses: .*\n/, witnessesYaml([other])) } });
  await gateway.start();
  assert.ok(!fs.existsSync(witnessed(gateway)));
  assert.equal(await end(), 0);
  assert.equal(verify(gateway.evidence, key, ['--witness', witnesses[0].key]).report.faults.length, 0);
});

test('a log that was forked is refused: another history of the same length', async () => {
  const dir = folder();
  const { witnesses, gateway, end } = await served(dir, 1);
  assert.equal(await gateway.stop(), 0);
  const fork = path.join(dir, 'fork');
  fs.cpSync(gateway.dir, fork, { recursive: true });
  const further = async () => {
    await gateway.start();
    const client = await gateway.client('tickets', await gateway.token('alice'));
    for (let i = 0; i < 5; i++) await call(client, i);
    await client.close();
  };
  await further();
  await allWitnessed(gateway);
  await gateway.stop();
  for (const part of ['evidence', 'state']) {
    fs.rmSync(path.join(gateway.dir, part), { recursive: true });
    fs.cpSync(path.join(fork, part), path.join(gateway.dir, part), { recursive: true });
  }
  await witnesses[0].stop();
  await further();
  for (let i = 0; i < 3; i++) { const c = await gateway.client('tickets', await gateway.token('alice')); await call(c); await c.close(); }
  await witnesses[0].start();
  await until(() => /ALARM: .*was changed or forked/.test(gateway.child.errors), 'the alarm');
  await end();
});

test('without witnesses for longer than the policy allows no new command runs; with one again they run', async () => {
  const { witnesses, gateway, end } = await served(folder(), 1, ', refuse_after: 1s');
  await allWitnessed(gateway);
  const client = await gateway.client('tickets', await gateway.token('alice'));
  assert.notEqual((await call(client)).isError, true);
  await witnesses[0].stop();
  const text = async () => JSON.stringify(await call(client).catch(error => ({ error: error.message })));
  const refused = await until(async () => { const answer = await text(); return /refuse_after/.test(answer) && answer; }, 'a refusal');
  assert.match(refused, /witness\.example-w0: it cannot be reached/);
  await witnesses[0].start();
  await until(async () => !/refuse_after/.test(await text()), 'a call that runs again');
  assert.deepEqual(gateway.entries().filter(entry => entry.kind.startsWith('sink.')).map(entry => entry.kind), ['sink.failed', 'sink.recovered']);
  await client.close();
  assert.equal(await end(), 0);
});

test('the witness answers as tlog-witness says', async () => {
  const { key, witnesses, gateway, end } = await served(folder(), 1);
  await allWitnessed(gateway);
  const note = headOf(path.join(gateway.evidence, 'checkpoint')).text;
  const post = async body => { const answer = await fetch(witnesses[0].url + '/add-checkpoint', { method: 'POST', body }); return [answer.status, answer.headers.get('content-type'), await answer.text()]; };
  const [status, type, size] = await post(`old 0\n\n${note}`);
  assert.equal(status, 409);
  assert.equal(type, 'text/x.tlog.size');
  assert.match(size, /^\d+\n$/);
  for (const [expected, body] of [[400, ''], [400, 'old x\n\n' + note], [400, `old 01\n\n${note}`], [400, `old 999999999\n\n${note}`], [404, 'old 0\n\n' + note.replaceAll('test/evidence', 'other/evidence')],
    [403, `old ${size}\n`.replace('\n\n', '\n') + '\n' + note.replace(/\n(\d+)\n/, (all, n) => `\n${Number(n) + 1}\n`)], [403, `old ${size}\n${note.split('\n\n')[0]}\n\n— someone.else AAAAAAAA\n`],
    [400, `old ${size}${Array(64).fill('AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=').join('\n')}\n\n${note}`]])
    assert.equal((await post(body))[0], expected, body.slice(0, 60));
  const { createHash } = await import('node:crypto');
  const stored = await fetch(`${witnesses[0].url}/${createHash('sha256').update('test/evidence').digest('hex')}/checkpoint`);
  assert.equal(stored.status, 200);
  assert.match(await stored.text(), /^test\/evidence\n\d+\n[^\n]+\n\n— test\/evidence [^]*\n— witness\.example-w0 [^\n]+\n$/);
  assert.equal((await fetch(`${witnesses[0].url}/${'0'.repeat(64)}/checkpoint`)).status, 404);
  assert.ok(key);
  await end();
});
