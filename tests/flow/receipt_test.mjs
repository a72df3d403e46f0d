// Receipts of what people and agents ran: made while the gateway runs, verified with its public key alone.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { Gateway, VERIFY, folder, until } from '../lib/gateway.mjs';
import { Postgres, psql } from '../lib/postgres.mjs';

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

test('an unknown request is told, and so is what is missing', async () => {
  assert.equal((await gateway.run(['receipt', 'req_00', '-d', gateway.evidence])).code, 3);
  assert.equal((await gateway.run(['receipt', '-d', gateway.evidence])).code, 2);
  assert.equal((await gateway.run(['receipt', 'req_00'])).code, 2);
});
