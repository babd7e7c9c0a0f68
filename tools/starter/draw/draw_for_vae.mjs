#!/usr/bin/env node
// Draws the pictures that the starter model's autoencoder learns from: single icons of the three sets (noto and fluent
// flat as vectors, fluent 3-D as pictures), one on one plain background each, 128×128. The autoencoder only learns to
// code pixels, so it may see what the base model must not.
//
//   node draw_for_vae.mjs --out DIR [--count 700] [--seed 1] [--node-modules DIR]
//
// Needs rsvg-convert (librsvg2-bin) and dwebp (webp).
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const options = { out: "", count: 700, seed: 1, "node-modules": join(dirname(fileURLToPath(import.meta.url)), "node_modules") };
for (let i = 2; i < process.argv.length; i += 2) {
  const name = process.argv[i].replace(/^--/, "");
  if (!(name in options) || process.argv[i + 1] === undefined) {
    console.error(`draw_for_vae: unknown option or missing value: ${process.argv[i]}`);
    process.exit(2);
  }
  options[name] = process.argv[i + 1];
}
if (!options.out) {
  console.error("draw_for_vae: --out DIR is needed.");
  process.exit(2);
}

// mulberry32
let state = Number(options.seed) >>> 0;
const random = () => {
  state = (state + 0x6d2b79f5) >>> 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
};
const shuffled = (list) => {
  const copy = [...list];
  for (let i = copy.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [copy[i], copy[j]] = [copy[j], copy[i]];
  }
  return copy;
};
const background = () => `hsl(${Math.floor(random() * 360)},${Math.floor(random() * 100)}%,${10 + Math.floor(random() * 85)}%)`;

const SIZE = 128;
mkdirSync(options.out, { recursive: true });
let drawn = 0;
const render = (inner) => {
  const side = SIZE * (0.5 + 0.5 * random());
  const x = (SIZE - side) * random(), y = (SIZE - side) * random();
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="${SIZE}" height="${SIZE}">` +
    `<rect width="${SIZE}" height="${SIZE}" fill="${background()}"/>${inner(x, y, side)}</svg>`;
  const file = join(options.out, `${String(drawn++).padStart(5, "0")}.png`);
  execFileSync("rsvg-convert", ["-o", file], { input: svg });
  if (drawn % 200 === 0) console.log(`${drawn} pictures`);
};

for (const set of ["noto", "fluent-emoji-flat"]) {
  const data = JSON.parse(readFileSync(join(options["node-modules"], "@iconify-json", set, "icons.json"), "utf8"));
  const names = Object.keys(data.icons).filter((name) => !/skin-tone|^flag|keycap/.test(name)).sort();
  for (const name of shuffled(names).slice(0, Number(options.count))) {
    const icon = data.icons[name];
    const width = icon.width ?? data.width ?? 16, height = icon.height ?? data.height ?? 16;
    render((x, y, side) => `<svg x="${x}" y="${y}" width="${side}" height="${side}" viewBox="0 0 ${width} ${height}">${icon.body}</svg>`);
  }
}
const solid = join(options["node-modules"], "@lobehub/fluent-emoji-3d/assets");
const temporary = join(options.out, ".decoded.png");
for (const name of shuffled(readdirSync(solid).filter((f) => /^[0-9a-f]+\.webp$/.test(f)).sort()).slice(0, Number(options.count))) {
  execFileSync("dwebp", ["-quiet", join(solid, name), "-o", temporary]);
  const picture = readFileSync(temporary).toString("base64");
  render((x, y, side) => `<image x="${x}" y="${y}" width="${side}" height="${side}" xlink:href="data:image/png;base64,${picture}"/>`);
}
rmSync(temporary, { force: true });
writeFileSync(join(options.out, "README.txt"), "noto: Apache-2.0; fluent emoji: MIT.\n");
console.log(`${drawn} pictures in ${options.out}`);
