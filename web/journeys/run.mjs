// What people do on the page, in real Chromium against the real program:
//   npm run journeys -- [--shots FOLDER] [--only NAME]
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { Served } from './served.mjs';

const argument = (name) => (process.argv.includes(name) ? process.argv[process.argv.indexOf(name) + 1] : '');
const shots = argument('--shots');
const only = argument('--only');
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const PATIENCE = 240_000;

const served = new Served();
const address = await served.start();
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, reducedMotion: 'reduce' });
const page = await context.newPage();
page.setDefaultTimeout(30_000);
const strange = [];
page.on('pageerror', (error) => strange.push(error.message));
page.on('request', (request) => {
  const { protocol, host } = new URL(request.url());
  if (protocol.startsWith('http') && host !== new URL(address).host) strange.push(`asked ${host}`);
});

const prompt = () => page.getByLabel('Prompt', { exact: true });
const press = () => page.getByRole('button', { name: /^Generate/ }).click();
/** Presses Generate and waits until the server has the job. */
const generate = () =>
  Promise.all([page.waitForResponse((r) => r.url().endsWith('/v1/jobs') && r.request().method() === 'POST'), press()]);
const setSteps = (steps) => page.getByLabel('Sampling steps', { exact: true }).fill(String(steps));
const finished = async () => {
  while ((await jobs()).some((job) => job.state === 'queued' || job.state === 'running')) await page.waitForTimeout(300);
  await page.waitForFunction(() => document.querySelector('.presence')?.textContent === 'Ready' && !document.querySelector('.running'), null, { timeout: PATIENCE });
};
const jobs = async () => (await (await fetch(`${address}/v1/jobs`)).json()).jobs;
const open = async (hash) => {
  await page.goto(`${address}/#/${hash}`);
  await page.locator('main h1').waitFor({ state: 'attached' });
};

/** No violation of axe's rules on what is on the screen now. */
async function scan(what) {
  // Evaluating passes the page's own policy, which allows no other scripts.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  const list = violations.map((v) => `${v.id}: ${v.nodes.slice(0, 4).map((n) => `${n.target.join(' ')} ${n.failureSummary.split('\n').slice(1, 2)}`).join(' | ')}`);
  assert.deepEqual(list, [], `${what} has violations`);
}

const journeys = {
  'from the first visit to the first picture': async () => {
    await open('');
    await page.waitForFunction(() => document.querySelector('.prompt textarea').value !== '');
    assert.equal(await page.getByLabel('Width', { exact: true }).inputValue(), '128');
    await page.locator('.tokens').first().waitFor();
    await setSteps(2);
    await generate();
    await page.locator('.running').waitFor();
    await page.getByRole('button', { name: 'Cancel' }).first().waitFor();
    await finished();
    const picture = page.locator('.main-picture img');
    await picture.waitFor();
    assert.ok(await picture.evaluate((img) => img.decode().then(() => img.naturalWidth === 128)));
    assert.match(await page.locator('.infotext').textContent(), /Steps: 2/);
  },

  'a LoRA by its card, with and without': async () => {
    await open('create');
    const card = page.locator('.shelf').getByRole('button', { name: /3dmm_style/ }).first();
    await card.click();
    assert.match(await prompt().inputValue(), /^3dmm style, .* <lora:3dmm_style:1>$/);
    assert.equal(await card.getAttribute('aria-pressed'), 'true');
    await page.getByLabel('Weight', { exact: true }).fill('0.8');
    assert.match(await prompt().inputValue(), /<lora:3dmm_style:0.8>/);
    await prompt().press('End');
    await prompt().press('ArrowLeft');
    await prompt().press('Control+ArrowUp');
    assert.match(await prompt().inputValue(), /<lora:3dmm_style:0.85>/);
    await page.getByLabel('Also without LoRA, to compare').check();
    await generate();
    await page.locator('.compare').waitFor({ timeout: PATIENCE });
    await page.locator('.compare input').press('Home');
    assert.match(await page.locator('.report').textContent(), /3dmm_style\s*applied/);
    await page.getByLabel('Also without LoRA, to compare').uncheck();
  },

  'names are completed by keyboard, mistakes and missing LoRAs are shown': async () => {
    await open('create');
    await prompt().fill('');
    await prompt().pressSequentially('a fox <3d');
    await page.getByRole('option', { name: /3dmm_style/ }).waitFor();
    await prompt().press('Enter');
    assert.equal(await prompt().inputValue(), 'a fox <lora:3dmm_style:1>');
    await prompt().fill('(a fox <lora:nowhere:1>');
    await page.getByText('“(” is never closed.').waitFor();
    await page.getByText('There is no LoRA of this name in the collection.').waitFor();
    await generate();
    await finished();
    await page.locator('.report').getByText('is missing').waitFor();
  },

  'several wait, one is cancelled': async () => {
    await open('create');
    await prompt().fill('a house');
    await setSteps(40);
    for (let i = 0; i < 3; ++i) await generate();
    const queue = page.locator('.queue');
    await queue.waitFor();
    const before = (await jobs()).filter((job) => job.state === 'cancelled').length;
    await queue.getByRole('button', { name: /^Cancel/ }).last().click();
    await page.waitForFunction(() => document.querySelectorAll('.queue li').length < 3);
    assert.equal((await jobs()).filter((job) => job.state === 'cancelled').length, before + 1);
    while ((await jobs()).some((job) => job.state === 'queued' || job.state === 'running'))
      for (const job of await jobs())
        if (job.state === 'queued' || job.state === 'running') await fetch(`${address}/v1/jobs/${job.id}/cancel`, { method: 'POST', body: '{}' });
    await finished();
    await setSteps(2);
  },

  'inpaint by mouse and by keyboard': async () => {
    await open('create');
    await prompt().fill('a fox');
    await page.locator('.strip button').last().click();
    await page.getByRole('button', { name: 'To inpaint' }).click();
    const canvas = page.locator('.mask canvas');
    await canvas.waitFor();
    await press();
    await page.getByText('Paint over what shall be drawn anew.').waitFor();
    await canvas.scrollIntoViewIfNeeded();
    const box = await canvas.boundingBox();
    await page.mouse.move(box.x + box.width * 0.3, box.y + box.height * 0.3);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.7, box.y + box.height * 0.5, { steps: 6 });
    await page.mouse.up();
    const marked = async () => Number(/(\d+) %/.exec(await page.locator('.mask [aria-live]').textContent())[1]);
    const byMouse = await marked();
    assert.ok(byMouse > 2, `${byMouse} % are marked`);
    await canvas.focus();
    for (let i = 0; i < 8; ++i) await canvas.press('ArrowDown');
    await canvas.press(' ');
    assert.ok((await marked()) > byMouse);
    await generate();
    await finished();
    const [last] = await jobs();
    assert.equal(last.kind, 'img2img');
    assert.equal(last.state, 'completed');
    await page.getByRole('radio', { name: 'Text' }).check();
  },

  'a plot of weights': async () => {
    await open('create');
    await prompt().fill('a fox <lora:3dmm_style:1>');
    await page.locator('.plot-panel > summary').click();
    await page.getByLabel('X values').fill('0, 1');
    await page.getByRole('button', { name: 'Make 2 pictures' }).click();
    await page.waitForFunction(() => document.querySelectorAll('.plot img').length === 2, null, { timeout: PATIENCE });
    assert.deepEqual(await page.locator('.plot thead th').allTextContents(), ['LoRA weight: 0', 'LoRA weight: 1']);
  },

  'a dropped picture tells its settings': async () => {
    await open('results');
    await page.locator('.gallery button').first().waitFor();
    const outputs = (await (await fetch(`${address}/v1/outputs`)).json()).outputs;
    const bytes = Buffer.from(await (await fetch(address + outputs.at(-1).url)).arrayBuffer()).toString('base64');
    await page.evaluate((text) => {
      const data = new DataTransfer();
      data.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], 'dropped.png', { type: 'image/png' }));
      dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
    }, bytes);
    const dialog = page.getByRole('dialog', { name: 'dropped.png' });
    await dialog.getByText('Sampler').waitFor();
    await scan('the dropped picture');
    await dialog.getByRole('button', { name: 'Use these settings' }).click();
    await page.locator('.create').waitFor();
    assert.match(await prompt().inputValue(), /fox/);
  },

  'the collection: search, details, rating': async () => {
    await open('loras');
    await page.getByLabel('Search by name, trigger word or tag').fill('nothing like this');
    await page.getByText('No LoRA matches').waitFor();
    await page.getByRole('button', { name: 'Clear the filters' }).click();
    await page.getByRole('button', { name: 'Details of 3dmm_style' }).click();
    const panel = page.getByRole('complementary', { name: 'About 3dmm_style' });
    await panel.getByRole('button', { name: '4 of 5' }).click();
    await panel.getByText('Saved.').waitFor();
    await page.reload();
    await page.waitForFunction(() => document.querySelector('[aria-label="4 of 5"]')?.getAttribute('aria-pressed') === 'true');
    await panel.press('Escape');
    await panel.waitFor({ state: 'detached' });
  },

  'the server dies and comes back': async () => {
    await open('create');
    await prompt().fill('what I was writing');
    await setSteps(30);
    await generate();
    await page.locator('.running progress').waitFor();
    await served.kill();
    await page.getByText('The server cannot be reached.').waitFor();
    await served.start();
    await page.getByText('The server cannot be reached.').waitFor({ state: 'detached' });
    assert.equal(await prompt().inputValue(), 'what I was writing');
    await page.reload();
    assert.equal(await prompt().inputValue(), 'what I was writing');
    await finished();
    const [last] = await jobs();
    assert.equal(last.state, 'completed');
    await setSteps(20);
  },

  'ten thousand cards scroll': async () => {
    const real = await (await fetch(`${address}/v1/loras`)).json();
    const many = Array.from({ length: 10_000 }, (_, i) => ({ ...real.loras[0], name: `lora ${i}`, relative: `many/lora ${i}`, alias: `lora ${i}` }));
    await page.route('**/v1/loras', (route) => route.fulfill({ json: { loras: many, total: many.length } }));
    await open('loras');
    await page.reload();
    await page.getByText('10000', { exact: true }).waitFor();
    assert.ok((await page.locator('.grid .card').count()) < 150);
    await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
    await page.getByRole('button', { name: 'Details of lora 9999' }).waitFor();
    await page.unroute('**/v1/loras');
  },

  'every page in every size and look': async () => {
    if (shots) mkdirSync(shots, { recursive: true });
    await open('create');
    await prompt().fill('3dmm style, (a red fox:1.2), blue background <lora:3dmm_style:0.8>');
    for (const [width, height] of [[1440, 900], [768, 1024], [360, 780]])
      for (const colorScheme of ['light', 'dark']) {
        await page.setViewportSize({ width, height });
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
        for (const hash of ['create', 'loras', 'loras/3dmm_style', 'results', 'train', 'settings']) {
          await open(hash);
          await page.reload();
          await page.waitForLoadState('networkidle').catch(() => {});
          await page.locator('.state .spinner').first().waitFor({ state: 'detached' });
          const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          assert.ok(over <= 0, `${hash} at ${width} is ${over} pixels too wide`);
          await scan(`${hash} at ${width}, ${colorScheme}`);
          if (shots) await page.screenshot({ path: join(shots, `${hash.replace('/', '-')}-${width}-${colorScheme}.png`), animations: 'disabled' });
        }
      }
  },
};

let failures = 0;
for (const [name, journey] of Object.entries(journeys)) {
  if (only && !name.includes(only)) continue;
  const start = Date.now();
  try {
    await journey();
    assert.deepEqual(strange.splice(0), [], 'errors in the page, or requests to elsewhere');
    console.log(`ok    ${name} (${((Date.now() - start) / 1000).toFixed(1)} s)`);
  } catch (error) {
    ++failures;
    strange.length = 0;
    console.log(`FAIL  ${name}\n${error.stack}`);
    if (shots) await page.screenshot({ path: join(shots, `FAIL-${failures}.png`) }).catch(() => {});
  }
}
await browser.close();
await served.end();
process.exit(failures === 0 ? 0 : 1);
