// `sallyport mcp stdio TARGET`, as clients start it that know nothing but commands.
import test, { before, after } from 'node:test';
import assert from 'node:assert/strict';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { spawn } from 'node:child_process';
import * as t from '@modelcontextprotocol/sdk/types.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import * as v2 from '@modelcontextprotocol/client';
import { StdioClientTransport as StdioClientTransport2 } from '@modelcontextprotocol/client/stdio';
import { startTickets } from '../fixtures/tickets_server.mjs';
import { Gateway, ROOT, SALLYPORT, until } from '../lib/gateway.mjs';

const POLICY = `
- { id: engineers, allow: { who: "group:engineers", target: { env: prod }, when: 'mcp.tool != "delete_everything"' } }
- { id: writes, approve: { who: "group:engineers", target: { env: prod }, when: 'mcp.tool == "write_ticket"', by: "group:leads", quorum: 1, hold: 20s, valid: 30m } }
- { id: pii, mask: { target: { env: prod }, detect: [email], with: partial } }
`;
let gateway, tickets, alice, bob;
before(async () => {
  tickets = await startTickets();
  gateway = new Gateway({
    policy: POLICY,  // with TLS and its self-made certificate
    targets: {
      tickets: { url: tickets.url, extra: 'server_requests: [sampling, elicitation, roots]' },
      stdio: { command: [process.execPath, path.join(ROOT, 'tests/fixtures/stdio_server.mjs')], extra: 'server_requests: [sampling]' },
    },
  });
  await gateway.start();
  [alice, bob] = [await gateway.token('alice'), await gateway.token('bob')];
});
after(async () => {
  assert.equal(await gateway.stop(), 0);
  await tickets.close();
  const { code, out } = gateway.verify();
  assert.equal(code, 0, out);
});

const environment = token => ({ PATH: process.env.PATH, SALLYPORT_MCP_URL: `https://${gateway.mcp}`, SALLYPORT_CA: gateway.ca, SALLYPORT_TOKEN: token });
const parameters = (target, token) => ({ command: SALLYPORT, args: ['mcp', 'stdio', target], env: environment(token), stderr: 'pipe' });
async function connected(target, token, { capabilities = {}, setup } = {}) {
  const client = new Client({ name: 'starter', version: '1' }, { capabilities });
  setup?.(client);
  await client.connect(new StdioClientTransport(parameters(target, token)));
  return client;
}
const text = async (client, name, args = {}, options) => (await client.callTool({ name, arguments: args }, undefined, options)).content[0].text;
/** The command by hand: lines in, lines out. */
function by_hand(target, token, env = {}) {
  const child = spawn(SALLYPORT, ['mcp', 'stdio', target], { env: { ...environment(token), ...env } });
  const lines = [], out = { child, lines, errors: '' };
  createInterface({ input: child.stdout }).on('line', line => lines.push(JSON.parse(line)));
  child.stderr.on('data', data => { out.errors += data; });
  out.say = message => child.stdin.write((typeof message === 'string' ? message : JSON.stringify({ jsonrpc: '2.0', ...message })) + '\n');
  out.answer = id => until(() => lines.find(line => line.id === id && !line.method), `an answer to ${id}: ${out.errors}`);
  out.begin = async () => {
    out.say({ id: 0, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'hand', version: '1' } } });
    const answer = await out.answer(0);
    out.say({ method: 'notifications/initialized' });
    return answer;
  };
  return out;
}

for (const target of ['tickets', 'stdio']) {
  test(`the SDK's client starts the command and reaches ${target}`, async () => {
    const client = await connected(target, alice);
    assert.ok((await client.listTools()).tools.length > 3);
    await client.ping();
    await client.close();
  });
}

test('the newer SDK’s client, too', async () => {
  const client = new v2.Client({ name: 'starter2', version: '1' });
  await client.connect(new StdioClientTransport2(parameters('stdio', alice)));
  assert.equal((await client.callTool({ name: 'echo', arguments: { text: 'v2' } })).content[0].text, 'v2');
  await client.close();
});

test('the newer SDK’s client in the newer era', async () => {
  for (const target of ['stdio', 'tickets']) {
    const client = new v2.Client({ name: 'starter2', version: '1' }, { versionNegotiation: { mode: 'auto' } });
    await client.connect(new StdioClientTransport2(parameters(target, alice)));
    assert.equal(client.getNegotiatedProtocolVersion(), '2026-07-28', target);
    assert.ok((await client.listTools()).tools.length > 3);
    assert.ok((await client.callTool({ name: target === 'stdio' ? 'echo' : 'read_ticket', arguments: { text: 'x', id: 1 } })).content[0].text);
    const stop = new AbortController();
    const slow = client.callTool({ name: target === 'stdio' ? 'hang' : 'slow', arguments: { ms: 20_000 } }, { signal: stop.signal });
    setTimeout(() => stop.abort(), 50);
    await assert.rejects(slow);
    await client.close();
  }
});

test('several calls at once, progress, a cancelled one, masking and denials', async () => {
  const client = await connected('tickets', alice);
  const steps = [];
  const slow = text(client, 'slow', { ms: 400, steps: 4 }, { onprogress: p => steps.push(p.progress) });
  assert.match(await text(client, 'read_ticket', { id: 1 }), /j\*+@/);
  assert.equal(await slow, 'done');
  assert.deepEqual(steps, [1, 2, 3, 4]);
  const stop = new AbortController();
  const cancelled = client.callTool({ name: 'slow', arguments: { ms: 20_000 } }, undefined, { signal: stop.signal });
  setImmediate(() => stop.abort());
  await assert.rejects(cancelled);
  const hidden = await client.callTool({ name: 'delete_everything', arguments: {} }).catch(error => error);
  assert.ok(hidden instanceof Error || hidden.isError);
  assert.ok((await Promise.all([...Array(30).keys()].map(() => text(client, 'run_command', { command: 'x' })))).every(one => one === 'ran x'));
  await client.close();
});

test('the server’s requests and notifications reach the client', async () => {
  let changed = 0;
  const client = await connected('stdio', alice, {
    capabilities: { sampling: {} },
    setup: c => {
      c.setRequestHandler(t.CreateMessageRequestSchema, () => ({ model: 'm', role: 'assistant', content: { type: 'text', text: 'sampled' } }));
      c.setNotificationHandler(t.ToolListChangedNotificationSchema, () => { ++changed; });
    },
  });
  assert.match(await text(client, 'ask'), /sampled/);
  await text(client, 'changed');
  await until(() => changed === 1, 'the notification');
  await client.close();
});

test('a held call waits and runs once it is approved', async () => {
  const client = await connected('tickets', alice);
  const call = client.callTool({ name: 'write_ticket', arguments: { id: 3, text: 'x' } });
  const request = await until(async () => JSON.parse((await gateway.run(['requests', '--json'], { token: bob })).out || '[]')[0], 'a request');
  await gateway.run(['approve', request.id, '--reason', 'fine'], { token: bob });
  assert.match((await call).content[0].text, /ticket 3 says/);
  await client.close();
});

test('stdout is protocol only, and the end of stdin ends the session', async () => {
  const one = by_hand('stdio', alice);
  assert.equal((await one.begin()).result.serverInfo.name, 'stdio');
  one.say('this is no JSON');
  await until(() => one.lines.some(line => line.error?.code === -32700), 'a parse error');
  one.say('[]');
  await until(() => one.lines.filter(line => line.error?.code === -32700).length === 2, 'no object');
  one.say('');
  one.say({ id: 'last', method: 'tools/call', params: { name: 'echo', arguments: { text: 'bye' } } });
  const closes = gateway.entries('session.close').length;
  one.child.stdin.end();
  const [code] = await once(one.child, 'close');
  assert.equal(code, 0);
  assert.ok(one.lines.some(line => line.id === 'last' && line.result.content[0].text === 'bye'), 'what was asked is answered before the end');
  await until(() => gateway.entries('session.close').length > closes, 'the session is deleted');
});

test('SIGTERM ends the session at once', async () => {
  const one = by_hand('stdio', alice);
  await one.begin();
  one.say({ id: 1, method: 'tools/call', params: { name: 'hang', arguments: {} } });
  await until(() => gateway.entries('command').some(entry => JSON.stringify(entry).includes('hang')), 'it runs');
  const closes = gateway.entries('session.close').length;
  one.child.kill('SIGTERM');
  assert.equal((await once(one.child, 'exit'))[0], 0);
  await until(() => gateway.entries('session.close').length > closes, 'the session is deleted');
});

test('a session that was lost is an error to the client, and it may begin anew', async () => {
  const agent = await gateway.token('alice', ['--agent', 'loser']);
  const one = by_hand('stdio', agent);
  await one.begin();
  one.say({ id: 1, method: 'tools/call', params: { name: 'die', arguments: {} } });
  assert.match((await one.answer(1)).error.message, /exit status 7/);
  one.say({ id: 2, method: 'tools/list' });
  assert.match((await one.answer(2)).error.message, /session is lost|initialize/);
  one.say({ id: 3, method: 'tools/list' });
  assert.ok((await one.answer(3)).error, 'and so is every request after it');
  one.say({ id: 4, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'hand', version: '1' } } });
  assert.ok((await one.answer(4)).result);
  one.say({ id: 5, method: 'tools/list' });
  assert.ok((await one.answer(5)).result);
  one.child.stdin.end();
  await once(one.child, 'close');
});

test('no token, a wrong one, no gateway: said on stderr or as an error, never on stdout', async () => {
  const wrong = by_hand('stdio', 'sp_wrong');
  assert.match((await wrong.begin()).error.message, /sallyport login/);
  wrong.child.stdin.end();
  await once(wrong.child, 'close');
  const none = by_hand('stdio', '', { HOME: '/nowhere' });
  assert.equal((await once(none.child, 'exit'))[0], 4);
  assert.match(none.errors, /not signed in/);
  const gone = by_hand('stdio', alice, { SALLYPORT_MCP_URL: 'https://127.0.0.1:1' });
  assert.match((await gone.begin()).error.message, /cannot be reached/);
  gone.child.stdin.end();
  await once(gone.child, 'close');
  const clear = by_hand('stdio', alice, { SALLYPORT_MCP_URL: 'http://gw.example' });
  assert.equal((await once(clear.child, 'exit'))[0], 2);
  assert.match(clear.errors, /loopback/);
  for (const one of [none, clear]) assert.deepEqual(one.lines, []);
});
