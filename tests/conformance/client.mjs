// The reference client of the suite's client scenarios: node client.mjs direct|through URL, with the scenario's name, revision
// and context in the environment, as the suite sets them. `through` starts a gateway towards URL and talks to that alone.
import { Client as OldClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as OldTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { Client, ClientCredentialsProvider, CrossAppAccessProvider, PrivateKeyJwtProvider, StreamableHTTPClientTransport, UnauthorizedError, requestJwtAuthorizationGrant } from '@modelcontextprotocol/client';
import fs from 'node:fs';
import { Gateway } from '../lib/gateway.mjs';

const { MCP_CONFORMANCE_SCENARIO: scenario = '', MCP_CONFORMANCE_PROTOCOL_VERSION: version = '2025-11-25', MCP_CONFORMANCE_CONTEXT: context = '{}' } = process.env;
const modern = version >= '2026';
const NAME = { name: 'sallyport-reference-client', version: '1.0.0' };

/** A person who agrees to everything at once: the redirect is followed here, and the code taken from where it leads. */
class Consent {
  constructor({ client_id, client_secret } = {}) { if (client_id) this.client = { client_id, client_secret, redirect_uris: [this.redirectUrl] }; }
  redirectUrl = 'http://localhost:3000/callback';
  clientMetadata = { client_name: NAME.name, redirect_uris: [this.redirectUrl] };
  clientMetadataUrl = 'https://conformance-test.local/client-metadata.json';
  clientInformation() { return this.client; }
  saveClientInformation(client) { this.client = client; }
  tokens() { return this.kept; }
  /** After a token the server's metadata is asked for anew: another authorization server may stand there by the next one. */
  saveTokens(tokens) { this.kept = tokens; delete this.found; }
  saveDiscoveryState(found) { this.found = found; }
  discoveryState() { return this.found; }
  saveCodeVerifier(verifier) { this.verifier = verifier; }
  codeVerifier() { return this.verifier; }
  invalidateCredentials(what) {
    const all = { client: ['client'], tokens: ['kept'], verifier: ['verifier'], discovery: ['found'] };
    for (const key of all[what] ?? Object.values(all).flat()) delete this[key];
  }
  async redirectToAuthorization(url) {
    const answer = await fetch(url, { redirect: 'manual' });
    this.callback = new URL(answer.headers.get('location')).searchParams;
  }
}

const PROVIDERS = {
  'auth/pre-registration': given => new Consent(given),
  'auth/client-credentials-jwt': given => new PrivateKeyJwtProvider({ clientId: given.client_id, privateKey: given.private_key_pem, algorithm: given.signing_algorithm ?? 'ES256' }),
  'auth/client-credentials-basic': given => new ClientCredentialsProvider({ clientId: given.client_id, clientSecret: given.client_secret }),
  'auth/enterprise-managed-authorization': given => new CrossAppAccessProvider({
    clientId: given.client_id, clientSecret: given.client_secret,
    assertion: async at => (await requestJwtAuthorizationGrant({ tokenEndpoint: given.idp_token_endpoint, audience: at.authorizationServerUrl, resource: at.resourceUrl,
      idToken: given.idp_id_token, clientId: given.idp_client_id, fetchFn: at.fetchFn })).jwtAuthGrant,
  }),
};

/** Mocks of single features know no server/discover: without a gateway the answer is made up here. */
const discovered = async (url, init) => {
  const message = typeof init?.body === 'string' ? JSON.parse(init.body) : {};
  if (message.method !== 'server/discover') return fetch(url, init);
  return Response.json({ jsonrpc: '2.0', id: message.id, result: {
    resultType: 'complete', supportedVersions: ['2026-07-28'], capabilities: { tools: {}, resources: {}, prompts: {} }, ttlMs: 0, cacheScope: 'private',
    _meta: { 'io.modelcontextprotocol/serverInfo': NAME } } });
};
const SILENT = ['http-standard-headers', 'http-custom-headers', 'http-invalid-tool-headers', 'sep-2322-client-request-state'];

async function connect({ url, token }, { capabilities = {}, elicit } = {}) {
  const headers = token ? { requestInit: { headers: { Authorization: `Bearer ${token}` } } } : {};
  if (!modern && !scenario.startsWith('auth/')) {
    const client = new OldClient(NAME, { capabilities });
    if (elicit) client.setRequestHandler(ElicitRequestSchema, elicit);
    await client.connect(new OldTransport(new URL(url), headers));
    return client;
  }
  const client = new Client(NAME, { capabilities, versionNegotiation: { mode: modern ? 'auto' : 'legacy' } });
  if (elicit) client.setRequestHandler('elicitation/create', elicit);
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { ...headers, ...(!token && SILENT.includes(scenario) ? { fetch: discovered } : {}) }));
  return client;
}

/** The whole of `work`, again after each consent that the server asked for. */
async function authorized({ url, token }, work) {
  if (token) return work(await connect({ url, token }));
  const provider = (PROVIDERS[scenario] ?? (() => new Consent({})))(JSON.parse(context));
  for (let round = 0; ; round++) {
    const client = new Client(NAME, { capabilities: {}, versionNegotiation: { mode: 'auto' } });
    const transport = new StreamableHTTPClientTransport(new URL(url), { authProvider: provider });
    try {
      await client.connect(transport);
      return await work(client);
    } catch (error) {
      if (!(error instanceof UnauthorizedError) || !provider.callback || round === 2) throw error;
      const { callback } = provider;
      delete provider.callback;
      await transport.finishAuth(callback);
    }
  }
}

const calls = JSON.parse(context).toolCalls ?? [];
const SCENARIOS = {
  'initialize': async at => (await connect(at)).listTools(),
  'tools_call': async at => {
    const client = await connect(at);
    await client.listTools();
    await client.callTool({ name: 'add_numbers', arguments: { a: 5, b: 3 } });
  },
  'elicitation-sep1034-client-defaults': async at => {
    const client = await connect(at, { capabilities: { elicitation: { form: { applyDefaults: true } } }, elicit: () => ({ action: 'accept', content: {} }) });
    await client.listTools();
    await client.callTool({ name: 'test_client_elicitation_defaults', arguments: {} });
  },
  'sse-retry': async at => {
    const client = await connect(at);
    await client.listTools();
    await client.callTool({ name: 'test_reconnection', arguments: {} });
  },
  'request-metadata': at => connect(at, { capabilities: { roots: { listChanged: true }, sampling: {}, elicitation: {} } }),
  'http-standard-headers': async at => {
    const client = await connect(at);
    for (const { name } of (await client.listTools()).tools.slice(0, 1)) await client.callTool({ name, arguments: {} });
    for (const { uri } of (await client.listResources()).resources.slice(0, 1)) await client.readResource({ uri });
    for (const { name } of (await client.listPrompts()).prompts.slice(0, 1)) await client.getPrompt({ name, arguments: {} });
  },
  'http-custom-headers': async at => {
    const client = await connect(at);
    await client.listTools();
    for (const call of calls) await client.callTool(call);
  },
  'http-invalid-tool-headers': async at => {
    const client = await connect(at);
    for (const { name } of (await client.listTools()).tools) await client.callTool({ name, arguments: { region: 'us-west1' } }).catch(error => console.error(String(error)));
  },
  'sep-2322-client-request-state': async at => {
    const client = await connect(at, { capabilities: { elicitation: {} }, elicit: () => ({ action: 'accept', content: { confirmed: true } }) });
    await client.listTools();
    for (const name of ['test_mrtr_echo_state', 'test_mrtr_no_state', 'test_mrtr_unrelated']) await client.callTool({ name, arguments: {} });
    await client.callTool({ name: 'test_mrtr_no_result_type', arguments: {} }).catch(error => console.error(String(error)));
  },
  'json-schema-ref-no-deref': async at => (await connect(at)).listTools(),
  'json-schema-2020-12-preservation': async at => {
    const client = await connect(at);
    const { inputSchema } = (await client.listTools()).tools.find(tool => tool.name === 'json_schema_2020_12_tool');
    await client.callTool({ name: 'json_schema_echo', arguments: { schema: inputSchema } });
  },
};
const auth = at => authorized(at, async client => {
  await client.listTools();
  await client.callTool({ name: 'test-tool', arguments: {} });
});

/** What the gateway is to the target: nobody, or where the scenario hands out a client, that client with a token of its own. */
/** A secret goes to a server of the configuration only, so whoever configures it has looked up which one that is. */
let issuer = '';
async function lookUp(url) {
  if (scenario !== 'auth/client-credentials-basic') return;
  const metadata = await (await fetch(new URL('/.well-known/oauth-protected-resource/mcp', url))).json();
  issuer = `issuer: "${metadata.authorization_servers[0]}", `;
}
function credential() {
  const given = JSON.parse(context), client = { 'auth/client-credentials-basic': 'secret', 'auth/client-credentials-jwt': 'key' }[scenario];
  if (!client) return { text: '', files: {} };
  return { text: `, credential: { oauth: { ${issuer}client: { id: ${given.client_id}, ${client}: { file: as.secret } }, private_hosts: [localhost] } }`, files: { 'as.secret': (given.client_secret ?? given.private_key_pem).trim() } };
}
class Open extends Gateway {
  write() {
    super.write();
    fs.writeFileSync(this.config, fs.readFileSync(this.config, 'utf8').replace(', credential: { bearer: { file: upstream.token } }', credential().text));
  }
}

async function behindGateway(url) {
  await lookUp(url);
  const extra = ['server_requests: [sampling, elicitation, roots]', ...(SILENT.includes(scenario) ? ['era: modern'] : [])].join(', ');
  const gateway = new Open({ tls: false, files: credential().files, targets: { fixture: { url, extra } }, policy: '- { id: all, allow: { who: "group:engineers" } }' });
  await gateway.start();
  return { gateway, url: gateway.url('fixture'), token: await gateway.token('alice') };
}

const [, , where, url] = process.argv;
const run = SCENARIOS[scenario] ?? (scenario.startsWith('auth/') ? auth : null);
if (!run) throw new Error(`no such scenario: ${scenario}`);
const at = where === 'through' ? await behindGateway(url) : { url };
try {
  await run(at);
  await at.gateway?.stop();
  process.exit(0);
} catch (error) {
  console.error(error, at.gateway?.child.errors ?? '');
  process.exit(1);
}
