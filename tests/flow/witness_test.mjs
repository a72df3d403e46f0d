// Witnesses: cosignatures on heads, refusal of logs that were rolled back or forked, and the way on from there.
import test from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { SALLYPORT, folder, until, verify } from '../lib/gateway.mjs';
import { ticketsBehind } from '../lib/tickets.mjs';
import { Witness, witnessesYaml } from '../lib/witness.mjs';

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
