// The ticket system behind a gateway with the rules that most flow tests use.
import { Gateway, until } from './gateway.mjs';
import { startTickets } from '../fixtures/tickets_server.mjs';

export const POLICY = `
- { id: engineers, allow: { who: "group:engineers", target: { env: prod }, when: 'mcp.tool != "delete_everything" && mcp.prompt != "attack" && !mcp.resource.startsWith("secrets:")' } }
- { id: no-shell, block: { target: { env: prod }, when: 'mcp.tool == "run_command"' }, message: "Shell tools are off." }
- { id: small, block: { when: 'mcp.tool == "big" && mcp.args.bytes > 5000000' } }
- { id: writes, approve: { who: "group:engineers", target: { env: prod }, when: 'mcp.tool.startsWith("write_")', by: "group:leads", quorum: 1, hold: 20s, valid: 30m } }
- { id: pii, mask: { target: { data: pii }, detect: [email, pan, iban, phone], fields: ["$.customer.phone", "$.tickets[*].customer.phone"], with: partial } }
`;

export async function ticketsBehind(options = {}) {
  const tickets = options.tickets ?? await startTickets(options.upstream);
  const gateway = new Gateway({ tls: false, policy: POLICY, targets: { tickets: { url: tickets.url, labels: { env: 'prod', data: 'pii' }, extra: options.extra } }, ...options });
  await gateway.start();
  return { tickets, gateway, end: async () => { const code = await gateway.stop(); await tickets.close(); return code; } };
}

/** The one request that waits, as `by` sees it. */
export const pending = (gateway, by) => until(async () => {
  const { out } = await gateway.run(['requests', '--json'], { token: by });
  return out && JSON.parse(out)[0];
}, 'a request that waits for approval');

export const approve = (gateway, by, id, reason = 'fine') => gateway.run(['approve', id, '--reason', reason], { token: by });
export const deny = (gateway, by, id, reason = 'no') => gateway.run(['deny', id, '--reason', reason], { token: by });
