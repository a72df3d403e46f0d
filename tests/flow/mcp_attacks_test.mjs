// What a hostile client or a hostile target tries against the gateway's MCP: nothing runs unjudged, nothing reaches another's
// conversation, nothing grows without bound, and the next honest request is served.
import test, { before, after, afterEach } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import zlib from 'node:zlib';
import * as t from '@modelcontextprotocol/sdk/types.js';
import { Gateway, until } from '../lib/gateway.mjs';
import { event, result, startRaw } from '../fixtures/raw_mcp.mjs';

const POLICY = `
- { id: all, allow: { who: "group:engineers", when: 'mcp.tool != "forbidden"' } }
- { id: pii, mask: { detect: [email], with: partial } }
`;
let gateway, raw, alice, erin, session, behave, got;
const honest = (message, res, { json }) => json(result(message.id, 'fine'));
before(async () => {
  behave = honest;
  got = (req, res) => res.writeHead(405).end();
  raw = await startRaw({ call: (...all) => behave(...all), get: (...all) => got(...all) });
  gateway = new Gateway({ tls: false, users: { alice: ['engineers'], erin: ['engineers'] }, policy: POLICY,
    targets: { raw: { url: raw.url, extra: 'timeout: 2s, max_message: 1MiB' }, second: { url: raw.url } } });
  await gateway.start();
  [alice, erin] = [await gateway.token('alice'), await gateway.token('erin')];
  session = await gateway.initialize('raw', alice);
});
afterEach(async () => {
  behave = honest;
  got = (req, res) => res.writeHead(405).end();
  assert.equal(json(await call('quiet')).result?.content[0].text, 'fine', 'the next honest call is served');
});
after(async () => {
  assert.equal(await gateway.stop(), 0);
  const { code, out } = gateway.verify();
  assert.equal(code, 0, out);
  await raw.close();
});
let lastId = 0;
const message = (method, params = {}, id = ++lastId) => ({ jsonrpc: '2.0', id, method, params });
const post = (body, options = {}) => gateway.mcpPost('raw', body, { token: alice, session, ...options });
const call = (name, args = {}, options) => post(message('tools/call', { name, arguments: args, ...options?.params }), options);
const events = answer => answer.headers['content-type']?.startsWith('text/event-stream')
  ? answer.body.split('\n\n').map(one => one.split('\n').filter(line => line.startsWith('data: ')).map(line => line.slice(6)).join('\n')).filter(Boolean).map(one => JSON.parse(one))
  : [].concat(JSON.parse(answer.body));
const json = answer => events(answer).at(-1);
const toolCalls = () => raw.seen.filter(one => one.method === 'tools/call').length;
const memory = () => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${gateway.pid}/status`, 'utf8'))[1]) / 1024;

/** Bytes as they are to the gateway's port; what comes back until it closes or `enough` is satisfied. */
function bytes(data, enough = () => false, ms = 10_000) {
  const [host, port] = gateway.mcp.split(':');
  return new Promise(resolve => {
    let text = '';
    const socket = net.connect(Number(port), host, () => socket.write(data));
    const done = () => { clearTimeout(timer); socket.destroy(); resolve(text); };
    const timer = setTimeout(done, ms);
    socket.on('data', d => { text += d; if (enough(text)) done(); });
    socket.on('error', done);
    socket.on('close', done);
  });
}
const head = (more = '') => `POST /mcp/raw HTTP/1.1\r\nHost: ${gateway.mcp}\r\nAuthorization: Bearer ${alice}\r\nMcp-Session-Id: ${session}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n${more}`;

test('keys that another parser reads otherwise are refused at any depth, however they are written', async () => {
  const before = toolCalls();
  const params = inner => `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":${inner}}`;
  const bad = [
    params('{"name":"quiet","\\u006eame":"forbidden"}'), params('{"name":"quiet","NAME":"forbidden"}'), params('{"name":"quiet","n\\u0061me":"forbidden","arguments":{}}'),
    params('{"name":"quiet","arguments":{"a":{"b":[{"c":1,"c":2}]}}}'), params('{"name":"quiet","arguments":{"a":[[{"Key":1,"kEY":2}]]}}'),
    params('{"name":"quiet","arguments":{}},"params":{"name":"forbidden"}'), '{"jsonrpc":"2.0","id":1,"ID":2,"method":"tools/call","params":{"name":"quiet"}}',
    '{"jsonrpc":"1.0","id":1,"method":"tools/call","params":{"name":"quiet"}}', '{"id":1,"method":"tools/call","params":{"name":"quiet"}}',
    '{"jsonrpc":"2.0","id":{"a":1},"method":"tools/call","params":{"name":"quiet"}}', '{"jsonrpc":"2.0","id":[1],"method":"tools/call","params":{"name":"quiet"}}',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"quiet"},"result":{}}', '\ufeff' + params('{"name":"quiet"}'),
    params('{"name":["quiet"]}'), params('{"name":{"a":"quiet"}}'), params('[]'), params('"quiet"'),
    params('{"name":"qu\\ud800iet"}'), params('{"name":"quiet",}'), params("{'name':'quiet'}"), params('{"name":"quiet"/**/}'),
  ];
  for (const body of bad) {
    const answer = await post(body);
    assert.ok(answer.status === 400 || json(answer).error, `${answer.status} ${body} ${answer.body}`);
  }
  assert.equal(toolCalls(), before, 'none of them reached the target');
});

test('arguments that are no object are refused in the words of the protocol, on record, and reach no target', async () => {
  const before = toolCalls(), refusals = () => gateway.entries('command').filter(one => one.decision === 'blocked').length, recorded = refusals();
  const wrong = ['"quiet"', '[]', '[{"a":1}]', '7', 'true', 'null'];
  for (const args of wrong) {
    const { error } = json(await post(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"quiet","arguments":${args}}}`));
    assert.deepEqual([error?.code, /no object/.test(error?.message)], [-32602, true], args);
    assert.match(error.data.requestId, /^req_/);
  }
  assert.equal(json(await post(message('tools/call', {}))).error.code, -32602, 'and no name');
  assert.equal(toolCalls(), before);
  assert.equal(refusals(), recorded + wrong.length + 1);
});

test('a message over the limit of its target is refused with the limit, on record, in whatever way it comes', async () => {
  const before = raw.seen.length, refusals = () => gateway.entries('command').filter(one => one.decision === 'blocked' && JSON.stringify(one).includes('max_message')).length, recorded = refusals();
  const text = 'x'.repeat(1 << 20);
  const big = await call('quiet', { text });
  assert.deepEqual([big.status, json(big).error.code, json(big).error.data.limit, json(big).id], [413, -32600, 1 << 20, lastId], big.body.slice(0, 200));
  for (const one of [{ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 1, progress: 1, message: text } }, { jsonrpc: '2.0', id: 'x', result: { text } }]) {
    const answer = await post(one);
    assert.deepEqual([answer.status, json(answer).error.data.limit, json(answer).id], [413, 1 << 20, null]);
  }
  assert.equal(refusals(), recorded + 3);
  const modern = { jsonrpc: '2.0', id: 9, method: 'tools/call', params: { name: 'quiet', arguments: { text }, _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {} } } };
  const headers = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': 'quiet' };
  const other = await gateway.mcpPost('raw', modern, { token: alice, headers });
  assert.deepEqual([other.status, json(other).error.data?.limit, json(other).id], [413, 1 << 20, 9], other.body.slice(0, 200));
  const begins = await post({ ...message('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: text, version: '1' } }) }, { session: undefined });
  assert.equal(begins.status, 413);
  assert.match(json(begins).error.message, /65536 bytes/);
  assert.ok(raw.seen.slice(before).every(one => JSON.stringify(one).length < 10_000), 'none of them reached the target');
  assert.equal(json(await call('quiet', { text: text.slice(0, 900_000) })).result.content[0].text, 'fine', 'under it');
});

test('a batch smuggles nothing: arrays are refused where the revision has none, and judged one by one where it has', async () => {
  const before = toolCalls();
  const batch = [message('tools/call', { name: 'forbidden' }), message('tools/call', { name: 'forbidden' })];
  for (const version of ['2025-06-18', '2025-11-25']) assert.equal((await post(batch, { version })).status, 400);
  for (const body of ['[[]]', '[{}]', '[1]', '[null]', JSON.stringify([batch])]) assert.equal((await post(body)).status, 400, body);
  assert.equal((await post(Array.from({ length: 10_000 }, (_, id) => message('ping', {}, id)))).status, 400, 'as many as one likes');
  for (const one of events(await post(batch))) assert.ok(one.error || one.result.isError, JSON.stringify(one));
  assert.equal(toolCalls(), before);
});

test('a session id is never taken from the client, guessed, shared with another person or another target, or given twice', async () => {
  const before = toolCalls();
  const chosen = 'a'.repeat(40);
  const first = await post(message('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } }), { session: chosen });
  assert.notEqual(first.headers['mcp-session-id'], chosen);
  assert.equal((await call('quiet', {}, { session: chosen })).status, 404, 'fixation');
  assert.equal((await call('quiet', {}, { token: erin })).status, 404, 'theft');
  for (const wrong of [session.slice(0, -1) + (session.endsWith('0') ? '1' : '0'), session.toUpperCase() + 'x', `${session} `.padEnd(60, '0'), '../' + session, '%00'])
    assert.equal((await call('quiet', {}, { session: wrong })).status, 404, wrong);
  assert.equal((await gateway.mcpPost('second', message('tools/call', { name: 'quiet' }), { token: alice, session })).status, 404, 'another target');
  assert.equal(new Set(await Promise.all(Array.from({ length: 20 }, () => gateway.initialize('raw', alice)))).size, 20);
  assert.ok(!(await bytes(head(`Mcp-Session-Id: ${chosen}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}`))).startsWith('HTTP/1.1 200'), 'two of them in one request');
  assert.equal(toolCalls(), before);
});

test('a rebound name is refused: Host and Origin are the gateway’s own, once, and as they were configured', async () => {
  const before = raw.seen.length;
  for (const headers of [{ host: 'evil.example' }, { host: `evil.example:${gateway.mcp.split(':')[1]}` }, { host: `127.0.0.1.evil.example` }, { host: `${gateway.mcp}@evil.example` },
    { origin: 'http://evil.example' }, { origin: `http://${gateway.mcp}.evil.example` }, { origin: 'null' }, { origin: '' }, { origin: `http://evil.example, http://${gateway.mcp}` }]) {
    const { status } = await call('quiet', {}, { headers });
    assert.ok([400, 403].includes(status), `${JSON.stringify(headers)}: ${status}`);
  }
  const twice = await bytes(head(`Host: evil.example\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}`));
  assert.match(twice, /^HTTP\/1\.1 40[03]/);
  const get = await gateway.http('GET', gateway.url('raw'), { token: alice, headers: { accept: 'text/event-stream', 'mcp-session-id': session, origin: 'http://evil.example' } });
  assert.equal(get.status, 403);
  assert.equal(raw.seen.length, before);
});

test('progress reaches only the request whose token it names: not another’s, not another session’s, not nobody’s', async () => {
  const other = await gateway.initialize('raw', erin);
  let slow;
  const waiting = new Promise(resolve => { slow = resolve; });
  behave = async (one, res, { sse, json }) => {
    if (one.params.name === 'quiet' && one.params._meta?.progressToken === 'mine') {
      slow({ stream: sse(), id: one.id });
      return;
    }
    sse();
    for (const progressToken of ['mine', 'hers', 'nobody', 7, null, { a: 1 }]) res.write(event({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken, progress: 1, message: `forged for ${progressToken}` } }));
    res.end(event(result(one.id, 'fine')));
  };
  const mine = call('quiet', {}, { params: { _meta: { progressToken: 'mine' } } });
  const held = await waiting;
  const forged = await call('loud');
  const hers = await gateway.mcpPost('raw', message('tools/call', { name: 'loud', _meta: { progressToken: 'hers' } }), { token: erin, session: other });
  held.stream.write(event({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 'hers', progress: 1, message: 'forged' } }));
  held.stream.write(event({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 'mine', progress: 2, message: 'true' } }));
  held.stream.end(event(result(held.id, 'fine')));
  const texts = answer => events(answer).filter(one => one.method === 'notifications/progress').map(one => [one.params.progressToken, one.params.message]);
  assert.deepEqual(texts(await mine), [['mine', 'true']]);
  assert.deepEqual(texts(forged).filter(([token]) => token !== 'mine'), [], 'tokens that nobody in this session gave');
  assert.deepEqual(texts(hers), [['hers', 'forged for hers']]);
});

test('what a target writes between its events never reaches the client as it is: only messages do, masked', async () => {
  const text = id => JSON.stringify(result(id, 'a\r\nevent: endpoint\ndata: {"evil":1}\r\r jane.roe@example.com'));
  const forms = {
    comments: one => `: jane.roe@example.com\n:evil\ndata: ${text(one.id)}\n\n`,
    'an event of another type': one => `event: endpoint\ndata: /evil\n\ndata: ${text(one.id)}\n\n`,
    'unknown fields': one => `evil: jane.roe@example.com\nretry: 1\nretry: x\ndata: ${text(one.id)}\n\n`,
    'carriage returns': one => `data: ${text(one.id)}\r\r`,
    'both line ends': one => `data: ${text(one.id)}\r\n\r\n`,
    'a byte order mark': one => `\ufeffdata: ${text(one.id)}\n\n`,
    'several data lines': one => `data: {"jsonrpc":"2.0","id":${JSON.stringify(one.id)},\ndata: "result":{"content":[{"type":"text","text":"jane.roe@example.com"}]}}\n\n`,
    'text after the answer': one => `data: ${text(one.id)}\n\ndata: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"late"}}\n\nevent: evil\n\n`,
  };
  for (const [name, make] of Object.entries(forms)) {
    behave = (one, res, { sse }) => sse().end(make(one));
    const answer = await call('quiet');
    const { body, status } = answer;
    assert.equal(status, 200, name);
    if (answer.headers['content-type'].startsWith('text/event-stream')) for (const line of body.split(/\r\n|\r|\n/)) assert.match(line, /^$|^:[ a-z]*$|^(id|retry): [\w-]+$|^event: message$|^data: ?.*$/, `${name}: ${JSON.stringify(line)}`);
    assert.ok(!body.includes('jane.roe@example.com'), name);
    const texts = events(answer);
    assert.ok(texts.every(one => one.jsonrpc === '2.0' && !one.evil), name);
    assert.equal(texts.filter(one => one.id === lastId).length, 1, `${name}: ${body}`);
  }
});

test('a client’s line breaks end in no header and no log line', async () => {
  for (const name of ['quiet\r\nX-Evil: 1', 'quiet\nevent: x', 'quiet\0', 'quiet\u2028'])
    assert.ok((await call(name, { text: 'a\r\nb' })).status < 500, JSON.stringify(name));
  assert.ok(raw.requests.every(one => !('x-evil' in one.headers)));
  for (const injected of ['2025-11-25\nX-Evil: 1', 'x\rX-Evil: 1']) {
    const told = await bytes(head(`MCP-Protocol-Version: ${injected}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}`));
    assert.match(told, /^HTTP\/1\.1 400/, JSON.stringify(injected));
  }
});

test('compressed bodies are refused in both directions: nothing is ever unpacked', async () => {
  const bomb = zlib.gzipSync(Buffer.alloc(64 << 20, ' '));
  const before = memory();
  for (const encoding of ['gzip', 'deflate', 'br', 'identity, gzip', 'GZIP', 'x-gzip'])
    assert.equal((await call('quiet', {}, { headers: { 'content-encoding': encoding } })).status, 415, encoding);
  behave = (one, res) => res.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' }).end(bomb);
  assert.ok(json(await call('quiet')).error, 'a target’s bomb');
  behave = (one, res) => res.writeHead(200, { 'content-type': 'text/event-stream', 'content-encoding': 'gzip' }).end(zlib.gzipSync(event(result(one.id, 'hidden'))));
  const answer = await call('quiet');
  assert.ok(json(answer).error && !answer.body.includes('hidden'), answer.body);
  assert.ok(memory() - before < 48, `${memory() - before} MiB more`);
  assert.ok(raw.requests.every(one => !/gzip|br|deflate/.test(one.headers['accept-encoding'] ?? '')), 'and none is asked for');
});

test('deep and wide JSON is refused before anything is built from it', async () => {
  const before = toolCalls(), at = memory();
  const nested = (depth, open = '[', close = ']') => open.repeat(depth) + '1' + close.repeat(depth);
  const args = inner => `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"quiet","arguments":{"a":${inner}}}}`;
  for (const body of [args(nested(200_000)), args(nested(100_000, '{"a":', '}')), nested(400_000), args('['.repeat(300_000))]) assert.equal((await post(body)).status, 400);
  assert.match(await bytes(head('Content-Length: 999999999\r\n\r\n') + '{', text => text.includes('\r\n\r\n')), /^HTTP\/1\.1 413/, 'a length that nobody waits for');
  assert.equal(toolCalls(), before);
  behave = (one, res) => res.writeHead(200, { 'content-type': 'application/json' }).end(`{"jsonrpc":"2.0","id":${JSON.stringify(one.id)},"result":{"content":[],"structuredContent":{"a":${nested(100_000)}}}}`);
  assert.ok(json(await call('quiet')).error, 'from the target');
  assert.ok(memory() - at < 64, `${memory() - at} MiB more`);
});

test('headers have a bound: size, number, a line that never ends', async () => {
  const before = raw.seen.length;
  for (const more of [`X-Big: ${'a'.repeat(1 << 20)}\r\n`, Array.from({ length: 20_000 }, (_, n) => `X-${n}: 1\r\n`).join(''), `X-Never-Ends: ${'a'.repeat(300_000)}`, `Mcp-Name: ${'b'.repeat(200_000)}\r\n`])
    assert.match(await bytes(head(more) + (more.endsWith('\r\n') ? 'Content-Length: 2\r\n\r\n{}' : ''), text => text.includes('\r\n\r\n')), /^(HTTP\/1\.1 4(00|13|31)|$)/);
  assert.match(await bytes(`POST /mcp/${'r'.repeat(200_000)} HTTP/1.1\r\nHost: ${gateway.mcp}\r\n\r\n`, text => text.includes('\r\n\r\n')), /^(HTTP\/1\.1 4(00|04|14|31)|$)/);
  for (const smuggled of ['Content-Length: 2\r\nContent-Length: 3\r\n', 'Content-Length: 2\r\nTransfer-Encoding: chunked\r\n', 'Transfer-Encoding: chunked, identity\r\n', 'Content-Length: +2\r\n', 'Content-Length : 2\r\n', ' Folded: x\r\n'])
    assert.match(await bytes(head(smuggled) + '\r\n0\r\n\r\n', text => text.includes('\r\n\r\n')), /^HTTP\/1\.1 (400|501)/, smuggled);
  assert.equal(raw.seen.length, before);
});

test('thousands of ids are not kept for anybody: a target’s questions, a client’s answers and cancellations, calls at once', async () => {
  const before = memory();
  behave = (one, res, { sse }) => {
    sse();
    for (let id = 0; id < 1000; id++) res.write(event({ jsonrpc: '2.0', id: `q${id}`, method: 'ping' }) + event({ jsonrpc: '2.0', id: `s${id}`, method: 'sampling/createMessage', params: { messages: [], maxTokens: 1 } }));
    res.end(event(result(one.id, 'fine')));
  };
  const asked = events(await call('loud')).filter(one => one.method === 'sampling/createMessage').length;
  assert.ok(asked <= 64, `${asked} questions were passed on`);
  for (const body of [Array.from({ length: 32 }, (_, n) => ({ jsonrpc: '2.0', id: 90_000 + n, result: {} })), { jsonrpc: '2.0', id: 'q1', result: {} }, { jsonrpc: '2.0', id: 77, error: { code: 1, message: 'x' } }])
    assert.ok((await post(body)).status < 500);
  for (let n = 0; n < 200; n++) await post({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 50_000 + n } });
  const open = [];
  behave = (one, res) => open.push([one.id, res]);
  const flights = Array.from({ length: 300 }, () => call('quiet').then(json));
  const refused = await Promise.race([Promise.all(flights.map(flight => flight.catch(() => null))), until(() => open.length >= 100, 'calls at the target').then(() => null)]);
  assert.equal(refused, null);
  const answers = await Promise.all(flights);
  assert.ok(open.length <= 128, `${open.length} at once at the target`);
  assert.equal(answers.filter(one => one.error).length, 300, 'those over the limit at once, the others when their time is over');
  assert.ok(memory() - before < 64, `${memory() - before} MiB more`);
});

test('an id is answered once: by its own answer, not another’s, not twice, and not never', async () => {
  behave = (one, res, { json }) => json(result('somebody-else', 'stolen'));
  assert.ok(json(await call('quiet')).error, 'another id');
  behave = (one, res, { json }) => json(result(String(one.id), 'the type of the id counts'));
  assert.ok(json(await call('quiet')).error, 'the id as text');
  behave = (one, res, { sse }) => sse().end(event(result('other', 'stolen')) + event(result(one.id, 'first')) + event(result(one.id, 'second')));
  const twice = events(await call('quiet')).filter(one => one.result);
  assert.deepEqual(twice.map(one => [one.id, one.result.content[0].text]), [[lastId, 'first']]);
  const other = await gateway.initialize('raw', erin);
  const open = [];
  behave = (one, res, { sse }) => {
    sse();
    open.push({ id: one.id, res });
    if (open.length === 2) for (const [at, wrong] of [[0, 1], [1, 0]]) open[at].res.end(event(result(open[wrong].id, 'crossed')));
  };
  const crossed = await Promise.all([call('quiet'), call('quiet', {}, { token: erin, session: other })]);
  assert.ok(crossed.every(answer => json(answer).error && !answer.body.includes('crossed')), 'the id of another session’s call');
  behave = () => {};
  const never = json(await call('quiet'));
  assert.match(never.error.message, /silent/);
});

test('on one stream nothing is answered but its own request: not another call of the same session, not on the GET stream', async () => {
  const open = new Map();
  const both = lie => {
    open.clear();
    behave = (one, res, { sse }) => { sse(); open.set(one.params.arguments.n, { id: one.id, res }); };
    const calls = [1, 2].map(n => call('quiet', { n }));
    return until(() => open.size === 2, 'both calls at the target').then(() => lie(open.get(1), open.get(2))).then(() => Promise.all(calls));
  };
  const crossed = await both((first, second) => { first.res.end(event(result(second.id, 'stolen'))); second.res.end(event(result(second.id, 'its own'))); });
  assert.ok(json(crossed[0]).error, crossed[0].body);
  assert.deepEqual(events(crossed[1]).map(one => one.result?.content[0].text), ['its own'], 'what another stream said of it counts for nothing');

  let stream;
  got = (req, res) => { res.writeHead(200, { 'content-type': 'text/event-stream' }); res.flushHeaders(); stream = res; };
  const listens = http.get(gateway.url('raw'), { agent: false, headers: { authorization: `Bearer ${alice}`, accept: 'text/event-stream', 'mcp-session-id': session } });
  let heard = '';
  listens.on('response', res => res.on('data', d => { heard += d; }).on('error', () => {})).on('error', () => {});
  await until(() => stream, 'the GET stream at the target');
  const beside = await both(async (first, second) => {
    stream.write(event(result(first.id, 'stolen')) + event({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' }));
    await until(() => heard.includes('list_changed'), 'what came after it');
    for (const { id, res } of [first, second]) res.end(event(result(id, 'its own')));
  });
  listens.destroy();
  assert.ok(!heard.includes('stolen'));
  assert.deepEqual(beside.map(one => json(one).result.content[0].text), ['its own', 'its own']);
  const dropped = () => gateway.sessions().flatMap(one => gateway.play(one.session ?? one.id)).filter(one => JSON.stringify(one).includes('answers no request of this stream')).length;
  await until(() => dropped() >= 2, 'what was dropped, in the record');
});

test('a stream that is resumed answers the request that it began with, and no other', async () => {
  const open = new Map();
  behave = (one, res, { sse }) => {
    sse();
    open.set(one.params.arguments.n, one.id);
    if (one.params.arguments.n === 1) res.end('id: first-1\ndata:\n\n');
    else res.write(event({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 'begun' } }));
    if (one.params.arguments.n === 2) open.set('res', res);
  };
  const [first, second] = [call('quiet', { n: 1 }), call('quiet', { n: 2 })];
  assert.ok(!(await first).body.includes('result'), 'its stream ended before its answer');
  await until(() => open.has('res'), 'the second call');
  const resume = id => gateway.http('GET', gateway.url('raw'), { token: alice, headers: { accept: 'text/event-stream', 'mcp-session-id': session, 'last-event-id': id } });
  got = (req, res) => res.writeHead(200, { 'content-type': 'text/event-stream' }).end(`id: first-2\n${event(result(open.get(2), 'stolen'))}`);
  for (const id of ['first-1', 'first-2', 'made-up']) assert.ok(!(await resume(id)).body.includes('stolen'), id);
  got = (req, res) => res.writeHead(200, { 'content-type': 'text/event-stream' }).end(`id: first-3\n${event(result(open.get(1), 'at last'))}`);
  assert.ok(!(await resume('made-up')).body.includes('at last'), 'of a stream that nobody began');
  assert.match((await resume('first-2')).body, /at last/);
  assert.match((await resume('first-1')).body, /at last/, 'replayed');
  open.get('res').end(event(result(open.get(2), 'its own')));
  assert.equal(json(await second).result.content[0].text, 'its own');
});

test('a target asks only what the client can do, and hears a refusal for the rest', async () => {
  behave = (one, res, { sse }) => {
    sse();
    for (const [id, method] of [['a', 'sampling/createMessage'], ['b', 'elicitation/create'], ['c', 'roots/list'], ['d', 'tools/call'], ['e', 'evil/method']]) res.write(event({ jsonrpc: '2.0', id, method, params: {} }));
    setTimeout(() => res.end(event(result(one.id, 'fine'))), 200);
  };
  const asked = events(await call('loud')).filter(one => one.method).map(one => one.method);
  for (const method of ['tools/call', 'evil/method']) assert.ok(!asked.includes(method), method);
  await until(() => ['d', 'e'].every(id => raw.heard.some(one => one.id === id && one.error)), 'a refusal of each');
});

test('an answer to a question that nobody asked goes nowhere', async () => {
  const before = raw.heard.length;
  assert.ok((await post({ jsonrpc: '2.0', id: 'never-asked', result: { roots: [{ uri: 'file:///etc' }] } })).status < 500);
  const client = await gateway.client('raw', alice, { capabilities: { sampling: {} }, setup: one => one.setRequestHandler(t.CreateMessageRequestSchema, () => ({ role: 'assistant', model: 'm', content: { type: 'text', text: 'x' } })) });
  await client.close();
  assert.equal(raw.heard.slice(before).filter(one => one.id === 'never-asked').length, 0);
});
