// What the cheapest MCP server there is says: one tool, whose answer of about 800 bytes has an e-mail address and a card number.
const tools = [{ name: 'echo', description: 'Says it again.', inputSchema: { type: 'object', properties: { text: { type: 'string', maxLength: 1000 } }, required: ['text'], additionalProperties: false } }];
const text = 'x'.repeat(700) + ' alice@example.com 4111-1111-1111-1111';
const INFO = { name: 'raw', version: '1' };

export function answer({ id, method }, modern) {
  const more = modern ? { resultType: 'complete' } : {}, cached = modern ? { ttlMs: 0, cacheScope: 'public' } : {};
  if (modern && method === 'initialize') return { jsonrpc: '2.0', id, error: { code: -32022, message: 'Unsupported protocol version', data: { supported: ['2026-07-28'] } } };
  const result = method === 'initialize' ? { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: INFO }
    : method === 'server/discover' ? { ...more, ...cached, supportedVersions: ['2026-07-28'], capabilities: { tools: {} }, _meta: { 'io.modelcontextprotocol/serverInfo': INFO } }
    : method === 'tools/list' ? { ...more, ...cached, tools } : { ...more, content: [{ type: 'text', text }] };
  return { jsonrpc: '2.0', id, result };
}
