// With a policy that allows everything the client gets the very bytes that it would get without the gateway: results, errors,
// notices and ready states of many sessions, recorded on a direct connection and through the gateway, and compared.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { Gateway } from '../lib/gateway.mjs';
import { Postgres, Wire } from '../lib/postgres.mjs';

let pg, gateway, alice;
before(async () => {
  pg = await Postgres.start();
  pg.sql(`create role app login superuser password 'upstream-secret'; create database origin owner app`);
  pg.sql(`create table t (id int primary key, a text, b numeric, c timestamptz default '2020-01-01', d jsonb, e int[], f bytea, g uuid, h bool, i inet, j float8, k date, l interval);
    insert into t select i, 'text ' || i, i / 3.0, '2021-02-03 04:05:06+00', '{"k":1}', array[i, null], '\\x00ff', '00000000-0000-0000-0000-00000000000a', i % 2 = 0, '10.0.0.1', i / 7.0, '2022-02-02', '1 day 02:03' from generate_series(1, 50) i;
    create table parent (id int primary key); create table child (id int references parent deferrable initially deferred, n int check (n > 0), u text unique not null);
    create function complain(text) returns int language plpgsql as $$ begin raise notice 'noticed %', $1; raise warning 'warned'; return 1; end $$;
    create function fail(text) returns int language plpgsql as $$ begin raise exception 'failed %', $1 using errcode = '22012', detail = 'why', hint = 'how'; end $$;
    create procedure proc(inout x int) language plpgsql as $$ begin x := x + 1; end $$; create type mood as enum ('sad', 'glad'); create view v as select id, upper(a) as a from t;`, 'origin');
  // Copies of one database have the same oids.
  pg.sql('create database direct template origin owner app; create database through template origin owner app');
  gateway = new Gateway({ tls: false, postgres: true, policy: '- { id: engineers, allow: { who: "group:engineers" } }',
    targets: { shop: { postgres: `host: 127.0.0.1, port: ${pg.port}, database: through, user: app, tls: "off", credential: { password: { file: upstream.token } }` } } });
  await gateway.start();
  alice = await gateway.token('alice');
});
after(async () => { await gateway.stop(); await pg.down(); });

const Q = sql => Wire.message('Q', sql), S = Wire.message('S'), H = Wire.message('H');
const i16 = n => { const b = Buffer.alloc(2); b.writeInt16BE(n); return b; }, i32 = n => { const b = Buffer.alloc(4); b.writeInt32BE(n); return b; };
const P = (sql, name = '', types = []) => Wire.message('P', name, sql, i16(types.length), ...types.map(i32));
const B = ({ portal = '', name = '', values = [], formats = [], results = [] } = {}) => Wire.message('B', portal, name, i16(formats.length), ...formats.map(i16), i16(values.length),
  ...values.map(v => v === null ? i32(-1) : Buffer.concat([i32(Buffer.from(v).length), Buffer.from(v)])), i16(results.length), ...results.map(i16));
const D = (kind, name = '') => Wire.message('D', Buffer.from(kind), name), E = (limit = 0, portal = '') => Wire.message('E', portal, i32(limit)), C = (kind, name = '') => Wire.message('C', Buffer.from(kind), name);
const d = text => Wire.message('d', Buffer.from(text)), c = Wire.message('c'), f = text => Wire.message('f', text);

const PLAIN = `select 1; select * from t order by id limit 3; select null, '', ' '; select 1/0; select * from missing; selct 1; select (; select 'open; select 1 as "Odd Name", 2 as "Ü"; select repeat('x', 100000); select * from t order by id;
  insert into parent values (100) returning id; insert into parent values (100), (100); delete from parent where id = 100; update t set a = a where id = 1 returning a; select * from v where id = 2; insert into child values (999, 1, 'x'); insert into child values (null, 0, 'y');
  insert into child (id) values (null); select 'x'::int; select '{'::json; select 'sadd'::mood; select 'glad'::mood; select fail('now'); select complain('now'); call proc(4); do $$ begin raise notice 'done'; end $$; select pg_sleep(0); select 99999999999::int; select array[1,2]::text;
  show work_mem; set work_mem = '5MB'; set application_name = 'x y'; set datestyle = 'German'; set timezone = 'Europe/Berlin'; set client_min_messages = debug1; reset all; set nonsense = 1; set nonsense.x = 1; show nonsense; discard all; begin; commit; rollback; savepoint s; begin read only;
  explain (costs off) select * from t where id = 1; explain delete from t; explain (analyze, costs off, timing off, summary off) select 1; vacuum t; lock table t; listen ch; notify ch, 'payload'; unlisten *; create temp table tt (a int); drop table missing; drop table if exists missing; truncate missing;
  copy t to stdout; copy (select id, a from t order by id) to stdout csv header; copy (select 1, null) to stdout (format binary); copy missing to stdout; prepare p as select $1::int; execute p(3); deallocate p; declare c cursor for select 1; fetch all from c; close c; move 1 from c; checkpoint;
  select current_user, current_database() <> ''; grant select on t to app; comment on table t is 'x'; alter table t add constraint x check (true); alter table t drop constraint x; create index ix on t (a); drop index ix; select setval('missing', 1); select lower('ÄÖ'), length('日本'); with x as (select 1) select * from x;
  with x as (delete from parent returning *) select count(*) from x; merge into parent p using (select 5 as id) s on p.id = s.id when not matched then insert values (s.id); delete from parent; values (1, 'a'), (2, null); table v; select interval '1 day', date '2020-02-30'; select $1; select 1 limit -1; select e'\\x';
  select * from generate_series(1, 5) with ordinality; select json_agg(t) from (select id from t limit 2) t; select xmlelement(name a, 'b'); select row(1, 'a'); select '1'::bit(3), b'101', x'1f'; select 1::money, '(1,2)'::point, '[1,2)'::int4range, '08:00:2b:01:02:03'::macaddr; select 'NaN'::float8, 'Infinity'::numeric;
  select a from t group by b; select sum(a) from t; select 1 union select 'a'; select count(*) from t where a like '%1%' escape '!'; select pg_typeof(1); set role missing; set session authorization missing; reset role; select set_config('work_mem', '6MB', false); select current_setting('missing'); alter role app set work_mem = '7MB';
  alter role app reset work_mem; select a, b, d, e, f, g, h, i, j, k, l from t where id = 7; insert into t (id) values (1); insert into t (id) values (1) on conflict do nothing; create table t (a int); create schema s; drop schema s; refresh materialized view v; reindex table t; cluster; analyze t; security label on table t is 'x'`
  .split(';').map(text => text.trim()).filter(Boolean);
// A DO block has semicolons of its own.
const TEXTS = [...PLAIN.filter(text => !/\$\$/.test(text)), `do $$ begin raise notice 'done'; end $$`, `do $$ begin perform fail('inside'); end $$`, '', ';', ' -- only a comment', '/* only */', 'select 1; select 2', 'select 1; select 1/0; select 3', ';;select 1;;', 'begin; select 1; commit',
  'insert into parent values (7); select 1/0', 'select count(*) from parent; select complain(\'a\'); select 2', `select 1 as ${'x'.repeat(100)}`, `select '${'long '.repeat(20000)}'`, '\u0001', 'select \'\u00e9\u4e2d\ud83d\ude00\''];

const sessions = [];
for (const text of TEXTS) {
  sessions.push([[Q(text)], [Q('select 2')]]);
  sessions.push([[Q('begin')], [Q(text)], [Q('select 2')], [Q('rollback')]]);
  sessions.push([[P(text), B(), D('P'), E(), S], [Q('select 2')]]);
  sessions.push([[P(text, 's'), D('S', 's'), S], [B({ name: 's', results: [1] }), E(), S], [B({ name: 's' }), E(2), E(2), E(), S]]);
}
const NUMBERS = 'select i, repeat(\'v\', i) from generate_series(1, 20) i';
sessions.push(
  [[P(NUMBERS), B(), D('P'), E(5), E(5), E(50), E(1), S]], [[P(NUMBERS, 'n'), B({ portal: 'p', name: 'n' }), E(3, 'p'), S], [E(3, 'p'), S]], [[Q('begin')], [P(NUMBERS, 'n'), B({ portal: 'p', name: 'n' }), E(3, 'p'), S], [E(3, 'p'), D('P', 'p'), S], [C('P', 'p'), E(1, 'p'), S], [Q('end')]],
  [[S], [S, S, S]], [[H, S]], [[C('S', 'none'), C('P', 'none'), S]], [[D('S', 'none'), S]], [[D('P', 'none'), S]], [[Q('select 1'), Q('select 2'), Q('select 3')], [], []], [[P('select 1', 'a'), S], [P('select 2', 'a'), S], [C('S', 'a'), P('select 2', 'a'), B({ name: 'a' }), E(), S]],
  [[P('select $1::int + $2'), D('S'), B({ values: ['4', '5'] }), E(), S]], [[P('select $1::int, $2::text, $3::bytea, $4::bool'), B({ values: [i32(7), 'text', Buffer.from([0, 255]), null], formats: [1, 0, 1, 0], results: [1, 0, 1, 1] }), D('P'), E(), S]],
  [[P('select $1', '', [23]), B({ values: ['x'] }), E(), S]], [[P('select $1::int'), B({ values: [] }), E(), S]], [[P('select $1::int'), B({ values: [Buffer.from([1])], formats: [1] }), E(), S]], [[P('select 1'), B({ results: [1, 1] }), E(), S]],
  [[P('insert into parent values ($1)', 'i'), B({ name: 'i', values: ['1'] }), E(), B({ name: 'i', values: ['2'] }), E(), B({ name: 'i', values: ['1'] }), E(), B({ name: 'i', values: ['3'] }), E(), S], [Q('select * from parent')]],
  [[P('insert into child values (12345, 1, \'d\')'), B(), E(), S], [Q('select count(*) from child')]], [[P('begin'), B(), E(), P('select 1/0'), B(), E(), P('select 1'), B(), E(), S], [Q('select 1')], [Q('rollback')]],
  [[P('select a, d, e, f, g, h, i, j, k, l, b, c from t order by id limit 5'), B({ results: [1] }), D('P'), E(), S]], [[P(`select complain('p')`), B(), E(), P('select 2'), B(), E(), S]],
  [[P('select 1'), H, B(), H, D('P'), H, E(), H, S]], [[P('set work_mem = \'8MB\''), B(), E(), S], [Q('show work_mem')]], [[P('select 1; select 2'), S]], [[P(''), D('S'), B(), D('P'), E(), S]],
  [[Q('copy parent from stdin'), d('1\n2\n'), d('3'), d('\n'), c], [Q('select * from parent order by 1')]], [[Q('copy parent from stdin'), d('1\n'), f('no more')], [Q('select 1')]], [[Q('copy parent from stdin'), d('x\n'), c], [Q('select 1')]], [[Q('copy parent from stdin csv'), d('1\n1\n'), c]],
  [[Q('copy parent from stdin; select 7'), d('5\n'), c]], [[P('copy parent from stdin'), B(), E(), S], [d('8\n'), c, S]], [[P('copy parent to stdout'), B(), E(), S]], [[d('stray'), c, Q('select 1')]], [[Q('copy parent from stdin'), S, H, d('4\n'), c]], [[Q('begin; copy parent from stdin'), d('6\n'), c], [Q('commit')]],
  [[Q('listen ch')], [Q('notify ch, \'one\'')], [Q('begin; notify ch, \'two\'; notify ch')], [Q('commit')]], [[Q('prepare p as select $1::int + 1')], [Q('execute p(1)')], [B({ name: 'p', values: ['6'] }), D('P'), E(), S], [Q('deallocate all')]],
  [[Q('begin')], [Q(`declare c scroll cursor for ${NUMBERS}`)], [Q('fetch 3 from c')], [Q('fetch backward 1 from c')], [Q('move last in c')], [Q('fetch 1 from c')], [E(2, 'c'), S], [Q('close c')], [Q('commit')]], [[Q(`declare h cursor with hold for ${NUMBERS}`)], [Q('fetch 2 from h')], [Q('close h')]],
  [[Wire.message('F', i32(177), i16(1), i16(1), i16(2), i32(4), i32(3), i32(4), i32(4), i16(1))]], [[Wire.message('F', i32(2319), i16(0), i16(0), i16(0))]], [[Q('begin')], [Q('savepoint s')], [Q('select 1/0')], [Q('select 1')], [Q('rollback to s')], [Q('select 1')], [Q('commit')]],
  [[Q('set client_encoding = \'LATIN1\'')], [Q('select \'plain\'')], [Q('reset client_encoding')], [Q('select \'\u00e9\'')]], [[Q('select i, repeat(\'y\', 200) from generate_series(1, 20000) i')]], [[P('select i, repeat(\'y\', 200) from generate_series(1, 20000) i'), B({ results: [1] }), E(), S]],
  [Array.from({ length: 300 }, (_, i) => [P('select $1::int'), B({ values: [String(i)] }), D('P'), E()]).flat().concat([S])], [Array.from({ length: 100 }, (_, i) => [P(i === 50 ? 'select 1/0' : 'select 1'), B(), E(), ...(i % 10 === 9 ? [S] : [])]).flat()].map(one => one),
);

/** What differs between any two connections, and nothing else: the process that notifies, oids of tables that the session made. And in a
 *  syntax error, which the gateway words by the server's own grammar, the line of the server's source code that raised it. */
function normal({ type, body }) {
  const bytes = Buffer.from(body);
  if (type === 'A') bytes.writeInt32BE(0, 0);
  if (type === 'T')
    for (let at = 2, left = bytes.readInt16BE(0); left > 0; left--) {
      at = bytes.indexOf(0, at) + 1;
      if (bytes.readUInt32BE(at) >= 30000) bytes.writeUInt32BE(0, at);
      at += 18;
    }
  const text = type + bytes.toString('latin1');
  return type === 'E' && text.includes('\0C42601\0') ? text.replace(/\0L\d+\0/, '\0L\0') : text;
}

async function record(wire, steps) {
  const seen = [];
  for (const step of steps) {
    // A Query, a FunctionCall and a Sync each end with ReadyForQuery, but for a Sync within COPY FROM STDIN, which is ignored.
    const copying = step.some(m => m[0] === 0x51 && /copy .* from stdin/.test(m.toString()));
    const sent = step.filter(m => [0x51, 0x46].includes(m[0]) || (m[0] === 0x53 && !copying)).length;
    wire.send(...step);
    const extendedCopy = step.some(m => m[0] === 0x50 && /copy .* from stdin/.test(m.toString()));
    if (extendedCopy) { for (const m of await wire.all('G')) seen.push(normal(m)); continue; }
    for (let i = 0; i < sent; i++) for (const m of await wire.all()) seen.push(normal(m));
  }
  return seen;
}

test(`${sessions.length} sessions are the same, byte by byte, with and without the gateway`, { timeout: 120_000 }, async () => {
  let messages = 0;
  const different = [];
  for (const steps of sessions) {
    const [one, two] = await Promise.all([
      Wire.connect(pg.port).then(wire => wire.enter({ user: 'app', database: 'direct', application_name: 'same' }, 'upstream-secret')),
      Wire.connect(gateway.postgresPort).then(wire => wire.login('alice', 'shop', alice, { application_name: 'same' }))]);
    const direct = await record(one, steps);
    const through = await record(two, steps);
    messages += direct.length;
    const at = direct.findIndex((message, i) => message !== through[i]);
    if (at >= 0 || direct.length !== through.length)
      different.push({ steps: steps.map(step => step.map(m => m.toString('latin1').replace(/[^ -~]+/g, '.').slice(0, 80)).join(' ')).join(' | '), direct: (direct[at] ?? '(end)').slice(0, 200), through: (through[at] ?? '(end)').slice(0, 200) });
    one.close(); two.close();
  }
  console.log(`${sessions.length} sessions, ${messages} messages`);
  // By design: an EXECUTE or FETCH by Parse of a name that nobody has prepared or declared is denied at the Parse, where the server finds out later.
  const unknown = different.filter(one => !/was not (prepared|declared|bound) in this session|prepares, executes, declares or fetches by name/.test(one.through));
  assert.deepEqual(unknown, []);
  assert.ok(different.length <= 8, `${different.length} differ by design`);
});
