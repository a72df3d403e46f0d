// The MCP door as an OAuth resource and the gateway as its authorization server: what the official SDKs do by themselves from a 401 on, and what
// attackers try with it.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import fs from 'node:fs';
import https from 'node:https';
import http from 'node:http';
import path from 'node:path';
import { SignJWT } from 'jose';
import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as Transport1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { PrivateKeyJwtProvider } from '@modelcontextprotocol/sdk/client/auth-extensions.js';
import { Client as Client2, StreamableHTTPClientTransport as Transport2 } from '@modelcontextprotocol/client';
import { Gateway, PASSWORD, folder, until } from '../lib/gateway.mjs';
import { Browser } from '../lib/browser.mjs';
import { Keeper, RawClient, freePort, walk } from '../lib/oauth_person.mjs';
import { start as startProvider } from '../fixtures/sign_in_provider.mjs';
import { startTickets } from '../fixtures/tickets_server.mjs';

const robot = generateKeyPairSync('ec', { namedCurve: 'P-256' });
let provider, gateway, upstream, documents, secretServer, base;
const seen = [];   // what the private server behind the network was asked
const docs = {};   // path -> answer of the server with metadata documents
const document = (name, more = {}) => ({ client_id: `${documents.origin}/${name}`, client_name: `Document ${name}`, redirect_uris: ['http://127.0.0.1/callback', 'https://app.example/cb'], ...more });
const publish = (name, body, answer = {}) => { docs[`/${name}`] = { body: typeof body === 'string' ? body : JSON.stringify(body), ...answer }; return `${documents.origin}/${name}`; };

async function startDocuments() {
  const dir = folder('sallyport-documents-');
  const openssl = (...args) => execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'], cwd: dir });
  openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'key.pem', '-out', 'ca.pem', '-days', '2', '-subj', '/CN=documents', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1');
  const server = https.createServer({ key: fs.readFileSync(path.join(dir, 'key.pem')), cert: fs.readFileSync(path.join(dir, 'ca.pem')) }, (request, response) => {
    const one = docs[request.url];
    server.asked.push(request.url);
    if (!one) return response.writeHead(404).end();
    if (one.stall) return;
    response.writeHead(one.status ?? 200, { 'content-type': 'application/json', ...one.headers }).end(one.body);
  });
  server.asked = [];
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
  return Object.assign(server, { ca: path.join(dir, 'ca.pem'), origin: `https://localhost:${server.address().port}`, byAddress: `https://127.0.0.1:${server.address().port}` });
}

before(async () => {
  provider = await startProvider();
  upstream = await startTickets();
  documents = await startDocuments();
  secretServer = http.createServer((request, response) => { seen.push(request.url); response.end('{}'); });
  secretServer.on('connection', () => seen.push('connection'));
  await new Promise(resolve => secretServer.listen(0, '127.0.0.1', resolve));
  const port = await freePort();
  base = `https://127.0.0.1:${port}`;
  gateway = new Gateway({
    publicUrl: base,
    users: { alice: ['engineers'], bob: ['leads'], robot: { groups: ['engineers'], service: true, extra: 'keys: robot.jwks' } },
    targets: { tickets: { url: upstream.url, extra: 'scopes: { tools: { search_tickets: [tickets.read], "write_*": [tickets.read, tickets.write] } }' },
      strict: { url: upstream.url, extra: 'scopes: { use: [strict.use] }' }, hidden: { url: upstream.url, labels: { env: 'hidden' }, extra: 'scopes: { use: [hidden.use] }' },
      both: { virtual: 'servers: { tickets: { prefix: "t_" }, strict: { prefix: "s_" } }' } },
    policy: `- { id: engineers, allow: { who: "group:engineers", target: { env: prod } } }`,
    files: { 'client.secret': 'a client secret: 50% & more', 'robot.jwks': JSON.stringify({ keys: [{ ...robot.publicKey.export({ format: 'jwk' }), kid: 'r', alg: 'ES256', use: 'sig' }] }) },
    more: { identity: `oidc:
  - issuer: ${provider.issuer}
    audience: sallyport
    name: corp
    client: { id: sallyport, secret: { env: CORP_SECRET }, scopes: [openid, profile, email] }
oauth:
  clients:
    inspector: { redirect_uris: ["http://127.0.0.1/callback"] }
    confidential: { id: conf, redirect_uris: ["https://app.example/cb"], secret: { file: client.secret } }
    forbidden: { redirect_uris: ["http://127.0.0.1/callback"] }
  document_hosts: [localhost, 127.0.0.1, 169.254.169.254, "*.internal.example"]
  private_hosts: [localhost]
  ca: ${documents.ca}
  registration: true
  registrations: 4
agents:
  inspector: { people: [engineers] }
  confidential: {}
  "${documents.origin}/good": {}
  "${documents.origin}/second": {}
  robot: {}` },
    env: { CORP_SECRET: provider.secret },
  });
  gateway.mcpListen = `127.0.0.1:${port}`;
  gateway.write();
  await gateway.start();
  provider.connect({ callback: `${gateway.adminUrl}/auth/callback/corp`, fetch: gateway.fetch() });
});
after(async () => {
  const code = await gateway?.stop();
  const verified = gateway?.verify();
  await Promise.all([provider?.stop(), upstream?.close()]);
  for (const one of [documents, secretServer]) { one?.closeAllConnections(); one?.close(); }
  assert.equal(code, 0);
  assert.equal(verified.code, 0, verified.out);
});
const browser = () => new Browser({ ca: gateway.ca });
const call = (name, args = {}, id = 1) => ({ jsonrpc: '2.0', id, method: 'tools/call', params: { name, arguments: args } });
const metadata = async at => { const answer = await gateway.http('GET', base + at); return { status: answer.status, body: answer.status === 200 ? JSON.parse(answer.body) : answer.body }; };
const challenge = answer => Object.fromEntries([...answer.headers['www-authenticate'].matchAll(/(\w+)="([^"]*)"/g)].map(m => [m[1], m[2]]));
const initialize = { jsonrpc: '2.0', id: 0, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'raw', version: '1' } } };
const raw = (more = {}) => new RawClient(gateway, { id: 'inspector', resource: `${base}/mcp/tickets`, ...more });

test('the resource says of itself where tokens come from, the same for every name', async () => {
  const one = await metadata('/.well-known/oauth-protected-resource/mcp/tickets');
  assert.equal(one.status, 200);
  assert.deepEqual(one.body, { resource: `${base}/mcp/tickets`, authorization_servers: [gateway.adminUrl, provider.issuer], scopes_supported: ['hidden.use', 'mcp', 'strict.use', 'tickets.read', 'tickets.write'],
    bearer_methods_supported: ['header'], resource_name: 'Sallyport' });
  const nowhere = await metadata('/.well-known/oauth-protected-resource/mcp/nowhere');
  assert.deepEqual(JSON.parse(JSON.stringify(nowhere.body).replace('nowhere', 'tickets')), one.body);
  assert.equal((await metadata('/.well-known/oauth-protected-resource')).body.resource, base);
  assert.equal((await metadata('/.well-known/oauth-protected-resource/mcp')).body.resource, `${base}/mcp`);
  for (const wrong of ['/mcp/a/b', '/mcp/', '/other', '/mcp/%74ickets', '/mcp/"x', 'x']) assert.equal((await metadata('/.well-known/oauth-protected-resource' + wrong)).status, 404, wrong);
  assert.equal((await gateway.http('POST', `${base}/.well-known/oauth-protected-resource`)).status, 405);
});

test('what a client says of host and forwarding changes none of it', async () => {
  const answer = await gateway.http('GET', `${base}/.well-known/oauth-protected-resource/mcp/tickets`, { headers: { 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'http', forwarded: 'host=evil.example' } });
  assert.equal(JSON.parse(answer.body).resource, `${base}/mcp/tickets`);
  assert.equal((await gateway.http('GET', `${base}/.well-known/oauth-protected-resource`, { headers: { host: '127.0.0.1:1' } })).status, 403);
  const refused = await gateway.mcpPost('tickets', initialize, { headers: { 'x-forwarded-host': 'evil.example' } });
  assert.equal(challenge(refused).resource_metadata, `${base}/.well-known/oauth-protected-resource/mcp/tickets`);
});

test('401 says where to go, and names an error only when a token came', async () => {
  const without = await gateway.mcpPost('tickets', initialize);
  assert.equal(without.status, 401);
  assert.deepEqual(challenge(without), { realm: 'sallyport', resource_metadata: `${base}/.well-known/oauth-protected-resource/mcp/tickets`, scope: 'mcp' });
  const bad = await gateway.mcpPost('tickets', initialize, { token: 'sp_' + 'x'.repeat(43) });
  assert.equal(challenge(bad).error, 'invalid_token');
  const nowhere = await gateway.mcpPost('nowhere', initialize);
  assert.equal(nowhere.headers['www-authenticate'].replace('nowhere', 'tickets'), without.headers['www-authenticate']);
  const odd = await gateway.http('POST', `${base}/mcp/a%22b`, { body: '{}', headers: { 'content-type': 'application/json' } });
  assert.equal(challenge(odd).resource_metadata, `${base}/.well-known/oauth-protected-resource/mcp`);
});

test('a token in the address is refused, however good', async () => {
  const token = await gateway.token('alice');
  for (const name of ['access_token', 'access%5Ftoken']) {
    const answer = await gateway.http('POST', `${base}/mcp/tickets?${name}=${token}`, { body: JSON.stringify(initialize), headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' } });
    assert.equal(answer.status, 400);
  }
});

test('the authorization server describes itself at its own address', async () => {
  for (const at of ['oauth-authorization-server', 'openid-configuration']) {
    const said = JSON.parse((await gateway.get(`/.well-known/${at}`)).body);
    assert.equal(said.issuer, gateway.adminUrl);
    assert.deepEqual(said.code_challenge_methods_supported, ['S256']);
    assert.equal(said.client_id_metadata_document_supported, true);
    assert.equal(said.authorization_response_iss_parameter_supported, true);
    assert.equal(said.registration_endpoint, `${gateway.adminUrl}/oauth/register`);
    assert.ok(said.grant_types_supported.includes('refresh_token'));
  }
});

for (const [name, make] of Object.entries({
  '1.32.2': (url, keeper) => { const client = new Client1({ name: 'sdk1', version: '1' }); const transport = new Transport1(new URL(url), { authProvider: keeper, fetch: gateway.fetch() }); return { client, transport }; },
  '2.4.0 in the newer era': (url, keeper) => { const client = new Client2({ name: 'sdk2', version: '1' }, { versionNegotiation: { mode: 'auto' } }); const transport = new Transport2(new URL(url), { authProvider: keeper, fetch: gateway.fetch() }); return { client, transport }; },
  '2.4.0': (url, keeper) => { const client = new Client2({ name: 'sdk2', version: '1' }); const transport = new Transport2(new URL(url), { authProvider: keeper, fetch: gateway.fetch() }); return { client, transport }; },
})) {
  for (const [how, keeper] of Object.entries({
    'beforehand': () => new Keeper({ information: { client_id: 'inspector', issuer: gateway.adminUrl } }),
    'by its metadata document': () => new Keeper({ documentUrl: publish('good', document('good')) }),
  })) {
    test(`SDK ${name}, known ${how}: discovery, sign-in, consent, call, step-up`, async () => {
      const kept = keeper();
      const first = make(gateway.url('tickets'), kept);
      await assert.rejects(first.client.connect(first.transport), /Unauthorized/);
      const asked = new URL(kept.authorizationUrl);
      assert.equal(asked.origin, gateway.adminUrl);
      assert.equal(asked.searchParams.get('resource'), `${base}/mcp/tickets`);
      const { answer, page } = await walk(browser(), kept.authorizationUrl);
      assert.match(page.body, /wants to act as you/);
      assert.equal(answer.iss, gateway.adminUrl);
      assert.equal(answer.state, kept.state());
      await first.transport.finishAuth(name.startsWith('1') ? answer.code : new URLSearchParams(answer));
      const second = make(gateway.url('tickets'), kept);
      await second.client.connect(second.transport);
      const result = await second.client.callTool({ name: 'slow', arguments: { ms: 1 } });
      assert.equal(result.content[0].text, 'done');
      const agent = how === 'beforehand' ? 'inspector' : `${documents.origin}/good`;
      const entry = gateway.entries('command').findLast(one => one.object === 'slow');
      assert.deepEqual([entry.subject, entry.agent], ['ada', agent]);
      // A tool that needs more: the SDK is told which scopes, and asks for them. Version 1 asks only when it has nothing to refresh.
      if (name.startsWith('1')) delete kept.kept.refresh_token;
      await assert.rejects(second.client.callTool({ name: 'write_ticket', arguments: { id: 1, text: 'x' } }));
      const more = new URL(kept.authorizationUrl).searchParams.get('scope').split(' ');
      assert.ok(more.includes('tickets.read') && more.includes('tickets.write'), more.join(' '));
      await second.client.close();
    });
  }
}

test('a program registers itself, where that is allowed, and is a public client', async () => {
  const register = body => gateway.http('POST', `${gateway.adminUrl}/oauth/register`, { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } });
  const made = await register({ client_name: 'DCR', redirect_uris: ['http://127.0.0.1:7/callback'], application_type: 'native', token_endpoint_auth_method: 'client_secret_post' });
  assert.equal(made.status, 201, made.body);
  const client = JSON.parse(made.body);
  assert.equal(client.token_endpoint_auth_method, 'none');
  assert.match(client.client_id, /^dcr_/);
  assert.equal((await register({ redirect_uris: ['http://evil.example/cb'] })).status, 400);
  assert.equal(JSON.parse((await register({ redirect_uris: ['http://evil.example/cb'] })).body).error, 'invalid_redirect_uri');
  assert.equal((await register({ redirect_uris: ['http://127.0.0.1/cb'], application_type: 'web' })).status, 400);
  const { page } = await walk(browser(), raw({ id: client.client_id }).url());
  assert.match(page.body, /Nobody here has looked at this program/);
  for (let i = 0; i < 3; ++i) assert.equal((await register({ redirect_uris: ['https://a.example/cb'] })).status, 201);
  assert.equal((await register({ redirect_uris: ['https://a.example/cb'] })).status, 429, 'no more than the configuration says');
  assert.ok(gateway.entries('admin.action').some(one => one.action === 'client.registered' && one.object === client.client_id));
});

test('a token is for the resource that it was asked for, and for this door', async () => {
  const { access_token: tickets } = await raw().tokens(browser());
  assert.equal((await gateway.mcpPost('tickets', initialize, { token: tickets })).status, 200);
  const other = await gateway.mcpPost('strict', initialize, { token: tickets });
  assert.equal(other.status, 401);
  assert.equal(challenge(other).error, 'invalid_token');
  assert.equal((await gateway.get('/api/whoami', { token: tickets })).status, 401, 'the admin API is another door');
  const { access_token: door } = await raw({ resource: `${base}/mcp` }).tokens(browser());
  const { access_token: all } = await raw({ resource: base + '/' }).tokens(browser());
  for (const token of [door, all]) assert.equal((await gateway.mcpPost('tickets', initialize, { token })).status, 200);
  await until(() => gateway.entries('auth.failed').some(one => one.reason === 'wrong_audience'), 'the wrong audience in the record');
});

test("a provider's own token counts by its audience: the configured one, or the resource's address", async () => {
  const key = provider.signingKey();
  const jwt = (aud, claims = {}) => new SignJWT({ groups: ['engineers'], ...claims }).setProtectedHeader({ alg: 'RS256', kid: key.kid, typ: 'at+jwt' }).setIssuer(provider.issuer).setSubject('ada').setAudience(aud).setIssuedAt()
    .setExpirationTime('5m').sign(keyObject);
  const { createPrivateKey } = await import('node:crypto');
  const keyObject = createPrivateKey({ key, format: 'jwk' });
  const post = async (target, aud, claims) => (await gateway.mcpPost(target, initialize, { token: await jwt(aud, claims) })).status;
  assert.equal(await post('tickets', 'sallyport'), 200);
  assert.equal(await post('tickets', `${base}/mcp/tickets`), 200);
  assert.equal(await post('tickets', `${base}/mcp`), 200);
  assert.equal(await post('tickets', ['x', `${base}/mcp/tickets`]), 200);
  for (const wrong of [`${base}/mcp/strict`, `${base}/mcp/ticket`, `${base}/mcp/tickets/`, 'https://evil.example/mcp/tickets', 'https://evil.example']) assert.equal(await post('tickets', wrong), 401, wrong);
  const both = await jwt([`${base}/mcp/tickets`, `${base}/mcp/strict`], { scope: 'strict.use' });
  for (const target of ['tickets', 'strict', 'tickets']) assert.equal((await gateway.mcpPost(target, initialize, { token: both })).status, 200, target);
  assert.equal((await gateway.get('/api/whoami', { token: await jwt(`${base}/mcp/tickets`) })).status, 401);
  const narrow = await gateway.mcpPost('strict', initialize, { token: await jwt('sallyport') });
  assert.deepEqual([narrow.status, challenge(narrow).scope], [403, 'strict.use']);
  assert.equal(await post('strict', 'sallyport', { scope: 'other strict.use' }), 200);
  assert.equal(await post('strict', 'sallyport', { scp: ['strict.use'] }), 200);
});

test('behind one name, scopes are those of the server that is meant', async () => {
  const { createPrivateKey } = await import('node:crypto');
  const key = provider.signingKey(), keyObject = createPrivateKey({ key, format: 'jwk' });
  const jwt = (aud, scope) => new SignJWT({ groups: ['engineers'], scope }).setProtectedHeader({ alg: 'RS256', kid: key.kid, typ: 'at+jwt' }).setIssuer(provider.issuer).setSubject('ada').setAudience(aud).setIssuedAt()
    .setExpirationTime('5m').sign(keyObject);
  const narrow = await jwt(`${base}/mcp/both`, 'tickets.read'), wide = await jwt(`${base}/mcp/both`, 'tickets.read strict.use');
  assert.equal((await gateway.mcpPost('both', initialize, { token: await jwt(`${base}/mcp/tickets`, 'tickets.read') })).status, 401, 'a token for a member is not one for the name in front');
  const session = await gateway.initialize('both', narrow);
  const listed = async token => {
    const { result } = JSON.parse((await gateway.mcpPost('both', { jsonrpc: '2.0', id: 9, method: 'tools/list', params: {} }, { token, session })).body);
    assert.equal(result._meta, undefined);
    return [...new Set(result.tools.map(tool => tool.name.slice(0, 2)))];
  };
  assert.deepEqual(await listed(narrow), ['t_']);
  const before = upstream.calls.length;
  for (const [name, scope] of [['t_write_ticket', 'tickets.read tickets.write'], ['s_search_tickets', 'strict.use']]) {
    const refused = await gateway.mcpPost('both', call(name), { token: narrow, session });
    assert.deepEqual([refused.status, challenge(refused).scope], [403, scope], name);
  }
  assert.equal(upstream.calls.length, before);
  assert.deepEqual(await listed(wide), ['t_', 's_']);
  assert.equal((await gateway.mcpPost('both', call('s_search_tickets'), { token: wide, session })).status, 200);
  assert.deepEqual(await listed(narrow), ['t_'], 'the session knows more than this token may');
});

test('403 names every scope of the operation at once; who cannot see a target learns none', async () => {
  const { access_token: token, scope } = await raw({ scope: 'tickets.read offline_access unknown' }).tokens(browser());
  assert.equal(scope, 'mcp tickets.read');
  const session = await gateway.initialize('tickets', token);
  const before = upstream.calls.length;
  const refused = await gateway.mcpPost('tickets', call('write_ticket', { id: 1, text: 'x' }), { token, session });
  assert.equal(refused.status, 403);
  assert.deepEqual(challenge(refused), { realm: 'sallyport', error: 'insufficient_scope', scope: 'tickets.read tickets.write', resource_metadata: `${base}/.well-known/oauth-protected-resource/mcp/tickets` });
  assert.equal(upstream.calls.length, before);
  assert.equal((await gateway.mcpPost('tickets', [call('slow', {}, 1), call('write_ticket', {}, 2)], { token, session })).status, 403, 'in a batch as well');
  assert.equal((await gateway.mcpPost('tickets', call('search_tickets'), { token, session })).status, 200);
  assert.ok(gateway.entries('auth.failed').some(one => one.action === 'mcp.scope' && one.reason === 'insufficient_scope'));
  // The same person comes back with more: the session goes on.
  const { access_token: wider } = await raw({ scope: 'tickets.read tickets.write' }).tokens(browser());
  assert.equal((await gateway.mcpPost('tickets', call('write_ticket', { id: 1, text: 'x' }), { token: wider, session })).status, 200);
  const { access_token: door } = await raw({ resource: `${base}/mcp` }).tokens(browser());
  const [hidden, nowhere] = [await gateway.mcpPost('hidden', initialize, { token: door }), await gateway.mcpPost('nowhere', initialize, { token: door })];
  assert.deepEqual([hidden.status, hidden.body.replace('hidden', 'T')], [404, nowhere.body.replace('nowhere', 'T')]);
  assert.equal(hidden.headers['www-authenticate'], undefined);
  // A token that did not come by OAuth has no scopes to lack.
  assert.equal((await gateway.mcpPost('strict', initialize, { token: await gateway.token('alice') })).status, 200);
});

test('what a program asks for wrongly gives no code', async () => {
  const back = async more => { const answer = await browser().go(raw().url(more), { stop: () => true }); return answer.location ? Object.fromEntries(new URL(answer.location).searchParams) : answer; };
  assert.equal((await back({ resource: undefined })).error, 'invalid_target');
  assert.equal((await back({ resource: 'https://evil.example/mcp/tickets' })).error, 'invalid_target');
  assert.equal((await back({ resource: `${base}/mcp/a/b` })).error, 'invalid_target');
  assert.equal((await back({ code_challenge_method: 'plain' })).error, 'invalid_request');
  assert.equal((await back({ code_challenge: undefined })).error, 'invalid_request');
  assert.equal((await back({ response_type: 'token' })).error, 'unsupported_response_type');
  assert.equal((await back({ scope: 'a"b' })).error, 'invalid_scope');
  assert.equal((await back({ response_type: 'token' })).iss, gateway.adminUrl);
});

test('a redirect address is exact; a wrong one, or an unknown program, is told to the person alone', async () => {
  for (const redirect of ['http://127.0.0.1:9/callback/', 'http://127.0.0.1:9/other', 'http://localhost:9/callback', 'https://127.0.0.1:9/callback', 'http://127.0.0.1:9@evil.example/callback', 'https://evil.example/callback',
    'http://127.0.0.1:9/callback?x=1', 'http://127.0.0.1:9/callback#x', '']) {
    const answer = await browser().go(raw({ redirect }).url(), { stop: () => true });
    assert.deepEqual([answer.status, answer.location, answer.headers['set-cookie']], [400, undefined, undefined], redirect);
  }
  assert.equal((await browser().go(raw({ redirect: 'http://127.0.0.1:51000/callback' }).url())).status, 200, 'on loopback the port is free');
  assert.equal((await browser().go(raw({ id: 'nobody' }).url(), { stop: () => true })).status, 400);
  assert.equal((await browser().go(raw({ id: 'dcr_00000000000000000000' }).url(), { stop: () => true })).status, 400);
  const reasons = gateway.entries('auth.failed').map(one => one.reason);
  assert.ok(reasons.includes('wrong_redirect') && reasons.includes('unknown_client'));
});

test('no code without the page: a second program gets none from a first one’s consent, nor another browser', async () => {
  await raw().tokens(browser());
  const second = publish('second', document('second'));
  // The provider knows the person still; the page is shown all the same, and names the program.
  const visitor = browser();
  await walk(visitor, raw().url());
  const choice = await visitor.go(raw({ id: second }).url());
  const page = await visitor.go(Browser.link(choice, 'corp'));
  assert.match(page.body, /May this program act as you/);
  assert.ok(page.body.includes(second));
  const { url, fields } = Browser.form(page, '/auth/confirm');
  assert.match((await browser().go(url, { method: 'POST', form: fields })).body, /Begin again/, 'another browser');
  // While the page is open, a link begins another flow in the same browser: the answer is for neither.
  await visitor.go(raw().url());
  const late = await visitor.go(url, { method: 'POST', form: fields });
  assert.equal(Browser.leadsTo(late), null);
  assert.match(late.body, /Begin again/);
  const cross = await visitor.go(url, { method: 'POST', form: fields, headers: { origin: 'https://evil.example' } });
  assert.equal(cross.status, 403);
});

test('the pages cannot be framed, and the cookie is this host’s alone', async () => {
  const visitor = browser();
  const choice = await visitor.go(raw().url());
  const page = await visitor.go(Browser.link(choice, 'corp'));
  for (const one of [choice, page]) assert.match(one.headers['content-security-policy'], /frame-ancestors 'none'/);
  assert.match(choice.headers['set-cookie'][0], /^__Host-.*; Path=\/; HttpOnly; SameSite=Lax; .*Secure/);
});

test('a person who says no sends the program an error and nothing else', async () => {
  const before = gateway.entries('admin.action').filter(one => one.action === 'consent.given').length;
  const { answer } = await walk(browser(), raw().url(), { yes: false });
  assert.deepEqual(answer, { error: 'access_denied', state: 'st', iss: gateway.adminUrl });
  assert.equal(gateway.entries('admin.action').filter(one => one.action === 'consent.given').length, before);
});

test('a program that may not act for this person gets nothing from their yes', async () => {
  const { done, back } = await walk(browser(), raw({ id: 'forbidden' }).url());
  assert.equal(back, null);
  assert.equal(done.status, 403);
});

test('a code is good once, with its verifier, for its program and address; else it costs the sign-in', async () => {
  const fresh = async () => (await walk(browser(), raw0.url())).answer.code;
  let raw0 = raw();
  const first = await fresh();
  const tokens = await raw0.exchange(first);
  assert.equal(tokens.status, 200);
  assert.equal((await raw0.exchange(first)).error, 'invalid_grant');
  assert.equal((await gateway.mcpPost('tickets', initialize, { token: tokens.access_token })).status, 401, 'what the code gave is taken back');
  assert.equal((await raw0.refresh(tokens.refresh_token)).error, 'invalid_grant');
  for (const wrong of [{ code_verifier: 'x'.repeat(43) }, { redirect_uri: 'http://127.0.0.1:10/callback' }, { client_id: 'forbidden' }, { client_id: 'sallyport-cli' }, { resource: `${base}/mcp/strict` }]) {
    raw0 = raw();
    const code = await fresh();
    assert.notEqual((await raw0.exchange(code, wrong)).status, 200, JSON.stringify(wrong));
    assert.notEqual((await raw0.exchange(code)).status, 200, `spent: ${JSON.stringify(wrong)}`);
  }
  assert.equal((await raw().exchange('nonsense')).error, 'invalid_grant');
});

test('a program with a secret shows it, as Basic or in the form', async () => {
  const one = raw({ id: 'conf', redirect: 'https://app.example/cb' });
  const code = async () => (await walk(browser(), one.url())).answer.code;
  const basic = secret => ({ authorization: `Basic ${Buffer.from(`conf:${encodeURIComponent(secret)}`).toString('base64')}` });
  const exchange = async (more, headers) => one.post('/oauth/token', { grant_type: 'authorization_code', code: await code(), redirect_uri: one.redirect, code_verifier: one.verifier, ...more }, headers);
  assert.equal((await exchange({}, basic('a client secret: 50% & more'))).status, 200);
  assert.equal((await exchange({ client_id: 'conf', client_secret: 'a client secret: 50% & more' })).status, 200);
  assert.equal((await exchange({}, basic('wrong'))).error, 'invalid_client');
  assert.equal((await exchange({ client_id: 'conf' })).error, 'invalid_client');
  assert.equal((await exchange({ client_id: 'inspector' }, basic('a client secret: 50% & more'))).error, 'invalid_client', 'two names');
});

test("a service of the SDK's client credentials gets in by its own key, for that target alone", async () => {
  const authProvider = new PrivateKeyJwtProvider({ clientId: 'robot', privateKey: robot.privateKey.export({ type: 'pkcs8', format: 'pem' }), algorithm: 'ES256', expectedIssuer: gateway.adminUrl });
  const client = new Client1({ name: 'robot', version: '1' });
  await client.connect(new Transport1(new URL(gateway.url('tickets')), { authProvider, fetch: gateway.fetch() }));
  assert.equal((await client.callTool({ name: 'slow', arguments: { ms: 1 } })).content[0].text, 'done');
  const { access_token: token } = authProvider.tokens();
  assert.equal((await gateway.mcpPost('strict', initialize, { token })).status, 401, 'bound to the resource that it asked for');
  assert.equal((await gateway.get('/api/whoami', { token })).status, 401);
  await client.close();
  const signed = () => new SignJWT({ jti: String(Math.random()) }).setProtectedHeader({ alg: 'ES256' }).setIssuer('robot').setSubject('robot').setAudience(gateway.adminUrl).setIssuedAt().setExpirationTime('60s').sign(robot.privateKey);
  const ask = async more => raw().post('/oauth/token', { grant_type: 'client_credentials', client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer', client_assertion: await signed(), ...more });
  assert.equal((await ask({ resource: 'https://evil.example/mcp' })).error, 'invalid_target');
  assert.equal((await ask({ resource: `${base}/mcp/tickets`, audience: 'database' })).error, 'invalid_target');
  assert.equal((await ask({ scope: 'tickets.read unknown' })).scope, 'tickets.read');
  // Exchanged for a person's agent, a token is no wider than the person's was.
  const { createPrivateKey } = await import('node:crypto');
  const key = provider.signingKey();
  const person = await new SignJWT({ groups: ['engineers'], scope: 'tickets.read' }).setProtectedHeader({ alg: 'RS256', kid: key.kid, typ: 'at+jwt' }).setIssuer(provider.issuer).setSubject('ada').setAudience('sallyport').setIssuedAt()
    .setExpirationTime('5m').sign(createPrivateKey({ key, format: 'jwk' }));
  const type = 'urn:ietf:params:oauth:token-type:access_token';
  const exchanged = await raw().post('/oauth/token', { grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange', subject_token: person, subject_token_type: type, actor_token: (await ask()).access_token, actor_token_type: type,
    resource: `${base}/mcp/tickets` });
  assert.equal(exchanged.status, 200, JSON.stringify(exchanged));
  const session = await gateway.initialize('tickets', exchanged.access_token);
  assert.equal((await gateway.mcpPost('tickets', call('search_tickets'), { token: exchanged.access_token, session })).status, 200);
  assert.equal((await gateway.mcpPost('tickets', call('write_ticket'), { token: exchanged.access_token, session })).status, 403);
  assert.equal((await gateway.mcpPost('strict', initialize, { token: exchanged.access_token })).status, 401);
});

test('a refresh token comes once; a second time costs everything that came of it', async () => {
  const one = raw({ scope: 'tickets.read tickets.write' });
  const first = await one.tokens(browser());
  const second = await one.refresh(first.refresh_token);
  assert.equal(second.status, 200);
  assert.notEqual(second.refresh_token, first.refresh_token);
  assert.equal(second.scope, 'mcp tickets.read tickets.write');
  const narrow = await one.refresh(second.refresh_token, { scope: 'tickets.read strict.use' });
  assert.equal(narrow.scope, 'mcp tickets.read', 'never more than was allowed');
  assert.equal((await one.refresh(narrow.refresh_token, { resource: `${base}/mcp/strict` })).error, 'invalid_target');
  const wide = await one.refresh(narrow.refresh_token, { resource: `${base}/mcp/tickets` });
  assert.equal(wide.scope, 'mcp tickets.read tickets.write');
  assert.equal((await new RawClient(gateway, { id: 'forbidden' }).refresh(wide.refresh_token)).error, 'invalid_grant', 'another program');
  assert.equal((await one.refresh(first.refresh_token)).error, 'invalid_grant');
  assert.equal((await one.refresh(wide.refresh_token)).error, 'invalid_grant', 'the family is over');
  assert.equal((await gateway.mcpPost('tickets', initialize, { token: wide.access_token })).status, 401);
  assert.ok(gateway.entries('admin.action').some(entry => entry.action === 'token.revoke' && /refresh token came a second time/.test(entry.reason)));
});

test('a token that a program gives back is over', async () => {
  const one = raw();
  const tokens = await one.tokens(browser());
  assert.equal((await one.post('/oauth/revoke', { client_id: 'inspector', token: tokens.refresh_token })).status, 200);
  assert.equal((await gateway.mcpPost('tickets', initialize, { token: tokens.access_token })).status, 401);
  assert.equal((await one.post('/oauth/revoke', { client_id: 'inspector', token: 'unknown' })).status, 200);
});

test('a person sees what they allowed, and takes it back', async () => {
  // The person's own sign-in for the admin API, by the command line's client.
  const cli = new RawClient(gateway, { id: 'sallyport-cli' });
  const api = (await cli.tokens(browser())).access_token;
  const one = raw();
  const tokens = await one.tokens(browser());
  const list = async () => JSON.parse((await gateway.run(['consents', 'ls', '--json'], { token: api })).out);
  const consent = (await list()).find(c => c.client === 'inspector' && c.resource === `${base}/mcp/tickets`);
  assert.ok(consent);
  assert.equal((await gateway.http('DELETE', `${gateway.adminUrl}/api/consents/${consent.id}`, { token: await gateway.token('alice') })).status, 404, 'somebody else’s');
  assert.match((await gateway.run(['consents', 'ls'], { token: api })).out, /inspector .*mcp/);
  assert.equal((await gateway.run(['consents', 'revoke', consent.id], { token: api })).code, 0);
  assert.equal((await gateway.mcpPost('tickets', initialize, { token: tokens.access_token })).status, 401);
  assert.equal((await one.refresh(tokens.refresh_token)).error, 'invalid_grant');
  assert.ok(!(await list()).some(c => c.id === consent.id));
  assert.equal((await gateway.get('/api/whoami', { token: api })).status, 200, 'the person stays');
  assert.deepEqual(gateway.entries('admin.action').filter(e => e.action === 'consent.withdrawn').map(e => e.object), ['inspector']);
});

test('a metadata document that is not what it should be makes no program', async () => {
  const wrong = {
    'another-id': { ...document('x'), client_id: `${documents.origin}/other` }, 'with-secret': document('with-secret', { client_secret: 'x' }), 'plain-redirect': document('plain-redirect', { redirect_uris: ['http://evil.example/callback'] }),
    'not-json': 'x', 'a-list': '[]', 'twice': `{"client_id":"${documents.origin}/twice","client_id":"${documents.origin}/twice","redirect_uris":["http://127.0.0.1/callback"]}`, 'big': JSON.stringify(document('big', { pad: 'x'.repeat(20000) })),
  };
  for (const [name, body] of Object.entries(wrong)) {
    const answer = await browser().go(raw({ id: publish(name, body) }).url(), { stop: () => true });
    assert.ok(answer.status === 400 || answer.status === 503, `${name}: ${answer.status}`);
    assert.equal(answer.headers['set-cookie'], undefined);
  }
  const moved = publish('moved', '', { status: 302, headers: { location: `${documents.origin}/good` } });
  publish('good', document('good'));
  assert.equal((await browser().go(raw({ id: moved }).url(), { stop: () => true })).status, 503, 'redirects are not followed');
  const before = documents.asked.filter(one => one === '/good').length;
  for (let i = 0; i < 3; ++i) await browser().go(raw({ id: `${documents.origin}/good` }).url());
  assert.ok(documents.asked.filter(one => one === '/good').length - before <= 1, 'a document is kept');
});

test('nobody makes the gateway ask its own network', async () => {
  const asked = documents.asked.length;
  for (const id of [`${documents.byAddress}/good`, `https://127.0.0.1:${secretServer.address().port}/a`, 'https://169.254.169.254/latest/meta-data/iam', 'https://elsewhere.example/client', 'https://a.internal.example/x',
    `http://localhost:${secretServer.address().port}/x`, `https://localhost:${new URL(documents.origin).port}@127.0.0.1:${secretServer.address().port}/x`, `${documents.origin}/../good`, `${documents.origin}/good?x=1`]) {
    const answer = await browser().go(raw({ id }).url(), { stop: () => true });
    assert.ok(answer.status === 400 || answer.status === 503, `${id}: ${answer.status}`);
  }
  assert.deepEqual(seen, []);
  assert.equal(documents.asked.length, asked);
});
