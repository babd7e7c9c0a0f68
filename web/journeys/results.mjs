// What becomes of finished pictures.
import assert from 'node:assert/strict';

/** The bytes of the last saved picture. */
async function oldest(visit) {
  const { outputs } = await visit.ask('/v1/outputs');
  return Buffer.from(await (await fetch(visit.served.address + outputs.at(-1).url)).arrayBuffer());
}

export default {
  'a dropped picture tells its settings': async (visit) => {
    const { page } = visit;
    await visit.open('results');
    await page.locator('.gallery button').first().waitFor();
    await visit.drop([{ name: 'dropped.png', bytes: await oldest(visit) }]);
    const dialog = page.getByRole('dialog', { name: 'dropped.png' });
    await dialog.getByText('Sampler').waitFor();
    await visit.scan('the dropped picture');
    await dialog.getByRole('button', { name: 'Use these parameters' }).click();
    await page.locator('.create').waitFor();
    assert.match(await visit.prompt().inputValue(), /zorbo/);
  },

  'a dropped picture tells which LoRAs are missing': async (visit) => {
    const { page } = visit;
    const outputs = await visit.ask('/v1/outputs');
    let bytes;
    for (const { url } of outputs.outputs) {
      bytes = Buffer.from(await (await fetch(visit.served.address + url)).arrayBuffer());
      if (bytes.includes('<lora:nowhere:1>')) break;
    }
    assert.ok(bytes.includes('<lora:nowhere:1>'), 'the picture with the missing LoRA was made before');
    await visit.open('results');
    await visit.drop([{ name: 'foreign.png', bytes }]);
    const dialog = page.getByRole('dialog', { name: 'foreign.png' });
    await dialog.getByText('which is not in the collection').waitFor();
    await dialog.getByRole('button', { name: 'Close' }).click();
  },

  'a result by keyboard, and made larger': async (visit) => {
    const { page } = visit;
    await visit.open('results');
    const first = page.locator('.gallery button').first();
    await first.focus();
    await first.press('ArrowRight');
    await page.keyboard.press('Enter');
    const dialog = page.getByRole('dialog');
    await dialog.getByText('Sampler').waitFor();
    // The model that came with the program is there.
    await page.waitForTimeout(600);
    assert.equal(await dialog.getByText('not in the collection').count(), 0);
    const name = await dialog.getAttribute('aria-label');
    await page.keyboard.press('ArrowLeft');
    await page.waitForFunction((old) => document.querySelector('dialog').getAttribute('aria-label') !== old, name);
    await dialog.getByRole('button', { name: 'Send to extras' }).click();
    await page.getByLabel('Upscaler', { exact: true }).selectOption('Lanczos');
    await page.getByLabel('Resize', { exact: true }).fill('2');
    await visit.scan('extras');
    const id = await visit.jobFrom(() => page.getByRole('button', { name: 'Upscale' }).click());
    await visit.finished();
    assert.equal((await visit.ask(`/v1/jobs/${id}`)).state, 'completed');
    const picture = page.locator('.main-picture img');
    await page.waitForFunction(() => document.querySelector('.main-picture img')?.naturalWidth === 256);
    assert.ok(await picture.isVisible());
    // It lies among the results with the settings of the picture it came from.
    const { outputs } = await visit.ask('/v1/outputs');
    assert.match(outputs[0].name, /^extras-images\//);
    await page.getByRole('radio', { name: 'txt2img' }).check();
  },

  'two results on top of each other': async (visit) => {
    const { page } = visit;
    await visit.open('results');
    await page.getByRole('button', { name: 'Compare two' }).click();
    await page.locator('.gallery button').nth(0).click();
    await page.locator('.gallery button').nth(1).click();
    await page.locator('.picked .compare input').press('End');
    assert.equal(await page.locator('.picked .compare input').inputValue(), '100');
    await page.getByRole('button', { name: 'Compare two' }).click();
  },
};
