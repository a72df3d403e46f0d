// `./dev mutate [N] [--seed S] [--match REGEX] [--list]`: does a bug in the verifier get noticed? Makes N small bugs in src/verify, one
// at a time and in a copy, builds the verifier's tests with each and runs them. A bug that no test notices is printed; the
// exit code is 1 when there is one. Some survive rightly: docs/verify.md says which kinds, and the score of the last run.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';

const option = (name, otherwise) => {
  const at = process.argv.indexOf(name);
  return at < 0 ? otherwise : process.argv[at + 1];
};
const count = Number(/^\d+$/.test(process.argv[2] ?? '') ? process.argv[2] : 40);
const seed = Number(option('--seed', '1'));
const match = new RegExp(option('--match', ''));  // of "entry.cpp:31 operator: && -> ||", as --list and the report have it
const copy = 'build/mutants';
// The slow ones last: most bugs are noticed before them.
const slow = '*AnyChangedByte*:*AChangedByteWhose*:Receipt.*';
const tests = [['unit_verify'], ['unit_tamper', `--gtest_filter=-${slow}`], ['unit_tamper', `--gtest_filter=${slow}`]];
// What prints, and the program around it, has its tests elsewhere (tests/flow).
const left_out = ['main.cpp', 'report.cpp'];

/** The same text with strings, characters and comments blanked, so that only code is changed. */
function code_of(text) {
  return text.replace(/\/\/[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])'/g, (s) => (s.startsWith('//') ? ' ' : s[0]) + ' '.repeat(Math.max(0, s.length - 2)) + (s.length > 1 ? (s.startsWith('//') ? ' ' : s.at(-1)) : ''));
}

/** Every place of `code` where an operator of mutation applies: [from, to, text instead, name]. */
function mutations(code) {
  const out = [];
  const each = (pattern, name, make) => {
    for (const m of code.matchAll(pattern)) {
      const made = make(m);
      if (made) out.push({ name, ...made });
    }
  };
  const swap = { '==': '!=', '!=': '==', '<': '<=', '<=': '<', '>': '>=', '>=': '>', '&&': '||', '||': '&&' };
  each(/ (==|!=|<=|>=|<|>|&&|\|\|) /g, 'operator', (m) => ({ from: m.index + 1, to: m.index + 1 + m[1].length, text: swap[m[1]] }));
  // A condition that never, or always, holds.
  each(/\b(?:if|while) \(/g, 'condition', (m) => {
    const from = m.index + m[0].length;
    let depth = 1;
    let at = from;
    for (; at < code.length && depth > 0; ++at) depth += code[at] === '(' ? 1 : code[at] === ')' ? -1 : 0;
    const text = code.slice(from, at - 1);
    if (m[0].startsWith('while') || text.includes(';') || /\bauto\b/.test(text)) return null;
    return { from, to: at - 1, text: 'false' };
  });
  // A fault that is not said.
  each(/(?:return )?\b(?:rules_\.fault|fault|say|bad)\(/g, 'fault', (m) => {
    let depth = 0;
    let at = m.index + m[0].length - 1;
    do depth += code[at] === '(' ? 1 : code[at] === ')' ? -1 : 0;
    while (++at < code.length && depth > 0);
    if (code[at] !== ';' || /(?:void|const auto) $/.test(code.slice(0, m.index))) return null;
    if (m[0].startsWith('return')) return /return bad/.test(m[0]) ? null : { from: m.index, to: at, text: 'return' };
    return { from: m.index, to: at, text: '(void)0' };
  });
  each(/(?<![\w.'])(\d+)(?:u|U)?(?![\w.'])/g, 'constant', (m) => ({ from: m.index, to: m.index + m[1].length, text: String(BigInt(m[1]) + 1n) }));
  return out;
}

function random(state) {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const all = [];
const texts = {};  // as they are now, whatever happens to the tree meanwhile
for (const file of readdirSync('src/verify').filter((f) => f.endsWith('.cpp') && !left_out.includes(f)).sort()) {
  const text = (texts[file] = readFileSync(`src/verify/${file}`, 'utf8'));
  for (const one of mutations(code_of(text))) {
    const line = text.slice(0, one.from).split('\n').length;
    const what = `${file}:${line} ${one.name}: ${text.slice(one.from, one.to).replace(/\s+/g, ' ')} -> ${one.text}`;
    if (match.test(what)) all.push({ file, ...one, what });
  }
}
if (process.argv.includes('--list')) {
  for (const m of all) console.log(m.what);
  console.log(`${all.length} places`);
  process.exit(0);
}
const next = random(seed);
for (let i = all.length - 1; i > 0; --i) {
  const k = Math.floor(next() * (i + 1));
  [all[i], all[k]] = [all[k], all[i]];
}

/** Copies what differs: a file that is the same keeps its time, and what was built from it. */
function refresh(from, to) {
  if (!statSync(from).isDirectory()) {
    const now = readFileSync(from);
    if (!existsSync(to) || !readFileSync(to).equals(now)) writeFileSync(to, now);
    return;
  }
  mkdirSync(to, { recursive: true });
  const there = readdirSync(from);
  for (const old of readdirSync(to)) if (!there.includes(old)) rmSync(`${to}/${old}`, { recursive: true });
  for (const one of there) refresh(`${from}/${one}`, `${to}/${one}`);
}

const env = { ...process.env, CCACHE_BASEDIR: process.cwd(), CCACHE_NOHASHDIR: '1' };
const run = (command, args, timeout = 600_000) => spawnSync(command, args, { env, encoding: 'utf8', timeout, maxBuffer: 1 << 28 });
mkdirSync(copy, { recursive: true });
for (const part of ['src', 'docs', 'tests/unit', 'tests/fixtures', 'bench', 'fuzz', 'CMakeLists.txt', 'CMakePresets.json'])
  refresh(part, `${copy}/${part}`);
const build = () => run('ninja', ['-C', `${copy}/build/release`, 'sallyport-verify', 'unit_verify', 'unit_tamper']);
if (!existsSync(`${copy}/build/release/build.ninja`)) {
  const made = run('cmake', ['--preset', 'release', '-S', copy, '-B', `${copy}/build/release`]);
  if (made.status !== 0) throw new Error(made.stdout + made.stderr);
}
/** "" or the test that noticed. */
function noticed() {
  for (const [test, ...filter] of tests) {
    const result = run(`${copy}/build/release/${test}`, ['--gtest_brief=1', '--gtest_fail_fast', ...filter], 120_000);
    if (result.status !== 0) return /\[  FAILED  \] (\S+)/.exec(result.stdout ?? '')?.[1] ?? `${test}: ${result.error?.code ?? result.signal}`;
  }
  return '';
}
const first = build();
if (first.status !== 0) throw new Error(`the verifier does not build as it is:\n${first.stdout}`);
const whole = noticed();
if (whole !== '') throw new Error(`the tests fail as it is: ${whole}`);

let killed = 0;
let tried = 0;
const survivors = [];
for (const m of all) {
  if (tried === count) break;
  const path = `${copy}/src/verify/${m.file}`;
  const text = texts[m.file];
  writeFileSync(path, text.slice(0, m.from) + m.text + text.slice(m.to));
  const built = build();
  if (built.status === 0) {
    ++tried;
    const by = noticed();
    if (by === '') survivors.push(m.what);
    else ++killed;
    console.log(`${by === '' ? 'SURVIVED' : 'noticed '} ${m.what}${by === '' ? '' : `   (${by})`}`);
  }
  writeFileSync(path, text);
}
console.log(`${killed} of ${tried} noticed, seed ${seed}, of ${all.length} places`);
for (const one of survivors) console.log(`survived: ${one}`);
process.exit(survivors.length > 0 ? 1 : 0);
