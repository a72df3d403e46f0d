// Holding, erasing and pruning through a real gateway: what goes is gone, what is kept is provable, and a gateway that is killed in the
// middle of it comes back with a log that is valid.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';
import JSZip from 'jszip';
import { VERIFY, folder, until } from '../lib/gateway.mjs';
import { ticketsBehind } from '../lib/tickets.mjs';
import { startTickets } from '../fixtures/tickets_server.mjs';
import { Witness, witnessesYaml } from '../lib/witness.mjs';

const dir = folder();
const RETENTION = 'segment: 64KiB\nkeepers: [leads]\nlog_readers: [leads]\nretention: { default: 1s, classes: [{ labels: { keep: long }, keep: 365d }] }\n';

async function served(evidence = RETENTION) {
  const tickets = await startTickets();
  const target = labels => ({ url: tickets.url, labels: { env: 'prod', ...labels } });
  const made = await ticketsBehind({ tickets, targets: { tickets: target({ data: 'pii' }), vault: target({ keep: 'long' }) }, more: { evidence } });
  const { gateway } = made;
  const [alice, bob] = [await gateway.token('alice'), await gateway.token('bob')];
  return { ...made, alice, bob };
}
/** A session of so many calls that is ended; its id. */
async function session(gateway, token, calls, target = 'tickets') {
  const known = new Set(gateway.sessions().map(one => one.session));
  const client = await gateway.client(target, token);
  for (let i = 0; i < calls; i++) await client.callTool({ name: 'read_ticket', arguments: { id: i } });
  await client.transport.terminateSession();
  await client.close();
  const made = await until(() => gateway.sessions().find(one => !known.has(one.session) && one.state !== 'open'), 'the session is closed');
  return made.session;
}
const keep = (gateway, token, ...args) => gateway.run(['evidence', ...args], { token });
const firstKept = gateway => Number(fs.readdirSync(path.join(gateway.evidence, 'segments')).filter(name => name.endsWith('.seg')).sort()[0].slice(0, 20));
/** Not before all that may go is old enough to. */
async function ripe(gateway, token) {
  let plan;
  return until(async () => {
    plan = JSON.parse((await keep(gateway, token, 'prune', '--dry-run', '--json')).out);
    return plan.segments > 1 && plan;
  }, 'segments that may go', 20_000).catch(error => { throw new Error(`${error.message}: ${JSON.stringify(plan)}`); });
}
const judged = (...args) => { const { status, stdout } = spawnSync(VERIFY, [...args, '--json'], { encoding: 'utf8' }); return { status, report: JSON.parse(stdout), stdout }; };
const valid = gateway => { const { code, report, out } = gateway.verify(gateway.evidence, gateway.key(), ['--keys', path.join(gateway.evidence, 'keys')]); assert.ok(code === 0 || code === 2, out); return report; };

/** keys/session-keys as docs/formats/payload.md has it: the record of each session. */
function keyRecords(gateway) {
  const bytes = fs.readFileSync(path.join(gateway.evidence, 'keys/session-keys')), out = new Map();
  for (let at = 0; at + 96 <= bytes.length; at += 96) out.set(bytes.toString('hex', at + 4, at + 20), bytes.subarray(at, at + 96));
  return out;
}
const isLive = record => record.toString('latin1', 0, 4) === 'SKY1';
const isGone = record => record.toString('latin1', 0, 4) === 'SKY0' && record.subarray(20, 80).every(byte => byte === 0);
const opened = (key, nonce, aad, sealed) => {
  const cipher = crypto.createDecipheriv('aes-256-gcm', key, nonce).setAAD(aad).setAuthTag(sealed.subarray(-16));
  return Buffer.concat([cipher.update(sealed.subarray(0, -16)), cipher.final()]);
};
/** The payloads of one chunk in a pack, opened with the session's key as it is kept now. */
async function payloadsOf(gateway, session, pack) {
  const record = keyRecords(gateway).get(session), id = Buffer.from(session, 'hex');
  const key = opened(fs.readFileSync(path.join(gateway.evidence, 'keys/kek')), record.subarray(20, 32), Buffer.concat([Buffer.from('test/evidence\0'), id]), record.subarray(32, 80));
  const zip = await JSZip.loadAsync(fs.readFileSync(pack)), out = [];
  for (const file of zip.file(/^sealed\//)) {
    const sealed = await file.async('nodebuffer');
    for (let payload = 0; payload < 200; payload++) {
      const number = Buffer.alloc(12);
      number.writeBigUInt64BE(BigInt(payload) << 24n, 4);
      try { out.push(zlib.zstdDecompressSync(opened(key, number, Buffer.concat([id, number.subarray(4)]), sealed).subarray(16)).toString()); break; } catch { /* of another payload */ }
    }
  }
  return out;
}
/** A key is there exactly for what is kept: sessions with entries, and those that are held. */
function keysFit(gateway, held) {
  const kept = new Set(gateway.entries().map(one => one.session).filter(Boolean));
  for (const [id, record] of keyRecords(gateway)) {
    if (!kept.has(id) && !held.includes(id)) assert.ok(isGone(record), `the key of ${id}, of which nothing is left, is there`);
  }
}

let gateway, alice, bob, end, held, erased, plain, other;
before(async () => {
  ({ gateway, alice, bob, end } = await served());
  [held, erased, plain] = [await session(gateway, alice, 20), await session(gateway, alice, 20), await session(gateway, alice, 20)];
  other = await session(gateway, alice, 350);
});
after(async () => { if (gateway) await end(); });

test('only keepers may, and who tries is on record', async () => {
  for (const [verb, ...args] of [['erase', '--session', erased, '--basis', 'x'], ['hold', '--session', held, '--basis', 'x'], ['prune', '--basis', 'x'], ['holds']]) {
    const { code, err } = await keep(gateway, alice, verb, ...args);
    assert.equal(code, 5, err);
    assert.match(err, /evidence\.keepers/);
  }
  assert.deepEqual(gateway.entries('admin.action').map(one => [one.subject, one.action]), [['alice', 'evidence erase'], ['alice', 'evidence hold'], ['alice', 'evidence prune'], ['alice', 'evidence holds']]);
  assert.equal(gateway.entries().filter(one => ['hold', 'erase', 'prune'].includes(one.kind)).length, 0);
});

test('a held session cannot be erased; an erased one cannot be read by anybody, and its proofs stand', async () => {
  assert.equal((await keep(gateway, bob, 'hold', '--session', held, '--basis', 'case 7')).code, 0);
  const refused = await keep(gateway, bob, 'erase', '--session', held, '--basis', 'request 12');
  assert.equal(refused.code, 5);
  assert.match(refused.err, /is held/);
  const plain = gateway.play(erased).filter(step => step.text?.includes('customer')).length;
  assert.ok(plain > 0, 'its payloads could be read');
  assert.equal((await keep(gateway, bob, 'erase', '--session', erased, '--basis', 'GDPR Art. 17, request 12')).code, 0);
  const texts = gateway.play(erased).filter(step => step.text).map(step => step.text);
  assert.ok(texts.length > 0 && texts.every(text => text.includes('was erased')), texts[0]);
  const [entry] = gateway.entries('erase');
  assert.deepEqual([entry.subject, entry.reason, entry.related_session], ['bob', 'GDPR Art. 17, request 12', erased]);
  assert.ok(valid(gateway).erased_payloads > 0);
  const pack = path.join(dir, 'erased.zip');
  assert.equal((await gateway.run(['evidence', 'export', '-c', gateway.config, '-o', pack, '--session', erased, '--payloads', 'opened'])).code, 0);
  const { status, report } = judged('pack', pack, '--key', gateway.key());
  assert.equal(status, 0);
  assert.equal(report.opened_payloads, 0);
  assert.equal((await keep(gateway, bob, 'erase', '--session', erased, '--basis', 'again')).code, 5);
  assert.equal((await keep(gateway, bob, 'erase', '--session', 'ab', '--basis', 'x')).code, 2);
});

test('a prune says beforehand what would go, and takes that and no more; held sessions are carried over', async () => {
  const plan = await ripe(gateway, bob);
  const before = gateway.entries();
  assert.ok(plan.carried.includes(held), JSON.stringify(plan));
  assert.equal(plan.done, false);
  assert.ok(plan.keys >= 1 && isLive(keyRecords(gateway).get(plain)), 'its key goes with it, and not before');
  assert.equal(firstKept(gateway), 0, 'asking changes nothing');
  assert.equal((await keep(gateway, bob, 'prune')).code, 2, 'a basis is needed');
  const { code, out, err } = await keep(gateway, bob, 'prune', '--basis', 'retention 1s', '--json');
  assert.equal(code, 0, err);
  const done = JSON.parse(out);
  assert.ok(done.done && done.segments >= plan.segments && done.first === firstKept(gateway) && done.first > 0, out);
  const entries = gateway.entries();
  assert.equal(entries[0].index, done.first);
  assert.deepEqual(entries.slice(0, before.at(-1).index + 1 - done.first), before.slice(done.first), 'what is kept is what it was');
  const [prune] = gateway.entries('prune');
  assert.deepEqual([prune.subject, prune.reason, prune.first], ['bob', 'retention 1s', done.first]);
  const carried = judged('pack', path.join(gateway.evidence, 'held', `${held}.zip`), '--key', gateway.key());
  assert.equal(carried.status, 0, carried.stdout);
  assert.deepEqual([carried.report.complete_sessions, carried.report.sealed_payloads > 0], [1, true]);
  assert.equal(valid(gateway).first_entry, done.first);
  const keys = keyRecords(gateway);
  assert.ok(!entries.some(one => one.session === plain) && isGone(keys.get(plain)), 'nobody can read any more what was pruned');
  keysFit(gateway, [held]);
  assert.ok(isLive(keys.get(other)) && gateway.play(other).some(step => step.text?.includes('customer')), 'a session that goes on in what is kept can be read');
  assert.ok((await payloadsOf(gateway, held, path.join(gateway.evidence, 'held', `${held}.zip`))).some(text => text.includes('customer')), 'what is held can be read');
});

test('after a restart every kept entry has its receipt, the rest none, and a pack holds what is kept', async () => {
  assert.equal(await gateway.stop(), 0);
  const stopped = gateway.verify();
  assert.equal(stopped.code, 0, stopped.out);
  await gateway.start();
  const first = firstKept(gateway);
  const file = path.join(dir, 'kept.tlog-proof');
  for (const index of [first, first + 1, first + 100]) {
    assert.equal((await gateway.run(['receipt', '--index', String(index), '-d', gateway.evidence, '-o', file])).code, 0);
    assert.equal(judged('receipt', file, '--key', gateway.key()).status, 0);
  }
  const gone = await gateway.run(['receipt', '--index', String(first - 1), '-d', gateway.evidence]);
  assert.notEqual(gone.code, 0);
  assert.match(gone.err, /was pruned/);
  const pack = path.join(dir, 'kept.zip');
  const made = await gateway.run(['evidence', 'export', '-c', gateway.config, '-o', pack]);
  assert.equal(made.code, 0, made.err);
  const { status, report } = judged('pack', pack, '--key', gateway.key());
  assert.equal(status, 0, JSON.stringify(report));
  const before = await gateway.run(['evidence', 'export', '-c', gateway.config, '-o', pack, '--from-index', '0']);
  assert.equal(before.code, 3);
  assert.match(before.err, /were pruned/);
  assert.match(JSON.stringify(gateway.play(other)), /read_ticket/);
});

test('over HTTP the log keeps what tlog-tiles wants kept', async () => {
  const ask = async target => (await gateway.get(target, { token: bob })).status;
  const first = firstKept(gateway), whole = Math.ceil(first / 256);
  assert.equal(await ask('/log/tile/0/000'), 404);
  assert.equal(await ask('/log/tile/entries/000'), 404);
  const size = await until(async () => { const n = Number((await gateway.get('/log/checkpoint', { token: bob })).body.split('\n')[1]); return n > whole * 256 && n; }, 'a head');
  const width = Math.min(256, size - whole * 256), tile = `${String(whole).padStart(3, '0')}${width < 256 ? `.p/${width}` : ''}`;
  assert.equal(await ask(`/log/tile/entries/${tile}`), 200);
  assert.equal(await ask(`/log/tile/0/${tile}`), 200);
  assert.equal(await ask(`/log/tile/1/000.p/${whole}`), 200, 'levels above the lowest stay');
});

test('over HTTP the verifier judges what is kept, from the first entry that is served on', async () => {
  const token = path.join(dir, 'bob.token');
  fs.writeFileSync(token, bob + '\n');
  const judge = (...args) => new Promise(resolve => {
    const child = spawn(VERIFY, [gateway.adminUrl + '/log', '--key', gateway.key().trim(), '--token-file', token, '--json', ...args], {});
    let out = '', err = '';
    child.stdout.on('data', d => { out += d; });
    child.stderr.on('data', d => { err += d; });
    child.on('close', code => resolve({ code, report: out && JSON.parse(out), err }));
  });
  const [prune] = gateway.entries('prune'), served = Math.ceil(prune.first / 256) * 256;
  const { code, report, err } = await judge();
  // The entry that tells of the prune is served when it lies in a bundle that is whole.
  assert.equal(code, prune.index >= served ? 0 : 2, err + JSON.stringify(report));
  assert.equal(report.first_entry, served);
  assert.ok(report.entries > served && report.signed_entries === report.entries, JSON.stringify(report));
  assert.match(report.notes.join('\n'), prune.index >= served ? new RegExp(`entries 0 to ${prune.first - 1} were pruned`) : /no entry from \d+ on tells/);
  assert.equal(err, '');
});

test('a longer class keeps its segment; a released hold lets its pack go', async () => {
  const first = firstKept(gateway);
  const kept = await session(gateway, alice, 10, 'vault');
  await session(gateway, alice, 350);
  assert.equal((await keep(gateway, bob, 'release', '--session', held, '--basis', 'case 7 is closed')).code, 0);
  assert.equal((await keep(gateway, bob, 'holds', '--json')).out.trim(), '{"holds":[]}');
  const plan = await until(async () => {
    const one = JSON.parse((await keep(gateway, bob, 'prune', '--dry-run', '--json')).out);
    return one.blocks.some(why => why.includes(kept)) && one;
  }, 'the class is what keeps it', 20_000);
  assert.match(plan.blocks.join('\n'), new RegExp(`session ${kept} is kept until \\d{4}-\\d\\d-\\d\\dT[\\d:]+Z \\(keep=long\\)`));
  assert.equal((await keep(gateway, bob, 'prune', '--basis', 'retention')).code, 0);
  assert.ok(firstKept(gateway) >= first && gateway.sessions().some(one => one.session === kept && one.target === 'vault'));
  assert.equal(fs.existsSync(path.join(gateway.evidence, 'held', `${held}.zip`)), false);
  assert.ok(isGone(keyRecords(gateway).get(held)), 'and its key with it');
  keysFit(gateway, []);
  valid(gateway);
});

test('killed in the middle of a prune, the gateway comes back, and the log is valid at every step', async t => {
  const { gateway, alice, bob, end } = await served();
  t.after(end);
  const key = gateway.key();
  const sure = await session(gateway, alice, 20);
  assert.equal((await keep(gateway, bob, 'hold', '--session', sure, '--basis', 'case 9')).code, 0);
  const segments = () => fs.readdirSync(path.join(gateway.evidence, 'segments')).filter(name => name.endsWith('.seg')).sort();
  const pruned = () => fs.statSync(path.join(gateway.evidence, 'pruned'), { throwIfNoEntry: false })?.ino;
  // What is seen of a prune when the kill comes: it was asked for; its pack is begun; its file is there; the first segment went.
  const moments = [() => true, () => fs.existsSync(path.join(gateway.evidence, 'held')), (was) => pruned() !== was.file, (was) => segments()[0] !== was.first];
  for (const moment of moments) {
    await session(gateway, alice, 350);
    await ripe(gateway, bob);
    const was = { file: pruned(), first: segments()[0] };
    const asked = keep(gateway, bob, 'prune', '--basis', 'retention');
    const killed = until(() => moment(was), 'the moment').then(() => gateway.kill9());
    await Promise.all([asked, killed]);
    const cut = gateway.verify(gateway.evidence, key);
    assert.ok(cut.code === 0 || cut.code === 2, cut.out);
    gateway.keepPorts();
    await gateway.start();
    const whole = gateway.verify(gateway.evidence, key);
    assert.ok(whole.code === 0 || whole.code === 2, whole.out);
    assert.equal(segments()[0], `${String(whole.report.first_entry).padStart(20, '0')}.seg`, 'nothing of what was pruned is left');
    assert.match((await keep(gateway, bob, 'holds', '--json')).out, new RegExp(sure));
    assert.ok(!fs.existsSync(path.join(gateway.evidence, 'keys/pruning')));
    keysFit(gateway, [sure]);
    assert.ok(isLive(keyRecords(gateway).get(sure)));
  }
  assert.equal((await keep(gateway, bob, 'prune', '--basis', 'retention')).code, 0);
  assert.ok(firstKept(gateway) > 0);
  assert.equal(judged('pack', path.join(gateway.evidence, 'held', `${sure}.zip`), '--key', key).status, 0);
  assert.equal(await end(), 0);
  assert.equal(gateway.verify(gateway.evidence, key).code, 0);
});

test('witnesses follow a log that is pruned', async t => {
  const mine = folder();
  const key = spawnSync(path.join(path.dirname(VERIFY), 'sallyport'), ['evidence', 'keygen', 'test/evidence', '-o', path.join(mine, 'log.key')], { encoding: 'utf8' }).stdout.trim();
  const witness = await new Witness(mine, 'witness.example', [key]).start();
  const { gateway, alice, bob, end } = await served(`${RETENTION}signing_key: { file: ${path.join(mine, 'log.key')} }\n${witnessesYaml([witness])}`);
  t.after(() => Promise.all([end(), witness.stop()]));
  const head = () => Number(fs.readFileSync(path.join(gateway.evidence, 'checkpoint.witnessed'), 'utf8').split('\n')[1]);
  await session(gateway, alice, 350);
  await ripe(gateway, bob);
  assert.equal((await keep(gateway, bob, 'prune', '--basis', 'retention')).code, 0);
  assert.ok(firstKept(gateway) > 0);
  await session(gateway, alice, 3);
  await until(() => head() >= gateway.entries().at(-1).index, 'the witness cosigned what came after the prune');
  assert.equal(await end(), 0);
  const { code, out } = gateway.verify(gateway.evidence, key, ['--witness', witness.key]);
  assert.equal(code, 0, out);
});
