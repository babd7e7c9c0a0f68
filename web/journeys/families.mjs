// Checkpoints of another family than the starter's: what the page offers for them, and a picture with a LoRA.
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const fixtures = resolve(dirname(fileURLToPath(import.meta.url)), '../../tests/fixtures');

/** A safetensors file: its header, and the bytes behind it. */
function tensorsOf(file) {
  const bytes = readFileSync(file);
  const length = Number(bytes.readBigUInt64LE(0));
  return { header: JSON.parse(bytes.subarray(8, 8 + length)), body: bytes.subarray(8 + length) };
}

/** A copy of a tiny checkpoint that states what shapes cannot tell (tests/fixtures/README.md). */
function writeStated(name, target) {
  const { header, body } = tensorsOf(join(fixtures, name, `${name}.safetensors`));
  const goldens = tensorsOf(join(fixtures, name, `${name}-goldens.safetensors`));
  const fact = (key) => String(goldens.body.readBigInt64LE(goldens.header[key].data_offsets[0]));
  header.__metadata__ = { 'lowrank.unet_head_width': fact('config.unet_head_width') };
  if ('config.clip_l_heads' in goldens.header)
    Object.assign(header.__metadata__, { 'lowrank.text_heads': fact('config.clip_l_heads'), 'lowrank.text2_heads': fact('config.open_clip_heads') });
  else header.__metadata__['lowrank.text2_heads'] = fact('config.open_clip_heads');
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  writeFileSync(target, Buffer.concat([length, text, body]));
}

const ADDED = ['models/Stable-diffusion/foxXL.safetensors', 'models/Stable-diffusion/refinerXL.safetensors', 'models/Lora/ponyInk.safetensors', 'models/Lora/ponyInk.json', 'models/Stable-diffusion/foxXL.json'];

export default {
  'an SDXL checkpoint: its sizes, its refiner, a picture with a LoRA': async (visit) => {
    const { page, served } = visit;
    const shot = async (name) => visit.shots && page.screenshot({ path: join(visit.shots, `families-${name}.png`), fullPage: true });
    const place = (file) => join(served.folder, file);
    const before = (await visit.ask('/v1/checkpoints')).chosen;
    const choose = (name) => visit.ask('/sdapi/v1/options', { method: 'POST', body: JSON.stringify({ sd_model_checkpoint: name }) });
    await choose('starter');
    mkdirSync(place('models/Stable-diffusion'), { recursive: true });
    writeStated('sdxl-tiny', place(ADDED[0]));
    writeStated('sdxl-refiner-tiny', place(ADDED[1]));
    copyFileSync(join(fixtures, 'sdxl-tiny/sdxl-tiny-lora_kohya.safetensors'), place(ADDED[2]));
    try {
      await visit.open('create');
      await page.evaluate(() => localStorage.clear());
      await page.reload();
      const checkpoint = page.getByLabel('Checkpoint', { exact: true });
      // The list says of what family each is.
      await checkpoint.locator('option', { hasText: 'foxXL (SDXL)' }).waitFor({ state: 'attached' });
      await checkpoint.selectOption({ label: 'foxXL (SDXL)' });
      // Its own size is offered, in place of the starter model's.
      await page.getByText('foxXL works best with 1024 × 1024').waitFor();
      await shot('notice');
      await visit.scan('an SDXL checkpoint');
      await page.getByRole('button', { name: 'Apply' }).click();
      assert.equal(await page.getByLabel('Width', { exact: true }).inputValue(), '1024');
      assert.equal(await page.getByLabel('CFG Scale', { exact: true }).inputValue(), '7');
      const size = page.getByLabel('Size', { exact: true });
      const { sizes } = (await visit.ask('/v1/checkpoints')).checkpoints.find((c) => c.name === 'foxXL');
      assert.deepEqual(await size.locator('option').allTextContents(), sizes.map((s) => `${s.width} × ${s.height}`));
      await size.selectOption('832 × 1216');
      const height = page.getByLabel('Height', { exact: true });
      for (let tries = 0; tries < 50 && (await height.inputValue()) === '1024'; ++tries) await page.waitForTimeout(100);
      assert.equal(await height.inputValue(), '1216');
      await shot('sizes');
      // A LoRA of the starter model does not fit, and the page says where it would.
      await visit.prompt().fill('a fox <lora:pose_lotus:1>');
      await page.locator('.chip-wrong').getByText(/Made for SD 1\.x; 'foxXL' is an SDXL checkpoint\. These of your checkpoints fit: starter\./).waitFor();
      await shot('misfit');
      // One of its own draws; small, as this model is.
      await visit.prompt().fill('a fox');
      await page.locator('.shelf').getByRole('button', { name: /^ponyInk|ponyInk SDXL/ }).first().click();
      assert.match(await visit.prompt().inputValue(), /<lora:ponyInk:1>/);
      await page.getByLabel('Width', { exact: true }).fill('64');
      await page.getByLabel('Height', { exact: true }).fill('64');
      await visit.setSteps(4);
      await page.getByLabel('Compare with and without LoRA').uncheck();
      await page.getByText('Refiner', { exact: true }).click();
      await page.getByLabel('Refiner checkpoint').selectOption({ label: 'refinerXL (SDXL refiner)' });
      await page.getByLabel('Switch at', { exact: true }).fill('0.5');
      const id = await visit.generate();
      await visit.finished();
      const info = JSON.parse((await visit.ask(`/v1/jobs/${id}/result?images=false`)).info);
      assert.equal(info.sd_model_name, 'foxXL');
      assert.equal(info.lowrank.loras[0].base_model, 'SDXL');
      assert.equal(info.lowrank.loras[0].skipped, 0);
      assert.match(info.infotexts[0], /Refiner: refinerXL.*Refiner switch at: 0\.5/);
      await page.locator('.stage img').first().waitFor();
      await shot('picture');
    } finally {
      await choose(before ?? 'starter');
    }
  },

  'a subfamily is recognised, filtered, set, and is a hint only': async (visit) => {
    const { page, served } = visit;
    const shot = async (name) => visit.shots && page.screenshot({ path: join(visit.shots, `families-${name}.png`) });
    const choose = (name) => visit.ask('/sdapi/v1/options', { method: 'POST', body: JSON.stringify({ sd_model_checkpoint: name }) });
    const before = (await visit.ask('/v1/checkpoints')).chosen;
    await choose('foxXL');
    try {
      await visit.open('loras/ponyInk');
      await page.reload();
      const panel = page.getByRole('complementary', { name: 'About ponyInk' });
      await panel.getByText("Its name says 'ponyInk'.").waitFor();
      await shot('panel');
      const subfamily = panel.getByLabel('Subfamily');
      await subfamily.selectOption('Illustrious');
      await panel.getByText('Saved.').waitFor();
      assert.equal((await visit.ask('/v1/loras/ponyInk')).subfamily, 'Illustrious');
      await page.getByRole('search').getByLabel('Subfamily').selectOption('Illustrious');
      await page.waitForFunction(() => document.querySelectorAll('.grid .card').length === 1);
      await page.locator('.grid .card .subfamily', { hasText: 'Illustrious' }).waitFor();
      await page.getByRole('search').getByLabel('Subfamily').selectOption('');
      await subfamily.selectOption('');
      await page.waitForFunction(async () => (await (await fetch('/v1/loras/ponyInk')).json()).subfamily === 'Pony');
      // What the checkpoint is can be set too; the LoRA stays usable.
      await visit.open('create');
      await page.locator('.model-choice summary').click();
      await page.locator('.model-choice').getByLabel('Subfamily').selectOption('Illustrious');
      await page.getByLabel('Checkpoint', { exact: true }).locator('option', { hasText: 'foxXL (SDXL, Illustrious)' }).waitFor({ state: 'attached' });
      await visit.prompt().fill('a fox <lora:ponyInk:1>');
      await page.locator('.chip').getByText('Made for Pony; this checkpoint is Illustrious: it may look different.').waitFor();
      assert.equal(await page.locator('.chip-wrong').count(), 0);
      await shot('hint');
      await visit.scan('a hint about subfamilies');
      await visit.prompt().fill('');
    } finally {
      await choose(before ?? 'starter');
      for (const file of ADDED) rmSync(join(served.folder, file), { force: true });
      await page.evaluate(() => localStorage.clear());
      await page.reload();
    }
  },
};
