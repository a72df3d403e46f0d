// Targets that are slow, vanish or lie, and clients that stop reading: an error for who asked, an outcome in the record,
// and nobody else notices.
import test, { before, after } from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { Gateway, until } from '../lib/gateway.mjs';

const ANSWERS = {
  silent: () => {},
  reset: response => response.socket.destroy(),
  half: response => { response.writeHead(200, { 'content-type': 'application/json', 'content-length': 100 }); response.write('{"jsonrpc":'); setTimeout(() => response.socket.destroy(), 20); },
  half_stream: response => { response.writeHead(200, { 'content-type': 'text/event-stream' }); response.write('data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}\n\ndata: {"js'); setTimeout(() => response.socket.destroy(), 20); },
  empty_stream: response => { response.writeHead(200, { 'content-type': 'text/event-stream' }); response.end(); },
  html: response => { response.writeHead(200, { 'content-type': 'text/html' }); response.end('<h1>login</h1>'); },
  error: response => { response.writeHead(500, { 'content-type': 'text/plain' }); response.end('oops'); },
  empty: response => { response.writeHead(200, { 'content-type': 'application/json' }); response.end(''); },
  no_json: response => { response.writeHead(200, { 'content-type': 'application/json' }); response.end('{"jsonrpc":"2.0","id":1,"result":{"content":[}'); },
  twice: (response, id) => { response.writeHead(200, { 'content-type': 'application/json' }); response.end(`{"jsonrpc":"2.0","id":${id},"result":{"a":1,"a":2}}`); },
  other_id: response => { response.writeHead(200, { 'content-type': 'application/json' }); response.end('{"jsonrpc":"2.0","id":987654,"result":{"content":[]}}'); },
  huge: response => { response.writeHead(200, { 'content-type': 'application/json' }); const piece = 'x'.repeat(1 << 20); const more = () => { while (!response.destroyed && response.write(piece)); }; response.on('drain', more); response.write('{"jsonrpc":"2.0","id":1,"result":"'); more(); },
  redirect: response => { response.writeHead(302, { location: 'http://127.0.0.1:1/' }); response.end(); },
  ok: (response, id) => { response.writeHead(200, { 'content-type': 'application/json' }); response.end(`{"jsonrpc":"2.0","id":${id},"result":{"content":[{"type":"text","text":"fine"}]}}`); },
  flood: (response, id) => { response.writeHead(200, { 'content-type': 'application/json' }); response.end(`{"jsonrpc":"2.0","id":${id},"result":{"content":[{"type":"text","text":"${'y'.repeat(12 << 20)}"}]}}`); },
};

let upstream, gateway, alice, session;
before(async () => {
  upstream = http.createServer((request, response) => {
    let body = '';
    request.on('data', d => { body += d; });
    request.on('end', () => {
      if (request.method !== 'POST') return response.writeHead(request.method === 'GET' ? 405 : 200).end();
      const message = JSON.parse(body);
      if (message.method === 'initialize') {
        response.writeHead(200, { 'content-type': 'application/json', 'mcp-session-id': 's1' });
        return response.end(JSON.stringify({ jsonrpc: '2.0', id: message.id, result: { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 'u', version: '1' } } }));
      }
      if (message.id === undefined) return response.writeHead(202).end();
      ANSWERS[message.params.name](response, JSON.stringify(message.id));
    });
  });
  await new Promise(resolve => upstream.listen(0, '127.0.0.1', resolve));
  gateway = new Gateway({ tls: false, targets: { odd: { url: `http://127.0.0.1:${upstream.address().port}/mcp`, extra: 'timeout: 1s' } }, policy: '- { id: all, allow: { who: "group:engineers" } }' });
  await gateway.start();
  alice = await gateway.token('alice');
  session = await gateway.initialize('odd', alice);
});
after(async () => {
  assert.equal(await gateway.stop(), 0);
  const { code, out } = gateway.verify();
  assert.equal(code, 0, out);
  upstream.closeAllConnections();
  upstream.close();
});
let id = 0;
const call = async name => {
  const answer = await gateway.mcpPost('odd', { jsonrpc: '2.0', id: ++id, method: 'tools/call', params: { name, arguments: {} } }, { token: alice, session });
  const line = answer.headers['content-type']?.startsWith('text/event-stream') ? answer.body.split('\n').findLast(l => l.startsWith('data: {'))?.slice(6) : answer.body;
  return JSON.parse(line);
};

for (const name of Object.keys(ANSWERS).filter(one => !['ok', 'flood'].includes(one))) {
  test(`a target that answers "${name}" is an error with its request id, and a failed outcome`, { timeout: 30_000 }, async () => {
    const answer = await call(name);
    assert.ok(answer.error, JSON.stringify(answer).slice(0, 300));
    assert.equal(answer.id, id);
    const request = answer.error.data.requestId;
    const command = gateway.entries('command').find(entry => entry.request_id === request);
    const outcome = gateway.entries('outcome').find(entry => entry.command_index === command.index);
    assert.equal(outcome.result, 'failed');
    assert.ok(outcome.error.length > 10);
    assert.equal((await call('ok')).result.content[0].text, 'fine', 'the session lives on');
  });
}

test('a client that stops reading stalls only itself, and its outcome is recorded', { timeout: 60_000 }, async () => {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 'stalled', method: 'tools/call', params: { name: 'flood', arguments: {} } });
  const [host, port] = gateway.mcp.split(':');
  const socket = net.connect(Number(port), host);
  socket.pause();
  socket.write(`POST /mcp/odd HTTP/1.1\r\nHost: ${gateway.mcp}\r\nAuthorization: Bearer ${alice}\r\nMcp-Session-Id: ${session}\r\nContent-Type: application/json\r\nAccept: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  await until(() => gateway.entries('outcome').some(entry => entry.bytes > 12_000_000), 'its outcome');
  for (let i = 0; i < 20; i++) assert.equal((await call('ok')).result.content[0].text, 'fine');
  socket.destroy();
});

test('a client that goes away in the middle costs nothing but its own answer', async () => {
  const sockets = Array.from({ length: 20 }, () => {
    const [host, port] = gateway.mcp.split(':');
    const socket = net.connect(Number(port), host);
    const body = JSON.stringify({ jsonrpc: '2.0', id: `gone-${Math.random()}`, method: 'tools/call', params: { name: 'ok', arguments: {} } });
    socket.write(`POST /mcp/odd HTTP/1.1\r\nHost: ${gateway.mcp}\r\nAuthorization: Bearer ${alice}\r\nMcp-Session-Id: ${session}\r\nContent-Type: application/json\r\nAccept: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`, () => socket.destroy());
    socket.on('error', () => {});
    return socket;
  });
  await Promise.all(sockets.map(socket => new Promise(resolve => socket.once('close', resolve))));
  assert.equal((await call('ok')).result.content[0].text, 'fine');
});

test('the server is gone: an error at once, and service when it is back', async () => {
  const { port } = upstream.address();
  upstream.closeAllConnections();
  await new Promise(resolve => upstream.close(resolve));
  assert.match((await call('ok')).error.message, /cannot be reached/);
  await new Promise(resolve => upstream.listen(port, '127.0.0.1', resolve));
  assert.equal((await call('ok')).result.content[0].text, 'fine');
});
