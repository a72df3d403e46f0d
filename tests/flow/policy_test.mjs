// What the rules do to an agent that uses the official SDK's client: filtered, blocked, masked, and nothing of it lost.
import test, { before, after } from 'node:test';
import assert from 'node:assert/strict';
import { ticketsBehind } from '../lib/tickets.mjs';
import { SECRETS, CUSTOMER } from '../fixtures/tickets_server.mjs';

let gateway, tickets, end, alice, client;
before(async () => {
  ({ gateway, tickets, end } = await ticketsBehind());
  alice = await gateway.token('alice');
  client = await gateway.client('tickets', alice);
  await client.listTools();
});
after(async () => {
  await client.close();
  assert.equal(await end(), 0);
  const { code, out } = gateway.verify(gateway.evidence, gateway.key(), ['--keys', gateway.evidence + '/keys']);
  assert.equal(code, 0, out);
});
const clean = value => { for (const secret of SECRETS) assert.ok(!JSON.stringify(value).includes(secret), `${secret} is in ${JSON.stringify(value)}`); };
const lastSession = () => gateway.sessions().find(session => session.user === 'alice');

test('lists show what could be allowed and nothing else', async () => {
  const tools = (await client.listTools()).tools.map(tool => tool.name);
  assert.ok(tools.includes('read_ticket') && tools.includes('write_ticket') && tools.includes('big'));
  assert.ok(!tools.includes('run_command') && !tools.includes('delete_everything'));
  assert.deepEqual((await client.listResources()).resources.map(r => r.uri), ['tickets://1']);
  assert.deepEqual((await client.listPrompts()).prompts.map(p => p.name), ['answer']);
  assert.equal((await client.listResourceTemplates()).resourceTemplates.length, 1);
});

test('a hidden tool, resource or prompt is an unknown one, and the server never hears of it', async () => {
  const before = tickets.calls.length;
  await assert.rejects(client.callTool({ name: 'delete_everything', arguments: {} }), error => error.code === -32602 && /Unknown tool: delete_everything/.test(error.message));
  await assert.rejects(client.readResource({ uri: 'secrets://all' }), error => error.code === -32602);
  await assert.rejects(client.getPrompt({ name: 'attack' }), error => error.code === -32602);
  assert.equal(tickets.calls.length, before);
});

test('a blocked call is an isError result with rule, reason and request id, and the session lives on', async () => {
  const blocked = await client.callTool({ name: 'run_command', arguments: { command: 'rm -rf /' } });
  assert.equal(blocked.isError, true);
  assert.match(blocked.content[0].text, /no-shell.*Shell tools are off\..*req_[0-9a-f]{20}|Shell tools are off\..*no-shell.*req_[0-9a-f]{20}/);
  const decision = blocked._meta['sallyport/decision'];
  assert.deepEqual([decision.decision, decision.rules], ['blocked', ['no-shell']]);
  const big = await client.callTool({ name: 'big', arguments: { bytes: 6_000_000 } });
  assert.equal(big._meta['sallyport/decision'].rules[0], 'small');
  assert.ok(!tickets.calls.some(call => call.name === 'run_command'));
  assert.equal((await client.callTool({ name: 'big', arguments: { bytes: 10 } })).content[0].text, 'xxxxxxxxxx');
  const entry = gateway.entries('command').find(one => one.request_id === decision.requestId);
  assert.deepEqual([entry.decision, entry.rules, entry.object, entry.subject], ['blocked', ['no-shell'], 'run_command', 'alice']);
});

test('personal data is masked in text and in structured content alike, and stays valid against its schema', async () => {
  // The SDK's client checks structuredContent against the tool's outputSchema and throws when it does not fit.
  const read = await client.callTool({ name: 'read_ticket', arguments: { id: 3 } });
  clean(read.structuredContent);
  clean(JSON.parse(read.content[0].text));
  assert.deepEqual(JSON.parse(read.content[0].text), read.structuredContent);
  assert.equal(read.structuredContent.id, 3);
  assert.equal(read.structuredContent.customer.name, CUSTOMER.name);
  assert.ok(read.structuredContent.customer.card.endsWith('1111'));
  assert.match(read.content[1].text, /^Write to \S*\*\*\*\S* or call /);
  const found = await client.callTool({ name: 'search_tickets', arguments: { query: 'x' } });
  clean(found);
  assert.equal(found.structuredContent.tickets.length, 2);
});

test('resources, text in blobs, prompts, completions, errors and notifications are masked', async () => {
  const resource = await client.readResource({ uri: 'tickets://1' });
  clean(resource);
  assert.match(Buffer.from(resource.contents[1].blob, 'base64').toString(), /^name,mail\nJane,j\*\*\*@\*\*\*\.com\n$/);
  clean(await client.getPrompt({ name: 'answer' }));
  clean(await client.complete({ ref: { type: 'ref/prompt', name: 'answer' }, argument: { name: 'x', value: '' } }));
  await assert.rejects(client.callTool({ name: 'fail', arguments: {} }), error => { clean(error.message); return /no such customer: j\*\*\*@/.test(error.message); });
  const messages = [];
  await client.callTool({ name: 'slow', arguments: { ms: 40, steps: 2 } }, undefined, { onprogress: p => messages.push(p) });
  assert.equal(messages.length, 2);
  clean(messages);
});

test('the record holds masked data only, of requests as of answers, and counts what was masked', async () => {
  await client.callTool({ name: 'slow', arguments: { ms: 1, note: `for ${CUSTOMER.email}` } });
  const played = gateway.play(lastSession().session);
  clean(played);
  const texts = played.filter(entry => entry.kind === 'command').map(entry => entry.text ?? '');
  assert.ok(texts.some(text => text.includes('for j***@***.com')), 'arguments are masked in the record');
  const outcome = played.find(entry => entry.kind === 'outcome' && entry.masked?.['pii:$.customer.phone']);
  assert.ok(outcome.masked['pii:email'] >= 2 && outcome.masked['pii:pan'] >= 1 && outcome.masked['pii:iban'] >= 1, JSON.stringify(outcome.masked));
  const raw = gateway.cli(['evidence', 'ls', '-d', gateway.evidence, '--json']).out;
  clean(raw);
});

test('the arguments reach the server as they were sent', async () => {
  await client.callTool({ name: 'slow', arguments: { ms: 1, note: `for ${CUSTOMER.email}` } });
  assert.equal(tickets.calls.at(-1).args.note, `for ${CUSTOMER.email}`);
});

test('the upstream credential is injected, the client’s token never arrives, and the request id joins both logs', async () => {
  await client.callTool({ name: 'slow', arguments: { ms: 1 } });
  for (const request of tickets.requests) {
    assert.equal(request.authorization, 'Bearer upstream-secret');
    assert.ok(!JSON.stringify(request).includes(alice), 'the client’s token');
  }
  const { request } = tickets.calls.at(-1);
  const entry = gateway.entries('command').find(one => one.request_id === request);
  assert.equal(entry.object, 'slow');
});

test('every call that ran has its intent before and one outcome after', () => {
  const entries = gateway.entries();
  const commands = entries.filter(entry => entry.kind === 'command' && entry.decision === 'allowed');
  for (const call of tickets.calls) assert.ok(commands.some(command => command.request_id === call.request), `no intent for ${call.name}`);
  for (const command of commands.filter(one => one.action === 'tools/call')) {
    const outcomes = entries.filter(entry => entry.kind === 'outcome' && entry.command_index === command.index);
    assert.equal(outcomes.length, 1);
    assert.ok(outcomes[0].index > command.index);
  }
});

test('a big answer passes whole', async () => {
  const answer = await client.callTool({ name: 'big', arguments: { bytes: 3_000_000 } });
  assert.equal(answer.content[0].text.length, 3_000_000);
});
