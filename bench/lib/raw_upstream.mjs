// The cheapest MCP server there is: raw node:http, one answer of about 800 bytes with an e-mail address and a card number.
import http from 'node:http';
const tools = [{ name: 'echo', description: 'Says it again.', inputSchema: { type: 'object', properties: { text: { type: 'string', maxLength: 1000 } }, required: ['text'], additionalProperties: false } }];
const text = 'x'.repeat(700) + ' alice@example.com 4111-1111-1111-1111';
const server = http.createServer((request, response) => {
  let body = '';
  request.on('data', d => { body += d; });
  request.on('end', () => {
    if (request.method !== 'POST') return void response.writeHead(405).end();
    const { id, method } = JSON.parse(body);
    if (id === undefined) return void response.writeHead(202).end();
    const result = method === 'initialize'
      ? { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 'raw', version: '1' } }
      : method === 'tools/list' ? { tools } : { content: [{ type: 'text', text }] };
    const answer = JSON.stringify({ jsonrpc: '2.0', id, result });
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(answer), 'mcp-session-id': 'raw' });
    response.end(answer);
  });
});
server.keepAliveTimeout = 120_000;
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })));
