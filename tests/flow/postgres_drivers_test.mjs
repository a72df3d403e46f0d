// Drivers and tools that know nothing of the gateway: psycopg2, psycopg 3, the JDBC driver, pgbench, pg_dump and pg_restore.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { Gateway, ROOT, folder, until } from '../lib/gateway.mjs';
import { Postgres, Wire, psql, run } from '../lib/postgres.mjs';

let pg, gateway, alice, bob;
before(async () => {
  pg = await Postgres.start();
  pg.sql(`create role app login password 'upstream-secret'; create database shop owner app; create database copy owner app`);
  pg.sql(`grant all on schema public to app; set role app; create table customers (id int primary key, name text, ssn text, born date, note jsonb);
    insert into customers select i, 'name ' || i, '219-22-' || lpad(i::text, 4, '0'), '1980-01-02', '{"n":1}' from generate_series(1, 20) i; create index on customers (name);
    create view named as select id, name from customers; create function twice(int) returns int language sql immutable as 'select $1 * 2'`, 'shop');
  gateway = new Gateway({ tls: false, postgres: true, users: { alice: ['engineers'], bob: ['admins'] },
    policy: `- { id: engineers, allow: { who: ["group:engineers", "group:admins"] } }
- { id: no-mass-delete, block: { when: '"delete" in sql.verbs && !sql.has_where' } }
- { id: pii, mask: { who: "group:engineers", columns: [customers.ssn, customers.born], detect: [email], with: partial } }`,
    targets: { shop: { postgres: `host: ${pg.dir}, port: ${pg.port}, database: shop, databases: [copy], user: app, credential: { password: { file: upstream.token } }` } } });
  await gateway.start();
  [alice, bob] = [await gateway.token('alice'), await gateway.token('bob')];
});
after(async () => {
  assert.equal(await gateway.stop(), 0);
  assert.equal(gateway.verify().code, 0);
  await pg.down();
});
const as = (user, token, database = 'shop') => gateway.libpq(user, 'shop', token, database);

test('psycopg2 and psycopg 3', async () => {
  const { code, out, err } = await run('/usr/bin/python3', [path.join(ROOT, 'tests/fixtures/psycopg_session.py')], { env: as('alice', alice) });
  assert.equal(code, 0, err);
  assert.deepEqual(out.trim().split('\n'), ['named cursor 20 ***-**-0003', 'copy 52', 'notified ch hello', 'pipeline 19900', `binary 1 a [1, 2] {'a': 1} ***-**-0003`, 'prepared 9', 'error 22012', 'cancelled 57014',
    'denied 42501 rule no-mass-delete blocks it', 'goes on 1']);
});

test('the JDBC driver', async () => {
  const { code, out, err } = await run('java', ['-XX:TieredStopAtLevel=1', '-cp', '/usr/share/java/postgresql.jar', path.join(ROOT, 'tests/fixtures/JdbcSession.java'), String(gateway.postgresPort), 'alice@shop', alice, 'shop'],
    { env: process.env, timeout: 120_000 });
  assert.equal(code, 0, out + err);
  assert.deepEqual(out.trim().split('\n'), [...Array(3).fill('fetched 207 ***-**-0020 2000-01-01'), 'batch 500', 'copied in 2', 'copied out 502', 'large object hello', 'cancelled 57014', 'denied 42501', 'columns 5']);
});

test('pg_dump and pg_restore, compared with the source', async () => {
  const file = path.join(folder(), 'shop.dump');
  const dumped = await run('pg_dump', ['-Fc', '-f', file, 'shop'], { env: as('bob', bob) });
  assert.equal(dumped.code, 0, dumped.err);
  const restored = await run('pg_restore', ['--no-owner', '-d', 'copy', file], { env: as('bob', bob, 'copy') });
  assert.equal(restored.code, 0, restored.err);
  const content = database => pg.sql(`select md5(string_agg(c::text, '' order by id)), (select count(*) from named), twice(4) from customers c`, database);
  assert.equal(content('copy'), content('shop'));
  const masked = await run('pg_dump', ['-t', 'customers', 'shop'], { env: as('alice', alice) });
  assert.match(masked.out, /\*\*\*-\*\*-0003\t2000-01-01/);
  assert.doesNotMatch(masked.out, /219-22/);
});

test('pgbench in every mode, and its pipelines', async () => {
  const made = await run('pgbench', ['-i', '-q', 'copy'], { env: as('bob', bob, 'copy') });
  assert.equal(made.code, 0, made.err);
  const script = path.join(folder(), 'pipeline.sql');
  fs.writeFileSync(script, '\\startpipeline\nselect 1;\nselect abalance from pgbench_accounts where aid = 5;\nupdate pgbench_tellers set tbalance = tbalance + 1 where tid = 3;\n\\endpipeline\n');
  for (const args of [['-S', '-M', 'simple'], ['-S', '-M', 'extended'], ['-S', '-M', 'prepared'], ['-M', 'prepared'], ['-M', 'simple'], ['-M', 'extended', '-f', script]]) {
    const { code, out, err } = await run('pgbench', ['-n', '-c', '4', '-t', '40', ...args, 'copy'], { env: as('alice', alice, 'copy') });
    assert.equal(code, 0, args + err);
    assert.match(out, /failed transactions: 0 /, String(args));
    assert.match(out, /processed: 160\/160/, String(args));
  }
});

test('psql copies both ways, and describes', async () => {
  const file = path.join(folder(), 'rows.csv');
  const { out, err } = await psql(as('alice', alice, 'copy'), `create table loaded (a int, b text);\n\\copy (select i, 'row ' || i from generate_series(1, 3000) i) to '${file}' csv\n\\copy loaded from '${file}' csv\nselect count(*), sum(a) from loaded;\n\\d loaded\n`);
  assert.match(out, /3000\|4501500/, err);
  assert.match(out, /a\|integer/);
});

test('a client that sends one byte at a time, and one that ends its side, get their answers', async () => {
  const wire = await (await Wire.connect(gateway.postgresPort)).login('alice', 'shop', alice);
  const bytes = Buffer.concat([Wire.message('Q', 'select id, ssn from customers where id = 1'), Wire.message('P', '', 'select $1::int', Buffer.from([0, 0])), Wire.message('B', '', '', Buffer.from([0, 0, 0, 1, 0, 0, 0, 1, 0x37, 0, 0])),
    Wire.message('D', Buffer.from('P\0')), Wire.message('E', '', Buffer.alloc(4)), Wire.message('S'), Wire.message('Q', 'select 5')]);
  for (const byte of bytes) {
    wire.raw(Buffer.from([byte]));
    await new Promise(resolve => setImmediate(resolve));
  }
  wire.socket.end();
  const messages = [...await wire.all(), ...await wire.all(), ...await wire.all()];
  assert.deepEqual(messages.map(m => m.type).join(''), 'TDCZ12TDCZTDCZ');
  assert.match(messages[1].body.toString(), /\*\*\*-\*\*-0001/);
  assert.equal(await wire.next(), null);
});

test('odd pipelines end as they do without the gateway', async () => {
  const i16 = Buffer.from([0, 0]), P = (sql, name = '') => Wire.message('P', name, sql, i16), B = (name = '', portal = '') => Wire.message('B', portal, name, i16, i16, i16), E = Wire.message('E', '', Buffer.alloc(4)), S = Wire.message('S');
  const open = async () => (await Wire.connect(gateway.postgresPort)).login('bob', 'shop', bob);
  const types = messages => messages.map(m => m.type).join('');
  let wire = await open();
  wire.send(P('select 1'), Wire.message('X'));
  assert.equal(await wire.until(() => wire.ended ? true : undefined), true);
  wire = await open();
  wire.send(P('select 1', 'g'), S, ...Array(4).fill([B('g'), E, S]).flat());
  assert.equal(types([...await wire.all(), ...await wire.all(), ...await wire.all(), ...await wire.all(), ...await wire.all()]), '1Z' + '2DCZ'.repeat(4));
  wire.send(P('select twice(2)'), B(), B('', 'c'), S);
  assert.equal(types(await wire.all()), '122Z');
  wire.send(P('select 1'), B(), E, Wire.message('d', Buffer.from('x')), Wire.message('c'), P('select 2'), B(), E, S);
  assert.equal(types(await wire.all()), '12DC12DCZ');
  wire.send(P('select 1'), B(), E, P('select pg_terminate_backend(pg_backend_pid())'), B(), E, P('select 2'), B(), E, S);
  assert.match(types(await wire.all()), /^12DC12D?E$/);
  wire = await open();
  wire.send(Wire.message('Q', 'begin'), Wire.message('Q', 'truncate customers cascade'), Wire.message('Q', 'alter table customers add column more int'), Wire.message('Q', 'select 2'), Wire.message('Q', 'rollback'));
  for (let i = 0; i < 5; i++) await wire.all();
  assert.equal((await psql(as('alice', alice), 'select 1;')).out.trim(), '1');
  wire.close();
});

test('a client that is killed in the middle of a result leaves a closed session with every outcome', async () => {
  const wire = await (await Wire.connect(gateway.postgresPort)).login('alice', 'shop', alice, { application_name: 'to be killed' });
  wire.send(Wire.message('Q', `select repeat('x', 1000), i from generate_series(1, 300000) i`));
  await wire.next();
  wire.socket.resetAndDestroy();
  const session = await until(() => gateway.sessions().find(one => one.software === 'to be killed' && /client/.test(one.state)), 'the session is closed');
  const steps = gateway.play(session.session);
  assert.equal(steps.filter(step => step.kind === 'outcome').at(-1).result, 'interrupted');
});

test('a target that stops and comes back: a clear error, and the next session works', async () => {
  const wire = await (await Wire.connect(gateway.postgresPort)).login('alice', 'shop', alice);
  wire.send(Wire.message('Q', 'select pg_sleep(30)'));
  await until(() => pg.sql(`select count(*) from pg_stat_activity where query like 'select pg_sleep(30)%'`) === '1', 'it runs');
  await pg.down('SIGQUIT');
  const messages = await wire.all();
  assert.match(messages.map(m => m.body.toString()).join(), /08006|57P0[12]/);
  const refused = await psql(as('alice', alice), 'select 1');
  assert.match(refused.err, /target "shop" cannot be reached/);
  await pg.up();
  assert.equal((await psql(as('alice', alice), 'select 1;')).out.trim(), '1');
});
