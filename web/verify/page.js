'use strict';
// The page's own side: takes the key and the file, hands them to a worker, shows what it says. kWorker (the worker's text)
// and kModule (the verifier, WebAssembly in base64) stand before this text in the finished page. Everything that comes from
// a file is shown as text, never as markup.
const $ = id => document.getElementById(id);
const kVerdicts = { valid: 'VALID', invalid: 'INVALID', incomplete: 'VALID, BUT INCOMPLETE' };
const kMeanings = {
  receipt: {
    valid: 'Each entry below stands at its place in a log whose head was signed with this key.',
    invalid: 'This receipt does not prove what it claims under this key.',
  },
  pack: {
    valid: 'Every entry is the one that was signed, and every rule holds.',
    invalid: 'This is not what was signed with this key, or it breaks a rule of the log.',
    incomplete: 'What is here was signed with this key, but something is missing that only its owner can tell you more about. See the notes.',
  },
};

let file = null, worker = null, reportUrl = null;
const state = now => { document.documentElement.dataset.state = now; };
const compiled = WebAssembly.compile(Uint8Array.from(atob(kModule), c => c.charCodeAt(0)));

function stop() {
  worker?.terminate();
  worker = null;
  $('running').hidden = $('stop').hidden = true;
}

/** One worker a task: each file meets a verifier that has seen nothing before. */
async function work(task, onProgress) {
  const module = await compiled;
  const url = URL.createObjectURL(new Blob([kWorker], { type: 'text/javascript' }));
  const mine = new Worker(url);
  URL.revokeObjectURL(url);
  const answer = new Promise((resolve, reject) => {
    mine.onmessage = ({ data }) => {
      if (data.result) resolve(data.result);
      else if (data.error) reject(new Error(data.error));
      else onProgress?.(data);
    };
    mine.onerror = event => reject(new Error(event.message || 'the worker could not start'));
  });
  mine.postMessage({ module, ...task });
  return { mine, answer: answer.finally(() => mine.terminate()) };
}

function fill(id, texts, make = text => [text]) {
  $(id).replaceChildren(...texts.map(one => { const li = document.createElement('li'); li.append(...make(one)); return li; }));
}
const bold = text => { const b = document.createElement('b'); b.textContent = text; return b; };
const words = name => name.replaceAll('_', ' ');

function show(verdict, title, meaning) {
  for (const id of ['faults', 'said', 'notes', 'counts']) $(id).replaceChildren();
  $('about').textContent = '';
  $('download').hidden = true;
  $('result').dataset.verdict = verdict;
  $('verdict').textContent = title;
  $('meaning').textContent = meaning;
  $('result').hidden = false;
}
const noVerdict = why => show('none', 'NO VERDICT', why);

function showReport({ kind, report, said, notes }, key, seconds) {
  if (!Object.hasOwn(kVerdicts, report.verdict)) throw new Error('the verifier gave no verdict');
  show(report.verdict, kVerdicts[report.verdict], kMeanings[kind]?.[report.verdict] ?? '');
  const faults = report.faults ?? (report.code ? [report] : []);
  const where = fault => [fault.file, fault.offset !== undefined && `byte ${fault.offset}`].filter(Boolean).join(', ');
  fill('faults', faults, fault => [bold(fault.code), `: ${fault.what}${where(fault) && ` (${where(fault)})`}`]);
  fill('said', said);
  fill('notes', [...(report.notes ?? []), ...notes], note => [`Note: ${note}`]);
  $('counts').replaceChildren(...Object.entries(report).filter(([, value]) => typeof value === 'number').map(([name, value]) => {
    const div = document.createElement('div'), dt = document.createElement('dt'), dd = document.createElement('dd');
    dt.textContent = words(name);
    dd.textContent = value.toLocaleString('en');
    div.append(dt, dd);
    return div;
  }));
  $('about').textContent = `${file.name}, ${file.size.toLocaleString('en')} bytes, checked in ${seconds.toFixed(seconds < 1 ? 3 : 1)} s with the key ${key}`;
  if (reportUrl) URL.revokeObjectURL(reportUrl);
  reportUrl = URL.createObjectURL(new Blob([`${JSON.stringify(report)}\n`], { type: 'application/json' }));
  $('download').href = reportUrl;
  $('download').hidden = false;
}

let latest = 0;
async function verify() {
  const key = $('key').value.trim(), mine = ++latest;
  stop();
  $('result').hidden = true;
  const missing = !file ? ['file', 'Choose a file, or drop one on this page.'] : !key ? ['key', 'Give the verifier key first.'] : null;
  if (missing) {
    $(missing[0]).focus();
    noVerdict(missing[1]);
    return state('done');
  }
  state('running');
  $('progress').value = 0;
  $('progress-words').textContent = `Checking ${file.name} …`;
  $('running').hidden = $('stop').hidden = false;
  const start = performance.now();
  try {
    const run = await work({ key, witnesses: $('witnesses').value, file }, ({ done, total }) => {
      if (mine !== latest) return;
      $('progress').value = done / total;
      $('progress-words').textContent = `Checking ${file.name}: ${Math.floor(100 * done / total)} % of ${(total / 1e6).toFixed(1)} MB`;
    });
    if (mine !== latest) return run.mine.terminate();
    worker = run.mine;
    const said = await run.answer;
    if (mine !== latest) return;
    if (said.error) noVerdict(said.error);
    else showReport(said, key, (performance.now() - start) / 1000);
  } catch (error) {
    if (mine !== latest) return;
    noVerdict(`The check could not be finished: ${error.message}.`);
  }
  stop();
  state('done');
}

function take(taken) {
  file = taken ?? null;
  if (file) verify();
}

$('form').addEventListener('submit', event => { event.preventDefault(); verify(); });
$('file').addEventListener('change', () => take($('file').files[0]));
// A verdict never stands beside a key that it was not made with.
for (const id of ['key', 'witnesses']) $(id).addEventListener('input', () => { ++latest; stop(); $('result').hidden = true; state('idle'); });
$('stop').addEventListener('click', () => { ++latest; stop(); noVerdict('Stopped before the end of the file.'); state('done'); });
const over = on => document.documentElement.classList.toggle('over', on);
addEventListener('dragover', event => { event.preventDefault(); over(true); });
addEventListener('dragleave', event => { if (!event.relatedTarget) over(false); });
addEventListener('drop', event => {
  event.preventDefault();
  over(false);
  const { files } = event.dataTransfer;
  if (files.length !== 1) return files.length && noVerdict('Drop one file at a time.');
  $('file').files = files;  // the field names it as well
  take(files[0]);
});
// For measuring: how fast a tree of 300-byte entries is hashed here.
globalThis.sallyportBench = async entries => (await work({ bench: entries })).answer;
state('idle');
