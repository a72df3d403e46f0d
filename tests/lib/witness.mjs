// A witness as another department would run it.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
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
export const witnessesYaml = (witnesses, more = '') => `witnesses: { use: [${witnesses.map(one => `{ url: "${one.url}", key: "${one.key}" }`).join(', ')}], every: 100ms, timeout: 1s${more} }\n`;
