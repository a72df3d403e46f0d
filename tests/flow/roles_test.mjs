// Every route of the admin listener against every role, as the API describes itself; evidence read through the API.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { createHash } from 'node:crypto';
import { Validator } from '@seriousme/openapi-schema-validator';
import { ROOT, until } from '../lib/gateway.mjs';
import { ticketsBehind, pending, approve } from '../lib/tickets.mjs';

const WHO = ['nobody', 'guest', 'engineer', 'approver', 'policy_admin', 'auditor', 'log_reader', 'keeper', 'agent', 'service', 'siem'];
// - no sign-in, so 401; . not allowed, so 403; x let in, whatever comes of it. One column for each of WHO.
const MATRIX = {
  'GET /livez':                                    'xxxxxxxxxxx',
  'GET /readyz':                                   'xxxxxxxxxxx',
  'GET /metrics':                                  'xxxxxxxxxxx',
  'POST /api/tokens':                              'xxxxxxxxxxx',
  'GET /api/whoami':                               '-xxxxxxxxxx',
  'GET /api/openapi.json':                         '-xxxxxxxxxx',
  'GET /api/requests':                             '-.xx.xx.xxx',
  'GET /api/requests/watch':                       '-.xx.xx.xxx',
  'GET /api/requests/{id}':                        '-.xx.xx.xxx',
  'POST /api/requests/{id}/approve':               '-..x.......',
  'POST /api/requests/{id}/deny':                  '-..x.......',
  'GET /api/receipts/{id}':                        '-.xx.xx.xxx',
  'GET /api/sessions':                             '-....x....x',
  'GET /api/sessions/{id}':                        '-....x....x',
  'GET /api/sessions/{id}/payloads/{entry}':       '-....x.....',
  'GET /api/config':                               '-...xx....x',
  'GET /api/config/policies':                      '-...xx....x',
  'GET /api/config/policies/{digest}':             '-...xx....x',
  'POST /api/config/reload':                       '-...x......',
  'GET /api/mcp/review':                            '-...xx....x',
  'GET /api/mcp/{target}/tools':                   '-...xx....x',
  'GET /api/mcp/{target}/review':                  '-...xx....x',
  'POST /api/mcp/{target}/review':                 '-...x......',
  'GET /api/users':                                '-...x......',
  'GET /api/evidence/holds':                       '-....x.x..x',
  'POST /api/evidence/hold':                       '-......x...',
  'POST /api/evidence/release':                    '-......x...',
  'POST /api/evidence/erase':                      '-......x...',
  'POST /api/evidence/prune':                      '-......x...',
  // What comes from outside proves itself in its own way, or does not: a callback without a sign-in under way is refused to all.
  'GET /api/requests/events':                       '-.xx.xx.xxx',
  'GET /api/requests/status':                       '-.xx.xx.xxx',
  'POST /api/requests':                             '-.x.....xx.',
  'POST /api/requests/{id}/review':                 '-..x.......',
  'POST /api/requests/{id}/renew':                  '-.x.....xx.',
  'POST /api/requests/{id}/revoke':                 '-xxxxxxxxxx',
  'GET /api/tokens':                                '-.xxxxxx.xx',
  'POST /api/tokens/derive':                        '-..........',
  'DELETE /api/tokens/{id}':                        '-.xxxxxx.xx',
  'POST /api/tokens/revoke-person':                 '-...x......',
  'POST /api/logout':                               '-.xxxxxx.xx',
  'GET /api/evidence/status':                       '-xxxxxxxxxx',
  'GET /oauth/authorize':                           'xxxxxxxxxxx',
  'GET /device':                                    'xxxxxxxxxxx',
  'POST /device':                                   'xxxxxxxxxxx',
  'GET /auth/login/{provider}':                     'xxxxxxxxxxx',
  'GET /auth/callback/{provider}':                  '...........',
  'POST /auth/password':                            'xxxxxxxxxxx',
  'GET /auth/confirm':                              'xxxxxxxxxxx',
  'POST /auth/confirm':                             'xxxxxxxxxxx',
  'GET /requests/{id}':                             'xxxxxxxxxxx',
  'POST /oauth/token':                              'xxxxxxxxxxx',
  'POST /oauth/device_authorization':               'xxxxxxxxxxx',
  'POST /auth/backchannel/{provider}':              'xxxxxxxxxxx',
  'GET /.well-known/oauth-authorization-server':    'xxxxxxxxxxx',
  'GET /.well-known/openid-configuration':          'xxxxxxxxxxx',
  // Without identity.oauth nobody registers, and no connection was begun in this browser.
  'POST /oauth/register':                           '...........',
  'POST /oauth/revoke':                             'xxxxxxxxxxx',
  'GET /connect/{target}':                          'xxxxxxxxxxx',
  'GET /connect/{target}/callback':                 '...........',
  'GET /api/consents':                              '-.xxxxxx.xx',
  'DELETE /api/consents/{id}':                      '-.xxxxxx...',
  'GET /api/connections':                           '-.xxxxxx.xx',
  'DELETE /api/connections/{target}':               '-.xxxxxx...',
  'GET /saml/{provider}/metadata':                  'xxxxxxxxxxx',
  'GET /saml/{provider}/login':                     'xxxxxxxxxxx',
  'POST /saml/{provider}/acs':                      'xxxxxxxxxxx',
  'GET /saml/{provider}/slo':                       'xxxxxxxxxxx',
  'POST /saml/{provider}/slo':                      'xxxxxxxxxxx',
  'GET /scim/v2/ServiceProviderConfig':             'xxxxxxxxxxx',
  'GET /scim/v2/ResourceTypes':                     'xxxxxxxxxxx',
  'GET /scim/v2/Users':                             'xxxxxxxxxxx',
  'GET /scim/v2/Groups':                            'xxxxxxxxxxx',
  'POST /scim/v2/Users':                            'xxxxxxxxxxx',
  'GET /scim/v2/Users/{id}':                        'xxxxxxxxxxx',
  'PUT /scim/v2/Users/{id}':                        'xxxxxxxxxxx',
  'PATCH /scim/v2/Users/{id}':                      'xxxxxxxxxxx',
  'DELETE /scim/v2/Users/{id}':                     'xxxxxxxxxxx',
  'POST /scim/v2/Groups':                           'xxxxxxxxxxx',
  'GET /scim/v2/Groups/{id}':                       'xxxxxxxxxxx',
  'PUT /scim/v2/Groups/{id}':                       'xxxxxxxxxxx',
  'PATCH /scim/v2/Groups/{id}':                     'xxxxxxxxxxx',
  'DELETE /scim/v2/Groups/{id}':                    'xxxxxxxxxxx',
  'GET /log/{path}':                               '-....xx...x',
};

let served, gateway, described, tokens = {};
before(async () => {
  served = await ticketsBehind({
    users: {
      gus: ['guests'], erin: ['engineers'], ann: ['leads'], pol: ['platform'], aud: ['audit'], lou: ['forensics'], kim: ['legal'],
      robot: { groups: ['engineers', 'leads', 'platform'], service: true }, siem: { groups: ['audit'], service: true },
      // Whoever audits changes nothing, whatever else they are.
      both: ['audit', 'engineers', 'leads', 'platform', 'legal'],
    },
    more: {
      evidence: 'log_readers: [forensics]\nkeepers: [legal]',
      roles: 'engineer: [engineers]\napprover: [leads]\npolicy_admin: [platform]\nauditor: [audit]',
    },
  });
  gateway = served.gateway;
  // The ports are part of the file, which the reload reads anew.
  gateway.keepPorts();
  await gateway.stop();
  await gateway.start();
  // The agent's person has every office: it gets none of them.
  for (const role of [...Object.keys(NAMES), 'agent']) tokens[role] = await fresh(role);
  const answer = await gateway.get('/api/openapi.json', { token: tokens.guest });
  assert.equal(answer.status, 200, answer.body);
  described = JSON.parse(answer.body);
});
after(async () => {
  assert.equal(await served.end(), 0);
  const { code, out } = gateway.verify();
  assert.equal(code, 0, out);
});

const NAMES = { guest: 'gus', engineer: 'erin', approver: 'ann', policy_admin: 'pol', auditor: 'aud', log_reader: 'lou', keeper: 'kim', service: 'robot', siem: 'siem', both: 'both' };
const fresh = who => who === 'agent' ? gateway.token('both', ['--agent', 'bot']) : gateway.token(NAMES[who]);
const routes = () => Object.entries(described.paths).flatMap(([place, operations]) =>
  Object.entries(operations).map(([method, of]) => ({ name: `${method.toUpperCase()} ${place}`, method: method.toUpperCase(), place, of })));
/** One request to a route with something in its place; `seconds=0` where it would wait. */
function ask({ method, place }, token) {
  if (place.endsWith('/events')) return begins(place, token);
  const filled = place.replace('{digest}', '0'.repeat(64)).replace('/log/{path}', '/log/checkpoint').replaceAll(/\{\w+\}/g, '0') + (place.endsWith('/watch') ? '?seconds=0' : '');
  return gateway.http(method, gateway.adminUrl + filled, { token, ...(method === 'GET' ? {} : { body: '{}', headers: { 'content-type': 'application/json' } }) });
}
/** A stream of events is let in when it begins. */
const begins = (place, token) => new Promise((resolve, reject) => {
  const request = http.get(gateway.adminUrl + place, { agent: false, headers: token ? { authorization: `Bearer ${token}` } : {} }, response => {
    resolve({ status: response.statusCode, body: '' });
    response.destroy();
  });
  request.on('error', reject);
});
const verdict = (status, signedIn) => status === 401 && !signedIn ? '-' : status === 403 ? '.' : 'x';

test('the description is valid OpenAPI 3.1', async () => {
  const result = await new Validator().validate(structuredClone(described));
  assert.deepEqual(result.errors ?? [], []);
  assert.equal(result.valid, true);
  assert.equal(described.openapi, '3.1.0');
  // What the validator does not look for: every reference leads somewhere.
  const known = new Set(Object.keys(described.components.schemas));
  for (const [, name] of JSON.stringify(described).matchAll(/"#\/components\/schemas\/(\w+)"/g)) assert.ok(known.has(name), `no schema ${name}`);
  const ids = routes().map(route => route.of.operationId);
  assert.equal(new Set(ids).size, ids.length);
});

test('docs/admin-api.md has a row for every route, with its permission, and no other', () => {
  const text = fs.readFileSync(path.join(ROOT, 'docs/admin-api.md'), 'utf8');
  const rows = [...text.matchAll(/^\| `(\w+ \/[^`]*)` \| ([a-z.]+) \|/gm)].map(([, name, needs]) => `${name} ${needs}`);
  assert.deepEqual(rows.sort(), routes().map(route => `${route.name} ${route.of['x-sallyport-permission']}`).sort());
});

test('every route lets in whom the table says, and has a row there', async () => {
  assert.deepEqual(routes().map(route => route.name).sort(), Object.keys(MATRIX).sort());
  const found = {};
  for (const route of routes()) {
    found[route.name] = '';
    for (const who of WHO) {
      // A logout ends the token that it came with.
      const spent = route.name === 'POST /api/logout' && who !== 'nobody';
      const { status, body } = await ask(route, spent ? await fresh(who) : tokens[who]);
      assert.ok(status < 500, `${route.name} ${who}: ${status} ${body}`);
      // POST /api/tokens takes no token and finds no password.
      found[route.name] += verdict(status, who !== 'nobody' || MATRIX[route.name][0] === 'x');
    }
  }
  assert.deepEqual(found, MATRIX);
});

test('an auditor who has every other role changes nothing', async () => {
  // Ending what is one's own is no change; what needs no sign-in asks for no role.
  const others = route => route.method !== 'GET' && route.of['x-sallyport-permission'] !== 'none' && !['POST /api/logout', 'DELETE /api/tokens/{id}', 'DELETE /api/consents/{id}', 'DELETE /api/connections/{target}', 'POST /api/tokens/derive', 'POST /api/requests/{id}/revoke'].includes(route.name);
  for (const route of routes().filter(others)) {
    const { status, body } = await ask(route, tokens.both);
    assert.equal(status, 403, route.name);
    assert.match(JSON.parse(body).detail, /an auditor changes nothing/);
  }
});

test('a refused change is on record, with who and why', async () => {
  const refused = gateway.entries('admin.action').filter(entry => entry.result === 'denied');
  for (const [subject, action] of [['erin', 'approve'], ['pol', 'evidence erase'], ['both', 'config reload'], ['siem', 'evidence prune']])
    assert.ok(refused.some(entry => entry.subject === subject && entry.action === action && entry.reason), `${subject} ${action}`);
});

test('a body, a query and a path are read strictly', async () => {
  const get = async (path, token = tokens.auditor) => (await gateway.get(path, { token })).status;
  assert.equal(await get('/api/sessions?whom=x'), 400);
  assert.equal(await get('/api/sessions?who=a&who=b'), 400);
  assert.equal(await get('/api/sessions?from=yesterday'), 400);
  assert.equal(await get('/api/sessions?limit=0'), 400);
  assert.equal(await get('/api/requests/%zz'), 400);
  assert.equal(await get('/api/requests/a%2Fb'), 400);
  assert.equal(await get('/api/requests/a/b'), 404);
  const wrong = await gateway.http('DELETE', gateway.adminUrl + '/api/requests', { token: tokens.auditor });
  assert.deepEqual([wrong.status, wrong.headers.allow], [405, 'GET, HEAD, POST']);
  const head = await gateway.http('HEAD', gateway.adminUrl + '/api/whoami', { token: tokens.guest });
  assert.deepEqual([head.status, head.body, head.headers['x-content-type-options'], head.headers['referrer-policy']], [200, '', 'nosniff', 'no-referrer']);
  assert.match(head.headers['content-security-policy'], /default-src 'none'; frame-ancestors 'none'/);
});

test('an auditor reads sessions, entries and payloads; each reading is on record', async () => {
  const client = await gateway.client('tickets', tokens.engineer);
  await client.callTool({ name: 'read_ticket', arguments: { id: 1 } });
  await client.callTool({ name: 'run_command', arguments: { command: 'id' } }).catch(() => {});
  await client.transport.terminateSession();
  await client.close();
  const erins = async () => JSON.parse((await gateway.get('/api/sessions?who=erin&target=tickets&limit=1', { token: tokens.auditor })).body).sessions[0];
  const listed = await until(async () => { const one = await erins(); return one?.state !== 'open' && one; }, 'the session is closed');
  assert.deepEqual([listed.user, listed.target, listed.commands >= 2, listed.blocked], ['erin', 'tickets', true, 1]);
  const whole = JSON.parse((await gateway.get(`/api/sessions/${listed.session}`, { token: tokens.auditor })).body);
  assert.equal(whole.entries[0].kind, 'session.open');
  assert.equal(whole.entries.at(-1).kind, 'session.close');
  // The same a page of two at a time.
  const paged = [];
  for (let cursor = ''; cursor !== null;) {
    const page = JSON.parse((await gateway.get(`/api/sessions/${listed.session}?limit=2${cursor && `&cursor=${cursor}`}`, { token: tokens.auditor })).body);
    paged.push(...page.entries);
    cursor = page.next;
  }
  assert.deepEqual(paged, whole.entries);
  const called = whole.entries.find(entry => entry.kind === 'command' && entry.object === 'read_ticket');
  const outcome = whole.entries.find(entry => entry.kind === 'outcome' && entry.request_id === called.request_id);
  assert.ok(outcome.payload, JSON.stringify(outcome));
  const payload = await gateway.get(`/api/sessions/${listed.session}/payloads/${outcome.index}`, { token: tokens.auditor });
  assert.deepEqual([payload.status, payload.headers['content-type']], [200, 'application/octet-stream']);
  assert.match(payload.body, /"result"|ticket/i);
  assert.equal((await gateway.get(`/api/sessions/${'0'.repeat(32)}/payloads/${outcome.index}`, { token: tokens.auditor })).status, 404);
  assert.equal((await gateway.get(`/api/sessions/${listed.session}/payloads/0`, { token: tokens.auditor })).status, 404);
  const read = gateway.entries('evidence.read').filter(entry => entry.subject === 'aud');
  assert.ok(read.some(entry => entry.action === 'session' && entry.object === listed.session));
  assert.equal(read.filter(entry => entry.action === 'payload' && entry.object === `${listed.session}/${outcome.index}`).length, 1);
});

test('the command line says the same of a gateway as of its directory', async () => {
  const [session] = gateway.sessions().filter(one => one.user === 'erin');
  for (const args of [['sessions', 'ls', '--user', 'erin'], ['sessions', 'ls', '--json', '--user', 'erin'], ['sessions', 'show', session.session], ['sessions', 'show', session.session.slice(0, 12), '--json'],
    ['sessions', 'play', session.session], ['sessions', 'play', session.session, '--json']]) {
    const [far, near] = [await gateway.run([...args, '--url', gateway.adminUrl], { token: tokens.auditor }), await gateway.run([...args, '-d', gateway.evidence])];
    assert.deepEqual([far.code, near.code], [0, 0], far.err + near.err);
    assert.equal(far.out, near.out, args.join(' '));
  }
  assert.equal((await gateway.run(['sessions', 'ls'], { token: tokens.engineer })).code, 5, 'not an auditor');
  assert.equal((await gateway.run(['sessions', 'show', 'ffffffffffff'], { token: tokens.auditor })).code, 3);
  assert.equal((await gateway.run(['sessions', 'ls', '--url', gateway.adminUrl, '-d', gateway.evidence])).code, 2);
});

test('a request is seen by who asked, who may decide it and who audits; the rule’s group decides, the role alone gives no vote', async () => {
  const client = await gateway.client('tickets', tokens.engineer);
  const held = client.callTool({ name: 'write_ticket', arguments: { id: 1, text: 'roles' } });
  const request = await pending(gateway, tokens.approver);
  const status = async token => (await gateway.get(`/api/requests/${request.id}`, { token })).status;
  assert.deepEqual([await status(tokens.engineer), await status(tokens.approver), await status(tokens.auditor), await status(tokens.log_reader)], [200, 200, 200, 404]);
  assert.ok(gateway.entries('evidence.read').some(entry => entry.subject === 'aud' && entry.action === 'request' && entry.object === request.id));
  assert.equal((await approve(gateway, tokens.auditor, request.id)).code, 5);
  assert.equal((await approve(gateway, tokens.approver, request.id)).code, 0);
  await held;
  await client.close();
});

test('the running configuration shows no secret, and the policy is what its digest says', async () => {
  const { body } = await gateway.get('/api/config', { token: tokens.policy_admin });
  const { policy, config } = JSON.parse(body);
  assert.ok(!body.includes('argon2') && !body.includes('upstream-secret'));
  assert.deepEqual(config.roles.auditor, ['audit']);
  const text = await gateway.get(`/api/config/policies/${policy}`, { token: tokens.auditor });
  assert.equal(text.body, fs.readFileSync(gateway.config, 'utf8'));
  assert.equal(createHash('sha256').update(text.body).digest('hex'), policy);
  const list = JSON.parse((await gateway.get('/api/config/policies', { token: tokens.auditor })).body);
  assert.equal(list.running, policy);
  assert.ok(list.policies.includes(policy));
  assert.ok(gateway.entries('evidence.read').some(entry => entry.subject === 'aud' && entry.action === 'policy' && entry.object === policy));
});

test('a reload over HTTP: who may, what came of it, and roles count at once', async () => {
  const post = token => gateway.http('POST', gateway.adminUrl + '/api/config/reload', { token, body: '{}', headers: { 'content-type': 'application/json' } });
  assert.equal((await gateway.get('/api/config', { token: tokens.engineer })).status, 403);
  gateway.change({ more: { ...gateway.options.more, roles: gateway.options.more.roles.replace('policy_admin: [platform]', 'policy_admin: [platform, engineers]') } });
  const done = await post(tokens.policy_admin);
  assert.equal(done.status, 200, done.body);
  assert.equal(JSON.parse(done.body).policy, createHash('sha256').update(fs.readFileSync(gateway.config)).digest('hex'));
  assert.equal((await gateway.get('/api/config', { token: tokens.engineer })).status, 200);
  assert.ok(gateway.entries('admin.action').some(entry => entry.subject === 'pol' && entry.action === 'config reload' && entry.result === 'ok'));
  const good = fs.readFileSync(gateway.config, 'utf8');
  fs.writeFileSync(gateway.config, good + 'nonsense: 1\n');
  const refused = await post(tokens.policy_admin);
  assert.equal(refused.status, 409);
  assert.match(JSON.parse(refused.body).detail, /unknown key "nonsense"/);
  fs.writeFileSync(gateway.config, good);
});

test('config check warns of a local user whose roles exclude each other', async () => {
  const { code, err } = await gateway.run(['config', 'check', gateway.config]);
  assert.equal(code, 0, err);
  assert.match(err, /warning: user both is auditor and approver and policy_admin and evidence\.keepers: as an auditor they change nothing/);
});
