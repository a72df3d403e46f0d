// ./dev conformance mcp [--json]: the official MCP suite against the fixture server, directly and through the gateway with a
// policy that allows everything. Offline after set-up. Ends with 1 when direct is not complete or the gateway costs a check.
import http from 'node:http';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Gateway, ROOT, folder } from '../lib/gateway.mjs';
import { startConformanceServer } from '../fixtures/conformance_server.mjs';

const REVISION = '2025-11-25';
const SUITE = path.join(ROOT, 'tests/node_modules/@modelcontextprotocol/conformance/dist/index.js');

/** Scenarios that passed and all of them, as the suite's own summary counts. */
async function suite(url) {
  const child = spawn(process.execPath, [SUITE, 'server', '--url', url, '--requirements', REVISION, '-o', folder()], { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  child.stdout.on('data', d => { out += d; });
  child.stderr.on('data', d => { out += d; });
  await once(child, 'close');
  const rows = [...(out.split('=== SUMMARY ===')[1] ?? '').split('Not scored')[0].matchAll(/^\s*[✓✗x] (\S+): (\d+) passed, (\d+) failed/gmu)];
  return { checks: rows.reduce((sum, row) => sum + Number(row[2]), 0), passed: rows.filter(row => row[3] === '0' && row[2] !== '0').length, total: rows.length, failed: rows.filter(row => row[3] !== '0').map(row => row[1]), out };
}

/** The suite has no place for a token: this adds one and changes nothing else, Host and Origin least of all. */
async function withToken(token, target) {
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

export async function conformance() {
  const upstream = await startConformanceServer({});
  const direct = await suite(upstream.url);
  const token = {}, target = { hostname: '127.0.0.1', pathname: '/mcp/fixture' };
  const shim = await withToken(token, target);
  const { port } = shim.address();
  const gateway = new Gateway({
    tls: false, targets: { fixture: { url: upstream.url, extra: 'server_requests: [sampling, elicitation, roots]' } },
    policy: '- { id: all, allow: { who: "group:engineers" } }',
    more: { gateway: `hosts: ["127.0.0.1:${port}", "localhost:${port}"]\norigins: ["http://127.0.0.1:${port}", "http://localhost:${port}"]` },
  });
  await gateway.start();
  target.port = Number(gateway.mcp.split(':')[1]);
  token.value = await gateway.token('alice');
  const through = await suite(`http://127.0.0.1:${port}/mcp/fixture`);
  const stopped = await gateway.stop();
  const evidence = gateway.verify();
  shim.closeAllConnections();
  shim.close();
  await upstream.close();
  return { revision: REVISION, direct, through, stopped, evidence, errors: gateway.child.errors };
}

if (import.meta.url === `file://${process.argv[1]}`) {
  const result = await conformance();
  const { revision, direct, through, stopped, evidence } = result;
  const good = direct.total > 0 && direct.passed === direct.total && through.passed === direct.passed && through.total === direct.total && through.checks === direct.checks && stopped === 0 && evidence.code === 0;
  if (process.argv.includes('--json')) {
    console.log(JSON.stringify({ revision, direct: [direct.passed, direct.total], through: [through.passed, through.total] }));
  } else {
    console.log(`revision ${revision}: ${direct.passed}/${direct.total} scenarios (${direct.checks} checks) directly, ${through.passed}/${through.total} (${through.checks}) through the gateway; evidence ${evidence.report?.verdict}`);
    for (const [where, run] of [['directly', direct], ['through', through]]) if (run.failed.length) console.log(`failed ${where}: ${run.failed.join(', ')}`);
    if (!good) console.log(through.out.slice(-6000), evidence.out);
  }
  process.exit(good ? 0 : 1);
}
