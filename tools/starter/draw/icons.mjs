// The drawings: from the npm packages to icons in memory.
//
// Vector sets are drawn on contact sheets by rsvg-convert, so that a handful of processes draws them all; the 3-D set
// is decoded by dwebp, one picture at a time.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { cutIcon, decodePng } from './pixels.mjs';

export const CELL = 256;   // pixels of an icon's square before it is cut to what is visible
const COLUMNS = 8;

export class DrawError extends Error {}

/** The style names of the captions, and the packages they come from. */
export const SETS = {
  noto: { package: '@iconify-json/noto', licence: 'Apache-2.0', source: 'Noto Emoji, Google' },
  flat: { package: '@iconify-json/fluent-emoji-flat', licence: 'MIT', source: 'Fluent Emoji, Microsoft' },
  '3dmm': { package: '@lobehub/fluent-emoji-3d', licence: 'MIT', source: 'Fluent Emoji, Microsoft' },
};

function readJson(file) {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8'));
  } catch (error) {
    throw new DrawError(
      `${file} cannot be read (${error.message}); run 'npm ci' beside draw.mjs or give --node-modules`);
  }
}

function runTool(tool, debianPackage, args) {
  const result = spawnSync(tool, args, { maxBuffer: 1 << 28 });
  if (result.error?.code === 'ENOENT') {
    throw new DrawError(`${tool} is not installed; on Debian: apt-get install ${debianPackage}`);
  }
  if (result.error || result.status !== 0) {
    throw new DrawError(`${tool} failed: ${result.error?.message ?? result.stderr.toString().trim()}`);
  }
  return result.stdout;
}

// Code points are spelled with and without the variation selector FE0F, and 3-D file names in lower case.
function spellings(hexcode) {
  const full = hexcode.toLowerCase(), bare = full.replace(/-fe0f/g, '');
  return [full, bare, `${bare}-fe0f`];
}

class VectorSet {
  constructor(style, folder) {
    this.style = style;
    this.icons = readJson(path.join(folder, 'icons.json'));
    this.names = readJson(path.join(folder, 'chars.json'));
  }

  /** The drawing as an <svg> element of the sheet, its ids prefixed so that they stay its own. */
  element(hexcode, prefix, x, y) {
    const name = spellings(hexcode).map((s) => this.names[s]).find(Boolean);
    const alias = this.icons.aliases?.[name];
    const icon = this.icons.icons[name] ?? this.icons.icons[alias?.parent];
    if (!icon) throw new DrawError(`${hexcode} is not in the set '${this.style}'; remove it from subjects.mjs`);
    const body = icon.body
      .replace(/\bid="([^"]+)"/g, `id="${prefix}$1"`)
      .replace(/url\(#([^)]+)\)/g, `url(#${prefix}$1)`)
      .replace(/href="#([^"]+)"/g, `href="#${prefix}$1"`);
    const box = [icon.left ?? 0, icon.top ?? 0, icon.width ?? this.icons.width, icon.height ?? this.icons.height];
    return `<svg x="${x}" y="${y}" width="${CELL}" height="${CELL}" viewBox="${box.join(' ')}">${body}</svg>`;
  }
}

/** Draws SVG elements given as functions (prefix, x, y) → text, in CELL squares; returns one icon for each. */
function drawSheets(elements) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'lowrank-draw-'));
  try {
    const icons = [];
    for (let first = 0; first < elements.length; first += COLUMNS * COLUMNS) {
      const part = elements.slice(first, first + COLUMNS * COLUMNS);
      const side = COLUMNS * CELL;
      const place = (i) => [(i % COLUMNS) * CELL, Math.floor(i / COLUMNS) * CELL];
      const body = part.map((element, i) => element(`i${i}_`, ...place(i))).join('\n');
      const svg = path.join(folder, 'sheet.svg'), png = path.join(folder, 'sheet.png');
      fs.writeFileSync(svg, `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" ` +
        `width="${side}" height="${side}">${body}</svg>`);
      runTool('rsvg-convert', 'librsvg2-bin', ['--unlimited', svg, '-o', png]);
      const sheet = decodePng(fs.readFileSync(png));
      part.forEach((_, i) => icons.push(cutIcon(sheet, ...place(i), CELL, CELL)));
    }
    return icons;
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

/** Reads the packages below `nodeModules` and hands out icons by (style, hexcode). */
export class IconStore {
  #nodeModules;
  #icons = new Map();

  constructor(nodeModules) {
    this.#nodeModules = nodeModules;
    const entries = readJson(path.join(nodeModules, 'emojibase-data/en/data.json'));
    this.labels = new Map(entries.map((entry) => [spellings(entry.hexcode)[1], entry]));
  }

  /** The CLDR label and tags of an emoji. */
  annotation(hexcode) {
    const entry = this.labels.get(spellings(hexcode)[1]);
    if (!entry) throw new DrawError(`${hexcode} is unknown to emojibase-data; correct it in subjects.mjs`);
    return { label: entry.label, tags: entry.tags ?? [] };
  }

  /** Draws the flat icons listed as [style, hexcode] pairs. */
  loadVector(wanted, progress) {
    const sets = {};
    const elements = wanted.map(([style, hexcode]) => {
      sets[style] ??= new VectorSet(style, path.join(this.#nodeModules, SETS[style].package));
      return (prefix, x, y) => sets[style].element(hexcode, prefix, x, y);
    });
    drawSheets(elements).forEach((icon, i) => {
      if (!icon) throw new DrawError(`${wanted[i].join(' ')} was drawn empty`);
      this.#icons.set(wanted[i].join(' '), icon);
    });
    progress(`drew ${wanted.length} flat icons`);
  }

  /** Decodes the 3-D pictures of these code points. */
  loadSolid(hexcodes, progress) {
    const folder = path.join(this.#nodeModules, SETS['3dmm'].package, 'assets');
    for (const hexcode of hexcodes) {
      const file = spellings(hexcode).map((s) => path.join(folder, `${s}.webp`)).find((f) => fs.existsSync(f));
      if (!file) throw new DrawError(`${hexcode} is not among the 3-D drawings in ${folder}`);
      const picture = decodePam(runTool('dwebp', 'webp', [file, '-quiet', '-pam', '-o', '-']));
      this.#icons.set(`3dmm ${hexcode}`, cutIcon(picture, 0, 0, picture.width, picture.height));
    }
    progress(`decoded ${hexcodes.length} 3-D icons`);
  }

  /** Draws our own SVG (a viewBox of 0 0 128 128), to be had as get('own', name). */
  loadOwn(name, body) {
    const [icon] = drawSheets([(prefix, x, y) =>
      `<svg x="${x}" y="${y}" width="${CELL}" height="${CELL}" viewBox="0 0 128 128">${body}</svg>`]);
    this.#icons.set(`own ${name}`, icon);
  }

  get(style, hexcode) {
    const icon = this.#icons.get(`${style} ${hexcode}`);
    if (!icon) throw new DrawError(`the drawing ${hexcode} in style '${style}' was not loaded`);
    return icon;
  }
}

function decodePam(bytes) {
  const end = bytes.indexOf('ENDHDR\n');
  const header = end < 0 ? '' : bytes.toString('latin1', 0, end);
  const field = (name) => Number(header.match(new RegExp(`^${name} (\\d+)$`, 'm'))?.[1]);
  const width = field('WIDTH'), height = field('HEIGHT');
  const data = bytes.subarray(end + 7);
  if (!header.startsWith('P7') || field('DEPTH') !== 4 || data.length < 4 * width * height) {
    throw new DrawError('dwebp wrote something that is not an RGBA picture');
  }
  return { width, height, data };
}
