// Provisioning: who the identity provider says has left is out, with what they have open, within seconds.
import test, { before, after } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { Gateway, until } from '../lib/gateway.mjs';
import { start as startIssuer } from '../fixtures/oidc_provider.mjs';
import { startTickets } from '../fixtures/tickets_server.mjs';

const SECRET = 'scim-secret-0123456789-0123456789-0123';
let issuer, tickets, gateway;
before(async () => {
  issuer = await startIssuer();
  tickets = await startTickets();
  gateway = new Gateway({
    tls: false, targets: { tickets: { url: tickets.url } }, policy: '- { id: engineers, allow: { who: "group:engineers" } }',
    more: { identity: `oidc: [ { issuer: "${issuer.issuer}", audience: sallyport, name: corp } ]\nscim: [ { name: okta, token: { file: scim.token }, provider: corp }, { name: other, token: { file: other.token }, issuer: "https://other.example", subject: userName } ]` },
  });
  fs.writeFileSync(path.join(gateway.dir, 'scim.token'), SECRET + '\n');
  fs.writeFileSync(path.join(gateway.dir, 'other.token'), 'x'.repeat(40) + '\n');
  await gateway.start();
});
after(async () => {
  assert.equal(await gateway.stop(), 0);
  const { code, out } = gateway.verify();
  assert.equal(code, 0, out);
  await Promise.all([issuer.stop(), tickets.close()]);
});

async function scim(method, where, body, token = SECRET) {
  const answer = await gateway.http(method, `${gateway.adminUrl}/scim/v2/${where}`, { token, ...(body ? { body: JSON.stringify(body), headers: { 'content-type': 'application/scim+json' } } : {}) });
  return { status: answer.status, body: answer.body ? JSON.parse(answer.body) : null, type: answer.headers['content-type'] };
}
const user = (name, more = {}) => scim('POST', 'Users', { schemas: ['urn:ietf:params:scim:schemas:core:2.0:User'], userName: `${name}@example.com`, externalId: name, active: true, ...more });
const jwt = (sub, groups = ['engineers']) => issuer.token({ sub, groups });
/** A session whose stream stays open: resolves when the gateway closes it. */
async function listening(token) {
  const session = await gateway.initialize('tickets', token);
  await gateway.mcpPost('tickets', { jsonrpc: '2.0', method: 'notifications/initialized' }, { token, session });
  const { default: http } = await import('node:http');
  return new Promise((resolve, reject) => {
    const request = http.get(gateway.url('tickets'), { agent: false, headers: { authorization: `Bearer ${token}`, accept: 'text/event-stream', 'mcp-session-id': session, 'mcp-protocol-version': '2025-11-25' } }, response => {
      assert.equal(response.statusCode, 200);
      response.resume();
      resolve({ ended: new Promise(done => response.on('close', done)) });
    });
    request.on('error', reject);
  });
}
const within = (promise, ms) => Promise.race([promise, new Promise((_, reject) => setTimeout(() => reject(new Error(`not within ${ms} ms`)), ms))]);

test('a leaver is out within five seconds, open streams and all, and stays out', async () => {
  const made = await user('ada');
  assert.equal(made.status, 201);
  assert.match(made.type, /scim\+json/);
  const group = await scim('POST', 'Groups', { displayName: 'engineers', members: [{ value: made.body.id }] });
  assert.equal(group.status, 201, JSON.stringify(group.body));
  const token = await jwt('ada');
  const { ended } = await listening(token);
  const from = Date.now();
  const gone = await scim('PATCH', `Users/${made.body.id}`, { schemas: ['urn:ietf:params:scim:api:messages:2.0:PatchOp'], Operations: [{ op: 'Replace', path: 'active', value: 'False' }] });
  assert.equal(gone.status, 200);
  assert.equal(gone.body.active, false);
  await within(ended, 5000);
  assert.ok(Date.now() - from < 5000);
  await assert.rejects(gateway.initialize('tickets', token), /401/);
  await assert.rejects(gateway.initialize('tickets', await jwt('ada')), /401/);
  const close = await until(() => gateway.entries('session.close').find(entry => /may not come any more/.test(entry.reason ?? '')), 'the session is closed in the record');
  assert.ok(close);
});

test('who comes back begins anew: what they had before stays taken back', async () => {
  const made = await user('fay');
  const active = value => scim('PATCH', `Users/${made.body.id}`, { Operations: [{ op: 'replace', value: { active: value } }] });
  const before = await jwt('fay');
  assert.equal((await gateway.get('/api/whoami', { token: before })).status, 200);
  await active(false);
  await new Promise(resolve => setTimeout(resolve, 1100 - Date.now() % 1000));  // a JWT's iat has whole seconds
  await active(true);
  assert.equal((await gateway.get('/api/whoami', { token: before })).status, 401);
  assert.equal((await gateway.get('/api/whoami', { token: await jwt('fay') })).status, 200);
});

test('SCIM says the groups, whatever a token says; taking one away ends what it let in', async () => {
  const made = await user('bea');
  const token = await jwt('bea', ['engineers']);
  // Provisioned and in no group: the token's own claim is not heard.
  assert.deepEqual(JSON.parse((await gateway.get('/api/whoami', { token })).body).groups, []);
  const found = await scim('GET', `Groups?filter=${encodeURIComponent('displayName eq "engineers"')}`);
  assert.equal(found.body.totalResults, 1);
  const id = found.body.Resources[0].id;
  await scim('PATCH', `Groups/${id}`, { Operations: [{ op: 'add', path: 'members', value: [{ value: made.body.id }] }] });
  assert.deepEqual(JSON.parse((await gateway.get('/api/whoami', { token })).body).groups, ['engineers']);
  const { ended } = await listening(token);
  await scim('PATCH', `Groups/${id}`, { Operations: [{ op: 'remove', path: `members[value eq "${made.body.id}"]` }] });
  await within(ended, 5000);
  await until(() => gateway.entries('session.close').find(entry => /no longer in group engineers/.test(entry.reason ?? '')), 'the reason is on record');
});

test('a group that is renamed or deleted takes its members with it', async () => {
  const made = await user('cho');
  const group = await scim('POST', 'Groups', { displayName: 'leads', members: [{ value: made.body.id }] });
  const token = await jwt('cho');
  const groups = async () => JSON.parse((await gateway.get('/api/whoami', { token })).body).groups;
  assert.deepEqual(await groups(), ['leads']);
  await scim('PUT', `Groups/${group.body.id}`, { displayName: 'bosses', members: [{ value: made.body.id }] });
  assert.deepEqual(await groups(), ['bosses']);
  assert.equal((await scim('DELETE', `Groups/${group.body.id}`)).status, 204);
  assert.deepEqual(await groups(), []);
  assert.equal((await scim('DELETE', `Users/${made.body.id}`)).status, 204);
  assert.equal((await gateway.get('/api/whoami', { token })).status, 401);
  assert.equal((await scim('GET', `Users/${made.body.id}`)).status, 404);
});

test('a name that a sign-in and SCIM say at once is the one that SCIM says', async () => {
  const made = await user('gil');
  const token = await jwt('gil');
  // Many at once: each token's first use is no excuse, and the last word is the leaver's.
  const uses = Promise.all(Array.from({ length: 20 }, () => gateway.get('/api/whoami', { token })));
  const left = await scim('PATCH', `Users/${made.body.id}`, { Operations: [{ op: 'replace', value: { active: false } }] });
  await uses;
  assert.equal(left.status, 200);
  assert.equal((await gateway.get('/api/whoami', { token })).status, 401);
});

test('it survives a restart', async () => {
  await user('dan', { active: false });
  const token = await jwt('dan');
  assert.equal((await gateway.get('/api/whoami', { token })).status, 401);
  gateway.keepPorts();
  assert.equal(await gateway.stop(), 0);
  await gateway.start();
  assert.equal((await gateway.get('/api/whoami', { token })).status, 401);
});

test('errors are those that provisioning clients know', async () => {
  await user('eve');
  const twice = await user('eve');
  assert.equal(twice.status, 409);
  assert.equal(twice.body.scimType, 'uniqueness');
  const same = await user('eve2', { externalId: 'eve' });
  assert.equal(same.status, 409, 'two users would be one person');
  const foreign = await scim('POST', 'Groups', { displayName: 'x', members: [{ value: 'nobody' }] });
  assert.equal(foreign.status, 400);
  assert.equal((await scim('GET', 'Users?filter=' + encodeURIComponent('userName co "x"'))).body.scimType, 'invalidFilter');
  assert.equal((await scim('PATCH', 'Users/none', { Operations: [{ op: 'replace', value: { active: false } }] })).status, 404);
  assert.equal((await scim('POST', 'Users', { externalId: 'x' })).status, 400);
  const page = await scim('GET', 'Users?startIndex=2&count=1');
  assert.equal(page.body.itemsPerPage, 1);
  assert.ok(page.body.totalResults > 2);
});

test('only a provisioning token opens it, and each sees its own', async () => {
  for (const token of ['', 'wrong', await gateway.token('alice'), await jwt('ada')]) assert.equal((await scim('GET', 'Users', undefined, token)).status, 401);
  const others = await scim('GET', 'Users', undefined, 'x'.repeat(40));
  assert.equal(others.body.totalResults, 0);
  assert.equal((await gateway.get('/api/whoami', { token: SECRET })).status, 401);
});
