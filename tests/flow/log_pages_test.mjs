// The log over HTTP as tlog-tiles, followed by the Go project's client for such logs; receipts through the API.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { ROOT, VERIFY, folder, until } from '../lib/gateway.mjs';
import { ticketsBehind } from '../lib/tickets.mjs';

const dir = folder(), tool = path.join(dir, 'logcheck');
let served, gateway, alice, bob;
before(async () => {
  const built = spawnSync('go', ['build', '-o', tool, path.join(ROOT, 'tests/fixtures/logcheck/main.go')],
    { encoding: 'utf8', env: { ...process.env, GO111MODULE: 'off', GOPATH: '/usr/share/gocode', GOCACHE: path.join(ROOT, '.dev/go'), GOFLAGS: '' } });
  assert.equal(built.status, 0, built.stderr + built.error);
  served = await ticketsBehind({ tls: true, users: { alice: ['engineers'], bob: ['leads'], dave: ['engineers'] }, more: { evidence: 'log_readers: [leads]' } });
  gateway = served.gateway;
  [alice, bob] = [await gateway.token('alice'), await gateway.token('bob')];
  const client = await gateway.client('tickets', alice);
  // Past a full tile of level 0, while a head is signed every 50 ms.
  for (let i = 0; i < 400; i++) await client.callTool({ name: 'read_ticket', arguments: { id: i } });
  gateway.blocked = await client.callTool({ name: 'run_command', arguments: { command: 'id' } });
  await client.close();
  const size = gateway.entries().length;
  await until(() => Number(fs.readFileSync(path.join(gateway.evidence, 'checkpoint'), 'utf8').split('\n')[1]) >= size, 'all of it is signed');
});
after(() => served.end());

const ask = async (target, token) => gateway.fetch()(gateway.adminUrl + target, token ? { headers: { Authorization: `Bearer ${token}` } } : {});
// Not spawnSync: the upstream lives in this process.
const follow = (key, token = bob) => new Promise(resolve => {
  const child = spawn(tool, [gateway.adminUrl + '/log', key, gateway.ca], { env: { ...process.env, SALLYPORT_TOKEN: token } });
  let out = '', err = '';
  child.stdout.on('data', d => { out += d; });
  child.stderr.on('data', d => { err += d; });
  child.on('close', code => resolve({ code, out, err }));
});

test('the Go project’s log client accepts the head, every tile, entry, inclusion and consistency', async () => {
  const { code, out, err } = await follow(gateway.key().trim());
  assert.equal(code, 0, err);
  const [, entries, tiles] = /^(\d+) entries, (\d+) tiles, \d+ consistency proofs: all hold under test\/evidence\n$/.exec(out).map(Number);
  assert.ok(entries > 800 && tiles > 4, out);
  const read = gateway.entries('evidence.read');
  assert.equal(read.length, 1, 'one entry a minute for each reader');
  assert.equal(read[0].subject, 'bob');
});

test('it refuses them under another key', async () => {
  const other = spawnSync(path.join(path.dirname(VERIFY), 'sallyport'), ['evidence', 'keygen', 'test/evidence', '-o', path.join(dir, 'other.key')], { encoding: 'utf8' }).stdout.trim();
  const { code, err } = await follow(other);
  assert.equal(code, 1);
  assert.match(err, /checkpoint: note has no verifiable signatures/);
});

test('the log is for its readers, and only what tlog-tiles names is there', async () => {
  assert.equal((await ask('/log/checkpoint')).status, 401);
  assert.equal((await ask('/log/checkpoint', alice)).status, 403);
  const head = await ask('/log/checkpoint', bob);
  assert.equal(head.headers.get('content-type'), 'text/plain; charset=utf-8');
  const size = Number((await head.text()).split('\n')[1]);
  assert.equal((await (await ask('/log/tile/0/000', bob)).arrayBuffer()).byteLength, 8192);
  assert.equal((await (await ask('/log/tile/0/000.p/3', bob)).arrayBuffer()).byteLength, 96);
  assert.equal((await (await ask('/log/tile/1/000.p/1', bob)).arrayBuffer()).byteLength, 32);
  for (const wrong of ['tile/0/0', 'tile/0/0000', 'tile/00/000', 'tile/64/000', 'tile/0/x000/001', 'tile/0/000/', 'tile/0/000.p/256', 'tile/0/000.p/0', 'tile/0/000.p/03', 'tile/0/x001/x000/000.p/1/2',
    'tile/entries/999', 'tile/0/999', 'tile/7/000.p/1', 'tile/63/x999/x999/999', 'tile/0/..%2f', 'tile', '', 'checkpoints', `tile/0/${String(Math.floor(size / 256)).padStart(3, '0')}`])
    assert.equal((await ask('/log/' + wrong, bob)).status, 404, wrong);
});

test('a receipt comes through the API, to who asked for the command and to the log’s readers', async () => {
  const id = /req_[0-9a-f]+/.exec(JSON.stringify(gateway.blocked))[0];
  const ran = gateway.entries('command').at(-2).request_id;
  for (const [request, receipts] of [[id, 1], [ran, 2]]) {
    for (const token of [alice, bob]) {
      const answer = await ask(`/api/receipts/${request}`, token);
      assert.equal(answer.status, 200);
      const file = path.join(dir, 'one.tlog-proof');
      fs.writeFileSync(file, await answer.text());
      const { status, stdout } = spawnSync(VERIFY, ['receipt', file, '--key', gateway.key(), '--json'], { encoding: 'utf8' });
      assert.equal(status, 0, stdout);
      assert.equal(JSON.parse(stdout).receipts, receipts);
    }
  }
  assert.equal((await ask(`/api/receipts/${ran}`, await gateway.token('dave'))).status, 404, 'another’s');
  assert.equal((await ask('/api/receipts/req_00000000000000000000', alice)).status, 404);
});

test('an agent that asks for it gets the receipt with the answer, of what ran and of what was refused', async () => {
  const client = await gateway.client('tickets', alice);
  for (const [name, args, receipts] of [['read_ticket', { id: 1 }, 2], ['slow', { ms: 1, steps: 2 }, 2], ['run_command', { command: 'id' }, 1]]) {
    const answer = await client.callTool({ name, arguments: args, _meta: { 'sallyport/receipt': true } });
    const file = path.join(dir, 'meta.tlog-proof');
    fs.writeFileSync(file, answer._meta['sallyport/receipt']);
    const { status, stdout } = spawnSync(VERIFY, ['receipt', file, '--key', gateway.key(), '--json'], { encoding: 'utf8' });
    assert.equal(status, 0, stdout);
    assert.equal(JSON.parse(stdout).receipts, receipts, name);
    assert.equal((await client.callTool({ name, arguments: args }))._meta?.['sallyport/receipt'], undefined);
  }
  await client.close();
});

test('sallyport-verify judges the log over HTTP, and another key’s is none', async () => {
  const token = path.join(dir, 'bob.token'), url = gateway.adminUrl + '/log';
  fs.writeFileSync(token, bob + '\n');
  const judge = (...args) => new Promise(resolve => {
    const child = spawn(VERIFY, [url, '--ca', gateway.ca, '--json', ...args], {});
    let out = '', err = '';
    child.stdout.on('data', d => { out += d; });
    child.stderr.on('data', d => { err += d; });
    child.on('close', code => resolve({ code, report: out && JSON.parse(out), err }));
  });
  const good = await judge('--key', gateway.key().trim(), '--token-file', token);
  assert.equal(good.code, 0, good.err + JSON.stringify(good.report));
  assert.ok(good.report.entries > 800 && good.report.commands > 400 && good.report.signed_entries === good.report.entries);
  const other = await judge('--key', spawnSync(path.join(path.dirname(VERIFY), 'sallyport'), ['evidence', 'keygen', 'test/evidence', '-o', path.join(dir, 'third.key')], { encoding: 'utf8' }).stdout.trim(), '--token-file', token);
  assert.deepEqual([other.code, other.report.faults[0].code], [1, 'head-signature']);
  const nobody = await judge('--key', gateway.key().trim());
  assert.equal(nobody.code, 3);
  assert.match(nobody.err, /no verdict: cannot fetch/);
});
