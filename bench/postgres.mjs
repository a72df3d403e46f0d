// ./dev bench postgres [--json] [--quick]: pgbench -S and a 236 MB result, directly, through pgbouncer in session mode and
// through Sallyport with recording and masking on, strict and overlapped. Rounds are interleaved; CPU is what the proxy's
// process used per query. Then ten thousand idle sessions on a server that only greets.
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { once } from 'node:events';
import { Gateway, ROOT, folder, line, start, until } from '../tests/lib/gateway.mjs';
import { Postgres, run } from '../tests/lib/postgres.mjs';

const json = process.argv.includes('--json'), quick = process.argv.includes('--quick');
const rounds = quick ? 3 : 5, seconds = quick ? 2 : 3;
const only = process.argv.find(one => one.startsWith('--only='))?.slice(7);

const pg = await Postgres.start({ settings: { shared_buffers: "'256MB'", max_connections: 300, synchronous_commit: 'off' } });
pg.sql(`create role app login superuser password 'upstream-secret'; create database bench`);
await run('pgbench', ['-i', '-q', '-s', '10', 'bench'], { env: pg.env('postgres', '', 'bench'), timeout: 120_000 });
pg.sql(`create table big as select i as id, md5(i::text) as a, repeat(md5((i+1)::text), 5) as b, 'user' || i || '-at-example' as c from generate_series(1, 1000000) i; vacuum analyze big;
  create table people as select i as id, 'user' || i || '@example.com' as email, lpad(i::text, 9, '0') as ssn from generate_series(1, 1000) i`, 'bench');

async function pgbouncer(tls) {
  const dir = folder('sallyport-pgb-');
  fs.chmodSync(dir, 0o755);
  const port = await new Promise(resolve => { const s = net.createServer().listen(0, '127.0.0.1', () => { const { port } = s.address(); s.close(() => resolve(port)); }); });
  fs.writeFileSync(`${dir}/users`, '"app" "upstream-secret"\n');
  fs.writeFileSync(`${dir}/ini`, `[databases]\nbench = host=127.0.0.1 port=${pg.port} user=app password=upstream-secret\n[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port=${port}\nauth_type=plain\nauth_file=${dir}/users
pool_mode=session\nmax_client_conn=500\ndefault_pool_size=200\nunix_socket_dir=\nlogfile=${dir}/log\npidfile=${dir}/pid\nignore_startup_parameters=extra_float_digits\n` +
    (tls ? `client_tls_sslmode=require\nclient_tls_cert_file=${tls.cert}\nclient_tls_key_file=${tls.key}\n` : ''));
  const as = process.getuid() === 0 ? ['setpriv', ['--reuid=postgres', '--regid=postgres', '--clear-groups', 'pgbouncer', `${dir}/ini`]] : ['pgbouncer', [`${dir}/ini`]];
  if (process.getuid() === 0) { const { uid, gid } = fs.statSync(pg.dir); fs.chownSync(dir, uid, gid); }
  const child = start(...as);
  await until(() => { try { return Number(fs.readFileSync(`${dir}/pid`, 'utf8')); } catch { return 0; } }, 'pgbouncer is up');
  return { port, pid: child.pid, child, env: { PGUSER: 'app', PGPASSWORD: 'upstream-secret', ...(tls ? { PGSSLMODE: 'require' } : { PGSSLMODE: 'disable' }) } };
}

const POLICY = `- { id: engineers, allow: { who: "group:engineers" } }
- { id: no-mass-delete, block: { when: '"delete" in sql.verbs && !sql.has_where' } }
- { id: pii, mask: { columns: [people.ssn, big.c], detect: [email, pan, iban, ssn, jwt, aws_key, private_key], with: partial } }`;
async function sallyport(more, tls = false, host = '127.0.0.1') {
  const gateway = new Gateway({ tls, postgres: true, more: { gateway: 'workers: 1\npostgres: { login: password }' }, policy: POLICY,
    targets: { bench: { postgres: `host: "${host}", port: ${pg.port}, database: bench, user: app, tls: "off", credential: { password: { file: upstream.token } }${more}` } } });
  await gateway.start();
  const token = await gateway.token('alice');
  return { gateway, token, port: gateway.postgresPort, pid: gateway.pid, env: { PGUSER: 'alice@bench', PGPASSWORD: token, PGSSLMODE: tls ? 'require' : 'disable' } };
}

/** CPU of all threads of a process, µs. */
function cpu(pid) {
  return fs.readdirSync(`/proc/${pid}/task`).reduce((sum, task) => {
    try { return sum + Number(fs.readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]) / 1000; } catch { return sum; }
  }, 0);
}
const envOf = end => ({ ...process.env, PGHOST: '127.0.0.1', PGPORT: String(end.port), PGDATABASE: 'bench', ...end.env });
async function pgbench(end, mode, clients) {
  const before = end.pid ? cpu(end.pid) : 0;
  const { code, out, err } = await run('pgbench', ['-n', '-S', '-M', mode, '-c', String(clients), '-j', '1', '-T', String(seconds), 'bench'], { env: envOf(end) });
  const tps = Number(/^tps = ([0-9.]+)/m.exec(out)?.[1]), count = Number(/actually processed: ([0-9]+)/.exec(out)?.[1]);
  if (code !== 0 || !tps || !/failed transactions: 0 /.test(out)) throw new Error(`pgbench failed: ${out}${err}`);
  return { tps, cpu: end.pid ? (cpu(end.pid) - before) / count : NaN, p50: 1000 * Number(/latency average = ([0-9.]+)/.exec(out)[1]) };
}
async function drain(end, sql) {
  const before = end.pid ? cpu(end.pid) : 0;
  const { code, out, err } = await run(process.execPath, [path.join(ROOT, 'bench/lib/pg_drain.mjs'), String(end.port), end.env.PGUSER, 'bench', end.env.PGPASSWORD, sql], { env: process.env });
  if (code !== 0) throw new Error(`drain: ${err}`);
  const { bytes, seconds: took } = JSON.parse(out);
  return { rate: bytes / took / 1e6, cpu: end.pid ? (cpu(end.pid) - before) / 1000 / (bytes / 1e8) : NaN };
}

const median = values => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
function print(name, metric, values, unit, peer, ratio, goal, met) {
  const figure = { case: name, metric, value: Number(median(values).toFixed(2)), unit, peer, ratio: ratio === null ? null : Number(ratio.toFixed(3)), goal, met, rounds: values.length,
    min: Number(Math.min(...values).toFixed(2)), max: Number(Math.max(...values).toFixed(2)) };
  console.log(json ? JSON.stringify(figure) : `${name.padEnd(34)} ${metric.padEnd(14)} ${String(figure.value).padStart(10)} ${unit.padEnd(9)} [${figure.min}, ${figure.max}]` +
    (peer ? `  ${figure.ratio}x ${peer}${goal === null ? '' : `, goal ${goal}: ${met ? 'met' : 'not met'}`}` : ''));
}
async function compare(name, ends, measure, report) {
  if (only && !name.includes(only)) return;
  const seen = Object.fromEntries(Object.keys(ends).map(key => [key, []]));
  for (const end of Object.values(ends)) await measure(end);   // warm
  for (let round = 0; round < rounds; round++) {
    const order = Object.keys(ends);
    for (let i = 0; i < order.length; i++) {
      const key = order[(i + round) % order.length];
      seen[key].push(await measure(ends[key]));
    }
  }
  report(name, key => seen[key].map(x => x), (a, b, what) => median(seen[a].map((one, i) => one[what] / seen[b][i][what])));
}

const direct = { port: pg.port, pid: null, env: { PGUSER: 'app', PGPASSWORD: 'upstream-secret', PGSSLMODE: 'disable' } };
const peer = await pgbouncer();
const strict = await sallyport('');
const overlapped = await sallyport(', commit: overlapped');
const socket = await sallyport(', commit: overlapped', false, pg.dir);
const ends = { direct, pgbouncer: peer, strict, overlapped, 'overlapped, Unix socket': socket };
for (const mode of ['simple', 'extended', 'prepared'])
  for (const clients of [1, 16, 64])
    await compare(`${mode} c${clients}`, ends, end => pgbench(end, mode, clients), (name, of, ratio) => {
      print(name + ' pgbouncer', 'tps', of('pgbouncer').map(x => x.tps), '1/s', 'direct', ratio('pgbouncer', 'direct', 'tps'), null, null);
      print(name + ' pgbouncer', 'cpu per query', of('pgbouncer').map(x => x.cpu), 'us', null, null, null, null);
      for (const key of ['strict', 'overlapped', 'overlapped, Unix socket']) {
        const goal = clients === 16 && key === 'strict';
        const tps = ratio(key, 'pgbouncer', 'tps'), used = ratio(key, 'pgbouncer', 'cpu');
        print(`${name} ${key}`, 'tps', of(key).map(x => x.tps), '1/s', 'pgbouncer', tps, goal ? 1 : null, goal ? tps >= 1 : null);
        print(`${name} ${key}`, 'cpu per query', of(key).map(x => x.cpu), 'us', 'pgbouncer', used, goal ? 1.1 : null, goal ? used <= 1.1 : null);
      }
    });
const bulk = (name, sql) => compare(name, { pgbouncer: peer, strict }, end => drain(end, sql), (title, of, ratio) => {
  print(title + ' pgbouncer', 'cpu', of('pgbouncer').map(x => x.cpu), 'ms/100MB', null, null, null, null);
  print(title + ' strict', 'rate', of('strict').map(x => x.rate), 'MB/s', 'pgbouncer', ratio('strict', 'pgbouncer', 'rate'), null, null);
  const used = ratio('strict', 'pgbouncer', 'cpu');
  print(title + ' strict', 'cpu', of('strict').map(x => x.cpu), 'ms/100MB', 'pgbouncer', used, 0.95, used <= 0.95);
});
await bulk('bulk, detectors only', 'select id, a, b from big');
await bulk('bulk, a masked column', 'select id, a, b, c from big');
for (const one of [strict, overlapped, socket]) {
  await one.gateway.stop();
  const { code, report } = one.gateway.verify();
  if (code !== 0) { console.error(`the record of the run does not verify: ${JSON.stringify(report)}`); process.exit(1); }
}
const tlsEnd = await sallyport(', commit: overlapped', true);
const pem = name => path.join(tlsEnd.gateway.dir, 'state', name);
for (const name of ['tls.pem', 'tls.key']) { fs.copyFileSync(pem(name), path.join(pg.dir, name)); const { uid, gid } = fs.statSync(pg.dir); fs.chownSync(path.join(pg.dir, name), uid, gid); fs.chmodSync(path.join(pg.dir, name), 0o600); }
const peerTls = await pgbouncer({ cert: path.join(pg.dir, 'tls.pem'), key: path.join(pg.dir, 'tls.key') });
await compare('TLS prepared c16', { pgbouncer: peerTls, overlapped: tlsEnd }, end => pgbench(end, 'prepared', 16), (name, of, ratio) => {
  print(name + ' overlapped', 'tps', of('overlapped').map(x => x.tps), '1/s', 'pgbouncer', ratio('overlapped', 'pgbouncer', 'tps'), null, null);
  print(name + ' overlapped', 'cpu per query', of('overlapped').map(x => x.cpu), 'us', 'pgbouncer', ratio('overlapped', 'pgbouncer', 'cpu'), null, null);
});
await tlsEnd.gateway.stop();

if (!only || 'idle'.includes(only)) {
  // Each has two sockets in the gateway.
  const files = Number(/Max open files\s+\d+\s+(\d+)/.exec(fs.readFileSync('/proc/self/limits', 'utf8'))[1]);
  const wanted = Math.min(quick ? 2000 : 10_000, Math.floor((files - 300) / 200) * 100);
  const quiet = start(process.execPath, [path.join(ROOT, 'bench/lib/pg_quiet.mjs')]);
  const port = await line(quiet, text => Number(text));
  const gateway = new Gateway({ tls: false, postgres: true, more: { gateway: 'workers: 1\npostgres: { login: password }' }, policy: POLICY,
    targets: { bench: { postgres: `host: 127.0.0.1, port: ${port}, database: bench, user: app, tls: "off"` },
      busy: { postgres: `host: 127.0.0.1, port: ${pg.port}, database: bench, user: app, tls: "off", credential: { password: { file: upstream.token } }` } } });
  await gateway.start();
  const token = await gateway.token('alice');
  const busy = { port: gateway.postgresPort, pid: gateway.pid, env: { PGUSER: 'alice@busy', PGPASSWORD: token, PGSSLMODE: 'disable' } };
  const alone = [];
  for (let round = 0; round < rounds; round++) alone.push((await pgbench(busy, 'prepared', 1)).cpu);
  const rss = () => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${gateway.pid}/status`, 'utf8'))[1]);
  const clients = [];
  const connect = () => new Promise((resolve, reject) => {
    const client = net.connect(gateway.postgresPort, '127.0.0.1');
    clients.push(client);
    client.on('error', reject);
    client.write(Buffer.concat([Buffer.from([0, 0, 0, 0, 0, 3, 0, 0]), Buffer.from('user\0alice@bench\0\0')]).fill(Buffer.from([0, 0, 0, 26]), 0, 4));
    client.on('data', data => {
      if (data[0] === 0x52 && data[8] === 3) { const body = Buffer.from(token + '\0'); const head = Buffer.alloc(5); head.write('p'); head.writeInt32BE(body.length + 4, 1); client.write(Buffer.concat([head, body])); }
      else if (data.subarray(-6).equals(Buffer.from([0x5a, 0, 0, 0, 5, 0x49]))) resolve();
      else if (data[0] === 0x45) reject(new Error(data.toString()));
    });
  });
  for (let i = 0; i < 200; i++) await connect();
  const before = rss(), base = clients.length;
  for (let i = base; i < wanted; i += 100) await Promise.all(Array.from({ length: 100 }, connect));
  const each = (rss() - before) / (clients.length - base);
  print(`idle, ${clients.length}`, 'memory', [each], 'KiB', null, each / 64, 64, each <= 64);
  const used = cpu(gateway.pid);
  await new Promise(resolve => setTimeout(resolve, 3000));
  print(`idle, ${clients.length}`, 'cpu', [(cpu(gateway.pid) - used) / 3e4], '% of core', null, null, null, null);
  const among = [];
  for (let round = 0; round < rounds; round++) among.push((await pgbench(busy, 'prepared', 1)).cpu);
  print(`idle, ${clients.length}, one busy`, 'cpu per query', among, 'us', 'the same session alone', median(among) / median(alone), null, null);
  for (const client of clients) client.destroy();
  gateway.child.kill('SIGKILL');
}
for (const one of [peer, peerTls]) { const gone = once(one.child, 'exit'); one.child.kill('SIGINT'); await gone; }
process.exit(0);
