// Every other way in, and every way to a target: direct TLS, early bytes, bearer tokens, client certificates; md5, passwords,
// certificates and verified TLS towards the server.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import tls from 'node:tls';
import { Gateway, folder, until } from '../lib/gateway.mjs';
import { Postgres, Wire, errorOf, psql } from '../lib/postgres.mjs';
import { Q, S, X4 } from '../lib/postgres_messages.mjs';
import { start as startProvider } from '../fixtures/oidc_provider.mjs';

const dir = folder();
const file = name => path.join(dir, name);
const openssl = (...args) => execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'], cwd: dir });
const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
function authority(name) {
  openssl('req', '-x509', ...KEY, '-keyout', `${name}.key`, '-out', `${name}.pem`, '-days', '2', '-subj', `/CN=${name}`);
}
function issue(ca, name, subject, extension = '') {
  openssl('req', ...KEY, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${subject}`);
  fs.writeFileSync(file(`${name}.ext`), extension);
  openssl('x509', '-req', '-in', `${name}.csr`, '-CA', `${ca}.pem`, '-CAkey', `${ca}.key`, '-CAcreateserial', '-days', '2', '-out', `${name}.pem`, '-extfile', `${name}.ext`);
}

const target = (pg, more) => ({ postgres: `port: ${pg.port}, database: shop, ${more}` });
let pg, provider, gateway, alice, bearers;
before(async () => {
  for (const ca of ['people', 'servers', 'others']) authority(ca);
  issue('people', 'alice', 'alice');
  issue('people', 'nobody', 'nobody');
  issue('others', 'stranger', 'alice');
  issue('servers', 'server', 'localhost', 'subjectAltName=DNS:localhost');
  issue('servers', 'app', 'app');
  fs.chmodSync(file('alice.key'), 0o600);
  const read = name => fs.readFileSync(file(name), 'utf8');
  pg = await Postgres.start({
    files: { 'server.crt': read('server.pem'), 'server.key': read('server.key'), 'root.crt': read('servers.pem') },
    settings: { ssl: 'on', ssl_ca_file: `'root.crt'` },
    hba: 'hostssl all app 127.0.0.1/32 cert clientcert=verify-full\nhostnossl all old 127.0.0.1/32 md5\nhostssl all clear 127.0.0.1/32 password\nhostnossl all clear 127.0.0.1/32 password\nhostssl all scram 127.0.0.1/32 scram-sha-256\nhost all app 127.0.0.1/32 reject',
  });
  pg.sql(`create role app login; create role scram login password 'upstream-secret'; create role clear login password 'upstream-secret'; set password_encryption = 'md5'; create role old login password 'upstream-secret'; create database shop`);
  provider = await startProvider();
  const password = 'credential: { password: { file: upstream.token } }', verified = `host: localhost, ca: ${file('servers.pem')}`;
  gateway = new Gateway({
    postgres: true, policy: '- { id: engineers, allow: { who: "group:engineers" } }\n- { id: ddl, approve: { when: \'sql.class == "ddl"\', by: "group:leads", hold: 20s } }',
    more: { gateway: `postgres: { client_ca: ${file('people.pem')} }`, identity: `oidc:\n  - { issuer: "${provider.issuer}", audience: sallyport, groups_claim: groups }` },
    targets: {
      certificate: target(pg, `${verified}, user: app, credential: { certificate: { file: ${file('app.pem')} }, key: { file: ${file('app.key')} } }`),
      scram: target(pg, `${verified}, user: scram, ${password}`),
      clear: target(pg, `${verified}, user: clear, ${password}`),
      md5: target(pg, `host: 127.0.0.1, tls: "off", user: old, ${password}`),
      naked: target(pg, `host: 127.0.0.1, tls: "off", user: clear, ${password}`),
      stranger: target(pg, `host: localhost, ca: ${file('others.pem')}, user: scram, ${password}`),
      misnamed: target(pg, `host: 127.0.0.1, ca: ${file('servers.pem')}, user: scram, ${password}`),
      uncertified: target(pg, `${verified}, user: app, ${password}`),
    },
  });
  await gateway.start();
  // Who has no token of the gateway's own is asked for a password, which old clients have a place for: this one asks for a bearer token.
  bearers = new Gateway({ ...gateway.options, dir: undefined, evidence: undefined, more: { ...gateway.options.more, gateway: 'postgres: { login: oauth }' } });
  await bearers.start();
  alice = await gateway.token('alice');
});
after(async () => { await gateway.stop(); await bearers.stop(); await provider.stop(); await pg.down(); });

const ask = (name, env = {}) => psql({ ...gateway.libpq('alice', name, alice, 'shop'), ...env }, `select current_user, (select ssl from pg_stat_ssl where pid = pg_backend_pid());`);

test('a target is reached by certificate, SCRAM and password inside verified TLS, and by md5', async () => {
  for (const [name, said] of [['certificate', 'app|t'], ['scram', 'scram|t'], ['clear', 'clear|t'], ['md5', 'old|f']])
    assert.deepEqual(await ask(name), { code: 0, out: said + '\n', err: '' }, name);
});

test('a target whose certificate is another’s, that has another name, or that wants the password in clear text is not logged in to', async () => {
  for (const [name, why] of [['stranger', /certificate/], ['misnamed', /certificate|name/], ['naked', /clear text/], ['uncertified', /certificate|target/]]) {
    const { code, out, err } = await ask(name);
    assert.notEqual(code, 0, name);
    assert.equal(out, '', name);
    assert.match(err, why, name);
    assert.doesNotMatch(err, /upstream-secret/);
  }
});

/** TLS from the first byte. */
async function directly(alpn, more = {}) {
  const self = new Wire();
  self.waiting = [];
  self.ended = false;
  self.buffer = Buffer.alloc(0);
  self.socket = tls.connect({ port: gateway.postgresPort, host: '127.0.0.1', ca: fs.readFileSync(gateway.ca), ALPNProtocols: alpn, ...more });
  self.socket.on('data', data => { self.buffer = Buffer.concat([self.buffer, data]); self.wake(); });
  for (const event of ['end', 'close', 'error']) self.socket.on(event, () => { self.ended = true; self.wake(); });
  await once(self.socket, 'secureConnect');
  return self;
}
test('direct TLS is taken with ALPN postgresql and with nothing else', async () => {
  const wire = await (await directly(['postgresql'])).login('alice', 'scram', alice);
  assert.equal(wire.socket.alpnProtocol, 'postgresql');
  wire.send(Q('select 7'));
  assert.deepEqual((await wire.all()).map(m => m.type), ['T', 'D', 'C', 'Z']);
  wire.close();
  const none = await directly(undefined);
  none.startup({ user: 'alice@scram' });
  assert.ok((await none.all()).every(m => m.type === 'E'), 'no login without ALPN');
  await assert.rejects(directly(['h2']).then(async other => { other.startup({ user: 'alice@scram' }); if ((await other.all()).length === 0) throw new Error('closed'); }));
});

test('bytes that come before the answer to an encryption request are refused, GSS is declined, and no request comes twice', async () => {
  const ssl = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]), gss = Buffer.from([0, 0, 0, 8, 4, 210, 22, 48]);
  const said = async (...parts) => {
    const wire = await Wire.connect(gateway.postgresPort);
    for (const part of parts) wire.raw(part);
    await wire.until(() => (wire.ended ? true : undefined));
    return wire.buffer.toString('latin1');
  };
  assert.equal(await said(Buffer.concat([ssl, Buffer.from('smuggled')])), '');
  assert.equal(await said(Buffer.concat([gss, gss])), '');
  const wire = await Wire.connect(gateway.postgresPort);
  wire.raw(gss);
  assert.equal((await wire.until(() => (wire.buffer.length ? wire.buffer : undefined))).toString(), 'N');
  wire.buffer = Buffer.alloc(0);
  wire.raw(gss);
  await wire.until(() => (wire.ended ? true : undefined));
  assert.doesNotMatch(wire.buffer.toString(), /^N/);
});

/** OAUTHBEARER (RFC 7628), as libpq 18 speaks it: what the server said after the first message. */
async function bearer(user, token, name = 'scram') {
  const wire = await Wire.secured(bearers.postgresPort, bearers.ca);
  wire.startup({ user: `${user}@${name}`, database: 'shop' });
  const offer = await wire.next();
  assert.match(offer.body.toString('latin1'), /\0\0\0\nOAUTHBEARER\0\0$/);
  const message = Buffer.from(token === '' ? 'n,,\x01auth=\x01\x01' : `n,,\x01auth=Bearer ${token}\x01\x01`), length = Buffer.alloc(4);
  length.writeInt32BE(message.length);
  wire.send(Wire.message('p', 'OAUTHBEARER', length, message));
  const first = await wire.next();
  if (first.type !== 'R' || first.body.readInt32BE(0) !== 11) return { wire, first };
  wire.send(Wire.message('p', Buffer.from([1])));
  return { wire, status: JSON.parse(first.body.subarray(4).toString()), end: await wire.next() };
}
test('OAUTHBEARER takes a token of the provider, and tells a client without one where to get it', async () => {
  const good = await bearer('olivia', await provider.token({ sub: 'olivia', groups: ['engineers'] }));
  assert.deepEqual([good.first.type, good.first.body.readInt32BE(0)], ['R', 0]);
  await good.wire.all();
  good.wire.send(Q('select current_user'));
  assert.match((await good.wire.all()).map(m => m.body.toString('latin1')).join(''), /scram/);
  good.wire.close();
  for (const [user, token] of [['olivia', ''], ['olivia', 'rubbish'], ['olivia', await provider.token({ sub: 'olivia', groups: ['engineers'], aud: 'somebody-else' })]]) {
    const { status, end } = await bearer(user, token);
    assert.deepEqual(status, { status: 'invalid_token', 'openid-configuration': `${provider.issuer}/.well-known/openid-configuration`, scope: 'openid' });
    assert.equal(errorOf(end).C, '28P01');
  }
  const other = await bearer('alice', await provider.token({ sub: 'olivia', groups: ['engineers'] }));
  assert.equal(errorOf(other.first).C, '28P01', 'another one’s token');
});

test('a client certificate of the CA is a login for its own name, and only for a user who is known', async () => {
  const env = who => ({ PGSSLCERT: file(`${who}.pem`), PGSSLKEY: file(`${who}.key`), PGPASSWORD: '' });
  for (const who of ['alice', 'nobody', 'stranger']) fs.chmodSync(file(`${who}.key`), 0o600);
  assert.deepEqual(await ask('scram', env('alice')), { code: 0, out: 'scram|t\n', err: '' });
  for (const [who, user] of [['alice', 'bob'], ['nobody', 'nobody'], ['stranger', 'alice'], ['nobody', 'alice']]) {
    const { code, out } = await psql({ ...gateway.libpq(user, 'scram', '', 'shop'), ...env(who) }, 'select 1;', ['-w']);
    assert.notEqual(code, 0, `${who} as ${user}`);
    assert.equal(out, '');
  }
  assert.ok(gateway.entries('session.open').some(entry => entry.subject === 'alice' && entry.target === 'scram'), 'the session is alice’s');
});

test('a statement that is held in a pipeline holds what is behind it, and what is before it is answered', async () => {
  const bob = await gateway.token('bob');
  const wire = await (await Wire.secured(gateway.postgresPort, gateway.ca)).login('alice', 'scram', alice, { application_name: 'pipeline' });
  wire.send(...X4('select 1'), ...X4('create temp table held (a int)'), ...X4('insert into held values (1) returning a'), S, ...X4('select 2'), S);
  const seen = [];
  while (seen.length < 6) seen.push(await wire.next());
  const notice = seen.find(m => m.type === 'N');
  assert.match(errorOf(notice).M, /held for approval/);
  assert.equal(seen.filter(m => m !== notice).map(m => m.type).join(''), '12TDC', 'the first answer does not wait for the hold');
  const request = await until(async () => JSON.parse((await gateway.run(['requests', '--json'], { token: bob })).out || '[]')[0], 'the request');
  assert.equal((await gateway.run(['approve', request.id ?? request.approval], { token: bob })).code, 0);
  assert.equal((await wire.all()).map(m => m.type).join(''), '12nC12TDCZ');
  assert.equal((await wire.all()).map(m => m.type).join(''), '12TDCZ');
  wire.close();
});
