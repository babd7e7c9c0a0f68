// From a prompt to a picture.
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { PATIENCE } from './visit.mjs';

export default {
  'from the first visit to the first picture': async (visit) => {
    const { page } = visit;
    await visit.open('');
    await page.waitForFunction(() => document.querySelector('.prompt textarea').value !== '');
    // What the starter's card says, with a LoRA and the comparison; one line says what the model is and how to get another.
    const { settings } = (await visit.ask('/v1/checkpoints')).checkpoints.find((c) => c.is_starter).card;
    assert.equal(await visit.prompt().inputValue(), settings.prompt);
    assert.match(settings.prompt, /<lora:/);
    for (const [label, value] of [['Width', settings.width], ['CFG Scale', settings.cfg_scale], ['Sampling method', settings.sampler_name]])
      assert.equal(await page.getByLabel(label, { exact: true }).inputValue(), String(value));
    assert.ok(await page.getByLabel('Compare with and without LoRA').isChecked());
    const note = page.locator('.starter-note');
    assert.match(await note.textContent(), /Small starter model.*Stable Diffusion 1\.5/);
    assert.equal(await page.locator('.chip-missing').count(), 0);
    await page.locator('.tokens').first().waitFor();
    await visit.scan('the first visit');
    await visit.generate();
    await page.locator('.compare').waitFor({ timeout: PATIENCE });
    await visit.finished();
    await page.getByLabel('Compare with and without LoRA').uncheck();
    await visit.setSteps(2);
    await visit.generate();
    await visit.finished();
    const picture = page.locator('.main-picture img');
    await picture.waitFor();
    assert.ok(await picture.evaluate((img) => img.decode().then(() => img.naturalWidth === 128)));
    assert.match(await page.locator('.infotext').textContent(), /Steps: 2/);
  },

  'the picture is seen while it is drawn, and what was drawn is kept when it is cancelled': async (visit) => {
    const { page } = visit;
    await visit.open('create');
    await page.getByLabel('Width', { exact: true }).fill('256');
    await page.getByLabel('Height', { exact: true }).fill('256');
    await visit.setSteps(150);
    const id = await visit.generate();
    const sofar = page.getByAltText('Live preview');
    await sofar.waitFor({ timeout: PATIENCE });
    // Its address changes with each preview, so that it must be caught when it is there.
    await page.waitForFunction(() => document.querySelector('.running-picture img')?.naturalWidth > 0, null, { timeout: PATIENCE });
    await page.locator('.running').getByRole('button', { name: 'Cancel' }).click();
    await page.getByText('Cancelled: partial image.').waitFor({ timeout: PATIENCE });
    const picture = page.locator('.main-picture img');
    assert.ok(await picture.evaluate((img) => img.decode().then(() => img.naturalWidth === 256)));
    const job = await visit.ask(`/v1/jobs/${id}`);
    assert.deepEqual([job.state, job.pictures], ['cancelled', 1]);
    await page.getByLabel('Width', { exact: true }).fill('128');
    await page.getByLabel('Height', { exact: true }).fill('128');
    await visit.setSteps(2);
  },

  'a LoRA by its card, with and without': async (visit) => {
    const { page } = visit;
    await visit.open('create');
    await visit.prompt().fill('a red fox');
    const card = page.locator('.shelf').getByRole('button', { name: /3dmm_style/ }).first();
    await card.click();
    assert.match(await visit.prompt().inputValue(), /^3dmm style, a red fox <lora:3dmm_style:1>$/);
    assert.equal(await card.getAttribute('aria-pressed'), 'true');
    await page.getByLabel('Weight', { exact: true }).fill('0.8');
    assert.match(await visit.prompt().inputValue(), /<lora:3dmm_style:0.8>/);
    await visit.prompt().press('End');
    await visit.prompt().press('ArrowLeft');
    await visit.prompt().press('Control+ArrowUp');
    assert.match(await visit.prompt().inputValue(), /<lora:3dmm_style:0.85>/);
    await page.getByLabel('Compare with and without LoRA').check();
    await visit.generate();
    await page.locator('.compare').waitFor({ timeout: PATIENCE });
    await page.locator('.compare input').press('Home');
    assert.equal(await page.locator('.compare input').inputValue(), '0');
    assert.match(await page.locator('.report').textContent(), /3dmm_style\s*applied/);
    await page.getByLabel('Compare with and without LoRA').uncheck();
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
    await page.getByText('“(” is not closed.').waitFor();
    await page.getByText('No LoRA with this name in the collection.').waitFor();
    await visit.generate();
    await visit.finished();
    await page.locator('.report').getByText('not found').waitFor();
  },

  'what the page did to a prompt is taken back by Ctrl-Z': async (visit) => {
    const { page } = visit;
    await visit.open('create');
    const prompt = visit.prompt();
    const text = () => prompt.inputValue();
    await prompt.fill('a red fox');
    // A weight.
    await prompt.press('End');
    await prompt.press('Control+ArrowUp');
    assert.equal(await text(), 'a red (fox:1.1)');
    await prompt.press('Control+z');
    assert.equal(await text(), 'a red fox');
    await prompt.press('Control+Shift+z');
    assert.equal(await text(), 'a red (fox:1.1)');
    await prompt.press('Control+z');
    // A completion.
    await prompt.press('End');
    await prompt.pressSequentially(' <3d');
    await page.getByRole('option', { name: /3dmm_style/ }).waitFor();
    await prompt.press('Enter');
    assert.equal(await text(), 'a red fox <lora:3dmm_style:1>');
    await prompt.press('Control+z');
    assert.equal(await text(), 'a red fox <3d');
    while ((await text()) !== 'a red fox') await prompt.press('Control+z');
    // A card, with the focus on the card.
    const card = page.locator('.shelf').getByRole('button', { name: /3dmm_style/ }).first();
    await card.click();
    assert.match(await text(), /<lora:3dmm_style:1>/);
    await page.keyboard.press('Control+z');
    assert.equal(await text(), 'a red fox');
    await page.keyboard.press('Control+y');
    assert.match(await text(), /<lora:3dmm_style:1>/);
    await page.keyboard.press('Control+z');
    // What is typed behind it, and the other prompt, are their own.
    await prompt.press('End');
    await prompt.pressSequentially(', snow');
    await page.getByLabel('Negative prompt').fill('blurry');
    await page.getByLabel('Negative prompt').press('Control+z');
    assert.equal(await page.getByLabel('Negative prompt').inputValue(), '');
    assert.equal(await text(), 'a red fox, snow');
    await prompt.press('Control+z');
    assert.notEqual(await text(), 'a red fox, snow');
  },

  'settings that were copied are read where they are pasted': async (visit) => {
    const { page } = visit;
    await visit.open('create');
    await visit.prompt().fill('mine');
    await page.getByLabel('CFG Scale', { exact: true }).fill('5');
    const settings = 'a cat, green background\nNegative prompt: blurry\nSteps: 7, CFG scale: 6.5, Sampler: DPM++ 2M Karras, Seed: 77, Size: 192x128, Model: elsewhere';
    const paste = (text) => visit.prompt().evaluate((box, data) => {
      const clipboard = new DataTransfer();
      clipboard.setData('text/plain', data);
      box.dispatchEvent(new ClipboardEvent('paste', { clipboardData: clipboard, bubbles: true, cancelable: true }));
    }, text);
    await paste(settings);
    await page.getByText('Parameters from the pasted text were applied.').waitFor();
    assert.equal(await visit.prompt().inputValue(), 'a cat, green background');
    const form = { Width: '192', 'CFG Scale': '6.5', Seed: '77', 'Sampling steps': '7', 'Sampling method': 'DPM++ 2M' };
    for (const [label, value] of Object.entries(form)) assert.equal(await page.getByLabel(label, { exact: true }).inputValue(), value, label);
    assert.equal(await page.getByLabel('Negative prompt').inputValue(), 'blurry');
    await page.getByText('Made with the checkpoint elsewhere').waitFor();
    await page.getByText('The parameters use the checkpoint').waitFor();
    await visit.scan('settings that were pasted');
    // One step takes all of it back.
    await visit.prompt().press('Control+z');
    assert.equal(await visit.prompt().inputValue(), 'mine');
    assert.equal(await page.getByLabel('CFG Scale', { exact: true }).inputValue(), '5');
    // Typed, they are read on request.
    await visit.prompt().fill(settings);
    await page.getByRole('button', { name: 'Apply parameters' }).click();
    await page.waitForFunction(() => document.querySelector('.prompt textarea').value === 'a cat, green background');
    await page.getByRole('button', { name: 'Undo' }).click();
    await visit.prompt().fill('a house');
    await page.getByLabel('Width', { exact: true }).fill('128');
    await visit.setSteps(2);
  },

  'without a checkpoint, and with one that has gone, it is said before Generate': async (visit) => {
    const { page, served } = visit;
    const real = await visit.ask('/v1/checkpoints');
    await page.route('**/v1/checkpoints', (route) => route.fulfill({ json: { ...real, checkpoints: [], taken: null } }));
    await visit.open('create');
    await page.reload();
    await page.getByText('No checkpoint found, so no images can be generated.').waitFor();
    assert.match(await page.locator('.notice code').first().textContent(), /models\/Stable-diffusion$/);
    await page.getByRole('button', { name: 'Import checkpoint' }).waitFor();
    await visit.scan('no checkpoint');
    await visit.press();
    await page.getByText('No checkpoint available').waitFor();
    await visit.open('train');
    await page.getByRole('form', { name: 'Training settings' }).getByText('No checkpoint to train on').waitFor();
    await visit.open('create');
    await page.unroute('**/v1/checkpoints');
    // One is chosen and taken away.
    const folder = join(served.folder, 'models/Stable-diffusion');
    mkdirSync(folder, { recursive: true });
    copyFileSync(join(served.folder, 'share/lowrank/models/starter/starter.safetensors'), join(folder, 'soon-gone.safetensors'));
    await visit.ask('/sdapi/v1/options', { method: 'POST', body: JSON.stringify({ sd_model_checkpoint: 'soon-gone' }) });
    rmSync(join(folder, 'soon-gone.safetensors'));
    await page.reload();
    await page.getByText('The selected checkpoint soon-gone no longer exists.').waitFor();
    await visit.prompt().fill('fox, noto style, blue background');
    const id = await visit.generate();
    await visit.finished();
    assert.equal((await visit.ask(`/v1/jobs/${id}`)).state, 'completed');
    await page.getByRole('button', { name: 'Use starter' }).click();
    await page.getByText('The selected checkpoint soon-gone no longer exists.').waitFor({ state: 'detached' });
    assert.equal((await visit.ask('/v1/checkpoints')).chosen, 'starter');
  },

  'a checkpoint is imported by one press, or found by a rescan': async (visit) => {
    const { page, served } = visit;
    await visit.open('create');
    const panel = page.locator('.checkpoint-import');
    await panel.locator('summary').click();
    const source = panel.getByLabel('Checkpoint URL');
    assert.equal(await source.inputValue(), 'stable-diffusion-v1-5/stable-diffusion-v1-5:v1-5-pruned-emaonly.safetensors');
    // A site that does not have it, as without a network: the reason stands here, with a way to try again.
    await source.fill('nobody/nothing:x.safetensors');
    await panel.getByRole('button', { name: 'Import checkpoint' }).click();
    await panel.locator('.notice-bad').waitFor();
    await panel.getByRole('button', { name: 'Retry' }).waitFor();
    await visit.scan('an import that failed');
    await panel.getByRole('button', { name: /^Clear/ }).click();
    const before = (await visit.ask('/v1/checkpoints')).checkpoints.length;
    await source.fill('somebody/model:imported.safetensors');
    await panel.getByRole('button', { name: 'Import checkpoint' }).click();
    await panel.getByRole('progressbar').waitFor();
    await panel.getByRole('button', { name: 'Use this checkpoint' }).click({ timeout: PATIENCE });
    await page.waitForFunction(async () => (await (await fetch('/v1/checkpoints')).json()).chosen === 'imported');
    assert.equal((await visit.ask('/v1/checkpoints')).checkpoints.length, before + 1);
    // It is no starter, so the form has nothing to offer any more; back to the starter.
    await panel.waitFor({ state: 'detached' });
    await visit.ask('/sdapi/v1/options', { method: 'POST', body: JSON.stringify({ sd_model_checkpoint: 'starter' }) });
    const folder = join(served.folder, 'models/Stable-diffusion');
    await page.reload();
    await panel.locator('summary').click();
    copyFileSync(join(folder, 'imported.safetensors'), join(folder, 'by-hand.safetensors'));
    await panel.getByRole('button', { name: 'Rescan models' }).click();
    await panel.getByText('Found by-hand.').waitFor();
    for (const name of ['imported', 'by-hand']) rmSync(join(folder, `${name}.safetensors`));
    await panel.getByRole('button', { name: 'Rescan models' }).click();
    await panel.getByText('No new checkpoints found.').waitFor();
    await page.reload();
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
    // What runs is seen, not the empty place of what waits.
    await page.locator('.running').getByText(/^Step \d+ of 1000/).waitFor();
    await queue.getByRole('button', { name: /^Cancel/ }).last().click();
    await page.waitForFunction(() => document.querySelectorAll('.queue li').length < 4);
    const states = () => Promise.all(ids.map(async (id) => (await visit.ask(`/v1/jobs/${id}`)).state));
    assert.equal((await states()).filter((state) => state === 'cancelled').length, 1);
    await queue.getByRole('button', { name: 'Cancel all' }).click();
    await visit.finished();
    assert.deepEqual(await states(), ids.map(() => 'cancelled'));
    await page.getByText('Cancelled: partial image.').waitFor();
    await visit.setSteps(2);
  },

  'an image dropped or pasted in img2img is its input': async (visit) => {
    const { page } = visit;
    await visit.open('create');
    await page.getByRole('radio', { name: 'img2img' }).check();
    const { outputs } = await visit.ask('/v1/outputs');
    const bytes = Buffer.from(await (await fetch(visit.served.address + outputs[0].url)).arrayBuffer());
    await visit.drop([{ name: 'input.png', bytes }]);
    await page.getByAltText('Input image').waitFor();
    assert.equal(await page.getByRole('dialog').count(), 0);
    await page.getByRole('button', { name: 'Remove', exact: true }).click();
    await page.getByText('Choose an image').waitFor();
    await page.getByRole('radio', { name: 'txt2img' }).check();
  },

  'inpaint by mouse and by keyboard': async (visit) => {
    const { page } = visit;
    await visit.open('create');
    await visit.prompt().fill('a fox');
    await page.locator('.strip button').last().click();
    await page.getByRole('button', { name: 'Send to inpaint' }).click();
    const canvas = page.locator('.mask canvas');
    await canvas.waitFor();
    await visit.press();
    await page.getByText('Paint the area you want redrawn.').waitFor();
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
    await page.getByRole('radio', { name: 'txt2img' }).check();
  },

  'a plot of weights': async (visit) => {
    const { page } = visit;
    await visit.open('create');
    await visit.prompt().fill('a fox <lora:3dmm_style:1>');
    await page.locator('.plot-panel > summary').click();
    // What cannot be made is said beside the button, before anything is drawn.
    const before = (await visit.jobs()).length;
    const panel = page.locator('.plot-panel');
    const says = (text) => panel.getByText(text).waitFor();
    await page.getByLabel('X type').selectOption('Seed');
    await page.getByLabel('X values').fill('1-300');
    await says('“1-300” gives 300 values; a plot can have at most 150 images.');
    assert.ok(await panel.getByRole('button', { name: /^Plot/ }).isDisabled());
    await page.getByLabel('X type').selectOption('Sampler');
    await page.getByLabel('X values').fill('Euler a, Bogus, Nonsense');
    await says('Unknown sampler: “Bogus”, “Nonsense”.');
    await page.getByLabel('X type').selectOption('Prompt S/R');
    await page.getByLabel('X values').fill('wolf, cat');
    await panel.getByRole('button', { name: 'Plot 2 images' }).click();
    await says('did not find “wolf”');
    assert.equal((await visit.jobs()).length, before);
    // What the server refuses is told in sight, and the picture that was there stays.
    await page.getByLabel('X type').selectOption('Size');
    await page.getByLabel('X values').fill('64x64, 4096x4096');
    const shown = await page.locator('.main-picture img').getAttribute('src');
    await panel.getByRole('button', { name: 'Plot 2 images' }).click();
    const refused = panel.locator('.notice-bad');
    await refused.waitFor();
    const box = await refused.boundingBox();
    assert.ok(box.y >= 0 && box.y + box.height <= 900, JSON.stringify(box));
    assert.equal(await page.locator('.main-picture img').getAttribute('src'), shown);
    await visit.finished();
    // The choice outlives a reload.
    await page.getByLabel('X type').selectOption('LoRA weight');
    await page.getByLabel('X values').fill('0, 1');
    await page.reload();
    await page.locator('.plot-panel > summary').click();
    assert.equal(await page.getByLabel('X values').inputValue(), '0, 1');
    const saved = (await visit.ask('/v1/outputs')).total;
    await page.getByRole('button', { name: 'Plot 2 images' }).click();
    await page.waitForFunction(() => document.querySelectorAll('.plot img').length === 2, null, { timeout: PATIENCE });
    assert.deepEqual(await page.locator('.plot thead th').allTextContents(), ['LoRA weight: 0', 'LoRA weight: 1']);
    await visit.finished();
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Save plot as one image' }).click()]);
    assert.match(download.suggestedFilename(), /^plot-\d+\.png$/);
    assert.ok(statSync(await download.path()).size > 1000);
    // Each is a picture of its own among the results.
    assert.equal((await visit.ask('/v1/outputs')).total, saved + 2);
  },
};
