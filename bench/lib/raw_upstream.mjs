// The cheapest MCP server there is, on raw node:http: /mcp speaks the legacy era, /modern the newer one.
import http from 'node:http';
import { answer } from './raw_answers.mjs';
const server = http.createServer((request, response) => {
  let body = '';
  request.on('data', d => { body += d; });
  request.on('end', () => {
    if (request.method !== 'POST') return void response.writeHead(405).end();
    const message = JSON.parse(body), modern = request.url === '/modern';
    if (message.id === undefined) return void response.writeHead(202).end();
    const text = JSON.stringify(answer(message, modern));
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text), ...(modern ? {} : { 'mcp-session-id': 'raw' }) });
    response.end(text);
  });
});
server.keepAliveTimeout = 120_000;
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })));
