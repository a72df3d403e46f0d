// Cancelled statements, killed clients, half-closed sockets, a target that goes away: what the client hears, and that the record is whole.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import pgClient from 'pg';
import fs from 'node:fs';
import { Gateway, until } from '../lib/gateway.mjs';
import { Postgres, Wire, errorOf, psql } from '../lib/postgres.mjs';
import { B, E, P, S, X4 } from '../lib/postgres_messages.mjs';

let pg, gateway, alice, bob, env;
before(async () => {
  pg = await Postgres.start();
  pg.sql(`create role app login password 'upstream-secret'; create database shop owner app`);
  pg.sql(`grant all on schema public to app; set role app; create table customers (id int primary key, name text, ssn text); insert into customers select i, 'name ' || i, '219-22-' || lpad(i::text, 4, '0') from generate_series(1, 1000) i; create table notes (a int primary key, b text)`, 'shop');
  gateway = new Gateway({ postgres: true, more: { gateway: 'drain: 2s' }, policy: `- { id: engineers, allow: { who: "group:engineers" } }
- { id: ddl, approve: { when: 'sql.class == "ddl"', by: "group:leads", hold: 20s } }
- { id: pii, mask: { columns: [customers.ssn], detect: [email], with: partial } }`,
    targets: { shop: { postgres: `host: 127.0.0.1, port: ${pg.port}, database: shop, user: app, tls: "off", credential: { password: { file: upstream.token } }` } } });
  await gateway.start();
  [alice, bob] = [await gateway.token('alice'), await gateway.token('bob')];
  env = gateway.libpq('alice', 'shop', alice, 'shop');
});
after(async () => { await gateway.stop(); await pg.down(); });

let names = 0;
const login = async (name = `wire ${++names}`) => {
  const wire = await (await Wire.secured(gateway.postgresPort, gateway.ca)).login('alice', 'shop', alice, { application_name: name });
  wire.name = name;
  return wire;
};
const running = text => until(() => pg.sql(`select count(*) from pg_stat_activity where state = 'active' and pid <> pg_backend_pid() and query like '${text}%'`) !== '0', `it runs: ${text}`);
const idle = () => until(() => pg.sql(`select count(*) from pg_stat_activity where usename = 'app' and application_name <> 'sallyport catalog'`) === '0', 'the target has no session left');
/** The session of that application name, when it is closed: [command, outcome] pairs of what ran, and why it ended. */
async function closed(name) {
  const session = await until(() => gateway.sessions().find(one => one.software === name && one.state !== 'open'), `${name} is closed`);
  const steps = gateway.play(session.session), commands = steps.filter(step => step.kind === 'command'), outcomes = steps.filter(step => step.kind === 'outcome');
  const pairs = commands.map(command => [command.decision, ...outcomes.filter(one => one.command_index === command.index).map(one => one.result)]);
  for (const pair of pairs) assert.equal(pair.length, pair[0] === 'allowed' ? 2 : pair.length, `${name}: ${JSON.stringify(pairs)}`);
  return { pairs, steps, state: session.state };
}
async function cancel(key) {
  const other = await Wire.connect(gateway.postgresPort), head = Buffer.alloc(8);
  head.writeInt32BE(8 + key.length);
  head.writeInt32BE(80877102, 4);
  other.raw(Buffer.concat([head, key]));
  assert.deepEqual(await other.all(), [], 'a cancel request is not answered');
}
const process_ = (sql, name, more = []) => {
  const child = spawn('psql', ['-X', '-qAt', ...more, '-c', sql], { env: { ...env, PGAPPNAME: name } });
  child.err = '';
  child.stderr.on('data', data => { child.err += data; });
  return child;
};

test('psql’s Ctrl-C cancels what runs, and what is held', async () => {
  const runs = process_('select pg_sleep(30)', 'interrupted');
  await running('select pg_sleep(30)');
  runs.kill('SIGINT');
  await once(runs, 'close');
  assert.match(runs.err, /canceling statement due to user request/);
  await idle();
  const { pairs, steps } = await closed('interrupted');
  assert.deepEqual(pairs, [['allowed', 'error'], ['allowed', 'ok']], 'the statement, and the cancel request');
  assert.equal(steps.filter(step => step.kind === 'command').at(-1).action, 'cancel');
  const held = process_('create table never (a int)', 'held', ['-v', 'VERBOSITY=verbose']);
  await until(() => /NOTICE/.test(held.err), 'it is held');
  held.kill('SIGINT');
  await once(held, 'close');
  assert.match(held.err, /ERROR: +57014/);
  assert.equal(pg.sql(`select to_regclass('never')`, 'shop'), '');
  assert.deepEqual(JSON.parse((await gateway.run(['requests', '--json'], { token: bob })).out || '[]'), [], 'what was withdrawn cannot be approved');
});

test('only the right key cancels, only while its statement runs, and only that session', async () => {
  const [one, two] = [await login(), await login()];
  one.send(Wire.message('Q', 'select pg_sleep(0.6), 1'));
  two.send(Wire.message('Q', 'select pg_sleep(30), 2'));
  await running('select pg_sleep(30), 2');
  const pid = one.key.subarray(0, 4), key = one.key.subarray(4);
  for (const wrong of [Buffer.concat([pid, Buffer.alloc(key.length)]), Buffer.concat([pid, two.key.subarray(4)]), Buffer.concat([pid, key.subarray(0, 3)]), Buffer.concat([pid, key, Buffer.from([0])]), Buffer.concat([two.key.subarray(0, 4), key]), Buffer.concat([pid, Buffer.from(key.map((byte, i) => byte ^ (i === key.length - 1 ? 1 : 0)))])])
    await cancel(wrong);
  assert.equal((await one.all()).map(m => m.type).join(''), 'TDCZ');
  await cancel(one.key);
  one.send(Wire.message('Q', 'select 3'));
  assert.equal((await one.all()).map(m => m.type).join(''), 'TDCZ', 'a cancel request for an idle session hits nothing later');
  await cancel(two.key);
  assert.equal(errorOf((await two.all()).find(m => m.type === 'E')).C, '57014');
  for (const wire of [one, two]) wire.close();
  await cancel(two.key);
});

test('a cancel in a pipeline ends the statement that runs, those behind it run as the server has it', async () => {
  const wire = await login();
  const text = sql => [Wire.message('P', '', sql, Buffer.from([0, 0])), Wire.message('B', '', '', Buffer.alloc(6)), Wire.message('E', '', Buffer.alloc(4))];
  wire.send(...text('select 1'), ...text('select pg_sleep(30), 4'), ...text('select 2'), Wire.message('S'), ...text('select 3'), Wire.message('S'));
  await running('select pg_sleep(30), 4');
  await cancel(wire.key);
  const types = [...await wire.all(), ...await wire.all()];
  assert.equal(types.map(m => m.type).join(''), '12DC12EZ12DCZ');
  assert.equal(errorOf(types.find(m => m.type === 'E')).C, '57014');
  wire.close();
  const { pairs } = await closed(wire.name);
  assert.ok(pairs.length >= 3, JSON.stringify(pairs));
});

test('timeouts of the server and the end of its backend reach the client as its own errors', async () => {
  const wire = await login();
  wire.send(Wire.message('Q', `set statement_timeout = '50ms'`), Wire.message('Q', 'select pg_sleep(5)'), Wire.message('Q', 'reset statement_timeout'));
  await wire.all();
  assert.equal(errorOf((await wire.all()).find(m => m.type === 'E')).C, '57014');
  await wire.all();
  wire.send(Wire.message('Q', `set idle_in_transaction_session_timeout = '50ms'`), Wire.message('Q', 'begin'));
  await wire.all();
  await wire.all();
  const last = await wire.all();
  assert.equal(errorOf(last.find(m => m.type === 'E')).C, '25P03');
  assert.equal(last.length, 1);
  await closed(wire.name);
  const second = await login('terminated');
  second.send(Wire.message('Q', 'select pg_sleep(30), 5'));
  await running('select pg_sleep(30), 5');
  pg.sql(`select pg_terminate_backend(pid) from pg_stat_activity where query like 'select pg_sleep(30), 5%'`);
  assert.equal(errorOf((await second.all()).find(m => m.type === 'E')).C, '57P01');
  await closed('terminated');
});

test('a psql that is killed in the middle of a large result, of COPY in, in a transaction, while held: closed, every outcome there, nothing left at the target', async () => {
  const result = process_(`copy (select repeat('x', 1000), i from generate_series(1, 3000000) i) to stdout`, 'killed in a result'); // psql keeps what it selects
  await once(result.stdout, 'data');
  result.kill('SIGKILL');
  assert.deepEqual((await closed('killed in a result')).pairs.at(-1), ['allowed', 'interrupted']);
  const copy = spawn('psql', ['-X', '-q', '-c', 'copy notes from stdin'], { env: { ...env, PGAPPNAME: 'killed in copy' } });
  copy.stdin.on('error', () => { /* it was killed */ });
  for (let i = 0; i < 50_000; i++) copy.stdin.write(`${i}\tnote ${i}\n`);
  await running('copy notes');
  copy.kill('SIGKILL');
  assert.deepEqual((await closed('killed in copy')).pairs.at(-1), ['allowed', 'interrupted']);
  const open = spawn('psql', ['-X', '-qAt'], { env: { ...env, PGAPPNAME: 'killed in a transaction' } });
  open.stdin.on('error', () => { /* it was killed */ });
  open.stdin.write(`begin;\nlock table notes;\ninsert into notes values (-1);\nselect 'locked';\n`);
  await once(open.stdout, 'data');
  open.kill('SIGKILL');
  assert.deepEqual((await closed('killed in a transaction')).pairs.filter(pair => pair[1] !== 'ok'), []);
  const held = process_('create table gone (a int)', 'killed while held');
  await until(() => /NOTICE/.test(held.err), 'it is held');
  held.kill('SIGKILL');
  await closed('killed while held');
  await idle();
  assert.equal(pg.sql('select count(*) from notes', 'shop'), '0');
  assert.equal(pg.sql(`select to_regclass('gone')`, 'shop'), '');
});

test('a client that is gone with statements still in its pipeline: what ran has its outcome, the target is free', async () => {
  for (const how of ['resetAndDestroy', 'destroy']) {
    const wire = await login(`gone by ${how}`);
    const many = Array.from({ length: 50 }, (_, i) => Wire.message('Q', i === 5 ? 'select pg_sleep(0.5)' : `select repeat('${i}', 20000)`));
    wire.send(...many);
    await wire.next();
    (wire.socket._parent ?? wire.socket).destroy();
    wire.socket.destroy();
    const { pairs } = await closed(wire.name);
    assert.ok(pairs.length >= 1 && pairs.length <= 50, JSON.stringify(pairs));
  }
  await idle();
});

test('a client that ends its side behind its last query gets every answer, then the end', async () => {
  for (const last of [[Wire.message('Q', 'select pg_sleep(0.3), 6')], [Wire.message('Q', `select repeat('x', 3000000)`)], [Wire.message('P', '', 'select 7', Buffer.from([0, 0])), Wire.message('B', '', '', Buffer.alloc(6)), Wire.message('E', '', Buffer.alloc(4)), Wire.message('S')]]) {
    const wire = await login();
    wire.send(...last);
    wire.socket.end();
    const types = (await wire.all()).map(m => m.type).join('');
    assert.ok(['TDCZ', '12DCZ'].includes(types), types);
    assert.equal(await wire.next(), null);
    await closed(wire.name);
  }
  await idle();
});

test('node-postgres cancels by a second connection, and its session goes on', async () => {
  const ssl = { ca: fs.readFileSync(gateway.ca), checkServerIdentity: () => undefined };
  const client = new pgClient.Client({ host: '127.0.0.1', port: gateway.postgresPort, user: 'alice@shop', password: alice, database: 'shop', ssl });
  await client.connect();
  const asleep = assert.rejects(client.query('select pg_sleep(30), 8'), { code: '57014' });
  await running('select pg_sleep(30), 8');
  const key = Buffer.alloc(8);
  key.writeInt32BE(client.processID);
  key.writeInt32BE(client.secretKey, 4);
  await cancel(key);
  await asleep;
  assert.equal((await client.query('select 9 as n')).rows[0].n, 9);
  await client.end();
});

test('a target that stops in the middle of results, transactions and idle sessions, and comes back', async () => {
  const [result, open, resting] = [await login('in a result'), await login('in a transaction'), await login('at rest')];
  open.send(Wire.message('Q', 'begin'), Wire.message('Q', 'insert into notes values (77)'));
  await open.all();
  await open.all();
  resting.send(Wire.message('Q', 'select 1'));
  await resting.all();
  result.send(Wire.message('Q', `select repeat('x', 1000), pg_sleep(0.001) from generate_series(1, 100000) i`));
  await result.next();
  await pg.down('SIGQUIT');
  for (const wire of [result, open, resting]) {
    const heard = await wire.all('never');
    const error = heard.findLast(m => m.type === 'E');
    assert.ok(error, `${wire.name} hears why: ${heard.length} messages`);
    assert.match(errorOf(error).C, /^(08006|57P0[12])$/, wire.name);
    assert.equal(errorOf(error).S, 'FATAL');
  }
  const { err, code } = await psql(env, 'select 1;');
  assert.equal(code, 2);
  assert.match(err, /target "shop" cannot be reached/);
  await pg.up();
  assert.equal((await psql(env, 'select count(*) from notes where a = 77;')).out.trim(), '0');
  assert.equal((await closed('in a result')).pairs.at(-1)[1], 'interrupted');
  await closed('in a transaction');
  await closed('at rest');
});

test('what comes behind a PREPARE that was sent before waits for no more than its answer', async () => {
  const wire = await login();
  wire.send(P('set search_path = public'), B(), E(), S, ...X4('prepare behind as select 8'));
  await wire.all();
  // That one has run, and the server keeps its answer until somebody asks.
  await until(() => pg.sql(`select count(*) from pg_stat_activity where query = 'prepare behind as select 8'`) === '1', 'it has run');
  wire.send(...X4('select 7'), S);
  assert.deepEqual((await wire.all()).map(message => message.type).join(''), '12nC12TDCZ');
  wire.close();
});

test('the gateway’s own end with sessions open: they hear of it, every outcome is written, and the record verifies', async () => {
  const [busy, resting] = [await login('busy'), await login('resting')];
  resting.send(Wire.message('Q', 'select 1'));
  await resting.all();
  busy.send(Wire.message('Q', 'select pg_sleep(30), 10'));
  await running('select pg_sleep(30), 10');
  const began = Date.now();
  const stopped = gateway.stop();
  for (const wire of [busy, resting]) {
    const error = (await wire.all('never')).find(m => m.type === 'E');
    assert.equal(error && errorOf(error).C, '57P01', wire.name);
  }
  assert.equal(await stopped, 0);
  assert.ok(Date.now() - began < 15_000);
  for (const name of ['busy', 'resting']) await closed(name);
  const open = gateway.sessions().filter(one => one.state === 'open');
  assert.deepEqual(open, []);
  const outcomes = new Set(gateway.entries('outcome').map(one => one.command_index));
  assert.deepEqual(gateway.entries('command').filter(one => one.decision === 'allowed' && !outcomes.has(one.index)), []);
  const { code, report } = gateway.verify();
  assert.equal(code, 0, JSON.stringify(report));
});
