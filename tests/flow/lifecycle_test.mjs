// Reload, drain, restart, and identity from a real OpenID provider.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { ticketsBehind, POLICY } from '../lib/tickets.mjs';
import { Gateway, until } from '../lib/gateway.mjs';
import { startTickets } from '../fixtures/tickets_server.mjs';
import { start as startProvider } from '../fixtures/oidc_provider.mjs';

test('SIGHUP takes a good configuration whole and refuses a bad one whole', async () => {
  const { gateway, end } = await ticketsBehind();
  const client = await gateway.client('tickets', await gateway.token('alice'));
  assert.ok(!(await client.callTool({ name: 'slow', arguments: { ms: 1 } })).isError);
  gateway.change({ policy: POLICY + '\n- { id: no-slow, block: { when: \'mcp.tool == "slow"\' }, message: "Not now." }' });
  assert.equal((await gateway.reload()).event, 'reloaded');
  assert.match((await client.callTool({ name: 'slow', arguments: { ms: 1 } })).content[0].text, /Not now\./, 'the running session is judged by the new rules');
  gateway.change({ policy: '- { id: broken, allow: { when: \'mcp.tool == 5\' } }' });
  const refused = await gateway.reload();
  assert.equal(refused.event, 'reload-refused');
  assert.match(refused.reason, /sallyport\.yaml:\d+:\d+: /);
  assert.match((await client.callTool({ name: 'slow', arguments: { ms: 1 } })).content[0].text, /Not now\./, 'the old rules stay');
  const applied = gateway.entries('config.applied');
  assert.equal(applied.length, 2);
  assert.notEqual(applied[0].policy, applied[1].policy);
  await client.close();
  gateway.change({ policy: POLICY });
  assert.equal(await end(), 0);
  assert.equal(gateway.verify().code, 0);
});

test('SIGTERM lets a running call end, takes no new one, and seals the evidence', async () => {
  const { gateway, tickets, end } = await ticketsBehind();
  const alice = await gateway.token('alice');
  const client = await gateway.client('tickets', alice);
  const running = client.callTool({ name: 'slow', arguments: { ms: 1500, steps: 1 } });
  await until(() => tickets.calls.length === 1, 'the call at the server');
  const stopped = end();
  await until(async () => (await gateway.get('/readyz').catch(() => ({ status: 0 }))).status === 503, 'readyz is red');
  const refused = await gateway.mcpPost('tickets', { jsonrpc: '2.0', id: 1, method: 'ping' }, { token: alice }).catch(() => ({ status: 'no connection' }));
  assert.ok([503, 'no connection'].includes(refused.status), String(refused.status));
  assert.equal((await running).content[0].text, 'done');
  assert.equal(await stopped, 0);
  const { code, report, out } = gateway.verify();
  assert.equal(code, 0, out);
  assert.equal(report.interrupted, 0);
  assert.equal(report.open_sessions, 0);
  assert.equal(gateway.entries('node.stop').length, 1);
});

test('a session goes on after a restart, in a new evidence session that names the old one', async () => {
  const { gateway, end } = await ticketsBehind();
  const alice = await gateway.token('alice');
  const client = await gateway.client('tickets', alice);
  await client.callTool({ name: 'slow', arguments: { ms: 1 } });
  gateway.keepPorts();
  await gateway.kill9();
  await gateway.start();
  assert.ok(!(await client.callTool({ name: 'slow', arguments: { ms: 1 } })).isError);
  const opened = gateway.entries('session.open');
  assert.equal(opened.length, 2);
  assert.equal(opened[1].reason, `resumes ${opened[0].session}`);
  await client.close();
  assert.equal(await end(), 0);
  const { code, report, out } = gateway.verify();
  assert.equal(code, 0, out);
  assert.equal(report.incarnations, 2);
});

test('configuration errors are all told at once, with place, and the gateway does not start', async () => {
  const gateway = new Gateway({ targets: { tickets: { url: 'http://127.0.0.1:1/mcp' } }, policy: '- { id: a, allow: { whoo: "group:x" } }\n- { id: a, block: { when: "mcp.tol == 1" } }' });
  const { code, err } = gateway.cli(['serve', '-c', gateway.config]);
  assert.equal(code, 2);
  assert.ok(err.split('\n').filter(line => /sallyport\.yaml:\d+:\d+: /.test(line)).length >= 3, err);
  assert.match(err, /did you mean "?who/);
  assert.match(err, /^\s+\^$/m);
});

test('TLS with a certificate of one’s own, renewed by SIGHUP; a key that does not fit is refused', async context => {
  const tickets = await startTickets();
  context.after(() => tickets.close());
  const gateway = new Gateway({ policy: POLICY, targets: { tickets: { url: tickets.url, labels: { env: 'prod', data: 'pii' } } }, more: { gateway: 'tls: { certificate: { file: cert.pem }, key: { file: key.pem } }' } });
  const make = name => execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', path.join(gateway.dir, 'key.pem'),
    '-out', path.join(gateway.dir, 'cert.pem'), '-days', '30', '-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1'], { stdio: 'ignore' });
  make('first');
  await gateway.start();
  assert.equal(gateway.ca, undefined, 'no self-made certificate');
  gateway.ca = path.join(gateway.dir, 'cert.pem');
  const client = await gateway.client('tickets', await gateway.token('alice'));
  assert.ok((await client.listTools()).tools.length > 0);
  await client.close();
  const before = fs.readFileSync(gateway.ca);
  make('second');
  await assert.rejects(gateway.get('/readyz'), 'the old certificate is still in use');
  assert.equal((await gateway.reload()).event, 'reloaded');
  assert.equal((await gateway.get('/readyz')).status, 200);
  fs.writeFileSync(gateway.ca, before);
  const refused = await gateway.reload();
  assert.match(refused.reason, /does not belong to the certificate/);
  assert.equal(await gateway.stop(), 0);
});

test('tokens of a real OpenID provider: groups decide, keys rotate, everything else is refused', async context => {
  const provider = await startProvider();
  const tickets = await startTickets();
  context.after(async () => { await tickets.close(); await provider.stop(); });
  const gateway = new Gateway({
    tls: false, policy: POLICY, targets: { tickets: { url: tickets.url, labels: { env: 'prod', data: 'pii' } } },
    more: { identity: `oidc:\n  - { issuer: "${provider.issuer}", audience: sallyport, groups_claim: groups }` },
  });
  await gateway.start();
  const connects = async token => { const client = await gateway.client('tickets', token); const { tools } = await client.listTools(); await client.close(); return tools.length; };
  const good = await provider.token({ sub: 'olivia', groups: ['engineers'] });
  assert.ok(await connects(good) > 0);
  const agent = await provider.token({ sub: 'olivia', groups: ['engineers'], act: { sub: 'bot-7' } });
  assert.ok(await connects(agent) > 0);
  await assert.rejects(connects(await provider.token({ sub: 'guest', groups: ['guests'] })), 'no group, no target');
  await provider.rotate();
  assert.ok(await connects(await provider.token({ sub: 'olivia', groups: ['engineers'] })) > 0, 'a key that is new is fetched');
  const [header, payload, signature] = good.split('.');
  const forged = Buffer.from(JSON.stringify({ ...JSON.parse(Buffer.from(payload, 'base64url')), groups: ['leads'] })).toString('base64url');
  const none = Buffer.from(JSON.stringify({ alg: 'none', typ: 'at+jwt' })).toString('base64url');
  for (const bad of [`${header}.${forged}.${signature}`, `${none}.${payload}.`, `${header}.${payload}.`, `${header}.${payload}`])
    assert.equal((await gateway.mcpPost('tickets', { jsonrpc: '2.0', id: 1, method: 'ping' }, { token: bad })).status, 401);
  const now = Math.floor(Date.now() / 1000);
  for (const claims of [{ aud: 'somebody-else' }, { exp: now - 600 }, { nbf: now + 600 }, { iss: 'http://127.0.0.1:1' }, { sub: '' }]) {
    const bad = await provider.token({ sub: 'olivia', groups: ['engineers'], ...claims });
    assert.equal((await gateway.mcpPost('tickets', { jsonrpc: '2.0', id: 1, method: 'ping' }, { token: bad })).status, 401, JSON.stringify(claims));
  }
  const who = gateway.entries('session.open').map(entry => [entry.subject, entry.agent, entry.issuer]);
  assert.ok(who.some(([subject, name, issuer]) => subject === 'olivia' && name === 'bot-7' && issuer === provider.issuer), JSON.stringify(who));
  assert.equal(await gateway.stop(), 0);
  assert.equal(gateway.verify().code, 0);
});
