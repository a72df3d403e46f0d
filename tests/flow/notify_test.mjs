// Approvers hear of requests: signed webhooks, Slack and Teams, mail; again when the receiver was away, and never twice as something new.
import test, { before, after } from 'node:test';
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import http, { createServer } from 'node:http';
import fs from 'node:fs';
import path from 'node:path';
import { SMTPServer } from 'smtp-server';
import { PASSWORD, until } from '../lib/gateway.mjs';
import { POLICY, ticketsBehind, pending } from '../lib/tickets.mjs';

const WEBHOOK_SECRET = 'shared with the receiver';
let hooks, smtp, served, gateway, alice, bob;
const got = [], mails = [];
let broken = 0;
before(async () => {
  hooks = createServer((request, response) => {
    let body = '';
    request.on('data', d => { body += d; });
    request.on('end', () => {
      if (request.url === '/generic' && broken > 0) { --broken; return response.writeHead(503).end(); }
      if (request.url === '/refuses') return response.writeHead(410).end();
      got.push({ url: request.url, headers: request.headers, text: body, body: JSON.parse(body) });
      response.writeHead(request.url === '/slack' ? 200 : 202).end('ok');
    });
  });
  await new Promise(resolve => hooks.listen(0, '127.0.0.1', resolve));
  smtp = new SMTPServer({ authOptional: true, disabledCommands: ['STARTTLS'], onData(stream, session, done) {
    let text = '';
    stream.on('data', d => { text += d; });
    stream.on('end', () => { mails.push({ from: session.envelope.mailFrom.address, to: session.envelope.rcptTo.map(one => one.address), text }); done(); });
  } });
  await new Promise(resolve => smtp.listen(0, '127.0.0.1', resolve));
  const at = `http://127.0.0.1:${hooks.address().port}`;
  served = await ticketsBehind({
    policy: POLICY,
    users: { alice: ['engineers'], bob: ['leads'], carol: ['leads'], dave: ['others'] },
    notify: `
- { name: generic, webhook: { url: "${at}/generic", secret: { file: webhook.secret } }, events: [requested, granted, denied, expired] }
- { name: slack, webhook: { url: { file: slack.url }, form: slack } }
- { name: teams, webhook: { url: "${at}/teams", form: teams } }
- { name: others, webhook: { url: "${at}/others" }, groups: [security] }
- { name: refuses, webhook: { url: "${at}/refuses" } }
- { name: mail, mail: { server: "smtp://127.0.0.1:${smtp.server.address().port}", from: gw@example.com, to: [leads@example.com, second@example.com], tls: "off" } }`,
    files: { 'webhook.secret': WEBHOOK_SECRET, 'slack.url': `${at}/slack` },
  });
  gateway = served.gateway;
  alice = await gateway.token('alice');
  bob = await gateway.token('bob');
});
after(async () => {
  assert.equal(await served.end(), 0);
  const { code, out } = gateway.verify();
  assert.equal(code, 0, out);
  hooks.close();
  hooks.closeAllConnections();
  await new Promise(resolve => smtp.close(resolve));
});

/** A held call; `answer` ends it. */
async function held(text) {
  const client = await gateway.client('tickets', alice);
  const call = client.callTool({ name: 'write_note', arguments: { text } }).catch(error => error);
  const request = await pending(gateway, bob);
  return { request, call, client };
}
const heard = (url, id, event) => until(() => got.find(one => one.url === url && one.text.includes(id) && (!event || one.body.type?.endsWith(event))), `${url} hears of ${id}`);

test('each channel that wants it hears of a request, in its own form, and the link opens a page that answers nothing', async () => {
  const { request, call, client } = await held('pay alice@example.com');
  const generic = await heard('/generic', request.id, 'requested');
  assert.equal(generic.body.request, request.id);
  assert.equal(generic.body.who, 'alice');
  assert.deepEqual(generic.body.groups, ['leads']);
  assert.ok(!generic.text.includes('alice@example.com'), 'values are masked');
  assert.match(generic.headers['webhook-id'], /^msg_/);
  const signed = createHmac('sha256', WEBHOOK_SECRET).update(`${generic.headers['webhook-id']}.${generic.headers['webhook-timestamp']}.${generic.text}`).digest('base64');
  assert.equal(generic.headers['webhook-signature'], `v1,${signed}`);
  const slack = await heard('/slack', request.id);
  assert.equal(slack.body.blocks[2].elements[0].url, `${gateway.adminUrl}/requests/${request.id}`);
  const teams = await heard('/teams', request.id);
  assert.equal(teams.body.attachments[0].content.type, 'AdaptiveCard');
  const mail = await until(() => mails.find(one => one.text.includes(request.id)), 'a mail');
  assert.deepEqual(mail.to, ['leads@example.com', 'second@example.com']);
  assert.match(mail.text, /^Auto-Submitted: auto-generated/m);
  assert.ok(!got.some(one => one.url === '/others'), 'not for that group to decide');
  const page = await gateway.get(`/requests/${request.id}`);
  assert.equal(page.status, 200);
  assert.ok(!/<form|<script/.test(page.body));
  for (const method of ['POST', 'PUT']) assert.equal((await gateway.http(method, slack.body.blocks[2].elements[0].url)).status, 405);
  assert.equal((await gateway.run(['deny', request.id, '--reason', 'no'], { token: bob })).code, 0);
  const denied = await heard('/generic', request.id, 'denied');
  assert.equal(denied.body.type, 'sallyport.request.denied');
  await call;
  await client.close();
  assert.equal(got.filter(one => one.url === '/slack' && one.text.includes(request.id)).length, 1, 'slack wants requests only');
});

test('a receiver that is away hears it later, once, under the same id; what is refused for good is given up on record', async () => {
  broken = 2;
  const { request, call, client } = await held('again');
  const heardLate = await until(() => got.find(one => one.url === '/generic' && one.body.request === request.id), 'heard after two failures', 20_000);
  assert.ok(heardLate.headers['webhook-id']);
  assert.equal(got.filter(one => one.url === '/generic' && one.body.request === request.id && one.body.type.endsWith('requested')).length, 1);
  await gateway.run(['deny', request.id, '--reason', 'no'], { token: bob });
  await call;
  await client.close();
  const given = await until(() => gateway.entries('admin.action').find(entry => entry.action === 'notice.given-up'), 'given up on record');
  assert.match(given.reason, /refuses: it answered 410/);
});

test('what is not sent when the gateway dies is sent when it comes back', async () => {
  broken = 1000;
  const { request, client } = await held('later');
  await heard('/teams', request.id);
  gateway.keepPorts();
  await gateway.kill9();
  await client.close().catch(() => {});
  broken = 0;
  await gateway.start();
  await heard('/generic', request.id, 'requested');
});

test('a program follows requests as server-sent events, its own and those it may decide, until its token ends', async () => {
  const watcher = JSON.parse((await gateway.run(['token', 'issue', '--user', 'carol', '--lifetime', '3600', '--json'], { input: PASSWORD + '\n' })).out).token;
  const follow = token => new Promise((resolve, reject) => {
    const request = http.get(`${gateway.adminUrl}/api/requests/events`, { agent: false, headers: { authorization: `Bearer ${token}` } }, response => {
      const events = [];
      let text = '';
      response.setEncoding('utf8');
      response.on('data', piece => {
        text += piece;
        for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) {
          const data = text.slice(0, end).split('\n').find(line => line.startsWith('data: '));
          if (data) events.push(JSON.parse(data.slice(6)));
        }
      });
      resolve({ status: response.statusCode, type: response.headers['content-type'], events, ended: new Promise(done => response.on('close', done)) });
    });
    request.on('error', reject);
  });
  const stream = await follow(watcher), stranger = await follow(await gateway.token('dave'));
  assert.equal(stream.type, 'text/event-stream');
  const { request, call, client } = await held('streamed');
  await until(() => stream.events.some(one => one.id === request.id && one.state === 'pending'), 'the request as an event');
  await gateway.run(['deny', request.id, '--reason', 'no'], { token: bob });
  await until(() => stream.events.some(one => one.id === request.id && one.state === 'denied'), 'its end as an event');
  await call;
  await client.close();
  assert.ok(!stranger.events.some(one => one.id === request.id), 'it is not for others');
  const mine = JSON.parse((await gateway.run(['tokens', 'ls', '--json'], { token: watcher })).out)[0];
  assert.equal((await gateway.run(['tokens', 'revoke', mine.id], { token: watcher })).code, 0);
  await Promise.race([stream.ended, new Promise((_, reject) => setTimeout(() => reject(new Error('the stream goes on')), 11_000))]);
});
