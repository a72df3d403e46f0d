// `./dev bench evidence [--json] [--quick] [--dir DIRECTORY] [--export GIGABYTES]`: the log in its own process; the directory should lie on
// the disk that will hold the evidence. Then the verifier's page in Chromium, beside the program in the same run. With --export a log of
// that size is made, exported and verified, with the memory each takes.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { Chromium } from '../tests/lib/chromium.mjs';
import { ROOT, SALLYPORT, VERIFY } from '../tests/lib/gateway.mjs';

const args = process.argv.slice(2), json = args.includes('--json'), quick = args.includes('--quick');
const option = name => { const at = args.indexOf(name); return at < 0 ? undefined : args[at + 1]; };
const passed = args.filter((arg, i) => arg !== '--export' && args[i - 1] !== '--export');
const { status } = spawnSync(path.join(ROOT, 'build/release/bench_evidence'), passed, { stdio: 'inherit' });
if (status !== 0) process.exit(status ?? 1);

const median = values => [...values].sort((a, b) => a - b)[values.length >> 1];
function print(name, metric, values, unit, peer, ratio, goal, met) {
  const value = median(values);
  if (json) console.log(JSON.stringify({ case: name, metric, value, unit, peer, ratio, goal, met, rounds: values.length, min: Math.min(...values), max: Math.max(...values) }));
  else console.log(`${name.padEnd(22)} ${metric.padEnd(22)} ${value.toFixed(1).padStart(12)} ${unit.padEnd(9)} [${Math.min(...values).toFixed(1)}, ${Math.max(...values).toFixed(1)}]  ratio ${ratio.toFixed(2)}, goal ${goal}: ${met ? 'met' : 'not met'}`);
}

const browser = await Chromium.start();
await browser.navigate(pathToFileURL(path.join(ROOT, 'build/page/sallyport-verify.html')).href);
const rates = [];
for (let i = 0; i < (quick ? 3 : 7); i++) {
  rates.push(await browser.evaluate(`(async () => { const began = performance.now(); const { answer } = await work({ bench: 500000 }); await answer; return 500000 / (performance.now() - began) * 1000; })()`));
}
await browser.stop();
print('evidence.page', 'leaves into the tree', rates, '1/s', '', median(rates) / 500_000, 1, median(rates) >= 500_000);

if (option('--export')) {
  const gigabytes = Number(option('--export')), dir = fs.mkdtempSync(path.join(option('--dir') ?? os.tmpdir(), 'sallyport-export-'));
  // GNU time is not everywhere; the kernel's own account of a child that ended is.
  const timed = (command, ...rest) => {
    const script = 'import resource,subprocess,sys,time\nb=time.time()\nc=subprocess.call(sys.argv[1:],stdout=subprocess.DEVNULL)\nu=resource.getrusage(resource.RUSAGE_CHILDREN)\nprint(c,time.time()-b,u.ru_utime+u.ru_stime,u.ru_maxrss)';
    const [code, wall, cpu, rss] = spawnSync('python3', ['-c', script, command, ...rest], { encoding: 'utf8', maxBuffer: 1 << 26 }).stdout.trim().split(' ').map(Number);
    if (code !== 0) throw new Error(`${command} ${rest.join(' ')} ended with ${code}`);
    return { wall, cpu, megabytes: rss / 1024 };
  };
  const made = spawnSync(path.join(ROOT, 'build/release/bench_evidence'), ['--make', String(gigabytes), '--dir', dir], { encoding: 'utf8' });
  if (made.status !== 0) throw new Error(made.stderr);
  const key = made.stdout.trim(), pack = path.join(dir, 'pack.zip');
  const exported = timed(SALLYPORT, 'evidence', 'export', '-d', path.join(dir, 'log'), '-o', pack);
  const pieces = { export: exported, 'verify the pack': timed(VERIFY, 'pack', pack, '--key', key, '--quiet'), 'verify the log': timed(VERIFY, path.join(dir, 'log'), '--key', key, '--quiet') };
  for (const [what, { wall, cpu, megabytes }] of Object.entries(pieces)) {
    print(`evidence.${gigabytes}GB`, `${what}, wall`, [wall], 's', '', cpu / wall, 0, true);
    print(`evidence.${gigabytes}GB`, `${what}, memory`, [megabytes], 'MiB', '', megabytes / 512, 1, megabytes <= 512);
  }
  fs.rmSync(dir, { recursive: true });
}
