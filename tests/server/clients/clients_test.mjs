// Unmodified npm clients of A1111's API against a running `lowrank serve` on the tiny model.  node clients_test.mjs PORT
import assert from 'node:assert/strict';
import { test } from 'node:test';
import a1111 from 'a1111-webui-api';
import older from 'stable-diffusion-api';

const port = Number(process.argv[2]);
const drawing = { prompt: 'a fox <lora:attention:0.8>', steps: 2, width: 64, height: 64, seed: 42 };
const classOf = (module) => module.StableDiffusionApi ?? module.default ?? module;

for (const [name, module, user] of [['a1111-webui-api', a1111, 'ann'], ['stable-diffusion-api', older, 'bob']]) {
  const api = new (classOf(module))({ host: '127.0.0.1', port, protocol: 'http' });
  api.setAuth(user, 'secret');

  test(`${name}: pictures`, async () => {
    const result = await api.txt2img(drawing);
    const facts = await result.image.metadata();
    assert.deepEqual([facts.width, facts.height, facts.format, result.images.length], [64, 64, 'png', 1]);
    assert.equal(result.parameters.seed, 42);
    assert.equal(JSON.parse(result.info).lowrank.loras[0].name, 'attention');
    const info = await api.pngInfo(result.image);
    assert.match(info.info, /Steps: 2/);
    const again = await api.img2img({ ...drawing, init_images: [result.image], denoising_strength: 0.6 });
    assert.equal((await again.image.metadata()).width, 64);
    const larger = await api.extraSingle({ image: result.image, upscaling_resize: 2, upscaler_1: 'Lanczos' });
    assert.equal((await larger.image.metadata()).width, 128);
    const several = await api.extraBatch({ images: [result.image, result.image], name_list: ['a', 'b'], upscaling_resize: 2, upscaler_1: 'Lanczos' });
    assert.equal(several.images.length, 2);
    await assert.rejects(api.interrogate(result.image, 'clip'));
  });

  test(`${name}: lists and options`, async () => {
    for (const list of ['getSamplers', 'getUpscalers', 'getSdModels', 'getHypernetworks', 'getFaceRestorers', 'getRealesrganModels', 'getPromptStyles'])
      assert.ok(Array.isArray(await api[list]()), list);
    assert.ok((await api.getCmdFlags()).data_dir);
    await api.refreshCheckpoints();
    await api.setOptions({ jpeg_quality: 81 });
    assert.equal((await api.getOptions()).jpeg_quality, 81);
    await api.setModel('sd15-tiny');
    assert.match(await api.getCurrentModel(), /^sd15-tiny/);
    const progress = await api.getProgress(true);
    assert.equal(progress.progress, 0);
    assert.equal(await api.waitForReady(0.1), true);
    await assert.rejects(api.ControlNet.getModels()); // there is none, and no client is to show one
  });

  test(`${name}: a wrong password is refused`, async () => {
    const stranger = new (classOf(module))({ host: '127.0.0.1', port, protocol: 'http' });
    await assert.rejects(stranger.getOptions());
    stranger.setAuth(user, 'wrong');
    await assert.rejects(stranger.getOptions());
  });
}
