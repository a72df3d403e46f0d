// A PostgreSQL cluster of a test: its own folder, user and port on loopback and a Unix socket, gone with the test process.
import { spawn, spawnSync } from 'node:child_process';
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import tls from 'node:tls';
import { folder, until } from './gateway.mjs';

const BIN = ['/usr/lib/postgresql/15/bin', '/usr/lib/postgresql/17/bin'].find(dir => fs.existsSync(dir));
export const PGBIN = BIN;
const clusters = new Set();
process.on('exit', () => { for (const cluster of clusters) try { process.kill(cluster.child.pid, 'SIGQUIT'); } catch { /* gone already */ } });

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** PostgreSQL does not run as root: then it runs as the user that its package made. */
const asServer = process.getuid() === 0
  ? (command, args) => ['setpriv', ['--reuid=postgres', '--regid=postgres', '--clear-groups', command, ...args]]
  : (command, args) => [command, args];

export class Postgres {
  /** @param options.settings { name: value } of postgresql.conf, @param options.hba lines before the defaults, @param options.files { name: text } in the data folder */
  static async start(options = {}) {
    const self = new Postgres();
    if (!BIN) throw new Error('no PostgreSQL server is installed: ./dev setup');
    self.dir = folder('sallyport-pg-');
    self.data = path.join(self.dir, 'data');
    fs.chmodSync(self.dir, 0o755);
    if (process.getuid() === 0) {
      const id = what => Number(spawnSync('id', [what, 'postgres'], { encoding: 'utf8' }).stdout.trim());
      fs.chownSync(self.dir, id('-u'), id('-g'));
    }
    const made = spawnSync(...asServer(path.join(BIN, 'initdb'), ['-D', self.data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync']), { encoding: 'utf8', cwd: self.dir });
    if (made.status !== 0) throw new Error(`initdb: ${made.stderr}`);
    for (const [name, text] of Object.entries(options.files ?? {})) {
      const file = path.join(self.data, name);
      fs.writeFileSync(file, text, { mode: 0o600 });
      const { uid, gid } = fs.statSync(self.data);
      fs.chownSync(file, uid, gid);
    }
    const settings = { max_connections: 200, fsync: 'off', unix_socket_directories: `'${self.dir}'`, listen_addresses: `'127.0.0.1'`, password_encryption: `'scram-sha-256'`,
      log_line_prefix: `'%m [%p] '`, ...options.settings };
    fs.appendFileSync(path.join(self.data, 'postgresql.conf'), Object.entries(settings).map(([k, v]) => `${k} = ${v}\n`).join(''));
    fs.writeFileSync(path.join(self.data, 'pg_hba.conf'), `${options.hba ?? ''}\nlocal all postgres trust\nlocal all all scram-sha-256\nhost all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n`);
    self.port = await freePort();
    await self.up();
    return self;
  }
  get log() { return path.join(this.dir, 'server.log'); }
  async up() {
    const log = fs.openSync(this.log, 'a');
    this.child = spawn(...asServer(path.join(BIN, 'postgres'), ['-D', this.data, '-p', String(this.port)]), { stdio: ['ignore', log, log], cwd: this.dir });
    clusters.add(this);
    await until(() => {
      if (this.child.exitCode !== null) throw new Error(`postgres ended: ${fs.readFileSync(this.log, 'utf8').slice(-2000)}`);
      return spawnSync(path.join(BIN, 'pg_isready'), ['-h', this.dir, '-p', String(this.port)]).status === 0;
    }, 'PostgreSQL takes connections', 30_000);
  }
  async down(signal = 'SIGINT') {
    const ended = once(this.child, 'exit');
    this.child.kill(signal);
    await ended;
    clusters.delete(this);
  }
  /** SQL as the superuser, beside the gateway; rows as text. */
  sql(text, database = 'postgres') {
    const result = spawnSync('psql', ['-X', '-q', '-At', '-v', 'ON_ERROR_STOP=1', '-h', this.dir, '-p', String(this.port), '-U', 'postgres', '-d', database],
      { input: text, encoding: 'utf8', maxBuffer: 1 << 28 });
    if (result.status !== 0) throw new Error(`psql: ${result.stderr}`);
    return result.stdout.trim();
  }
  env(user = 'postgres', password = '', database = 'postgres') {
    return { ...process.env, PGHOST: '127.0.0.1', PGPORT: String(this.port), PGUSER: user, PGPASSWORD: password, PGDATABASE: database };
  }
}

/** A program to its end: { code, out, err }. */
export async function run(command, args, { env, input, timeout = 60_000 } = {}) {
  const child = spawn(command, args, { env });
  const out = [], err = [];
  child.stdout.on('data', d => out.push(d));
  child.stderr.on('data', d => err.push(d));
  child.stdin.on('error', () => { /* it ended before it had read all */ });
  child.stdin.end(input ?? '');
  const limit = setTimeout(() => child.kill('SIGKILL'), timeout);
  const [code, signal] = await once(child, 'close');
  clearTimeout(limit);
  return { code: signal ?? code, out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString() };
}
export const psql = (env, input, extra = []) => run('psql', ['-X', '-q', '-At', ...extra], { env, input });

/** The wire by hand: messages as [type, body] in, the same out. */
export class Wire {
  static async connect(port, host = '127.0.0.1') {
    const self = new Wire();
    self.socket = net.connect({ port, host, allowHalfOpen: true });
    self.buffer = Buffer.alloc(0);
    self.waiting = [];
    self.ended = false;
    self.socket.on('data', data => { self.buffer = Buffer.concat([self.buffer, data]); self.wake(); });
    self.socket.on('end', () => { self.ended = true; self.wake(); });
    self.socket.on('error', () => { self.ended = true; self.wake(); });
    self.socket.on('close', () => { self.ended = true; self.wake(); });
    await once(self.socket, 'connect');
    return self;
  }
  /** The same inside TLS, asked for by an SSLRequest. */
  static async secured(port, ca) {
    const self = await Wire.connect(port);
    self.raw(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]));
    assert.equal((await self.until(() => (self.buffer.length > 0 ? self.buffer : undefined))).toString(), 'S');
    const plain = self.socket;
    plain.removeAllListeners();
    self.buffer = Buffer.alloc(0);
    self.socket = tls.connect({ socket: plain, ca: fs.readFileSync(ca), host: '127.0.0.1', allowHalfOpen: true });
    self.socket.on('data', data => { self.buffer = Buffer.concat([self.buffer, data]); self.wake(); });
    for (const event of ['end', 'close', 'error']) self.socket.on(event, () => { self.ended = true; self.wake(); });
    await once(self.socket, 'secureConnect');
    return self;
  }
  wake() { for (const one of this.waiting.splice(0)) one(); }
  async until(look, ms = 20_000) {
    const timer = setTimeout(() => { this.late = true; this.wake(); }, ms);
    try {
      for (;;) {
        const found = look();
        if (found !== undefined) return found;
        if (this.late) throw new Error('the server was silent');
        await new Promise(resolve => this.waiting.push(resolve));
      }
    } finally { clearTimeout(timer); this.late = false; }
  }
  raw(bytes) { this.socket.write(bytes); }
  static message(type, ...parts) {
    const body = Buffer.concat(parts.map(part => typeof part === 'string' ? Buffer.from(part + '\0') : part));
    const head = Buffer.alloc(5);
    head.write(type);
    head.writeInt32BE(body.length + 4, 1);
    return Buffer.concat([head, body]);
  }
  send(...messages) { this.raw(Buffer.concat(messages)); }
  startup(parameters, version = 196608) {
    const body = Buffer.concat([...Object.entries(parameters).flat().map(text => Buffer.from(text + '\0')), Buffer.from([0])]);
    const head = Buffer.alloc(8);
    head.writeInt32BE(body.length + 8);
    head.writeInt32BE(version, 4);
    this.raw(Buffer.concat([head, body]));
  }
  /** The next message { type, body }, or null at the end. */
  next() {
    return this.until(() => {
      if (this.buffer.length >= 5) {
        const length = this.buffer.readInt32BE(1);
        if (this.buffer.length >= 1 + length) {
          const found = { type: String.fromCharCode(this.buffer[0]), body: this.buffer.subarray(5, 1 + length) };
          this.buffer = this.buffer.subarray(1 + length);
          return found;
        }
      }
      return this.ended ? null : undefined;
    });
  }
  /** Messages up to and with one of `type`, or all that came before the end. */
  async all(type = 'Z') {
    const out = [];
    for (;;) {
      const message = await this.next();
      if (!message) return out;
      out.push(message);
      if (message.type === type) return out;
    }
  }
  /** Through the gateway: as a user of a target. */
  login(user, target, token, more = {}) { return this.enter({ user: `${user}@${target}`, ...more }, token); }
  async enter(parameters, token) {
    this.startup(parameters);
    for (;;) {
      const message = await this.next();
      if (!message) throw new Error('closed in the login');
      if (message.type === 'E') throw new Error(errorOf(message).M);
      if (message.type !== 'R') continue;
      const kind = message.body.readInt32BE(0);
      if (kind === 3) this.send(Wire.message('p', token));
      else if (kind === 10) this.scram(token);
      else if (kind === 11) this.prove(message.body.subarray(4).toString());
      else if (kind === 12) assert.equal(message.body.subarray(4).toString(), `v=${this.signature}`);
      else if (kind === 0) break;
      else throw new Error(`authentication ${kind}`);
    }
    const rest = await this.all();
    const key = rest.find(m => m.type === 'K');
    this.key = key?.body;
    return this;
  }
  scram(password) {
    this.password = password;
    this.first = `n=,r=${crypto.randomBytes(18).toString('base64')}`;
    const text = Buffer.from('n,,' + this.first), length = Buffer.alloc(4);
    length.writeInt32BE(text.length);
    this.send(Wire.message('p', 'SCRAM-SHA-256', length, text));
  }
  prove(challenge) {
    const [, nonce, salt, count] = /^r=([^,]+),s=([^,]+),i=(\d+)$/.exec(challenge);
    const hmac = (key, text) => crypto.createHmac('sha256', key).update(text).digest();
    const salted = crypto.pbkdf2Sync(this.password, Buffer.from(salt, 'base64'), Number(count), 32, 'sha256');
    const client = hmac(salted, 'Client Key'), bare = `c=biws,r=${nonce}`, signed = `${this.first},${challenge},${bare}`;
    const signature = hmac(crypto.createHash('sha256').update(client).digest(), signed);
    this.signature = hmac(hmac(salted, 'Server Key'), signed).toString('base64');
    this.send(Wire.message('p', Buffer.from(`${bare},p=${client.map((byte, i) => byte ^ signature[i]).toString('base64')}`)));
  }
  close() { this.socket.destroy(); }
}
/** The fields of an ErrorResponse or NoticeResponse. */
export function errorOf(message) {
  return Object.fromEntries(message.body.toString().split('\0').filter(Boolean).map(text => [text[0], text.slice(1)]));
}
