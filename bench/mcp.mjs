// ./dev bench mcp [--json] [--quick]: tools/call against a raw node server, directly, through an nginx reverse proxy and through
// Sallyport with recording and masking on. Rounds are interleaved; CPU is what the proxy's processes used per call.
import fs from 'node:fs';
import path from 'node:path';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { Gateway, ROOT, folder, line, start } from '../tests/lib/gateway.mjs';

const json = process.argv.includes('--json');
const rounds = process.argv.includes('--quick') ? 3 : 7;
const seconds = process.argv.includes('--quick') ? 2 : 4;
const CONNECTIONS = 16;
const TICK = 1e6 / Number(spawnSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }).stdout);

const freePort = async () => { const net = await import('node:net'); return new Promise(resolve => { const s = net.createServer().listen(0, '127.0.0.1', () => { const { port } = s.address(); s.close(() => resolve(port)); }); }); };

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

async function load(url, args, pid) {
  const before = pid ? cpu(pid) : 0;
  const wrk = spawn('wrk', ['-t1', `-c${CONNECTIONS}`, `-d${seconds}s`, '-s', path.join(ROOT, 'bench/lib/mcp_call.lua'), url, '--', ...args]);
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

const upstream = start(process.execPath, [path.join(ROOT, 'bench/lib/raw_upstream.mjs')]);
const { port } = await line(upstream, text => JSON.parse(text));
const nginx = await nginxBefore(port);
const gateway = new Gateway({
  tls: false, targets: { raw: { url: `http://127.0.0.1:${port}/mcp`, labels: { data: 'pii' }, trust: '{ pinning: true }' } }, more: { gateway: 'workers: 1' },
  policy: `- { id: engineers, allow: { who: "group:engineers" } }
- { id: no-shell, block: { when: 'mcp.tool == "run_command"' } }
- { id: pii, mask: { target: { data: pii }, detect: [email, pan, iban, ssn, phone, ip, jwt, aws_key, private_key], fields: ["$.customer.phone"], with: partial } }`,
});
await gateway.start();
const token = await gateway.token('alice');
const session = await gateway.initialize('raw', token);
// Pinned from here on: each call's arguments are judged by the tool's schema.
await gateway.mcpPost('raw', { jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} }, { token, session });
const ends = {
  direct: [`http://127.0.0.1:${port}/mcp`, ['raw', 'none'], null],
  nginx: [nginx.url, ['raw', 'none'], nginx.child.pid],
  sallyport: [gateway.url('raw'), [session, token], gateway.pid],
};
const seen = { direct: [], nginx: [], sallyport: [] };
for (const [name, end] of Object.entries(ends)) await load(...end);  // warm
for (let round = 0; round < rounds; round++)
  for (const [name, end] of Object.entries(ends)) seen[name].push(await load(...end));

const of = (name, key) => seen[name].map(one => one[key]);
const ratio = (a, b, key) => median(seen[a].map((one, i) => one[key] / seen[b][i][key]));
print('mcp.direct', 'calls', of('direct', 'rate'), '1/s', null, 1, null, null);
print('mcp.nginx', 'calls', of('nginx', 'rate'), '1/s', 'direct', ratio('nginx', 'direct', 'rate'), null, null);
print('mcp.nginx', 'cpu per call', of('nginx', 'cpu'), 'us', null, 1, null, null);
const cpuRatio = ratio('sallyport', 'nginx', 'cpu');
print('mcp.sallyport', 'calls', of('sallyport', 'rate'), '1/s', 'nginx', ratio('sallyport', 'nginx', 'rate'), null, null);
print('mcp.sallyport', 'p50', of('sallyport', 'p50'), 'us', 'nginx', ratio('sallyport', 'nginx', 'p50'), null, null);
print('mcp.sallyport', 'cpu per call', of('sallyport', 'cpu'), 'us', 'nginx', cpuRatio, 1.2, cpuRatio <= 1.2);
await gateway.stop();
// SIGTERM, for a master that is killed leaves its worker behind.
const gone = once(nginx.child, 'exit');
nginx.child.kill('SIGTERM');
await gone;
const { code, report } = gateway.verify();
if (code !== 0) { console.error(`the record of the run does not verify: ${JSON.stringify(report)}`); process.exit(1); }
process.exit(0);
