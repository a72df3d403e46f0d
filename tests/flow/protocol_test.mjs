// MCP over HTTP as hostile, old, broken and ordinary clients speak it, and the server's side of a conversation.
import test, { before, after } from 'node:test';
import assert from 'node:assert/strict';
import net from 'node:net';
import * as t from '@modelcontextprotocol/sdk/types.js';
import { ticketsBehind } from '../lib/tickets.mjs';
import { until } from '../lib/gateway.mjs';
import { SECRETS } from '../fixtures/tickets_server.mjs';

let gateway, tickets, end, alice, bob;
before(async () => {
  ({ gateway, tickets, end } = await ticketsBehind({ users: { alice: ['engineers'], bob: ['leads'], erin: ['engineers'] }, extra: 'server_requests: [sampling, elicitation, roots]' }));
  [alice, bob] = [await gateway.token('alice'), await gateway.token('bob')];
});
after(async () => {
  assert.equal(await end(), 0);
  const { code, out } = gateway.verify();
  assert.equal(code, 0, out);
});
const message = (method, params = {}, id = 1) => ({ jsonrpc: '2.0', id, method, params });
const call = (name, args = {}, id = 1) => message('tools/call', { name, arguments: args }, id);
const json = answer => JSON.parse(answer.headers['content-type'].startsWith('text/event-stream') ? answer.body.split('\n').findLast(l => l.startsWith('data: {')).slice(6) : answer.body);

test('without a good token there is 401 with WWW-Authenticate and nothing reaches the server', async () => {
  const seen = tickets.requests.length;
  for (const token of [undefined, 'sp_wrong', 'a.b.c', 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.']) {
    const answer = await gateway.mcpPost('tickets', call('slow'), { token });
    assert.equal(answer.status, 401, String(token));
    assert.match(answer.headers['www-authenticate'], /^Bearer /);
    assert.equal(answer.headers['mcp-session-id'], undefined);
  }
  assert.equal(tickets.requests.length, seen);
  await until(() => gateway.entries('auth.failed').length >= 3, 'each failure in the record');
});

test('another Host or Origin is refused: DNS rebinding', async () => {
  for (const headers of [{ host: 'evil.example' }, { host: 'evil.example:443' }, { origin: 'http://evil.example' }, { origin: 'null' }]) {
    const answer = await gateway.mcpPost('tickets', call('slow'), { token: alice, headers });
    assert.equal(answer.status, 403, JSON.stringify(headers));
  }
});

test('a target that does not exist and one that is not for you are the same answer', async () => {
  const nowhere = await gateway.mcpPost('nowhere', message('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } }), { token: alice });
  const stranger = await gateway.mcpPost('tickets', message('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } }), { token: bob });
  assert.deepEqual([nowhere.status, stranger.status], [404, 404]);
  assert.equal(json(nowhere).error.message.replace('nowhere', 'T').replace('alice', 'W'), json(stranger).error.message.replace('tickets', 'T').replace('bob', 'W'));
});

test('a session is its owner’s alone', async () => {
  const session = await gateway.initialize('tickets', alice);
  const erin = await gateway.token('erin'), agent = await gateway.token('alice', ['--agent', 'bot']);
  for (const token of [erin, agent]) assert.equal((await gateway.mcpPost('tickets', call('slow'), { token, session })).status, 404);
  assert.equal((await gateway.mcpPost('tickets', call('slow'), { token: alice, session: '00' + 'ab'.repeat(19) })).status, 404);
  assert.equal((await gateway.mcpPost('tickets', call('slow'), { token: alice })).status, 400, 'no session id');
  assert.equal((await gateway.mcpPost('tickets', call('slow', { ms: 1 }), { token: alice, session })).status, 200);
});

test('a session outlives the token it began with, when its owner comes with another; nothing runs on the old one', async () => {
  const short = await gateway.token('alice', ['--lifetime', '2']);
  const session = await gateway.initialize('tickets', short);
  await until(async () => (await gateway.mcpPost('tickets', call('slow', { ms: 1 }), { token: short, session })).status === 401, 'the end of the short token');
  const answer = await gateway.mcpPost('tickets', call('slow', { ms: 1 }), { token: alice, session });
  assert.equal(answer.status, 200);
  assert.equal(json(answer).result.content[0].text, 'done', answer.body);
});

test('what policy calls personal is masked in the names of what was asked for, too', async () => {
  const session = await gateway.initialize('tickets', alice);
  await gateway.mcpPost('tickets', message('resources/read', { uri: 'tickets://jane.roe@example.com' }), { token: alice, session });
  const entry = gateway.entries('command').findLast(one => one.action === 'resources/read');
  assert.match(entry.object, /^tickets:\/\/.*\*\*\*/);
  assert.ok(!JSON.stringify(entry).includes('jane.roe'));
});

test('what two parsers may read in two ways is refused', async () => {
  const session = await gateway.initialize('tickets', alice);
  const before = tickets.calls.length;
  const bad = [
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"slow","name":"run_command","arguments":{}}}',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"slow","Name":"run_command","arguments":{}}}',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"slow","arguments":{"a":1,"A":2}}}',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","Method":"ping","params":{"name":"slow"}}',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"slow"}}{"x":1}',
    '{"jsonrpc":"2.0","id":null,"method":"tools/call","params":{"name":"slow"}}', '[]', 'x', '',
  ];
  for (const body of bad) assert.equal((await gateway.mcpPost('tickets', body, { token: alice, session })).status, 400, body);
  for (const headers of [{ 'content-type': 'text/plain' }, { 'content-encoding': 'gzip' }])
    assert.equal((await gateway.mcpPost('tickets', call('slow'), { token: alice, session, headers })).status, 415);
  assert.equal((await gateway.mcpPost('tickets', call('slow'), { token: alice, session, headers: { accept: 'text/html' } })).status, 406);
  assert.equal((await gateway.mcpPost('tickets', call('slow'), { token: alice, session, version: '1999-01-01' })).status, 400);
  assert.equal((await gateway.http('PUT', gateway.url('tickets'), { token: alice })).status, 405);
  assert.equal(tickets.calls.length, before);
});

test('an unknown method is not found, and recorded as blocked', async () => {
  const session = await gateway.initialize('tickets', alice);
  const answer = json(await gateway.mcpPost('tickets', message('tools/destroy'), { token: alice, session }));
  assert.equal(answer.error.code, -32601);
  const entry = gateway.entries('command').find(one => one.request_id === answer.error.data.requestId);
  assert.deepEqual([entry.decision, entry.action], ['blocked', 'tools/destroy']);
});

test('revision 2025-03-26 may batch requests, later ones may not', async () => {
  const session = await gateway.initialize('tickets', alice);
  const batch = [call('slow', { ms: 1 }, 1), call('run_command', {}, 2), message('ping', {}, 3)];
  const answer = await gateway.mcpPost('tickets', batch, { token: alice, session });
  const ids = answer.body.split('\n').filter(l => l.startsWith('data: {')).map(l => JSON.parse(l.slice(6))).filter(m => m.id).map(m => m.id);
  assert.deepEqual(ids, [1, 2, 3]);
  assert.equal((await gateway.mcpPost('tickets', batch, { token: alice, session, version: '2025-11-25' })).status, 400);
});

test('sampling, elicitation and roots reach the client and their answers the server, masked and recorded', async () => {
  const client = await gateway.client('tickets', alice, {
    capabilities: { sampling: {}, elicitation: {}, roots: {} },
    setup: c => {
      c.setRequestHandler(t.CreateMessageRequestSchema, request => {
        for (const secret of SECRETS) assert.ok(!JSON.stringify(request.params).includes(secret));
        return { role: 'assistant', model: 'm', content: { type: 'text', text: 'sampled' } };
      });
      c.setRequestHandler(t.ElicitRequestSchema, () => ({ action: 'accept', content: { name: 'Ann' } }));
      c.setRequestHandler(t.ListRootsRequestSchema, () => ({ roots: [{ uri: 'file:///x', name: 'X' }] }));
    },
  });
  assert.match((await client.callTool({ name: 'ask', arguments: { what: 'sampling' } })).content[0].text, /said: sampled/);
  assert.match((await client.callTool({ name: 'ask', arguments: { what: 'elicitation' } })).content[0].text, /Ann/);
  assert.match((await client.callTool({ name: 'ask', arguments: { what: 'roots' } })).content[0].text, /file:\/\/\/x/);
  await client.close();
  const actions = gateway.entries('command').map(entry => entry.action);
  for (const action of ['sampling/createMessage', 'elicitation/create', 'roots/list', 'answer to sampling/createMessage']) assert.ok(actions.includes(action), action);
});

test('a server’s request that policy blocks is refused to the server', async () => {
  gateway.change({ policy: gateway.options.policy + '\n- { id: no-sampling, block: { when: \'mcp.method == "sampling/createMessage"\' } }' });
  assert.equal((await gateway.reload()).event, 'reloaded');
  let asked = 0;
  const client = await gateway.client('tickets', alice, { capabilities: { sampling: {} }, setup: c => c.setRequestHandler(t.CreateMessageRequestSchema, () => { asked++; return {}; }) });
  await assert.rejects(client.callTool({ name: 'ask', arguments: { what: 'sampling' } }), /no-sampling/);
  assert.equal(asked, 0);
  await client.close();
});

test('cancelling a running call reaches the server and is its outcome', async () => {
  const client = await gateway.client('tickets', alice);
  const cancel = new AbortController();
  const running = client.callTool({ name: 'slow', arguments: { ms: 20_000, steps: 1 } }, undefined, { signal: cancel.signal });
  running.catch(() => {});
  await until(() => tickets.calls.some(one => one.name === 'slow' && one.args.ms === 20_000), 'the call at the server');
  cancel.abort();
  await assert.rejects(running);
  await until(() => gateway.entries('outcome').some(entry => entry.result === 'cancelled'), 'the outcome');
  await client.close();
});

test('DELETE ends the session here and at the server; it is unknown afterwards', async () => {
  const session = await gateway.initialize('tickets', alice);
  const before = tickets.sessions.size;
  assert.equal((await gateway.http('DELETE', gateway.url('tickets'), { token: alice, headers: { 'mcp-session-id': session } })).status, 200);
  assert.equal(tickets.sessions.size, before - 1);
  assert.equal((await gateway.mcpPost('tickets', call('slow'), { token: alice, session })).status, 404);
});

test('a session that the server lost is an error for the client, never an empty success', async () => {
  const session = await gateway.initialize('tickets', alice);
  tickets.forget();
  const answer = await gateway.mcpPost('tickets', call('read_ticket'), { token: alice, session });
  assert.match(json(answer).error.message, /lost this session/);
  assert.equal((await gateway.mcpPost('tickets', call('read_ticket'), { token: alice, session })).status, 404);
});

test('pipelined requests on one connection are answered in their order', async () => {
  const session = await gateway.initialize('tickets', alice);
  const request = id => {
    const body = JSON.stringify(call('big', { bytes: 10 + id }, id));
    return `POST /mcp/tickets HTTP/1.1\r\nHost: ${gateway.mcp}\r\nAuthorization: Bearer ${alice}\r\nMcp-Session-Id: ${session}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  };
  const [host, port] = gateway.mcp.split(':');
  const socket = net.connect(Number(port), host);
  socket.write(request(1) + request(2) + request(3));
  let text = '';
  socket.on('data', d => { text += d; });
  await until(() => [...text.matchAll(/"id":(\d)/g)].length === 3, 'three answers');
  assert.deepEqual([...text.matchAll(/"id":(\d)/g)].map(m => m[1]), ['1', '2', '3']);
  socket.destroy();
});

test('sessions are found from any connection: both workers serve them', async () => {
  const session = await gateway.initialize('tickets', alice);
  const answers = await Promise.all(Array.from({ length: 16 }, (_, id) => gateway.mcpPost('tickets', call('big', { bytes: 5 }, id), { token: alice, session })));
  assert.deepEqual(answers.map(a => a.status), Array(16).fill(200));
});

test('a stream that broke is resumed at the server with Last-Event-ID', async () => {
  const session = await gateway.initialize('tickets', alice);
  const answer = await gateway.mcpPost('tickets', call('slow', { ms: 100, steps: 2 }), { token: alice, session });
  const first = /^id: (\S+)$/m.exec(answer.body)?.[1];
  assert.ok(first !== undefined, answer.body);
  const [host, port] = gateway.mcp.split(':');
  const socket = net.connect(Number(port), host);
  socket.write(`GET /mcp/tickets HTTP/1.1\r\nHost: ${gateway.mcp}\r\nAuthorization: Bearer ${alice}\r\nMcp-Session-Id: ${session}\r\nAccept: text/event-stream\r\nLast-Event-ID: ${first}\r\n\r\n`);
  let text = '';
  socket.on('data', d => { text += d; });
  await until(() => /"text":"done"/.test(text), 'the events after that one, the answer among them', 5000);
  assert.match(text, /^HTTP\/1\.1 200/);
  socket.destroy();
});

test('the admin API: health, metrics, problems', async () => {
  assert.equal((await gateway.get('/livez')).status, 200);
  assert.equal((await gateway.get('/readyz')).body, 'ready\n');
  const metrics = (await gateway.get('/metrics')).body;
  for (const name of ['sallyport_evidence_entries_total', 'sallyport_evidence_writable 1', 'sallyport_sessions{protocol="mcp"}']) assert.ok(metrics.includes(name), metrics);
  const none = await gateway.get('/api/requests');
  assert.deepEqual([none.status, none.headers['content-type']], [401, 'application/problem+json']);
  assert.ok(JSON.parse(none.body).request_id.startsWith('req_'));
  assert.equal((await gateway.get('/api/requests', { token: alice, headers: { origin: 'http://evil.example' } })).status, 403);
  assert.equal((await gateway.get('/api/nothing', { token: alice })).status, 404);
  assert.equal((await gateway.http('POST', gateway.adminUrl + '/livez', {})).status, 405);
  const wrong = await gateway.run(['token', 'issue', '--user', 'alice'], { input: 'wrong\n' });
  const nobody = await gateway.run(['token', 'issue', '--user', 'nobody'], { input: 'wrong\n' });
  assert.deepEqual([wrong.code, nobody.code], [4, 4]);
  assert.equal(wrong.err.replace(/req_\w+/, ''), nobody.err.replace(/req_\w+/, ''), 'a wrong password and an unknown user are the same answer');
  assert.equal((await gateway.run(['whoami'], { token: alice, env: { SALLYPORT_URL: 'http://127.0.0.1:1' } })).code, 8);
});
