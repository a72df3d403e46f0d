// Whom the gateway is to an MCP server: tokens of the server's own authorization server (for itself, and for each person), AWS signatures, client
// certificates. In front of a real MCP server stands a guard that looks at each request as such servers do.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, createHmac, generateKeyPairSync } from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import path from 'node:path';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { Gateway, folder, until } from '../lib/gateway.mjs';
import { Browser } from '../lib/browser.mjs';
import { RawClient, walk } from '../lib/oauth_person.mjs';
import { start as startOAuth } from '../fixtures/oauth_server.mjs';
import { start as startProvider } from '../fixtures/sign_in_provider.mjs';
import { startTickets } from '../fixtures/tickets_server.mjs';

/** An HTTP server that lets `judge(request, body)` look, and passes on to the MCP server what it takes. */
async function guard(behind, judge, { tls } = {}) {
  const seen = [];
  const handle = async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const verdict = await judge(request, body);
    seen.push({ method: request.method, url: request.url, headers: request.headers, body: body.toString(), verdict, rpc: body.length ? JSON.parse(body).method : undefined });
    if (verdict.answer) return response.writeHead(verdict.status ?? 200, { 'content-type': 'application/json' }).end(JSON.stringify(verdict.answer));
    if (verdict.status) return response.writeHead(verdict.status).end();
    const passed = http.request(behind.url, { method: request.method, headers: { ...request.headers, host: new URL(behind.url).host, authorization: 'Bearer upstream-secret' } }, answer => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    passed.on('error', () => response.destroy());
    response.on('close', () => passed.destroy());
    passed.end(body);
  };
  const server = tls ? https.createServer(tls, handle) : http.createServer(handle);
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
  const origin = `${tls ? 'https' : 'http'}://127.0.0.1:${server.address().port}`;
  return { seen, origin, url: `${origin}/mcp`, calls: () => seen.filter(one => one.rpc === 'tools/call'), close: () => new Promise(resolve => { server.closeAllConnections(); server.close(resolve); }) };
}

const AWS = { key: 'AKIDEXAMPLE', secret: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' };
/** What AWS does with a signature, written from its documentation. */
function judgeSignature(request, body, keys) {
  const said = /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/.exec(request.headers.authorization ?? '');
  if (!said) return { status: 403, why: 'no signature' };
  const [, id, day, region, service, names, signature] = said;
  const known = keys[id];
  if (!known || (known.token && request.headers['x-amz-security-token'] !== known.token)) return { status: 403, why: 'unknown key' };
  const hash = data => createHash('sha256').update(data).digest('hex'), mac = (key, data) => createHmac('sha256', key).update(data).digest();
  if (request.headers['x-amz-content-sha256'] !== hash(body)) return { status: 403, why: 'body' };
  for (const needed of ['host', 'x-amz-date', 'x-amz-content-sha256', ...(known.token ? ['x-amz-security-token'] : [])]) if (!names.split(';').includes(needed)) return { status: 403, why: needed };
  const [pathname, query = ''] = request.url.split('?');
  const canonical = [request.method, pathname, query, ...names.split(';').map(name => `${name}:${request.headers[name]}`), '', names, hash(body)].join('\n');
  const text = ['AWS4-HMAC-SHA256', request.headers['x-amz-date'], `${day}/${region}/${service}/aws4_request`, hash(canonical)].join('\n');
  const key = mac(mac(mac(mac('AWS4' + known.secret, day), region), service), 'aws4_request');
  return mac(key, text).toString('hex') === signature ? { id, region, service } : { status: 403, why: 'signature' };
}

let moved;
let gateway, provider, tickets, oauth, rotated, people, guards = {}, platform, alice, keys, roles, expires, inner, innerSeen = 0;
before(async () => {
  // Something of the gateway's own network that nobody outside may make it talk to.
  inner = net.createServer(socket => { ++innerSeen; socket.destroy(); });
  await new Promise(resolve => inner.listen(0, '127.0.0.1', resolve));
  [provider, tickets, oauth, rotated, people] = await Promise.all([startProvider(), startTickets(), startOAuth(), startOAuth({ life: 3600 }), startOAuth()]);
  provider.people.cara = { groups: ['engineers'], email: 'cara@example.com', email_verified: true, name: 'Cara' };
  for (const name of ['dora', 'edna']) provider.people[name] = { groups: ['engineers'], email: `${name}@example.com`, email_verified: true, name };
  provider.people.ben = { groups: ['engineers'], email: 'ben@example.com', email_verified: true, name: 'Ben' };
  const takes = server => request => {
    const token = /^Bearer (.*)$/.exec(request.headers.authorization ?? '')?.[1];
    const known = server.live.get(token);
    return known ? { ...known, token } : { status: 401, token };
  };
  const dir = folder('sallyport-upstream-');
  const openssl = (...args) => execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'], cwd: dir });
  const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  openssl('req', '-x509', ...KEY, '-keyout', 'server.key', '-out', 'server.pem', '-days', '2', '-subj', '/CN=server', '-addext', 'subjectAltName=IP:127.0.0.1');
  openssl('req', '-x509', ...KEY, '-keyout', 'client.key', '-out', 'client.pem', '-days', '2', '-subj', '/CN=sallyport');
  const file = name => fs.readFileSync(path.join(dir, name));
  guards.own = await guard(tickets, takes(oauth));
  guards.fickle = await guard(tickets, takes(rotated));
  guards.people = await guard(tickets, takes(people));
  // A server that names its own authorization server, and one that names what is not for it to name.
  guards.selfless = await guard(tickets, request => request.url.startsWith('/.well-known/oauth-protected-resource') ? { answer: { resource: guards.selfless.url, authorization_servers: [oauth.issuer] } } : takes(oauth)(request));
  guards.moving = await guard(tickets, request => request.url.startsWith('/.well-known/oauth-protected-resource') ? { answer: { resource: guards.moving.url, authorization_servers: [moved ?? people.issuer] } } : takes(people)(request));
  guards.evil = await guard(tickets, request => request.url.startsWith('/.well-known/oauth-protected-resource') ? { answer: { resource: guards.evil.url, authorization_servers: [`https://localhost:${inner.address().port}`] } } : { status: 401 });
  guards.tls = await guard(tickets, request => ({ client: request.socket.getPeerCertificate().subject?.CN }), { tls: { key: file('server.key'), cert: file('server.pem'), ca: [file('client.pem')], requestCert: true, rejectUnauthorized: true } });
  roles = { [AWS.key]: { secret: AWS.secret }, ASIAROLE: { secret: 'role secret', token: 'role/token==' }, ASIATASK: { secret: 'task', token: 'task-token' }, ASIAWEB: { secret: 'web', token: 'web-token' } };
  guards.aws = await guard(tickets, (request, body) => judgeSignature(request, body, roles));
  expires = () => new Date(Date.now() + 3600_000).toISOString().replace(/\.\d+Z/, 'Z');
  // IMDSv2, the container's endpoint and STS in one.
  platform = await (async () => {
    const asked = [];
    const give = id => JSON.stringify({ Code: 'Success', AccessKeyId: id, SecretAccessKey: roles[id].secret, Token: roles[id].token, Expiration: expires() });
    const server = http.createServer(async (request, response) => {
      let text = '';
      for await (const chunk of request) text += chunk;
      asked.push(`${request.method} ${request.url}`);
      if (request.url === '/latest/api/token') return request.method === 'PUT' && request.headers['x-aws-ec2-metadata-token-ttl-seconds'] ? response.end('imds-session') : response.writeHead(405).end();
      if (request.url.startsWith('/latest/')) {
        if (request.headers['x-aws-ec2-metadata-token'] !== 'imds-session') return response.writeHead(401).end();
        return response.end(request.url.endsWith('/security-credentials/') ? 'the-role' : request.url.endsWith('/the-role') ? give('ASIAROLE') : '');
      }
      if (request.url === '/task') return request.headers.authorization === 'pod token' ? response.end(give('ASIATASK')) : response.writeHead(401).end();
      const form = Object.fromEntries(new URLSearchParams(text));
      if (form.Action !== 'AssumeRoleWithWebIdentity' || form.WebIdentityToken !== 'platform.jwt' || form.RoleArn !== 'arn:aws:iam::1:role/x') return response.writeHead(403).end();
      response.end(`<AssumeRoleWithWebIdentityResponse><Credentials><AccessKeyId>ASIAWEB</AccessKeyId><SecretAccessKey>web</SecretAccessKey><SessionToken>web-token</SessionToken><Expiration>${expires()}</Expiration></Credentials></AssumeRoleWithWebIdentityResponse>`);
    });
    await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
    return { asked, origin: `http://127.0.0.1:${server.address().port}`, close: () => new Promise(resolve => { server.closeAllConnections(); server.close(resolve); }) };
  })();
  keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  oauth.publicKey = keys.publicKey;
  fs.writeFileSync(path.join(dir, 'token'), 'platform.jwt\n');
  const client = 'client: { id: gateway, secret: { file: as.secret } }';
  const aws = more => `{ aws: { service: bedrock-agentcore, region: eu-central-1, ${more} } }`;
  gateway = new Gateway({
    users: { alice: ['engineers'], bob: ['engineers'] },
    files: { 'as.secret': oauth.secret, 'as.key': keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).trim(), 'aws.id': AWS.key, 'aws.secret': AWS.secret },
    env: { CORP_SECRET: provider.secret, AWS_CONTAINER_CREDENTIALS_FULL_URI: `${platform.origin}/task`, AWS_CONTAINER_AUTHORIZATION_TOKEN: 'pod token' },
    targets: {
      basic: { url: guards.own.url, credential: `{ oauth: { issuer: "${oauth.issuer}", ${client}, scopes: [read, write] } }` },
      post: { url: guards.own.url, credential: `{ oauth: { token_endpoint: "${oauth.issuer}/token", client: { id: gateway, secret: { file: as.secret }, auth: client_secret_post }, resource: "https://named.example/" } }` },
      jwt: { url: guards.own.url, credential: `{ oauth: { issuer: "${oauth.issuer}", client: { id: gateway, key: { file: as.key }, key_id: k1 } } }` },
      selfless: { url: guards.selfless.url, credential: `{ oauth: { client: { id: gateway, key: { file: as.key }, key_id: k1 }, private_hosts: ["127.0.0.1"] } }` },
      moving: { url: guards.moving.url, credential: `{ oauth: { grant: authorization_code, client: { id: gateway, key: { file: as.key }, key_id: k1 }, private_hosts: ["127.0.0.1"] } }` },
      unnamed: { url: guards.selfless.url, credential: `{ oauth: { ${client}, private_hosts: ["127.0.0.1"] } }` },
      evil: { url: guards.evil.url, credential: `{ oauth: { ${client} } }` },
      fickle: { url: guards.fickle.url, credential: `{ oauth: { issuer: "${rotated.issuer}", ${client} } }` },
      wrong: { url: guards.own.url, credential: `{ oauth: { issuer: "${oauth.issuer}", client: { id: gateway, secret: { file: password.hash } } } }` },
      mine: { url: guards.people.url, credential: `{ oauth: { grant: authorization_code, issuer: "${people.issuer}", ${client}, scopes: [read] } }` },
      secret: { url: guards.people.url, labels: { env: 'hidden' }, credential: `{ oauth: { grant: authorization_code, issuer: "${people.issuer}", ${client} } }` },
      certificate: { url: guards.tls.url, credential: `{ certificate: { file: ${path.join(dir, 'client.pem')} }, key: { file: ${path.join(dir, 'client.key')} } }`, extra: `ca: ${path.join(dir, 'server.pem')}` },
      keys: { url: `${guards.aws.url}`, credential: aws('access_key: { file: aws.id }, secret_key: { file: aws.secret }') },
      instance: { url: guards.aws.url, credential: aws(`from: instance, endpoint: "${platform.origin}"`) },
      container: { url: guards.aws.url, credential: aws('from: container') },
      web: { url: guards.aws.url, credential: aws(`from: web_identity, role: "arn:aws:iam::1:role/x", token_file: ${path.join(dir, 'token')}, endpoint: "${platform.origin}"`) },
    },
    policy: `- { id: engineers, allow: { who: "group:engineers", target: { env: prod } } }`,
    more: { gateway: 'workers: 2', identity: `oidc:
  - issuer: ${provider.issuer}
    audience: sallyport
    name: corp
    client: { id: sallyport, secret: { env: CORP_SECRET }, scopes: [openid, profile, email] }` },
  });
  await gateway.start();
  provider.connect({ callback: `${gateway.adminUrl}/auth/callback/corp`, fetch: gateway.fetch() });
  alice = await gateway.token('alice');
});
after(async () => {
  const code = await gateway?.stop();
  const verified = gateway?.verify();
  inner?.close();
  await Promise.all([provider?.stop(), oauth?.stop(), rotated?.stop(), people?.stop(), platform?.close(), tickets?.close(), ...Object.values(guards).map(one => one.close())]);
  assert.equal(code, 0);
  assert.equal(verified.code, 0, verified.out);
});
const browser = () => new Browser({ ca: gateway.ca });
const message = (name, args = {}) => ({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: args } });
const json = answer => JSON.parse(answer.headers['content-type'].startsWith('text/event-stream') ? answer.body.split('\n').findLast(l => l.startsWith('data: {')).slice(6) : answer.body);
async function call(target, token = alice) {
  const session = await gateway.initialize(target, token);
  return json(await gateway.mcpPost(target, message('slow', { ms: 1 }), { token, session }));
}
const first = async (target, token = alice) => json(await gateway.mcpPost(target, { jsonrpc: '2.0', id: 0, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'raw', version: '1' } } }, { token }));
const done = answer => assert.equal(answer.result?.content[0].text, 'done', JSON.stringify(answer));

test('client credentials: by Basic, in the form, by a signed assertion; with scopes and resource', async () => {
  for (const [target, how, resource] of [['basic', 'client_secret_basic', guards.own.url], ['post', 'client_secret_post', 'https://named.example/'], ['jwt', 'private_key_jwt', guards.own.url]]) {
    const before = oauth.requests.length;
    done(await call(target));
    const asked = oauth.requests.slice(before);
    assert.equal(asked.length, 1, `${target}: one token for a session of many requests`);
    assert.deepEqual([asked[0].how, asked[0].form.resource, asked[0].form.grant_type], [how, resource, 'client_credentials']);
    if (target === 'basic') assert.equal(asked[0].form.scope, 'read write');
  }
  const before = oauth.requests.length;
  done(await call('basic', await gateway.token('bob')));
  assert.equal(oauth.requests.length, before, 'kept, and shared by people and workers');
  const sent = guards.own.seen.map(one => one.headers.authorization);
  for (const one of sent) assert.ok(one.startsWith('Bearer at-client-') && !one.includes(alice));
});

test('a server that names its authorization server is believed within limits', async () => {
  done(await call('selfless'));
  const asked = oauth.requests.length;
  assert.match((await first('unnamed')).error.message, /set issuer or token_endpoint/);
  assert.equal(oauth.requests.length, asked, 'a secret goes to nobody whom only the target names');
  const answer = await first('evil');
  assert.match(answer.error.message, /cannot be reached/);
  assert.equal(guards.evil.calls().length, 0);
  assert.equal(innerSeen, 0, 'an address that a target names is not even connected to when it is not a public one');
});

test('a token that the target refuses is got anew, once', async () => {
  done(await call('fickle'));
  const session = await gateway.initialize('fickle', alice);
  rotated.live.clear();
  const [asked, seen] = [rotated.requests.length, guards.fickle.calls().length];
  done(json(await gateway.mcpPost('fickle', message('slow', { ms: 1 }), { token: alice, session })));
  assert.equal(rotated.requests.length, asked + 1);
  assert.deepEqual(guards.fickle.calls().slice(seen).map(one => one.verdict.status), [401, undefined]);
  // A target that takes no token at all is asked twice, not for ever.
  const give = rotated.live.set;
  rotated.live.clear();
  rotated.live.set = () => rotated.live;
  const before = guards.fickle.calls().length;
  const refused = json(await gateway.mcpPost('fickle', message('slow', { ms: 1 }), { token: alice, session }));
  rotated.live.set = give;
  assert.match(JSON.stringify(refused), /refuses the token/);
  assert.equal(guards.fickle.calls().length, before + 2);
});

test('an authorization server that refuses is an error that names it, and nothing reaches the target', async () => {
  const before = guards.own.seen.length;
  const answer = await first('wrong');
  assert.match(answer.error.message, /invalid_client/);
  assert.equal(guards.own.seen.length, before);
  assert.ok(!JSON.stringify(answer).includes('$argon2id$'));
});

test('short tokens are renewed before they end', async () => {
  rotated.life = 1;
  rotated.live.clear();
  const session = await gateway.initialize('fickle', alice);
  const before = rotated.requests.length;
  await until(async () => { done(json(await gateway.mcpPost('fickle', message('slow', { ms: 1 }), { token: alice, session }))); return rotated.requests.length > before; }, 'another token');
  rotated.life = 3600;
});

/** A person of the provider: what their browser is, and a token for MCP and for the API. */
async function person(name) {
  provider.who = name;
  const visitor = browser();
  const cli = new RawClient(gateway, { id: 'sallyport-cli' });
  const api = (await cli.tokens(visitor)).access_token;
  const derive = async (more = {}) => JSON.parse((await gateway.http('POST', `${gateway.adminUrl}/api/tokens/derive`, { token: api, body: JSON.stringify({ door: 'mcp', ...more }), headers: { 'content-type': 'application/json' } })).body).token;
  return { visitor, api, token: await derive(), agent: await derive({ agent: 'bot' }) };
}
async function connect(visitor, target = 'mine') {
  const { page, back } = await walk(visitor, `${gateway.adminUrl}/connect/${target}`);
  return back ? visitor.go(back) : page;
}

test('a person connects their account, and only their own calls use it', async () => {
  const ada = await person('ada');
  people.who = 'ada';
  const refused = await first('mine', ada.token);
  assert.ok(refused.error.message.includes(`${gateway.adminUrl}/connect/mine`), refused.error.message);
  assert.equal(guards.people.seen.length, 0, 'nothing was sent');
  const connected = await connect(ada.visitor);
  assert.match(connected.body, /is connected/);
  assert.equal(people.authorize.resource, guards.people.url);
  assert.equal(people.authorize.code_challenge_method, 'S256');
  assert.equal(people.authorize.redirect_uri, `${gateway.adminUrl}/connect/mine/callback`);
  // The refusal is remembered for some seconds, no longer.
  done(await until(async () => { const answer = await first('mine', ada.token); return answer.result && call('mine', ada.token); }, 'the connected account'));
  done(await call('mine', ada.agent));
  assert.ok(guards.people.calls().every(one => one.verdict.kind === 'ada'));
  const ben = await person('ben');
  assert.ok((await first('mine', ben.token)).error.message.includes('/connect/mine'), "ben does not get ada's");
  people.who = 'ben';
  assert.match((await connect(ben.visitor)).body, /is connected/);
  done(await until(async () => { const answer = await first('mine', ben.token); return answer.result && call('mine', ben.token); }, "ben's account"));
  assert.equal(guards.people.calls().at(-1).verdict.kind, 'ben');
  const list = async who => JSON.parse((await gateway.get('/api/connections', { token: who.api })).body).connections.map(one => one.target);
  assert.deepEqual(await list(ada), ['mine']);
  // Refused once: renewed with the refresh token, which comes once.
  people.live.clear();
  done(await call('mine', ada.token));
  assert.equal(people.requests.at(-1).form.grant_type, 'refresh_token');
  // Ended by the person: here, and at the server.
  assert.match((await gateway.run(['connections', 'ls'], { token: ada.api })).out, /^mine /m);
  assert.equal((await gateway.run(['connections', 'end', 'mine'], { token: ada.api })).code, 0);
  assert.equal(people.revoked.length, 1);
  assert.ok((await first('mine', ada.token)).error.message.includes('/connect/mine'));
  assert.deepEqual(await list(ada), []);
  assert.deepEqual(await list(ben), ['mine']);
  // The server no longer renews: the connection is over, and said so.
  people.live.clear();
  people.refreshes.clear();
  assert.match((await first('mine', ben.token)).error.message, /has ended.*\/connect\/mine/);
  assert.deepEqual(await list(ben), []);
  const entries = gateway.entries('admin.action').filter(one => one.action?.startsWith('upstream.')).map(one => [one.action, one.subject, one.object]);
  assert.deepEqual(entries, [['upstream.connected', 'ada', 'mine'], ['upstream.connected', 'ben', 'mine'], ['upstream.disconnected', 'ada', 'mine'], ['upstream.disconnected', 'ben', 'mine']]);
  const database = fs.readFileSync(path.join(gateway.dir, 'state/state.db')), journal = path.join(gateway.dir, 'state/state.db-wal');
  const bytes = Buffer.concat([database, fs.existsSync(journal) ? fs.readFileSync(journal) : Buffer.alloc(0)]).toString('latin1');
  assert.ok(!bytes.includes('rt-') && !bytes.includes('at-ada'), 'sealed at rest');
});

test('what one server gave is shown to no other, whoever the target names later', async () => {
  people.publicKey = keys.publicKey;
  const ada = await person('ada');
  people.who = 'ada';
  assert.match((await connect(ada.visitor, 'moving')).body, /is connected/);
  done(await until(async () => { const answer = await first('moving', ada.token); return answer.result && call('moving', ada.token); }, 'the connected account'));
  moved = rotated.issuer;
  assert.equal((await gateway.reload()).event, 'reloaded');
  people.live.clear();
  const [here, there] = [people.requests.length, rotated.requests.length];
  assert.match((await first('moving', ada.token)).error.message, /has ended.*\/connect\/moving/);
  assert.deepEqual([people.requests.length, rotated.requests.length], [here, there], 'the refresh token went nowhere');
  // A code, too, is for the server that the person was sent to.
  moved = undefined;
  assert.equal((await gateway.reload()).event, 'reloaded');
  const { back } = await walk(ada.visitor, `${gateway.adminUrl}/connect/moving`);
  const at = await ada.visitor.go(back, { stop: next => next.startsWith(gateway.adminUrl) });
  moved = rotated.issuer;
  assert.equal((await gateway.reload()).event, 'reloaded');
  const url = new URL(at.location);
  url.searchParams.delete('iss');
  assert.doesNotMatch((await ada.visitor.go(url.href)).body, /is connected/);
  assert.equal(rotated.requests.length, there);
  moved = undefined;
});

test('a client of either era is told where to connect', async () => {
  const cara = await person('cara');
  for (const mode of ['auto', 'legacy']) {
    const client = new Client({ name: 'sdk2', version: '1' }, mode === 'auto' ? { versionNegotiation: { mode } } : {});
    const transport = new StreamableHTTPClientTransport(new URL(gateway.url('mine')), { requestInit: { headers: { Authorization: `Bearer ${cara.token}` } }, fetch: gateway.fetch() });
    await assert.rejects(client.connect(transport), error => error.message.includes(`${gateway.adminUrl}/connect/mine`), mode);
    await client.close();
  }
});

test('a client that opens URLs is led there: by a request for input, or by the error of its revision', async () => {
  const [dora, edna] = [await person('dora'), await person('edna')];
  const page = `${gateway.adminUrl}/connect/mine`;
  const version = '2026-07-28', able = { elicitation: { url: {} } };
  const modern = async (capabilities, method = 'tools/call', more = {}) => {
    const params = { ...(method === 'tools/call' ? { name: 'slow', arguments: { ms: 1 } } : {}), ...more, _meta: { 'io.modelcontextprotocol/protocolVersion': version, 'io.modelcontextprotocol/clientCapabilities': capabilities, 'io.modelcontextprotocol/clientInfo': { name: 'led', version: '1' } } };
    return json(await gateway.mcpPost('mine', { jsonrpc: '2.0', id: 1, method, params }, { token: dora.token, headers: { 'mcp-protocol-version': version, 'mcp-method': method, ...(params.name ? { 'mcp-name': params.name } : {}) } }));
  };
  const before = guards.people.seen.length;
  const { result } = await modern(able);
  assert.equal(result?.resultType, 'input_required', JSON.stringify(result));
  const [asked] = Object.entries(result.inputRequests);
  assert.deepEqual([asked[1].method, asked[1].params.mode, asked[1].params.url], ['elicitation/create', 'url', page]);
  for (const [what, answer] of [['a form only', await modern({ elicitation: {} })], ['nothing', await modern({})], ['no request that may ask', await modern(able, 'tools/list')]]) assert.ok(answer.error.message.includes(page), `${what}: ${JSON.stringify(answer)}`);

  const legacy = async (capabilities, protocolVersion = '2025-11-25') => json(await gateway.mcpPost('mine', { jsonrpc: '2.0', id: 7, method: 'initialize', params: { protocolVersion, capabilities, clientInfo: { name: 'led', version: '1' } } }, { token: edna.token }));
  const { error, id } = await legacy(able);
  assert.deepEqual([id, error.code, error.data.elicitations.length], [7, -32042, 1]);
  const { mode, url, elicitationId, message: text } = error.data.elicitations[0];
  assert.deepEqual([mode, url, /^eli_/.test(elicitationId), /not connected/.test(text)], ['url', page, true, true]);
  for (const [capabilities, revision] of [[{}, '2025-11-25'], [{ elicitation: {} }, '2025-11-25'], [able, '2025-06-18']]) {
    const { error: words } = await legacy(capabilities, revision);
    assert.ok(words.code !== -32042 && words.message.includes(page), JSON.stringify(words));
  }
  assert.equal(guards.people.seen.length, before, 'nothing was sent');

  people.who = 'dora';
  assert.match((await connect(dora.visitor)).body, /is connected/);
  const retried = await until(async () => { const answer = await modern(able, 'tools/call', { requestState: result.requestState, inputResponses: { [asked[0]]: { action: 'accept' } } }); return answer.result?.content && answer; }, 'the connected account');
  assert.equal(retried.result.content[0].text, 'done');
  assert.equal((await modern(able, 'tools/call', { arguments: { ms: 2 }, requestState: result.requestState, inputResponses: {} })).error.code, -32602, 'the state of another call');
});

test('a connection counts only in the browser and for the target that began it', async () => {
  const ada = await person('ada');
  people.who = 'ada';
  const begin = async visitor => (await walk(visitor, `${gateway.adminUrl}/connect/mine`)).back;
  const answered = async (visitor, change) => {
    const at = await visitor.go(await begin(visitor), { stop: next => next.startsWith(gateway.adminUrl) });
    const url = new URL(at.location);
    change?.(url);
    return url.href;
  };
  assert.equal((await browser().go(await answered(ada.visitor))).status, 403, 'another browser');
  assert.equal((await ada.visitor.go(await answered(ada.visitor, url => url.searchParams.set('state', 'x')))).status, 403);
  assert.equal((await ada.visitor.go(await answered(ada.visitor, url => url.searchParams.set('iss', 'https://evil.example')))).status, 403, 'mix-up');
  assert.equal((await ada.visitor.go(await answered(ada.visitor, url => url.searchParams.delete('iss')))).status, 403, 'its server always says who it is');
  assert.equal((await ada.visitor.go(await answered(ada.visitor, url => { url.pathname = '/connect/secret/callback'; }))).status, 403, 'another target');
  const once = await answered(ada.visitor);
  assert.match((await ada.visitor.go(once)).body, /is connected/);
  assert.equal((await ada.visitor.go(once)).status, 403, 'once');
});

test('targets that are not there, and those that are not for you, are one page', async () => {
  const ada = await person('ada');
  const pages = [];
  for (const target of ['secret', 'nowhere', 'basic']) {
    const { done: page } = await walk(ada.visitor, `${gateway.adminUrl}/connect/${target}`);
    pages.push([page.status, page.body]);
  }
  assert.equal(pages[0][0], 404);
  assert.deepEqual(pages[0], pages[1]);
  assert.deepEqual(pages[0], pages[2]);
});

test('a client certificate is shown', async () => {
  done(await call('certificate'));
  assert.deepEqual([...new Set(guards.tls.seen.map(one => one.verdict.client))], ['sallyport']);
});

test('AWS: every request is signed, with keys of the configuration and of each kind of role', async () => {
  for (const [target, id] of [['keys', AWS.key], ['instance', 'ASIAROLE'], ['container', 'ASIATASK'], ['web', 'ASIAWEB']]) {
    const before = guards.aws.seen.length;
    done(await call(target));
    const seen = guards.aws.seen.slice(before);
    assert.ok(seen.length >= 2);
    for (const one of seen) assert.deepEqual(one.verdict, { id, region: 'eu-central-1', service: 'bedrock-agentcore' }, one.verdict.why);
  }
  const before = platform.asked.length;
  done(await call('container'));
  assert.ok(platform.asked.length - before <= 1, 'keys are kept, by each worker');
});
