// Every client against every server through the gateway: both eras, every transport. What a cell should do is data here, and
// docs/conformance.md shows the same table.
import test, { before, after } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { Client as OldClient } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StreamableHTTPClientTransport as OldTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import * as t from '@modelcontextprotocol/sdk/types.js';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { Gateway, ROOT, folder, until } from '../lib/gateway.mjs';
import { startMatrixServer } from '../fixtures/matrix_server.mjs';

const SERVERS = { 'http': 'Streamable HTTP, 2025-11-25', 'http-modern': 'HTTP, 2026-07-28', 'http-dual': 'HTTP, both eras', 'sse': 'HTTP+SSE, 2024-11-05', 'stdio': 'command, 2025-11-25', 'stdio-modern': 'command, 2026-07-28' };
const CLIENTS = { 'old-sse': 'SDK 1.32.2, HTTP+SSE', 'old': 'SDK 1.32.2, 2025-11-25', 'new-legacy': 'SDK 2.4.0, 2025-11-25', 'new': 'SDK 2.4.0, 2026-07-28' };
const FEATURES = ['list', 'call', 'progress', 'cancel', 'elicitation', 'sampling', 'hold'];
/** What does not work, and why: 'client server feature' -> reason. Everything else does. */
const REFUSED = {};

const POLICY = `
- { id: engineers, allow: { who: "group:engineers" } }
- { id: writes, approve: { who: "group:engineers", when: 'mcp.tool == "write_note"', by: "group:leads", quorum: 1, hold: 20s, valid: 30m } }
`;
const NAME = { name: 'matrix', version: '1' };
const ASKS = 'server_requests: [sampling, elicitation, roots]';
let gateway, alice, bob, journal, servers;
const lines = () => fs.existsSync(journal) ? fs.readFileSync(journal, 'utf8').split('\n').filter(Boolean).map(line => JSON.parse(line)) : [];
const journaled = (what, name) => lines().filter(one => one.what === what && one.name === name).length;

before(async () => {
  journal = path.join(folder(), 'journal');
  const targets = {};
  servers = [];
  for (const kind of Object.keys(SERVERS)) {
    if (kind.startsWith('stdio')) {
      targets[kind] = { command: [process.execPath, path.join(ROOT, 'tests/fixtures/matrix_server.mjs'), kind, journal], extra: ASKS };
      continue;
    }
    const server = await startMatrixServer(kind, journal);
    servers.push(server);
    targets[kind] = { url: server.url, extra: ASKS };
    if (kind !== 'http-dual') targets[`${kind}-quiet`] = { url: server.url };
  }
  gateway = new Gateway({ tls: false, targets, policy: POLICY });
  await gateway.start();
  [alice, bob] = [await gateway.token('alice'), await gateway.token('bob')];
});
after(async () => {
  assert.equal(await gateway.stop(), 0);
  const { code, out } = gateway.verify();
  assert.equal(code, 0, out);
  for (const server of servers) await server.close();
});

/** The same few calls on each SDK's client. */
async function connect(kind, target) {
  const capabilities = { elicitation: {}, sampling: {}, roots: {} };
  const asked = { name: () => ({ action: 'accept', content: { name: 'Ann' } }), model: () => ({ role: 'assistant', model: 'm', content: { type: 'text', text: 'said' } }) };
  const url = new URL(gateway.url(target)), headers = { requestInit: { headers: { Authorization: `Bearer ${alice}` } } };
  if (kind.startsWith('old')) {
    const client = new OldClient(NAME, { capabilities });
    client.setRequestHandler(t.ElicitRequestSchema, asked.name);
    client.setRequestHandler(t.CreateMessageRequestSchema, asked.model);
    await client.connect(kind === 'old-sse' ? new SSEClientTransport(new URL(`${url}/sse`), headers) : new OldTransport(url, headers));
    return { list: () => client.listTools(), call: (name, args = {}, options) => client.callTool({ name, arguments: args }, undefined, options), close: () => client.close(), version: '2025-11-25' };
  }
  const client = new Client(NAME, { capabilities, versionNegotiation: { mode: kind === 'new' ? 'auto' : 'legacy' } });
  client.setRequestHandler('elicitation/create', asked.name);
  client.setRequestHandler('sampling/createMessage', asked.model);
  await client.connect(new StreamableHTTPClientTransport(url, headers));
  return { list: () => client.listTools(), call: (name, args = {}, options) => client.callTool({ name, arguments: args }, options), close: () => client.close(), version: client.getNegotiatedProtocolVersion() };
}

const said = answer => answer.content?.[0]?.text;
const PROBES = {
  list: async client => assert.deepEqual((await client.list()).tools.map(tool => tool.name).sort(), ['ask', 'echo', 'sample', 'steps', 'wait', 'write_note']),
  call: async client => assert.equal(said(await client.call('echo', { text: 'ä "x"\n' })), 'echo ä "x"\n'),
  progress: async client => {
    const seen = [];
    assert.equal(said(await client.call('steps', {}, { onprogress: one => seen.push(one.progress) })), 'stepped');
    assert.deepEqual(seen, [1, 2, 3]);
  },
  cancel: async (client, cell) => {
    const stop = new AbortController();
    let begun;
    const running = new Promise(resolve => { begun = resolve; });
    const waiting = client.call('wait', { text: cell }, { signal: stop.signal, onprogress: begun });
    waiting.catch(() => {});
    await running;
    stop.abort();
    await assert.rejects(waiting);
    await until(() => journaled('cancelled', cell), 'the cancellation at the server', 5000);
  },
  elicitation: async client => assert.equal(said(await client.call('ask')), 'accept Ann'),
  sampling: async client => assert.equal(said(await client.call('sample')), 'model said'),
  hold: async (client, cell) => {
    const held = client.call('write_note', { text: cell });
    const request = await until(async () => JSON.parse((await gateway.run(['requests', '--json'], { token: bob })).out || '[]')[0], 'the request for approval');
    assert.equal(journaled('written', cell), 0, 'nothing runs before');
    assert.equal((await gateway.run(['approve', request.id, '--reason', 'fine'], { token: bob })).code, 0);
    assert.equal(said(await held), `written ${cell}`);
    assert.equal(journaled('written', cell), 1, 'once');
  },
};

for (const client of Object.keys(CLIENTS)) {
  for (const server of Object.keys(SERVERS)) {
    test(`${CLIENTS[client]} to ${SERVERS[server]}`, { timeout: 60_000 }, async context => {
      const connected = await connect(client, server);
      context.after(() => connected.close());
      assert.equal(connected.version, client === 'new' ? '2026-07-28' : '2025-11-25');
      for (const feature of FEATURES) {
        await context.test(feature, { timeout: 15_000 }, async () => {
          const cell = `${client} ${server} ${feature}`;
          if (REFUSED[cell]) await assert.rejects(PROBES[feature](connected, cell));
          else await PROBES[feature](connected, cell);
        });
      }
    });
  }
}

/** The table of docs/conformance.md. */
function table() {
  const reasons = [...new Set(Object.values(REFUSED))];
  const mark = cell => REFUSED[cell] ? `no ${reasons.indexOf(REFUSED[cell]) + 1}` : 'yes';
  const rows = Object.keys(CLIENTS).flatMap(client => Object.keys(SERVERS).map(server => `| ${CLIENTS[client]} | ${SERVERS[server]} | ${FEATURES.map(feature => mark(`${client} ${server} ${feature}`)).join(' | ')} |`));
  return [`| client | server | ${FEATURES.join(' | ')} |`, `|---|---|${FEATURES.map(() => '---|').join('')}`, ...rows, ...reasons.map((reason, n) => `\n${n + 1}: ${reason}`)].join('\n');
}
test('docs/conformance.md shows the table that is tested here', () => {
  assert.ok(fs.readFileSync(path.join(ROOT, 'docs/conformance.md'), 'utf8').includes(table()), `expected there:\n${table()}`);
});

test('a server that may ask nothing is refused, in every pair of eras, and the client is never asked', { timeout: 60_000 }, async () => {
  for (const client of Object.keys(CLIENTS)) {
    for (const server of ['http-quiet', 'http-modern-quiet']) {
      const connected = await connect(client, server);
      for (const tool of ['ask', 'sample']) {
        const answer = await connected.call(tool).then(one => ({ text: said(one), failed: one.isError === true }), error => ({ text: error.message, failed: true }));
        assert.ok(answer.failed, `${client} ${server} ${tool}: ${answer.text}`);
        assert.doesNotMatch(answer.text, /accept Ann|model said/);
      }
      await connected.close();
    }
  }
});
