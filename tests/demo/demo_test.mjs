// The demo shows every step it promises, and leaves nothing running.
import test from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync, execFileSync } from 'node:child_process';
import path from 'node:path';
import { ROOT } from '../lib/gateway.mjs';

test('the demo shows each step and ends with 0', () => {
  const run = spawnSync(process.execPath, [path.join(ROOT, 'tests/demo/demo.mjs')], { encoding: 'utf8', timeout: 120_000 });
  assert.equal(run.status, 0, run.stdout + run.stderr);
  for (const step of ['listed', 'hidden', 'masked', 'blocked', 'allowed', 'held', 'refused', 'approved', 'sql', 'recorded', 'replayed', 'valid', 'invalid'])
    assert.match(run.stdout, new RegExp(`^ *\\d+\\. ${step} `, 'm'), `step ${step}`);
  assert.doesNotMatch(run.stdout, /\x1b\[/, 'no colour where there is no terminal');
  const left = execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' }).split('\n').filter(args => args.includes('sallyport-demo-'));
  assert.deepEqual(left, []);
});
