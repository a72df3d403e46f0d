// A call that needs approval and asks for input is one command in several rounds: it is approved once, and the approval is of use for
// nothing else.
import test, { before, after } from 'node:test';
import assert from 'node:assert/strict';
import { Gateway, until } from '../lib/gateway.mjs';
import { pending, approve, deny } from '../lib/tickets.mjs';
import { event, result, startRaw } from '../fixtures/raw_mcp.mjs';

const VERSION = '2026-07-28';
const META = { 'io.modelcontextprotocol/protocolVersion': VERSION, 'io.modelcontextprotocol/clientCapabilities': { elicitation: {} }, 'io.modelcontextprotocol/clientInfo': { name: 'rounds', version: '1' } };
const FORM = { message: 'Name?', requestedSchema: { type: 'object', properties: { name: { type: 'string' } } } };
const POLICY = `
- { id: all, allow: { who: "group:engineers" } }
- { id: careful, approve: { who: "group:engineers", when: 'mcp.tool == "loud"', by: "group:leads", hold: 20s, valid: 5m } }
`;
let gateway, modern, legacy, alice, erin, bob, stateful = true, rounds = 1;
before(async () => {
  const wants = (message, n) => ({ jsonrpc: '2.0', id: message.id, result: { resultType: 'input_required', ...(stateful ? { requestState: `round ${n}` } : {}), inputRequests: { name: { method: 'elicitation/create', params: FORM } } } });
  modern = await startRaw({ era: 'modern', call: (message, res, { json }) => {
    const done = stateful ? Number(/\d+/.exec(message.params.requestState ?? '0')) : message.params.inputResponses ? rounds : 0;
    json(done < rounds ? wants(message, done + 1) : result(message.id, `done ${message.params.inputResponses?.name.content.name} ${message.params.requestState ?? 'without state'}`));
  } });
  // A server of sessions asks in the middle of its call.
  legacy = await startRaw({ call: (message, res, { sse }) => {
    sse().write(event({ jsonrpc: '2.0', id: `ask-${message.id}`, method: 'elicitation/create', params: FORM }));
    void until(() => legacy.heard.find(one => one.id === `ask-${message.id}`), 'the answer').then(one => res.end(event(result(message.id, `done ${one.result.content.name}`)))).catch(() => res.end());
  } });
  const extra = 'server_requests: [elicitation]';
  gateway = new Gateway({ tls: false, users: { alice: ['engineers'], erin: ['engineers'], bob: ['leads'] }, policy: POLICY, more: { gateway: 'workers: 3' }, targets: { modern: { url: modern.url, extra }, legacy: { url: legacy.url, extra } } });
  await gateway.start();
  [alice, erin, bob] = await Promise.all(['alice', 'erin', 'bob'].map(name => gateway.token(name)));
});
after(async () => {
  assert.equal(await gateway.stop(), 0);
  assert.equal(gateway.verify().code, 0);
  await Promise.all([modern.close(), legacy.close()]);
});
let ids = 0;
async function call(target, args, more = {}, token = alice) {
  const message = { jsonrpc: '2.0', id: ++ids, method: 'tools/call', params: { name: 'loud', arguments: args, ...more, _meta: META } };
  const { body } = await gateway.mcpPost(target, message, { token, headers: { 'mcp-protocol-version': VERSION, 'mcp-method': 'tools/call', 'mcp-name': 'loud' } });
  return JSON.parse(body.startsWith('{') ? body : body.split('\n').findLast(line => line.startsWith('data: {')).slice(6));
}
const answered = (name, key = 'name') => ({ [key]: { action: 'accept', content: { name } } });
const used = id => gateway.entries('approval.used').filter(one => one.approval === id).length;
/** The first round, approved by bob. */
async function begun(target, args) {
  const first = call(target, args);
  const request = await pending(gateway, bob);
  assert.equal((await approve(gateway, bob, request.id)).code, 0);
  const { result } = await first;
  assert.equal(result.resultType, 'input_required', JSON.stringify(result));
  assert.equal(typeof result.requestState, 'string');
  return { request, state: result.requestState, key: Object.keys(result.inputRequests)[0] };
}
/** It needs somebody again: whoever is asked says no. */
async function heldAgain(what, answer) {
  const request = await pending(gateway, bob);
  await deny(gateway, bob, request.id);
  const { result, error } = await answer;
  assert.ok(error || result.isError, `${what}: ${JSON.stringify(result)}`);
  return request;
}

for (const [target, kept, times] of [['modern', true, 1], ['modern', true, 3], ['modern', false, 1], ['legacy', true, 1]]) {
  test(`${times + 1} rounds at a ${target} target ${kept ? '' : 'that keeps no state '}are one approved command`, async () => {
    [stateful, rounds] = [kept, times];
    const { request, state, key } = await begun(target, { n: ids });
    let next = state, last;
    for (let round = 1; round <= times; round++) {
      last = await call(target, { n: ids - round }, { requestState: next, inputResponses: answered('Ann', key) });
      next = last.result.requestState;
    }
    assert.match(last.result.content[0].text, /done Ann/);
    if (!kept) assert.match(last.result.content[0].text, /without state/, 'the target sees none that it did not give');
    assert.equal(used(request.id), 1);
    const commands = gateway.entries('command').filter(one => one.approval === request.id && one.decision !== 'held');
    assert.equal(commands.length, times + 1, 'each round names it in the record');
  });
}

test('the approval goes no further: not to another call, not to a round made twice, not past a new policy', async () => {
  [stateful, rounds] = [true, 1];
  const first = await begun('modern', { n: 'x' });
  await heldAgain('the same call from the beginning', call('modern', { n: 'x' }));
  const other = await call('modern', { n: 'y' }, { requestState: first.state, inputResponses: answered('Ann') });
  assert.equal(other.error.code, -32602, 'other arguments');
  assert.equal((await call('modern', { n: 'x' }, { requestState: first.state, inputResponses: answered('Eve') }, erin)).error.code, -32602, 'another person');
  assert.match((await call('modern', { n: 'x' }, { requestState: first.state, inputResponses: answered('Ann') })).result.content[0].text, /done Ann/);
  await heldAgain('the round made twice', call('modern', { n: 'x' }, { requestState: first.state, inputResponses: answered('Eve') }));
  const second = await begun('modern', { n: 'z' });
  gateway.change({ policy: POLICY.replace('valid: 5m', 'valid: 6m') });
  assert.equal((await gateway.reload()).event, 'reloaded');
  await heldAgain('under another policy', call('modern', { n: 'z' }, { requestState: second.state, inputResponses: answered('Ann') }));
  assert.ok(!modern.seen.some(one => JSON.stringify(one).includes('Eve')));
});
