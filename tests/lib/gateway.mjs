// A gateway of a test: its own folder, config, users and process on loopback. Everything is taken down with the test process.
import { spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import https from 'node:https';
import http from 'node:http';
import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const BUILD = process.env.SALLYPORT_BUILD ?? path.join(ROOT, 'build/release');
export const SALLYPORT = path.join(BUILD, 'sallyport');
export const VERIFY = path.join(BUILD, 'sallyport-verify');

const children = new Set();
const folders = new Set();
function takeDown() {
  for (const child of children) try { child.kill(child.spawnfile.endsWith('nginx') ? 'SIGTERM' : 'SIGKILL'); } catch { /* gone already */ }
  for (const folder of folders) fs.rmSync(folder, { recursive: true, force: true });
}
process.on('exit', takeDown);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(130));

export function folder(name = 'sallyport-test-') {
  const made = fs.mkdtempSync(path.join(os.tmpdir(), name));
  folders.add(made);
  return made;
}
/** Keeps a folder when the process ends. */
export const keep = kept => folders.delete(kept);

/** A child that dies with us; `lines` are its stdout lines as they come. */
export function start(command, args, options = {}) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  children.add(child);
  child.once('exit', () => children.delete(child));
  child.errors = '';
  child.stderr.on('data', data => { child.errors += data; });
  child.lines = createInterface({ input: child.stdout });
  return child;
}

/** The first stdout line that `wanted` takes, or an error with what the child said when it ends or the time is over. */
export function line(child, wanted, ms = 20_000) {
  return new Promise((resolve, reject) => {
    const done = (settle, value) => {
      clearTimeout(timer);
      child.lines.off('line', look);
      child.off('exit', ended);
      settle(value);
    };
    const look = text => { const found = wanted(text); if (found) done(resolve, found); };
    const ended = code => done(reject, new Error(`it ended with ${code}: ${child.errors}`));
    const timer = setTimeout(() => done(reject, new Error(`nothing came in ${ms} ms: ${child.errors}`)), ms);
    child.lines.on('line', look);
    child.once('exit', ended);
  });
}
const event = name => text => { try { const parsed = JSON.parse(text); return [].concat(name).includes(parsed.event) && parsed; } catch { return null; } };

export const PASSWORD = 'correct horse battery';
let hashed;
/** Argon2id costs a quarter of a second: one hash serves all test users. */
export function passwordHash() {
  hashed ??= spawnSync(SALLYPORT, ['user', 'hash'], { input: PASSWORD + '\n', encoding: 'utf8' }).stdout.trim();
  if (!hashed.startsWith('$argon2id$')) throw new Error('sallyport user hash gave no hash');
  return hashed;
}

export class Gateway {
  /**
   * @param options.policy YAML lines of `policy:`
   * @param options.budget of every target, YAML
   * @param options.access YAML lines of `access:`
   * @param options.notify YAML lines of `notify:`
   * @param options.files { name: content }: files beside the configuration
   * @param options.publicUrl gateway.public_url, where clients compare it with the address that they use
   * @param options.targets { name: { url, bearer, credential: "YAML", labels, extra, trust } | { command: [program, …], labels, extra, trust } | { postgres: "YAML of the target", labels } | { database: "YAML of database", extra, labels } | { virtual: "YAML of a virtual MCP server" } }; `trust` is YAML,
   *   without it tools are not pinned: most tests call them without having listed them
   * @param options.postgres true: listens for PostgreSQL clients as well
   * @param options.users { name: [groups] | { groups, service } }
   * @param options.tls false for plain HTTP on loopback
   * @param options.more { gateway, identity, evidence, roles }: YAML lines to add to the sections
   */
  constructor(options = {}) {
    this.options = { tls: true, users: { alice: ['engineers'], bob: ['leads'], carol: ['leads'] }, more: {}, env: {}, ...options };
    this.dir = options.dir ?? folder();
    this.config = path.join(this.dir, 'sallyport.yaml');
    this.mcpListen = '127.0.0.1:0';
    this.adminListen = '127.0.0.1:0';
    this.postgresListen = options.postgres ? '127.0.0.1:0' : '';
    this.evidence = options.evidence ?? path.join(this.dir, 'evidence');
    fs.writeFileSync(path.join(this.dir, 'password.hash'), passwordHash() + '\n');
    for (const [name, content] of Object.entries(options.files ?? {})) fs.writeFileSync(path.join(this.dir, name), content + '\n');
    fs.writeFileSync(path.join(this.dir, 'upstream.token'), (options.bearer ?? 'upstream-secret') + '\n');
    this.write();
  }
  write() {
    const { users, targets = {}, policy = '', access = '', notify = '', more, tls, tests = '' } = this.options;
    const indent = (text, by) => text ? text.split('\n').map(l => l && ' '.repeat(by) + l).join('\n') + '\n' : '';
    let yaml = `version: 1\ngateway:\n  name: test\n  public_url: ${this.options.publicUrl ?? `${tls ? 'https' : 'http'}://127.0.0.1:1`}\n`;
    yaml += `  listen: { mcp: "${this.mcpListen}", admin: "${this.adminListen}"${this.postgresListen ? `, postgres: "${this.postgresListen}"` : ''} }\n` + (tls ? '' : '  tls: off\n') + indent(more.gateway, 2);
    yaml += 'identity:\n' + indent(more.identity, 2) + '  local:\n    users:\n';
    for (const [name, user] of Object.entries(users)) {
      const { groups, service, extra } = Array.isArray(user) ? { groups: user } : user;
      yaml += `      ${name}: { groups: [${groups.join(', ')}], password_hash: { file: password.hash }${service ? ', service: true' : ''}${extra ? ', ' + extra : ''} }\n`;
    }
    yaml += `evidence:\n  directory: ${this.evidence}\n  high_water: 98%\n` + indent(more.evidence, 2);
    if (more.roles) yaml += 'roles:\n' + indent(more.roles, 2);
    yaml += 'targets:\n';
    for (const [name, target] of Object.entries(targets)) {
      if (target.virtual) {
        yaml += `  ${name}:\n    mcp: { ${target.virtual} }\n`;
        continue;
      }
      if (target.command) yaml += `  ${name}:\n    mcp: { command: ${JSON.stringify(target.command)}, user: ${os.userInfo().username}, trust: ${target.trust ?? '{ pinning: false }'}${target.extra ? ', ' + target.extra : ''} }\n`;
      else if (target.database) yaml += `  ${name}:\n    mcp: { database: { ${target.database} }${target.extra ? ', ' + target.extra : ''} }\n`;
      else if (target.postgres) yaml += `  ${name}:\n    postgres: { ${target.postgres} }\n`;
      else yaml += `  ${name}:\n    mcp: { url: "${target.url}", credential: ${target.credential ?? '{ bearer: { file: upstream.token } }'}, trust: ${target.trust ?? '{ pinning: false }'}${target.extra ? ', ' + target.extra : ''} }\n`;
      if (this.options.budget) yaml += `    budget: { ${this.options.budget} }\n`;
      yaml += `    labels: { ${Object.entries(target.labels ?? { env: 'prod' }).map(([k, v]) => `${k}: ${v}`).join(', ')} }\n`;
    }
    if (notify) yaml += 'notify:\n' + indent(notify.trim(), 2);
    if (access) yaml += 'access:\n' + indent(access.trim(), 2);
    yaml += 'policy:\n' + indent(policy.trim(), 2) + (tests ? 'tests:\n' + indent(tests, 2) : '');
    fs.writeFileSync(this.config, yaml);
  }
  /** Other options, written to the file; reload() or a restart makes them count. */
  change(options) { Object.assign(this.options, options); this.write(); }

  async start() {
    this.child = start(SALLYPORT, ['serve', '-c', this.config], { env: { ...process.env, ...this.options.env } });
    const told = await line(this.child, event('listening'));
    this.pid = told.pid;
    [this.mcp, this.admin, this.ca, this.postgres] = [told.mcp, told.admin, told.ca, told.postgres];
    this.scheme = this.options.tls ? 'https' : 'http';
    return this;
  }
  /** After the first start the ports stay, so that clients find the gateway again. */
  keepPorts() {
    [this.mcpListen, this.adminListen] = [this.mcp, this.admin];
    if (this.postgres) this.postgresListen = this.postgres;
    this.write();
  }
  get postgresPort() { return Number(this.postgres.split(':').pop()); }
  /** The environment of a libpq client that connects as a user of a target. */
  libpq(user, target, token, database) {
    return { ...process.env, PGHOST: '127.0.0.1', PGPORT: String(this.postgresPort), PGUSER: `${user}@${target}`, PGPASSWORD: token, PGCONNECT_TIMEOUT: '10',
      PGDATABASE: database ?? `${user}@${target}`, ...(this.ca ? { PGSSLMODE: 'verify-full', PGSSLROOTCERT: this.ca } : {}) };
  }
  url(target) { return `${this.scheme}://${this.mcp}/mcp/${target}`; }
  get adminUrl() { return `${this.scheme}://${this.admin}`; }

  async reload() {
    const answer = line(this.child, event(['reloaded', 'reload-refused']));
    process.kill(this.pid, 'SIGHUP');
    return answer;
  }
  async stop(signal = 'SIGTERM') {
    if (!this.child || this.child.exitCode !== null || this.child.signalCode) return this.child?.exitCode;
    const ended = once(this.child, 'exit');
    this.child.kill(signal);
    const [code] = await ended;
    return code;
  }
  kill9() { return this.stop('SIGKILL'); }

  /** The command line of a person: { code, out, err }. */
  cli(args, { token, input, env } = {}) {
    const result = spawnSync(SALLYPORT, args, {
      encoding: 'utf8', input: input ?? '', maxBuffer: 1 << 28,
      env: { ...process.env, SALLYPORT_URL: this.adminUrl, ...(this.ca ? { SALLYPORT_CA: this.ca } : {}), ...(token ? { SALLYPORT_TOKEN: token } : {}), ...env },
    });
    return { code: result.status, out: result.stdout, err: result.stderr };
  }
  /** The same without blocking this process, which may be the upstream server as well. */
  async run(args, { token, input, env } = {}) {
    const child = spawn(SALLYPORT, args, {
      env: { ...process.env, SALLYPORT_URL: this.adminUrl, ...(this.ca ? { SALLYPORT_CA: this.ca } : {}), ...(token ? { SALLYPORT_TOKEN: token } : {}), ...env },
    });
    let out = '', err = '';
    child.stdout.on('data', d => { out += d; });
    child.stderr.on('data', d => { err += d; });
    child.stdin.on('error', () => { /* a command that reads nothing may have ended before we wrote */ });
    child.stdin.end(input ?? '');
    const [code] = await once(child, 'close');
    return { code, out, err };
  }
  async token(user, extra = []) {
    const { code, out, err } = await this.run(['token', 'issue', '--user', user, ...extra], { input: PASSWORD + '\n' });
    if (code !== 0) throw new Error(`token issue: ${err}`);
    return out.trim();
  }
  /** One HTTP request to the gateway: { status, headers, body }. */
  http(method, url, { headers = {}, body, token } = {}) {
    const lib = url.startsWith('https') ? https : http;
    return new Promise((resolve, reject) => {
      const request = lib.request(url, {
        method, agent: false, ...(this.ca ? { ca: fs.readFileSync(this.ca) } : {}),
        headers: { ...(token ? { authorization: `Bearer ${token}` } : {}), ...headers },
      }, response => {
        let text = '';
        response.on('data', d => { text += d; });
        response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body: text }));
        response.on('error', reject);
      });
      request.on('error', reject);
      request.end(body);
    });
  }
  get(pathname, options) { return this.http('GET', this.adminUrl + pathname, options); }
  mcpPost(target, message, { token, session, headers = {}, version } = {}) {
    return this.http('POST', this.url(target), {
      token, body: typeof message === 'string' ? message : JSON.stringify(message),
      headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream',
        ...(session ? { 'mcp-session-id': session } : {}), ...(version ? { 'mcp-protocol-version': version } : {}), ...headers },
    });
  }
  /** A session by hand: { id, version }. */
  async initialize(target, token) {
    const answer = await this.mcpPost(target, { jsonrpc: '2.0', id: 0, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'raw', version: '1' } } }, { token });
    if (answer.status !== 200) throw new Error(`initialize: ${answer.status} ${answer.body}`);
    return answer.headers['mcp-session-id'];
  }
  /** The official SDK's client, connected. */
  async client(target, token, { capabilities = {}, setup } = {}) {
    const client = new Client({ name: 'flow-test', version: '1.0' }, { capabilities });
    setup?.(client);
    const transport = new StreamableHTTPClientTransport(new URL(this.url(target)), {
      requestInit: { headers: { Authorization: `Bearer ${token}` } }, ...(this.ca ? { fetch: this.fetch() } : {}),
    });
    await client.connect(transport);
    return client;
  }
  /** fetch that trusts the gateway's own certificate: Node's takes no CA, so the request is made with https. */
  fetch() {
    const ca = fs.readFileSync(this.ca);
    const agent = new https.Agent({ ca, keepAlive: true });
    return (url, init = {}) => new Promise((resolve, reject) => {
      const headers = Object.fromEntries(new Headers(init.headers).entries());
      const request = https.request(url, { method: init.method ?? 'GET', headers, agent, signal: init.signal ?? undefined }, response => {
        const empty = [101, 204, 205, 304].includes(response.statusCode);
        const body = empty ? null : new ReadableStream({
          start(controller) {
            response.on('data', d => { try { controller.enqueue(new Uint8Array(d)); } catch { response.destroy(); } });
            response.on('end', () => { try { controller.close(); } catch { /* cancelled */ } });
            response.on('error', e => { try { controller.error(e); } catch { /* cancelled */ } });
          },
          cancel() { response.destroy(); },
        });
        if (empty) response.resume();
        const pairs = Object.entries(response.headers).flatMap(([k, v]) => [].concat(v).map(one => [k, one]));
        resolve(new Response(body, { status: response.statusCode, headers: pairs }));
      });
      request.on('error', reject);
      request.end(init.body instanceof URLSearchParams ? init.body.toString() : init.body ?? undefined);
    });
  }
  key() {
    const { code, out, err } = this.cli(['evidence', 'key', '-c', this.config]);
    if (code !== 0) throw new Error(err);
    return out.trim();
  }
  verify(dir = this.evidence, key = this.key(), extra = []) { return verify(dir, key, extra); }
  /** Every entry of the log as objects. */
  entries(kind) {
    const { code, out, err } = this.cli(['evidence', 'ls', '-d', this.evidence, '--json', ...(kind ? ['--kind', kind] : [])]);
    if (code !== 0) throw new Error(err);
    return out.split('\n').filter(Boolean).map(text => JSON.parse(text));
  }
  sessions() { return this.cli(['sessions', 'ls', '-d', this.evidence, '--json']).out.split('\n').filter(Boolean).map(text => JSON.parse(text)); }
  play(id) { return this.cli(['sessions', 'play', id, '-d', this.evidence, '--json']).out.split('\n').filter(Boolean).map(text => JSON.parse(text)); }
}

export function verify(dir, key, extra = []) {
  const result = spawnSync(VERIFY, [dir, '--key', key, '--json', ...extra], { encoding: 'utf8', maxBuffer: 64 << 20 });
  let report = null;
  try { report = JSON.parse(result.stdout); } catch { /* said in words */ }
  return { code: result.status, report, out: result.stdout, err: result.stderr };
}

/** Waits until `look` gives something; the gateway has no event for it. */
export async function until(look, what, ms = 15_000) {
  const end = Date.now() + ms;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`never came: ${what}`);
    await new Promise(resolve => setTimeout(resolve, 25));
  }
}
