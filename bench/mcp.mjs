// ./dev bench mcp [--json] [--quick]: tools/call with 1, 16 and 64 connections against a raw node server, directly, through an nginx reverse
// proxy and through Sallyport with recording, masking, pins and policy on; the same in the modern era and over both bridges; a stdio server
// behind npm's mcp-proxy and behind Sallyport (--only stdio runs that alone); the memory of idle clients. Rounds are interleaved; CPU is what the proxy's processes used per call.
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { Gateway, ROOT, folder, line, start } from '../tests/lib/gateway.mjs';

const json = process.argv.includes('--json');
const rounds = process.argv.includes('--quick') ? 3 : 7;
const seconds = process.argv.includes('--quick') ? 2 : 4;
const TICK = 1e6 / Number(spawnSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }).stdout);

const freePort = async () => { return new Promise(resolve => { const s = net.createServer().listen(0, '127.0.0.1', () => { const { port } = s.address(); s.close(() => resolve(port)); }); }); };

async function nginxBefore(port) {
  const dir = folder(), listen = await freePort();
  const config = path.join(dir, 'nginx.conf');
  const temp = name => `${name}_temp_path ${dir}/${name};`;
  fs.writeFileSync(config, `pid ${dir}/pid; error_log ${dir}/error; worker_processes 1; daemon off;
events { worker_connections 2048; }
http { access_log off; ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(temp).join(' ')} keepalive_requests 10000000;
  upstream raw { server 127.0.0.1:${port}; keepalive 128; keepalive_requests 10000000; }
  server { listen 127.0.0.1:${listen}; location / { proxy_pass http://raw; proxy_http_version 1.1; proxy_set_header Connection ""; } } }\n`);
  const child = start('nginx', ['-c', config, '-e', path.join(dir, 'error')]);
  for (let i = 0; i < 200 && !fs.existsSync(`${dir}/pid`); i++) await new Promise(resolve => setTimeout(resolve, 20));
  return { child, url: `http://127.0.0.1:${listen}/mcp` };
}

/** CPU of a process and its children, µs. */
function cpu(pid) {
  const children = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean);
  return [pid, ...children].reduce((sum, one) => {
    const fields = fs.readFileSync(`/proc/${one}/stat`, 'utf8').split(') ')[1].split(' ');
    return sum + (Number(fields[11]) + Number(fields[12])) * TICK;
  }, 0);
}

async function load(url, args, pid, connections = 16) {
  const before = pid ? cpu(pid) : 0;
  const wrk = spawn('wrk', ['-t1', `-c${connections}`, `-d${seconds}s`, '-s', path.join(ROOT, 'bench/lib/mcp_call.lua'), url, '--', ...args]);
  let out = '';
  wrk.stdout.on('data', d => { out += d; });
  await once(wrk, 'close');
  const result = JSON.parse(/^RESULT (.*)$/m.exec(out)?.[1] ?? '{"requests":0,"errors":1}');
  if (!result.requests || result.errors) throw new Error(`the load failed at ${url}: ${out}`);
  return { rate: result.requests / result.seconds, p50: result.p50, cpu: pid ? (cpu(pid) - before) / result.requests : NaN };
}

const median = values => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
function print(name, metric, values, unit, peer, ratio, goal, met) {
  const figure = { case: name, metric, value: Number(median(values).toFixed(2)), unit, peer, ratio: Number(ratio.toFixed(3)), goal, met, rounds: values.length,
    min: Number(Math.min(...values).toFixed(2)), max: Number(Math.max(...values).toFixed(2)) };
  console.log(json ? JSON.stringify(figure) : `${name.padEnd(12)} ${metric.padEnd(14)} ${String(figure.value).padStart(10)} ${unit.padEnd(4)} [${figure.min}, ${figure.max}]` +
    (peer ? `  ${figure.ratio}x ${peer}${goal === null ? '' : `, goal ${goal}: ${met ? 'met' : 'not met'}`}` : ''));
}

/** A client that is there and asks nothing: a connection with a session of its own. */
async function idleClient(gateway, target, token) {
  const [host, port] = gateway.mcp.split(':');
  const socket = net.connect(Number(port), host);
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'idle', version: '1' } } });
  socket.write(`POST /mcp/${target} HTTP/1.1\r\nHost: ${gateway.mcp}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nAuthorization: Bearer ${token}\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  const [answer] = await once(socket, 'data');
  if (!/mcp-session-id/i.test(answer)) throw new Error(`no session: ${answer}`);
  socket.on('data', () => {});
  return socket;
}
const rss = pid => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);

const upstream = start(process.execPath, [path.join(ROOT, 'bench/lib/raw_upstream.mjs')]);
const { port } = await line(upstream, text => JSON.parse(text));
const nginx = await nginxBefore(port);
const stdioServer = [process.execPath, path.join(ROOT, 'bench/lib/raw_stdio.mjs')];
const proxyPort = await freePort();
const proxy = start(process.execPath, [path.join(ROOT, 'tests/node_modules/mcp-proxy/dist/bin/mcp-proxy.mjs'), '--port', String(proxyPort), '--host', '127.0.0.1', '--server', 'stream', '--', ...stdioServer]);
const labels = { data: 'pii' }, trust = '{ pinning: true }';
const gateway = new Gateway({
  tls: false, more: { gateway: 'workers: 1' },
  targets: {
    raw: { url: `http://127.0.0.1:${port}/mcp`, labels, trust, extra: 'era: legacy' },
    modern: { url: `http://127.0.0.1:${port}/modern`, labels, trust, extra: 'era: modern' },
    stdio: { command: stdioServer, labels, trust },
  },
  policy: `- { id: engineers, allow: { who: "group:engineers" } }
- { id: no-shell, block: { when: 'mcp.tool == "run_command"' } }
- { id: pii, mask: { target: { data: pii }, detect: [email, pan, iban, ssn, phone, ip, jwt, aws_key, private_key], fields: ["$.customer.phone"], with: partial } }`,
});
await gateway.start();
const token = await gateway.token('alice');
/** Pinned from the first list on: each call's arguments are judged by the tool's schema. */
async function session(target) {
  const id = await gateway.initialize(target, token);
  await gateway.mcpPost(target, { jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} }, { token, session: id });
  return id;
}
/** The proxy's own session, once it listens. */
async function proxySession() {
  const url = `http://127.0.0.1:${proxyPort}/mcp`;
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'bench', version: '1' } } });
  for (let i = 0; ; i++) {
    const answer = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }, body }).catch(error => { if (i > 200) throw error; });
    if (answer?.ok) { await answer.text(); return [url, answer.headers.get('mcp-session-id') ?? 'none']; }
    await new Promise(resolve => setTimeout(resolve, 50));
  }
}
const [proxyUrl, proxyId] = await proxySession();
const [rawId, modernId, stdioId] = [await session('raw'), await session('modern'), await session('stdio')];
const LEGACY = 'legacy', MODERN = 'modern';
const ends = {
  direct: [`http://127.0.0.1:${port}/mcp`, ['raw', 'none', LEGACY], null],
  nginx: [nginx.url, ['raw', 'none', LEGACY], nginx.child.pid],
  sallyport: [gateway.url('raw'), [rawId, token, LEGACY], gateway.pid],
  'modern': [gateway.url('modern'), ['none', token, MODERN], gateway.pid],
  'modern-to-legacy': [gateway.url('raw'), ['none', token, MODERN], gateway.pid],
  'legacy-to-modern': [gateway.url('modern'), [modernId, token, LEGACY], gateway.pid],
  'mcp-proxy': [proxyUrl, [proxyId, 'none', LEGACY], proxy.pid],
  'stdio': [gateway.url('stdio'), [stdioId, token, LEGACY], gateway.pid],
};
const STDIO = ['mcp-proxy', 'stdio'];
// --only stdio runs these two alone.
const only = process.argv.includes('--only') ? STDIO : Object.keys(ends);
const CASES = [...['direct', 'nginx', 'sallyport', ...STDIO].flatMap(name => [1, 16, 64].map(c => [name, c])),
  ...['modern', 'modern-to-legacy', 'legacy-to-modern'].map(name => [name, 16])].filter(([name]) => only.includes(name));
const seen = Object.fromEntries(CASES.map(([name, c]) => [`${name} c${c}`, []]));
for (const [name, c] of CASES) await load(...ends[name], c);  // warm
for (let round = 0; round < rounds; round++)
  for (const [name, c] of CASES) seen[`${name} c${c}`].push(await load(...ends[name], c));

const of = (name, key) => seen[name].map(one => one[key]);
const ratio = (a, b, key) => median(seen[a].map((one, i) => one[key] / seen[b][i][key]));
function printHttp() {
  for (const c of [1, 16, 64]) {
    print(`mcp.direct.c${c}`, 'calls', of(`direct c${c}`, 'rate'), '1/s', null, 1, null, null);
    print(`mcp.nginx.c${c}`, 'calls', of(`nginx c${c}`, 'rate'), '1/s', 'direct', ratio(`nginx c${c}`, `direct c${c}`, 'rate'), null, null);
    print(`mcp.nginx.c${c}`, 'cpu per call', of(`nginx c${c}`, 'cpu'), 'us', null, 1, null, null);
    const cpuRatio = ratio(`sallyport c${c}`, `nginx c${c}`, 'cpu');
    print(`mcp.sallyport.c${c}`, 'calls', of(`sallyport c${c}`, 'rate'), '1/s', 'nginx', ratio(`sallyport c${c}`, `nginx c${c}`, 'rate'), null, null);
    print(`mcp.sallyport.c${c}`, 'p50', of(`sallyport c${c}`, 'p50'), 'us', 'nginx', ratio(`sallyport c${c}`, `nginx c${c}`, 'p50'), null, null);
    print(`mcp.sallyport.c${c}`, 'cpu per call', of(`sallyport c${c}`, 'cpu'), 'us', 'nginx', cpuRatio, 1.2, cpuRatio <= 1.2);
  }
  for (const name of ['modern', 'modern-to-legacy', 'legacy-to-modern']) {
    print(`mcp.${name}`, 'calls', of(`${name} c16`, 'rate'), '1/s', 'sallyport', ratio(`${name} c16`, 'sallyport c16', 'rate'), null, null);
    print(`mcp.${name}`, 'cpu per call', of(`${name} c16`, 'cpu'), 'us', 'sallyport', ratio(`${name} c16`, 'sallyport c16', 'cpu'), null, null);
  }
}
if (only !== STDIO) printHttp();
for (const c of [1, 16, 64]) {
  print(`mcp.stdio.c${c}`, 'calls', of(`stdio c${c}`, 'rate'), '1/s', 'mcp-proxy', ratio(`stdio c${c}`, `mcp-proxy c${c}`, 'rate'), null, null);
  print(`mcp.stdio.c${c}`, 'p50', of(`stdio c${c}`, 'p50'), 'us', 'mcp-proxy', ratio(`stdio c${c}`, `mcp-proxy c${c}`, 'p50'), null, null);
  print(`mcp.stdio.c${c}`, 'cpu per call', of(`stdio c${c}`, 'cpu'), 'us', 'mcp-proxy', ratio(`stdio c${c}`, `mcp-proxy c${c}`, 'cpu'), null, null);
}

const CLIENTS = only === STDIO ? 0 : process.argv.includes('--quick') ? 1000 : 10_000;
const before = rss(gateway.pid), clients = [];
while (clients.length < CLIENTS) clients.push(...await Promise.all(Array.from({ length: 100 }, () => idleClient(gateway, 'raw', token))));
const each = CLIENTS === 0 ? 0 : (rss(gateway.pid) - before) / CLIENTS;
if (CLIENTS > 0) print('mcp.idle', `${CLIENTS} clients`, [each], 'KiB each', null, 1, 64, each <= 64);
for (const socket of clients) socket.destroy();
await gateway.stop();
// SIGTERM, for a master that is killed leaves its worker behind.
for (const child of [nginx.child, proxy]) {
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  await gone;
}
const { code, report } = gateway.verify();
if (code !== 0) { console.error(`the record of the run does not verify: ${JSON.stringify(report)}`); process.exit(1); }
process.exit(0);
