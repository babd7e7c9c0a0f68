// What people do on the page, in real Chromium against the real program:
//   npm run journeys -- [--shots FOLDER] [--only WORDS] [--pictures FOLDER]
// --shots keeps every screenshot of every page, size and look; --pictures makes the README's.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import collection from './collection.mjs';
import create from './create.mjs';
import families from './families.mjs';
import looks from './looks.mjs';
import results from './results.mjs';
import server from './server.mjs';
import train from './train.mjs';
import { Served } from './served.mjs';
import { Visit } from './visit.mjs';

const argument = (name) => (process.argv.includes(name) ? process.argv[process.argv.indexOf(name) + 1] : '');
const [only, shots, pictures] = ['--only', '--shots', '--pictures'].map(argument);
for (const folder of [shots, pictures]) if (folder) mkdirSync(folder, { recursive: true });

const served = new Served();
await served.startSites();
await served.start();
const visit = await Visit.begin(served);
visit.shots = shots && resolve(shots);
visit.pictures = pictures && resolve(pictures);

let failures = 0;
const begin = Date.now();
for (const [name, journey] of Object.entries({ ...create, ...results, ...collection, ...families, ...train, ...server, ...looks })) {
  if (only && !name.includes(only)) continue;
  const start = Date.now();
  try {
    await journey(visit);
    assert.deepEqual(visit.strange.splice(0), [], 'errors in the page, or requests to elsewhere');
    console.log(`ok    ${name} (${((Date.now() - start) / 1000).toFixed(1)} s)`);
  } catch (error) {
    ++failures;
    visit.strange.length = 0;
    console.log(`FAIL  ${name}\n${error.stack}`);
    if (shots) await visit.page.screenshot({ path: join(shots, `FAIL-${failures}.png`) }).catch(() => {});
  }
}
await visit.browser.close();
await served.end();
console.log(`${failures === 0 ? 'all journeys end well' : `${failures} journeys fail`} (${((Date.now() - begin) / 1000).toFixed(0)} s)`);
process.exit(failures === 0 ? 0 : 1);
