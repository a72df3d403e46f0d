// Signing in as people do: the command line opens a browser, the browser walks to a real OpenID provider and back, and what comes of it is a
// token that lives as long as the sign-in. And as attackers try it.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { Gateway, SALLYPORT, PASSWORD, folder, start } from '../lib/gateway.mjs';
import { Browser } from '../lib/browser.mjs';
import { start as startProvider } from '../fixtures/sign_in_provider.mjs';
import { Postgres, psql } from '../lib/postgres.mjs';
import { startTickets } from '../fixtures/tickets_server.mjs';

const TOTP = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP';
function totp(at = Date.now()) {
  const bits = [...TOTP].map(c => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0')).join('');
  const secret = Buffer.from(bits.match(/.{8}/g).map(b => parseInt(b, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(at / 30000)));
  const mac = createHmac('sha1', secret).update(counter).digest();
  const from = mac[19] & 15;
  return String((mac.readUInt32BE(from) & 0x7fffffff) % 1e6).padStart(6, '0');
}

let provider, other, gateway, upstream, server;
before(async () => {
  provider = await startProvider();
  other = await startProvider({ claimsInIdToken: false });
  upstream = await startTickets();
  server = await Postgres.start();
  server.sql(`create role app login password 'upstream-secret'; create database shop owner app`);
  const issuer = (name, one) => `  - issuer: ${one.issuer}\n    audience: sallyport\n    name: ${name}\n    client: { id: sallyport, secret: { env: ${name.toUpperCase()}_SECRET }, scopes: [openid, profile, email, offline_access] }`;
  gateway = new Gateway({
    users: { alice: ['engineers'], bob: ['leads'] },
    postgres: true,
    targets: { tickets: { url: upstream.url }, db: { postgres: `host: 127.0.0.1, port: ${server.port}, database: shop, user: app, tls: "off", credential: { password: { file: upstream.token } }` } },
    policy: `- { id: engineers, allow: { who: "group:engineers" } }`,
    more: { identity: `oidc:\n${issuer('corp', provider)}\n${issuer('other', other)}\nsign_in: { lifetime: 1h, recheck: 1s }\nnested_groups: { staff: [engineers, leads] }` },
    env: { CORP_SECRET: provider.secret, OTHER_SECRET: other.secret },
  });
  // bob has a second factor.
  fs.writeFileSync(path.join(gateway.dir, 'totp'), TOTP + '\n');
  fs.writeFileSync(gateway.config, fs.readFileSync(gateway.config, 'utf8').replace('bob: { groups: [leads], ', 'bob: { groups: [leads], totp: { file: totp }, '));
  await gateway.start();
  provider.connect({ callback: `${gateway.adminUrl}/auth/callback/corp`, backchannel: `${gateway.adminUrl}/auth/backchannel/corp`, fetch: gateway.fetch() });
  other.connect({ callback: `${gateway.adminUrl}/auth/callback/other` });
});
after(async () => {
  await gateway?.stop();
  await Promise.all([provider?.stop(), other?.stop(), upstream?.close(), server?.down()]);
});

const browser = () => new Browser({ ca: gateway.ca });
const home = () => folder('sallyport-home-');
const environment = dir => ({ ...process.env, SALLYPORT_URL: gateway.adminUrl, SALLYPORT_CA: gateway.ca, XDG_STATE_HOME: dir, SALLYPORT_TOKEN: '', SALLYPORT_TOKEN_FILE: '' });

/** `sallyport login`, running; `said` gives the first match of what it writes to stderr. */
function login(dir, args = ['--no-browser']) {
  const child = start(SALLYPORT, ['login', ...args], { env: environment(dir), stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  const waiting = new Set();
  child.stderr.on('data', data => { text += data; for (const look of waiting) look(); });
  const said = pattern => new Promise(resolve => {
    const look = () => { const found = pattern.exec(text); if (found) { waiting.delete(look); resolve(found); } };
    waiting.add(look);
    look();
  });
  const ended = once(child, 'close').then(([code]) => ({ code, text }));
  return { child, said, ended };
}
async function throughProvider(visitor, url, name = 'corp') {
  const choice = await visitor.go(url);
  assert.equal(choice.status, 200, choice.body);
  return visitor.go(Browser.link(choice, name));
}
async function sayYes(visitor, page) {
  const { url, fields } = Browser.form(page, '/auth/confirm');
  return visitor.go(url, { method: 'POST', form: fields });
}
/** The whole way; the folder then holds the token. */
async function signIn(dir = home(), name = 'corp', visitor = browser()) {
  const run = login(dir);
  const [url] = await run.said(/https:\/\/\S+\/oauth\/authorize\S+/);
  const page = await throughProvider(visitor, url, name);
  assert.match(page.body, /Is this you/, page.body);
  const done = await sayYes(visitor, page);
  await visitor.go(Browser.leadsTo(done));
  const result = await run.ended;
  assert.equal(result.code, 0, result.text);
  return { dir, url, token: fs.readFileSync(path.join(dir, 'sallyport/token'), 'utf8').trim() };
}
const whoami = async token => JSON.parse((await gateway.get('/api/whoami', { token })).body);
async function until(what, ms = 5000) {
  for (const end = Date.now() + ms; ; ) {
    const found = await what();
    if (found) return found;
    if (Date.now() > end) throw new Error('it did not happen in time');
    await new Promise(resolve => setTimeout(resolve, 50));
  }
}
/** A client of our own instead of the command line. */
function client() {
  const verifier = randomBytes(32).toString('base64url');
  const redirect = 'http://127.0.0.1:9/callback';
  const query = { response_type: 'code', client_id: 'sallyport-cli', redirect_uri: redirect, state: 'st', code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256' };
  return { verifier, redirect, query, url: (more = {}) => `${gateway.adminUrl}/oauth/authorize?${new URLSearchParams({ ...query, ...more })}` };
}
async function codeFor(one, visitor = browser()) {
  const done = await sayYes(visitor, await throughProvider(visitor, one.url()));
  const back = new URL(Browser.leadsTo(done));
  assert.equal(back.searchParams.get('state'), 'st');
  assert.equal(back.searchParams.get('iss'), gateway.adminUrl);
  return back.searchParams.get('code');
}
const exchange = (code, one, more = {}) => gateway.http('POST', `${gateway.adminUrl}/oauth/token`, {
  headers: { 'content-type': 'application/x-www-form-urlencoded' },
  body: new URLSearchParams({ grant_type: 'authorization_code', client_id: 'sallyport-cli', code, redirect_uri: one.redirect, code_verifier: one.verifier, ...more }).toString(),
});

test('a person signs in with the browser, and the command line then acts as them', async () => {
  const { dir, token } = await signIn();
  assert.equal(fs.statSync(path.join(dir, 'sallyport/token')).mode & 0o777, 0o600);
  const me = await whoami(token);
  assert.equal(me.subject, 'ada');
  assert.equal(me.issuer, provider.issuer);
  assert.deepEqual(me.groups, ['engineers', 'staff']);
  const { code, out } = await gateway.run(['tokens', 'ls', '--json'], { env: environment(dir) });
  assert.equal(code, 0);
  assert.equal(JSON.parse(out)[0].label, 'sign-in');
});

test('groups that a provider keeps at its userinfo endpoint count', async () => {
  other.people.ada.groups = ['leads'];
  const { token } = await signIn(home(), 'other');
  assert.deepEqual((await whoami(token)).groups, ['leads', 'staff']);
  assert.ok(other.requests.some(url => url.startsWith('/me')));
});

test('a sign-in gives tokens for one door each, which end with it', async () => {
  const { dir, token } = await signIn();
  const derive = async (...args) => {
    const { code, out, err } = await gateway.run(['token', 'issue', ...args], { env: environment(dir) });
    assert.equal(code, 0, err);
    return out.trim();
  };
  const mcp = await derive('--for', 'mcp'), database = await derive('--for', 'database'), agent = await derive('--for', 'mcp', '--agent', 'bot');
  await gateway.initialize('tickets', mcp);
  await gateway.initialize('tickets', agent);
  await assert.rejects(gateway.initialize('tickets', database), /401/);
  await assert.rejects(gateway.initialize('tickets', token), /401/);
  assert.equal((await gateway.get('/api/whoami', { token: mcp })).status, 401);
  const { code, err } = await gateway.run(['logout'], { env: environment(dir) });
  assert.equal(code, 0, err);
  assert.match(err, /session\/end/);
  for (const gone of [mcp, agent]) await assert.rejects(gateway.initialize('tickets', gone), /401/);
  assert.equal((await gateway.get('/api/whoami', { token })).status, 401);
  assert.equal((await gateway.run(['whoami'], { env: environment(dir) })).code, 4);
});

test('psql comes in under the e-mail address with a token of the sign-in, proved by SCRAM, and is thrown out at the logout', async () => {
  const { dir } = await signIn();
  const made = JSON.parse((await gateway.run(['token', 'issue', '--for', 'database', '--json'], { env: environment(dir) })).out);
  assert.equal(made.login, 'ada@example.com');
  const env = gateway.libpq(made.login, 'db', made.token);
  assert.equal((await psql(env, 'select 41 + 1')).out.trim(), '42');
  assert.notEqual((await psql(gateway.libpq('alice', 'db', made.token), 'select 1')).code, 0, 'not under another name');
  const mcp = JSON.parse((await gateway.run(['token', 'issue', '--for', 'mcp', '--json'], { env: environment(dir) })).out);
  assert.notEqual((await psql(gateway.libpq(made.login, 'db', mcp.token), 'select 1')).code, 0, 'not with a token for another door');
  const busy = psql(env, 'select pg_sleep(60)');
  await until(() => server.sql(`select count(*) from pg_stat_activity where query like '%pg_sleep(60)%' and state = 'active' and pid <> pg_backend_pid()`) === '1');
  const from = Date.now();
  assert.equal((await gateway.run(['logout'], { env: environment(dir) })).code, 0);
  const { code, err } = await busy;
  assert.notEqual(code, 0);
  assert.match(err, /terminating connection: the credential of ada was taken back/);
  assert.ok(Date.now() - from < 5000);
});

test('a token is taken back alone; an agent can neither take back nor make any', async () => {
  const { dir } = await signIn();
  const issued = JSON.parse((await gateway.run(['token', 'issue', '--for', 'mcp', '--json'], { env: environment(dir) })).out);
  const agent = JSON.parse((await gateway.run(['token', 'issue', '--agent', 'bot', '--json'], { env: environment(dir) })).out);
  assert.equal((await gateway.run(['token', 'issue'], { token: agent.token })).code, 5);
  assert.equal((await gateway.run(['tokens', 'revoke', issued.id], { token: agent.token })).code, 5);
  await gateway.initialize('tickets', issued.token);
  assert.equal((await gateway.run(['tokens', 'revoke', issued.id], { env: environment(dir) })).code, 0);
  await assert.rejects(gateway.initialize('tickets', issued.token), /401/);
  await gateway.initialize('tickets', agent.token);
  assert.equal((await gateway.run(['tokens', 'revoke', issued.id], { env: environment(dir) })).code, 3);
});

test('a device without a browser shows a code', async () => {
  const dir = home();
  const run = login(dir, ['--device']);
  const [, url, code] = await run.said(/open (\S+) and type the code (\S+)/);
  const visitor = browser();
  const asked = await visitor.go(url);
  const wrong = await visitor.go(`${url}`, { method: 'POST', form: { user_code: 'BBBB-BBBB' } });
  assert.equal(wrong.status, 400);
  const choice = await visitor.go(Browser.form(asked, '/device').url, { method: 'POST', form: { user_code: code.toLowerCase().replace('-', ' ') } });
  const page = await visitor.go(Browser.link(choice, 'corp'));
  assert.ok(page.body.includes(code), page.body);
  assert.match((await sayYes(visitor, page)).body, /Signed in/);
  const result = await run.ended;
  assert.equal(result.code, 0, result.text);
  assert.equal((await whoami(fs.readFileSync(path.join(dir, 'sallyport/token'), 'utf8').trim())).subject, 'ada');
});

test('who says no on the page has signed in nobody', async () => {
  const run = login(home(), ['--device']);
  const [, url, code] = await run.said(/open (\S+) and type the code (\S+)/);
  const visitor = browser();
  const choice = await visitor.go(url, { method: 'POST', form: { user_code: code } });
  const page = await visitor.go(Browser.link(choice, 'corp'));
  const { url: to, fields } = Browser.form(page, '/auth/confirm', 1);
  assert.equal(fields.answer, 'no');
  await visitor.go(to, { method: 'POST', form: fields });
  const result = await run.ended;
  assert.equal(result.code, 5, result.text);
});

test('a local user with a second factor needs the code, each code works once, and the page does not say what was wrong', async () => {
  const one = client(), visitor = browser();
  const attempt = async (form, fresh = visitor) => { const page = await fresh.go(one.url()); return fresh.go(Browser.form(page, '/auth/password').url, { method: 'POST', form }); };
  const texts = new Set();
  for (const form of [{ user: 'bob', password: PASSWORD, code: '' }, { user: 'bob', password: 'wrong', code: totp() }, { user: 'nobody', password: PASSWORD, code: '' }]) {
    const refused = await attempt(form);
    assert.equal(refused.status, 403);
    texts.add(refused.body);
  }
  assert.equal(texts.size, 1);
  const code = totp();
  const page = await attempt({ user: 'bob', password: PASSWORD, code });
  assert.match(page.body, /Is this you/, page.body);
  assert.equal((await attempt({ user: 'bob', password: PASSWORD, code }, browser())).status, 403);
  const back = new URL(Browser.leadsTo(await sayYes(visitor, page)));
  const answer = await exchange(back.searchParams.get('code'), one);
  assert.equal(answer.status, 200, answer.body);
  assert.deepEqual((await whoami(JSON.parse(answer.body).access_token)).groups, ['leads', 'staff']);
});

test('the browser is sent to no address but a loopback one, and only with PKCE', async () => {
  const one = client();
  for (const more of [{ redirect_uri: 'https://evil.example/callback' }, { redirect_uri: 'http://127.0.0.1.evil.example:80/callback' }, { redirect_uri: 'http://127.0.0.1:80/callback?x=1' },
    { redirect_uri: 'http://127.0.0.1:80@evil.example/callback' }, { redirect_uri: 'http://localhost:80/callback' }, { client_id: 'other' }, { code_challenge_method: 'plain' }, { code_challenge: 'x' }, { state: '' }, { response_type: 'token' }]) {
    const page = await browser().go(one.url(more));
    assert.equal(page.status, 400, JSON.stringify(more));
    assert.equal(Browser.leadsTo(page), null);
    assert.ok(!page.headers.location);
  }
});

test('a callback is worth nothing in another browser, at another provider, twice, or with another state', async () => {
  const visitor = browser(), one = client();
  const choice = await visitor.go(one.url());
  const callback = (await visitor.go(Browser.link(choice, 'corp'), { stop: url => url.startsWith(`${gateway.adminUrl}/auth/callback/`) })).location;
  assert.ok(callback);
  const stranger = browser();
  await stranger.go(one.url());
  assert.equal((await stranger.go(callback)).status, 403);
  assert.equal((await browser().go(callback)).status, 403);
  assert.equal((await visitor.go(callback.replace('/callback/corp', '/callback/other'))).status, 403);
  assert.equal((await visitor.go(callback.replace(/state=[^&]+/, 'state=x'))).status, 403);
  const mixed = new URL(callback);
  mixed.searchParams.set('iss', other.issuer);
  assert.equal((await visitor.go(mixed.href)).status, 403);
  mixed.searchParams.delete('iss');
  assert.equal((await visitor.go(mixed.href)).status, 403);
  const page = await visitor.go(callback);
  assert.match(page.body, /Is this you/, page.body);
  assert.equal((await visitor.go(callback)).status, 403);
});

test("another site's form, or a guessed token, is no last word", async () => {
  const visitor = browser(), one = client();
  const page = await throughProvider(visitor, one.url());
  const { url, fields } = Browser.form(page, '/auth/confirm');
  assert.equal((await visitor.go(url, { method: 'POST', form: fields, headers: { origin: 'https://evil.example' } })).status, 403);
  assert.equal((await visitor.go(url, { method: 'POST', form: { ...fields, token: 'x' } })).status, 400);
  assert.equal((await browser().go(url, { method: 'POST', form: fields })).status, 400);
  assert.match((await visitor.go(url, { method: 'POST', form: fields })).body, /Signed in/);
  assert.equal((await visitor.go(url, { method: 'POST', form: fields })).status, 400);
});

test('an authorization code without its verifier, or a second time, costs the sign-in', async () => {
  const one = client();
  const stolen = await codeFor(one);
  assert.equal((await exchange(stolen, one, { code_verifier: randomBytes(32).toString('base64url') })).status, 400);
  assert.equal((await exchange(stolen, one)).status, 400);
  const code = await codeFor(one);
  const first = JSON.parse((await exchange(code, one)).body);
  assert.equal((await whoami(first.access_token)).subject, 'ada');
  assert.equal((await exchange(code, one)).status, 400);
  assert.equal((await gateway.get('/api/whoami', { token: first.access_token })).status, 401);
});

test('the provider logs somebody out behind the scenes, once a token', async () => {
  const visitor = browser();
  const { token } = await signIn(home(), 'corp', visitor);
  const end = await visitor.go(`${provider.issuer}/session/end`);
  const { url, fields } = Browser.form({ ...end, body: end.body.replace(/<input type="hidden" name="xsrf"/, '<input type="hidden" name="xsrf"') }, '/session/end/confirm');
  await visitor.go(url, { method: 'POST', form: { ...fields, logout: 'yes' } });
  await until(async () => (await gateway.get('/api/whoami', { token })).status === 401);
  for (const forged of ['', 'a.b.c', `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from('{}').toString('base64url')}.`]) {
    const answer = await gateway.http('POST', `${gateway.adminUrl}/auth/backchannel/corp`, { headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: new URLSearchParams({ logout_token: forged }).toString() });
    assert.equal(answer.status, 400);
  }
});

test('a change of groups at the provider reaches a running sign-in, and so does the end of the account', async () => {
  provider.people.eve = { groups: ['engineers', 'leads'], email: 'eve@example.com', email_verified: true };
  provider.who = 'eve';
  const { token } = await signIn();
  provider.who = 'ada';
  provider.people.eve.groups = ['leads'];
  await until(async () => (await whoami(token)).groups.join() === 'leads,staff');
  delete provider.people.eve;
  await until(async () => (await gateway.get('/api/whoami', { token })).status === 401);
});

test('new signature keys are fetched; a provider that is down is named, and who is signed in stays so', async () => {
  const { token } = await signIn();
  provider.rotate();
  await signIn();
  provider.down();
  const visitor = browser(), one = client();
  const choice = await visitor.go(one.url());
  const callback = await visitor.go(Browser.link(choice, 'corp'));
  assert.ok(callback.status >= 500, `${callback.status}`);
  assert.equal((await gateway.get('/api/whoami', { token })).status, 200);
  provider.up();
});

test('a sign-in that its provider has not confirmed for too long ends, where the configuration says so', async () => {
  const lone = await startProvider();
  const strict = new Gateway({
    targets: { tickets: { url: upstream.url } }, policy: '- { id: engineers, allow: { who: "group:engineers" } }', files: { secret: lone.secret },
    more: { identity: `oidc:\n  - { issuer: "${lone.issuer}", audience: sallyport, name: corp, client: { id: sallyport, secret: { file: secret }, scopes: [openid, profile, offline_access] } }\nsign_in: { lifetime: 1h, recheck: 1s, unconfirmed: 2s }` },
  });
  await strict.start();
  lone.connect({ callback: `${strict.adminUrl}/auth/callback/corp` });
  const visitor = new Browser({ ca: strict.ca }), one = client();
  const page = await visitor.go(Browser.link(await visitor.go(`${strict.adminUrl}/oauth/authorize?${new URLSearchParams(one.query)}`), 'corp'));
  const { url, fields } = Browser.form(page, '/auth/confirm');
  const back = new URL(Browser.leadsTo(await visitor.go(url, { method: 'POST', form: fields })));
  const answer = await strict.http('POST', `${strict.adminUrl}/oauth/token`, { headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ grant_type: 'authorization_code', client_id: 'sallyport-cli', code: back.searchParams.get('code'), redirect_uri: one.redirect, code_verifier: one.verifier }).toString() });
  const token = JSON.parse(answer.body).access_token;
  const alive = async () => (await strict.get('/api/whoami', { token })).status === 200;
  assert.ok(await alive());
  lone.down();
  await until(async () => !(await alive()), 10_000);
  assert.ok(strict.entries('admin.action').some(entry => entry.action === 'token.revoke' && /could not be asked for too long/.test(entry.reason)));
  assert.equal(await strict.stop(), 0);
  await lone.stop();
});

test('sign-ins and what became of them are in the record, and no token is', async () => {
  const { code, out } = await gateway.run(['evidence', 'ls', '-d', gateway.evidence, '--json']);
  assert.equal(code, 0);
  for (const action of ['sign-in.oidc-sign-in', 'sign-in.password', 'token.issue', 'token.revoke', 'person.learned', 'person.changed']) assert.ok(out.includes(action), action);
  for (const reason of ['wrong_state', 'wrong_code', 'unknown_issuer', 'wrong_door']) assert.ok(out.includes(reason), reason);
  assert.ok(!/sp_[A-Za-z0-9_-]{43}/.test(out));
});
