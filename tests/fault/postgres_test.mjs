// kill -9 under load and a disk that fails, with PostgreSQL behind the gateway: its own log (log_statement = all) shows no
// statement without an entry. SALLYPORT_PG_KILLS says how often (15; a release wants 60).
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import pgClient from 'pg';
import { Gateway, ROOT, folder, until } from '../lib/gateway.mjs';
import { Postgres, psql } from '../lib/postgres.mjs';

const KILLS = Number(process.env.SALLYPORT_PG_KILLS ?? 15);
const POLICY = `- { id: engineers, allow: { who: "group:engineers" } }\n- { id: pii, mask: { detect: [email], with: partial } }`;
let seed = 0x5eed;
const random = n => { seed = (Math.imul(seed, 1103515245) + 12345) >>> 0; return (seed >>> 8) % n; };

async function shop(options = {}, commit = 'strict') {
  const pg = await Postgres.start({ settings: { log_statement: 'all' } });
  pg.sql(`create role app login password 'upstream-secret'; create database shop owner app`);
  pg.sql('set role app; create table calls (n int, t text)', 'shop');
  const gateway = new Gateway({ tls: false, postgres: true, policy: POLICY,
    targets: { shop: { postgres: `host: 127.0.0.1, port: ${pg.port}, database: shop, user: app, tls: "off", commit: ${commit}, credential: { password: { file: upstream.token } }` } }, ...options });
  await gateway.start();
  return { pg, gateway };
}
/** The numbers that the server's own log says it was asked to run. */
const seenByServer = pg => new Set([...fs.readFileSync(pg.log, 'utf8').matchAll(/(?:statement|execute [^:]*): \/\* n=(\d+) \*\//g)].map(found => Number(found[1])));

for (const commit of ['strict', 'overlapped'])
  test(`${KILLS} kill -9 under load, ${commit}: no statement without an entry, no answer without an outcome`, { timeout: 600_000 }, async () => {
    const { pg, gateway } = await shop({ more: { evidence: 'segment: 1MiB' } }, commit);
    gateway.keepPorts();
    const alice = await gateway.token('alice');
    const key = gateway.key();
    const acknowledged = new Set(), answered = { write: 0, named: 0, simple: 0 };
    let calls = 0, running = true;
    const caller = async kind => {
      while (running) {
        const client = new pgClient.Client({ host: '127.0.0.1', port: gateway.postgresPort, user: 'alice@shop', password: alice, database: 'shop', connectionTimeoutMillis: 3000 });
        client.on('error', () => { /* the gateway was killed */ });
        try {
          await client.connect();
          while (running) {
            const n = ++calls;
            const answer = kind === 'write' ? await client.query(`/* n=${n} */ insert into calls values ($1, 'x') returning n`, [n])
              : kind === 'named' ? await client.query({ name: `s${n}`, text: `/* n=${n} */ select $1::int as n`, values: [n] }) : await client.query(`/* n=${n} */ select ${n} as n`);
            if (answer.rows[0].n === n) acknowledged.add(n), answered[kind]++;
          }
        } catch { await new Promise(resolve => setTimeout(resolve, 5)); }  // nobody listens: the gateway is down
        client.end().catch(() => {});
      }
    };
    const callers = Promise.all(['write', 'named', 'simple', 'simple'].map(caller));
    for (let kill = 1; kill <= KILLS; kill++) {
      await new Promise(resolve => setTimeout(resolve, 20 + random(150)));
      await gateway.kill9();
      const { code, out } = gateway.verify(gateway.evidence, key);
      assert.ok(code === 0 || code === 2, `after kill ${kill}: exit ${code}\n${out}`);
      await gateway.start();
    }
    await until(() => acknowledged.size > KILLS && Object.values(answered).every(n => n > 0), 'load of every kind');
    running = false;
    await callers;
    assert.equal(await gateway.stop(), 0);
    const recorded = new Map(), ends = new Map();
    for (const session of gateway.sessions())
      for (const step of gateway.play(session.session)) {
        if (step.kind === 'command') for (const found of (step.text ?? '').matchAll(/n=(\d+)/g)) recorded.set(Number(found[1]), step);
        if (step.kind === 'outcome') ends.set(step.command_index, step.result);
      }
    const reads = new Set([...fs.readFileSync(pg.log, 'utf8').matchAll(/\/\* n=(\d+) \*\/ select/g)].map(found => Number(found[1])));
    let ahead = 0;
    for (const n of seenByServer(pg)) {
      if (recorded.has(n)) continue;
      // Overlapped lets a read go ahead of its entry: it changes nothing, and nobody gets its answer.
      ahead++;
      assert.ok(commit === 'overlapped' && reads.has(n) && !acknowledged.has(n), `statement ${n} reached the server without its intent in the log`);
    }
    assert.ok(ahead <= KILLS * 4);
    for (const n of acknowledged) assert.equal(ends.get(recorded.get(n)?.index), 'ok', `statement ${n} was answered and has no outcome`);
    assert.equal(gateway.verify(gateway.evidence, key).code, 0);
    console.log(`${KILLS} kills, ${commit}: ${seenByServer(pg).size} statements reached the server, ${acknowledged.size} were answered, ${ahead} reads had gone ahead of their entries`);
    await pg.down();
  });

for (const [commit, error] of ['strict', 'overlapped'].flatMap(commit => ['EIO', 'ENOSPC'].map(error => [commit, error])))
  test(`a disk that fails (${error}) stops statements, and service comes back by itself, ${commit}`, { timeout: 60_000 }, async () => {
    const dir = folder(), shim = path.join(dir, 'shim.so'), control = path.join(dir, 'fail');
    execFileSync('clang-19', ['-shared', '-fPIC', '-O1', '-o', shim, path.join(ROOT, 'tests/fixtures/eio_shim.c'), '-ldl']);
    const { pg, gateway } = await shop({ env: { LD_PRELOAD: shim, EIO_WHEN: control } }, commit);
    const alice = await gateway.token('alice');
    const client = new pgClient.Client({ host: '127.0.0.1', port: gateway.postgresPort, user: 'alice@shop', password: alice, database: 'shop' });
    client.on('error', () => {});
    await client.connect();
    assert.equal((await client.query('/* n=1 */ select 1 as n')).rows[0].n, 1);
    fs.writeFileSync(control, error);
    await assert.rejects(client.query('/* n=2 */ select 2 as n'), { code: '58030' });
    await assert.rejects(client.query(`/* n=3 */ insert into calls values (3, 'x')`), /evidence cannot be written|terminated|not queryable|ECONNRESET|EPIPE/);
    assert.ok(!seenByServer(pg).has(3), 'the write reached the server');
    fs.rmSync(control);
    await until(async () => (await gateway.get('/readyz')).status === 200, 'service comes back by itself');
    const { out } = await psql(gateway.libpq('alice', 'shop', alice), '/* n=4 */ select 4;');
    assert.equal(out.trim(), '4');
    await client.end().catch(() => {});
    assert.equal(await gateway.stop(), 0);
    assert.equal(gateway.verify().code, 0);
    await pg.down();
  });
