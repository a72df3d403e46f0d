// A notary of its own, as a service manager would run it.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { SALLYPORT, line, start } from './gateway.mjs';
import { once } from 'node:events';

export class Notary {
  /** @param options.key [args]: where the key is; default: a new one in a file */
  constructor(dir, options = {}) {
    Object.assign(this, { dir, origin: 'test/evidence', socket: path.join(dir, 'notary.sock'), state: path.join(dir, 'head'), more: [], ...options });
    if (!this.key) {
      const file = path.join(dir, 'notary.key');
      const made = spawnSync(SALLYPORT, ['evidence', 'keygen', this.origin, '-o', file], { encoding: 'utf8' });
      if (made.status !== 0) throw new Error(made.stderr);
      this.key = ['--key', file];
    }
  }
  async start() {
    this.child = start(SALLYPORT, ['notary', '--origin', this.origin, '--state', this.state, '--socket', this.socket, ...this.key, ...this.more], { env: { ...process.env, ...this.env } });
    const told = await line(this.child, text => { try { return JSON.parse(text); } catch { return null; } });
    this.verifier = told.key;
    this.size = told.size;
    return this;
  }
  async stop(signal = 'SIGTERM') {
    const ended = once(this.child, 'exit');
    this.child.kill(signal);
    return (await ended)[0];
  }
  get yaml() { return `notary: { socket: ${this.socket}, key: "${this.verifier}" }\n`; }
}

/** An Ed25519 key in a SoftHSM2 token of its own. */
export function softToken(dir) {
  fs.mkdirSync(path.join(dir, 'tokens'));
  const env = { SOFTHSM2_CONF: path.join(dir, 'softhsm2.conf') };
  fs.writeFileSync(env.SOFTHSM2_CONF, `directories.tokendir = ${dir}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n`);
  const run = (command, ...args) => {
    const done = spawnSync(command, args, { encoding: 'utf8', env: { ...process.env, ...env } });
    if (done.status !== 0) throw new Error(`${command} ${args.join(' ')}: ${done.stderr}${done.error ?? ''}`);
  };
  run('softhsm2-util', '--init-token', '--free', '--label', 'evidence', '--pin', '1234', '--so-pin', '5678');
  run('openssl', 'genpkey', '-algorithm', 'ed25519', '-out', `${dir}/key.pem`);
  run('softhsm2-util', '--import', `${dir}/key.pem`, '--token', 'evidence', '--label', 'log', '--id', '01', '--pin', '1234');
  fs.rmSync(`${dir}/key.pem`);
  fs.writeFileSync(path.join(dir, 'pin'), '1234\n');
  const module = ['/usr/lib/softhsm/libsofthsm2.so', '/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so'].find(file => fs.existsSync(file));
  return { env, key: ['--pkcs11', module, '--token', 'evidence', '--label', 'log', '--pin-file', path.join(dir, 'pin')] };
}
