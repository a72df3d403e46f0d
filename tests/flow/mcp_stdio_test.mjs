// MCP servers that are processes of the gateway: who shares one, what becomes of ids, and that none is left behind.
import test, { before, after } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import * as t from '@modelcontextprotocol/sdk/types.js';
import * as v2 from '@modelcontextprotocol/client';
import { Gateway, ROOT, until } from '../lib/gateway.mjs';

const NODE = process.execPath;
const SERVER = path.join(ROOT, 'tests/fixtures/stdio_server.mjs');
const bin = name => path.join(ROOT, 'tests/node_modules/@modelcontextprotocol', name, 'dist/index.js');
const POLICY = `
- { id: engineers, allow: { who: "group:engineers", target: { env: prod } } }
- { id: no-die-here, block: { when: 'mcp.tool == "forbidden"' } }
- { id: pii, mask: { target: { data: pii }, detect: [email], with: partial } }
`;
const stdio = (extra, ...args) => ({ command: [NODE, SERVER, ...args], extra });
let gateway, alice, erin;
before(async () => {
  gateway = new Gateway({
    tls: false, policy: POLICY, users: { alice: ['engineers'], erin: ['engineers'] }, more: { gateway: 'workers: 1' },
    env: { SECRET_OF_THE_GATEWAY: 'no', KEY_FOR_SERVER: 'hunter2hunter2' },
    targets: {
      own: stdio('env: { HOME: /nowhere, KEY: { env: KEY_FOR_SERVER } }, timeout: 20s, server_requests: [sampling, roots, elicitation]'),
      masked: { ...stdio('timeout: 20s'), labels: { env: 'prod', data: 'pii' } },
      alone: stdio('pool: session'),
      shared: stdio('pool: shared'),
      few: stdio('pool: session, limits: { instances: 2 }'),
      brief: stdio('idle: 0s'),
      stubborn: stdio('pool: session', '--stay'),
      broken: stdio('', '--fail'),
      modern: stdio('timeout: 20s', '--modern'),
      known: stdio('timeout: 20s, era: modern', '--modern'),
      missing: { command: ['/nowhere/server'] },
      everything: { command: [NODE, bin('server-everything'), 'stdio'], extra: 'server_requests: [sampling, roots, elicitation]' },
      memory: { command: [NODE, bin('server-memory')], extra: `env: { MEMORY_FILE_PATH: ${path.join(fs.mkdtempSync('/tmp/sallyport-memory-'), 'memory.jsonl')} }` },
    },
  });
  await gateway.start();
  [alice, erin] = [await gateway.token('alice'), await gateway.token('erin')];
});
after(async () => {
  const pids = children();
  assert.ok(pids.length > 0, 'processes are still pooled');
  assert.equal(await gateway.stop(), 0);
  assert.deepEqual(pids.filter(alive), [], 'no process outlives the gateway');
  const { code, out } = gateway.verify();
  assert.equal(code, 0, out);
});

const stat = pid => { try { return fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' '); } catch { return null; } };
const alive = pid => { const s = stat(pid); return s !== null && s[0] !== 'Z'; };
/** The gateway's children but the notary: zombies too. */
const children = () => fs.readdirSync('/proc').filter(pid => /^\d+$/.test(pid) && stat(pid)?.[1] === String(gateway.pid) && !fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('notary')).map(Number);
const call = async (client, name, args = {}, options = {}) => {
  const result = await client.callTool({ name, arguments: args }, undefined, options);
  const body = result.content[0].text;
  try { return JSON.parse(body); } catch { return body; }
};
const metric = async name => Number((await gateway.get('/metrics', { token: alice })).body.match(new RegExp(`^${name}\\{[^}]*\\} (\\S+)$`, 'm'))?.[1]);

test('a call reaches the process and its answer comes back, masked and recorded', async () => {
  const client = await gateway.client('masked', alice);
  assert.equal(await call(client, 'echo', { text: 'write to carol@corp.example' }), 'write to c***@***');
  const { tools } = await client.listTools();
  assert.ok(tools.some(tool => tool.name === 'echo'));
  await assert.rejects(() => client.callTool({ name: 'forbidden', arguments: {} }), /.*/);
  assert.ok(gateway.entries('command').some(entry => JSON.stringify(entry).includes('echo')));
  await client.close();
});

test('the process gets the environment of the configuration and nothing of the gateway’s', async () => {
  const client = await gateway.client('own', alice);
  const { env, cwd, uid } = await call(client, 'where');
  assert.deepEqual(env, { HOME: '/nowhere', KEY: 'hunter2hunter2', PATH: env.PATH });
  assert.equal(cwd, '/');
  assert.equal(uid, process.getuid());
  await client.close();
});

test('sessions of one person and agent share a process; another person or agent has another', async () => {
  const one = await gateway.client('own', alice), two = await gateway.client('own', alice);
  const bot = await gateway.client('own', await gateway.token('alice', ['--agent', 'bot'])), other = await gateway.client('own', erin);
  const [a, b, c, d] = [await call(one, 'where'), await call(two, 'where'), await call(bot, 'where'), await call(other, 'where')];
  assert.equal(a.pid, b.pid);
  assert.equal(b.initialized, 1, 'the server was initialized once');
  assert.equal(new Set([a.pid, c.pid, d.pid]).size, 3);
  await call(one, 'remember', { note: 'n' });
  assert.deepEqual(await call(two, 'remember', { note: 'm' }), ['n', 'm']);
  assert.deepEqual(await call(other, 'remember', { note: 'x' }), ['x']);
  await Promise.all([one, two, bot, other].map(client => client.close()));
});

test('clients with other capabilities have a process of their own', async () => {
  const plain = await gateway.client('own', alice), able = await gateway.client('own', alice, { capabilities: { roots: { listChanged: true } } });
  assert.notEqual((await call(plain, 'where')).pid, (await call(able, 'where')).pid);
  await plain.close();
  await able.close();
});

test('a shared process serves all; a session’s own one serves it alone and ends with it', async () => {
  const [a, b] = [await gateway.client('shared', alice), await gateway.client('shared', erin)];
  assert.equal((await call(a, 'where')).pid, (await call(b, 'where')).pid);
  const [c, d] = [await gateway.client('alone', alice), await gateway.client('alone', alice)];
  const [pid, other] = [(await call(c, 'where')).pid, (await call(d, 'where')).pid];
  assert.notEqual(pid, other);
  await c.transport.terminateSession();
  await until(() => !stat(pid), 'the process of the session that ended is gone, and no zombie');
  assert.ok(alive(other));
  await d.transport.terminateSession();
  await Promise.all([a, b, c, d].map(client => client.close()));
});

test('many calls at once get each their own answer, though their ids are alike', async () => {
  const clients = await Promise.all([0, 1, 2, 3].map(i => gateway.client('shared', i % 2 ? alice : erin)));
  const answers = await Promise.all(clients.flatMap((client, c) => [...Array(25).keys()].map(async i => [await call(client, 'echo', { text: `${c}/${i}` }), `${c}/${i}`])));
  for (const [got, wanted] of answers) assert.equal(got, wanted);
  await Promise.all(clients.map(client => client.close()));
});

test('progress goes to the call it belongs to, under the client’s own token', async () => {
  const [one, two] = [await gateway.client('shared', alice), await gateway.client('shared', erin)];
  const seen = [[], []];
  const results = await Promise.all([call(one, 'progress', { steps: 3 }, { onprogress: p => seen[0].push(p.progress) }), call(two, 'progress', { steps: 5 }, { onprogress: p => seen[1].push(p.progress) })]);
  assert.deepEqual(seen, [[1, 2, 3], [1, 2, 3, 4, 5]]);
  assert.notEqual(results[0], results[1], 'the server sees two tokens');
  await one.close();
  await two.close();
});

test('the server’s requests reach the client that made the only call, and its answer comes back', async () => {
  const setup = client => client.setRequestHandler(t.CreateMessageRequestSchema, () => ({ model: 'm', role: 'assistant', content: { type: 'text', text: 'world' } }));
  const client = await gateway.client('own', erin, { capabilities: { sampling: {} }, setup });
  const other = await gateway.client('own', erin, { capabilities: { sampling: {} }, setup: c => c.setRequestHandler(t.CreateMessageRequestSchema, () => { throw new Error('not mine'); }) });
  assert.equal((await call(other, 'where')).pid, (await call(client, 'where')).pid);
  assert.equal((await call(client, 'ask')).content.text, 'world');
  await client.close();
  await other.close();
});

test('what a shared server says to nobody in particular is not shown to strangers', async () => {
  const heard = [[], []];
  const listen = index => client => client.setNotificationHandler(t.LoggingMessageNotificationSchema, note => heard[index].push(note.params.data));
  const changed = [0, 0];
  const [a, b] = [await gateway.client('shared', alice, { setup: listen(0) }), await gateway.client('shared', erin, { setup: listen(1) })];
  [a, b].forEach((client, i) => client.setNotificationHandler(t.ToolListChangedNotificationSchema, () => { ++changed[i]; }));
  assert.equal(await call(a, 'log', { text: 'of alice' }), 'logged');
  assert.deepEqual(heard, [['of alice'], []]);
  await call(b, 'changed');
  await until(() => changed[0] === 1 && changed[1] === 1, 'both hear that the tools changed');
  await a.close();
  await b.close();
});

test('a call that is taken back is cancelled at the server under the id it knows', async () => {
  const client = await gateway.client('alone', alice);
  const stop = new AbortController();
  const hanging = client.callTool({ name: 'hang', arguments: {} }, undefined, { signal: stop.signal });
  await until(async () => (await call(client, 'where')).calls >= 2, 'it hangs');
  stop.abort();
  await assert.rejects(hanging);
  await until(async () => (await call(client, 'where')).cancelled.includes(true), 'the server has been told');
  await client.transport.terminateSession();
  await client.close();
});

test('lines that are no messages and a flood on stderr harm nobody', async () => {
  const client = await gateway.client('own', alice);
  assert.equal(await call(client, 'chatter'), 'quiet again');
  assert.equal(await call(client, 'flood', { lines: 20_000 }), 'flooded');
  assert.equal(await call(client, 'echo', { text: 'still here' }), 'still here');
  assert.match(gateway.child.errors, /target own \(process \d+\): on stdout, no message: this is no message/);
  assert.ok(gateway.child.errors.split('complaint').length < 500, 'the log is kept short');
  await client.close();
});

test('a process that dies fails what runs, with how it ended; its session is over and the next one gets a new process', async () => {
  const client = await gateway.client('own', erin);
  const before = await call(client, 'where');
  const hanging = client.callTool({ name: 'hang', arguments: {} });
  await Promise.all([
    assert.rejects(client.callTool({ name: 'die', arguments: { why: 'no disk, key hunter2hunter2', code: 7 } }), /ended with exit status 7; its last words: dying: no disk, key \*\*\*/),
    assert.rejects(hanging, /exit status 7/),
  ]);
  const answer = await gateway.mcpPost('own', { jsonrpc: '2.0', id: 1, method: 'tools/list' }, { token: erin, session: client.transport.sessionId });
  assert.equal(answer.status, 404, 'the client has to begin anew');
  assert.equal(stat(before.pid), null, 'reaped');
  const again = await gateway.client('own', erin);
  const now = await call(again, 'where');
  assert.notEqual(now.pid, before.pid);
  assert.deepEqual(now.notes, []);
  await again.close();
  await client.close();
});

test('kill -9 in the middle of a call is an error to the caller, and what it started is gone too', async () => {
  const client = await gateway.client('alone', erin);
  const { pid } = await call(client, 'where'), child = (await call(client, 'child')).pid;
  assert.ok(alive(child));
  const hanging = client.callTool({ name: 'hang', arguments: {} });
  await until(async () => (await call(client, 'where')).calls >= 4, 'it hangs');
  process.kill(pid, 'SIGKILL');
  await assert.rejects(hanging, /ended by signal 9/);
  await until(() => !alive(child) && !stat(pid), 'its child and it');
  await client.close();
});

test('a server that ends again and again is started less and less often', async () => {
  const failures = [];
  for (let i = 0; i < 4; ++i) failures.push(await gateway.client('broken', alice).then(() => 'connected', error => error.message));
  assert.match(failures[0], /cannot open the database|exit status 3/);
  assert.match(failures.at(-1), /ended \d+ times in a row and is started again in \d+ ms; last: .*exit status 3; its last words: cannot open the database/);
  assert.ok(await metric('sallyport_target_processes_died_total') >= 2);
});

test('a program that is not there is an error that says so', async () => {
  await assert.rejects(gateway.client('missing', alice), /the program \/nowhere\/server cannot be run: No such file/);
});

test('a server that refuses initialize is ended', async () => {
  const running = children().length;
  const answer = await gateway.mcpPost('brief', { jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'unwanted', version: '1' } } }, { token: alice });
  assert.match(answer.body, /not you/);
  await until(() => children().length <= running, 'its process is gone');
});

test('a process that nobody uses ends after its idle time', async () => {
  const client = await gateway.client('brief', alice);
  const { pid } = await call(client, 'where');
  await client.transport.terminateSession();
  await until(() => !stat(pid), 'it is gone');
  await client.close();
});

test('there are no more processes than the limit says', async () => {
  const [a, b] = [await gateway.client('few', alice), await gateway.client('few', erin)];
  await assert.rejects(gateway.client('few', alice), /2 processes of few already/);
  await Promise.all([a, b].map(client => client.transport.terminateSession()));
  await Promise.all([a, b].map(client => client.close()));
});

test('a process that does not go when asked is killed', async () => {
  const client = await gateway.client('stubborn', alice);
  const { pid } = await call(client, 'where');
  await client.transport.terminateSession();
  await until(() => !stat(pid), 'it is gone', 15_000);
  await client.close();
});

test('a hundred sessions leave no process', async () => {
  const before = new Set(children());
  for (let round = 0; round < 10; ++round) {
    const clients = await Promise.all([...Array(10)].map(() => gateway.client('alone', alice)));
    assert.equal(new Set((await Promise.all(clients.map(client => call(client, 'where')))).map(one => one.pid)).size, 10);
    await Promise.all(clients.map(async client => { await client.transport.terminateSession(); await client.close(); }));
  }
  await until(() => children().every(pid => before.has(pid)), 'all are gone');
});

test('server-everything works as over HTTP: progress, sampling, logging, roots', async () => {
  const client = await gateway.client('everything', alice, {
    capabilities: { sampling: {}, roots: { listChanged: true }, elicitation: { form: {} } },
    setup: c => {
      c.setRequestHandler(t.CreateMessageRequestSchema, () => ({ model: 'm', role: 'assistant', content: { type: 'text', text: 'sampled' } }));
      c.setRequestHandler(t.ListRootsRequestSchema, () => ({ roots: [{ uri: 'file:///srv', name: 'srv' }] }));
    },
  });
  const { tools } = await client.listTools();
  assert.ok(tools.length >= 10, `${tools.length} tools`);
  assert.match((await client.callTool({ name: 'echo', arguments: { message: 'hi' } })).content[0].text, /hi/);
  const steps = [];
  const long = tools.find(tool => /long/.test(tool.name)).name;
  await client.callTool({ name: long, arguments: { duration: 0.5, steps: 5 } }, undefined, { onprogress: p => steps.push(p.progress) });
  assert.deepEqual(steps, [1, 2, 3, 4, 5]);
  const sampling = tools.find(tool => /sampling/.test(tool.name));
  if (sampling) assert.match(JSON.stringify(await client.callTool({ name: sampling.name, arguments: { prompt: 'x', maxTokens: 5 } })), /sampled/);
  assert.ok((await client.listResources()).resources.length > 0);
  assert.ok((await client.listPrompts()).prompts.length > 0);
  await client.close();
});

test('server-memory keeps what one session wrote for the next one of the same person', async () => {
  const one = await gateway.client('memory', alice);
  await one.callTool({ name: 'create_entities', arguments: { entities: [{ name: 'gate', entityType: 'door', observations: ['guarded'] }] } });
  await one.transport.terminateSession();
  await one.close();
  const two = await gateway.client('memory', alice);
  assert.match(JSON.stringify(await two.callTool({ name: 'read_graph', arguments: {} })), /guarded/);
  await two.close();
});

test('a reload with another command serves new sessions with it, and leaves the running ones alone', async () => {
  const old = await gateway.client('own', alice);
  const { pid } = await call(old, 'where');
  gateway.change({ targets: { ...gateway.options.targets, own: stdio('env: { NEW: new }') } });
  assert.equal((await gateway.reload()).event, 'reloaded');
  const fresh = await gateway.client('own', alice);
  const now = await call(fresh, 'where');
  assert.equal(now.env.NEW, 'new');
  assert.notEqual(now.pid, pid);
  assert.equal((await call(old, 'where')).pid, pid);
  await old.close();
  await fresh.close();
});

test('a process that stops reading stalls nobody else', async () => {
  const [deaf, other] = [await gateway.client('alone', alice), await gateway.client('alone', erin)];
  assert.equal(await call(deaf, 'deaf'), 'no longer listening');
  const stuck = [...Array(8)].map(() => deaf.callTool({ name: 'echo', arguments: { text: 'x'.repeat(500_000) } }).catch(error => error));
  assert.equal(await call(other, 'echo', { text: 'swift' }), 'swift');
  await deaf.transport.terminateSession();
  for (const answer of await Promise.all(stuck)) assert.ok(answer instanceof Error);
  await deaf.close();
  await other.close();
});

/** A client of the newer SDK that speaks the newer era where it can. */
async function newer(target, token) {
  const client = new v2.Client({ name: 'newer', version: '1' }, { capabilities: {}, versionNegotiation: { mode: 'auto' } });
  await client.connect(new v2.StreamableHTTPClientTransport(new URL(gateway.url(target)), { requestInit: { headers: { Authorization: `Bearer ${token}` } } }));
  return client;
}
for (const target of ['own', 'modern', 'known']) {
  test(`clients of both eras reach ${target}`, async () => {
    for (const client of [await newer(target, alice), await gateway.client(target, alice)]) {
      assert.ok((await client.listTools()).tools.some(tool => tool.name === 'echo'));
      const answers = await Promise.all([...Array(10).keys()].map(async i => (await client.callTool({ name: 'echo', arguments: { text: `n${i}` } })).content[0].text));
      assert.deepEqual(answers, [...Array(10).keys()].map(i => `n${i}`));
      await client.close();
    }
  });
}

test('a modern client that goes away has its call cancelled at the server, in words', async () => {
  const client = await newer('known', erin);
  const stop = new AbortController();
  const hanging = client.callTool({ name: 'hang', arguments: {} }, { signal: stop.signal });
  const where = async () => JSON.parse((await client.callTool({ name: 'where', arguments: {} })).content[0].text);
  await until(async () => (await where()).calls >= 2, 'it hangs');
  stop.abort();
  await assert.rejects(hanging);
  await until(async () => (await where()).cancelled.includes(true), 'the server has been told');
  await client.close();
});
