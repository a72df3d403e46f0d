// PostgreSQL through the gateway: what is decided, masked, held and recorded, with psql, node-postgres and the wire by hand.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import pgClient from 'pg';
import { Gateway, until } from '../lib/gateway.mjs';
import { Postgres, Wire, errorOf, psql } from '../lib/postgres.mjs';
import { Q, S, X4 } from '../lib/postgres_messages.mjs';

let pg, gateway, alice, bob, env;
const POLICY = `
- { id: engineers, allow: { who: "group:engineers", rows: 5000 } }
- { id: no-mass-delete, block: { when: '"delete" in sql.verbs && !sql.has_where' }, message: "DELETE needs a WHERE." }
- { id: no-payroll, block: { when: '"hr.payroll" in sql.tables' } }
- { id: no-unknown, block: { when: 'sql.class == "unknown" || sql.class == "dcl"' } }
- { id: parameter, block: { when: '"forbidden" in sql.parameters' } }
- { id: ddl, approve: { when: 'sql.class == "ddl"', by: "group:leads", hold: 20s } }
- { id: pii, mask: { columns: [customers.ssn, "*.customers.born", "*.customers.tags"], detect: [email], with: partial } }
`;
before(async () => {
  pg = await Postgres.start({ settings: { log_statement: 'all' } });
  pg.sql(`create role app login password 'upstream-secret'; create database shop owner app`);
  pg.sql(`create schema hr authorization app; grant all on schema public to app; set role app;
    create table customers (id int primary key, name text, ssn text unique, email text, born date, tags text[], doc jsonb);
    insert into customers select i, 'name ' || i, lpad(i::text, 3, '1') || '-22-' || lpad(i::text, 4, '0'), 'user' || i || '@example.com', '1980-01-02', array['secret' || i], '{"mail":"a@b.example"}' from generate_series(1, 20) i;
    create table orders (id int primary key, customer_id int, total numeric, name text);
    insert into orders select i, i, i * 1.5, 'order ' || i from generate_series(1, 20) i;
    create table hr.payroll (id int); create view buyers as select id, upper(ssn) as code, name from customers;
    create table vip () inherits (customers); insert into vip values (99, 'vip', '999-99-9999', 'v@ip.example');
    create function leak() returns text language sql as 'select ssn from customers limit 1';`, 'shop');
  gateway = new Gateway({ tls: false, postgres: true, policy: POLICY,
    targets: { shop: { postgres: `host: 127.0.0.1, port: ${pg.port}, database: shop, user: app, tls: "off", credential: { password: { file: upstream.token } }` },
      ahead: { postgres: `host: 127.0.0.1, port: ${pg.port}, database: shop, user: app, tls: "off", commit: overlapped, credential: { password: { file: upstream.token } }` } } });
  await gateway.start();
  [alice, bob] = [await gateway.token('alice'), await gateway.token('bob')];
  env = gateway.libpq('alice', 'shop', alice);
});
after(async () => { await gateway.stop(); await pg.down(); });
const ask = async (sql, extra) => { const { out, err } = await psql(env, sql, extra); return out + err; };

test('a masked column stays masked however it is asked for', async () => {
  const SECRET = /\d{3}-22-\d{4}|111-22|1980-01-02|secret\d/;
  for (const sql of [
    'select ssn from customers', 'select * from customers', 'select ssn as x, born from customers', `select ssn || 'x' from customers`, 'select upper(ssn) from customers',
    'select ssn::varchar from customers', 'select row_to_json(c) from customers c', 'select c from customers c', 'select (c).ssn from customers c', 'select c.row_to_json from customers c',
    `select string_agg(ssn, ',') from customers`, 'select min(ssn), max(born) from customers', 'select array_agg(ssn) from customers', 'select unnest(array_agg(ssn)) from customers',
    'select ssn from customers union select name from orders', 'select name from orders union all select ssn from customers', 'with x as (select ssn s from customers) select s from x',
    'with x(a, b) as (select id, ssn from customers) select b from x', `select text from (select (ssn || '')::text from customers) q`, 'select x from (select ssn from customers) q(x)',
    'select coalesce(null, ssn) from customers', `select case when id > 0 then ssn end from customers`, `select value from customers c, json_each_text(row_to_json(c))`,
    'select code from buyers', 'select * from buyers', 'select ssn from vip', 'select b.code || b.name from buyers b', 'table customers', 'select * from customers natural join orders',
    `select (select ssn from customers limit 1)`, 'select first_value(ssn) over (order by id) from customers', `select format('%s', ssn) from customers`,
    'select tags[1] from customers', 'select unnest(tags) from customers', 'update customers set name = name where id = 1 returning ssn', 'select most_common_vals, histogram_bounds from pg_stats where tablename = \'customers\'',
    'copy customers to stdout', 'copy customers (ssn, id) to stdout (format csv)', 'copy (select upper(ssn) from customers) to stdout', `select ssn from customers where ssn = '111-22-0001'`,
    `select xmlelement(name a, ssn) from customers`, 'select jsonb_build_object(\'a\', ssn) from customers', 'begin; declare c cursor for select ssn from customers; fetch 3 from c; rollback',
  ]) {
    // Alone, and with other statements in the same text.
    if (!/begin|^copy/.test(sql)) for (const several of [`${sql}; select 1`, `select 1; ${sql}`, `${sql}; explain select 1`, `${sql}; select 1, 2, 3, 4 from orders limit 1`]) {
      const { out, err } = await psql(env, '', ['-c', several]);
      assert.doesNotMatch(out + err, SECRET, several);
    }
    const statements = sql.startsWith('begin') ? sql.split('; ').map(s => s + ';').join('\n') : sql + ';';
    assert.doesNotMatch(await ask(statements), SECRET, sql);
  }
  assert.match(await ask('select name, id from customers where id = 3'), /name 3\|3/);
  assert.match(await ask('select count(*), count(ssn) from customers'), /21\|21/);
  assert.match(await ask(`select o.name || '!' from orders o join customers c on c.id = o.customer_id where o.id = 2`), /order 2!/);
  assert.match(await ask('select email from customers where id = 1'), /u\*+@\*+\.com/);
});

test('what cannot be followed is denied where columns are masked', async () => {
  for (const sql of ['create table copy as select ssn from customers', 'insert into orders (id, name) select id + 100, ssn from customers', 'update orders set name = c.ssn from customers c where c.id = orders.id',
    'select leak()', 'copy orders to stdout\\; copy customers (ssn) to stdout', `do $$ begin raise notice '%', (select ssn from customers limit 1); end $$`, 'copy (select * from customers) to stdout'])
    assert.match(await ask(sql + ';'), /cannot be followed|blocks it/, sql);
  assert.doesNotMatch(await ask(`insert into customers (id, ssn) values (500, '101-22-0001'); select ssn::int from customers;`), /\d{3}-22-\d{4}/);
});

test('a denied statement is a native error and the session lives on, also in a transaction', async () => {
  const out = await ask('\\set VERBOSITY verbose\ndelete from orders;\nselect 1;\nbegin;\ninsert into orders values (50, 1);\ndelete from orders;\nselect 2;\nrollback;\nselect count(*) from orders where id = 50;\nselect * from hr.payroll;');
  assert.match(out, /42501: DELETE needs a WHERE\.\nDETAIL:  rule no-mass-delete, request req_/);
  assert.match(out, /25P02: current transaction is aborted/);
  assert.match(out, /^1\n0$/m);
  assert.match(out, /rule no-payroll/);
  assert.doesNotMatch(pg.sql('select 1') + (await import('node:fs')).readFileSync(pg.log, 'utf8'), /statement: delete from orders;/);
});

test('unqualified, quoted and aliased names are the same table to a rule', async () => {
  for (const sql of ['select * from hr.payroll', 'select * from "hr"."payroll"', 'set search_path = hr; select * from payroll', 'with x as (select * from hr.payroll) select 1', 'select 1 where exists (select from hr.payroll)'])
    assert.match(await ask(sql + ';'), /rule no-payroll/, sql);
});

test('prepared statements carry the facts of their text and the parameters of their Bind', async () => {
  const client = new pgClient.Client({ host: '127.0.0.1', port: gateway.postgresPort, user: 'alice@shop', password: alice, database: 'shop' });
  await client.connect();
  const rows = await client.query({ name: 's1', text: 'select id, ssn, email from customers where id = $1', values: [3] });
  assert.deepEqual(rows.rows, [{ id: 3, ssn: '***-**-0003', email: 'u***@***.com' }]);
  await assert.rejects(client.query({ name: 's2', text: 'select $1::text', values: ['forbidden'] }), error => error.code === '42501' && /parameter/.test(error.detail));
  assert.equal((await client.query({ name: 's2', text: 'select $1::text as t', values: ['fine'] })).rows[0].t, 'fine');
  await assert.rejects(client.query({ name: 's3', text: 'delete from orders', values: [] }), { code: '42501' });
  await client.query('prepare p as select ssn from customers where id = $1');
  assert.equal((await client.query('execute p(4)')).rows[0].ssn, '***-**-0004');
  await assert.rejects(client.query('prepare q as delete from orders'), { code: '42501' });
  await assert.rejects(client.query('execute never_prepared'), { code: '26000', message: 'prepared statement "never_prepared" does not exist' });
  assert.equal((await client.query({ text: 'select born, doc, tags from customers where id = 1', rowMode: 'array' })).rows[0][0].getFullYear(), 2000);
  await client.end();
});

test('more rows than the rule lets pass end the result with an error', async () => {
  const out = await ask('select count(*) from generate_series(1, 9000);\nselect generate_series(1, 9000);\nselect 7;');
  assert.match(out, /more than the 5000 rows/);
  assert.match(out, /^7$/m);
  // The cancel that ends it may come when it has ended by itself: it must not hit what the client sends next.
  const many = await ask('select generate_series(1, 5001);\nselect 7;\n'.repeat(40));
  assert.equal(many.match(/more than the 5000 rows/g).length, 40);
  assert.equal(many.match(/^7$/mg).length, 40);
});

test('a held statement tells the client, waits, runs once a second person approves, and never in a transaction', async () => {
  const held = psql(env, 'create table made (a int);\nselect count(*) from made;');
  const request = await until(async () => JSON.parse((await gateway.run(['requests', '--json'], { token: bob })).out || '[]')[0], 'the request');
  assert.match(JSON.stringify(request), /create table made/);
  assert.equal((await gateway.run(['approve', request.id ?? request.approval], { token: alice })).code, 5);
  assert.equal((await gateway.run(['approve', request.id ?? request.approval], { token: bob })).code, 0);
  const { out, err } = await held;
  assert.match(err, /NOTICE:  held for approval by one person of group leads: request apr_/);
  assert.match(out, /^0$/m);
  assert.match(await ask('begin; create table never (a int);'), /inside an open transaction/);
});

test('a cancel request withdraws what is held, and cancels what runs; a wrong key cancels nothing', async () => {
  const wire = await (await Wire.connect(gateway.postgresPort)).login('alice', 'shop', alice);
  const cancel = async key => {
    const other = await Wire.connect(gateway.postgresPort);
    const head = Buffer.alloc(8);
    head.writeInt32BE(8 + key.length);
    head.writeInt32BE(80877102, 4);
    other.raw(Buffer.concat([head, key]));
    await other.all();
  };
  wire.send(Wire.message('Q', 'create table held (a int)'));
  assert.equal((await wire.next()).type, 'N');
  await cancel(Buffer.concat([wire.key.subarray(0, 4), Buffer.from([0, 0, 0, 0])]));
  await cancel(wire.key);
  let messages = await wire.all();
  assert.equal(errorOf(messages.find(m => m.type === 'E')).C, '57014');
  wire.send(Wire.message('Q', 'select pg_sleep(30)'));
  await until(() => pg.sql(`select count(*) from pg_stat_activity where query like 'select pg_sleep%'`) === '1', 'it runs');
  await cancel(wire.key);
  messages = await wire.all();
  assert.equal(errorOf(messages.find(m => m.type === 'E')).C, '57014');
  wire.close();
});

test('every statement has one intent and one outcome, masked, and the record verifies', async () => {
  await ask(`select 'marker', ssn from customers where ssn = '112-22-0002';`);
  const session = gateway.sessions().filter(one => one.target === 'shop').at(-1);
  const steps = gateway.play(session.session);
  const command = steps.find(step => step.kind === 'command'), outcome = steps.find(step => step.kind === 'outcome');
  assert.match(command.text, /select \$1, ssn from customers where ssn = \$2/);
  assert.doesNotMatch(JSON.stringify(steps), /112-22/);
  assert.match(outcome.text, /marker/);
  assert.match(outcome.text, /\*\*\*-\*\*-0002/);
  const shown = gateway.cli(['sessions', 'show', session.session, '-d', gateway.evidence]).out;
  assert.match(shown, /select public\.customers: allowed, rule engineers/);
  assert.equal(gateway.verify().code, 0);
});

test('bytes in clear after an encryption request, replication and unknown settings are refused', async () => {
  const refused = async parameters => {
    const wire = await Wire.connect(gateway.postgresPort);
    wire.startup({ user: 'alice@shop', ...parameters });
    const message = await wire.next();
    return errorOf(message).M;
  };
  assert.match(await refused({ replication: 'true' }), /replication/);
  assert.match(await refused({ options: '-c role=postgres' }), /role/);
  assert.match(await refused({ session_replication_role: 'replica' }), /session_replication_role/);
  const wire = await Wire.connect(gateway.postgresPort);
  wire.raw(Buffer.concat([Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]), Buffer.from('smuggled')]));
  assert.equal((await wire.all()).length, 0);
  const wrong = await psql({ ...env, PGPASSWORD: 'sp_wrong' }, 'select 1');
  assert.match(wrong.err, /password authentication failed for user "alice"/);
});

test('commit: overlapped is for reads alone: writes, errors, denials and holds go as they do without it', async () => {
  const ahead = gateway.libpq('alice', 'ahead', alice, 'shop');
  const holding = psql(ahead, `select 1;\ninsert into orders values (500, 1, 1, 'x');\nselect name from orders where id = 500;\nselect 1/0;\ndelete from orders;\nbegin; update orders set name = 'y' where id = 500; rollback;\nselect name from orders where id = 500;\n`
    + `copy (select 7) to stdout;\ndelete from orders where id = 500;\ncreate temp view tv as select upper(ssn) as x, ssn as y from customers;\nselect x, y, x || '' from tv limit 1;\nselect 'end';\n`);
  const request = await until(async () => JSON.parse((await gateway.run(['requests', '--json'], { token: bob })).out || '[]')[0], 'the DDL is held');
  assert.equal((await gateway.run(['approve', request.id ?? request.approval], { token: bob })).code, 0);
  const { out, err } = await holding;
  assert.match(err, /division by zero[^]*DELETE needs a WHERE[^]*held for approval/);
  assert.match(out.replaceAll('\n', ' '), /^1 x x 7 \[masked\]\|\*\*\*-\*\*-\d{4}\|\[masked\] end/);
  for (const session of gateway.sessions().filter(one => one.target === 'ahead')) assert.ok(gateway.play(session.session).every(step => step.kind !== 'outcome' || step.result), 'each command has its outcome');
});

test('an outcome tells the transaction block that it ran in', async () => {
  const wire = await (await Wire.connect(gateway.postgresPort)).login('alice', 'shop', alice, { application_name: 'transactions' });
  const of = async (...messages) => { wire.send(...messages); await wire.all(); };
  for (const sql of ['select 0', 'begin', 'select 1', 'savepoint s', 'select 1/0', 'rollback to s', 'commit and chain', 'select 2', 'rollback', 'begin; select 3; commit', 'select 0']) await of(Q(sql));
  await of(...['select 0', 'begin', 'select 4', 'commit', 'select 0'].flatMap(sql => X4(sql)), S);
  wire.close();
  const session = await until(() => gateway.sessions().find(one => one.software === 'transactions' && one.state !== 'open'), 'it is closed');
  const numbers = gateway.play(session.session).filter(step => step.kind === 'outcome').map(step => Number(step.facts?.transaction ?? 0));
  assert.ok(gateway.play(session.session).some(step => step.facts?.tag === 'BEGIN; SELECT 1; COMMIT'), 'each statement of a text is told');
  assert.deepEqual(numbers, [0, 1, 1, 1, 1, 1, 1, 2, 2, 3, 0, 0, 4, 4, 4, 0]);
});

test('a view that was made elsewhere shows nothing before the gateway knows it', async () => {
  await ask('select 1;');
  pg.sql(`set role app; create view fresh as select ssn || '' as x, id from customers; create sequence counter`, 'shop');
  assert.match(await ask(`select x || '' from fresh where id = 3;`), /relation "fresh" is not in the catalog/);
  assert.match(await until(async () => { const said = await ask('select x, x || \'\' from fresh where id = 3;'); return !/not in the catalog/.test(said) && said; }, 'it is read'), /^\[masked\]\|\[masked\]$/m);
  assert.match(await ask('select last_value from counter;'), /^1$/m);
});
