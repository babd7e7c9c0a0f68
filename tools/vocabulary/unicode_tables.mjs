// Writes src/base/text/unicode_tables.inc: the Unicode classes and the lower-casing of the prompt language.
//
//   node unicode_tables.mjs > ../../src/base/text/unicode_tables.inc
//
// Run by hand when a newer Unicode is wanted; the result is committed, so that a build does not depend on the
// version of Node.
const LAST = 0x10ffff;
const isScalar = (c) => c < 0xd800 || c > 0xdfff;

function ranges(pattern) {
  const found = [];
  for (let c = 0; c <= LAST; c++) {
    if (!isScalar(c) || !pattern.test(String.fromCodePoint(c))) continue;
    const last = found.at(-1);
    if (last && last[1] === c - 1) last[1] = c;
    else found.push([c, c]);
  }
  return found;
}

// Runs of characters `stride` apart whose lower-case form lies `delta` away.
function lowerRuns() {
  const runs = [];
  for (let c = 0; c <= LAST; c++) {
    if (!isScalar(c)) continue;
    const lower = [...String.fromCodePoint(c).toLowerCase()];
    if (lower.length !== 1) continue;  // U+0130 alone; handled in the code
    const delta = lower[0].codePointAt(0) - c;
    if (delta === 0) continue;
    const run = runs.at(-1);
    const gap = run ? c - run.last : 0;
    if (run && run.delta === delta && (run.first === run.last ? gap <= 2 : gap === run.stride)) {
      run.last = c;
      run.stride = gap;
    } else {
      runs.push({ first: c, last: c, stride: 1, delta });
    }
  }
  return runs;
}

const hex = (n) => '0x' + n.toString(16);

function print(name, type, rows) {
  console.log(`\nconstexpr ${type} ${name}[] = {`);
  let line = '   ';
  for (const row of rows) {
    const text = ` {${row.join(', ')}},`;
    if (line.length + text.length > 110) {
      console.log(line);
      line = '   ';
    }
    line += text;
  }
  console.log(line + '\n};');
}

console.log(`// Unicode ${process.versions.unicode}, written by tools/vocabulary/unicode_tables.mjs; do not edit.`);
const classes = {
  kLetters: /\p{L}/u,
  kNumbers: /\p{N}/u,
  kCased: /\p{Cased}/u,
  kCaseIgnorable: /\p{Case_Ignorable}/u,
  kDecimalDigits: /\p{Nd}/u,
};
for (const [name, pattern] of Object.entries(classes)) {
  print(name, 'CodeRange', ranges(pattern).map(([first, last]) => [hex(first), hex(last)]));
}
print('kLowerRuns', 'LowerRun', lowerRuns().map((r) => [hex(r.first), hex(r.last), r.stride, r.delta]));
