// Every page in every size and look, and the README's pictures.
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const VIEWS = ['create', 'loras', 'loras/3dmm_style', 'results', 'train', 'train/faces', 'settings'];
const SIZES = [[1440, 900], [768, 1024], [360, 780]];

async function show(visit, view) {
  await visit.open(view);
  await visit.page.reload();
  await visit.page.locator('main h1, main h2, main form, main textarea').first().waitFor();
  await visit.page.locator('.state .spinner').first().waitFor({ state: 'detached' });
}

/** A screenshot as WebP, made by the browser itself. */
async function webp(visit, file, quality = 0.86) {
  const png = (await visit.page.screenshot({ animations: 'disabled' })).toString('base64');
  const other = await visit.browser.newPage();
  const text = await other.evaluate(async ([data, q]) => {
    const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
    const bitmap = await createImageBitmap(new Blob([bytes], { type: 'image/png' }));
    const canvas = document.createElement('canvas');
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
    canvas.getContext('2d').drawImage(bitmap, 0, 0);
    return canvas.toDataURL('image/webp', q).split(',')[1];
  }, [png, quality]);
  await other.close();
  const bytes = Buffer.from(text, 'base64');
  assert.ok(bytes.length <= 150_000, `${file} has ${bytes.length} bytes`);
  writeFileSync(file, bytes);
}

export default {
  'every page in every size and look': async (visit) => {
    const { page, shots } = visit;
    await visit.open('create');
    await visit.prompt().fill('3dmm style, (a red fox:1.2), blue background <lora:3dmm_style:0.8>');
    for (const [width, height] of SIZES)
      for (const colorScheme of ['light', 'dark']) {
        await page.setViewportSize({ width, height });
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
        for (const view of VIEWS) {
          await show(visit, view);
          const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          assert.ok(over <= 0, `${view} at ${width} is ${over} pixels too wide`);
          await visit.scan(`${view} at ${width}, ${colorScheme}`);
          if (shots) await page.screenshot({ path: join(shots, `${view.replace('/', '-')}-${width}-${colorScheme}.png`), animations: 'disabled', fullPage: true });
        }
      }
    await page.setViewportSize({ width: SIZES[0][0], height: SIZES[0][1] });
  },

  'the page asks for nothing that the API does not describe': async (visit) => {
    const { paths } = await visit.ask('/openapi.json');
    // Any path would fit that of the page's own files.
    const rows = Object.entries(paths).filter(([path]) => path !== '/{file}').map(([path, methods]) => ({
      // The last braces of a path may hold slashes.
      fits: new RegExp(`^${path.replace(/[.=]/g, '\\$&').replace(/\{\w+\}$/, '.+').replace(/\{\w+\}/g, '[^/]+')}$`),
      methods,
    }));
    assert.ok(visit.asked.size > 10, `only ${visit.asked.size} requests were made`);
    for (const [key, fields] of visit.asked) {
      const [method, path] = key.split(' ');
      const row = rows.find(({ fits, methods }) => fits.test(path) && methods[method.toLowerCase()]);
      assert.ok(row, `${key} is no route of the API`);
      const known = row.methods[method.toLowerCase()].requestBody?.content['application/json'].schema.properties ?? {};
      for (const name of fields) assert.ok(name in known, `${key} knows no field ${name}`);
    }
  },

  'pictures for the README': async (visit) => {
    const { page, pictures, served } = visit;
    if (!pictures) return;
    const take = async (view, colorScheme, name) => {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await show(visit, view);
      await webp(visit, join(pictures, `${name}.webp`));
    };
    await page.setViewportSize({ width: 1440, height: 900 });
    // Not the one that the stand-in sites gave.
    for (const { name, relative } of (await visit.ask('/v1/loras')).loras)
      if (name === 'Red Fox') rmSync(join(served.folder, 'models/Lora', `${relative}.safetensors`));
    // A picture worth showing: what the first visit prefills, with and without its LoRA.
    await visit.open('create');
    await visit.prompt().fill('zorbo, noto style, red background <lora:character_zorbo:1>');
    await visit.setSteps(20);
    for (const [label, value] of [['Width', '128'], ['Height', '128'], ['Seed', '1648244211'], ['CFG Scale', '5']])
      await page.getByLabel(label, { exact: true }).fill(value);
    await page.getByLabel('Compare with and without LoRA').check();
    await visit.generate();
    await visit.finished();
    await take('loras/3dmm_style', 'dark', 'page-loras');
    await take('train/faces', 'light', 'page-train');
    await take('create', 'light', 'page-create');
  },
};
