// A PostgreSQL database as MCP tools: agents call query, explain and describe, and meet the rules, masks, holds and records that the same person's
// psql meets.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { spawnSync } from 'node:child_process';
import { Client as OldClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as OldTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { Gateway, SALLYPORT, until } from '../lib/gateway.mjs';
import { Postgres, psql } from '../lib/postgres.mjs';

const CLIENTS = ['old', 'new-legacy', 'new'];
const POLICY = `
- { id: tools, allow: { who: "group:engineers", target: { kind: tools } } }
- { id: data, allow: { who: "group:engineers", target: { kind: data } } }
- { id: guests, allow: { who: "group:guests", target: { kind: tools } } }
- { id: no-mass-delete, block: { who: "group:engineers", target: { kind: data }, when: '"delete" in sql.verbs && !sql.has_where' }, message: "DELETE needs a WHERE." }
- { id: no-payroll, block: { who: "group:engineers", target: { kind: data }, when: '"hr.payroll" in sql.tables' } }
- { id: ddl, approve: { who: "group:engineers", target: { kind: data }, when: 'sql.class == "ddl"', by: "group:leads", hold: 2s, valid: 5m } }
- { id: pii, mask: { target: { kind: data }, columns: [customers.ssn], detect: [email], with: partial } }
`;
let pg, gateway, tokens;
before(async () => {
  pg = await Postgres.start();
  pg.sql(`create role app login password 'upstream-secret'; create database shop owner app`);
  pg.sql(`create schema hr authorization app; grant all on schema public to app; set role app;
    create table customers (id int primary key, name text not null, ssn text unique, email text);
    comment on table customers is 'Who buys';
    insert into customers select i, 'name ' || i, '111-22-' || lpad(i::text, 4, '0'), 'user' || i || '@example.com' from generate_series(1, 20) i;
    create table orders (id bigint primary key, customer_id int references customers, total numeric, paid boolean default false, at timestamptz, doc jsonb, factor float8);
    insert into orders select i, i, i * 1.5, i % 2 = 0, '2026-01-02 03:04:05+00', '{"a":[1,2]}', 0.5 from generate_series(1, 20) i;
    create index on orders (customer_id); create view paid as select * from orders where paid;
    create table "Mixed Case" ("A" int); create table hr.payroll (id int)`, 'shop');
  const server = `host: 127.0.0.1, port: ${pg.port}, user: app, tls: "off", credential: { password: { file: upstream.token } }`;
  gateway = new Gateway({ tls: false, postgres: true, policy: POLICY,
    users: { alice: ['engineers'], bob: ['leads'], gus: ['guests'], dora: [] },
    targets: {
      shop: { postgres: `${server}, database: shop, databases: [postgres]`, labels: { kind: 'data' } },
      gone: { postgres: 'host: 127.0.0.1, port: 1, user: app, database: shop, tls: "off"', labels: { kind: 'data' } },
      'shop-tools': { database: 'target: shop', labels: { kind: 'tools' }, extra: 'timeout: 4s' },
      'shop-writes': { database: 'target: shop, write: true, rows: 5, bytes: 4KiB, tools: [query]', labels: { kind: 'tools' } },
      'shop-large': { database: 'target: shop, rows: 100000, bytes: 4MiB', labels: { kind: 'tools' } },
      'gone-tools': { database: 'target: gone', labels: { kind: 'tools' } },
      all: { virtual: 'servers: { shop-tools: { prefix: "shop_" }, shop-writes: { prefix: "writes_" } }' },
    } });
  await gateway.start();
  tokens = Object.fromEntries(await Promise.all(['alice', 'bob', 'gus', 'dora'].map(async name => [name, await gateway.token(name)])));
});
after(async () => {
  assert.equal(await gateway.stop(), 0);
  const { code, out } = gateway.verify();
  assert.equal(code, 0, out);
  await pg.down();
});

async function connect(kind, target = 'shop-tools', token = tokens.alice) {
  const url = new URL(gateway.url(target)), headers = { requestInit: { headers: { Authorization: `Bearer ${token}` } } };
  const client = kind === 'old' ? new OldClient({ name: 'agent', version: '1' }) : new Client({ name: 'agent', version: '1' }, { versionNegotiation: { mode: kind === 'new' ? 'auto' : 'legacy' } });
  await client.connect(kind === 'old' ? new OldTransport(url, headers) : new StreamableHTTPClientTransport(url, headers));
  return Object.assign(client, { call: (name, args = {}, options) => kind === 'old' ? client.callTool({ name, arguments: args }, undefined, options) : client.callTool({ name, arguments: args }, options) });
}
const said = answer => answer.content[0].text;
const cell = answer => answer.structuredContent.rows[0][0];
const sleeping = mark => pg.sql(`select count(*) from pg_stat_activity where query like '%${mark}%' and query not like '%pg_stat_activity%' and state = 'active'`) !== '0';

for (const kind of CLIENTS) {
  test(`${kind}: rows come typed and masked, and what is refused reads as psql reads it`, { timeout: 60_000 }, async context => {
    const client = await connect(kind);
    context.after(() => client.close());
    const listed = (await client.listTools()).tools;
    assert.deepEqual(listed.map(one => one.name), ['query', 'explain', 'describe']);
    assert.equal(listed[0].annotations.readOnlyHint, true);
    const answer = await client.call('query', { sql: 'select id, total, paid, at, doc, factor, null as nothing, customer_id from orders where id = $1 or id = $2 order by 1', params: [1, '2'] });
    assert.deepEqual(answer.structuredContent, {
      columns: ['id', 'total', 'paid', 'at', 'doc', 'factor', 'nothing', 'customer_id'].map((name, i) => ({ name, type: ['int8', 'numeric', 'bool', 'timestamptz', 'jsonb', 'float8', 'text', 'int4'][i] })),
      rows: [['1', '1.5', false, '2026-01-02 03:04:05+00', { a: [1, 2] }, 0.5, null, 1], ['2', '3.0', true, '2026-01-02 03:04:05+00', { a: [1, 2] }, 0.5, null, 2]],
      row_count: 2, more: false, command: 'SELECT 2',
    });
    assert.deepEqual(JSON.parse(said(answer)), answer.structuredContent);
    assert.deepEqual((await client.call('query', { sql: 'select ssn, email from customers where id = 3' })).structuredContent.rows, [['***-**-0003', 'u***@***.com']]);
    const blocked = await client.call('query', { sql: 'select * from hr.payroll' });
    assert.ok(blocked.isError);
    assert.match(said(blocked), /^42501: .*\nDETAIL: rule no-payroll, request req_/);
    const typo = await client.call('query', { sql: 'selec 1' });
    assert.match(said(typo), /^42601: syntax error at or near "selec"/);
    assert.match(said(await client.call('query', { sql: 'select 1; select 2' })), /^42601: cannot insert multiple commands into a prepared statement/);
    assert.match(said(await client.call('query', { sql: 'update orders set paid = true where id = 1' })), /^25006: cannot execute UPDATE in a read-only transaction/);
    assert.match(said(await client.call('query', { sql: 'copy orders to stdout' })), /^0A000: COPY is not offered here/);
    assert.match(said(await client.call('query', { sql: 'select 1/0' })), /^22012: division by zero/);
  });

  test(`${kind}: a call that is taken back ends at the server`, { timeout: 60_000 }, async context => {
    const client = await connect(kind);
    context.after(() => client.close());
    const stop = new AbortController(), mark = `taken-back-${kind}`;
    const running = client.call('query', { sql: `select pg_sleep(30), '${mark}'` }, { signal: stop.signal });
    await until(() => sleeping(mark), 'the statement runs');
    stop.abort();
    await assert.rejects(running);
    await until(() => !sleeping(mark), 'the statement has ended', 8000);
    assert.equal(cell(await client.call('query', { sql: 'select 7' })), 7, 'the next call is served');
  });
}

test('wrong arguments are told in words, and nothing is asked of the database', async () => {
  const client = await connect('new');
  const before = gateway.entries('session.open').filter(one => one.target === 'shop').length;
  for (const [tool, args, wanted] of [
    ['query', {}, /sql is missing/], ['query', { sql: '  ' }, /sql is missing/], ['query', { sql: 5 }, /sql is missing/], ['query', { sql: 'select 1', more: 1 }, /no argument "more"/],
    ['query', { sql: 'select 1', params: 'x' }, /params is a list/], ['query', { sql: 'select 1', params: [{}] }, /write an array or an object as text/],
    ['query', { sql: 'select 1', max_rows: 0 }, /from 1 to 1000/], ['query', { sql: 'select 1', max_rows: 1001 }, /from 1 to 1000/], ['query', { sql: 'select $1', params: ['a\0b'] }, /22021: a parameter has a NUL/],
    ['explain', { sql: 'select 1', analyze: 'yes' }, /analyze is true or false/], ['describe', { name: 'a.b.c' }, /at most two parts/], ['describe', { name: '"open' }, /quote is not closed/],
  ]) {
    const answer = await client.call(tool, args);
    assert.ok(answer.isError, JSON.stringify(args));
    assert.match(said(answer), wanted);
  }
  const unknown = await client.call('drop_everything').catch(error => ({ isError: true, content: [{ text: error.message }] }));
  assert.match(said(unknown), /there is no tool "drop_everything"/);
  assert.equal(gateway.entries('session.open').filter(one => one.target === 'shop').length, before);
  await client.close();
});

test('describe and explain tell what there is and what it would cost', async () => {
  const client = await connect('new');
  const relations = cell(await client.call('describe'));
  assert.deepEqual(relations.map(one => `${one.schema}.${one.name} ${one.kind}`), ['hr.payroll table', 'public.Mixed Case table', 'public.customers table', 'public.orders table', 'public.paid view']);
  assert.equal(relations[2].comment, 'Who buys');
  for (const name of ['orders', 'public.orders', 'PUBLIC.Orders', '"public"."orders"']) {
    const { rows: [[orders]] } = (await client.call('describe', { name })).structuredContent;
    assert.deepEqual(orders.columns[0], { name: 'id', type: 'bigint', nullable: false, default: null, comment: null });
    assert.equal(orders.columns[3].default, 'false');
    assert.ok(orders.constraints.some(one => one.definition === 'FOREIGN KEY (customer_id) REFERENCES customers(id)'), JSON.stringify(orders.constraints));
    assert.equal(orders.indexes.length, 2);
  }
  assert.equal(cell(await client.call('describe', { name: '"Mixed Case"' })).columns[0].name, 'A');
  assert.match(said(await client.call('describe', { name: 'Mixed Case' })), /no such table/);
  const plan = cell(await client.call('explain', { sql: 'select * from orders where id = $1', params: [3] }));
  assert.match(JSON.stringify(plan), /"Node Type":"(Index|Seq|Bitmap)/);
  assert.doesNotMatch(JSON.stringify(plan), /Actual Rows/);
  assert.match(JSON.stringify(cell(await client.call('explain', { sql: 'select * from orders', analyze: true }))), /Actual Rows/);
  assert.match(said(await client.call('explain', { sql: 'select * from hr.payroll' })), /rule no-payroll/);
  await client.close();
});

test('answers are cut where the target says, and say so; what writes is done whole', async () => {
  const client = await connect('new', 'shop-writes');
  const tools = (await client.listTools()).tools;
  assert.deepEqual(tools.map(one => [one.name, one.annotations.readOnlyHint, one.annotations.destructiveHint]), [['query', false, true]]);
  const ids = async (sql, args = {}) => { const { structuredContent: s } = await client.call('query', { sql, ...args }); return [s.rows.length, s.row_count, s.more]; };
  assert.deepEqual(await ids('select id from orders order by 1'), [5, 5, true]);
  assert.deepEqual(await ids('select id from orders order by 1 limit 5'), [5, 5, false]);
  assert.deepEqual(await ids('select id from orders order by 1', { max_rows: 2 }), [2, 2, true]);
  assert.deepEqual(await ids(`select repeat('x', 3000) from orders`), [1, 1, true], 'by bytes');
  assert.deepEqual(await ids(`select repeat('x', 30000000)`), [0, 0, true], 'one row that is too long for any answer');
  const { structuredContent } = await client.call('query', { sql: 'update orders set paid = true where id < 15 returning id' });
  assert.deepEqual([structuredContent.rows.length, structuredContent.more], [5, true]);
  assert.equal(pg.sql('select count(*) from orders where paid and id < 15', 'shop'), '14');
  assert.match(said(await client.call('query', { sql: 'delete from orders' })), /^42501: DELETE needs a WHERE\./);
  assert.deepEqual((await client.call('query', { sql: 'delete from orders where id = 20' })).structuredContent, { columns: [], rows: [], row_count: 0, more: false, command: 'DELETE 1' });
  // Nothing of one call is there in the next one.
  for (const sql of ['begin', 'set search_path = hr', 'create temporary table x (a int)', 'prepare p as select 1']) await client.call('query', { sql });
  assert.equal(cell(await client.call('query', { sql: `select current_setting('search_path')` })), '"$user", public');
  await client.close();
});

test('an answer of control characters, which JSON makes long, comes whole', { timeout: 60_000 }, async () => {
  const client = await connect('new', 'shop-large');
  assert.equal(cell(await client.call('query', { sql: `select repeat(chr(1) || '"ü', 1048000)` })), '\x01"ü'.repeat(1048000));
  assert.equal((await client.call('query', { sql: 'select i from generate_series(1, 100000) i' })).structuredContent.rows.length, 100_000);
  await client.close();
});

test('a held statement tells the agent meanwhile, names its request at the end, and the same call runs it once it is granted', { timeout: 60_000 }, async () => {
  for (const kind of CLIENTS) {
    const client = await connect(kind, 'shop-writes'), sql = `create table made_${kind.replace('-', '_')} (a int)`;
    const progress = [];
    const held = await client.call('query', { sql }, { onprogress: one => progress.push(one.message) });
    assert.ok(held.isError);
    assert.match(said(held), /apr_[0-9a-f]+/);
    assert.ok(progress.some(one => /held for approval .*request apr_/.test(one)), progress.join('\n'));
    const [id] = /apr_[0-9a-f]+/.exec(said(held));
    const { out } = await gateway.run(['requests', 'show', id], { token: tokens.bob });
    assert.match(out, /create table made/);
    assert.equal((await gateway.run(['approve', id], { token: tokens.alice })).code, 5, 'not by the one who asks');
    assert.equal((await gateway.run(['approve', id], { token: tokens.bob })).code, 0);
    assert.equal((await client.call('query', { sql })).structuredContent.command, 'CREATE TABLE');
    assert.match(said(await client.call('query', { sql })), /apr_/, 'a consent is for one run');
    await client.close();
  }
});

test('one chain of evidence leads from the call to the statement, and literals are in the record of the database alone', async () => {
  const client = await connect('new');
  const answer = await client.call('query', { sql: `select name from customers where ssn = '111-22-0004' and id = $1`, params: [4] });
  assert.equal(cell(answer), 'name 4');
  await client.close();
  const session = answer._meta['sallyport/session'];
  const entries = gateway.entries();
  const opened = entries.find(one => one.kind === 'session.open' && one.session === session);
  const call = entries.find(one => one.kind === 'command' && one.request_id === opened.about);
  assert.equal(call.action, 'tools/call');
  assert.equal(call.object, 'query');
  assert.equal(call.target, 'shop-tools');
  assert.deepEqual([opened.subject, opened.target, opened.protocol, opened.software], [call.subject, 'shop', 'postgresql', 'agent 1']);
  const outcome = entries.find(one => one.kind === 'outcome' && one.command_index === call.index);
  const statement = entries.find(one => one.kind === 'command' && one.session === session);
  const closed = entries.find(one => one.kind === 'session.close' && one.session === session);
  assert.ok(call.index < opened.index && opened.index < statement.index && statement.index < closed.index && closed.index < outcome.index, 'in this order');
  const played = gateway.play(call.session).concat(gateway.play(session)).map(one => JSON.stringify(one)).join('\n');
  assert.doesNotMatch(played, /111-22-0004/);
  assert.match(played, /ssn = \$\d/);
});

test('who may use the tools and not the database learns nothing of it, and the other way round', async () => {
  const gus = await connect('new', 'shop-tools', tokens.gus);
  for (const [tool, args] of [['query', { sql: 'select 1' }], ['describe', {}]]) {
    const answer = await gus.call(tool, args);
    assert.ok(answer.isError);
    assert.match(said(answer), /there is no target "shop" for gus/);
  }
  await gus.close();
  await assert.rejects(connect('new', 'shop-tools', tokens.dora));
  const gone = await connect('new', 'gone-tools');
  assert.match(said(await gone.call('query', { sql: 'select 1' })), /connect|reached|refused/i);
  await gone.close();
});

test('calls side by side have sessions of their own, and one that is silent too long is ended', { timeout: 60_000 }, async () => {
  const client = await connect('new');
  const pids = await Promise.all(Array.from({ length: 12 }, () => client.call('query', { sql: 'select pg_backend_pid() from pg_sleep(0.05)' })));
  assert.equal(new Set(pids.map(cell)).size, 12);
  const silent = await client.call('query', { sql: `select pg_sleep(30), 'too-silent'` });
  assert.ok(silent.isError);
  await until(() => !sleeping('too-silent'), 'the statement has ended', 8000);
  await client.close();
});

test('a person whose credential is taken back loses what runs', { timeout: 60_000 }, async () => {
  const token = await gateway.token('alice', ['--label', 'short', '--for', 'mcp']);
  assert.match((await psql(gateway.libpq('alice', 'shop', token), 'select 1;')).err, /authentication failed|not accepted|FATAL/, 'it is good at one door only');
  const client = await connect('new', 'shop-tools', token);
  const running = client.call('query', { sql: `select pg_sleep(20), 'taken-away'` }).catch(error => ({ isError: true, content: [{ text: error.message }] }));
  await until(() => sleeping('taken-away'), 'the statement runs');
  const list = JSON.parse((await gateway.run(['tokens', 'ls', '--json'], { token: tokens.alice })).out);
  const mine = list.find(one => one.label === 'short');
  assert.equal((await gateway.run(['tokens', 'revoke', mine.id], { token: tokens.alice })).code, 0);
  await until(() => !sleeping('taken-away'), 'the statement has ended', 8000);
  assert.ok((await running).isError);
  await client.close().catch(() => {});
});

test('behind a virtual server the tools have its prefixes', async () => {
  const client = await connect('old', 'all');
  assert.deepEqual((await client.listTools()).tools.map(one => one.name), ['shop_query', 'shop_explain', 'shop_describe', 'writes_query']);
  assert.equal(cell(await client.call('writes_query', { sql: 'select 40 + 2' })), 42);
  await client.close();
});

test('the same person meets the same rules with psql', async () => {
  const env = gateway.libpq('alice', 'shop', tokens.alice);
  const { out, err } = await psql(env, 'select ssn from customers where id = 3; select * from hr.payroll;');
  assert.match(out, /\*\*\*-\*\*-0003/);
  assert.match(err, /rule no-payroll/);
});

test('a configuration that makes no sense is told where and why', () => {
  const text = fs.readFileSync(gateway.config, 'utf8');
  const check = (from, to) => {
    const file = `${gateway.config}.wrong.yaml`;
    fs.writeFileSync(file, text.replace(from, to));
    const { status, stdout, stderr } = spawnSync(SALLYPORT, ['config', 'check', '-c', file], { encoding: 'utf8' });
    assert.equal(status, 2, stdout + stderr);
    return stdout + stderr;
  };
  assert.match(check('target: shop }', 'target: shopp }'), /shopp is no postgres target; did you mean shop\?/);
  assert.match(check('target: shop }', 'target: all }'), /all is no postgres target/);
  assert.match(check('target: shop }', 'target: shop, name: other }'), /other is not one of the databases of shop/);
  assert.match(check('target: shop }', 'target: shop, tools: [query, drop] }'), /there is no tool drop/);
  assert.match(check('target: shop }', 'target: shop, rows: 0 }'), /rows/);
  assert.match(check('timeout: 4s', 'timeout: 4s, credential: { bearer: { env: X } }'), /credential is for an MCP server/);
});
