// The official MCP suite sees no difference between the server and the gateway in front of it.
import test from 'node:test';
import assert from 'node:assert/strict';
import { conformance } from './mcp.mjs';

test('the conformance suite of 2025-11-25 passes through the gateway as it does directly', { timeout: 180_000 }, async () => {
  const { direct, through, stopped, evidence, errors } = await conformance('2025-11-25');
  assert.deepEqual([direct.passed, direct.total], [33, 33], direct.out);
  assert.deepEqual([through.passed, through.total], [33, 33], through.out + errors);
  assert.equal(through.checks, direct.checks, 'every check within the scenarios');
  assert.equal(stopped, 0, 'the gateway stops in order');
  assert.equal(evidence.code, 0, evidence.out);
});
