// People in entries: pseudonyms, who they are for those who may read it, and erasing that.
import test from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { SALLYPORT, folder, until, verify } from '../lib/gateway.mjs';
import { ticketsBehind } from '../lib/tickets.mjs';

test('entries bear pseudonyms; an erased person stays nameless, gets another one, and every proof holds', async () => {
  const { gateway, end } = await ticketsBehind({ more: { evidence: 'keepers: [leads]' } });
  const bob = await gateway.token('bob');
  const call = async () => {
    const client = await gateway.client('tickets', await gateway.token('alice'));
    await client.callTool({ name: 'read_ticket', arguments: { id: 1 } });
    await client.transport.terminateSession();
    await client.close();
  };
  await call();
  const segments = () => fs.readdirSync(path.join(gateway.evidence, 'segments')).filter(name => name.endsWith('.seg')).map(name => fs.readFileSync(path.join(gateway.evidence, 'segments', name), 'latin1')).join('');
  assert.doesNotMatch(segments(), /alice|bob/, 'no name is in the log');
  assert.ok(gateway.entries('command').every(entry => entry.subject === 'alice'), 'who may read keys/names is told who it was');
  // Without keys the entries are there, under pseudonyms.
  const copy = folder();
  fs.cpSync(gateway.evidence, copy, { recursive: true, filter: from => !from.endsWith('/keys') });
  const shown = JSON.parse(spawnSync(SALLYPORT, ['evidence', 'ls', '-d', copy, '--kind', 'command', '--json'], { encoding: 'utf8' }).stdout.split('\n')[0]);
  assert.match(shown.subject, /^~[\w-]{22}$/);

  const alice = await gateway.token('alice');
  assert.equal((await gateway.run(['evidence', 'erase', '--person', 'alice', '--basis', 'x'], { token: alice })).code, 5, 'only keepers');
  assert.equal((await gateway.run(['evidence', 'erase', '--person', 'nobody', '--basis', 'x'], { token: bob })).code, 5, 'nobody of that name');
  const erased = await gateway.run(['evidence', 'erase', '--person', 'alice', '--basis', 'request 17 under article 17'], { token: bob });
  assert.equal(erased.code, 0, erased.err);
  assert.ok(gateway.entries('command').every(entry => entry.subject === shown.subject), 'nobody can say any more who it was');
  const [entry] = gateway.entries('erase');
  assert.deepEqual([entry.name, entry.subject, entry.reason], [shown.subject, 'bob', 'request 17 under article 17']);
  assert.ok(!fs.readFileSync(path.join(gateway.evidence, 'keys/names')).includes('alice'));

  await call();
  const last = gateway.entries('command').at(-1);
  assert.equal(last.subject, 'alice', 'from now on under another pseudonym');
  await until(() => gateway.entries('session.close').length === 2, 'both sessions are closed');
  assert.equal(await end(), 0);
  assert.equal(verify(gateway.evidence, gateway.key(), ['--keys', path.join(gateway.evidence, 'keys')]).code, 0);
  await gateway.start();
  assert.ok(gateway.entries('command').some(one => one.subject === 'alice') && gateway.entries('command').some(one => one.subject === shown.subject), 'also after a restart');
  await gateway.stop();
});
