// ./dev demo [--keep]: the whole road with the official MCP SDK's client and a real MCP server from npm
// (@modelcontextprotocol/server-everything), and with psql and a real PostgreSQL in a temporary cluster. Each step is named when it was seen; a step that did not happen ends it with 1.
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { pathToFileURL } from 'node:url';
import { Chromium } from '../lib/chromium.mjs';
import { Postgres, psql } from '../lib/postgres.mjs';
import { Gateway, PASSWORD, ROOT, SALLYPORT, VERIFY, folder, start, until } from '../lib/gateway.mjs';

const stay = process.argv.includes('--keep');
const colour = process.stdout.isTTY;
const bold = text => colour ? `\x1b[1m${text}\x1b[0m` : text;
const green = text => colour ? `\x1b[32m${text}\x1b[0m` : text;
let step = 0;
const say = (name, text) => console.log(`${bold(String(++step).padStart(2) + '.')} ${green(name.padEnd(9))} ${text}`);
function must(seen, what) {
  if (seen) return;
  console.error(`demo: this did not happen: ${what}`);
  process.exit(1);
}

const freePort = () => new Promise(resolve => {
  const probe = net.createServer().listen(0, '127.0.0.1', () => { const { port } = probe.address(); probe.close(() => resolve(port)); });
});
async function everything() {
  const port = await freePort();
  const child = start(process.execPath, [path.join(ROOT, 'tests/node_modules/@modelcontextprotocol/server-everything/dist/index.js'), 'streamableHttp'],
    { env: { ...process.env, PORT: String(port), DEMO_SECRET: 'not-for-agents' } });
  await until(() => /listening/.test(child.errors) || new Promise(resolve => {
    const socket = net.connect(port, '127.0.0.1', () => { socket.end(); resolve(true); }).on('error', () => resolve(false));
  }), 'the MCP server from npm', 30_000);
  return { url: `http://127.0.0.1:${port}/mcp`, child };
}

const POLICY = `
- { id: engineers, allow: { who: "group:engineers", target: { env: prod } } }
- { id: no-environment, block: { when: 'mcp.tool == "get-env"' } }
- { id: small-sums, block: { when: 'mcp.tool == "get-sum" && mcp.args.a > 1000' }, message: "Sums over 1000 are not for agents." }
- { id: long-runs, approve: { who: "group:engineers", when: 'mcp.tool == "trigger-long-running-operation"', by: "group:leads", quorum: 1, hold: 50s, valid: 30m } }
- { id: pii, mask: { target: { data: pii }, detect: [email, pan, iban, phone], with: partial } }
- { id: no-mass-delete, block: { when: '"delete" in sql.verbs && !sql.has_where' }, message: "DELETE needs a WHERE." }
- { id: schema-changes, approve: { who: "group:engineers", when: 'sql.class == "ddl"', by: "group:leads", hold: 50s, valid: 30m } }
- { id: ssn, mask: { target: { data: pii }, columns: [public.customers.ssn], with: partial } }
`;

const server = await everything();
const pg = await Postgres.start();
pg.sql(`create role app login password 'upstream-secret'; create database shop owner app`);
pg.sql(`set role app; create table customers (id int primary key, name text, ssn text, email text); create table orders (id int, customer_id int);
  insert into customers values (1, 'Jane Roe', '219-09-9999', 'jane.roe@example.com'), (2, 'John Doe', '457-55-5462', 'john@example.com'); insert into orders values (1, 1), (2, 2)`, 'shop');
const dir = folder('sallyport-demo-');
const labels = { env: 'prod', data: 'pii' };
const gateway = new Gateway({ dir, postgres: true, policy: POLICY, targets: { everything: { url: server.url, labels },
  shop: { labels, postgres: `host: 127.0.0.1, port: ${pg.port}, database: shop, user: app, tls: "off", credential: { password: { file: upstream.token } }` } } });
await gateway.start();
const ready = await gateway.get('/readyz');
must(ready.status === 200, 'the gateway is ready');
say('started', `gateway at ${gateway.url('everything')} in front of ${server.url}, TLS with its own certificate`);

const alice = await gateway.token('alice', ['--agent', 'demo-agent']);
const bob = await gateway.token('bob');
const who = JSON.parse((await gateway.run(['whoami', '--json'], { token: alice })).out);
must(who.display.includes('demo-agent'), 'the agent has a token');
say('identity', `token for ${who.display}; bob, of group leads, has one of his own`);

const client = await gateway.client('everything', alice);
const tools = (await client.listTools()).tools.map(tool => tool.name);
must(tools.includes('echo') && !tools.includes('get-env'), 'echo is listed and get-env is not');
say('listed', `the agent sees ${tools.length} tools, echo among them`);
const hidden = await client.callTool({ name: 'get-env', arguments: {} }).catch(error => error);
must(hidden.code === -32602 && !JSON.stringify(hidden).includes('not-for-agents'), 'a hidden tool is an unknown tool');
say('hidden', `get-env is not listed, and calling it says: ${hidden.message}`);

const masked = await client.callTool({ name: 'echo', arguments: { message: 'jane.roe@example.com paid with 4111 1111 1111 1111' } });
const text = masked.content[0].text;
must(!text.includes('jane.roe') && !text.includes('4111 1111') && text.includes('1111'), 'the answer is masked');
say('masked', `the answer reads: ${text}`);

const blocked = await client.callTool({ name: 'get-sum', arguments: { a: 5000, b: 1 } });
must(blocked.isError && blocked._meta['sallyport/decision'].rules.includes('small-sums'), 'the call is blocked');
say('blocked', blocked.content[0].text);
const small = await client.callTool({ name: 'get-sum', arguments: { a: 2, b: 3 } });
must(!small.isError && small.content[0].text.includes('5'), 'the session lives on');
say('allowed', `the session lives on: ${small.content[0].text}`);

const notices = [];
const running = client.callTool({ name: 'trigger-long-running-operation', arguments: { duration: 1, steps: 2 } }, undefined, { onprogress: p => notices.push(p.message ?? '') });
const request = await until(async () => JSON.parse((await gateway.run(['requests', '--json'], { token: bob })).out || '[]')[0], 'a held request');
await until(() => notices.some(message => message.includes('Held for approval')), 'the agent hears of the hold');
say('held', `${request.command.slice(0, 90)} waits for ${request.terms[0].group}, request ${request.id}; the agent hears of it as progress`);
const own = await gateway.run(['approve', request.id], { token: alice });
must(own.code === 5 || own.code === 3, 'nobody approves a request of their own');
say('refused', `alice's own approval: ${own.err.trim()}`);
const approved = await gateway.run(['approve', request.id, '--reason', 'looks right'], { token: bob });
must(approved.code === 0, `bob approves: ${approved.err}`);
const done = await running;
must(!done.isError, 'the approved call runs');
say('approved', `bob approved, the call ran: ${done.content[0].text.slice(0, 80)}`);
await client.close();

const env = gateway.libpq('alice', 'shop', await gateway.token('alice'));
const rows = await psql(env, 'select name, ssn, email from customers order by id;');
must(/^Jane Roe\|\*\*\*-\*\*-9999\|j\*+@\*+\.com$/m.test(rows.out), `psql shows masked rows: ${rows.out}${rows.err}`);
say('sql', `psql as alice@shop, over TLS: ${rows.out.split('\n')[0]}`);
const mass = await psql(env, 'delete from orders;\nselect count(*) from orders;');
must(/DELETE needs a WHERE/.test(mass.err) && mass.out.trim() === '2', 'a DELETE without WHERE is blocked and the session lives on');
say('blocked', `delete from orders: ${mass.err.split('\n')[0]}; the session lives on and counts ${mass.out.trim()} orders`);
const ddl = psql(env, 'alter table orders add column note text;\nselect count(note) from orders;');
const change = await until(async () => JSON.parse((await gateway.run(['requests', '--json'], { token: bob })).out || '[]')[0], 'a held schema change');
say('held', `${change.command.slice(0, 90)} waits for ${change.terms[0].group}; psql shows a NOTICE`);
must((await gateway.run(['approve', change.id, '--reason', 'reviewed'], { token: bob })).code === 0, 'bob approves the schema change');
const changed = await ddl;
must(/NOTICE: {2}held for approval/.test(changed.err) && changed.out.trim() === '0', `the approved change ran: ${changed.out}${changed.err}`);
say('approved', 'bob approved, the ALTER TABLE ran in the session that had waited');
const story = gateway.sessions().filter(one => one.target === 'shop');
must(story.length === 3, 'the SQL sessions are in the same record');
const told = JSON.stringify(story.flatMap(one => gateway.play(one.session)));
must(!told.includes('219-09-9999') && told.includes('***-**-9999') && told.includes('alter table orders'), 'statements and masked rows are in the record');
say('recorded', `one chain of evidence holds the agent's calls and ${story.reduce((sum, one) => sum + one.commands, 0)} SQL statements with their results`);

const session = gateway.sessions()[0];
const played = gateway.play(session.session);
const record = JSON.stringify(played);
must(played.some(entry => entry.kind === 'outcome' && entry.text?.includes('1111')), 'the session can be replayed');
must(!record.includes('jane.roe') && !record.includes('4111 1111 1111'), 'the record holds masked data only');
say('replayed', `session ${session.session.slice(0, 8)}: ${session.commands} commands, ${session.blocked} blocked, ${session.masked} values masked; the record holds masked data only`);
if (!stay) {
  console.log();
  console.log(gateway.cli(['sessions', 'show', session.session, '-d', gateway.evidence]).out);
}

const key = gateway.key();
if (stay) {
  console.log(`
${bold('The gateway stays up.')} Ctrl-C ends it and removes its folder.

  export SALLYPORT_URL=${gateway.adminUrl} SALLYPORT_CA=${gateway.ca}
  export SALLYPORT_TOKEN=${bob}     # bob, group leads
  agent's URL    ${gateway.url('everything')}
  agent's token  ${alice}
  psql           PGPASSWORD=${env.PGPASSWORD} PGSSLROOTCERT=${gateway.ca} psql 'host=127.0.0.1 port=${gateway.postgresPort} user=alice@shop sslmode=verify-full'
  configuration  ${gateway.config}   (users alice, bob, carol; password "${PASSWORD}")

  ${SALLYPORT} requests --watch
  ${SALLYPORT} sessions ls -c ${gateway.config}
  ${SALLYPORT} evidence ls -c ${gateway.config} --limit 20
  ${VERIFY} ${gateway.evidence} --key '${key}'
`);
  await new Promise(resolve => gateway.child.once('exit', resolve));
  process.exit(0);
}

must(await gateway.stop() === 0, 'the gateway stops in order');
const good = gateway.verify(gateway.evidence, key, ['--keys', path.join(gateway.evidence, 'keys')]);
must(good.code === 0, `the evidence is valid: ${good.out}${good.err}`);
say('valid', `sallyport-verify: ${good.report.entries} entries, ${good.report.opened_payloads} payloads, all as they were signed`);

// What an auditor gets: a pack, its report, a verifier that is a page, and a key that came another way.
const pack = path.join(dir, 'pack.zip'), report = path.join(dir, 'report.html'), shots = process.env.SALLYPORT_DEMO_SHOTS ?? dir;
const exported = gateway.cli(['evidence', 'export', '-c', gateway.config, '--payloads', 'opened', '-o', pack]);
must(exported.code === 0, `the pack is exported: ${exported.err}`);
const native = file => spawnSync(VERIFY, ['pack', file, '--key', key, '--report', report], { encoding: 'utf8' });
const judged = native(pack);
must(judged.status === 0 && fs.existsSync(report), `the pack is valid: ${judged.stdout}${judged.stderr}`);
say('pack', judged.stdout.trim().split('\n').at(-1));
const browser = await Chromium.start();
await browser.navigate(pathToFileURL(report).href);
const words = await browser.evaluate('document.body.innerText');
must(/small-sums/.test(words) && /bob/.test(words) && !/jane\.roe@/.test(words), 'the report says who, by which rule, approved by whom, and nothing that was masked');
await browser.screenshot(path.join(shots, 'report.png'));
say('report', `read in Chromium: who, what, which rule, approved by whom (${path.join(shots, 'report.png')})`);
const page = async file => {
  await browser.navigate(pathToFileURL(path.join(ROOT, 'build/page/sallyport-verify.html')).href);
  await browser.type('#key', key.trim());
  await browser.setFile('#file', file);
  await browser.until(`document.documentElement.dataset.state === 'done'`);
  return browser.evaluate(`document.getElementById('verdict').innerText`);
};
must(await page(pack) === 'VALID', 'the page finds the pack valid');
await browser.screenshot(path.join(shots, 'page.png'));
const forged = path.join(dir, 'forged.zip'), copy = fs.readFileSync(pack);
copy[copy.indexOf('small-sums')] ^= 1;
fs.writeFileSync(forged, copy);
const refused = native(forged);
must(refused.status === 1 && await page(forged) === 'INVALID', 'a forged copy is refused by both');
await browser.stop();
say('forged', `one byte changed in a copy: the page and the program both say INVALID (${/FAULT ([a-z-]+)/.exec(refused.stdout)[1]})`);

const segments = path.join(gateway.evidence, 'segments');
const first = path.join(segments, fs.readdirSync(segments).filter(name => name.endsWith('.seg')).sort()[0]);
const bytes = fs.readFileSync(first);
bytes[bytes.indexOf('small-sums')] ^= 1;  // the rule that blocked the call
fs.writeFileSync(first, bytes);
const bad = gateway.verify(gateway.evidence, key);
const named = bad.report?.faults.find(fault => fault.index !== undefined && fault.what.includes('get-sum'));
must(bad.code === 1 && named, `one changed byte is found and its entry named: ${bad.out}`);
say('invalid', `one byte changed: ${named.what}`);

server.child.kill();
await pg.down();
console.log(`\n${bold('Every step was seen.')} Nothing is left running. ./dev demo --keep stays up to go on by hand.`);
process.exit(0);
