// Who gets in, as libpq and the wire by hand try it over TLS: tokens, names, channel binding, certificates, startup options.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { Gateway, folder } from '../lib/gateway.mjs';
import { Postgres, Wire, errorOf, psql } from '../lib/postgres.mjs';

let pg, gateway, alice, bob, env;
before(async () => {
  pg = await Postgres.start({ settings: { log_connections: 'on' } });
  pg.sql(`create role app login password 'upstream-secret'; create database shop owner app; create database archive owner app; create database hidden owner app`);
  const target = databases => `host: 127.0.0.1, port: ${pg.port}, database: shop, ${databases} user: app, tls: "off", credential: { password: { file: upstream.token } }`;
  gateway = new Gateway({ postgres: true, policy: `- { id: engineers, allow: { who: "group:engineers", target: [shop, other] } }\n- { id: pii, mask: { detect: [email], with: partial } }`,
    targets: { shop: { postgres: target('databases: [archive],') }, other: { postgres: target('') }, closed: { postgres: target('') } } });
  await gateway.start();
  [alice, bob] = [await gateway.token('alice'), await gateway.token('bob')];
  env = gateway.libpq('alice', 'shop', alice);
});
after(async () => {
  assert.equal(await gateway.stop(), 0);
  assert.equal(gateway.verify().code, 0);
  await pg.down();
});
const ask = async (more, sql = 'select current_user, current_database();') => {
  const { code, out, err } = await psql({ ...env, ...more }, sql);
  return { code, out: out.trim(), err };
};
const connections = () => fs.readFileSync(pg.log, 'utf8').split('connection authorized').length;
const secured = () => Wire.secured(gateway.postgresPort, gateway.ca);

test('verify-full, require and channel binding work with an issued token, and the role at the target is the gateway’s', async () => {
  for (const more of [{}, { PGSSLMODE: 'require', PGSSLROOTCERT: '' }, { PGCHANNELBINDING: 'require' }, { PGCHANNELBINDING: 'disable' }, { PGSSLMINPROTOCOLVERSION: 'TLSv1.3' }, { PGDATABASE: 'shop' }])
    assert.deepEqual(await ask(more), { code: 0, out: 'app|shop', err: '' }, JSON.stringify(more));
  assert.equal((await ask({ PGDATABASE: 'archive' })).out, 'app|archive');
});

test('a plain user names the target as database', async () => {
  assert.equal((await ask({ PGUSER: 'alice', PGDATABASE: 'shop' })).out, 'app|shop');
  assert.equal((await ask({ PGUSER: 'alice', PGDATABASE: 'shop', PGCHANNELBINDING: 'require' })).out, 'app|shop');
  const { code, err } = await ask({ PGUSER: 'alice', PGDATABASE: 'archive' });
  assert.equal(code, 2);
  assert.match(err, /FATAL/);
});

test('wrong tokens, other people’s tokens, unknown users: one text for all, and the target hears nothing', async () => {
  const before = connections();
  const spoiled = alice.slice(0, -1) + (alice.endsWith('A') ? 'B' : 'A');
  for (const more of [{ PGPASSWORD: spoiled }, { PGPASSWORD: 'x' }, { PGPASSWORD: bob }, { PGUSER: 'bob@shop' }, { PGUSER: 'nobody@shop' }, { PGUSER: 'Alice@shop' }, { PGPASSWORD: spoiled, PGCHANNELBINDING: 'require' }]) {
    const { code, err } = await ask(more);
    assert.equal(code, 2, JSON.stringify(more));
    assert.match(err, /FATAL: +password authentication failed for user "\w+"/, JSON.stringify(more));
    assert.doesNotMatch(err, /upstream-secret/);
  }
  assert.equal(connections(), before);
});

test('a target that is unknown and one that nothing is allowed at look the same, and other databases are refused', async () => {
  const before = connections();
  const unknown = await ask({ PGUSER: 'alice@nowhere', PGDATABASE: 'alice@nowhere' }), closed = await ask({ PGUSER: 'alice@closed', PGDATABASE: 'alice@closed' });
  assert.equal(unknown.code, 2);
  assert.equal(closed.code, 2);
  assert.equal(unknown.err.replaceAll('nowhere', 'closed'), closed.err);
  for (const database of ['hidden', 'postgres', 'template1', 'SHOP', '']) {
    if (!database) continue;
    const { code, err } = await ask({ PGDATABASE: database });
    assert.equal(code, 2, database);
    assert.match(err, /FATAL/);
  }
  assert.equal((await ask({ PGUSER: 'alice@other', PGDATABASE: 'archive' })).code, 2);
  assert.equal(connections(), before);
});

test('plain text is refused while TLS is on, and a wrong CA or name is the client’s to see', async () => {
  const { code, err } = await ask({ PGSSLMODE: 'disable' });
  assert.equal(code, 2);
  assert.match(err, /TLS only/);
  assert.match((await ask({ PGSSLROOTCERT: '/etc/ssl/certs/ca-certificates.crt' })).err, /certificate verify failed/);
  assert.match((await ask({ PGHOST: 'elsewhere.example', PGHOSTADDR: '127.0.0.1' })).err, /does not match host name/);
  const prefer = await ask({ PGSSLMODE: 'prefer' });
  assert.equal(prefer.out, 'app|shop', prefer.err);
});

test('settings that harm nothing pass at the start, others and replication are refused by name', async () => {
  assert.equal((await ask({ PGOPTIONS: '-c statement_timeout=5s -c search_path=public --work-mem=5MB', PGAPPNAME: 'my app', PGTZ: 'Europe/Berlin', PGDATESTYLE: 'German', PGCLIENTENCODING: 'UTF8' },
    `select current_setting('statement_timeout'), current_setting('work_mem'), current_setting('application_name'), current_setting('timezone'), current_setting('datestyle');`)).out, '5s|5MB|my app|Europe/Berlin|German, DMY');
  for (const [options, named] of [['-c role=postgres', /role/], ['-c session_authorization=postgres', /session_authorization/], ['-c session_replication_role=replica', /session_replication_role/], ['-c local_preload_libraries=x', /local_preload_libraries/],
    ['-c nothing.like.it=1', /nothing\.like\.it/], ['-P', /-P/], ['-c ROLE=postgres', /ROLE/], ['--role=postgres', /role/], ['-cwork_mem=5MB -crole=postgres', /role/], ['-c\\ role=postgres', /role/], ['-f s', /-f/], ['-o x', /-o/], ['-B 10', /-B/]]) {
    const { code, err } = await ask({ PGOPTIONS: options });
    assert.equal(code, 2, options);
    assert.match(err, named, options);
  }
  for (const [value, refused] of [['true', true], ['1', true], ['database', true], ['on', true], ['nonsense', true], ['false', false], ['0', false]]) {
    const wire = await secured();
    wire.startup({ user: 'alice@shop', replication: value });
    const message = await wire.next();
    if (refused) assert.match(errorOf(message).M, /replication/, value);
    else assert.equal(message.type, 'R', value);
    wire.close();
  }
});

test('a newer minor version and unknown protocol options are negotiated, another major version is refused', async () => {
  for (const [version, expected] of [[196608 + 2, null], [196608 + 9, 196608 + 2], [196608, null]]) {
    const wire = await secured();
    wire.startup({ user: 'alice@shop' }, version);
    const message = await wire.next();
    if (expected === null) assert.equal(message.type, 'R', String(version));
    else {
      assert.equal(message.type, 'v');
      assert.equal(message.body.readInt32BE(0), expected);
    }
    wire.close();
  }
  const extended = await secured();
  extended.startup({ user: 'alice@shop', '_pq_.future': 'x' });
  const answer = await extended.next();
  assert.equal(answer.type, 'v');
  assert.match(answer.body.subarray(8).toString(), /^_pq_\.future\0$/);
  extended.close();
  for (const version of [2 << 16, 4 << 16]) {
    const wire = await secured();
    wire.startup({ user: 'alice@shop' }, version);
    assert.equal(errorOf(await wire.next()).C, '0A000');
    wire.close();
  }
});

test('a token in .pgpass and a service file, multiple hosts and a target session attribute: libpq’s own ways lead here', async () => {
  const dir = folder(), passfile = path.join(dir, 'pgpass'), service = path.join(dir, 'service.conf');
  fs.writeFileSync(passfile, `127.0.0.1:${gateway.postgresPort}:shop:alice@shop:${alice}\n`, { mode: 0o600 });
  fs.writeFileSync(service, `[shop]\nhost=127.0.0.1\nport=${gateway.postgresPort}\nuser=alice@shop\ndbname=shop\nsslmode=verify-full\nsslrootcert=${gateway.ca}\n`);
  const bare = { PATH: process.env.PATH, HOME: dir, PGPASSFILE: passfile, PGSERVICEFILE: service, PGSERVICE: 'shop' };
  assert.equal((await psql(bare, 'select 1;')).out.trim(), '1');
  for (const attributes of ['any', 'read-write', 'primary', 'prefer-standby'])
    assert.equal((await ask({ PGTARGETSESSIONATTRS: attributes, PGHOST: '127.0.0.1,127.0.0.1', PGPORT: `1,${gateway.postgresPort}`, PGDATABASE: 'shop' })).out, 'app|shop', attributes);
});

// With a gateway of its own: this one was ended by it.
test('a setting that is brought twice, in whatever case, is brought once', async () => {
  const own = await new Gateway({ tls: false, postgres: true, policy: gateway.options.policy, targets: gateway.options.targets }).start();
  const token = await own.token('alice');
  for (const [first, second] of [['application_name', 'application_name'], ['application_name', 'Application_Name'], ['APPLICATION_NAME', 'application_name']]) {
    const wire = await Wire.connect(own.postgresPort);
    await wire.enter({ user: 'alice@shop', options: `-c ${first}=one`, [second]: 'two' }, token);
    wire.send(Wire.message('Q', 'show application_name'));
    assert.equal((await wire.all()).find(m => m.type === 'D').body.subarray(6).toString(), 'two', `${first}, then ${second}`);
    wire.close();
  }
  assert.equal(await own.stop(), 0);
});
