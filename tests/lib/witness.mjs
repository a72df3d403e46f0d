// A witness as another department would run it.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { once } from 'node:events';
import { SALLYPORT, line, start } from './gateway.mjs';

export class Witness {
  constructor(dir, name, logs) {
    Object.assign(this, { dir, name, logs, listen: '127.0.0.1:0', state: path.join(dir, name + '.state'), keyFile: path.join(dir, name + '.key') });
    if (!fs.existsSync(this.keyFile)) {
      const made = spawnSync(SALLYPORT, ['evidence', 'keygen', name, '-o', this.keyFile], { encoding: 'utf8' });
      if (made.status !== 0) throw new Error(made.stderr);
    }
  }
  async start() {
    this.child = start(SALLYPORT, ['witness', '--listen', this.listen, '--state', this.state, '--key', this.keyFile, ...this.logs.flatMap(key => ['--log', key])]);
    const told = await line(this.child, text => { try { return JSON.parse(text); } catch { return null; } });
    [this.url, this.key, this.listen] = [told.url, told.key, told.url.slice(7)];
    return this;
  }
  async stop(signal = 'SIGTERM') {
    const ended = once(this.child, 'exit');
    this.child.kill(signal);
    return (await ended)[0];
  }
}
/** Stands in front of a witness, as one that lies would: hands everything on until `lie` is an answer of its own, [status, text]. */
export class Liar {
  constructor(witness) { Object.assign(this, { witness, key: witness.key, lie: null }); }
  async start() {
    this.server = http.createServer(async (request, response) => {
      const body = Buffer.concat(await request.toArray());
      if (this.lie) return response.writeHead(this.lie[0]).end(this.lie[1]);
      const answer = await fetch(this.witness.url + request.url, { method: request.method, body: request.method === 'POST' ? body : undefined });
      response.writeHead(answer.status, { 'Content-Type': answer.headers.get('content-type') }).end(Buffer.from(await answer.arrayBuffer()));
    });
    await once(this.server.listen(0, '127.0.0.1'), 'listening');
    this.url = `http://127.0.0.1:${this.server.address().port}`;
    return this;
  }
  close() { this.server.closeAllConnections(); this.server.close(); }
}
export const witnessesYaml = (witnesses, more = '') => `witnesses: { use: [${witnesses.map(one => `{ url: "${one.url}", key: "${one.key}" }`).join(', ')}], every: 100ms, timeout: 1s${more} }\n`;
