'use strict';
// Runs the verifier (src/verify/page.h, as WebAssembly) over one file, slice by slice, off the page's own thread.
// In: { module, key, witnesses, file } or { module, bench: entries }. Out: { done, total }, then { result } or { error }.
const kSlice = 8 << 20;

async function instance(module) {
  // The C library asks for files and the end of the process only when it gives up; there are none here.
  const asked = name => () => { throw new Error(`the verifier gave up (${name})`); };
  const imports = {};
  for (const one of WebAssembly.Module.imports(module)) (imports[one.module] ??= {})[one.name] = asked(one.name);
  const { exports } = await WebAssembly.instantiate(module, imports);
  exports._initialize();
  const put = bytes => {
    const at = exports.page_room(bytes.length) >>> 0;  // first: a memory that grows leaves its old buffer behind
    new Uint8Array(exports.memory.buffer, at, bytes.length).set(bytes);
  };
  return { exports, put };
}

async function check({ module, key, witnesses, file }) {
  const { exports, put } = await instance(module);
  const encoder = new TextEncoder(), first = encoder.encode(key), second = encoder.encode(witnesses);
  const keys = new Uint8Array(first.length + second.length);
  keys.set(first);
  keys.set(second, first.length);
  put(keys);
  exports.page_keys(first.length, second.length);
  const slice = at => file.slice(at, at + kSlice).arrayBuffer();
  let next = slice(0);
  for (let at = 0; at < file.size; at += kSlice) {
    const bytes = new Uint8Array(await next);
    if (bytes.length !== Math.min(kSlice, file.size - at)) throw new Error('the file changed while it was read');
    next = at + kSlice < file.size ? slice(at + kSlice) : null;  // read while this one is checked
    put(bytes);
    exports.page_feed(bytes.length);
    postMessage({ done: at + bytes.length, total: file.size });
  }
  const size = exports.page_finish() >>> 0, report = exports.page_report() >>> 0;
  return JSON.parse(new TextDecoder().decode(new Uint8Array(exports.memory.buffer, report, size)));
}

async function bench({ module, bench: entries }) {
  const { exports } = await instance(module);
  const start = performance.now();
  const root = exports.page_bench(entries, 300) >>> 0;
  return { entries, seconds: (performance.now() - start) / 1000, root };
}

onmessage = async ({ data }) => {
  try {
    postMessage({ result: await (data.bench ? bench(data) : check(data)) });
  } catch (error) {
    postMessage({ error: String(error?.message ?? error) });
  }
};
