// psql and node-postgres over TLS, with masks and rules active: where nothing is masked the answers are those of a direct connection.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import pgClient from 'pg';
import { Gateway, folder, until } from '../lib/gateway.mjs';
import { Postgres, psql, run } from '../lib/postgres.mjs';

let pg, gateway, alice, bob, env, plain, direct;
before(async () => {
  pg = await Postgres.start();
  pg.sql(`create role app login password 'upstream-secret'; create role reader; create database shop owner app; create database archive owner app`);
  pg.sql(`create schema hr authorization app; grant all on schema public to app; set role app;
    create type mood as enum ('sad', 'glad'); create domain code as text check (value ~ '^[A-Z]+$');
    create table customers (id int primary key, name text not null, ssn text unique, email text, born date default '1980-01-02', feeling mood, note jsonb, scores int[], photo bytea);
    insert into customers select i, 'name ' || i, '219-22-' || lpad(i::text, 4, '0'), 'user' || i || '@example.com', '1980-01-02', 'glad', '{"n":1}', array[i, null, 3], '\\x00ff' from generate_series(1, 20) i;
    comment on table customers is 'who buys'; create index on customers (lower(name)); create view buyers as select id, name from customers; grant select on buyers to reader;
    create table orders (id serial primary key, customer int references customers on delete cascade, total numeric(10, 2) check (total > 0)) partition by range (id); `.replace('id serial primary key', 'id int primary key') + `
    create table orders_1 partition of orders for values from (0) to (1000); insert into orders select i, i, i * 1.5 from generate_series(1, 20) i; create sequence hr.numbers start 5;
    create function tell(text) returns void language plpgsql as $$ begin raise notice 'told %', $1 using detail = 'more', hint = 'so'; end $$;
    create function touched() returns trigger language plpgsql as $$ begin return new; end $$; create trigger touch before update on customers for each row execute function touched();
    create materialized view totals as select sum(total) from orders;`, 'shop');
  gateway = new Gateway({ postgres: true, users: { alice: ['engineers'], bob: ['admins'] }, policy: `- { id: engineers, allow: { who: ["group:engineers", "group:admins"] } }
- { id: no-mass-delete, block: { when: '"delete" in sql.verbs && !sql.has_where' }, message: "DELETE needs a WHERE." }
- { id: pii, mask: { who: "group:engineers", columns: [customers.ssn, customers.born], detect: [email], with: partial } }`,
    targets: { shop: { postgres: `host: 127.0.0.1, port: ${pg.port}, database: shop, databases: [archive], user: app, tls: "off", credential: { password: { file: upstream.token } }, functions: [tell]` } } });
  await gateway.start();
  [alice, bob] = [await gateway.token('alice'), await gateway.token('bob')];
  env = gateway.libpq('alice', 'shop', alice, 'shop');
  plain = gateway.libpq('bob', 'shop', bob, 'shop');
  direct = pg.env('app', 'upstream-secret', 'shop');
});
after(async () => {
  assert.equal(await gateway.stop(), 0);
  assert.equal(gateway.verify().code, 0);
  await pg.down();
});
/** psql with a person's settings: aligned output. */
const script = (env, input, extra = []) => run('psql', ['-X', ...extra], { env, input });

test('every backslash command that describes gives what it gives directly, with masks and without', async () => {
  const commands = ['\\d', '\\d+', '\\d customers', '\\d+ customers', '\\d+ orders', '\\d orders_1', '\\d buyers', '\\d+ buyers', '\\d hr.numbers', '\\d customers_pkey', '\\da avg', '\\dA+', '\\dAc btree int*', '\\db+', '\\dc', '\\dC+', '\\dconfig work_mem', '\\dd', '\\dD+', '\\ddp', '\\des', '\\dew', '\\det',
    '\\dE', '\\df+', '\\df pg_catalog.lower', '\\dFp+', '\\dF+', '\\dg+', '\\di+', '\\dL+', '\\dm+', '\\dn+', '\\do+ pg_catalog.<<', '\\dO', '\\dP+', '\\dPi', '\\dp', '\\drds', '\\dRp', '\\ds+', '\\dt+', '\\dt hr.*', '\\dT+', '\\dT mood', '\\du', '\\dv+', '\\dx', '\\dX', '\\dy', '\\l', '\\sf+ tell', '\\sv buyers', '\\z', '\\encoding', '\\lo_list'];
  // Sizes and access times aside, which a running server changes.
  const input = commands.map(one => `\\echo ## ${one}\n${one}\n`).join('');
  const [wanted, masked, unmasked] = [await script(direct, input), await script(env, input), await script(plain, input)];
  for (const [name, seen] of [['masked', masked], ['not masked', unmasked]]) {
    const sections = text => Object.fromEntries(text.split(/^## /m).slice(1).map(one => [one.slice(0, one.indexOf('\n')), one.slice(one.indexOf('\n'))]));
    const [left, right] = [sections(wanted.out), sections(seen.out)];
    assert.deepEqual(commands.filter(one => left[one] !== right[one]).map(one => [name, one, right[one]?.slice(0, 300)]), [], seen.err);
    assert.equal(seen.err, wanted.err, name);
  }
});

test('psql’s ways to run a query: \\gdesc, \\gx, \\gset, \\gexec, \\crosstabview, \\watch, \\;, FETCH_COUNT, variables, errors', async () => {
  const input = `\\set VERBOSITY verbose
select id, name, email as mail, feeling, scores from customers \\gdesc
select id, name from buyers where id = 2 \\gx
select count(*) as n, max(id) as m from orders \\gset
\\echo :n :m
select format('select %s as made', i) from generate_series(1, 3) i \\gexec
select a, b, a * b from generate_series(1, 3) a, generate_series(1, 3) b \\crosstabview
select 1 \\; select 2 \\; select 3;
\\set FETCH_COUNT 3
select id, name from buyers order by id limit 8;
\\unset FETCH_COUNT
\\set id 3
select name from customers where id = :id and name <> :'id' and :"id" is null;
select name from customers where id = :id and name <> :'id';
select 1/0;
\\errverbose
select 'x'::mood;
select nothing;
\\set ON_ERROR_ROLLBACK on
begin;
insert into orders values (900, 1, 1);
select nothing;
select count(*) from orders;
rollback;
select tell('now');
\\pset null '-'
select scores, photo, note from customers where id = 1;
\\pset format html
select 1 as "<b>";
\\pset format csv
select name, id from customers where id < 3 order by id;
\\c archive
select current_database();
\\c shop
select current_database();
\\timing off
\\if true
select 'yes';
\\endif
`;
  // libpq's and the server's source lines are the same; the request id of nobody is in them.
  const [wanted, seen] = [await script(direct, input), await script(plain, input)];
  const clean = text => text.replace(/You are now connected to database "(\w+)" as user "[^"]*"\./g, 'connected $1');
  assert.equal(clean(seen.out).replace(/SSL connection.*\n/g, ''), clean(wanted.out));
  assert.equal(seen.err, wanted.err);
  const masked = await script(env, input.replace(`select tell('now');`, `\\echo ' tell \\n------\\n \\n(1 row)\\n'`));
  assert.equal(clean(masked.out).replace(/SSL connection.*\n/g, ''), clean(wanted.out), 'nothing of it is masked for alice either');
});

test('\\copy both ways, as text, csv and binary: masked out for one person, the same bytes for the other', async () => {
  const dir = folder();
  for (const [format, ext] of [['', 'txt'], ['csv header', 'csv'], [`(format csv, force_quote *, null 'NULL')`, 'quoted'], ['(format binary)', 'bin']]) {
    for (const [name, who] of [['direct', direct], ['plain', plain], ['masked', env]]) {
      const { code, err } = await script(who, `\\copy (select id, name, ssn, email, born, note, scores, photo from customers order by id) to '${dir}/${name}.${ext}' ${format}\n`);
      assert.equal(code, 0, err);
      assert.equal(err, '', `${name} ${format}`);
    }
    const read = name => fs.readFileSync(path.join(dir, `${name}.${ext}`));
    assert.ok(read('plain').equals(read('direct')), format);
    assert.ok(!/219-22|@example|1980-01-02/.test(read('masked').toString('latin1')), format);
    assert.match(read('masked').toString('latin1'), /\*\*\*-\*\*-0007/);
    for (const name of ['plain', 'masked']) {
      const { code, out, err } = await script(plain, `create temp table back (like customers including defaults);\n\\copy back (id, name, ssn, email, born, note, scores, photo) from '${dir}/${name}.${ext}' ${format.replace('force_quote *, ', '')}\nselect count(*), sum(id), min(ssn), min(born) from back;\n`, ['-qAt']);
      assert.deepEqual([code, out.trim(), err], [0, name === 'plain' ? '20|210|219-22-0001|1980-01-02' : '20|210|***-**-0001|2000-01-01', ''], `${name} ${format}`);
    }
  }
  const failing = await script(env, `create temp table few (a int primary key);\n\\copy few from stdin\n1\n1\n\\.\n\\copy few from stdin\nx\n\\.\ncopy few from stdin;\n4\n5\n\\.\nselect count(*) from few;\n`, ['-qAt']);
  assert.match(failing.err, /duplicate key value/);
  assert.match(failing.err, /invalid input syntax for type integer: "x"/);
  assert.equal(failing.out.trim(), '2');
  const missing = await script(env, `\\copy missing from '${dir}/plain.txt'\nselect 'goes on';\n`, ['-qAt']);
  assert.match(missing.out, /goes on/, missing.err);
});

test('what COPY of a query makes of a masked value shows no part of it', async () => {
  const columns = `reverse(ssn), 'x' || substr(ssn, 1, 7), rpad(ssn, 8), to_char(born, 'MON DD YYYY'), born + 1`;
  const [selected, copied] = [await script(env, `select ${columns} from customers where id = 5;\n`, ['-qAt', '-F', '\t']), await script(env, `copy (select ${columns} from customers where id = 5) to stdout;\n`, ['-qAt'])];
  assert.equal(selected.out, '[masked]\t[masked]\t[masked]\t[masked]\t2000-01-01\n');
  assert.doesNotMatch(copied.out, /912|[0-9]-0|JAN|-03/);
});

test('a COPY that cannot be followed is an error and the session lives on', async () => {
  for (const sql of ['copy (table customers) to stdout', 'copy (select * from customers) to stdout', 'copy (select c.* from customers c) to stdout (format binary)']) {
    const { out, err } = await script(env, `${sql};\nselect 'lives on';\n`, ['-qAt']);
    assert.match(err, /^ERROR: .*cannot be followed/, sql);
    assert.equal(out.trim(), 'lives on', sql);
  }
});

test('a function that the target’s list names is followed like one that is built in, others are not', async () => {
  const { out, err } = await script(env, `select 'a' where tell('x') is not null;\nselect touched2();\n`, ['-qAt']);
  assert.match(err, /^NOTICE:  told x/);
  assert.match(err, /cannot be followed: function touched2/);
  assert.equal(out.trim(), 'a');
});

test('large objects of psql, \\lo_import and \\lo_export', async () => {
  const dir = folder();
  fs.writeFileSync(path.join(dir, 'in'), Buffer.alloc(300_000, 'large'));
  const { err } = await script(plain, `\\lo_import '${dir}/in' 'a comment'\n\\lo_export :LASTOID '${dir}/out'\n\\lo_unlink :LASTOID\n`);
  assert.ok(fs.existsSync(path.join(dir, 'out')), err);
  assert.ok(fs.readFileSync(path.join(dir, 'out')).equals(fs.readFileSync(path.join(dir, 'in'))));
});

test('a file in one transaction (-1 -f), -c several times, and ON_ERROR_STOP', async () => {
  const file = path.join(folder(), 'file.sql');
  fs.writeFileSync(file, `create table one_go (a int);\ninsert into one_go values (1), (2);\nselect count(*) from one_go;\ndelete from one_go;\n`);
  const { code, out, err } = await run('psql', ['-X', '-qAt', '-v', 'ON_ERROR_STOP=1', '-1', '-f', file], { env: plain });
  assert.deepEqual([code, out.trim()], [3, '2']);
  assert.match(err, /DELETE needs a WHERE/);
  assert.equal(pg.sql(`select to_regclass('one_go')`, 'shop'), '');
  const several = await run('psql', ['-X', '-qAt', '-c', 'select 1; select 2', '-c', 'select 3', '-c', '\\dt one_go'], { env });
  assert.equal(several.out.trim(), '1\n2\n3');
});

const node = async (user = 'alice', token = alice, more = {}) => {
  const client = new pgClient.Client({ host: '127.0.0.1', port: gateway.postgresPort, user: `${user}@shop`, password: token, database: 'shop', ssl: { ca: fs.readFileSync(gateway.ca), servername: 'localhost', checkServerIdentity: () => undefined }, ...more });
  client.on('error', () => {});
  await client.connect();
  return client;
};

test('node-postgres: parameters, arrays, json, dates, bytea, null, named statements, binary results, rowMode', async () => {
  const client = await node();
  const values = [7, 'ü', null, true, [1, null, 3], ['a', 'b"c', null], { a: [1] }, new Date('2020-01-02T03:04:05Z'), Buffer.from([0, 255]), 1.5, '12345678901234567890.5'];
  const text = 'select $1::int a, $2::text b, $3::text c, $4::bool d, $5::int[] e, $6::text[] f, $7::jsonb g, $8::timestamptz h, $9::bytea i, $10::float8 j, $11::numeric k';
  const wanted = { a: 7, b: 'ü', c: null, d: true, e: [1, null, 3], f: ['a', 'b"c', null], g: { a: [1] }, h: values[7], i: values[8], j: 1.5, k: '12345678901234567890.5' };
  for (let i = 0; i < 3; i++) assert.deepEqual((await client.query({ name: 'all', text, values })).rows, [wanted]);
  assert.deepEqual((await client.query(text, values)).rows, [wanted]);
  assert.deepEqual((await client.query({ text: 'select 1 as a, 2 as a', rowMode: 'array' })).rows, [[1, 2]]);
  await assert.rejects(client.query({ name: 'all', text: 'select 2', values: [] }), /must be unique/);
  await client.end();
  // Its binary parser has faults of its own (of a NULL in an array it makes NaN, in seconds): what a direct connection gives is what is wanted.
  const [binary, beside] = [await node('alice', alice, { binary: true }), new pgClient.Client({ host: '127.0.0.1', port: pg.port, user: 'app', password: 'upstream-secret', database: 'shop', binary: true })];
  await beside.connect();
  const sql = 'select id, ssn, born, email, name, scores[1:1] as scores, photo, feeling, note from customers where id = $1';
  for (const query of [{ text: sql, values: [3] }, { name: 'bin', text: sql, values: [3] }]) {
    const { rows: [row], fields } = await binary.query(query);
    const wanted = (await beside.query({ text: sql, values: [3] })).rows[0];
    assert.deepEqual(fields.map(f => f.format), Array(9).fill('binary'));
    assert.deepEqual([row.ssn, row.email, Buffer.from(row.born, 'latin1').toString('hex')], ['***-**-0003', 'u***@***.com', '00000000'], 'a binary date is days since 2000-01-01');
    assert.deepEqual({ ...row, ssn: 0, email: 0, born: 0 }, { ...wanted, ssn: 0, email: 0, born: 0 });
  }
  await beside.end();
  await binary.end();
});

test('node-postgres: errors keep their fields, transactions roll back, and many queries at once are answered in order', async () => {
  const client = await node();
  await assert.rejects(client.query('insert into customers (id, name) values ($1, $2)', [1, 'twice']), error => {
    assert.deepEqual([error.code, error.table, error.constraint, error.schema, error.severity], ['23505', 'customers', 'customers_pkey', 'public', 'ERROR']);
    return true;
  });
  await client.query('begin');
  await client.query('insert into orders values ($1, $2, $3)', [700, 1, '9.99']);
  await assert.rejects(client.query('delete from orders'), error => error.code === '42501' && /no-mass-delete, request req_/.test(error.detail) && error.message === 'DELETE needs a WHERE.');
  await assert.rejects(client.query('select 1'), { code: '25P02' });
  await client.query('rollback');
  assert.equal((await client.query('select count(*)::int as n from orders where id = 700')).rows[0].n, 0);
  const answers = await Promise.all(Array.from({ length: 300 }, (_, i) => i % 50 === 49 ? client.query('select 1/$1::int', [0]).catch(e => e.code) : client.query(i % 2 ? { name: 'n', text: 'select $1::int as n', values: [i] } : `select ${i} as n`).then(r => r.rows[0].n)));
  assert.deepEqual(answers, Array.from({ length: 300 }, (_, i) => i % 50 === 49 ? '22012' : i));
  await client.end();
});

test('node-postgres: LISTEN and NOTIFY between two sessions, while idle and in transactions, and notices', async () => {
  const [one, two] = [await node(), await node('bob', bob)];
  const heard = [], noticed = [];
  one.on('notification', message => heard.push([message.channel, message.payload]));
  one.on('notice', notice => noticed.push([notice.severity, notice.message, notice.detail, notice.hint]));
  await one.query('listen "Some Channel"');
  await two.query(`notify "Some Channel", 'first'`);
  await until(() => heard.length === 1, 'the first notification, to an idle session');
  await two.query('begin');
  await two.query(`select pg_notify($1, $2)`, ['Some Channel', 'x'.repeat(7999)]);
  assert.equal((await one.query('select 1 as a')).rows[0].a, 1);
  assert.equal(heard.length, 1);
  await two.query('commit');
  await until(() => heard.length === 2, 'the second');
  assert.deepEqual(heard.map(([c, p]) => [c, p.length]), [['Some Channel', 5], ['Some Channel', 7999]]);
  await one.query('unlisten *');
  await two.query('notify "Some Channel"');
  await two.query(`select tell('two')`);
  assert.equal((await one.query('select 2 as a')).rows[0].a, 2);
  assert.equal(heard.length, 2);
  await two.query({ text: 'select tell($1)', values: ['quiet'] });
  two.on('notice', notice => noticed.push([notice.severity, notice.message, notice.detail, notice.hint]));
  await two.query('select tell($1)', ['me']);
  assert.deepEqual(noticed, [['NOTICE', 'told me', 'more', 'so']]);
  await Promise.all([one.end(), two.end()]);
});

test('node-postgres: a pool of twenty sessions at once', async () => {
  const pool = new pgClient.Pool({ max: 20, host: '127.0.0.1', port: gateway.postgresPort, user: 'alice@shop', password: alice, database: 'shop', ssl: { rejectUnauthorized: false } });
  const answers = await Promise.all(Array.from({ length: 400 }, (_, i) => pool.query('select ssn, $1::int as n from customers where id = $2', [i, i % 20 + 1])));
  assert.ok(answers.every(({ rows: [row] }, i) => row.n === i && row.ssn === `***-**-${String(i % 20 + 1).padStart(4, '0')}`));
  await pool.end();
});

test('every statement of theirs has one intent, and each that was allowed one outcome', async () => {
  await until(() => gateway.sessions().every(one => one.state !== 'open' && one.state !== 'active'), 'all sessions are closed').catch(() => {});
  const commands = gateway.entries('command'), outcomes = new Map();
  for (const one of gateway.entries('outcome')) outcomes.set(one.command_index, (outcomes.get(one.command_index) ?? 0) + 1);
  const wrong = commands.filter(one => one.decision === 'allowed' && outcomes.get(one.index) !== 1);
  assert.deepEqual(wrong.map(one => [one.index, one.text ?? one.object, outcomes.get(one.index)]), []);
  assert.ok(commands.length > 500);
});
