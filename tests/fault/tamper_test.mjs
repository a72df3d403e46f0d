// What somebody with the disk in hands could do to the record, done to a real one: each change is found and named.
import test, { before } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { ticketsBehind } from '../lib/tickets.mjs';
import { folder, verify } from '../lib/gateway.mjs';

let record, key, old;
before(async () => {
  const { gateway, tickets } = await ticketsBehind();
  gateway.keepPorts();
  key = gateway.key();
  for (let run = 0; run < 3; run++) {
    const client = await gateway.client('tickets', await gateway.token('alice'));
    for (let i = 0; i < 5; i++) await client.callTool({ name: 'read_ticket', arguments: { id: run * 10 + i } });
    await client.callTool({ name: 'run_command', arguments: { command: `evil-${run}` } });
    await client.close();
    await gateway.stop();
    if (run === 0) fs.cpSync(gateway.evidence, old = folder(), { recursive: true });
    if (run < 2) await gateway.start();
  }
  await tickets.close();
  record = gateway.evidence;
  const { code, out } = verify(record, key);
  assert.equal(code, 0, out);
});

/** A copy of the record after `change(directory, segments)`; what the verifier says of it. */
function after(change, withKey = key) {
  const copy = folder();
  fs.cpSync(record, copy, { recursive: true });
  const segments = fs.readdirSync(path.join(copy, 'segments')).filter(name => name.endsWith('.seg')).sort().map(name => path.join(copy, 'segments', name));
  change(copy, segments);
  return verify(copy, withKey);
}
const edit = (file, change) => { const bytes = fs.readFileSync(file); fs.writeFileSync(file, change(bytes) ?? bytes); };
const codes = ({ code, report, err }) => {
  assert.ok(report, err);
  for (const fault of report.faults) assert.ok(fault.code && fault.what.length > 20 && (fault.file || fault.index !== undefined), `a fault that names nothing: ${JSON.stringify(fault)}`);
  assert.ok(report.faults.length > 0, 'nothing is named');
  return [code, report.faults.map(fault => fault.code)];
};

test('an entry is edited: it is named', () => {
  for (const at of [0, 1, 2]) {
    const result = after((_, segments) => edit(segments[at], bytes => { bytes[bytes.indexOf('run_command')] ^= 0x20; }));
    assert.equal(result.code, 1);
    assert.ok(result.report.faults.some(fault => fault.index !== undefined && /Run_command by ~[\w-]{22}/.test(fault.what)), result.out);
  }
});

test('a payload is edited', () => {
  const [code] = codes(after((_, segments) => edit(segments[0], bytes => { bytes[bytes.indexOf('read_ticket') - 150] ^= 1; })));
  assert.equal(code, 1);
});

test('every thousandth byte of the record, one at a time', () => {
  const end = fs.readFileSync(path.join(record, 'segments', fs.readdirSync(path.join(record, 'segments')).filter(n => n.endsWith('.seg')).sort()[0])).length;
  let tried = 0;
  for (let at = 0; at < Math.min(end, 40_000); at += 997) {
    const result = after((_, segments) => edit(segments[0], bytes => { bytes[at] ^= 0x40; }));
    assert.equal(result.code, 1, `byte ${at}: ${result.out}`);
    tried++;
  }
  assert.ok(tried > 10);
});

test('a segment is deleted, the first, the middle or the last', () => {
  for (const at of [0, 1, 2]) {
    const [code, faults] = codes(after((_, segments) => fs.rmSync(segments[at])));
    assert.equal(code, 1);
    assert.ok(faults.some(fault => /missing|truncated|gap|segment|log/.test(fault)), String(faults));
  }
});

test('two segments are swapped', () => {
  const [code] = codes(after((_, [first, second]) => { fs.renameSync(first, first + 'x'); fs.renameSync(second, first); fs.renameSync(first + 'x', second); }));
  assert.equal(code, 1);
});

test('the end is cut off below the signed head', () => {
  const result = after((_, segments) => edit(segments[2], bytes => bytes.subarray(0, 4096 + 200)));
  assert.equal(result.code, 1);
  assert.ok(result.report.faults.some(fault => /missing|signed/.test(fault.what)), result.out);
});

test('frames are zeroed from the middle on, as if they had never been written', () => {
  const [code] = codes(after((_, segments) => edit(segments[2], bytes => { bytes.fill(0, bytes.indexOf('run_command') - 300); })));
  assert.equal(code, 1);
});

test('an old state of the record is put back beside the newer head', () => {
  const result = after(copy => {
    fs.rmSync(path.join(copy, 'segments'), { recursive: true });
    fs.cpSync(path.join(old, 'segments'), path.join(copy, 'segments'), { recursive: true });
  });
  assert.equal(result.code, 1);
  assert.ok(result.report.faults.some(fault => /missing/.test(fault.what)), result.out);
});

test('an old segment is replayed in the place of another', () => {
  const [code] = codes(after((_, segments) => fs.copyFileSync(segments[0], segments[1])));
  assert.equal(code, 1);
});

test('the head is signed anew with another key, and the heads are removed', async () => {
  const other = await ticketsBehind();
  const foreign = other.gateway.key();
  await other.end();
  const resigned = after(copy => { for (const name of ['checkpoint', 'checkpoints']) fs.copyFileSync(path.join(other.gateway.evidence, name), path.join(copy, name)); });
  assert.equal(resigned.code, 1, resigned.out);
  assert.equal(verify(record, foreign).code, 1, 'a record is not valid under a key that did not sign it');
  const unsigned = after(copy => { for (const name of ['checkpoint', 'checkpoints']) fs.rmSync(path.join(copy, name)); });
  assert.notEqual(unsigned.code, 0, 'without a head nothing is proven');
});

test('a checkpoint is edited', () => {
  for (const name of ['checkpoint', 'checkpoints']) {
    const [code, faults] = codes(after(copy => edit(path.join(copy, name), bytes => { bytes[bytes.indexOf('\n') + 1] ^= 1; })));
    assert.equal(code, 1, name);
    assert.ok(faults.length > 0);
  }
});
