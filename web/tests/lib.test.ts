import { beforeAll, describe, expect, it, vi } from 'vitest';
import { pathOf } from '../src/api/client';
import { imageField, textField } from '../src/lib/fields';
import { NO_FILTER, isFiltered, loraQuery, visibleRange } from '../src/lib/lora_filter';
import { MAX_CELLS, axisFaults, axisValues } from '../src/lib/plot';
import { layout } from '../src/lib/plot_picture';
import { bytes, duration, ordinal } from '../src/lib/words';

let formOf: typeof import('../src/lib/form');
let plot: typeof import('../src/lib/plot');
let client: typeof import('../src/api/client');
beforeAll(async () => {
  for (const store of ['localStorage', 'sessionStorage']) vi.stubGlobal(store, { getItem: () => null, setItem: () => {}, removeItem: () => {} });
  formOf = await import('../src/lib/form');
  plot = await import('../src/lib/plot');
  client = await import('../src/api/client');
});

describe('filters', () => {
  it('asks the server only for what is chosen', () => {
    const query = (part: object) => pathOf('GET /v1/loras', { query: loraQuery({ ...NO_FILTER, ...part }, 'sd15 [abc]') }).split('?')[1] ?? '';
    expect(query({})).toBe('sort=name');
    expect(query({ text: ' red fox ' })).toBe('q=red+fox');
    expect(query({ text: 'fox', sort: 'rating', rating: 4 })).toBe('q=fox&rating=4&sort=rating');
    expect(query({ type: 'style', base_model: 'SD 1.5', tag: 'ink', onlyFitting: true })).toBe(
      'type=style&base_model=SD+1.5&tag=ink&fits=sd15+%5Babc%5D&sort=name');
    expect(query({ subfamily: 'SDXL Turbo' })).toBe('subfamily=SDXL+Turbo&sort=name');
    expect(isFiltered({ ...NO_FILTER, subfamily: 'none' })).toBe(true);
    expect(query({ folder: 'people/men' })).toBe('folder=people%2Fmen&sort=name');
    expect(isFiltered({ ...NO_FILTER, folder: '.' })).toBe(true);
    expect(isFiltered(NO_FILTER)).toBe(false);
    expect(isFiltered({ ...NO_FILTER, sort: 'rating' })).toBe(false);
    expect(isFiltered({ ...NO_FILTER, tag: 'ink' })).toBe(true);
  });
});

describe('a virtual list', () => {
  it('covers what is in sight and keeps its height', () => {
    for (const top of [0, 999, 50_000, 700_000]) {
      const { from, to, before, after } = visibleRange(10_000, 4, 300, top, 900);
      expect(before + Math.ceil((to - from) / 4) * 300 + after).toBe(2500 * 300);
      expect(to - from).toBeLessThanOrEqual(4 * 8);
      expect(before).toBeLessThanOrEqual(top);
      if (top < 750_000 - 900) expect(before + ((to - from) / 4) * 300).toBeGreaterThanOrEqual(top + 900);
    }
  });
});

describe('axes of a plot', () => {
  // A1111's xyz_grid.py: ranges, ranges with a step, ranges with a count.
  it.each([
    ['1-5', ['1', '2', '3', '4', '5']],
    ['1-5 (+2)', ['1', '3', '5']],
    ['10-5 (-3)', ['10', '7']],
    ['1-10 [5]', ['1', '3.25', '5.5', '7.75', '10']],
    ['0.2, 0.4', ['0.2', '0.4']],
  ])('%s', (values, expected) => expect(axisValues({ name: 'CFG Scale', values })).toEqual(expected));
  it('says what is not a number', () => {
    expect(() => axisValues({ name: 'Steps', values: '10, many' })).toThrow('“many” is not a number');
  });
  it('says all that is not a number, and never makes fewer than were asked for', () => {
    expect(() => axisValues({ name: 'Steps', values: 'few, 10, many' })).toThrow('“few”, “many” is not a number');
    expect(() => axisValues({ name: 'Seed', values: '1-300' })).toThrow(`“1-300” gives 300 values; a plot can have at most ${MAX_CELLS}`);
    expect(() => axisValues({ name: 'Seed', values: '1-1000 [400]' })).toThrow('gives 400 values');
    expect(() => axisValues({ name: 'Seed', values: '1-9 [1]' })).toThrow('at least 2');
    expect(axisValues({ name: 'Seed', values: '1-120' })).toHaveLength(120);
  });
  it('knows wrong values before anything is drawn, all of them', () => {
    const known = { samplers: ['Euler a', 'DPM++ 2M'], schedulers: ['Karras'] };
    const faults = (name: 'Sampler' | 'Schedule type' | 'Steps' | 'Size' | 'Denoising' | 'Clip skip', values: string) => axisFaults({ name, values }, known).join(' ');
    expect(faults('Sampler', 'Euler a, Bogus, dpm++ 2m, Nonsense')).toBe('Unknown sampler: “Bogus”, “Nonsense”.');
    expect(faults('Schedule type', 'Karras, Straight')).toBe('Unknown schedule type: “Straight”.');
    expect(faults('Steps', '0, 2.5, 20')).toContain('“0”, “2.5”');
    expect(faults('Denoising', '0.5, 1.5')).toContain('“1.5” must be from 0 to 1');
    expect(faults('Clip skip', '1, 24, 25')).toContain('“25” must be an integer from 1 to 24');
    expect(faults('Size', '512x512, 32x512, 9x9, no')).toContain('“no” is not a size');
    expect(faults('Size', '512x512, 32x512, 9x9')).toContain('“32x512”, “9x9”');
    expect(faults('Sampler', 'Euler a')).toBe('');
  });
  it('makes a cell for every combination', () => {
    const form = { ...formOf.DEFAULTS, prompt: 'fox <lora:x:1>' };
    const cells = plot.plotCells(form, { name: 'LoRA weight', values: '0, 1' }, { name: 'Prompt S/R', values: 'fox, cat' }, { name: 'Nothing', values: '' });
    expect(cells.map((cell) => cell.form.prompt)).toEqual(['fox <lora:x:0>', 'fox <lora:x:1>', 'cat <lora:x:0>', 'cat <lora:x:1>']);
  });
  it('refuses what it does not find', () => {
    expect(() => plot.withValue(formOf.DEFAULTS, 'Prompt S/R', 'cat', 'fox')).toThrow('did not find “fox”');
  });
});

describe('the form', () => {
  it('becomes a request with A1111 names', () => {
    const { kind, request } = formOf.requestOf({ ...formOf.DEFAULTS, prompt: 'a', seed: 7, enable_hr: true }, { image: '', mask: '' });
    expect(kind).toBe('txt2img');
    expect(request).toMatchObject({ prompt: 'a', seed: 7, sampler_name: 'DPM++ 2M', enable_hr: true, hr_upscaler: 'Latent' });
    expect(request).not.toHaveProperty('init_images');
  });
  it('sends picture and mask when inpainting, and asks for them before', () => {
    const form = { ...formOf.DEFAULTS, mode: 'inpaint' as const };
    expect(formOf.fault(form, { image: '', mask: '' })).toContain('Choose an input image');
    expect(formOf.fault(form, { image: 'i', mask: '' })).toContain('Paint');
    const { kind, request } = formOf.requestOf(form, { image: 'i', mask: 'm' });
    expect(kind).toBe('img2img');
    expect(request).toMatchObject({ init_images: ['i'], mask: 'm', inpainting_mask_invert: 0 });
  });
  it('is filled from an infotext', () => {
    expect(formOf.fromInfotext({ Prompt: 'a fox', Steps: '20', Sampler: 'Euler a', 'CFG scale': '7.5', Seed: '42', Size: '512x768', 'Hires upscale': '2' }))
      .toEqual({
        prompt: 'a fox', steps: 20, sampler_name: 'Euler a', cfg_scale: 7.5, seed: 42, width: 512, height: 768, enable_hr: true, hr_scale: 2,
        // What A1111 writes only when it was on.
        tiling: false, subseed_strength: 0, styles: [], refiner_checkpoint: '', precision: 'float32',
      });
  });
  it('hands over to the refiner that an infotext names', () => {
    const part = formOf.fromInfotext({ Prompt: 'a fox', Refiner: 'xl/refiner.safetensors [0123456789]', 'Refiner switch at': '0.7' });
    expect(part).toMatchObject({ refiner_checkpoint: 'xl_refiner', refiner_switch_at: 0.7 });
    const f = { ...formOf.DEFAULTS, ...part };
    expect(formOf.requestOf(f, { image: '', mask: '' }).request).toMatchObject({ refiner_checkpoint: 'xl_refiner', refiner_switch_at: 0.7 });
    expect(formOf.requestOf({ ...f, refiner_checkpoint: '' }, { image: '', mask: '' }).request).not.toHaveProperty('refiner_switch_at');
  });
  it('says which choice is no longer there, before anything is sent', () => {
    const all = { samplers: ['DPM++ 2M'], schedulers: ['Automatic'], upscalers: ['Latent'], pictureUpscalers: ['Lanczos'], styles: [{ name: 'ink' }], checkpoints: [{ name: 'sdxl' }] };
    const stale = (part: object) => formOf.staleChoice({ ...formOf.DEFAULTS, ...part }, all);
    expect(stale({})).toBeNull();
    expect(stale({ sampler_name: 'Gone' })).toBe('The sampling method “Gone” is not available; choose another.');
    expect(stale({ scheduler: 'Gone' })).toContain('schedule type');
    expect(stale({ styles: ['ink', 'lost'] })).toContain('style “lost”');
    expect(stale({ refiner_checkpoint: 'sdxl' })).toBeNull();
    expect(stale({ refiner_checkpoint: 'lost' })).toContain('refiner “lost”');
    expect(stale({ hr_upscaler: '4x-Gone' })).toBeNull();
    expect(stale({ hr_upscaler: '4x-Gone', enable_hr: true })).toContain('upscaler “4x-Gone”');
    expect(stale({ mode: 'extras', upscaler_1: '4x-Gone', sampler_name: 'Gone' })).toContain('upscaler “4x-Gone”');
  });
  it('is filled from a card, with the comparison where it has a LoRA', () => {
    const settings = { prompt: 'zorbo <lora:z:1>', cfg_scale: 5, width: 128, height: 128, sampler_name: 'Euler a' };
    const form = { ...formOf.DEFAULTS, ...formOf.fromCard(settings) };
    expect([form.cfg_scale, form.compare, form.steps]).toEqual([5, true, 20]);
    expect(formOf.followsCard(form, settings)).toBe(true);
    expect(formOf.followsCard({ ...form, cfg_scale: 7 }, settings)).toBe(false);
    expect(formOf.fromCard({ prompt: 'a fox' }).compare).toBeUndefined();
  });
  it('offers the size that a checkpoint learned where the form has one that it does not draw', () => {
    const bare = (native_size: number) => ({ native_size, card: { description: null, notes: null, settings: null } });
    const of = (width: number, height = width) => ({ ...formOf.DEFAULTS, width, height, cfg_scale: 5 });
    // From the starter model, whose sampler and guidance go with its size.
    expect(formOf.settingsFor(of(128), bare(512))).toMatchObject({ width: 512, height: 512, cfg_scale: 7 });
    expect(formOf.settingsFor(of(128, 512), bare(512))).toBeNull();
    expect(formOf.settingsFor(of(128), { native_size: 128, card: { description: null, notes: null, settings: { width: 128 } } })).toEqual({ width: 128 });
    // From one family to another the size alone is offered.
    expect(formOf.settingsFor(of(512), bare(1024))).toEqual({ width: 1024, height: 1024 });
    expect(formOf.settingsFor(of(1024), bare(512))).toEqual({ width: 512, height: 512 });
    expect(formOf.settingsFor(of(512), bare(768))).toEqual({ width: 768, height: 768 });
    for (const [width, height, native] of [[832, 1216, 1024], [1536, 640, 1024], [512, 768, 512], [768, 768, 512]] as const)
      expect(formOf.settingsFor(of(width, height), bare(native)), `${width} × ${height} at ${native}`).toBeNull();
  });
});

describe('a plot as one picture', () => {
  it('has room for all cells and words, and grows no larger than a browser draws', () => {
    const sheets = [{ title: 'Steps: 1', xs: ['a', 'b', 'c'], ys: ['p', 'q'] }, { title: 'Steps: 2', xs: ['a', 'b', 'c'], ys: ['p', 'q'] }];
    const small = layout(sheets, { width: 128, height: 64 }, 40);
    expect(small.scale).toBe(1);
    expect(small.width).toBeGreaterThanOrEqual(40 + 3 * 128);
    expect(small.height).toBeGreaterThanOrEqual(4 * 64 + 4 * 16);
    const large = layout([{ title: '', xs: Array<string>(100).fill('x'), ys: [''] }], { width: 512, height: 768 }, 0);
    expect(large.scale).toBeLessThan(1);
    expect(Math.max(large.width, large.height)).toBeLessThanOrEqual(12000);
  });
});

describe('errors', () => {
  it('show the sentence, whatever the form of the answer', () => {
    expect(client.errorSentence({ detail: [{ loc: ['body', 'steps'], msg: 'too many' }] }, 422)).toBe('steps: too many');
    expect(client.errorSentence({ error: 'HTTPException', detail: 'there is no such job.', errors: '' }, 404)).toBe('there is no such job.');
    expect(client.errorSentence('', 500)).toBe('The server returned status 500 without an error message.');
  });
});

describe('words', () => {
  it('for time and size', () => {
    expect([1, 2, 3, 4, 11, 12, 13, 21, 112].map(ordinal)).toEqual(['1st', '2nd', '3rd', '4th', '11th', '12th', '13th', '21st', '112th']);
    expect([duration(0.42), duration(3), duration(125), duration(3840)]).toEqual(['0.4 s', '3 s', '2 min 5 s', '1 h 4 min']);
    expect([bytes(12), bytes(526664), bytes(2.1e9)]).toEqual(['12 B', '527 kB', '2.1 GB']);
  });
});

describe('settings that were copied', () => {
  const known = { samplers: ['Euler a', 'DPM++ 2M', 'DPM++ 2M SDE', 'DDIM'], schedulers: ['Automatic', 'Karras', 'Exponential'], upscalers: ['Latent', 'R-ESRGAN 4x+'], checkpoint: 'sd15' };
  const a1111 = 'a fox, (red:1.2)\nNegative prompt: blurry\nSteps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 42, Size: 512x768, Model hash: 6ce0161689, Model: v1-5, Version: v1.10.1';
  // As the "copy generation data" button of civitai.com gives it.
  const civitai = 'a fox\nNegative prompt: blurry\nSteps: 25, CFG scale: 7, Sampler: DPM++ 2M Karras, Seed: 1, Clip skip: 2, Civitai resources: [{"type":"lora","weight":0.8,"modelVersionId":16677}]';
  let texts: typeof import('../src/lib/settings_text');
  beforeAll(async () => {
    texts = await import('../src/lib/settings_text');
  });

  it('knows the settings of other programs by their JSON', () => {
    expect(texts.looksLikeSettings('{"3": {"class_type": "KSampler", "inputs": {}}}')).toBe(true);
    expect(texts.looksLikeSettings(' {"sui_image_params": {"prompt": "a fox"}}')).toBe(true);
    expect(texts.looksLikeSettings('{red|blue} fox')).toBe(false);
    expect(texts.asSentence('made by hand')).toBe('Made by hand.');
  });

  it.each([a1111, civitai, a1111.replace(/\nNeg.*\n/, '\n')])('are known: %s', (text) => expect(texts.looksLikeSettings(text)).toBe(true));
  it.each(['', 'a fox', 'Steps: 20', 'a sign that says "Size: large", steps leading up', 'stairs, Seed: of doubt, a model: tall', 'Negative prompt: the film'])(
    'are not: %s', (text) => expect(texts.looksLikeSettings(text)).toBe(false));
  it('fill the form, with the schedule out of the sampler’s name', () => {
    const { part, notes } = texts.settingsOf({ Prompt: 'a', Sampler: 'DPM++ 2M Karras', Seed: '1', Model: 'v1-5' }, known);
    expect(part).toMatchObject({ sampler_name: 'DPM++ 2M', scheduler: 'Karras', seed: 1 });
    expect(notes).toEqual(['Made with the checkpoint v1-5; the current checkpoint is sd15.']);
    expect(texts.settingsOf({ Prompt: 'a', Sampler: 'euler A', Seed: '1' }, known).part).toMatchObject({ sampler_name: 'Euler a', scheduler: 'Automatic' });
  });
  it('say what they do not fill', () => {
    const { part, notes } = texts.settingsOf({ Prompt: 'a', Sampler: 'Restart Turbo', 'Schedule type': 'Odd' }, known);
    expect(part).not.toHaveProperty('sampler_name');
    expect(part).not.toHaveProperty('scheduler');
    expect(notes.join(' ')).toMatch(/“Restart Turbo”.*“Odd”.*No seed/);
    const hires = (name: string) => texts.settingsOf({ Prompt: 'a', Seed: '1', 'Hires upscale': '2', 'Hires upscaler': name }, known);
    expect(hires('r-esrgan 4x+').part.hr_upscaler).toBe('R-ESRGAN 4x+');
    expect(hires('4x-UltraSharp').part.hr_upscaler).toBeUndefined();
    expect(hires('4x-UltraSharp').notes).toEqual(['Unknown upscaler “4x-UltraSharp”; the current one is kept.']);
  });
});

describe('what a text was before', () => {
  let h: typeof import('../src/lib/history');
  beforeAll(async () => {
    h = await import('../src/lib/history');
  });
  const typed = (texts: string[], gap = 100) => texts.reduce((all, text, i) => h.record(all, text, i * gap), h.newHistory<string>(''));
  const back = (history: ReturnType<typeof typed>) => {
    const texts: string[] = [];
    for (let step = h.undone(history); step; step = h.undone(step.history)) texts.push(step.history.now);
    return texts;
  };
  it('goes back over changes that the page made, one by one', () => {
    let all = h.newHistory<string>('a red fox');
    all = h.record(all, 'a (red:1.1) fox', null);
    all = h.record(all, '3dmm style, a (red:1.1) fox <lora:3dmm:1>', null);
    expect(back(all)).toEqual(['a (red:1.1) fox', 'a red fox']);
    const once = h.undone(all)!.history;
    expect(h.redone(once)!.now).toBe('3dmm style, a (red:1.1) fox <lora:3dmm:1>');
    // What is written after going back is the only way on.
    expect(h.redone(h.record(once, 'b', null))).toBeNull();
  });
  it('takes letters of a word back together, and words one by one', () => {
    expect(back(typed(['a', 'a ', 'a f', 'a fo', 'a fox']))).toEqual(['a', '']);
    expect(back(typed(['f', 'fo', 'fox'], 5000))).toEqual(['fo', 'f', '']);
    expect(back(typed(['f', 'fo', 'fox, a pasted rest']))).toEqual(['fo', '']);
  });
  it('brings back what else was changed', () => {
    const all = h.record(h.newHistory<string>('mine'), 'read', null, 'the form before');
    expect(h.undone(all)!.extra).toBe('the form before');
  });
  it('knows where two texts differ', () => {
    expect(h.difference('a red fox', 'a (red:1.1) fox')).toEqual({ from: 2, beforeTo: 5, afterTo: 11 });
    expect(h.difference('aa', 'a')).toEqual({ from: 1, beforeTo: 2, afterTo: 1 });
    expect(h.difference('', '')).toEqual({ from: 0, beforeTo: 0, afterTo: 0 });
  });
});

describe('a field', () => {
  it('has its default, its range and the ends of its slider from the server', () => {
    expect(textField('steps')).toMatchObject({ min: 1, max: 1000, from: 1, to: 150, step: 1, standard: 20 });
    expect(textField('n_iter')).toMatchObject({ min: 1, max: 1000, to: 1000, standard: 1 });
    expect(imageField('resize_mode').labels).toEqual(['Just resize', 'Crop and resize', 'Resize and fill', 'Just resize (latent upscale)']);
    expect(() => textField('nothing' as 'steps')).toThrow('does not describe “nothing”');
  });
});

describe('a route', () => {
  it('has its names and its query filled in', () => {
    expect(pathOf('GET /v1/loras/{name}', { at: { name: 'sub/a b' } })).toBe('/v1/loras/sub%2Fa%20b');
    expect(pathOf('DELETE /v1/outputs/{name}', { at: { name: ['a', 'b c.png'] } })).toBe('/v1/outputs/a/b%20c.png');
    expect(pathOf('GET /v1/jobs', { query: { limit: 5, previews: true } })).toBe('/v1/jobs?limit=5&previews=true');
  });
});
