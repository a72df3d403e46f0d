// A held call from the agent's, the approver's and the auditor's side.
import test, { before, after } from 'node:test';
import assert from 'node:assert/strict';
import { ticketsBehind, pending, approve, deny, POLICY } from '../lib/tickets.mjs';
import { until } from '../lib/gateway.mjs';

let gateway, tickets, end, alice, bob, carol, client;
before(async () => {
  ({ gateway, tickets, end } = await ticketsBehind());
  // The ports are part of the file, and the file is the policy's version: fixed before anything is held.
  gateway.keepPorts();
  await gateway.stop();
  await gateway.start();
  [alice, bob, carol] = [await gateway.token('alice'), await gateway.token('bob'), await gateway.token('carol')];
  client = await gateway.client('tickets', alice);
});
after(async () => {
  await client.close();
  assert.equal(await end(), 0);
  const { code, out } = gateway.verify();
  assert.equal(code, 0, out);
});
const write = (text, options) => client.callTool({ name: 'write_ticket', arguments: { id: 1, text } }, undefined, options);
const ran = text => tickets.calls.filter(call => call.name === 'write_ticket' && call.args.text === text).length;
const kinds = id => gateway.entries().filter(entry => entry.approval === id && entry.kind.startsWith('approval')).map(entry => entry.kind.slice(9));

test('held: the agent hears of it, a second person approves, it runs once', async () => {
  const progress = [];
  const held = write('approved', { onprogress: p => progress.push(p) });
  const request = await pending(gateway, bob);
  await until(() => progress.length > 0, 'progress while it is held');
  assert.match(progress[0].message, new RegExp(request.id));
  assert.equal(ran('approved'), 0);
  assert.equal((await approve(gateway, bob, request.id)).code, 0);
  assert.match((await held).content[0].text, /says: approved/);
  assert.equal(ran('approved'), 1);
  assert.deepEqual(kinds(request.id), ['requested', 'granted', 'used']);
  const command = gateway.entries('command').find(entry => entry.approval === request.id);
  assert.equal(command.decision, 'allowed');
});

test('not by the requester, not by an agent, not by a stranger, and each attempt is recorded', async () => {
  gateway.change({ users: { alice: ['engineers', 'leads'], bob: ['leads'], carol: ['leads'], dave: ['guests'] } });
  assert.equal((await gateway.reload()).event, 'reloaded');
  const bot = await gateway.token('bob', ['--agent', 'bot']), dave = await gateway.token('dave');
  const held = write('contested');
  const request = await pending(gateway, bob);
  const own = await approve(gateway, alice, request.id);
  assert.deepEqual([own.code, /request of their own/.test(own.err)], [5, true], own.err);
  const agent = await approve(gateway, bot, request.id);
  assert.deepEqual([agent.code, /agents/.test(agent.err)], [5, true], agent.err);
  assert.equal((await approve(gateway, dave, request.id)).code, 3, 'a stranger sees no such request');
  assert.equal((await approve(gateway, 'sp_nonsense', request.id)).code, 4);
  assert.equal(gateway.entries('admin.action').filter(entry => entry.action === 'approve').length, 3);
  assert.equal((await deny(gateway, bob, request.id, 'not today')).code, 0);
  const answer = await held;
  assert.equal(answer.isError, true);
  assert.match(answer.content[0].text, /denied by bob: not today/);
  assert.equal(ran('contested'), 0);
});

test('one refusal beats every approval, and a final request takes no more votes', async () => {
  gateway.change({ policy: POLICY.replace('quorum: 1', 'quorum: 2') });
  assert.equal((await gateway.reload()).event, 'reloaded');
  const two = write('two');
  const first = await pending(gateway, bob);
  const vote = await approve(gateway, bob, first.id);
  assert.match(vote.out, /pending; it needs 1 of leads/);
  assert.equal((await approve(gateway, bob, first.id)).code, 5, 'one person, one vote');
  assert.equal(ran('two'), 0, 'one of two is not enough');
  assert.equal((await approve(gateway, carol, first.id)).code, 0);
  assert.ok(!(await two).isError);
  const beaten = write('beaten');
  const second = await pending(gateway, bob);
  await approve(gateway, bob, second.id);
  await deny(gateway, carol, second.id);
  assert.ok((await beaten).isError);
  assert.equal((await approve(gateway, bob, second.id)).code, 5);
  assert.equal(ran('beaten'), 0);
  gateway.change({ policy: POLICY });
  assert.equal((await gateway.reload()).event, 'reloaded');
});

test('a request nobody decides in its time expires', async () => {
  gateway.change({ policy: POLICY.replace('hold: 20s, valid: 30m', 'hold: 2s, valid: 2s') });
  assert.equal((await gateway.reload()).event, 'reloaded');
  const held = write('late');
  const request = await pending(gateway, bob);
  const answer = await held;
  assert.match(answer.content[0].text, /expired/);
  assert.equal((await approve(gateway, bob, request.id)).code, 5);
  await until(() => kinds(request.id).includes('expired'), 'the expiry in the record');
  assert.deepEqual(kinds(request.id), ['requested', 'expired']);
  assert.equal(ran('late'), 0);
  gateway.change({ policy: POLICY });
  assert.equal((await gateway.reload()).event, 'reloaded');
});

test('cancelled while held: withdrawn, and approving it afterwards changes nothing', async () => {
  const cancel = new AbortController();
  const held = write('cancelled', { signal: cancel.signal });
  held.catch(() => {});
  const request = await pending(gateway, bob);
  cancel.abort('changed my mind');
  await assert.rejects(held);
  await until(() => kinds(request.id).includes('denied'), 'the withdrawal in the record');
  const late = await approve(gateway, bob, request.id);
  assert.equal(late.code, 5);
  assert.match(late.err, /withdrawn/);
  assert.equal(ran('cancelled'), 0);
  assert.deepEqual(kinds(request.id), ['requested', 'denied']);
});

test('a hold that ends unanswered names the request; the same call attaches to it and runs once approved', async () => {
  gateway.change({ policy: POLICY.replace('hold: 20s', 'hold: 1s') });
  assert.equal((await gateway.reload()).event, 'reloaded');
  const answer = await write('again');
  assert.equal(answer._meta['sallyport/decision'].decision, 'held');
  const id = answer._meta['sallyport/decision'].approval;
  assert.match(answer.content[0].text, new RegExp(`${id}.*NOT run`));
  const second = await write('again');
  assert.equal(second._meta['sallyport/decision'].approval, id, 'the same call attaches');
  const other = await write('another');
  assert.notEqual(other._meta['sallyport/decision'].approval, id, 'another call does not');
  await deny(gateway, bob, other._meta['sallyport/decision'].approval);
  assert.equal((await approve(gateway, bob, id)).code, 0);
  assert.match((await write('again')).content[0].text, /says: again/);
  assert.equal(ran('again'), 1);
  const third = await write('again');
  assert.notEqual(third._meta['sallyport/decision'].approval, id, 'a consent is used once');
  await deny(gateway, bob, third._meta['sallyport/decision'].approval);
  gateway.change({ policy: POLICY });
  assert.equal((await gateway.reload()).event, 'reloaded');
});

test('the gateway restarts while a call is held: the same call attaches, and what was granted meanwhile runs once', async () => {
  gateway.change({ policy: POLICY.replace('hold: 20s', 'hold: 5s') });
  assert.equal((await gateway.reload()).event, 'reloaded');
  const held = write('restarted').catch(error => error);
  const request = await pending(gateway, bob);
  assert.equal(await gateway.stop(), 0);
  const answer = await held;
  assert.ok(answer instanceof Error || answer._meta?.['sallyport/decision'].decision === 'held', JSON.stringify(answer));
  await gateway.start();
  assert.equal((await pending(gateway, bob)).id, request.id, 'it survived');
  assert.equal((await approve(gateway, bob, request.id)).code, 0);
  const after = await write('restarted');
  assert.match(after.content[0].text, /says: restarted/);
  assert.equal(ran('restarted'), 1);
  assert.deepEqual(kinds(request.id), ['requested', 'granted', 'used']);
});

test('a held call without a progress token is kept alive by comments; exit code 6 says that it waits', async () => {
  const session = await gateway.initialize('tickets', alice);
  const held = gateway.mcpPost('tickets', { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'write_ticket', arguments: { id: 1, text: 'quiet' } } }, { token: alice, session });
  const request = await pending(gateway, bob);
  assert.equal((await gateway.run(['requests', 'show', request.id], { token: bob })).code, 6);
  await approve(gateway, bob, request.id);
  const answer = await held;
  assert.match(answer.body, new RegExp(`^: held for approval, request ${request.id}$`, 'm'));
  assert.match(answer.body, /says: quiet/);
});

test('approving and cancelling at once is resolved once, whoever wins', async () => {
  for (let round = 0; round < 12; round++) {
    const text = `race-${round}`, cancel = new AbortController();
    const held = write(text, { signal: cancel.signal }).catch(error => error);
    const request = await pending(gateway, bob);
    const vote = approve(gateway, bob, request.id);
    if (round % 3 !== 0) await new Promise(resolve => setTimeout(resolve, round));
    cancel.abort();
    const { code } = await vote;
    await held;
    await until(() => ['used', 'denied'].includes(kinds(request.id).at(-1)), 'the end of the request');
    const seen = kinds(request.id);
    assert.ok(seen.filter(kind => kind === 'used').length <= 1 && ran(text) <= 1, String(seen));
    if (!seen.includes('used')) assert.equal(ran(text), 0, 'it ran without a use');
    if (code !== 0) assert.ok(!seen.includes('granted'), 'a vote that did not count is in the record');
  }
});

test('requests --watch shows a request when it comes', async () => {
  const { start } = await import('../lib/gateway.mjs');
  const { SALLYPORT } = await import('../lib/gateway.mjs');
  const watch = start(SALLYPORT, ['requests', '--watch', '--json'], { env: { ...process.env, SALLYPORT_URL: gateway.adminUrl, SALLYPORT_TOKEN: bob } });
  const seen = new Promise(resolve => watch.lines.on('line', text => { if (text.includes('watched')) resolve(JSON.parse(text)); }));
  const held = write('watched');
  const request = await seen;
  assert.equal(request.state, 'pending');
  await deny(gateway, carol, request.id);
  await held;
  const shown = await gateway.run(['requests', 'show', request.id], { token: bob });
  assert.equal(shown.code, 7, 'denied has an exit code of its own');
  watch.kill();
});
