// The LoRAs themselves.
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PATIENCE } from './visit.mjs';

export default {
  'the collection: search, filters, details, rating': async (visit) => {
    const { page } = visit;
    await visit.open('loras');
    await page.getByLabel('Search by name, trigger word or tag').fill('nothing like this');
    await page.getByText('No matching LoRAs').waitFor();
    await page.getByRole('button', { name: 'Clear filters' }).click();
    const cards = page.locator('.grid .card');
    // Each type's filter leaves as many cards as it promises, and they are the server's.
    for (const type of ['character', 'style', 'concept', 'pose', 'clothing', 'object']) {
      const { total } = await visit.ask(`/v1/loras?type=${type}`);
      await page.getByLabel('Type', { exact: true }).first().selectOption(type);
      await page.waitForFunction((n) => document.querySelectorAll('.grid .card').length === n, total);
      assert.match(await page.getByLabel('Type', { exact: true }).first().locator('option:checked').textContent(), new RegExp(`\\(${total}\\)`));
    }
    await page.getByLabel('Type', { exact: true }).first().selectOption('');
    await page.getByLabel(/^Compatible with/).check();
    await page.waitForFunction((n) => document.querySelectorAll('.grid .card').length === n, (await visit.ask('/v1/loras?fits=starter')).total);
    await page.getByLabel(/^Compatible with/).uncheck();
    await cards.first().waitFor();
    await page.getByRole('button', { name: 'Details of 3dmm_style' }).click();
    const panel = page.getByRole('complementary', { name: 'About 3dmm_style' });
    await panel.getByRole('button', { name: '4 of 5' }).click();
    await panel.getByText('Saved.').waitFor();
    await page.reload();
    await page.waitForFunction(() => document.querySelector('[aria-label="4 of 5"]')?.getAttribute('aria-pressed') === 'true');
    await page.getByLabel('Rating', { exact: true }).first().selectOption('4');
    await page.waitForFunction(() => document.querySelectorAll('.grid .card').length === 1);
    await page.getByLabel('Rating', { exact: true }).first().selectOption('0');
    await panel.press('Escape');
    await panel.waitFor({ state: 'detached' });
  },

  'misspelt, by folder, by name': async (visit) => {
    const { page, served } = visit;
    const folder = join(served.folder, 'models/Lora');
    mkdirSync(join(folder, 'zoo'));
    copyFileSync(join(folder, 'pose_lotus.safetensors'), join(folder, 'zoo/aardvark.safetensors'));
    await visit.open('loras');
    await page.reload();
    const search = page.getByLabel('Search by name, trigger word or tag');
    await search.fill('umbrela');
    await page.getByText('No results for “umbrela”').waitFor();
    await page.getByRole('button', { name: 'Details of object_umbrella' }).waitFor();
    await visit.scan('a misspelt search');
    await search.fill('');
    await page.getByLabel('Sort by').selectOption('name');
    await page.getByLabel('Folder').selectOption('zoo');
    await page.waitForFunction(() => document.querySelectorAll('.grid .card').length === 1);
    await page.getByLabel('Folder').selectOption('');
    const names = page.locator('.grid .card-title');
    await page.waitForFunction(() => document.querySelectorAll('.grid .card').length > 6);
    assert.deepEqual((await names.allTextContents()).slice(0, 2), ['3dmm_style', 'aardvark']);
    await visit.open('create');
    await page.getByLabel('Search LoRAs').fill('umbrela');
    await page.locator('.shelf').getByRole('button', { name: /object_umbrella/ }).first().waitFor();
    await page.getByLabel('Search LoRAs').fill('');
    rmSync(join(folder, 'zoo'), { recursive: true });
  },

  'a preview from a result': async (visit) => {
    const { page } = visit;
    const before = (await visit.ask('/v1/loras/pose_lotus')).preview;
    const bytes = async (path) => Buffer.from(await (await fetch(visit.served.address + path)).arrayBuffer());
    const old = await bytes(before);
    await visit.open('loras/pose_lotus');
    await page.getByRole('button', { name: 'Use last image as preview' }).click();
    await page.waitForFunction((old) => document.querySelector('.panel-picture').getAttribute('src') !== old, before);
    const job = (await visit.jobs()).find((j) => j.kind !== 'extras' && j.state === 'completed' && j.pictures > 0);
    const { preview } = await visit.ask('/v1/loras/pose_lotus');
    assert.ok((await bytes(preview)).equals(await bytes(`/v1/jobs/${job.id}/pictures/0`)));
    await fetch(`${visit.served.address}/v1/loras/pose_lotus/preview`, { method: 'PUT', body: old });
  },

  'a LoRA is imported by its address': async (visit) => {
    const { page, served } = visit;
    await visit.open('loras');
    await page.getByRole('button', { name: 'Import', exact: true }).click();
    const panel = page.getByRole('region', { name: 'Import' });
    await panel.getByLabel('LoRA URL').fill('https://example.com/models/1');
    await panel.getByRole('button', { name: 'Import' }).click();
    await panel.locator('.notice-bad').waitFor();
    await panel.getByLabel('LoRA URL').fill(`${served.sitesUrl}/models/123`);
    // What was written outlives a reload.
    await page.reload();
    assert.equal(await panel.getByLabel('LoRA URL').inputValue(), `${served.sitesUrl}/models/123`);
    await panel.getByRole('button', { name: 'Import' }).click();
    await panel.getByRole('progressbar').waitFor();
    await visit.scan('an import');
    await panel.getByRole('link', { name: /Red Fox/ }).waitFor({ timeout: PATIENCE });
    await page.getByRole('button', { name: 'Details of Red Fox' }).waitFor();
    await panel.getByRole('link', { name: /Red Fox/ }).click();
    await page.getByRole('complementary', { name: 'About Red Fox' }).getByText('foxy', { exact: true }).waitFor();
  },

  'notes that were not saved outlive a reload': async (visit) => {
    const { page } = visit;
    await visit.open('loras/pose_lotus');
    await page.getByLabel('Notes').fill('sits well');
    await page.reload();
    await page.getByRole('button', { name: 'Save notes' }).click();
    await page.getByText('Saved.').waitFor();
    assert.equal((await visit.ask('/v1/loras/pose_lotus')).notes, 'sits well');
  },

  'a preview that is no picture, and the top of each view': async (visit) => {
    const { page, served } = visit;
    const folder = join(served.folder, 'models/Lora');
    copyFileSync(join(folder, 'pose_lotus.safetensors'), join(folder, 'broken.safetensors'));
    writeFileSync(join(folder, 'broken.png'), 'no picture');
    await visit.open('loras');
    await page.reload();
    const card = page.locator('.grid .card', { hasText: 'broken' });
    await card.locator('.letters').waitFor();
    assert.equal(await card.locator('img').count(), 0);
    for (const name of ['broken.safetensors', 'broken.png']) rmSync(join(folder, name));
    await page.setViewportSize({ width: 360, height: 780 });
    await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
    await page.getByRole('link', { name: 'Create' }).last().click();
    await page.locator('.create').waitFor();
    await page.waitForFunction(() => scrollY === 0);
    await page.setViewportSize({ width: 1440, height: 900 });
  },

  'duplicates are found': async (visit) => {
    const { page, served } = visit;
    const folder = join(served.folder, 'models/Lora');
    copyFileSync(join(folder, 'pose_lotus.safetensors'), join(folder, 'twin.safetensors'));
    await visit.open('loras');
    await page.getByRole('button', { name: 'Duplicates' }).click();
    const view = page.getByRole('region', { name: 'Duplicates' });
    await view.getByText('Identical files').waitFor();
    for (const name of ['pose_lotus', 'twin']) assert.ok(await view.getByRole('link', { name: new RegExp(name) }).first().isVisible());
    await visit.scan('duplicates');
    rmSync(join(folder, 'twin.safetensors'));
    await page.getByRole('button', { name: 'Duplicates' }).click();
  },

  'ten thousand cards scroll': async (visit) => {
    const { page } = visit;
    const real = await visit.ask('/v1/loras');
    const many = Array.from({ length: 10_000 }, (_, i) => ({ ...real.loras[0], name: `lora ${i}`, relative: `many/lora ${i}`, alias: `lora ${i}` }));
    await page.route('**/v1/loras?sort=name', (route) => route.fulfill({ json: { loras: many, total: many.length } }));
    await visit.open('loras');
    await page.reload();
    await page.getByText('10000', { exact: true }).waitFor();
    assert.ok((await page.locator('.grid .card').count()) < 150);
    await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
    await page.getByRole('button', { name: 'Details of lora 9999' }).waitFor();
    assert.ok((await page.locator('.grid .card').count()) < 150);
    await page.unroute('**/v1/loras?sort=name');
  },
};
