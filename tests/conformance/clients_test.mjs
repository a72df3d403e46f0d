// The reference clients of both eras behave through the gateway as the suite wants: what a target sees of them is still theirs. Here
// are the scenarios that look at more than a call; ./dev conformance clients runs all.
import test from 'node:test';
import assert from 'node:assert/strict';
import { each, scenario, scenarios } from './clients.mjs';

const LOOKED_AT = {
  '2025-11-25': ['elicitation-sep1034-client-defaults', 'sse-retry', 'auth/client-credentials-basic', 'auth/client-credentials-jwt'],
  '2026-07-28': ['request-metadata', 'http-standard-headers', 'http-custom-headers', 'http-invalid-tool-headers', 'sep-2322-client-request-state', 'auth/client-credentials-basic', 'auth/client-credentials-jwt'],
};
for (const [revision, names] of Object.entries(LOOKED_AT)) {
  test(`client scenarios of ${revision} pass through the gateway`, { timeout: 120_000 }, async () => {
    const known = (await scenarios(revision)).map(one => one.name);
    for (const [name, run] of await each(names, async name => [name, await scenario(revision, name, 'through')])) {
      assert.ok(known.includes(name), name);
      assert.ok(run.good, `${name}: ${run.out.slice(-4000)}`);
    }
  });
}
