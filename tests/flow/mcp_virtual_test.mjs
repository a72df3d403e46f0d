// Several MCP servers behind one name: what is listed, whose rules count, and what becomes of it all when one of them goes away.
import test, { before, after } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { Client as OldClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as OldTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import * as t from '@modelcontextprotocol/sdk/types.js';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { Gateway, ROOT, folder, until } from '../lib/gateway.mjs';
import { startMatrixServer } from '../fixtures/matrix_server.mjs';
import { serveMcp } from '../fixtures/mcp_http.mjs';
import { SECRETS, startTickets } from '../fixtures/tickets_server.mjs';

const bin = name => path.join(ROOT, 'tests/node_modules/@modelcontextprotocol', name, 'dist/index.js');
const CLIENTS = ['old', 'new-legacy', 'new'];
const UNAVAILABLE = 'sallyport/unavailable';
const POLICY = `
- { id: engineers, allow: { who: "group:engineers", target: { env: prod } } }
- { id: interns, allow: { who: "group:interns", target: pages } }
- { id: no-shell, block: { target: tickets, when: 'mcp.tool == "run_command"' }, message: "Shell tools are off." }
- { id: no-delete, block: { target: tickets, when: 'mcp.tool == "delete_everything"' } }
- { id: pii, mask: { target: { data: pii }, detect: [email, pan, iban, phone], with: partial } }
`;

/** A server with many tools, two on a page, that can be stopped, slowed down and brought back at its port. */
class Pages {
  names = ['one', 'two', 'three', 'four', 'five'];
  delay = 0;
  live = new Set();
  make() {
    const server = new Server({ name: 'pages', version: '1' }, { capabilities: { tools: { listChanged: true }, resources: {}, prompts: {} }, instructions: 'Turn them.' });
    server.setRequestHandler(t.ListToolsRequestSchema, async ({ params }) => {
      await new Promise(resolve => setTimeout(resolve, this.delay));
      const from = Number(params?.cursor ?? 0);
      const tools = this.names.slice(from, from + 2).map(name => ({ name, description: `Page ${name}`, inputSchema: { type: 'object' } }));
      return { tools, ...(from + 2 < this.names.length ? { nextCursor: String(from + 2) } : {}) };
    });
    server.setRequestHandler(t.CallToolRequestSchema, ({ params }) => ({ content: [{ type: 'text', text: `turned ${params.name}` }] }));
    server.setRequestHandler(t.ListResourcesRequestSchema, () => ({ resources: [{ uri: 'page://1', name: 'First' }, { uri: 'tickets://1', name: 'Not mine' }] }));
    server.setRequestHandler(t.ListResourceTemplatesRequestSchema, () => ({ resourceTemplates: [{ uriTemplate: 'page://{n}', name: 'Any' }] }));
    server.setRequestHandler(t.ReadResourceRequestSchema, ({ params }) => ({ contents: [{ uri: params.uri, mimeType: 'text/plain', text: `read ${params.uri}` }] }));
    server.setRequestHandler(t.ListPromptsRequestSchema, () => ({ prompts: [{ name: 'answer', description: 'Another of this name' }] }));
    server.setRequestHandler(t.GetPromptRequestSchema, ({ params }) => ({ messages: [{ role: 'user', content: { type: 'text', text: `page ${params.name}` } }] }));
    this.live.add(server);
    return server;
  }
  async start() {
    this.served = await serveMcp(() => this.make(), { port: this.port ?? 0 });
    this.port = this.served.port;
    return this;
  }
  async changed() { for (const one of this.live) await one.sendToolListChanged().catch(() => {}); }
  async stop() { this.live.clear(); this.served.forget(); await this.served.close(); }
}

let gateway, tickets, modern, pages, alice, carol, journal;
before(async () => {
  journal = path.join(folder(), 'journal');
  [tickets, modern, pages] = [await startTickets(), await startMatrixServer('http-modern', journal), await new Pages().start()];
  const asks = 'server_requests: [sampling, elicitation, roots]';
  gateway = new Gateway({
    tls: false, policy: POLICY, users: { alice: ['engineers'], carol: ['interns'], dora: ['nobody'] }, more: { gateway: 'workers: 1' },  // a modern client's stream is then where its lists are, so that it hears at once
    targets: {
      tickets: { url: tickets.url, extra: asks, labels: { env: 'prod', data: 'pii' } },
      modern: { url: modern.url, extra: asks },
      pages: { url: pages.served.url },
      everything: { command: [process.execPath, bin('server-everything'), 'stdio'], extra: asks },
      memory: { command: [process.execPath, bin('server-memory')], extra: `env: { MEMORY_FILE_PATH: ${path.join(folder(), 'memory.jsonl')} }` },
      tools: { virtual: 'timeout: 2s, servers: { tickets: { prefix: "tickets_" }, new: { target: modern, prefix: "new_" }, pages: { prefix: "p." }, memory: { prefix: "" } }' },
      both: { virtual: 'servers: { everything: { prefix: "e_" }, memory: { prefix: "m_" } }' },
      large: { virtual: 'servers: { pages: { prefix: "p." }, memory: { prefix: "m_" } }, search: { over: 5, always: [p.three] }' },
    },
  });
  await gateway.start();
  [alice, carol] = [await gateway.token('alice'), await gateway.token('carol')];
});
after(async () => {
  assert.equal(await gateway.stop(), 0);
  const { code, out } = gateway.verify();
  assert.equal(code, 0, out);
  await Promise.all([tickets.close(), modern.close(), pages.stop()]);
});

async function connect(kind, target, token = alice) {
  const capabilities = { elicitation: {}, sampling: {} };
  const name = () => ({ action: 'accept', content: { name: 'Ann' } });
  const url = new URL(gateway.url(target)), headers = { requestInit: { headers: { Authorization: `Bearer ${token}` } } };
  if (kind === 'old') {
    const client = new OldClient({ name: 'virtual', version: '1' }, { capabilities });
    client.setRequestHandler(t.ElicitRequestSchema, name);
    await client.connect(new OldTransport(url, headers));
    return Object.assign(client, { call: (tool, args = {}) => client.callTool({ name: tool, arguments: args }) });
  }
  const client = new Client({ name: 'virtual', version: '1' }, { capabilities, versionNegotiation: { mode: kind === 'new' ? 'auto' : 'legacy' } });
  client.setRequestHandler('elicitation/create', name);
  await client.connect(new StreamableHTTPClientTransport(url, headers));
  return Object.assign(client, { call: (tool, args = {}) => client.callTool({ name: tool, arguments: args }) });
}
const said = answer => answer.content?.[0]?.text;
/** All pages, by hand, and the notes on the last of them. */
async function all(client, what = 'tools') {
  const list = { tools: 'listTools', resources: 'listResources', prompts: 'listPrompts', resourceTemplates: 'listResourceTemplates' }[what];
  const out = [];
  let cursor, meta = {}, rounds = 0;
  do {
    const page = await client[list](cursor === undefined ? {} : { cursor });
    out.push(...page[what]);
    meta = { ...meta, ...page._meta };
    cursor = page.nextCursor;
  } while (cursor !== undefined && ++rounds < 20);
  return { names: out.map(one => one.uri ?? one.uriTemplate ?? one.name), items: out, meta, rounds: rounds + 1 };
}
const raw = (id, method, params = {}) => ({ jsonrpc: '2.0', id, method, params });
const json = answer => JSON.parse(answer.headers['content-type'].startsWith('text/event-stream') ? answer.body.split('\n').findLast(l => l.startsWith('data: {')).slice(6) : answer.body);

for (const kind of CLIENTS) {
  test(`${kind}: one list of all servers, in the configuration's order, and calls go where they belong`, { timeout: 60_000 }, async context => {
    const client = await connect(kind, 'tools');
    context.after(() => client.close());
    const { names, meta } = await all(client);
    assert.equal(meta[UNAVAILABLE], undefined);
    assert.equal(new Set(names).size, names.length, 'nothing twice');
    for (const name of ['tickets_read_ticket', 'new_echo', 'new_ask', 'p.one', 'p.five', 'create_entities']) assert.ok(names.includes(name), name);
    assert.ok(!names.includes('tickets_delete_everything'), 'hidden by the rules of its target');
    assert.deepEqual((await all(client)).names, names, 'the same every time');
    const first = names.filter(name => ['tickets_read_ticket', 'new_echo', 'p.one', 'create_entities'].includes(name));
    assert.deepEqual(first, ['tickets_read_ticket', 'new_echo', 'p.one', 'create_entities']);
    assert.equal(said(await client.call('p.four')), 'turned four');
    assert.equal(said(await client.call('new_echo', { text: 'hi' })), 'echo hi');
    assert.match(JSON.stringify(await client.call('read_graph')), /entities/);
  });

  test(`${kind}: policy, masking and questions to the user are those of the server that has the tool`, { timeout: 60_000 }, async context => {
    const client = await connect(kind, 'tools');
    context.after(() => client.close());
    const ticket = JSON.stringify(await client.call('tickets_read_ticket', { id: 1 }));
    for (const secret of SECRETS) assert.ok(!ticket.includes(secret), secret);
    const blocked = await client.call('tickets_run_command', { command: 'id' });
    assert.ok(blocked.isError);
    assert.match(said(blocked), /Shell tools are off/);
    assert.ok(!tickets.calls.some(call => call.name === 'run_command'));
    for (const unknown of ['tickets_delete_everything', 'tickets_none', 'p.', 'p']) await assert.rejects(client.call(unknown).then(one => { if (one.isError) throw new Error('refused'); }), unknown);
    assert.match(said(await client.call('tickets_ask', {})), /Ann/);
    assert.equal(said(await client.call('new_ask')), 'accept Ann');
  });

  test(`${kind}: resources by their URIs, prompts by their names`, { timeout: 60_000 }, async context => {
    const client = await connect(kind, 'tools');
    context.after(() => client.close());
    assert.equal((await client.readResource({ uri: 'page://7' })).contents[0].text, 'read page://7', 'before any list, by its template');
    const { names, meta } = await all(client, 'resources');
    assert.deepEqual(names.filter(uri => uri.startsWith('page:') || uri === 'tickets://1'), ['tickets://1', 'page://1'], 'the second of one URI is left out');
    assert.deepEqual(meta['sallyport/collisions'], [{ server: 'pages', name: 'tickets://1' }]);
    assert.match(JSON.stringify(await client.readResource({ uri: 'tickets://1' })), /Refund/, 'the first has it');
    await assert.rejects(client.readResource({ uri: 'nowhere://1' }), /not found/i);
    assert.deepEqual((await all(client, 'prompts')).names.filter(name => name.endsWith('answer')), ['tickets_answer', 'p.answer']);
    assert.match(JSON.stringify(await client.getPrompt({ name: 'p.answer' })), /page answer/);
  });

  test(`${kind}: a server that goes away takes its tools with it, is named, and comes back by itself`, { timeout: 60_000 }, async context => {
    const client = await connect(kind, 'tools');
    let changes = 0;
    const heard = () => { ++changes; };
    if (kind === 'old') client.setNotificationHandler(t.ToolListChangedNotificationSchema, heard);
    else client.setNotificationHandler('notifications/tools/list_changed', heard);
    if (kind === 'new') await client.listen({ toolsListChanged: true });
    context.after(() => client.close());
    assert.ok((await all(client)).names.includes('p.one'));
    pages.names.push('six');
    await until(async () => { await pages.changed(); return changes > 0; }, 'what the server says of its list');
    assert.ok((await all(client)).names.includes('p.six'));
    pages.names.pop();

    const up = async () => /^sallyport_virtual_member_up\{member="pages",server="tools"\} (\d)$/m.exec((await gateway.get('/metrics', { token: alice })).body)?.[1];
    assert.equal(await up(), '1');
    await pages.stop();
    const without = await until(async () => { const now = await all(client); return !now.names.includes('p.one') && now; }, 'a list without it');
    assert.equal(without.meta[UNAVAILABLE].length, 1);
    assert.equal(await up(), '0', 'in the metrics, too');
    assert.equal(without.meta[UNAVAILABLE][0].server, 'pages');
    assert.ok(without.meta[UNAVAILABLE][0].reason.length > 10);
    for (const name of ['tickets_read_ticket', 'new_echo', 'create_entities']) assert.ok(without.names.includes(name), name);
    await assert.rejects(client.call('p.one'), /pages|reach/);
    assert.equal(said(await client.call('new_echo', { text: 'still' })), 'echo still');

    const before = changes;
    await pages.start();
    await until(() => changes > before, 'the news that it is back');
    const back = await until(async () => { const now = await all(client); return now.names.includes('p.one') && now; }, 'its tools');
    assert.equal(back.meta[UNAVAILABLE], undefined);
    assert.equal(await up(), '1');
    assert.equal(said(await client.call('p.one')), 'turned one');
  });

  test(`${kind}: a slow server holds nobody up for longer than the list's own deadline`, { timeout: 30_000 }, async context => {
    const client = await connect(kind, 'tools');
    context.after(() => { pages.delay = 0; return client.close(); });
    pages.delay = 60_000;
    const began = Date.now();
    const { names, meta } = await all(client);
    assert.ok(Date.now() - began < 10_000);
    assert.equal(meta[UNAVAILABLE][0].server, 'pages');
    assert.match(meta[UNAVAILABLE][0].reason, /in time/);
    assert.ok(names.includes('tickets_read_ticket'));
    pages.delay = 0;
    assert.ok((await all(client)).names.includes('p.one'));
  });

  test(`${kind}: a large catalog is searched instead of listed`, { timeout: 30_000 }, async context => {
    const client = await connect(kind, 'large');
    context.after(() => client.close());
    const { items, names } = await all(client);
    assert.deepEqual(names, ['search_tools', 'p.three']);
    assert.match(items[0].description, /14 tools/);
    const found = (await client.call('search_tools', { query: 'create new entities in the knowledge graph', limit: 3 })).structuredContent;
    assert.equal(found.searched, 14);
    assert.equal(found.tools.length, 3);
    assert.equal(found.tools[0].name, 'm_create_entities');
    assert.equal(found.tools[0].inputSchema.type, 'object');
    assert.match(JSON.stringify(await client.call('m_read_graph')), /entities/, 'what is not listed is called by its name');
    assert.deepEqual((await client.call('search_tools', { query: 'zebra' })).structuredContent.tools, []);
    assert.ok((await client.call('search_tools', {})).isError);
  });
}

test('who may reach one server only sees that one; who may reach none finds nothing', async context => {
  const client = await connect('old', 'tools', carol);
  context.after(() => client.close());
  const { names, meta } = await all(client);
  assert.deepEqual(names, ['p.one', 'p.two', 'p.three', 'p.four', 'p.five']);
  assert.equal(meta[UNAVAILABLE], undefined, 'nothing is said of servers that are not for her');
  await assert.rejects(client.call('tickets_read_ticket', { id: 1 }));
  const dora = await gateway.token('dora');
  const hello = raw(1, 'initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } });
  const [there, nowhere] = [await gateway.mcpPost('tools', hello, { token: dora }), await gateway.mcpPost('nowhere', hello, { token: dora })];
  assert.deepEqual([there.status, nowhere.status], [404, 404]);
  assert.equal(json(there).error.message.replace('tools', 'T'), json(nowhere).error.message.replace('nowhere', 'T'));
});

test('lists come in pages until all members have said everything; a cursor that is not ours is refused', async () => {
  const session = await gateway.initialize('tools', alice);
  const ask = async params => json(await gateway.mcpPost('tools', raw(2, 'tools/list', params), { token: alice, session }));
  const names = [], cursors = [];
  let page = (await ask({})).result;
  for (;;) {
    names.push(...page.tools.map(tool => tool.name).filter(name => name.startsWith('p.')));
    if (!page.nextCursor) break;
    cursors.push(page.nextCursor);
    page = (await ask({ cursor: page.nextCursor })).result;
    assert.ok(page.tools.every(tool => tool.name.startsWith('p.')), 'who has said all is not asked again');
  }
  assert.deepEqual(names, ['p.one', 'p.two', 'p.three', 'p.four', 'p.five']);
  assert.equal(cursors.length, 2);
  for (const cursor of ['x', 'e30', '2', Buffer.from('{"pages":2}').toString('base64url')]) assert.equal((await ask({ cursor })).error.code, -32602, cursor);
});

test('each server has its own session in the record, with its own target and its own names', async context => {
  const client = await connect('new-legacy', 'tools');
  context.after(() => client.close());
  await client.call('tickets_read_ticket', { id: 1 });
  await client.call('p.two');
  const opened = gateway.entries('session.open').slice(-4).map(one => one.target).sort();
  assert.deepEqual(opened, ['memory', 'modern', 'pages', 'tickets']);
  assert.ok(!gateway.entries('session.open').some(one => one.target === 'tools'), 'the name in front is no target');
  const calls = gateway.entries('command').filter(one => one.action === 'tools/call');
  assert.ok(calls.some(one => one.object === 'two') && !calls.some(one => one.object === 'p.two'));
});

test('what a client began goes on after a restart of the gateway', async () => {
  const session = await gateway.initialize('tools', alice);
  gateway.keepPorts();
  assert.equal(await gateway.stop(), 0);
  await gateway.start();
  const answer = json(await gateway.mcpPost('tools', raw(3, 'tools/call', { name: 'p.one', arguments: {} }), { token: alice, session }));
  assert.equal(said(answer.result), 'turned one');
  assert.equal((await gateway.mcpPost('tools', raw(4, 'ping'), { token: carol, session })).status, 404);
});

test('published servers behind one name: server-everything and server-memory', { timeout: 60_000 }, async context => {
  const client = await connect('old', 'both');
  context.after(() => client.close());
  const { names } = await all(client);
  assert.ok(names.includes('e_echo') && names.includes('m_read_graph'), names.join(' '));
  assert.match(said(await client.call('e_echo', { message: 'hello' })), /hello/);
  const resources = (await all(client, 'resources')).names;
  assert.ok(resources.length > 0);
  assert.ok((await client.readResource({ uri: resources[0] })).contents.length > 0);
  const prompts = (await all(client, 'prompts')).names;
  assert.ok(prompts.every(name => name.startsWith('e_')) && prompts.length > 0);
  const links = await client.call('e_get-resource-links', { count: 3 });
  const link = links.content.find(one => one.type === 'resource_link');
  assert.ok((await client.readResource({ uri: link.uri })).contents.length > 0, 'a link leads to the server that gave it');
});

test('what would make names collide is refused when the configuration is checked', () => {
  const good = fs.readFileSync(gateway.config, 'utf8');
  const bad = (servers, more = '') => good.replace(/ {2}tools:\n {4}mcp: .*\n/, `  tools:\n    mcp: { servers: { ${servers} }${more} }\n`);
  const wrong = [
    [bad('tickets: { prefix: "a_" }, pages: { prefix: "a_" }'), /tickets and pages have the prefix "a_" both/],
    [bad('tickets: { prefix: "a_" }, pages: { prefix: "a_b_" }'), /begin alike/],
    [bad('tickets: { prefix: "a_" }, pages: {}'), /pages needs a prefix/],
    [bad('tickets: { prefix: "a_" }, again: { target: tickets, prefix: "b_" }'), /stands here twice/],
    [bad('tikets: { prefix: "a_" }'), /did you mean tickets/],
    [bad('both: { prefix: "a_" }'), /both is a virtual server itself/],
    [bad('tickets: { prefix: "a b" }'), /a prefix has at most 32 letters/],
    [bad('tickets: { prefix: "search_" }', ', search: { over: 2 }'), /take another prefix/],
    [bad('tickets: { prefix: "a_" }', ', search: { always: [b_x] }'), /b_x begins with the prefix of no member/],
    [bad('tickets: { prefix: "a_" }', ', url: "http://127.0.0.1:1"'), /url/],
  ];
  const file = path.join(folder(), 'bad.yaml');
  for (const [text, why] of wrong) {
    assert.notEqual(text, good);
    fs.writeFileSync(file, text);
    const { code, err, out } = gateway.cli(['config', 'check', '-c', file]);
    assert.notEqual(code, 0, text);
    assert.match(err + out, why);
    assert.match(err + out, /bad\.yaml:\d+:\d+/, 'with its place');
  }
});
