// From ten pictures to a LoRA.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PATIENCE } from './visit.mjs';

/** Ten smiling faces of different shapes, drawn by the browser. */
async function faces(visit) {
  const page = await visit.browser.newPage();
  const list = await page.evaluate(() =>
    Array.from({ length: 10 }, (_, i) => {
      const canvas = document.createElement('canvas');
      canvas.width = i % 3 === 1 ? 192 : 144;
      canvas.height = i % 3 === 2 ? 192 : 144;
      const c = canvas.getContext('2d');
      const [x, y] = [canvas.width / 2, canvas.height / 2];
      c.fillStyle = `hsl(${i * 36} 55% 80%)`;
      c.fillRect(0, 0, canvas.width, canvas.height);
      c.fillStyle = `hsl(${40 + i * 3} 95% 58%)`;
      c.beginPath();
      c.arc(x, y, 54 - (i % 4) * 3, 0, 7);
      c.fill();
      c.fillStyle = '#3a2a18';
      for (const side of [-1, 1]) {
        c.beginPath();
        c.ellipse(x + side * 19, y - 12, 6, 9, 0, 0, 7);
        c.fill();
      }
      c.strokeStyle = '#3a2a18';
      c.lineWidth = 5;
      c.lineCap = 'round';
      c.beginPath();
      c.arc(x, y + 4, 26, 0.25, Math.PI - 0.25);
      c.stroke();
      return canvas.toDataURL('image/png').split(',')[1];
    }));
  await page.close();
  return list.map((text, i) => ({ name: `face ${i + 1}.png`, bytes: Buffer.from(text, 'base64') }));
}

export default {
  'a set of ten pictures with captions': async (visit) => {
    const { page } = visit;
    const pictures = await faces(visit);
    await visit.open('train');
    await page.getByLabel('Dataset name').fill('faces');
    // The example in grey is no value.
    await page.getByRole('button', { name: 'Create dataset' }).click();
    await page.getByText('the grey text is only an example').waitFor();
    await page.getByLabel(/^Trigger words/).fill('smiley face');
    // What was written outlives a reload.
    await page.reload();
    assert.equal(await page.getByLabel('Dataset name').inputValue(), 'faces');
    assert.equal(await page.getByLabel(/^Trigger words/).inputValue(), 'smiley face');
    await visit.scan('a new set');
    await page.getByRole('button', { name: 'Create dataset' }).click();
    await page.getByText('No images yet').waitFor();
    const folder = mkdtempSync(join(tmpdir(), 'lowrank-faces-'));
    for (const { name, bytes } of pictures.slice(0, 9)) writeFileSync(join(folder, name), bytes);
    writeFileSync(join(folder, 'face 5.txt'), 'smiley face, far away\n');
    writeFileSync(join(folder, 'notes.txt'), 'of no picture');
    await page.getByLabel('Folder to add').setInputFiles(folder);
    await page.waitForFunction(() => document.querySelectorAll('.tile').length === 9);
    rmSync(folder, { recursive: true });
    await visit.drop([pictures[9], pictures[0]]);
    await page.waitForFunction(() => document.querySelectorAll('.tile').length === 11);
    await page.getByRole('button', { name: 'Remove face 1-2.png' }).click();
    await page.waitForFunction(() => document.querySelectorAll('.tile').length === 10);
    await page.getByLabel('Caption of face 1.png').fill('smiley face, pink background');
    await page.getByLabel('Caption of face 1.png').press('Enter');
    await page.getByText('Saved').waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.getAttribute('aria-label')), 'Caption of face 2.png');
    await page.getByLabel('Resolution').fill('64');
    await page.waitForFunction(() => {
      const buckets = [...document.querySelectorAll('.tile-bucket')];
      return buckets.length === 10 && buckets[0].textContent.startsWith('64×64');
    });
    // What the page shows is what the server holds.
    const set = await visit.ask('/v1/datasets/faces?resolution=64&enable_bucket=true');
    assert.deepEqual(await page.locator('.tile-bucket').evaluateAll((all) => all.map((e) => /^\d+×\d+/.exec(e.textContent)[0])),
      set.pictures.map((p) => `${p.bucket.width}×${p.bucket.height}`));
    assert.equal(new Set(set.pictures.map((p) => p.bucket.width)).size, 3);
    assert.deepEqual(set.pictures.slice(0, 2).map((p) => p.caption), ['smiley face, pink background', null]);
    assert.equal(set.pictures[4].caption, 'smiley face, far away');
    // Captions that come after their pictures are taken; one that is no UTF-8 is refused by its name and byte.
    const late = mkdtempSync(join(tmpdir(), 'lowrank-late-'));
    writeFileSync(join(late, 'face 7.txt'), 'a laughing one');
    writeFileSync(join(late, 'face 8.txt'), Buffer.from([0x63, 0x61, 0x66, 0xe9]));
    await page.getByLabel('Images to add').setInputFiles([join(late, 'face 7.txt'), join(late, 'face 8.txt')]);
    await page.getByText('face 8.txt is not UTF-8: byte 4 is E9').waitFor();
    await page.waitForFunction(() => [...document.querySelectorAll('.tile textarea')].some((box) => box.value === 'a laughing one'));
    // It does not say the trigger words: that is told, and mended by a press.
    await page.getByText('One caption does not contain the trigger words “smiley face”').waitFor();
    await visit.scan('captions without the trigger words');
    await page.getByRole('button', { name: 'Add trigger words' }).click();
    await page.waitForFunction(() => [...document.querySelectorAll('.tile textarea')].some((box) => box.value === 'smiley face, a laughing one'));
    rmSync(late, { recursive: true });
    // A caption that a reload interrupts is saved after it.
    await page.getByLabel('Caption of face 9.png').fill('smiley face, in a hurry');
    await page.reload();
    await page.waitForFunction(async () => (await (await fetch('/v1/datasets/faces')).json()).pictures.some((p) => p.caption === 'smiley face, in a hurry'));
    // A caption taken away gives the trigger words back.
    await page.getByLabel('Caption of face 1.png').fill('');
    await page.getByLabel('Caption of face 1.png').blur();
    await page.locator('.tile').first().getByText('Saved').waitFor();
    assert.equal((await visit.ask('/v1/datasets/faces')).pictures[0].learned, 'smiley face');
  },

  'a training is started, stopped, gone on with and used': async (visit) => {
    const { page } = visit;
    await visit.open('train/faces');
    await page.locator('.tile').first().waitFor();
    await page.getByLabel('LoRA name').fill('');
    await page.getByRole('button', { name: 'Start training' }).click();
    await page.getByText('Enter a LoRA name.').waitFor();
    await page.getByLabel('LoRA name').fill('smiley');
    await page.getByLabel('Preset').selectOption('Quick test');
    await page.getByLabel('Steps', { exact: true }).fill('60');
    await page.getByLabel('Resolution').fill('64');
    await page.getByText('More', { exact: true }).click();
    await page.getByLabel('Sample every N steps').fill('20');
    await page.getByLabel('Sample prompts, one per line').fill('smiley face --s 4\nsmiley face, blue background --s 4 --d 7');
    const first = await visit.jobFrom(() => page.getByRole('button', { name: 'Start training' }).click());
    const run = page.getByRole('article', { name: 'Training of smiley' });
    await run.getByText(/^Step \d+ of 60/).waitFor({ timeout: PATIENCE });
    await run.locator('.curve svg').waitFor();
    // Between two rounds of samples.
    while (!(({ step, samples }) => step > 20 && samples.length === 2)(await visit.ask('/v1/trainings/smiley'))) await page.waitForTimeout(20);
    await run.getByRole('button', { name: 'Stop' }).click();
    await run.getByText('stopped').waitFor({ timeout: PATIENCE });
    assert.equal((await visit.ask(`/v1/jobs/${first}`)).state, 'cancelled');
    const stopped = await visit.ask('/v1/trainings/smiley');
    assert.ok(stopped.resume_step > 0 && stopped.resume_step < 60, `stopped at ${stopped.resume_step}`);
    // The curve is the server's: a reload, and a page that has never seen this training, show it.
    await page.reload();
    await run.locator('.curve-line').waitFor();
    await visit.scan('a stopped training');
    await visit.jobFrom(() => run.getByRole('button', { name: /^Resume from step/ }).click());
    await run.getByText('completed', { exact: true }).waitFor({ timeout: PATIENCE });
    await page.waitForFunction(() => document.querySelectorAll('.samples img').length === 6);
    const done = await visit.ask('/v1/trainings/smiley');
    assert.deepEqual(done.losses.map(([step]) => step), Array.from({ length: 60 }, (_, i) => i + 1));
    await run.getByRole('button', { name: 'Sample at step 60' }).first().click();
    await page.getByRole('dialog', { name: 'smiley, step 60' }).getByText('Sampler').waitFor();
    await page.keyboard.press('Escape');
    // Another one of the name replaces it only when told to, and only then.
    await page.getByLabel('Steps', { exact: true }).fill('40');
    const start = page.getByRole('button', { name: 'Start training' });
    await start.click();
    await page.getByText('A LoRA named “smiley” already exists.').waitFor();
    const before = (await visit.ask('/v1/loras/smiley')).hash;
    await page.getByLabel('Replace the finished LoRA “smiley”').check();
    await visit.scan('a LoRA to be replaced');
    await visit.jobFrom(() => start.click());
    await run.getByText(/^Step \d+ of 40/).waitFor({ timeout: PATIENCE });
    await run.getByRole('button', { name: 'Stop' }).click();
    await run.getByText('stopped').waitFor({ timeout: PATIENCE });
    // A stopped run that replaces goes on like any other.
    const kept = (await visit.ask('/v1/trainings/smiley')).losses;
    assert.ok(kept.length < 40);
    await visit.jobFrom(() => run.getByRole('button', { name: /^Resume from step/ }).click());
    await run.getByText('completed', { exact: true }).waitFor({ timeout: PATIENCE });
    const curve = (await visit.ask('/v1/trainings/smiley')).losses;
    assert.equal(curve.length, 40);
    assert.deepEqual(curve.slice(0, kept.length), kept);
    assert.notEqual((await visit.ask('/v1/loras/smiley')).hash, before);
    await run.getByRole('button', { name: 'Use in prompt' }).click();
    await page.locator('.create').waitFor();
    assert.match(await visit.prompt().inputValue(), /smiley face.*<lora:smiley:1>/);
    await visit.setSteps(2);
    await page.getByLabel('Compare with and without LoRA').uncheck();
    const id = await visit.generate();
    await visit.finished();
    const { loras } = JSON.parse((await visit.ask(`/v1/jobs/${id}/result?images=false`)).info).lowrank;
    assert.ok(loras.some((lora) => lora.name === 'smiley' && lora.applied > 0), JSON.stringify(loras));
  },
};
