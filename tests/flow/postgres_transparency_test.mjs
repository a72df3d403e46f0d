// With a policy that allows everything the client gets the very bytes that it would get without the gateway. Two clusters that are
// made and used alike, one reached directly, one through the gateway: every message after the login is compared, session by session.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import { Gateway, until } from '../lib/gateway.mjs';
import { Postgres, Wire, errorOf } from '../lib/postgres.mjs';
import { B, E, H, P, Q, S, X, c, d, ends, ready, session } from '../lib/postgres_messages.mjs';
import { SCHEMA, VALUES } from '../fixtures/postgres_texts.mjs';
import { HAND_WRITTEN, MALFORMED, REFUSED, VIOLATIONS } from '../fixtures/postgres_sessions.mjs';
import { copied, cut, mutated, ofCodes, ofTexts, ofValues, pipelines, transactions } from '../fixtures/postgres_generated.mjs';

// What counts transactions and oids in the background would tell the clusters apart; so would who made a schema of temporary tables first.
const SETTINGS = { autovacuum: 'off', jit: 'off', checkpoint_timeout: '1h', max_prepared_transactions: 4, max_wal_size: '4GB' };
const SILENCE = 5000;
const ENTRY = { application_name: 'same' };
let clusters, gateway, token;
before(async () => {
  clusters = [await Postgres.start({ settings: SETTINGS, hba: 'host all app 127.0.0.1/32 trust' }), await Postgres.start({ settings: SETTINGS })];
  for (const pg of clusters) {
    pg.sql(`create role app login superuser password 'upstream-secret'; create database shop owner app`);
    pg.sql(`set role app; ${SCHEMA}`, 'shop');
    const many = await Promise.all(Array.from({ length: 12 }, () => enter(pg.port, { user: 'postgres', database: 'shop' })));
    for (const wire of many) await play(wire, session('', [Q('create temp table first (a text)')]));
    for (const wire of many) await play(wire, session('', [Q('drop table first')]));
    await Promise.all(many.map(wire => { wire.send(X); return closed(wire); }));
  }
  gateway = new Gateway({ tls: false, postgres: true, policy: '- { id: engineers, allow: { who: "group:engineers" } }',
    targets: { shop: { postgres: `host: 127.0.0.1, port: ${clusters[1].port}, database: shop, user: app, tls: "off", credential: { password: { file: upstream.token } }` } } });
  await gateway.start();
  token = await gateway.token('alice');
});
after(async () => { await gateway.stop(); for (const pg of clusters) await pg.down(); });

async function enter(port, parameters) {
  const wire = await Wire.connect(port);
  wire.startup(parameters);
  wire.greeting = await wire.all();
  return wire;
}
const direct = () => enter(clusters[0].port, { user: 'app', database: 'shop', ...ENTRY });
const through = async () => (await Wire.connect(gateway.postgresPort)).login('alice', 'shop', token, ENTRY);
const closed = wire => wire.ended ? null : wire.until(() => wire.ended || undefined);

/** The next message, null at the end, undefined when the server is silent. */
function take(wire) {
  const look = () => {
    const size = wire.buffer.length < 5 ? Infinity : 1 + wire.buffer.readInt32BE(1);
    if (wire.buffer.length < size) return wire.ended ? null : undefined;
    const found = { type: String.fromCharCode(wire.buffer[0]), body: wire.buffer.subarray(5, size) };
    wire.buffer = wire.buffer.subarray(size);
    return found;
  };
  const now = look();
  return now === undefined ? wire.until(look, SILENCE).catch(() => undefined) : now;
}

/** Sends what a session sends; gives what came, as [type, bytes], up to its end. */
async function play(wire, { steps, pieces }) {
  const seen = [];
  wire.socket.setNoDelay(true);
  for (const { messages, until } of steps) {
    const bytes = Buffer.concat(messages);
    if (!pieces) wire.raw(bytes);
    else for (let at = 0; at < bytes.length && !wire.ended; at += pieces) {
      if (!wire.socket.write(bytes.subarray(at, at + pieces))) await Promise.race([once(wire.socket, 'drain'), once(wire.socket, 'close')]);
      await new Promise(setImmediate);
    }
    let left = typeof until === 'number' ? until : 1;
    const type = typeof until === 'number' ? 'Z' : until;
    while (left > 0) {
      const message = await take(wire);
      if (message === undefined) return [...seen, ['silent', Buffer.alloc(0)]];
      if (message === null) return [...seen, ['end', Buffer.alloc(0)]];
      seen.push([message.type, message.body]);
      left -= message.type === type;
    }
  }
  return seen;
}

/** All that is not compared, for it differs between any two connections, or between releases of the server's grammar. */
const NORMAL = {
  // The process that notified.
  A: body => body.fill(0, 0, 4),
  // The line of the server's source code that found a syntax error; the gateway has the words, position and file from its own grammar.
  E: body => /\0F(scan\.l|gram\.y|parser\.c)\0/.test(body.toString('latin1')) ? Buffer.from(body.toString('latin1').replace(/\0L\d+\0/, '\0L\0'), 'latin1') : body,
};
const normal = ([type, body]) => NORMAL[type] ? NORMAL[type](Buffer.from(body)) : body;
const fields = body => errorOf({ body });
/** Where the gateway answers otherwise by design; what follows from the next ReadyForQuery on is the same. */
const BY_DESIGN = {
  'the grammar of the gateway is of an older minor release: of a number with letters behind it an error names the first letter only': (a, b) =>
    a[0] === 'E' && b[0] === 'E' && /^trailing junk after /.test(fields(a[1]).M) && /^trailing junk after /.test(fields(b[1]).M) && fields(a[1]).P === fields(b[1]).P,
  'a syntax error is not forwarded, so the server does not say before it that an identifier was cut': (a, b) => a[0] === 'N' && fields(a[1]).C === '42622' && b[0] === 'E' && fields(b[1]).C === '42601',
};
const words = message => message[0] === 'E' ? fields(message[1]) : {};
const counts = { sessions: 0, sent: 0, messages: 0, bytes: 0, design: {} };

/** The first difference of two answers, or null. */
function compare({ name, steps }, one, two) {
  counts.sessions++;
  counts.sent += steps.reduce((n, { messages }) => n + messages.length, 0);
  counts.messages += one.length;
  counts.bytes += one.reduce((n, [, body]) => n + body.length + 5, 0);
  const nothing = ['nothing', Buffer.alloc(0)];
  for (let i = 0, j = 0; i < one.length || j < two.length; i++, j++) {
    const a = one[i] ?? nothing, b = two[j] ?? nothing;
    if (a[0] === b[0] && normal(a).equals(normal(b))) continue;
    const known = Object.keys(BY_DESIGN).find(key => BY_DESIGN[key](a, b));
    if (known) {
      counts.design[known] = (counts.design[known] ?? 0) + 1;
      while (one[i + 1] && one[i + 1][0] !== 'Z') i++;
      while (two[j + 1] && two[j + 1][0] !== 'Z') j++;
      continue;
    }
    const show = ([type, body]) => `${type} ${body.toString('utf8').replace(/[\0-\x1f]/g, '·').slice(0, 300)}`;
    return { name: name.slice(0, 200), at: i, before: one.slice(Math.max(0, i - 2), i).map(m => m[0]).join(''), direct: show(a), through: show(b) };
  }
  return null;
}

const END = [{ messages: [Q(`select 'the end'`)], until: 1 }, { messages: [X], until: 'end' }];
async function both(one) {
  const whole = one.steps.at(-1).until === 'end' ? one : { ...one, steps: [...one.steps, ...END] };
  const [a, b] = await Promise.all([direct(), through().catch(failed => failed)]);
  if (b instanceof Error) { a.close(); return [[], [['login', Buffer.from(String(b.message))]]]; }
  const [x, y] = await Promise.all([play(a, whole), play(b, whole)]);
  a.close(); b.close();
  return [x, y];
}
async function same(sessions) {
  const different = [];
  for (const one of sessions) {
    const answers = await both(one), found = compare(one, ...answers);
    if (!found) continue;
    different.push(found);
    // What a silent gateway holds at its target is not to stop the sessions that follow.
    if (answers[1].some(([type]) => type === 'silent')) clusters[1].sql(`select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app'`);
  }
  if (process.env.DIFFERENCES) fs.appendFileSync(process.env.DIFFERENCES, different.map(one => JSON.stringify(one, null, 1) + '\n').join(''));
  assert.deepEqual(different.slice(0, 20), [], `${different.length} of ${sessions.length} sessions differ`);
}

test('hand-written sessions are the same with and without the gateway', () => same(HAND_WRITTEN));
test('texts of every kind are the same as a Query, in a transaction and by the extended protocol', () => same(ofTexts()));
test('values of every built-in type are the same in both formats, as parameters and as results', async () => {
  const wire = await direct(), binary = {};
  for (const [type, values] of Object.entries(VALUES)) {
    const rows = await play(wire, session('', ...values.map(value => [P(`select $1::${type}`), B({ values: [value], results: [1] }), E(), S])));
    binary[type] = rows.filter(([kind, body]) => kind === 'D' && body.readInt32BE(2) >= 0).map(([, body]) => Buffer.from(body.subarray(6)));
  }
  wire.close();
  await same(ofValues(binary));
});
test('errors of every SQLSTATE are the same', () => same(ofCodes()));
test('texts that were broken at random are the same, and so is where the error is', () => same(mutated(1, 60)));
test('pipelines of random messages are the same', () => same(pipelines(2, 150)));
test('random transactions are the same', () => same(transactions(3, 60)));
test('COPY of random rows is the same', () => same(copied(4, 80)));
test('sessions whose bytes come in pieces are the same', () => same(cut(5, [...HAND_WRITTEN, ...pipelines(6, 30)].filter(one => !/FATAL|timeout/.test(one.name)), 120)));

test('a violation of the protocol ends the connection, with words from the gateway', async () => {
  for (const one of VIOLATIONS) {
    const [x, y] = await both(one);
    assert.equal(x.at(-1)[0], 'end', one.name);
    assert.deepEqual(y.slice(-2).map(([type]) => type), ['E', 'end'], one.name);
    assert.match(fields(y.at(-2)[1]).C, /08P01/, one.name);
  }
});
test('a malformed message is answered as by the server, or with an error and the end of the connection', async () => {
  for (const { name, bytes } of MALFORMED) {
    const [x, y] = await both({ name, steps: [ends(bytes, S, X)] });
    if (!compare({ name, steps: [] }, x, y)) continue;
    assert.deepEqual(y.map(([type]) => type), ['E', 'end'], name);
    assert.equal(fields(y[0][1]).C, '08P01', name);
  }
});
test('what is refused by design is told as a refusal, and the session goes on', async () => {
  for (const [reason, ...steps] of REFUSED) {
    const [x, y] = await both(session(reason, ...steps));
    const at = x.findIndex((message, i) => message[0] !== y[i]?.[0] || words(message).C !== words(y[i]).C);
    assert.ok(at >= 0 && y[at]?.[0] === 'E', `${reason}: it is no longer refused`);
    assert.equal(fields(y[at][1]).C, '42501', reason);
    assert.equal(y.at(-1)[0], 'end', reason);
    assert.equal(y.filter(([type]) => type === 'Z').length, steps.length + 1, reason);
    counts.design[reason] = 1;
  }
});

test('a client that goes away, whatever is under way, leaves nothing at the target', async () => {
  const left = [[P('select 1')], [P('select 1'), B(), E()], [Q('select 1')], [Q('copy parent from stdin'), d('1\n')], [P('copy parent from stdin'), B(), E(), d('1\n')], [Q('begin; lock table parent')], [Q('select i from generate_series(1, 1000000) i')], [Q('begin'), P('select complain(\'x\')'), B(), H]];
  const half = [[Q('select 1'), H.subarray(0, 3)], [Q('begin'), Buffer.from([0x51, 0, 0, 1])]];   // of a message
  for (const ending of ['end', 'destroy', 'terminate']) {
    for (const messages of ending === 'terminate' ? left : [...left, ...half]) {
      const wire = await through();
      wire.send(...messages);
      await new Promise(setImmediate);
      if (ending === 'terminate') wire.send(X); else wire.socket[ending]();
      wire.socket.resume();
    }
    await until(() => clusters[1].sql(`select count(*) from pg_stat_activity where usename = 'app' and application_name = 'same'`) === '0', `nothing is left after ${ending}`, 10_000);
  }
});
test('so much was compared', () => {
  console.log(counts);
  assert.ok(counts.sessions >= 1000 && counts.messages > 500_000);
});
