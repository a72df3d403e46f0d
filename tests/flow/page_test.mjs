// The verifier as a web page, in a browser, from the disk: the same verdicts as the program, and no network.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { once } from 'node:events';
import { Chromium } from '../lib/chromium.mjs';
import { ROOT, VERIFY, folder, until } from '../lib/gateway.mjs';
import { ticketsBehind } from '../lib/tickets.mjs';

const PAGE = path.join(ROOT, 'build/page/sallyport-verify.html');
const ANOTHER_KEY = 'example.org/evidence+113fdc51+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4';

const ROOT_OF_1000 = 2123677544;  // tests/unit/verify/page_test.cpp

let browser, key, receipt, pack;
const dir = folder();
before(async () => {
  const { gateway, end } = await ticketsBehind({ more: { evidence: 'veil: [peer, software]\n' } });
  const client = await gateway.client('tickets', await gateway.token('alice'));
  await client.callTool({ name: 'slow', arguments: { ms: 1 } });
  await client.close();
  key = gateway.key();
  receipt = path.join(dir, 'mine.tlog-proof');
  const request = gateway.entries('command').find(entry => entry.object === 'slow' || JSON.stringify(entry).includes('slow')).request_id;
  // The newest head is up to 100 ms behind.
  await until(async () => { const { code, err } = await gateway.run(['receipt', request, '-d', gateway.evidence, '-o', receipt]); if (code !== 6) assert.equal(code, 0, err); return code === 0; }, 'it is signed');
  pack = path.join(dir, 'mine.zip');
  const { code, err } = await gateway.run(['evidence', 'export', '-c', gateway.config, '-o', pack, '--payloads', 'opened', '--withhold', 'peer']);
  assert.equal(code, 0, err);
  assert.equal(await end(), 0);
  browser = await Chromium.start();
  await browser.navigate(pathToFileURL(PAGE).href);
});
after(() => browser?.stop());

let written = 0;
const write = (text, name = `changed-${++written}.tlog-proof`) => { const file = path.join(dir, name); fs.writeFileSync(file, text); return file; };
const native = (file, by = key) => { const { status, stdout } = spawnSync(VERIFY, ['receipt', file, '--key', by, '--json'], { encoding: 'utf8' }); return { status, report: JSON.parse(stdout) }; };
const text = id => browser.evaluate(`document.getElementById('${id}').innerText`);
/** What the page says of a file: { verdict, meaning, faults, said, notes }. */
async function seen(file, by = key) {
  await browser.type('#key', by);
  assert.equal(await browser.evaluate('document.documentElement.dataset.state'), 'idle', 'another key takes the old verdict away');
  await browser.setFile('#file', file);
  if (await browser.evaluate('document.documentElement.dataset.state') === 'idle') await browser.click('#verify');  // it was chosen before
  await browser.until(`document.documentElement.dataset.state === 'done' && !document.querySelector('#result').hidden`);
  const out = {};
  for (const id of ['verdict', 'meaning', 'faults', 'said', 'notes', 'about']) out[id] = await text(id);
  if (out.verdict !== 'NO VERDICT') assert.ok(out.about.startsWith(`${path.basename(file)}, `), out.about);
  return out;
}
const code = faults => /^[a-z-]+(?=:)/.exec(faults)?.[0] ?? '';

test('a receipt that holds is VALID, and the report is the program’s', async () => {
  const said = await seen(receipt);
  assert.equal(said.verdict, 'VALID', JSON.stringify(said));
  assert.match(said.said, /^entry \d+ \(command tools\/call slow by ~[\w-]{22}[^\n]*\nentry \d+ \(outcome[^\n]*$/);
  assert.equal(said.faults, '');
  assert.match(said.about, /^mine\.tlog-proof, [\d,]+ bytes, checked in [\d.]+ s with the key /);
  assert.ok(said.about.endsWith(key));
  await browser.send('Browser.setDownloadBehavior', { behavior: 'allow', downloadPath: dir, eventsEnabled: true }, null);
  const saved = browser.event('Browser.downloadProgress', ({ state }) => state === 'completed');
  await browser.click('#download');
  await saved;
  assert.deepEqual(JSON.parse(fs.readFileSync(path.join(dir, 'report.json'), 'utf8')), native(receipt).report);
});

test('what is forged is INVALID with the program’s code and words', async () => {
  const good = fs.readFileSync(receipt, 'utf8'), lines = good.split('\n');
  const entry = Buffer.from(lines[1].slice(6), 'base64');
  entry[entry.length - 1] ^= 1;
  const codes = new Set();
  for (const forged of [
    [lines[0], `extra ${entry.toString('base64')}`, ...lines.slice(2)].join('\n'),
    good.replace(/^index (\d+)$/m, (_, n) => `index ${Number(n) + 1}`),
    good.replace(/^\d+$/m, n => String(Number(n) + 1)),
    good.replace(/(— test\/evidence .{40})./, (all, start) => start + (all.at(-1) === 'A' ? 'B' : 'A')),
    lines.slice(1).join('\n'),
    good.slice(0, 200),
    '',
  ]) {
    const file = write(forged), said = await seen(file), { status, report } = native(file);
    assert.equal(status, 1);
    assert.equal(said.verdict, 'INVALID', JSON.stringify(said));
    assert.equal(said.faults, `${report.code}: ${report.what}`);
    assert.equal(said.said, '');
    codes.add(report.code);
  }
  assert.deepEqual([...codes].sort(), ['receipt-form', 'receipt-head', 'receipt-proof']);
});

test('under another key it is INVALID; without a key there is no verdict', async () => {
  const other = await seen(receipt, ANOTHER_KEY);
  assert.equal(other.verdict, 'INVALID');
  assert.equal(code(other.faults), native(receipt, ANOTHER_KEY).report.code);
  const wrong = await seen(receipt, key.slice(0, -4) + 'AAAA');
  assert.equal(wrong.verdict, 'NO VERDICT');
  assert.match(wrong.meaning, /^the verifier key: /);
  assert.equal((await seen(receipt, ' ')).verdict, 'NO VERDICT');
  assert.equal((await seen(receipt, `  ${key}  `)).verdict, 'VALID', 'a key that was pasted with blanks');
});

test('a pack is VALID, as the program says; a forged copy, a torn one and another ZIP file are INVALID with its codes', async () => {
  const judged = name => { const { status, stdout } = spawnSync(VERIFY, ['pack', name, '--key', key, '--json'], { encoding: 'utf8' }); return { status, report: JSON.parse(stdout) }; };
  const said = await seen(pack);
  assert.equal(said.verdict, 'VALID', JSON.stringify(said));
  assert.equal(judged(pack).status, 0);
  assert.match(said.said, /VALID: every entry of the range is accounted for/);
  const bytes = fs.readFileSync(pack), at = bytes.indexOf('tools/call');
  const forged = Buffer.from(bytes);
  forged.write('tools/cast', at);
  for (const [name, text] of [['forged.zip', forged], ['torn.zip', bytes.subarray(0, bytes.length - 100)], ['a.zip', 'PK\x03\x04 and more']]) {
    const file = write(text, name), said = await seen(file), { status, report } = judged(file);
    assert.equal(status, 1);
    assert.equal(said.verdict, 'INVALID');
    assert.ok(said.faults.startsWith(`${report.faults[0].code}: ${report.faults[0].what}`), said.faults);
  }
});

test('a dropped file is taken as a chosen one is, and what a file names is text', async () => {
  await seen(receipt, ANOTHER_KEY);
  await browser.type('#key', key);
  await browser.evaluate(`{
    const transfer = new DataTransfer();
    transfer.items.add(new File([${JSON.stringify(fs.readFileSync(receipt, 'utf8'))}], '<img src=x onerror=ran=1>.tlog-proof'));
    document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: transfer, bubbles: true, cancelable: true }));
  }`);
  await browser.until(`document.documentElement.dataset.state === 'done'`);
  assert.equal(await text('verdict'), 'VALID');
  assert.match(await text('about'), /^<img src=x onerror=ran=1>\.tlog-proof, /);
  assert.equal(await browser.evaluate(`document.images.length + ' ' + typeof ran`), '0 undefined');
});

test('a file larger than memory is read in slices, and the check can be stopped', async () => {
  const large = write('', 'large');
  fs.truncateSync(large, 2 ** 36);
  await browser.type('#key', key);
  await browser.setFile('#file', large);
  await browser.until(`document.querySelector('#progress').value > 0.002`);
  assert.match(await text('progress-words'), /^Checking large: \d+ % of 68719\.5 MB$/);
  await browser.click('#stop');
  await browser.until(`document.documentElement.dataset.state === 'done'`);
  assert.equal(await text('verdict'), 'NO VERDICT');
  assert.equal((await seen(receipt)).verdict, 'VALID', 'and another can follow');
});

test('the tree that the page hashes is the one that the program hashes', async () => {
  assert.deepEqual((({ entries, root }) => ({ entries, root }))(await browser.evaluate('sallyportBench(1000)')), { entries: 1000, root: ROOT_OF_1000 });
});

test('nothing was asked of a network, and the policy would not let it', async () => {
  const asked = browser.requests.filter(url => !url.startsWith('blob:') && url !== pathToFileURL(PAGE).href);
  assert.ok(browser.requests.some(url => url.startsWith('blob:')), 'the worker is watched as well');
  assert.deepEqual(asked, []);
  assert.deepEqual(browser.messages, []);
  assert.doesNotMatch(fs.readFileSync(PAGE, 'utf8').replace(/<!--[^]*?-->/, ''), /(src|href)\s*=\s*["']?(https?:)?\/\//);

  const hits = [];
  const server = http.createServer((request, response) => { hits.push(request.url); response.end('x'); }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${server.address().port}`;
  server.on('upgrade', request => hits.push(request.url));
  const refused = await browser.evaluate(`(async () => {
    const out = [];
    addEventListener('securitypolicyviolation', event => out.push(event.effectiveDirective));
    await fetch('${url}/fetch').catch(() => {});
    const image = new Image();
    await new Promise(resolve => { image.onerror = image.onload = resolve; image.src = '${url}/image'; });
    const script = document.createElement('script');
    script.textContent = 'globalThis.foreign = true';
    document.head.append(script);
    try { new WebSocket('${url.replace('http', 'ws')}/socket'); } catch { /* refused at once */ }
    const worker = new Worker(URL.createObjectURL(new Blob(["fetch('${url}/worker').then(() => postMessage('reached'), () => postMessage('refused'))"])));
    out.push(await new Promise(resolve => { worker.onmessage = ({ data }) => resolve(data); }));
    try { eval('globalThis.foreign = true'); } catch { out.push('eval'); }
    return [...new Set(out), globalThis.foreign === undefined];
  })()`);
  server.close();
  assert.deepEqual(hits, []);
  for (const directive of ['connect-src', 'img-src', 'script-src-elem', 'refused', true]) assert.ok(refused.includes(directive), `${directive} in ${refused}`);
});
