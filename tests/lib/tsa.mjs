// A time-stamping authority (RFC 3161): `openssl ts -reply` behind HTTP, with a certificate of its own.
import { execFile, spawnSync } from 'node:child_process';
import { promisify } from 'node:util';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { once } from 'node:events';

const run = promisify(execFile);

export class Authority {
  constructor(dir, name = 'tsa') {
    this.dir = path.join(dir, name);
    fs.mkdirSync(this.dir);
    const openssl = (...args) => { const done = spawnSync('openssl', args, { encoding: 'utf8', cwd: this.dir }); if (done.status !== 0) throw new Error(done.stderr); };
    openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'key.pem', '-out', 'cert.pem', '-days', '30', '-subj', `/CN=${name}`, '-addext', 'extendedKeyUsage=critical,timeStamping');
    fs.writeFileSync(path.join(this.dir, 'serial'), '01\n');
    fs.writeFileSync(path.join(this.dir, 'ts.cnf'), `[tsa]\ndefault_tsa = t\n[t]\nserial = ${this.dir}/serial\nsigner_cert = ${this.dir}/cert.pem\nsigner_key = ${this.dir}/key.pem\nsigner_digest = sha256\n` +
      'default_policy = 1.2.3.4.1\ndigests = sha256\naccuracy = secs:1\nordering = no\ntsa_name = yes\ness_cert_id_chain = no\n');
    this.ca = path.join(this.dir, 'cert.pem');
    this.requests = 0;
  }
  /** @param answer what to do with each answer before it is sent */
  async start(answer = bytes => bytes) {
    this.server = http.createServer(async (request, response) => {
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      const n = ++this.requests, query = path.join(this.dir, `${n}.tsq`), reply = path.join(this.dir, `${n}.tsr`);
      fs.writeFileSync(query, Buffer.concat(chunks));
      await run('openssl', ['ts', '-reply', '-config', 'ts.cnf', '-queryfile', query, '-out', reply], { cwd: this.dir });
      response.writeHead(200, { 'Content-Type': 'application/timestamp-reply' }).end(answer(fs.readFileSync(reply), n));
    }).listen(this.port ?? 0, '127.0.0.1');
    await once(this.server, 'listening');
    this.port = this.server.address().port;
    this.url = `http://127.0.0.1:${this.port}/`;
    return this;
  }
  async stop() {
    this.server.close();
    this.server.closeAllConnections();
    await once(this.server, 'close');
  }
}
