// The official MCP suite as a child process: against a server directly, and against a gateway in front of it with a policy
// that allows everything. Used by tests/conformance.
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Gateway, ROOT, folder } from './gateway.mjs';

export const SUITE = path.join(ROOT, 'tests/node_modules/@modelcontextprotocol/conformance/dist/index.js');

/** What the suite says at its end. A scenario that checked nothing (the suite skips it) counts for neither side. */
export function summary(out) {
  const [scenarios = '', rest = ''] = (out.split(/=== (?:SUITE )?SUMMARY ===/)[1] ?? '').split('Not scored');
  const unscored = new Set([...rest.matchAll(/^\s*[✓✗x] (\S+) \(/gmu)].map(row => row[1]));
  const rows = [...scenarios.matchAll(/^\s*[✓✗x] (\S+): (\d+) passed, (\d+) failed/gmu)]
    .map(([, name, passed, failed]) => ({ name, passed: Number(passed), failed: Number(failed), required: !unscored.has(name) }));
  const count = of => [of.filter(row => row.failed === 0).length, of.length];
  const ran = rows.filter(row => row.passed + row.failed > 0);
  const [passed, total] = count(ran);
  return { rows, passed, total, required: count(ran.filter(row => row.required)), checks: rows.reduce((sum, row) => sum + row.passed, 0),
    failed: ran.filter(row => row.failed).map(row => row.name), empty: rows.filter(row => row.passed + row.failed === 0).map(row => row.name), out };
}

/** `kind` is server or client, `args` what goes with it. */
export async function suite(kind, revision, args) {
  const kept = folder();
  const child = spawn(process.execPath, [SUITE, kind, ...args, '--requirements', revision, '-o', kept], { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  child.stdout.on('data', d => { out += d; });
  child.stderr.on('data', d => { out += d; });
  await once(child, 'close');
  return { ...summary(out), why: reasons(kept) };
}
/** What the suite says of each check that failed: it writes that to files alone. */
function reasons(kept) {
  const files = fs.readdirSync(kept, { recursive: true }).filter(name => path.basename(name) === 'checks.json');
  return files.flatMap(name => JSON.parse(fs.readFileSync(path.join(kept, name), 'utf8')).filter(check => check.status === 'FAILURE')
    .map(check => `${path.dirname(name)}: ${check.id}: ${check.errorMessage ?? check.description}`)).sort().join('\n');
}
export const serverSuite = (url, revision) => suite('server', revision, ['--url', url]);

/** The suite has no place for a token: this adds one and changes nothing else, Host and Origin least of all. */
export async function withToken(token, target) {
  const shim = http.createServer((request, response) => {
    const onward = http.request({ host: target.hostname, port: target.port, path: target.pathname, method: request.method,
      headers: { ...request.headers, authorization: `Bearer ${token.value}` } }, answer => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.on('data', d => response.write(d));
      answer.on('end', () => response.end());
      answer.on('error', () => response.destroy());
    });
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    request.pipe(onward);
  });
  await new Promise(resolve => shim.listen(0, '127.0.0.1', resolve));
  return shim;
}

/** What a target must be told that it may do for the suite's sake: by default a server may ask clients for nothing. */
const EVERYTHING = 'server_requests: [sampling, elicitation, roots], extensions: ["io.modelcontextprotocol/tasks"]';

/** The server suite through a gateway: { run, stopped, evidence, errors }. */
export async function throughGateway(upstream, revision, extra = EVERYTHING) {
  const token = {}, target = { hostname: '127.0.0.1', pathname: '/mcp/fixture' };
  const shim = await withToken(token, target);
  const { port } = shim.address();
  const gateway = new Gateway({
    tls: false, targets: { fixture: { url: upstream, extra } },
    policy: '- { id: all, allow: { who: "group:engineers" } }',
    more: { gateway: `hosts: ["127.0.0.1:${port}", "localhost:${port}"]\norigins: ["http://127.0.0.1:${port}", "http://localhost:${port}"]` },
  });
  await gateway.start();
  target.port = Number(gateway.mcp.split(':')[1]);
  token.value = await gateway.token('alice');
  const run = await serverSuite(`http://127.0.0.1:${port}/mcp/fixture`, revision);
  const stopped = await gateway.stop();
  const evidence = gateway.verify();
  shim.closeAllConnections();
  shim.close();
  return { run, stopped, evidence, errors: gateway.child.errors };
}
