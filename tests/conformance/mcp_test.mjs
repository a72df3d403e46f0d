// The official MCP suite sees no difference between the server and the gateway in front of it, in either era.
import test from 'node:test';
import assert from 'node:assert/strict';
import { conformance } from './mcp.mjs';

for (const [revision, required, all] of [['2025-11-25', 30, 33], ['2026-07-28', 37, 49]]) {
  test(`the conformance suite of ${revision} passes through the gateway as it does directly`, { timeout: 180_000 }, async () => {
    const { direct, through, stopped, evidence, errors } = await conformance(revision);
    for (const [where, run] of [['directly', direct], ['through the gateway', through]]) {
      assert.deepEqual(run.required, [required, required], `${where}: ${run.why || run.out} ${errors}`);
      assert.deepEqual([run.passed, run.total], [all, all], `${where}, with what is not scored: ${run.why} ${errors}`);
    }
    assert.equal(through.checks, direct.checks, 'every check within the scenarios');
    assert.equal(stopped, 0, 'the gateway stops in order');
    assert.equal(evidence.code, 0, evidence.out);
  });
}
