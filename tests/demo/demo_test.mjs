// The demo shows every step it promises, and leaves nothing running.
import test from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync, execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { ROOT } from '../lib/gateway.mjs';

test('the demo shows each step and ends with 0', () => {
  // The pictures stay beside the logs of the tests.
  const shots = path.join(ROOT, 'build/demo');
  fs.rmSync(shots, { recursive: true, force: true });
  fs.mkdirSync(shots, { recursive: true });
  const run = spawnSync(process.execPath, [path.join(ROOT, 'tests/demo/demo.mjs')], { encoding: 'utf8', timeout: 120_000, env: { ...process.env, SALLYPORT_DEMO_SHOTS: shots } });
  assert.equal(run.status, 0, run.stdout + run.stderr);
  for (const step of ['listed', 'hidden', 'masked', 'blocked', 'allowed', 'held', 'refused', 'approved', 'sql', 'recorded', 'replayed', 'valid', 'pack', 'report', 'forged', 'invalid'])
    assert.match(run.stdout, new RegExp(`^ *\\d+\\. ${step} `, 'm'), `step ${step}`);
  for (const shot of ['report.png', 'page.png']) assert.ok(fs.statSync(path.join(shots, shot)).size > 5000, shot);
  assert.doesNotMatch(run.stdout, /\x1b\[/, 'no colour where there is no terminal');
  const left = execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' }).split('\n').filter(args => args.includes('sallyport-demo-'));
  assert.deepEqual(left, []);
});
