// A client takes a call back while the target has not said a word about it: the target hears it at once, in the words of its own era,
// and the record says that the call was cancelled.
import test, { before, after } from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import { Gateway, until } from '../lib/gateway.mjs';
import { result, startRaw } from '../fixtures/raw_mcp.mjs';

const VERSION = '2026-07-28';
const META = { 'io.modelcontextprotocol/protocolVersion': VERSION, 'io.modelcontextprotocol/clientCapabilities': {}, 'io.modelcontextprotocol/clientInfo': { name: 'raw', version: '1' } };
const SOON = 1000;
let gateway, alice, targets;
before(async () => {
  const silent = async era => {
    const calls = [];
    const raw = await startRaw({ era, call: (message, res, { json }) => {
      if (message.params.name === 'quiet') return json(result(message.id, 'fine'));
      const call = { id: message.id, closed: false };
      calls.push(call);
      res.on('close', () => { call.closed = true; });
    } });
    return { raw, calls };
  };
  targets = { legacy: await silent('legacy'), modern: await silent('modern') };
  gateway = new Gateway({ tls: false, users: { alice: ['engineers'] }, policy: '- { id: all, allow: { who: "group:engineers" } }',
    targets: { legacy: { url: targets.legacy.raw.url }, modern: { url: targets.modern.raw.url },
      both: { virtual: 'servers: { legacy: { prefix: "l_" }, modern: { prefix: "m_" } }' } } });
  await gateway.start();
  alice = await gateway.token('alice');
});
after(async () => {
  assert.equal(await gateway.stop(), 0);
  assert.equal(gateway.verify().code, 0);
  for (const { raw } of Object.values(targets)) await raw.close();
});

/** Sends a request and leaves it alone; close() is what a client does that wants no answer any more. */
function begin(target, message, headers) {
  const request = http.request(gateway.url(target), { method: 'POST', agent: false, headers: { authorization: `Bearer ${alice}`, 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...headers } });
  const ended = new Promise(resolve => {
    request.on('error', resolve);
    request.on('response', response => { let text = ''; response.on('data', d => { text += d; }); response.on('error', resolve); response.on('end', () => resolve(text)); });
  });
  request.end(JSON.stringify(message));
  return { ended, close: () => request.destroy() };
}
const heardBy = { legacy: ({ raw }, call) => raw.heard.some(one => one.method === 'notifications/cancelled' && one.params.requestId === call.id), modern: (_, call) => call.closed };

for (const [name, tool, era] of [['legacy', 'loud', 'legacy'], ['modern', 'loud', 'modern'], ['both', 'l_loud', 'legacy'], ['both', 'm_loud', 'modern']]) {
  const target = () => targets[era];
  test(`notifications/cancelled of a legacy client reaches a silent ${era} target${name === 'both' ? ' behind a virtual server' : ''}`, async () => {
    const session = await gateway.initialize(name, alice);
    const before = target().calls.length;
    const request = begin(name, { jsonrpc: '2.0', id: 'long', method: 'tools/call', params: { name: tool, arguments: {} } }, { 'mcp-session-id': session });
    const call = await until(() => target().calls[before], 'the call at the target');
    assert.equal((await gateway.mcpPost(name, { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'long' } }, { token: alice, session })).status, 202);
    await until(() => heardBy[era](target(), call), 'the cancel at the target', SOON);
    assert.doesNotMatch(await request.ended, /"(result|error)"/, 'a request that was taken back has no answer');
    const next = await gateway.mcpPost(name, { jsonrpc: '2.0', id: 2, method: 'tools/call', params: { name: tool.replace('loud', 'quiet'), arguments: {} } }, { token: alice, session });
    assert.match(next.body, /fine/);
  });

  test(`a stream that a modern client closes takes its call back at a silent ${era} target${name === 'both' ? ' behind a virtual server' : ''}`, async () => {
    const before = target().calls.length;
    const headers = of => ({ 'mcp-protocol-version': VERSION, 'mcp-method': 'tools/call', 'mcp-name': of });
    const message = of => ({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: of, arguments: {}, _meta: META } });
    const request = begin(name, message(tool), headers(tool));
    const call = await until(() => target().calls[before], 'the call at the target');
    request.close();
    await until(() => heardBy[era](target(), call), 'the cancel at the target', SOON);
    const quiet = tool.replace('loud', 'quiet');
    assert.match((await gateway.mcpPost(name, message(quiet), { token: alice, headers: headers(quiet) })).body, /fine/);
  });
}

test('each of them is cancelled in the record, and none has failed', async () => {
  const calls = () => gateway.entries('outcome').filter(one => one.result === 'cancelled').length;
  await until(() => calls() === 8, 'eight cancelled calls');
});
