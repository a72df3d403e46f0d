// A client of one era and a server of the other: the suite passes through the gateway but for what has no counterpart.
import test from 'node:test';
import assert from 'node:assert/strict';
import { BRIDGED_LOSSES, bridged } from './mcp.mjs';

for (const [revision, all] of [['2025-11-25', 32], ['2026-07-28', 49]]) {
  test(`the suite of ${revision} passes through the gateway to a server of the other era`, { timeout: 180_000 }, async () => {
    const { run, stopped, evidence, errors } = await bridged(revision);
    assert.deepEqual(run.failed.sort(), Object.keys(BRIDGED_LOSSES[revision]).sort(), `${run.why || run.out} ${errors}`);
    assert.equal(run.total, all);
    assert.equal(stopped, 0, 'the gateway stops in order');
    assert.equal(evidence.code, 0, evidence.out);
  });
}
