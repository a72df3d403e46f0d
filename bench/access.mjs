// `./dev bench access [--json] [--quick]`: what a command's decision costs without any grant, and with 10,000 grants and 1,000 pending
// requests in the same run.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { ROOT } from '../tests/lib/gateway.mjs';

const { status } = spawnSync(path.join(ROOT, 'build/release/bench_access'), process.argv.slice(2), { stdio: 'inherit' });
process.exit(status ?? 1);
