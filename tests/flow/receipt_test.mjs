// Receipts of what people and agents ran: made while the gateway runs, verified with its public key alone.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import pgClient from 'pg';
import { Gateway, VERIFY, folder, until } from '../lib/gateway.mjs';
import { Postgres, Wire, errorOf, psql } from '../lib/postgres.mjs';
import { B, C, D, E, P, Q, S, X4 } from '../lib/postgres_messages.mjs';

let pg, gateway, key;
const dir = folder();
before(async () => {
  pg = await Postgres.start();
  pg.sql(`create role app login password 'upstream-secret'; create database shop owner app`);
  gateway = new Gateway({ postgres: true, policy: `- { id: engineers, allow: { who: "group:engineers" } }\n- { id: no-mass-delete, block: { when: '"delete" in sql.verbs && !sql.has_where' } }`,
    targets: { shop: { postgres: `host: 127.0.0.1, port: ${pg.port}, database: shop, user: app, tls: "off", credential: { password: { file: upstream.token } }` } } });
  await gateway.start();
  key = gateway.key();
  const alice = await gateway.token('alice');
  const { err } = await psql(gateway.libpq('alice', 'shop', alice), `create table t (a int);\ninsert into t values (41), (42);\ndelete from t;\nselect a from t where a = 42;\n`);
  assert.match(err, /rule no-mass-delete, request req_/);
  gateway.refused = /request (req_[0-9a-f]+)/.exec(err)[1];
});
after(async () => { await gateway.stop(); await pg.down(); });

const made = async (...args) => {
  const file = path.join(dir, `${args[0].replaceAll('-', '')}.tlog-proof`);
  // The newest head is up to 100 ms behind.
  await until(async () => { const { code, err } = await gateway.run(['receipt', ...args, '-d', gateway.evidence, '-o', file]); if (code !== 6) assert.equal(code, 0, err); return code === 0; }, 'it is signed');
  return file;
};
const verify = (file, ...more) => { const { status, stdout } = spawnSync(VERIFY, ['receipt', file, '--key', key, ...more], { encoding: 'utf8' }); return { status, stdout }; };

test('a command’s receipt has its intent and its outcome, and holds without the log', async () => {
  const command = gateway.entries('command').find(entry => entry.action === 'insert');
  const file = await made(command.request_id);
  const { status, stdout } = verify(file);
  assert.equal(status, 0, stdout);
  assert.match(stdout, /^proven: entry \d+ \(command insert public\.t by ~[\w-]{22}[^]*proven: entry \d+ \(outcome[^]*valid: 2 receipts\n$/);
  assert.deepEqual(JSON.parse(verify(file, '--json').stdout), { verdict: 'valid', receipts: 2, code: '', what: '' });
  assert.match(fs.readFileSync(file, 'utf8'), /^c2sp\.org\/tlog-proof@v1\nextra [A-Za-z0-9+/=]+\nindex \d+\n/);
});

test('what was refused has a receipt as well, by the id that its error shows', async () => {
  const { status, stdout } = verify(await made(gateway.refused));
  assert.equal(status, 0, stdout);
  assert.match(stdout, /\(command delete public\.t by ~[\w-]{22}[^]*valid: 1 receipts/);
});

test('a changed entry, another place, another’s proof and another key are refused by name', async () => {
  const [one, two] = gateway.entries('command').filter(entry => entry.action !== 'delete').map(entry => entry.index);
  const [a, b] = [fs.readFileSync(await made('--index', String(one)), 'utf8'), fs.readFileSync(await made('--index', String(two)), 'utf8')];
  const lines = a.split('\n'), other = b.split('\n');
  const said = (text, ...more) => { const file = path.join(dir, 'changed'); fs.writeFileSync(file, text); const { status, stdout } = verify(file, '--json', ...more); return [status, JSON.parse(stdout).code]; };
  const entry = Buffer.from(lines[1].slice(6), 'base64');
  entry[entry.length - 1] ^= 1;
  assert.deepEqual(said(a), [0, '']);
  assert.deepEqual(said([lines[0], `extra ${entry.toString('base64')}`, ...lines.slice(2)].join('\n')), [1, 'receipt-proof']);
  assert.deepEqual(said([lines[0], other[1], ...lines.slice(2)].join('\n')), [1, 'receipt-proof']);
  assert.deepEqual(said([...lines.slice(0, 2), other[2], ...lines.slice(3)].join('\n')), [1, 'receipt-proof']);
  assert.deepEqual(said(a.replace(/^\d+$/m, n => String(Number(n) + 1))), [1, 'receipt-head']);
  assert.deepEqual(said(lines.slice(1).join('\n')), [1, 'receipt-form']);
  assert.deepEqual(said(''), [1, 'receipt-form']);
});

test('SHOW sallyport.receipt gives the last statement’s, in a transaction as out of one, and leaves its state alone', async () => {
  const alice = await gateway.token('alice');
  const shown = ['select', 'insert'].map(action => ({ action, file: path.join(dir, action) }));
  const { out, err } = await psql(gateway.libpq('alice', 'shop', alice), `\\pset format unaligned\n\\pset tuples_only on\nselect 'one';\n\\o ${shown[0].file}\nshow sallyport.receipt;\n\\o\n` +
    `begin;\ninsert into t values (7);\n\\o ${shown[1].file}\n  SHOW  Sallyport.Receipt ;\n\\o\nselect count(*) from t where a = 7;\nrollback;\n` +
    `begin;\nselect 1/0;\nshow sallyport.receipt;\nrollback;\nselect 'end';\n`);
  for (const { action, file } of shown) {
    const { status, stdout } = verify(file);
    assert.equal(status, 0, stdout + err + fs.readFileSync(file, 'utf8'));
    assert.match(stdout, new RegExp(`\\(command ${action} [^]*\\(outcome[^]*valid: 2 receipts`));
  }
  assert.match(err, /current transaction is aborted/);
  assert.match(out, /^1\n/m, 'the transaction went on');
  assert.match(out, /\nend\n$/);
  const fresh = await psql(gateway.libpq('alice', 'shop', alice), 'show sallyport.receipt;\n');
  assert.match(fresh.err, /there is no receipt/);
});

const proven = (receipt, action) => {
  const file = path.join(dir, `${action}-extended`);
  fs.writeFileSync(file, receipt);
  const { status, stdout } = verify(file);
  assert.equal(status, 0, stdout + receipt);
  assert.match(stdout, new RegExp(`\\(command ${action} [^]*\\(outcome[^]*valid: 2 receipts`));
};

test('drivers that use the extended protocol only get it as well, unnamed, named, and in binary', async () => {
  const client = new pgClient.Client({ host: '127.0.0.1', port: gateway.postgresPort, user: 'alice@shop', password: await gateway.token('alice'), database: 'shop',
    ssl: { ca: fs.readFileSync(gateway.ca), servername: 'localhost', checkServerIdentity: () => undefined } });
  await client.connect();
  const show = async more => { const { rows, command } = await client.query({ text: 'SHOW sallyport.receipt;', queryMode: 'extended', ...more }); assert.equal(command, 'SHOW'); return rows[0]['sallyport.receipt']; };
  await client.query('select a from t where a = $1', [42]);
  proven(await show(), 'select');
  await client.query('begin');
  await client.query('insert into t values ($1)', [8]);
  proven(await show({ name: 'receipt' }), 'insert');
  await client.query('delete from t where a = $1', [8]);
  proven(await show({ name: 'receipt', binary: true }), 'delete');
  await client.query('commit');
  assert.deepEqual((await client.query('select count(*)::int n from t where a = $1', [8])).rows, [{ n: 0 }]);
  await client.end();
});

test('in a pipeline it is answered in its place, and an error before or of it skips what follows up to the Sync', async () => {
  const alice = await gateway.token('alice');
  const receipt = 'show sallyport.receipt', types = answers => answers.map(({ type }) => type).join('');
  const wire = await Wire.secured(gateway.postgresPort, gateway.ca);
  await wire.login('alice', 'shop', alice, { database: 'shop' });
  const all = async (...messages) => { wire.send(...messages.flat(Infinity)); return wire.all(); };

  const none = await all(P(receipt, 'r'), D('S', 'r'), B({ name: 'r' }), E(), X4('select 1'), S);
  assert.deepEqual([types(none), errorOf(none[4]).C], ['1tT2EZ', '55000'], 'nothing has run yet');
  const both = await all(X4('select 41 + 1'), X4(receipt), X4('select 2'), S);
  assert.equal(types(both), '12TDC12TDC12TDCZ');
  proven(both[8].body.subarray(6), 'select');
  assert.equal(both[13].body.subarray(6).toString(), '2');
  const failed = await all(X4('select 1 / (a - a) from t'), X4(receipt), S);
  assert.deepEqual([types(failed), errorOf(failed.find(({ type }) => type === 'E')).C], ['12TEZ', '22012']);
  assert.equal(types(await all(B({ name: 'r' }), E(), C('S', 'r'), S)), '2DC3Z');
  assert.equal(errorOf((await all(B({ name: 'r' }), E(), S))[0]).C, '26000', 'it is closed');
  await all(P('select 3', 'three'), S);
  for (const text of [receipt, 'select 3']) assert.equal(errorOf((await all(P(text, 'three'), S))[0]).C, '42P05', 'the name is taken');

  await all(Q('begin'));
  await all(Q('select 1/0'));
  const aborted = await all(X4(receipt), S);
  assert.deepEqual([types(aborted), errorOf(aborted[0]).C, aborted[1].body.toString()], ['EZ', '25P02', 'E']);
  await all(Q('rollback'));
  assert.equal(types(await all(X4(receipt), P('select 4'), B(), E(), S)), '12TDC12DCZ', 'the unnamed statement is the target’s again');
  wire.socket.destroy();
  assert.doesNotMatch(fs.readFileSync(pg.log, 'utf8'), /unrecognized configuration parameter|sallyport\.receipt/);
});

test('an unknown request is told, and so is what is missing', async () => {
  assert.equal((await gateway.run(['receipt', 'req_00', '-d', gateway.evidence])).code, 3);
  assert.equal((await gateway.run(['receipt', '-d', gateway.evidence])).code, 2);
  assert.equal((await gateway.run(['receipt', 'req_00'])).code, 2);
});
