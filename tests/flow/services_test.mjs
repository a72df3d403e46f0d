// Services and agents without a person at the door: keys of their own, tokens of their platform, a person's token exchanged for an agent's.
import test, { before, after } from 'node:test';
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { SignJWT, exportJWK, generateKeyPair } from 'jose';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { Gateway, PASSWORD, folder } from '../lib/gateway.mjs';
import { startTickets } from '../fixtures/tickets_server.mjs';

const ASSERTION = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
let tickets, gateway, platform, keys, stranger, platformKeys;
/** A platform's issuer, as Kubernetes and GitHub have one: discovery and keys. */
async function startPlatform(jwk) {
  const server = createServer((request, response) => {
    const answer = request.url === '/.well-known/openid-configuration' ? { issuer: server.issuer, jwks_uri: `${server.issuer}/keys` } : request.url === '/keys' ? { keys: [jwk] } : null;
    response.writeHead(answer ? 200 : 404, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  });
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
  server.issuer = `http://127.0.0.1:${server.address().port}`;
  return server;
}
before(async () => {
  keys = await generateKeyPair('ES256', { extractable: true });
  stranger = await generateKeyPair('ES256', { extractable: true });
  platformKeys = await generateKeyPair('RS256', { extractable: true });
  platform = await startPlatform({ ...await exportJWK(platformKeys.publicKey), kid: 'p', alg: 'RS256', use: 'sig' });
  tickets = await startTickets();
  gateway = new Gateway({
    tls: false, targets: { tickets: { url: tickets.url } }, policy: '- { id: all, allow: { who: ["group:engineers", "group:robots"] } }',
    users: { alice: ['engineers', 'leads'], robot: { groups: ['robots'], service: true, extra: 'keys: robot.jwks' }, ci: { groups: ['robots'], service: true } },
    files: { 'robot.jwks': JSON.stringify({ keys: [{ ...await exportJWK(keys.publicKey), kid: 'r', use: 'sig' }] }) },
    more: { identity: `federation: [ { issuer: "${platform.issuer}", audience: sallyport, services: [ { subject: "repo:org/app:*", claims: { environment: prod }, service: ci } ] } ]\nagents: { robot: { groups: [engineers] } }` },
  });
  await gateway.start();
});
after(async () => {
  assert.equal(await gateway.stop(), 0);
  const { code, out } = gateway.verify();
  assert.equal(code, 0, out);
  await tickets.close();
  platform.close();
});

const token = async fields => {
  const answer = await gateway.http('POST', `${gateway.adminUrl}/oauth/token`, { headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: new URLSearchParams(fields).toString() });
  return { status: answer.status, ...JSON.parse(answer.body) };
};
const assertion = ({ key = keys.privateKey, alg = 'ES256', aud = gateway.adminUrl, iss = 'robot', sub = iss, jti = randomUUID(), exp = '60s', claims = {} } = {}) => {
  let jwt = new SignJWT(claims).setProtectedHeader({ alg }).setIssuer(iss).setSubject(sub).setAudience(aud).setIssuedAt().setExpirationTime(exp);
  if (jti) jwt = jwt.setJti(jti);
  return jwt.sign(key);
};
const credentials = async (signed, more = {}) => token({ grant_type: 'client_credentials', client_assertion_type: ASSERTION, client_assertion: await signed, ...more });
const workload = async ({ sub = 'repo:org/app:ref:refs/heads/main', aud = 'sallyport', claims = { environment: 'prod' }, key = platformKeys.privateKey, iss = platform.issuer, exp = '5m' } = {}) =>
  token({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion: await new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: 'p' }).setIssuer(iss).setSubject(sub).setAudience(aud).setIssuedAt().setExpirationTime(exp).sign(key) });
const exchange = (subject, actor, more = {}) => token({ grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange', subject_token: subject, subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
  actor_token: actor, actor_token_type: 'urn:ietf:params:oauth:token-type:access_token', ...more });
const whoami = async access => JSON.parse((await gateway.get('/api/whoami', { token: access })).body);

test('a service proves itself with its key, and is a service', async () => {
  const made = await credentials(assertion());
  assert.equal(made.status, 200, JSON.stringify(made));
  const me = await whoami(made.access_token);
  assert.equal(me.subject, 'robot');
  assert.deepEqual(me.groups, ['robots']);
  await gateway.initialize('tickets', made.access_token);
  assert.equal((await credentials(assertion({ aud: `${gateway.adminUrl}/oauth/token` }))).status, 200);
  const narrow = await credentials(assertion(), { audience: 'database' });
  await assert.rejects(gateway.initialize('tickets', narrow.access_token), /401/);
});

test('what does not prove it is refused', async () => {
  const once = await assertion();
  assert.equal((await credentials(once)).status, 200);
  assert.equal((await credentials(once)).status, 401, 'an assertion comes once');
  for (const [why, options] of Object.entries({ 'another key': { key: stranger.privateKey }, 'another audience': { aud: 'https://other.example' }, 'no id': { jti: '' }, 'too long': { exp: '2h' }, 'over': { exp: '-2m' },
    'a person': { iss: 'alice' }, 'no such service': { iss: 'nobody' }, 'another subject': { sub: 'ci' } })) assert.equal((await credentials(assertion(options))).status, 401, why);
  const hmac = await new SignJWT({ jti: randomUUID() }).setProtectedHeader({ alg: 'HS256' }).setIssuer('robot').setSubject('robot').setAudience(gateway.adminUrl).setIssuedAt().setExpirationTime('60s')
    .sign(new TextEncoder().encode(JSON.stringify(await exportJWK(keys.publicKey))));
  assert.equal((await credentials(hmac)).status, 401);
  assert.equal((await token({ grant_type: 'client_credentials', client_id: 'robot' })).status, 401);
  assert.equal((await token({ grant_type: 'password', username: 'alice', password: PASSWORD })).error, 'unsupported_grant_type');
});

test("a platform's token is a service when subject and claims fit", async () => {
  const made = await workload();
  assert.equal(made.status, 200, JSON.stringify(made));
  assert.equal((await whoami(made.access_token)).subject, 'ci');
  for (const [why, options] of Object.entries({ 'another repository': { sub: 'repo:evil/app:ref:refs/heads/main' }, 'a longer name': { sub: 'repo:org/app2:ref:refs/heads/main' }, 'another environment': { claims: { environment: 'dev' } },
    'no claim': { claims: {} }, 'a list': { claims: { environment: ['prod'] } }, 'another audience': { aud: 'x' }, 'another issuer': { iss: 'https://other.example' }, 'over': { exp: '-2m' } })) assert.equal((await workload(options)).status, 400, why);
  // The platform's tokens open nothing by themselves.
  const jwt = await new SignJWT({ environment: 'prod' }).setProtectedHeader({ alg: 'RS256', kid: 'p' }).setIssuer(platform.issuer).setSubject('repo:org/app:x').setAudience('sallyport').setIssuedAt().setExpirationTime('5m').sign(platformKeys.privateKey);
  assert.equal((await gateway.get('/api/whoami', { token: jwt })).status, 401);
});

test("an agent with a person's token is that person's agent, with no more than both", async () => {
  const robot = (await credentials(assertion())).access_token, alice = await gateway.token('alice');
  const made = await exchange(alice, robot);
  assert.equal(made.status, 200, JSON.stringify(made));
  assert.equal(made.issued_token_type, 'urn:ietf:params:oauth:token-type:access_token');
  const me = await whoami(made.access_token);
  assert.equal(me.display, 'agent robot on behalf of alice');
  assert.deepEqual(me.groups, ['engineers'], 'not leads: the agent is not registered for them');
  await gateway.initialize('tickets', made.access_token);
  const ci = (await workload()).access_token;
  assert.equal((await exchange(alice, ci)).status, 400, 'not a registered agent');
  assert.equal((await exchange(robot, robot)).status, 400, 'a service is nobody to act for');
  assert.equal((await exchange(made.access_token, robot)).status, 400, 'an agent cannot be acted for');
  assert.equal((await exchange(alice, alice)).status, 400, 'a person is no agent');
  assert.equal((await exchange(alice, 'x')).status, 400);
  assert.equal((await exchange(alice, robot, { audience: 'api' })).error, 'invalid_target');
});

test("a token for one door is exchanged for no other", async () => {
  const narrow = (await credentials(assertion(), { audience: 'database' })).access_token, robot = (await credentials(assertion())).access_token, alice = await gateway.token('alice');
  assert.equal((await exchange(alice, narrow)).status, 400);
  assert.equal((await exchange(alice, narrow, { audience: 'mcp' })).status, 400);
  assert.equal((await exchange(alice, narrow, { audience: 'database' })).status, 200);
  assert.equal((await exchange(alice, robot, { audience: 'mcp' })).status, 200);
});

test("it ends when either is taken back", async () => {
  const alice = await gateway.token('alice');
  const robot = (await credentials(assertion())).access_token;
  const agent = (await exchange(alice, robot)).access_token;
  assert.equal((await gateway.get('/api/whoami', { token: agent })).status, 200);
  const listed = JSON.parse((await gateway.run(['tokens', 'ls', '--json'], { token: alice })).out);
  const mine = listed.find(one => one.agent === 'robot');
  assert.ok(mine, 'a person sees what acts for them');
  assert.equal((await gateway.run(['tokens', 'revoke', mine.id], { token: alice })).code, 0);
  assert.equal((await gateway.get('/api/whoami', { token: agent })).status, 401);
});

test('a client certificate is a login for MCP, where its CA is named, and for whom it names', async () => {
  const dir = folder();
  const openssl = (...args) => execFileSync('openssl', args, { cwd: dir, stdio: 'ignore' });
  const authority = name => openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', `${name}.crt`);
  const client = (name, by) => {
    openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', `/CN=${name}`, '-keyout', `${by}-${name}.key`, '-out', `${by}-${name}.csr`);
    openssl('x509', '-req', '-in', `${by}-${name}.csr`, '-CA', `${by}.crt`, '-CAkey', `${by}.key`, '-CAcreateserial', '-days', '1', '-out', `${by}-${name}.crt`);
  };
  authority('ours');
  authority('theirs');
  for (const [name, by] of [['alice', 'ours'], ['nobody', 'ours'], ['alice', 'theirs']]) client(name, by);
  const other = new Gateway({ targets: { tickets: { url: tickets.url } }, policy: '- { id: all, allow: { who: "group:engineers" } }', more: { gateway: `workers: 1\nmcp: { client_ca: ${path.join(dir, 'ours.crt')} }` } });
  await other.start();
  const initialize = who => new Promise((resolve, reject) => {
    const request = https.request(other.url('tickets'), {
      method: 'POST', agent: false, ca: fs.readFileSync(other.ca), ...(who ? { cert: fs.readFileSync(path.join(dir, `${who}.crt`)), key: fs.readFileSync(path.join(dir, `${who}.key`)) } : {}),
      headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
    }, response => { response.resume(); resolve(response.statusCode); });
    request.on('error', reject);
    request.end(JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'raw', version: '1' } } }));
  });
  assert.equal(await initialize('ours-alice'), 200);
  assert.equal(await initialize('ours-alice'), 200);
  assert.equal(await initialize('ours-nobody'), 401);
  assert.equal(await initialize(), 401);
  await assert.rejects(initialize('theirs-alice'), 'a stranger authority ends the handshake');
  assert.equal(other.entries('auth.ok').filter(entry => entry.action === 'certificate').length, 1, 'on record once, not with every connection');
  assert.equal(await other.stop(), 0);
});
