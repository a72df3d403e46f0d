// ./dev conformance clients [--json] [NAME…]: the suite's client scenarios with the reference client (client.mjs), directly and through a
// gateway that is started for each. One line a scenario; ends with 1 when the gateway costs a check that is not explained here.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { ROOT, folder } from '../lib/gateway.mjs';
import { SUITE } from '../lib/conformance.mjs';

export const REVISIONS = ['2025-11-25', '2026-07-28'];
/** What the gateway does not show a client's behaviour of, and why. */
export const NOT_THROUGH = name => {
  // There the gateway is the client of the target's authorization server, with the client that the scenario hands out.
  if (!name.startsWith('auth/') || name.startsWith('auth/client-credentials-')) return undefined;
  if (name === 'auth/enterprise-managed-authorization') return 'it exchanges an identity token of the client, which ends at the gateway';
  if (['auth/dpop', 'auth/dpop-nonce', 'auth/wif-jwt-bearer'].includes(name)) return 'neither the reference client nor the gateway has it';
  return 'a person connects an account in a browser at the gateway, and the client gets no token of the target';
};

async function run(args) {
  const child = spawn(process.execPath, [SUITE, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  child.stdout.on('data', d => { out += d; });
  child.stderr.on('data', d => { out += d; });
  await once(child, 'close');
  return out;
}

/** The client scenarios of a revision: those it requires and those that are run beside them. */
export async function scenarios(revision) {
  const [required, beside] = (await run(['list', '--requirements', revision])).split('Run and reported');
  const names = (text, form) => [...text.matchAll(form)].map(found => found[1]);
  return [...names(required.split('Client scenarios')[1], /^\s+- (\S+)$/gm).map(name => ({ name, required: true })), ...names(beside, /- (\S+) \[client\]/g).map(name => ({ name, required: false }))];
}

/** [checks that passed, all of them]; what the suite said when not all did. */
export async function scenario(revision, name, where) {
  const client = [process.execPath, path.join(ROOT, 'tests/conformance/client.mjs'), where].join(' ');
  const out = await run(['client', '--command', client, '--scenario', name, '--spec-version', revision, '--force', '--timeout', '60000', '-o', folder()]);
  const [, passed, all] = /^Passed: (\d+)\/(\d+)/m.exec(out) ?? [0, 0, 0];
  return { passed: Number(passed), all: Number(all), good: passed !== 0 && passed === all && /OVERALL: PASSED/.test(out), out };
}

/** `work` for each, a few at a time, results in order. */
export async function each(list, work, atOnce = 2) {
  const results = [], rest = list.entries();
  await Promise.all(Array.from({ length: atOnce }, async () => { for (const [n, one] of rest) results[n] = await work(one); }));
  return results;
}

if (import.meta.url === `file://${process.argv[1]}`) {
  const wanted = process.argv.slice(2).filter(word => !word.startsWith('--'));
  let good = true;
  for (const revision of REVISIONS) {
    const list = (await scenarios(revision)).filter(one => !wanted.length || wanted.includes(one.name));
    for (const row of await each(list, async one => ({ ...one, direct: await scenario(revision, one.name, 'direct'), through: NOT_THROUGH(one.name) ? null : await scenario(revision, one.name, 'through') }))) {
      const { name, required, direct, through } = row;
      good &&= (direct.good || !required) && (!through || through.good);
      const numbers = one => one && [one.passed, one.all];
      if (process.argv.includes('--json')) console.log(JSON.stringify({ revision, scenario: name, required, direct: numbers(direct), through: numbers(through) }));
      else console.log(`${revision} ${name.padEnd(40)} ${required ? 'required' : '        '} direct ${numbers(direct).join('/').padEnd(6)} through ${through ? numbers(through).join('/') : NOT_THROUGH(name)}`);
      if (through && !through.good) console.error(through.out.slice(-4000));
    }
  }
  process.exit(good ? 0 : 1);
}
