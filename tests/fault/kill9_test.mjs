// kill -9 at random points under load. After each: the evidence verifies, every call the server got has its intent in the
// log, and every answer a client got has its outcome there. SALLYPORT_KILLS says how often (50; a release wants 500).
import test from 'node:test';
import assert from 'node:assert/strict';
import { ticketsBehind } from '../lib/tickets.mjs';

const KILLS = Number(process.env.SALLYPORT_KILLS ?? 50);
const CALLERS = 6;

// A fixed seed: a run that failed can be run again.
let seed = 0x5eed;
const random = n => { seed = (Math.imul(seed, 1103515245) + 12345) >>> 0; return (seed >>> 8) % n; };

test(`${KILLS} kill -9 under load lose nothing and invent nothing`, { timeout: 900_000 }, async () => {
  const { gateway, tickets } = await ticketsBehind({ upstream: { json: true }, more: { evidence: 'segment: 1MiB' } });
  gateway.keepPorts();
  const alice = await gateway.token('alice');
  const session = await gateway.initialize('tickets', alice);
  const key = gateway.key();
  const acknowledged = new Set();
  let calls = 0, running = true, sent = 0;

  const caller = async () => {
    while (running) {
      const n = ++calls;
      const message = { jsonrpc: '2.0', id: n, method: 'tools/call', params: { name: 'big', arguments: { bytes: 20 + random(3) * 3000, n } } };
      try {
        const answer = await gateway.mcpPost('tickets', message, { token: alice, session });
        sent++;
        if (answer.status === 200 && answer.body.includes('xxxxxxxxxx')) acknowledged.add(n);
        else if (answer.status === 404) throw new Error(`the session is gone: ${answer.body}`);
      } catch (error) {
        if (/session is gone/.test(error.message)) throw error;
        await new Promise(resolve => setTimeout(resolve, 5));  // nobody listens: the gateway is down
      }
    }
  };
  const callers = Array.from({ length: CALLERS }, caller);
  const failed = Promise.all(callers);
  failed.catch(() => { running = false; });

  const outcomes = { 0: 0, 2: 0 };
  const everything = () => {
    const entries = gateway.entries();
    const intents = new Map(entries.filter(entry => entry.kind === 'command' && entry.decision === 'allowed').map(entry => [entry.request_id, entry.index]));
    const ends = new Map(entries.filter(entry => entry.kind === 'outcome').map(entry => [entry.command_index, entry.result]));
    for (const call of tickets.calls) {
      assert.ok(intents.has(call.request), `call ${call.args.n} reached the server without its intent in the log`);
      if (acknowledged.has(call.args.n)) assert.equal(ends.get(intents.get(call.request)), 'ok', `call ${call.args.n} was answered and has no outcome in the log`);
    }
  };
  for (let kill = 1; kill <= KILLS && running; kill++) {
    await new Promise(resolve => setTimeout(resolve, 15 + random(120)));
    await gateway.kill9();
    const { code, out } = gateway.verify(gateway.evidence, key);
    assert.ok(code === 0 || code === 2, `after kill ${kill}: exit ${code}\n${out}`);
    outcomes[code]++;
    if (kill % 50 === 0 || kill === KILLS) everything();
    await gateway.start();
  }
  running = false;
  await failed;
  assert.equal(await gateway.stop(), 0);
  everything();
  const { code, report, out } = gateway.verify(gateway.evidence, key, ['--keys', gateway.evidence + '/keys']);
  assert.equal(code, 0, out);
  assert.equal(report.incarnations, KILLS + 1);
  assert.ok(acknowledged.size > KILLS, `only ${acknowledged.size} calls were answered: no load`);
  console.log(`${KILLS} kills: ${tickets.calls.length} calls reached the server, ${acknowledged.size} were answered, ${report.interrupted} outcomes interrupted; ` +
    `verify said valid ${outcomes[0]} times, tail unsigned ${outcomes[2]} times`);
  await tickets.close();
});
