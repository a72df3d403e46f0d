// How clients of the modern era wait for a human, and what stops a loop: tasks, URLs to open, budgets.
import test, { before, after } from 'node:test';
import assert from 'node:assert/strict';
import { ticketsBehind, pending, approve, deny, POLICY } from '../lib/tickets.mjs';
import { until } from '../lib/gateway.mjs';

const META = 'io.modelcontextprotocol/';
const TASKS = { extensions: { 'io.modelcontextprotocol/tasks': {} } };
let gateway, tickets, end, alice, bob, erin, ids = 0;
before(async () => {
  ({ gateway, tickets, end } = await ticketsBehind({
    users: { alice: ['engineers'], bob: ['leads'], erin: ['engineers'], mallory: ['engineers'] },
    policy: POLICY.replace('hold: 20s', 'hold: 2s'),
    budget: 'calls: 3, concurrent: 2, per: 1h',
  }));
  [alice, bob, erin] = [await gateway.token('alice'), await gateway.token('bob'), await gateway.token('erin')];
});
after(async () => {
  assert.equal(await end(), 0);
  const { code, out } = gateway.verify();
  assert.equal(code, 0, out);
});

async function post(token, method, params, capabilities = {}) {
  const name = params.name ?? params.taskId ?? params.uri;
  const body = { jsonrpc: '2.0', id: ++ids, method, params: { ...params, _meta: { [`${META}protocolVersion`]: '2026-07-28', [`${META}clientInfo`]: { name: 'holds', version: '1' }, [`${META}clientCapabilities`]: capabilities } } };
  const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream', authorization: `Bearer ${token}`, 'mcp-protocol-version': '2026-07-28', 'mcp-method': method, ...(name ? { 'mcp-name': name } : {}) };
  const response = await fetch(gateway.url('tickets'), { method: 'POST', headers, body: JSON.stringify(body) });
  const text = await response.text();
  return { status: response.status, ...JSON.parse(text.startsWith('{') ? text : text.split('\n').findLast(l => l.startsWith('data: {')).slice(6)) };
}
const write = (text, capabilities, more, token = alice) => post(token, 'tools/call', { name: 'write_ticket', arguments: { id: 1, text }, ...more }, capabilities);
const ran = text => tickets.calls.filter(call => call.name === 'write_ticket' && call.args.text === text).length;

test('a client that knows tasks is let go at once, and the call runs when it is approved', async () => {
  const { result } = await write('as a task', TASKS);
  assert.deepEqual([result.resultType, result.status], ['task', 'working']);
  const request = await pending(gateway, bob);
  assert.match(result.statusMessage, new RegExp(request.id));
  assert.equal(ran('as a task'), 0);
  const get = (token = alice) => post(token, 'tasks/get', { taskId: result.taskId }, TASKS);
  assert.equal((await get()).result.status, 'working');
  assert.equal((await get(erin)).error.code, -32602, 'nobody else’s task');
  // Longer than the rule holds a stream: a task waits for as long as its request does.
  await until(() => gateway.entries('command').filter(entry => entry.approval === request.id && entry.decision === 'held').length >= 1, 'a hold that ended');
  assert.equal((await approve(gateway, bob, request.id)).code, 0);
  const done = await until(async () => { const got = await get(); return got.result.status === 'working' ? null : got; }, 'the end of the task');
  assert.equal(done.result.status, 'completed');
  assert.match(done.result.result.content[0].text, /says: as a task/);
  assert.equal(ran('as a task'), 1);
  assert.equal((await get()).result.status, 'completed', 'and it stays so');
});

test('a task that is denied is completed with the refusal; one that is cancelled withdraws its request', async () => {
  const refused = await write('no task', TASKS);
  await deny(gateway, bob, (await pending(gateway, bob)).id);
  const get = id => post(alice, 'tasks/get', { taskId: id }, TASKS);
  const denied = await until(async () => { const got = await get(refused.result.taskId); return got.result.status === 'working' ? null : got; }, 'the refusal');
  assert.equal(denied.result.result.isError, true);
  const taken = await write('taken back', TASKS);
  const request = await pending(gateway, bob);
  assert.equal((await post(alice, 'tasks/cancel', { taskId: taken.result.taskId }, TASKS)).result.resultType, 'complete');
  await until(async () => (await get(taken.result.taskId)).result.status === 'cancelled', 'the cancelled task');
  assert.notEqual((await approve(gateway, bob, request.id)).code, 0, 'a later vote is refused');
  assert.equal(ran('taken back') + ran('no task'), 0);
});

test('a client that opens URLs is sent to the request’s page after its time on the stream, and its retry attaches', async () => {
  const url = { elicitation: { url: {} } };
  const first = await write('by url', url);
  assert.equal(first.result.resultType, 'input_required');
  const request = await pending(gateway, bob);
  const { params } = first.result.inputRequests.approval;
  assert.equal(params.mode, 'url');
  assert.ok(params.url.endsWith(`/requests/${request.id}`), params.url);
  const state = first.result.requestState;
  const stolen = await write('by url', url, { requestState: state, inputResponses: {} }, erin);
  assert.equal(stolen.error.code, -32602, 'another person');
  const other = await write('something else', url, { requestState: state, inputResponses: {} });
  assert.equal(other.error.code, -32602, 'other arguments');
  assert.equal((await approve(gateway, bob, request.id)).code, 0);
  const second = await write('by url', url, { requestState: state, inputResponses: { approval: { action: 'accept' } } });
  assert.match(second.result.content[0].text, /says: by url/);
  assert.equal(ran('by url'), 1);
  assert.equal(ran('something else'), 0);
});

test('everybody else is told which request it waits for', async () => {
  const { result } = await write('by words');
  assert.equal(result.isError, true);
  assert.equal(result.resultType, 'complete');
  const request = await pending(gateway, bob);
  assert.match(result.content[0].text, new RegExp(request.id));
  await deny(gateway, bob, request.id);
});

test('a budget ends a loop with an error that says when there is more, on record', async () => {
  gateway.change({ budget: 'calls: 3, per: 1h' });
  assert.equal((await gateway.reload()).event, 'reloaded');
  const mallory = await gateway.token('mallory');
  const slow = () => post(mallory, 'tools/call', { name: 'slow', arguments: { ms: 1 } });
  for (let i = 0; i < 3; i++) assert.ok(!(await slow()).result.isError, String(i));
  const over = await slow();
  assert.equal(over.result.isError, true);
  assert.match(over.result.content[0].text, /budget of mallory on tickets is used up: 3 calls in 1 h; again in \d+ s/);
  assert.ok((await post(mallory, 'tools/list', {})).result.tools.length > 0, 'lists do not count');
  const refusals = gateway.entries('command').filter(entry => entry.decision === 'blocked' && entry.rules?.includes('budget'));
  assert.equal(refusals.length, 1);
});
