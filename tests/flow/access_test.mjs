// Access for a time, with psql and an MCP client: asked for, granted in two steps by distinct humans, used, ended.
import test, { before, after } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { Gateway, PASSWORD, SALLYPORT, start, until } from '../lib/gateway.mjs';
import { Postgres, psql } from '../lib/postgres.mjs';
import { startTickets } from '../fixtures/tickets_server.mjs';

const ACCESS = `
- { id: prod, who: "group:engineers", target: { env: prod }, longest: 1h, valid: 10m, steps: [[{ by: "group:leads", n: 1 }], [{ by: "group:security", n: 1 }]] }
- { id: brief, who: "group:engineers", target: db, longest: 5s, steps: [[{ by: "group:leads" }]] }
- { id: hasty, who: "group:engineers", target: db, longest: 1h, valid: 1s, steps: [[{ by: "group:leads" }]] }
- { id: fire, who: "group:engineers", target: db, longest: 1h, break_glass: { review_by: "group:security" } }
`;
const POLICY = `
- { id: granted, allow: { who: ["access:prod", "access:brief", "access:hasty", "access:fire"] } }
- { id: writes, approve: { who: "access:prod", when: 'mcp.tool.startsWith("write_")', by: "group:leads", quorum: 1, hold: 1s, valid: 10m } }
`;
const USERS = { alice: { groups: ['engineers', 'leads', 'security'], extra: 'break_glass_hash: { file: sealed.hash }' }, alice2: ['engineers', 'leads'], bob: ['leads'], carol: ['leads', 'security'], sam: ['security'], eve: ['engineers'] };

const SEALED = 'in the envelope';
const sealedHash = () => spawnSync(SALLYPORT, ['user', 'hash'], { input: SEALED + '\n', encoding: 'utf8' }).stdout.trim();
let server, tickets, gateway, tokens;
const as = (who, args) => gateway.run(args, { token: tokens[who] });
const json = async (who, args) => JSON.parse((await as(who, [...args, '--json'])).out);
const ask = async (who, rule, what, long = '5s') => {
  const { code, out, err } = await as(who, ['request', '--rule', rule, ...what, '--for', long, '--reason', 'a bug', '--json']);
  assert.ok(code === 6 || code === 0, err);
  return JSON.parse(out);
};
const sql = (who, text) => psql(gateway.libpq(who, 'db', tokens[who]), text);
const kinds = id => gateway.entries().filter(entry => entry.approval === id && entry.kind.startsWith('approval')).map(entry => entry.kind.slice(9));
/** A psql that stays: one line in, what comes out until `wanted`. */
const staying = (t, who) => {
  const child = start('psql', ['-qAtX'], { env: gateway.libpq(who, 'db', tokens[who]), stdio: ['pipe', 'pipe', 'pipe'] });
  t.after(() => child.kill());
  const said = text => new Promise(resolve => { const look = line => { if (line === text) { child.lines.off('line', look); resolve(); } }; child.lines.on('line', look); });
  return { child, ask: async (text, wanted) => { const answer = said(wanted); child.stdin.write(text + '\n'); await answer; } };
};
const seconds = async (what, most) => { const from = Date.now(); await what; const took = (Date.now() - from) / 1000; assert.ok(took <= most, `${took} s`); };

before(async () => {
  server = await Postgres.start();
  server.sql(`create role app login password 'upstream-secret'; create database shop owner app`);
  tickets = await startTickets();
  gateway = new Gateway({
    tls: false, postgres: true, policy: POLICY, access: ACCESS, users: USERS,
    files: { 'sealed.hash': sealedHash() },
    more: { identity: 'same_person: [["local|alice", "local|alice2"]]' },
    targets: { db: { postgres: `host: 127.0.0.1, port: ${server.port}, database: shop, user: app, tls: "off", credential: { password: { file: upstream.token } }`, labels: { env: 'prod' } }, tickets: { url: tickets.url, labels: { env: 'prod' } } },
  });
  await gateway.start();
  gateway.keepPorts();
  await gateway.stop();
  await gateway.start();
  tokens = Object.fromEntries(await Promise.all(Object.keys(USERS).map(async user => [user, await gateway.token(user)])));
});
after(async () => {
  assert.equal(await gateway.stop(), 0);
  const { code, out } = gateway.verify();
  assert.equal(code, 0, out);
  await tickets.close();
  await server.down();
});

test('access is granted in two steps by distinct humans, holds over a restart, and a revocation ends the sessions', async t => {
  assert.notEqual((await sql('alice', 'select 1')).code, 0, 'nothing is allowed without access');
  const request = await ask('alice', 'prod', ['--label', 'env=prod'], '1h');
  assert.equal(request.state, 'pending');
  const twice = await as('alice', ['request', '--rule', 'prod', '--label', 'env=prod', '--for', '1h', '--reason', 'again']);
  assert.deepEqual([twice.code, /pending already/.test(twice.err)], [5, true], twice.err);

  const own = await as('alice2', ['approve', request.id]);
  assert.deepEqual([own.code, /are one person/.test(own.err)], [5, true], own.err);
  const early = await as('sam', ['approve', request.id]);
  assert.deepEqual([early.code, /step 1 comes first/.test(early.err)], [5, true], early.err);
  assert.equal((await as('carol', ['approve', request.id])).code, 0);
  const second = await as('carol', ['approve', request.id]);
  assert.deepEqual([second.code, /voted on request/.test(second.err)], [5, true], 'carol is in both groups and counts once: ' + second.err);
  assert.notEqual((await sql('alice', 'select 1')).code, 0, 'one step of two is not enough');

  assert.equal(await gateway.stop(), 0);
  await gateway.start();
  assert.equal((await as('sam', ['approve', request.id])).code, 0);
  assert.equal((await sql('alice', 'select 41 + 1')).out.trim(), '42');
  assert.notEqual((await sql('eve', 'select 1')).code, 0, 'another person of the same group has none');
  const agent = await gateway.token('alice', ['--agent', 'bot']);
  assert.notEqual((await psql(gateway.libpq('alice', 'db', agent), 'select 1')).code, 0, 'it was not asked for her agents');

  assert.equal(await gateway.stop(), 0);
  await gateway.start();
  const session = staying(t, 'alice');
  await session.ask('select 7;', '7');
  const client = await gateway.client('tickets', tokens.alice);
  assert.ok(!(await client.callTool({ name: 'read_ticket', arguments: { id: 1 } })).isError);
  const stolen = await as('eve', ['revoke', request.id]);
  assert.equal(stolen.code, 3, 'a stranger does not even see it');
  const gone = once(session.child, 'close');  // its words are read to their end
  assert.equal((await as('bob', ['revoke', request.id, '--reason', 'done'])).code, 0);
  await seconds(until(async () => (await gateway.mcpPost('tickets', { jsonrpc: '2.0', id: 9, method: 'ping' }, { token: tokens.alice, session: client.transport.sessionId })).status === 404, 'the end of the MCP session', 6000), 6);
  await until(() => gateway.entries('session.close').some(entry => /access under rule prod has ended/.test(entry.reason) && entry.reason.startsWith('terminating')), 'the close of the psql session', 6000);
  session.child.stdin.write('select 8;\n');
  session.child.stdin.end();
  await gone;
  assert.match(session.child.errors, /FATAL:  terminating connection: the access under rule prod has ended|server closed the connection/);
  assert.notEqual((await sql('alice', 'select 1')).code, 0);
  await client.close().catch(() => {});
  assert.deepEqual(kinds(request.id), ['requested', 'granted', 'granted', 'denied']);
  const entries = gateway.entries().filter(entry => entry.approval === request.id);
  for (const entry of entries) {
    assert.equal(entry.action, 'access');
    assert.deepEqual(entry.rules, ['prod']);
    assert.deepEqual(entry.targets, ['env=prod']);
    assert.equal(entry.subject, entries[0].subject, 'the requester, in each');
  }
  assert.deepEqual(entries.map(entry => entry.step ?? 0), [0, 1, 2, 1]);
  assert.match(entries.at(-1).reason, /^revoked: done/);
});

test('the end of a grant ends a session within five seconds, also one that is busy', async t => {
  const request = await ask('alice', 'brief', ['--target', 'db']);
  assert.equal((await as('bob', ['approve', request.id])).code, 0);
  const idle = staying(t, 'alice');
  await idle.ask('select 1;', '1');
  const granted = await json('alice', ['requests', 'show', request.id]);
  const ends = Date.parse(granted.access.ends);
  const busy = sql('alice', 'select pg_sleep(60)');
  const { code, err } = await busy;
  assert.notEqual(code, 0);
  assert.match(err, /terminating connection: the access under rule brief has ended/);
  assert.ok(Date.now() >= ends - 1000 && Date.now() <= ends + 6000, `it ended ${Date.now() - ends} ms after the grant`);
  const left = `select count(*) from pg_stat_activity where query like '%pg_sleep(60)%' and state = 'active' and pid <> pg_backend_pid()`;
  await until(() => server.sql(left) === '0', 'the statement is cancelled at the target');
  idle.child.stdin.end('select 2;\n');
  await once(idle.child, 'exit');
  await until(async () => (await json('alice', ['requests', 'show', request.id])).state === 'ended', 'the end of the request');
  assert.deepEqual(kinds(request.id), ['requested', 'granted', 'expired']);
});

test('a request nobody decides in its time expires, and a late vote does not count', async () => {
  const request = await ask('alice', 'hasty', ['--target', 'db']);
  await until(() => kinds(request.id).includes('expired'), 'the expiry in the record');
  const late = await as('bob', ['approve', request.id]);
  assert.deepEqual([late.code, /expired/.test(late.err)], [5, true], late.err);
  assert.equal((await as('alice', ['requests', 'show', request.id])).code, 7);
});

test('what is outside the rule, too long, without reason or not for the person is refused', async () => {
  const refused = async (who, args, words, expected) => {
    const { code, err } = await as(who, ['request', ...args]);
    assert.deepEqual([code, words.test(err)], [expected, true], err);
  };
  await refused('bob', ['--rule', 'prod', '--target', 'db', '--for', '1h', '--reason', 'x'], /no access rule "prod" for you/, 5);
  await refused('alice', ['--rule', 'nope', '--target', 'db', '--for', '1h', '--reason', 'x'], /no access rule "nope" for you/, 5);
  await refused('alice', ['--rule', 'brief', '--target', 'tickets', '--for', '5s', '--reason', 'x'], /not for the target/, 5);
  await refused('alice', ['--rule', 'brief', '--target', 'db', '--for', '6s', '--reason', 'x'], /at most 5s/, 2);
  await refused('alice', ['--rule', 'brief', '--target', 'db', '--for', '5s'], /wants a reason/, 2);
  await refused('alice', ['--rule', 'prod', '--target', 'db', '--for', '1h', '--reason', 'x', '--start', '2020-01-01T00:00:00Z'], /in the past/, 2);
  await refused('alice', ['--rule', 'fire', '--target', 'db', '--for', '1h', '--reason', 'x'], /break-glass credential/, 5);
  assert.ok(gateway.entries('admin.action').some(entry => entry.action === 'request access'), 'a refused request is recorded');
});

test('an approval is for one command: approving A does not run B, and the request shows what it would do', async () => {
  const access = await ask('alice', 'prod', ['--target', 'tickets'], '10m');
  await as('bob', ['approve', access.id]);
  assert.equal((await as('sam', ['approve', access.id])).code, 0);
  const client = await gateway.client('tickets', tokens.alice);
  const write = text => client.callTool({ name: 'write_ticket', arguments: { id: 1, text } });
  const held = (await write('A'))._meta['sallyport/decision'].approval;
  assert.equal((await as('bob', ['approve', held])).code, 0);
  const other = await write('B');
  assert.equal(other._meta['sallyport/decision'].decision, 'held', 'B waits for its own approval');
  assert.equal(tickets.calls.filter(call => call.name === 'write_ticket').length, 0);
  assert.match((await write('A')).content[0].text, /says: A/);
  const third = await write('A');
  assert.equal(third._meta['sallyport/decision'].decision, 'held', 'one approval, one run');
  const shown = await json('bob', ['requests', 'show', held]);
  assert.deepEqual([shown.kind, shown.state, shown.effect, shown.rules], ['command', 'used', { tool: 'write_ticket' }, ['writes']]);
  assert.ok(shown.history.length > 0 && shown.history.length <= 10 && shown.history.some(one => one.id === access.id));
  const mine = await json('alice', ['requests', '--mine', '--all', '--kind', 'access']);
  assert.ok(mine.some(one => one.id === access.id) && mine.every(one => one.kind === 'access'));
  const renewed = await as('alice', ['renew', access.id, '--reason', 'not done', '--json']);
  assert.equal(renewed.code, 6, renewed.err);
  assert.equal(JSON.parse(renewed.out).about, access.id);
  assert.equal((await as('alice', ['revoke', JSON.parse(renewed.out).id])).code, 0, 'one may take back what one asked for');
  await client.close();
});

test('metrics and status tell of requests, grants and reviews', async () => {
  const metrics = (await gateway.get('/metrics')).body;
  for (const name of ['access_pending', 'access_grants', 'break_glass_total', 'reviews_open', 'reviews_overdue']) assert.match(metrics, new RegExp(`^sallyport_${name} \\d`, 'm'));
  const status = JSON.parse((await gateway.get('/api/requests/status', { token: tokens.bob })).body);
  assert.deepEqual([status.overdue_reviews, status.break_glass], [0, 0]);
});

test('glass is broken with a credential of its own, at once and with an alarm, and another person looks at it afterwards', async () => {
  const issue = (password, ...more) => gateway.run(['token', 'issue', '--user', 'alice', ...more], { input: password + '\n' });
  assert.equal((await issue(PASSWORD, '--break-glass')).code, 4, 'the everyday password does not break glass');
  assert.equal((await issue(SEALED)).code, 4, 'and the sealed one is for nothing else');
  assert.equal((await issue(SEALED, '--break-glass', '--agent', 'bot')).code, 4, 'nor for an agent');
  const sealed = (await issue(SEALED, '--break-glass')).out.trim();
  const before = gateway.child.errors.length;
  const { code, out, err } = await gateway.run(['request', '--rule', 'fire', '--target', 'db', '--for', '1h', '--reason', 'the shop is down', '--json'], { token: sealed });
  assert.equal(code, 0, err);
  const request = JSON.parse(out);
  assert.equal(request.state, 'granted');
  assert.equal(request.access.break_glass, true);
  assert.equal((await psql(gateway.libpq('alice', 'db', sealed), 'select 41 + 1')).out.trim(), '42');
  assert.match(gateway.child.errors.slice(before), /break-glass/);
  assert.match((await gateway.get('/metrics')).body, /^sallyport_break_glass_total 1$/m);
  const review = (await json('sam', ['requests', '--kind', 'review']))[0];
  assert.equal(review.about, request.id);
  assert.equal((await as('alice', ['review', review.id, '--reason', 'fine'])).code, 5, 'not one that is about oneself');
  assert.equal((await as('sam', ['review', review.id, '--reason', 'the incident is real'])).code, 0);
  assert.equal((await json('sam', ['requests', 'show', review.id])).state, 'reviewed');
  assert.ok(gateway.entries().some(entry => entry.approval === request.id && entry.action === 'break-glass'));
  assert.equal((await as('sam', ['revoke', request.id, '--reason', 'over'])).code, 0);
  await until(async () => (await psql(gateway.libpq('alice', 'db', sealed), 'select 1')).code !== 0, 'the access is gone');
});
