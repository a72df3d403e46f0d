// The transport of revision 2024-11-05 on both sides: HTTP+SSE servers behind the gateway, HTTP+SSE clients in front of it.
import test, { before, after } from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { once } from 'node:events';
import * as t from '@modelcontextprotocol/sdk/types.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import * as v2 from '@modelcontextprotocol/client';
import { startSse } from '../fixtures/sse_server.mjs';
import { startTickets } from '../fixtures/tickets_server.mjs';
import { Gateway, ROOT, start, until } from '../lib/gateway.mjs';

const POLICY = `
- { id: engineers, allow: { who: "group:engineers", target: { env: prod } } }
- { id: no-hang, block: { when: 'mcp.tool == "forbidden"' } }
- { id: writes, approve: { who: "group:engineers", target: { env: prod }, when: 'mcp.tool == "write_ticket"', by: "group:leads", quorum: 1, hold: 20s, valid: 30m } }
- { id: pii, mask: { target: { env: prod }, detect: [email], with: partial } }
`;
let gateway, sse, odd, elsewhere, tickets, everything, alice, bob, erin;
const stray = [];
before(async () => {
  elsewhere = http.createServer((request, response) => { stray.push(request.headers); response.end(); }).listen(0, '127.0.0.1');
  await once(elsewhere, 'listening');
  sse = await startSse();
  odd = await startSse({ endpoint: `http://127.0.0.1:${elsewhere.address().port}/steal` });
  tickets = await startTickets();
  const free = net.createServer().listen(0, '127.0.0.1');
  await once(free, 'listening');
  const { port } = free.address();
  free.close();
  everything = start(process.execPath, [path.join(ROOT, 'tests/node_modules/@modelcontextprotocol/server-everything/dist/index.js'), 'sse'], { env: { ...process.env, PORT: String(port) } });
  await until(() => everything.errors.includes('is running'), 'server-everything');
  gateway = new Gateway({
    tls: false, policy: POLICY, users: { alice: ['engineers'], bob: ['leads'], erin: ['engineers'] }, more: { gateway: 'workers: 2' },
    targets: {
      plain: { url: sse.url, extra: 'transport: sse, server_requests: [sampling], timeout: 20s' },
      found: { url: sse.url, extra: 'server_requests: [sampling], timeout: 20s' },
      http: { url: sse.url, extra: 'transport: http' },
      odd: { url: odd.url, extra: 'timeout: 5s' },
      tickets: { url: tickets.url, extra: 'server_requests: [sampling, elicitation, roots]' },
      everything: { url: `http://127.0.0.1:${port}/sse`, extra: 'server_requests: [sampling, elicitation, roots]' },
      stdio: { command: [process.execPath, path.join(ROOT, 'tests/fixtures/stdio_server.mjs')], extra: 'server_requests: [sampling]' },
    },
  });
  await gateway.start();
  [alice, bob, erin] = [await gateway.token('alice'), await gateway.token('bob'), await gateway.token('erin')];
});
after(async () => {
  assert.equal(await gateway.stop(), 0);
  await Promise.all([sse.close(), odd.close(), tickets.close(), new Promise(resolve => elsewhere.close(resolve))]);
  everything.kill();
  const { code, out } = gateway.verify();
  assert.equal(code, 0, out);
});

const text = async (client, name, args = {}, options) => (await client.callTool({ name, arguments: args }, undefined, options)).content[0].text;
/** The SDK's client of the old transport, connected. */
async function old(target, token, { capabilities = {}, setup } = {}) {
  const client = new Client({ name: 'old', version: '1' }, { capabilities });
  setup?.(client);
  await client.connect(new SSEClientTransport(new URL(gateway.url(target) + '/sse'), { requestInit: { headers: { Authorization: `Bearer ${token}` } } }));
  return client;
}
/** A stream by hand: events as they come. */
async function stream(target, token) {
  const request = http.get(gateway.url(target) + '/sse', { headers: { authorization: `Bearer ${token}`, accept: 'text/event-stream' } });
  const [response] = await once(request, 'response');
  const out = { status: response.statusCode, events: [], end: () => request.destroy(), closed: new Promise(resolve => response.once('close', resolve)) };
  let rest = '';
  response.on('error', () => {});
  request.on('error', () => {});
  response.on('data', data => {
    rest += data;
    for (let at; (at = rest.indexOf('\n\n')) >= 0; rest = rest.slice(at + 2)) {
      const lines = rest.slice(0, at).split('\n');
      const field = name => lines.find(line => line.startsWith(name))?.slice(name.length);
      if (field('data: ')) out.events.push({ event: field('event: '), data: field('data: ') });
    }
  });
  if (out.status === 200) {
    await until(() => out.events.length > 0, 'the endpoint');
    out.post = (message, by = token, where = out.events[0].data) => gateway.http('POST', `http://${gateway.mcp}${where}`, { token: by, body: JSON.stringify(message), headers: { 'content-type': 'application/json' } });
    out.answer = async id => JSON.parse((await until(() => out.events.find(e => e.event === 'message' && JSON.parse(e.data).id === id), `an answer to ${id}`)).data);
  }
  return out;
}
const initialize = (version = '2024-11-05') => ({ jsonrpc: '2.0', id: 0, method: 'initialize', params: { protocolVersion: version, capabilities: {}, clientInfo: { name: 'raw', version: '1' } } });

for (const [target, how] of [['plain', 'configured'], ['found', 'found out, for it does not take a POST']]) {
  test(`an HTTP+SSE server, ${how}: calls, progress, masking, its requests`, async () => {
    const client = await gateway.client(target, alice, {
      capabilities: { sampling: {} }, setup: c => c.setRequestHandler(t.CreateMessageRequestSchema, () => ({ model: 'm', role: 'assistant', content: { type: 'text', text: 'sampled' } })),
    });
    assert.equal(await text(client, 'echo', { text: 'to carol@corp.example' }), 'to c***@***');
    const steps = [];
    assert.equal(await text(client, 'progress', {}, { onprogress: p => steps.push(p.progress) }), 'done');
    assert.deepEqual(steps, [1, 2, 3]);
    assert.equal(await text(client, 'sample'), 'sampled');
    const answers = await Promise.all([...Array(20).keys()].map(i => text(client, 'echo', { text: `n${i}` })));
    assert.deepEqual(answers, [...Array(20).keys()].map(i => `n${i}`));
    const { headers } = sse.requests.at(-1);
    assert.equal(headers.authorization, 'Bearer upstream-secret');
    assert.ok(headers['x-sallyport-request']);
    await client.transport.terminateSession();
    await client.close();
    await until(() => sse.streams.size === 0, 'the stream to the server is closed with the session');
  });
}

test('transport: http does not fall back', async () => {
  await assert.rejects(gateway.client('http', alice), /405/);
});

test('an address for messages on another server is refused, and nothing goes there', async () => {
  await assert.rejects(gateway.client('odd', alice), /405|address that cannot be used/);
  assert.deepEqual(stray, []);
});

test('when the server’s stream ends, what runs fails and the session is lost', async () => {
  const client = await gateway.client('plain', alice);
  const hanging = client.callTool({ name: 'hang', arguments: {} });
  await assert.rejects(Promise.all([hanging, client.callTool({ name: 'cut', arguments: {} })]), /ended its event stream|cut short/);
  await assert.rejects(hanging, /ended its event stream|cut short/);
  const answer = await gateway.mcpPost('plain', { jsonrpc: '2.0', id: 1, method: 'tools/list' }, { token: alice, session: client.transport.sessionId });
  assert.equal(answer.status, 404);
  await client.close();
});

test('server-everything over HTTP+SSE', async () => {
  const client = await gateway.client('everything', alice, { capabilities: { roots: {} }, setup: c => c.setRequestHandler(t.ListRootsRequestSchema, () => ({ roots: [] })) });
  assert.ok((await client.listTools()).tools.length > 5);
  assert.match(await text(client, 'echo', { message: 'hi' }), /hi/);
  await client.close();
});

for (const target of ['plain', 'tickets', 'stdio', 'everything']) {
  test(`an HTTP+SSE client reaches ${target}`, async () => {
    const client = await old(target, alice);
    const { tools } = await client.listTools();
    assert.ok(tools.length > 0);
    if (target !== 'tickets') assert.match(await text(client, 'echo', { text: 'hello', message: 'hello' }), /hello/);
    await client.close();
  });
}

test('an HTTP+SSE client of the newer SDK, too', async () => {
  const client = new v2.Client({ name: 'old2', version: '1' });
  await client.connect(new v2.SSEClientTransport(new URL(gateway.url('stdio') + '/sse'), { requestInit: { headers: { Authorization: `Bearer ${alice}` } } }));
  assert.equal((await client.callTool({ name: 'echo', arguments: { text: 'v2' } })).content[0].text, 'v2');
  await client.close();
});

test('a denial and a masked answer come on the stream; the server’s requests and notifications too', async () => {
  const heard = [];
  const client = await old('stdio', alice, {
    capabilities: { sampling: {} },
    setup: c => {
      c.setRequestHandler(t.CreateMessageRequestSchema, () => ({ model: 'm', role: 'assistant', content: { type: 'text', text: 'over sse' } }));
      c.setNotificationHandler(t.ToolListChangedNotificationSchema, () => heard.push('changed'));
    },
  });
  assert.equal(await text(client, 'echo', { text: 'carol@corp.example' }), 'c***@***');
  const denied = await client.callTool({ name: 'forbidden', arguments: {} }).catch(error => error);
  assert.ok(denied.isError || denied instanceof Error);
  assert.match(await text(client, 'ask'), /over sse/);
  await text(client, 'changed');
  await until(() => heard.length === 1, 'the notification');
  await client.close();
});

test('a held call waits on the stream and runs once it is approved', async () => {
  const client = await old('tickets', alice);
  const call = client.callTool({ name: "write_ticket", arguments: { id: 1, text: "x" } });
  const request = await until(async () => JSON.parse((await gateway.run(['requests', '--json'], { token: bob })).out || '[]')[0], 'a request');
  await gateway.run(['approve', request.id, '--reason', 'fine'], { token: bob });
  assert.ok(!(await call).isError);
  await client.close();
});

test('revision 2024-11-05 is spoken; a POST is 202 and its answer an event', async () => {
  const one = await stream('stdio', alice);
  assert.equal(one.events[0].event, 'endpoint');
  assert.match(one.events[0].data, /^\/mcp\/stdio\/message\?sessionId=[0-9a-f]{40}$/);
  assert.equal((await one.post({ jsonrpc: '2.0', id: 9, method: 'tools/list' })).status, 400, 'before initialize');
  assert.equal((await one.post(initialize())).status, 202);
  assert.equal((await one.answer(0)).result.protocolVersion, '2024-11-05');
  assert.equal((await one.post({ jsonrpc: '2.0', method: 'notifications/initialized' })).status, 202);
  assert.equal((await one.post(initialize())).status, 400, 'a second time');
  assert.equal((await one.post({ jsonrpc: '2.0', id: 1, method: 'tools/list' })).status, 202);
  assert.ok((await one.answer(1)).result.tools.length > 0);
  assert.equal((await one.post('{{{')).status, 400);
  one.end();
});

test('the address of a session is good for its owner alone, and only with a token', async () => {
  const one = await stream('stdio', alice);
  const agent = await gateway.token('alice', ['--agent', 'bot']);
  for (const token of [erin, bob, agent]) assert.equal((await one.post(initialize(), token)).status, 404);
  assert.equal((await one.post(initialize(), undefined, one.events[0].data)).status, 202, 'its owner');
  assert.equal((await gateway.http('POST', `http://${gateway.mcp}${one.events[0].data}`, { body: '{}', headers: { 'content-type': 'application/json' } })).status, 401);
  assert.equal((await one.post(initialize(), alice, one.events[0].data.replace('/stdio/', '/plain/'))).status, 404, 'another target');
  assert.equal((await one.post(initialize(), alice, '/mcp/stdio/message?sessionId=' + '00'.repeat(20))).status, 404);
  assert.equal((await gateway.http('GET', gateway.url('stdio') + '/sse', { headers: { accept: 'text/event-stream' } })).status, 401);
  one.end();
});

test('the session ends with its stream, and what ran is recorded as interrupted', async () => {
  const one = await stream('stdio', erin);
  await one.post(initialize());
  await one.answer(0);
  const closes = gateway.entries('session.close').length;
  await one.post({ jsonrpc: '2.0', id: 5, method: 'tools/call', params: { name: 'hang', arguments: {} } });
  await until(() => gateway.entries('command').some(entry => JSON.stringify(entry).includes('hang') && JSON.stringify(entry).includes('erin')), 'the call runs');
  one.end();
  await until(() => gateway.entries('session.close').length > closes, 'the end of the session in the record');
  assert.equal((await one.post({ jsonrpc: '2.0', id: 6, method: 'tools/list' })).status, 404);
});

test('a stream ends when its target is lost, so that the client comes again', async () => {
  const one = await stream('stdio', await gateway.token('erin', ['--agent', 'dies']));
  const by = undefined;
  await one.post(initialize(), by);
  await one.answer(0);
  await one.post({ jsonrpc: '2.0', id: 5, method: 'tools/call', params: { name: 'die', arguments: {} } });
  assert.match((await one.answer(5)).error.message, /exit status 7/);
  await one.closed;
});
