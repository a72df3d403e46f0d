// Signing in with a SAML 2.0 provider (npm samlify), as a browser and the command line do it; and as attackers try it.
import test, { before, after } from 'node:test';
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { Gateway, SALLYPORT, folder, start, until } from '../lib/gateway.mjs';
import { Browser } from '../lib/browser.mjs';
import { keyPair, start as startIdp } from '../fixtures/saml_idp.mjs';
import { startTickets } from '../fixtures/tickets_server.mjs';

let idp, tickets, gateway;
before(async () => {
  idp = await startIdp();
  tickets = await startTickets();
  const own = keyPair('gateway');
  gateway = new Gateway({
    targets: { tickets: { url: tickets.url } }, policy: '- { id: engineers, allow: { who: "group:engineers" } }',
    more: { identity: 'saml:\n  - name: corp\n    metadata: idp.xml\n    keys: [ { certificate: { file: own.crt }, key: { file: own.key } } ]\n    sign_requests: true\n  - name: portal\n    metadata: idp.xml\n    idp_initiated: true' },
    files: { 'idp.xml': idp.metadata(), 'own.crt': own.certificate, 'own.key': own.key },
  });
  await gateway.start();
  // The ports are part of the file, which the reload reads anew.
  gateway.keepPorts();
  await gateway.stop();
  await gateway.start();
  idp.trust((await gateway.get('/saml/corp/metadata')).body);
});
after(async () => {
  assert.equal(await gateway.stop(), 0);
  const { code, out } = gateway.verify();
  assert.equal(code, 0, out);
  await Promise.all([idp.stop(), tickets.close()]);
});

const browser = () => new Browser({ ca: gateway.ca });
function login(dir, args = ['--no-browser']) {
  const child = start(SALLYPORT, ['login', ...args], { env: { ...process.env, SALLYPORT_URL: gateway.adminUrl, SALLYPORT_CA: gateway.ca, XDG_STATE_HOME: dir }, stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  const looks = new Set();
  child.stderr.on('data', data => { text += data; for (const look of looks) look(); });
  return {
    said: pattern => new Promise(resolve => { const look = () => { const found = pattern.exec(text); if (found) { looks.delete(look); resolve(found); } }; looks.add(look); look(); }),
    ended: once(child, 'close').then(([code]) => ({ code, text })),
  };
}
/** What the provider's page would post, and where. */
function form(page) {
  const [, action] = /<form method="post" action="([^"]*)"/.exec(page.body) ?? assert.fail(page.body);
  const plain = text => text.replaceAll(/&#(\d+);/g, (_, code) => String.fromCharCode(code)).replaceAll('&amp;', '&').replaceAll('&quot;', '"');
  const fields = {};
  for (const [, name, value] of page.body.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"/g)) fields[plain(name)] = plain(value);
  return { action: plain(action), fields };
}
/** Posts as the provider's page does: from another site. */
const submit = (visitor, { action, fields }, more = {}) => visitor.go(action, { method: 'POST', form: { ...fields, ...more }, headers: { origin: idp.issuer } });
async function atProvider(visitor, url) {
  const choice = await visitor.go(url);
  return form(await visitor.go(Browser.link(choice, 'corp')));
}
async function signIn(visitor = browser(), dir = folder('sallyport-home-')) {
  const run = login(dir);
  const [url] = await run.said(/https:\/\/\S+\/oauth\/authorize\S+/);
  const page = await submit(visitor, await atProvider(visitor, url));
  assert.match(page.body, /Is this you/, page.body);
  const { url: to, fields } = Browser.form(page, '/auth/confirm');
  await visitor.go(Browser.leadsTo(await visitor.go(to, { method: 'POST', form: fields })));
  const result = await run.ended;
  assert.equal(result.code, 0, result.text);
  return fs.readFileSync(path.join(dir, 'sallyport/token'), 'utf8').trim();
}
const whoami = async token => JSON.parse((await gateway.get('/api/whoami', { token })).body);
/** A flow of a client of our own that waits nowhere. */
const authorize = () => `${gateway.adminUrl}/oauth/authorize?${new URLSearchParams({ response_type: 'code', client_id: 'sallyport-cli', redirect_uri: 'http://127.0.0.1:9/callback', state: 's', code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM', code_challenge_method: 'S256' })}`;

test('a person signs in with SAML, attributes become groups', async () => {
  const token = await signIn();
  const me = await whoami(token);
  assert.equal(me.subject, 'u-1001');
  assert.equal(me.issuer, idp.issuer);
  assert.deepEqual(me.groups, ['engineers']);
});

test('encrypted assertions and a key that was added are taken; groups change with the next sign-in', async () => {
  idp.encrypt = 'gcm';
  const first = await signIn();
  idp.encrypt = false;
  idp.rotate();
  fs.writeFileSync(path.join(gateway.dir, 'idp.xml'), idp.metadata() + '\n');
  assert.equal((await gateway.reload()).event, 'reloaded');
  idp.user.groups = ['leads'];
  assert.deepEqual((await whoami(await signIn())).groups, ['leads']);
  assert.deepEqual((await whoami(first)).groups, ['leads'], 'the newest sign-in says what is true of the person');
  idp.user.groups = ['engineers'];
});

test('an answer is taken once, in the browser that asked, for what it asked', async () => {
  const visitor = browser();
  const posted = await atProvider(visitor, authorize());
  const stranger = browser();
  await stranger.go(authorize());
  assert.equal((await submit(stranger, posted)).status, 403);
  assert.equal((await submit(browser(), posted)).status, 403);
  assert.equal((await submit(visitor, posted, { RelayState: 'x' })).status, 403);
  const page = await submit(visitor, posted);
  assert.match(page.body, /Is this you/, page.body);
  assert.equal((await submit(visitor, posted)).status, 403);
  // A new sign-in of the same browser does not take an old answer.
  const second = await atProvider(visitor, authorize());
  assert.equal((await submit(visitor, { action: second.action, fields: { ...second.fields, SAMLResponse: posted.fields.SAMLResponse } })).status, 403);
});

test('an answer that was changed, is unsigned, or is late is refused, and the page does not say why', async () => {
  const texts = new Set();
  const refused = async change => {
    const visitor = browser();
    const posted = await atProvider(visitor, authorize());
    const xml = change(Buffer.from(posted.fields.SAMLResponse, 'base64').toString());
    const page = await submit(visitor, posted, { SAMLResponse: Buffer.from(xml).toString('base64') });
    assert.equal(page.status, 403);
    texts.add(page.body.replaceAll(/req_[0-9a-f]+/g, 'ID'));
  };
  await refused(xml => xml.replace('u-1001', 'u-1002'));
  await refused(xml => xml.replace(/<ds:Signature[^]*?<\/ds:Signature>/g, ''));
  await refused(xml => xml.replace('u-1001', 'u-1001<!-- -->x'));
  await refused(xml => `<!DOCTYPE x [<!ENTITY a "b">]>${xml}`);
  idp.skewMs = -3600_000;
  await refused(xml => xml);
  idp.skewMs = 3600_000;
  await refused(xml => xml);
  idp.skewMs = 0;
  idp.status = 'Responder';
  await refused(xml => xml);
  idp.status = 'Success';
  assert.equal(texts.size, 1);
  const reasons = gateway.entries('auth.failed').map(entry => entry.reason);
  for (const reason of ['bad_signature', 'not_signed', 'forbidden_markup', 'refused_by_provider', 'wrong_state', 'wrong_request']) assert.ok(reasons.includes(reason), `${reason}: ${reasons}`);
});

test('what the provider begins itself is for a device code, and only where the configuration says so', async () => {
  const page = form(await browser().go(idp.initiate()));
  assert.equal((await submit(browser(), page)).status, 403, 'corp does not allow it');
  idp.trust((await gateway.get('/saml/portal/metadata')).body);
  const visitor = browser();
  const begun = await submit(visitor, form(await visitor.go(idp.initiate())));
  assert.match(begun.body, /Sign in a device/, begun.body);
  const dir = folder('sallyport-home-');
  const run = login(dir, ['--device']);
  const [, code] = await run.said(/type the code (\S+)/);
  const confirm = await visitor.go(Browser.form(begun, '/device').url, { method: 'POST', form: { user_code: code } });
  assert.match(confirm.body, /Is this you/, confirm.body);
  const { url, fields } = Browser.form(confirm, '/auth/confirm');
  await visitor.go(url, { method: 'POST', form: fields });
  assert.equal((await run.ended).code, 0);
  idp.trust((await gateway.get('/saml/corp/metadata')).body);
});

test('the provider signs a person out here as well', async () => {
  const token = await signIn();
  assert.equal((await gateway.get('/api/whoami', { token })).status, 200);
  const visitor = browser();
  const end = await visitor.go(idp.logout('redirect'));
  assert.equal(end.status, 200, end.body);
  await until(async () => (await gateway.get('/api/whoami', { token })).status === 401, 'signed out');
  // Unsigned, nobody can.
  const other = await signIn();
  const forged = await browser().go(`${gateway.adminUrl}/saml/corp/slo?SAMLRequest=${encodeURIComponent('fZFBS8QwEIX')}`);
  assert.equal(forged.status, 403);
  assert.equal((await gateway.get('/api/whoami', { token: other })).status, 200);
});

test('a logout here leads to the one at the provider, signed, and comes back', async () => {
  const dir = folder('sallyport-home-');
  await signIn(browser(), dir);
  const { code, out, err } = await gateway.run(['logout', '--json'], { env: { XDG_STATE_HOME: dir } });
  assert.equal(code, 0, err);
  const at = JSON.parse(out).provider_logout;
  assert.ok(at.startsWith(`${idp.issuer}/slo?`), at);
  const ended = idp.ended.length;
  const page = await browser().go(at);
  assert.equal(page.status, 200, page.body);
  assert.match(page.body, /signed out at the identity provider/);
  assert.equal(idp.ended.length, ended + 1);
});
