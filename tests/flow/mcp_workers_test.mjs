// A gateway with several workers is one gateway: what one of them has seen of a target holds on all of them.
import test, { before, after } from 'node:test';
import assert from 'node:assert/strict';
import { Gateway } from '../lib/gateway.mjs';
import { result, startRaw } from '../fixtures/raw_mcp.mjs';

const VERSION = '2026-07-28';
const META = { 'io.modelcontextprotocol/protocolVersion': VERSION, 'io.modelcontextprotocol/clientCapabilities': {}, 'io.modelcontextprotocol/clientInfo': { name: 'raw', version: '1' } };
const MANY = 24;  // connections, so that each of four workers has some
const TOOLS = [{ name: 'loud', description: 'Loud.', inputSchema: { type: 'object', properties: { region: { type: 'string', 'x-mcp-header': 'Region' } } } }];
let gateway, modern, alice;
before(async () => {
  modern = await startRaw({ era: 'modern', tools: () => TOOLS, call: (message, res, { json }) => json(result(message.id, 'fine')) });
  gateway = new Gateway({ tls: false, users: { alice: ['engineers'] }, more: { gateway: 'workers: 4' }, policy: '- { id: all, allow: { who: "group:engineers" } }',
    targets: { open: { url: modern.url }, pinned: { url: modern.url, trust: '{ pinning: true }' }, both: { virtual: 'servers: { open: { prefix: "o_" }, pinned: { prefix: "p_" } }' } } });
  await gateway.start();
  alice = await gateway.token('alice');
});
after(async () => {
  assert.equal(await gateway.stop(), 0);
  assert.equal(gateway.verify().code, 0);
  await modern.close();
});
const send = (target, method, params = {}, headers = {}) => gateway.mcpPost(target, { jsonrpc: '2.0', id: 1, method, params: { ...params, _meta: META } },
  { token: alice, headers: { 'mcp-protocol-version': VERSION, 'mcp-method': method, ...(params.name ? { 'mcp-name': params.name } : {}), ...headers } });
const many = work => Promise.all(Array.from({ length: MANY }, (_, n) => work(n)));
const calls = () => modern.seen.filter(one => one.method === 'tools/call').length;

async function comparedEverywhere(target, name) {
  const before = calls();
  const lies = await many(n => send(target, 'tools/call', { name, arguments: { region: 'eu' } }, n % 2 ? { 'mcp-param-region': 'us' } : {}));
  assert.deepEqual([...new Set(lies.map(one => one.status))], [400], `${target} ${name}`);
  assert.ok(lies.every(one => JSON.parse(one.body).error.code === -32020));
  assert.equal(calls(), before, 'none of them reached the target');
  const honest = await many(() => send(target, 'tools/call', { name, arguments: { region: 'eu' } }, { 'mcp-param-region': 'eu' }));
  assert.deepEqual([...new Set(honest.map(one => one.status))], [200]);
  assert.equal(calls(), before + MANY);
}

test('one list, and a parameter’s header is compared on every worker', async () => {
  for (const target of ['open', 'pinned']) {
    assert.match((await send(target, 'tools/list')).body, /x-mcp-header/);
    await comparedEverywhere(target, 'loud');
  }
  for (const name of ['o_loud', 'p_loud']) await comparedEverywhere('both', name);
});

test('a legacy client’s calls get the headers that the target wants, on every worker', async () => {
  const before = modern.requests.filter(one => one.headers['mcp-param-region'] === 'eu').length;
  await many(async n => {
    const session = await gateway.initialize('open', alice);
    assert.match((await gateway.mcpPost('open', { jsonrpc: '2.0', id: n, method: 'tools/call', params: { name: 'loud', arguments: { region: 'eu' } } }, { token: alice, session })).body, /fine/);
  });
  assert.equal(modern.requests.filter(one => one.headers['mcp-param-region'] === 'eu').length, before + MANY);
});

test('of a pinned tool the headers are known after a restart, before anybody lists', async () => {
  gateway.keepPorts();
  assert.equal(await gateway.stop(), 0);
  await gateway.start();
  const before = modern.seen.filter(one => one.method === 'tools/list').length;
  await comparedEverywhere('pinned', 'loud');
  assert.equal(modern.seen.filter(one => one.method === 'tools/list').length, before);
});
