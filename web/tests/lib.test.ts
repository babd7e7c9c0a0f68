import { beforeAll, describe, expect, it, vi } from 'vitest';
import type { LoraCardData } from '../src/api/types';
import { NO_FILTER, isFiltered, loraQuery, matchLoras, visibleRange } from '../src/lib/lora_filter';
import { axisValues } from '../src/lib/plot';
import { bytes, duration } from '../src/lib/words';

let formOf: typeof import('../src/lib/form');
let plot: typeof import('../src/lib/plot');
let client: typeof import('../src/api/client');
beforeAll(async () => {
  vi.stubGlobal('localStorage', { getItem: () => null, setItem: () => {} });
  formOf = await import('../src/lib/form');
  plot = await import('../src/lib/plot');
  client = await import('../src/api/client');
});

const lora = (part: Partial<LoraCardData>): LoraCardData => ({
  name: 'x', alias: 'x', relative: 'x', title: 'x', type: null, kind: 'LoRA', rank: '4', family: 'SD 1.x', base_model: '', fits: true,
  fits_reason: '', trigger_words: [], trigger: '', labels: [], preferred_weight: null, rating: 0, preview: null, bytes: 1, time: 0, creator: '', source: '', error: null, ...part,
});

describe('filters', () => {
  const all = [
    lora({ name: 'b10', relative: 'b10', type: 'style', trigger_words: ['ink'] }),
    lora({ name: 'b2', relative: 'people/b2', type: 'character' }),
  ];
  const names = (text: string) => matchLoras(all, text).map((l) => l.name);
  it('finds every word in names, folders, types and trigger words', () => {
    expect(names('')).toEqual(['b10', 'b2']);
    expect(names('B INK')).toEqual(['b10']);
    expect(names('people')).toEqual(['b2']);
    expect(names('ink character')).toEqual([]);
  });
  it('asks the server only for what is chosen', () => {
    const query = (part: object) => loraQuery({ ...NO_FILTER, ...part }, 'sd15 [abc]').toString();
    expect(query({})).toBe('sort=name');
    expect(query({ text: ' red fox ' })).toBe('q=red+fox');
    expect(query({ text: 'fox', sort: 'rating', rating: 4 })).toBe('q=fox&rating=4&sort=rating');
    expect(query({ type: 'style', base_model: 'SD 1.5', tag: 'ink', onlyFitting: true })).toBe(
      'type=style&base_model=SD+1.5&tag=ink&fits=sd15+%5Babc%5D&sort=name');
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
  it('says what is no number', () => {
    expect(() => axisValues({ name: 'Steps', values: '10, many' })).toThrow('“many” is no number');
  });
  it('makes a cell for every combination', () => {
    const form = { ...formOf.STANDARD, prompt: 'fox <lora:x:1>' };
    const cells = plot.plotCells(form, { name: 'LoRA weight', values: '0, 1' }, { name: 'Prompt S/R', values: 'fox, cat' }, { name: 'Nothing', values: '' });
    expect(cells.map((cell) => cell.form.prompt)).toEqual(['fox <lora:x:0>', 'fox <lora:x:1>', 'cat <lora:x:0>', 'cat <lora:x:1>']);
  });
  it('refuses what it does not find', () => {
    expect(() => plot.withValue(formOf.STANDARD, 'Prompt S/R', 'cat', 'fox')).toThrow('did not find “fox”');
  });
});

describe('the form', () => {
  it('becomes a request with A1111 names', () => {
    const { kind, request } = formOf.requestOf({ ...formOf.STANDARD, prompt: 'a', seed: 7, enable_hr: true }, { image: '', mask: '' });
    expect(kind).toBe('txt2img');
    expect(request).toMatchObject({ prompt: 'a', seed: 7, sampler_name: 'DPM++ 2M', enable_hr: true, hr_upscaler: 'Latent' });
    expect(request).not.toHaveProperty('init_images');
  });
  it('sends picture and mask when inpainting, and asks for them before', () => {
    const form = { ...formOf.STANDARD, mode: 'inpaint' as const };
    expect(formOf.fault(form, { image: '', mask: '' })).toContain('Choose a picture');
    expect(formOf.fault(form, { image: 'i', mask: '' })).toContain('Paint');
    const { kind, request } = formOf.requestOf(form, { image: 'i', mask: 'm' });
    expect(kind).toBe('img2img');
    expect(request).toMatchObject({ init_images: ['i'], mask: 'm', inpainting_mask_invert: 0 });
  });
  it('is filled from an infotext', () => {
    expect(formOf.fromInfotext({ Prompt: 'a fox', Steps: '20', Sampler: 'Euler a', 'CFG scale': '7.5', Seed: '42', Size: '512x768', 'Hires upscale': '2' }))
      .toEqual({ prompt: 'a fox', steps: 20, sampler_name: 'Euler a', cfg_scale: 7.5, seed: 42, width: 512, height: 768, enable_hr: true, hr_scale: 2 });
  });
});

describe('errors', () => {
  it('show the sentence, whatever the form of the answer', () => {
    expect(client.errorSentence({ detail: [{ loc: ['body', 'steps'], msg: 'too many' }] }, 422)).toBe('steps: too many');
    expect(client.errorSentence({ error: 'HTTPException', detail: 'there is no such job.', errors: '' }, 404)).toBe('there is no such job.');
    expect(client.errorSentence('', 500)).toBe('The server answered 500 without a reason.');
  });
});

describe('words', () => {
  it('for time and size', () => {
    expect([duration(0.42), duration(3), duration(125), duration(3840)]).toEqual(['0.4 s', '3 s', '2 min 5 s', '1 h 4 min']);
    expect([bytes(12), bytes(526664), bytes(2.1e9)]).toEqual(['12 B', '527 kB', '2.1 GB']);
  });
});
