// ./dev conformance mcp [--json]: the official MCP suite of both eras against the fixture servers, directly, through the gateway
// with a policy that allows everything, and through the gateway to a server of the other era. Offline after set-up. Ends with
// 1 when direct is not complete, the gateway costs a check, or a bridge loses more than the scenarios named here.
import { serverSuite, throughGateway } from '../lib/conformance.mjs';
import { startConformanceServer } from '../fixtures/conformance_server.mjs';
import { startModernConformanceServer } from '../fixtures/conformance_server_modern.mjs';

export const REVISIONS = {
  '2025-11-25': { start: () => startConformanceServer({}), other: () => startModernConformanceServer({ era: 'modern' }) },
  '2026-07-28': { start: () => startModernConformanceServer({ era: 'modern' }), other: () => startModernConformanceServer({ era: 'legacy' }) },
};

const NO_TASKS = 'tasks are an extension of 2026-07-28; a server of an earlier revision has none that a gateway could offer';
/** What a client of one era cannot get from a server of the other, by revision of the client. */
export const BRIDGED_LOSSES = {
  '2025-11-25': {},
  '2026-07-28': {
    'server-stateless': 'two checks: a server of an earlier revision runs a tool whose question the client cannot answer and says so in its result, not with -32021 before',
    'input-required-result-basic-elicitation': 'the suite looks for the key user_name; requests of earlier revisions have no key, so the gateway makes one up',
    'input-required-result-multiple-input-requests': 'a server of an earlier revision asks one thing after the other, so each is a round of its own',
    ...Object.fromEntries(['lifecycle', 'capability-negotiation', 'wire-fields', 'request-state-removal', 'mrtr-input', 'request-headers', 'dispatch-and-envelope', 'required-task-error', 'mrtr-composition']
      .map(name => [`tasks-${name}`, NO_TASKS])),
  },
};

/** The same server directly and through the gateway. */
export async function conformance(revision) {
  const upstream = await REVISIONS[revision].start();
  const direct = await serverSuite(upstream.url, revision);
  const { run, ...gateway } = await throughGateway(upstream.url, revision);
  await upstream.close();
  return { revision, direct, through: run, ...gateway };
}

/** The suite of one era through the gateway to a server that speaks only the other. */
export async function bridged(revision) {
  const upstream = await REVISIONS[revision].other();
  const { run, ...gateway } = await throughGateway(upstream.url, revision);
  await upstream.close();
  return { revision, run, ...gateway };
}

const complete = ({ direct, through, stopped, evidence }) => direct.total > 0 && direct.passed === direct.total &&
  through.passed === direct.passed && through.total === direct.total && through.checks === direct.checks && stopped === 0 && evidence.code === 0;
const bridges = ({ revision, run, stopped, evidence }) => run.total > 0 && run.failed.sort().join() === Object.keys(BRIDGED_LOSSES[revision]).sort().join() && stopped === 0 && evidence.code === 0;

if (import.meta.url === `file://${process.argv[1]}`) {
  let good = true;
  for (const revision of Object.keys(REVISIONS)) {
    const same = await conformance(revision), other = await bridged(revision);
    good &&= complete(same) && bridges(other);
    const { direct, through, evidence } = same;
    const numbers = run => [run.passed, run.total];
    if (process.argv.includes('--json')) {
      console.log(JSON.stringify({ revision, direct: numbers(direct), through: numbers(through), required: { direct: direct.required, through: through.required }, bridged: numbers(other.run) }));
      continue;
    }
    console.log(`revision ${revision}: ${direct.passed}/${direct.total} scenarios (${direct.checks} checks, ${direct.required.join('/')} of the required scenarios) directly, ` +
      `${through.passed}/${through.total} (${through.checks}, ${through.required.join('/')}) through the gateway; evidence ${evidence.report?.verdict}`);
    console.log(`  to a server of the other era: ${numbers(other.run).join('/')}`);
    for (const name of other.run.failed) console.log(`    ${name}: ${BRIDGED_LOSSES[revision][name] ?? 'not expected'}`);
    for (const [where, run] of [['directly', direct], ['through', through]]) if (run.failed.length) console.log(`  failed ${where}: ${run.failed.join(', ')}`);
    if (!complete(same)) console.log(direct.why, through.why, same.errors, evidence.out);
    if (!bridges(other)) console.log(other.run.why, other.errors, other.evidence.out);
  }
  process.exit(good ? 0 : 1);
}
