// The page's first load must stay below 200 kB compressed: all files of dist together, since all are loaded first.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

const most = 200_000;
const files = readdirSync('dist', { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
const sum = files.reduce((bytes, entry) => bytes + gzipSync(readFileSync(join(entry.parentPath ?? entry.path, entry.name))).length, 0);
console.log(`first load: ${(sum / 1000).toFixed(1)} kB compressed in ${files.length} files`);
if (sum > most) {
  console.error(`The page must load with at most ${most / 1000} kB.`);
  process.exit(1);
}
