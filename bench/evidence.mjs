// `./dev bench evidence [--json] [--quick] [--dir DIRECTORY]`: the log in its own process; the directory should lie on the
// disk that will hold the evidence.
import { spawnSync } from 'node:child_process';
const { status } = spawnSync('build/release/bench_evidence', process.argv.slice(2), { stdio: 'inherit' });
process.exit(status ?? 1);
