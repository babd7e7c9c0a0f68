#!/usr/bin/env node
// Draws the pictures that the starter model learns from.
//
//   node draw.mjs --out DIR [--seed 1] [--variants 12] [--node-modules DIR]
//
// DIR/base/NAME.png, NAME.txt    the base's training pictures, 128×128 RGB, and their captions
// DIR/heldout.json               captions whose subject and background never meet in training
// DIR/lora/NAME/N_TRIGGER/       kohya folders: each LoRA's pictures, each shown N times an epoch
// DIR/evaluation/…               pictures for measuring, never trained on
// DIR/index.json, DIR/lora/index.json   what every picture shows; subjects, colours, sources
//
// The drawings are emoji from npm packages (`npm ci` in this folder):
//   @iconify-json/noto               Noto Emoji, Google                   Apache-2.0
//   @iconify-json/fluent-emoji-flat  Fluent Emoji (flat), Microsoft       MIT
//   @lobehub/fluent-emoji-3d         Fluent Emoji (3-D), Microsoft        MIT
//   emojibase-data                   names and tags, Miles Johnson        MIT
// Noto's drawings are scaled, mirrored, combined with others and set on coloured backgrounds; so are the others.
//
// Needs Node 18 and the commands rsvg-convert (Debian: librsvg2-bin) and dwebp (Debian: webp).
// The same seed and the same package versions give the same pictures.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { baseEvaluation, baseScenes, FLAT_STYLES } from './base.mjs';
import { DrawError, IconStore, SETS } from './icons.mjs';
import { loraPlans, loadLoraIcons } from './loras.mjs';
import { SIZE } from './pixels.mjs';
import { caption, renderScene } from './scenes.mjs';
import { COLOURS, SUBJECTS } from './subjects.mjs';

const HERE = path.dirname(fileURLToPath(import.meta.url));

const HELP = `Draws the pictures that the starter model learns from.

usage: node draw.mjs --out DIR [--seed 1] [--variants 12] [--node-modules DIR]

Writes DIR/base, DIR/lora/NAME/N_TRIGGER and DIR/evaluation (PNG files and captions) and JSON files that say what
every picture shows.

  --out DIR            where the pictures go; other files in those picture folders are removed
  --seed N             another seed gives other places, colours and combinations (default 1)
  --variants N         pictures of each drawing in the base (default 12)
  --node-modules DIR   where the npm packages lie (default: node_modules beside this script)
`;

function readOptions() {
  let values;
  try {
    ({ values } = parseArgs({
      options: {
        out: { type: 'string' },
        seed: { type: 'string', default: '1' },
        variants: { type: 'string', default: '12' },
        'node-modules': { type: 'string', default: path.join(HERE, 'node_modules') },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }));
  } catch (error) {
    throw new DrawError(`${error.message}; --help shows the options`);
  }
  const whole = (name, least, most) => {
    const n = Number(values[name]);
    if (!Number.isInteger(n) || n < least || n > most) {
      throw new DrawError(`--${name} ${values[name]} is not a whole number from ${least} to ${most}`);
    }
    return n;
  };
  if (values.help) return { help: true };
  if (!values.out) throw new DrawError('--out DIR is missing; --help shows the options');
  return {
    out: path.resolve(values.out),
    seed: whole('seed', 0, 2 ** 31),
    variants: whole('variants', 1, 64),
    nodeModules: path.resolve(values['node-modules']),
  };
}

const started = Date.now();
function progress(text) {
  console.log(`[${((Date.now() - started) / 1000).toFixed(1).padStart(5)} s] ${text}`);
}

function writeJson(file, value) {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, JSON.stringify(value, null, 1) + '\n');
}

const slug = (text) => text.replace(/[^a-z0-9]+/gi, '_');

/** Makes a folder hold exactly these files; what has the right bytes already is not written again. */
function fillFolder(folder, files) {
  fs.mkdirSync(folder, { recursive: true });
  for (const old of fs.readdirSync(folder)) {
    if (!files.has(old)) fs.rmSync(path.join(folder, old), { recursive: true });
  }
  for (const [name, bytes] of files) {
    const file = path.join(folder, name);
    if (!fs.existsSync(file) || !fs.readFileSync(file).equals(bytes)) fs.writeFileSync(file, bytes);
  }
}

/** Writes pictures and captions into a folder; returns what the index says of them. */
function writeScenes(root, folder, scenes) {
  const counts = new Map(), files = new Map();
  const told = scenes.map(({ parts, shade, lit, ...scene }) => {
    const name = `${slug(scene.subject)}-${scene.style}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
    const stem = `${name}-${counts.get(name)}`;
    files.set(`${stem}.png`, renderScene({ parts, shade, lit }));
    files.set(`${stem}.txt`, Buffer.from(scene.caption + '\n', 'utf8'));
    return { file: path.posix.join(folder, `${stem}.png`), ...scene };
  });
  fillFolder(path.join(root, folder), files);
  return told;
}

function readHeldOut() {
  const heldOut = JSON.parse(fs.readFileSync(path.join(HERE, 'heldout.json'), 'utf8'));
  const names = new Set(SUBJECTS.map((subject) => subject.name));
  for (const { subject, style, background } of heldOut) {
    if (!names.has(subject) || !FLAT_STYLES.includes(style) || !COLOURS[background]) {
      throw new DrawError(`heldout.json names '${subject}, ${style}, ${background}', which is never drawn`);
    }
  }
  return heldOut.map((entry) => ({
    ...entry,
    caption: caption({ lead: entry.subject, style: entry.style, background: entry.background }),
  }));
}

function draw({ out, seed, variants, nodeModules }) {
  const heldOut = readHeldOut();
  const iconStore = new IconStore(nodeModules);
  iconStore.loadVector(SUBJECTS.flatMap(({ hexcode }) => FLAT_STYLES.map((style) => [style, hexcode])), progress);

  const pictures = writeScenes(out, 'base', baseScenes(SUBJECTS, iconStore, { seed, variants, heldOut }));
  progress(`base: ${pictures.length} pictures`);
  writeJson(path.join(out, 'heldout.json'), heldOut);

  const evaluation = {};
  for (const [name, scenes] of Object.entries(baseEvaluation(SUBJECTS, iconStore, { seed, heldOut }))) {
    evaluation[name] = writeScenes(out, `evaluation/${name}`, scenes);
    progress(`evaluation/${name}: ${evaluation[name].length} pictures`);
  }
  writeJson(path.join(out, 'index.json'), {
    size: SIZE,
    seed,
    variants,
    styles: FLAT_STYLES,
    colours: COLOURS,
    subjects: SUBJECTS.map((subject) => ({ ...subject, ...iconStore.annotation(subject.hexcode) })),
    sources: Object.entries(SETS).map(([style, set]) => ({ style, ...set })),
    pictures,
    evaluation,
  });

  loadLoraIcons(iconStore, progress);
  const loras = loraPlans(iconStore, { seed, heldOut }).map(({ training, evaluation: unseen, folder, ...plan }) => {
    const shown = writeScenes(out, `lora/${plan.name}/${folder}`, training);
    const measured = writeScenes(out, `evaluation/lora/${plan.name}`, unseen);
    if (plan.heldOutSubjects) {
      writeJson(path.join(out, `lora/${plan.name}/heldout.json`),
        { trigger: plan.trigger, subjects: plan.heldOutSubjects });
    }
    progress(`lora/${plan.name}/${folder}: ${shown.length} pictures, ${measured.length} for measuring`);
    return { ...plan, folder: `lora/${plan.name}`, pictures: shown, evaluation: measured };
  });
  writeJson(path.join(out, 'lora/index.json'), { loras });
}

try {
  const options = readOptions();
  if (options.help) console.log(HELP);
  else draw(options);
} catch (error) {
  if (!(error instanceof DrawError)) throw error;
  console.error(`draw: ${error.message}`);
  process.exitCode = 1;
}
