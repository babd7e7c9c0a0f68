// From a prompt to a picture.
import assert from 'node:assert/strict';
import { PATIENCE } from './visit.mjs';

export default {
  'from the first visit to the first picture': async (visit) => {
    const { page } = visit;
    await visit.open('');
    await page.waitForFunction(() => document.querySelector('.prompt textarea').value !== '');
    assert.equal(await page.getByLabel('Width', { exact: true }).inputValue(), '128');
    await page.locator('.tokens').first().waitFor();
    await visit.setSteps(2);
    await visit.generate();
    await visit.finished();
    const picture = page.locator('.main-picture img');
    await picture.waitFor();
    assert.ok(await picture.evaluate((img) => img.decode().then(() => img.naturalWidth === 128)));
    assert.match(await page.locator('.infotext').textContent(), /Steps: 2/);
  },

  'a LoRA by its card, with and without': async (visit) => {
    const { page } = visit;
    await visit.open('create');
    const card = page.locator('.shelf').getByRole('button', { name: /3dmm_style/ }).first();
    await card.click();
    assert.match(await visit.prompt().inputValue(), /^3dmm style, .* <lora:3dmm_style:1>$/);
    assert.equal(await card.getAttribute('aria-pressed'), 'true');
    await page.getByLabel('Weight', { exact: true }).fill('0.8');
    assert.match(await visit.prompt().inputValue(), /<lora:3dmm_style:0.8>/);
    await visit.prompt().press('End');
    await visit.prompt().press('ArrowLeft');
    await visit.prompt().press('Control+ArrowUp');
    assert.match(await visit.prompt().inputValue(), /<lora:3dmm_style:0.85>/);
    await page.getByLabel('Also without LoRA, to compare').check();
    await visit.generate();
    await page.locator('.compare').waitFor({ timeout: PATIENCE });
    await page.locator('.compare input').press('Home');
    assert.equal(await page.locator('.compare input').inputValue(), '0');
    assert.match(await page.locator('.report').textContent(), /3dmm_style\s*applied/);
    await page.getByLabel('Also without LoRA, to compare').uncheck();
  },

  'names are completed by keyboard, mistakes and missing LoRAs are shown': async (visit) => {
    const { page } = visit;
    await visit.open('create');
    await visit.prompt().fill('');
    await visit.prompt().pressSequentially('a fox <3d');
    await page.getByRole('option', { name: /3dmm_style/ }).waitFor();
    await visit.prompt().press('Enter');
    assert.equal(await visit.prompt().inputValue(), 'a fox <lora:3dmm_style:1>');
    await visit.prompt().fill('(a fox <lora:nowhere:1>');
    await page.getByText('“(” is never closed.').waitFor();
    await page.getByText('There is no LoRA of this name in the collection.').waitFor();
    await visit.generate();
    await visit.finished();
    await page.locator('.report').getByText('is missing').waitFor();
  },

  'several wait, one is cancelled': async (visit) => {
    const { page } = visit;
    await visit.open('create');
    await visit.prompt().fill('a house');
    // Behind something long nothing ends before its turn.
    const long = { prompt: 'a house', steps: 1000, width: 512, height: 512, save_images: false };
    const ids = [(await visit.ask('/v1/jobs', { method: 'POST', body: JSON.stringify({ kind: 'txt2img', request: long }) })).id];
    for (let i = 0; i < 3; ++i) ids.push(await visit.generate());
    const queue = page.locator('.queue');
    await page.waitForFunction(() => document.querySelectorAll('.queue li').length === 4);
    await queue.getByRole('button', { name: /^Cancel/ }).last().click();
    await page.waitForFunction(() => document.querySelectorAll('.queue li').length < 4);
    const states = () => Promise.all(ids.map(async (id) => (await visit.ask(`/v1/jobs/${id}`)).state));
    assert.equal((await states()).filter((state) => state === 'cancelled').length, 1);
    for (const id of ids) await visit.ask(`/v1/jobs/${id}/cancel`, { method: 'POST', body: '{}' });
    await visit.finished();
    await visit.setSteps(2);
  },

  'inpaint by mouse and by keyboard': async (visit) => {
    const { page } = visit;
    await visit.open('create');
    await visit.prompt().fill('a fox');
    await page.locator('.strip button').last().click();
    await page.getByRole('button', { name: 'To inpaint' }).click();
    const canvas = page.locator('.mask canvas');
    await canvas.waitFor();
    await visit.press();
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
    await visit.scan('inpaint');
    const id = await visit.generate();
    await visit.finished();
    const job = await visit.ask(`/v1/jobs/${id}`);
    assert.deepEqual([job.kind, job.state], ['img2img', 'completed']);
    await page.getByRole('radio', { name: 'Text' }).check();
  },

  'a plot of weights': async (visit) => {
    const { page } = visit;
    await visit.open('create');
    await visit.prompt().fill('a fox <lora:3dmm_style:1>');
    await page.locator('.plot-panel > summary').click();
    await page.getByLabel('X values').fill('0, 1');
    await page.getByRole('button', { name: 'Make 2 pictures' }).click();
    await page.waitForFunction(() => document.querySelectorAll('.plot img').length === 2, null, { timeout: PATIENCE });
    assert.deepEqual(await page.locator('.plot thead th').allTextContents(), ['LoRA weight: 0', 'LoRA weight: 1']);
    await visit.finished();
  },
};
