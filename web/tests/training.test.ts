import { describe, expect, it } from 'vitest';
import type { Dataset, Training } from '../src/api/schema';
import { FIRST_PLAN, lossRange, planFault, isChanged, planWords, replaceWords, resumeRequest, furtherRequest, smoothed, ticks, trainRequest, withPreset, withoutTrigger } from '../src/lib/training';
import { lateCaptions, setFiles } from '../src/lib/set_files';
import { textOf } from '../src/lib/text_file';
import { trainingPresets } from '../src/lib/fields';
import type { Point } from '../src/lib/training';

const set: Dataset = {
  name: 'cat', train_data_dir: 'train/cat', count: 12, pictures_per_epoch: 120, cover: null, faults: [], is_ready: true, pictures: [], buckets: [],
  folders: [
    { folder: '10_my cat', repeats: 10, trigger: 'my cat', pictures: 10 },
    { folder: '2_my cat', repeats: 2, trigger: 'my cat', pictures: 1 },
    { folder: '5_hat', repeats: 5, trigger: 'hat', pictures: 1 },
  ],
};

describe('a plan', () => {
  it('knows its preset until a number is changed', () => {
    expect(FIRST_PLAN.preset).toBe(trainingPresets()[0]!.name);
    expect(isChanged(FIRST_PLAN)).toBe(false);
    const style = { ...FIRST_PLAN, ...withPreset('style') };
    expect(isChanged(style)).toBe(false);
    expect(style.max_train_steps).toBe(trainingPresets().find((p) => p.name === 'style')!.values.max_train_steps);
    expect(isChanged({ ...style, network_dim: 9 })).toBe(true);
    // The numbers of the form go along and override the preset's; its other options follow from its name.
    expect(trainRequest({ ...style, network_dim: 9 }, set, '')).toMatchObject({ preset: 'style', network_dim: 9 });
  });
  it('trains a finished run further with the same options and more steps', () => {
    const run = { request: { output_name: 'tom', max_train_steps: 100, seed: 3 } } as unknown as Training;
    expect(furtherRequest(run, 150)).toEqual({ output_name: 'tom', max_train_steps: 150, seed: 3, resume: true });
  });
  it("becomes an order with kohya's names", () => {
    expect(trainRequest({ ...FIRST_PLAN, output_name: 'tom', sample_every_n_steps: 0 }, set, 'sd15.safetensors [abc]')).toEqual({
      output_name: 'tom', preset: 'character', network_dim: 16, network_alpha: 8, max_train_steps: 1200, learning_rate: 0.0003, train_batch_size: 1,
      train_data_dir: 'train/cat', resolution: '512', enable_bucket: true, pretrained_model: 'sd15.safetensors [abc]',
    });
  });
  it('draws the trigger words of all folders when no sample prompt is given', () => {
    const order = trainRequest({ ...FIRST_PLAN, sample_prompts: ' ', sample_every_n_steps: 50 }, set, '');
    expect([order.sample_prompts, order.sample_every_n_steps, order.pretrained_model]).toEqual(['my cat, hat', 50, undefined]);
    expect(trainRequest({ ...FIRST_PLAN, sample_prompts: 'a\nb' }, set, '').sample_prompts).toBe('a\nb');
  });
  it('says what is missing', () => {
    const plan = { ...FIRST_PLAN, output_name: 'tom' };
    expect(planFault(plan, set, '')).toMatch('No checkpoint');
    expect(planFault(plan, null, 'sd15')).toMatch('Select a dataset');
    expect(planFault(plan, { ...set, count: 0 }, 'sd15')).toMatch('Add images');
    expect(planFault(plan, { ...set, is_ready: false }, 'sd15')).toMatch('cannot be used');
    expect(planFault({ ...plan, output_name: ' ' }, set, 'sd15')).toMatch('name');
    expect(planFault(plan, set, 'sd15')).toBeNull();
  });
  it('replaces a finished LoRA or a stopped run only when told to', () => {
    const plan = { ...FIRST_PLAN, output_name: 'tom' };
    const cases = [
      [{ hasLora: true, resumeStep: null }, 'already exists', 'Replace the finished LoRA “tom”'],
      [{ hasLora: false, resumeStep: 560 }, 'stopped run', 'Discard the run of “tom” stopped at step 560'],
      [{ hasLora: true, resumeStep: 3 }, 'already exists', 'Replace the finished LoRA and the run of “tom” stopped at step 3'],
    ] as const;
    for (const [earlier, fault, words] of cases) {
      expect(planFault(plan, set, 'sd15', earlier)).toMatch(fault);
      expect(planFault(plan, set, 'sd15', earlier, true)).toBeNull();
      expect(replaceWords('tom', earlier)).toBe(words);
    }
    expect(replaceWords('tom', { hasLora: false, resumeStep: null })).toBe('');
    expect(trainRequest(plan, set, '').fresh).toBeUndefined();
    expect(trainRequest(plan, set, '', true).fresh).toBe(true);
    // "fresh" alone would forget what is to be resumed.
    const stopped = (request: object) => resumeRequest({ request } as Training);
    expect(stopped({ output_name: 'tom', fresh: true })).toEqual({ output_name: 'tom', fresh: true, resume: true });
    expect(stopped({ output_name: 'tom' })).toEqual({ output_name: 'tom' });
  });
  it('finds captions that leave the trigger words out', () => {
    const picture = (file: string, caption: string | null) => ({ file, folder: file.split('/')[0]!, caption }) as Dataset['pictures'][number];
    const pictures = [picture('10_my cat/a.png', null), picture('10_my cat/b.png', 'My Cat, asleep'), picture('10_my cat/c.png', 'asleep'), picture('3_/d.png', 'a dog')];
    expect(withoutTrigger({ ...set, pictures }).map((p) => [p.picture.file, p.trigger])).toEqual([['10_my cat/c.png', 'my cat']]);
  });
  it('tells how often a picture is shown', () => {
    expect(planWords({ ...FIRST_PLAN, max_train_steps: 60, train_batch_size: 2 }, set)).toBe('60 steps: each of 12 images is seen about 10 times.');
    expect(planWords({ ...FIRST_PLAN, max_train_steps: 30 }, set)).toMatch('2.5 times');
  });
});

describe('a curve', () => {
  it('keeps a constant and follows a fall without its noise', () => {
    const flat: Point[] = Array.from({ length: 50 }, (_, i) => [i + 1, 0.3]);
    for (const [, loss] of smoothed(flat)) expect(loss).toBeCloseTo(0.3, 12);
    const falling: Point[] = Array.from({ length: 400 }, (_, i) => [i + 1, 1 - i / 500 + (i % 2 ? 0.2 : -0.2)]);
    const smooth = smoothed(falling);
    expect(smooth).toHaveLength(400);
    const rises = smooth.slice(20).filter(([, loss], i) => loss > smooth[i + 19]![1] + 0.03).length;
    expect(rises).toBe(0);
    expect(smooth[399]![1]).toBeGreaterThan(0.2);
    expect(smooth[399]![1]).toBeLessThan(0.35);
  });
  it('leaves single outliers outside', () => {
    const points: Point[] = Array.from({ length: 200 }, (_, i) => [i + 1, i === 77 ? 50 : 0.1 + (i % 5) * 0.01]);
    const [low, high] = lossRange(points, points.filter((p) => p[1] < 1));
    expect(low).toBeGreaterThan(0.05);
    expect(high).toBeLessThan(0.2);
    expect(lossRange([[1, 0.5], [2, 0.5]], [[1, 0.5], [2, 0.5]])[1]).toBeGreaterThan(0.5);
  });
  it('has round marks', () => {
    expect(ticks(0.03, 0.21)).toEqual([0.1, 0.2]);
    expect(ticks(0, 1)).toEqual([0, 0.5, 1]);
    expect(ticks(0.2, 0.26)).toEqual([0.2, 0.22, 0.24, 0.26]);
  });
});

describe('files for a set', () => {
  // What is looked at of a File, which Node 18 does not have.
  const file = (path: string, type = 'image/png') =>
    ({ name: path.split('/').pop(), type, webkitRelativePath: path.includes('/') ? path : '' }) as File;
  const names = (files: File[]) => setFiles(files).map(({ picture, caption }) => [picture.name, caption?.webkitRelativePath || caption?.name]);

  it('brings captions to the pictures of their own name and folder', () => {
    expect(names([file('a.png'), file('a.txt', 'text/plain'), file('b.webp', 'image/webp'), file('notes.txt', 'text/plain')]))
      .toEqual([['a.png', 'a.txt'], ['b.webp', undefined]]);
    expect(names([file('set/x/a.b.png'), file('set/y/a.b.txt', 'text/plain'), file('set/x/a.b.TXT', 'text/plain')]))
      .toEqual([['a.b.png', 'set/x/a.b.TXT']]);
  });

  it('takes every kind of picture that training reads', () => {
    expect(names([file('a.gif', 'image/gif'), file('b.bmp', 'image/bmp'), file('c.tif', 'image/tiff')]).map(([name]) => name)).toEqual(['a.gif', 'b.bmp', 'c.tif']);
  });

  it('leaves what training does not read', () => {
    expect(names([file('a.svg', 'image/svg+xml'), file('b.mp4', 'video/mp4'), file('c.txt', 'text/plain')])).toEqual([]);
  });

  it('brings captions that come later to pictures of the set', () => {
    const set = [{ file: '10_cat/a.png', folder: '10_cat' }, { file: '2_hat/a.webp', folder: '2_hat' }, { file: '2_hat/b.png', folder: '2_hat' }];
    const late = (files: File[], folder = '10_cat') => {
      const { found, lost } = lateCaptions(files, set, folder);
      return { found: found.map(({ caption, file: place }) => [caption.name, place]), lost };
    };
    const text = (path: string) => file(path, 'text/plain');
    expect(late([text('a.txt'), text('b.TXT'), text('nobody.txt')])).toEqual({ found: [['a.txt', '10_cat/a.png'], ['b.TXT', '2_hat/b.png']], lost: ['nobody.txt'] });
    expect(late([text('a.txt')], '2_hat').found).toEqual([['a.txt', '2_hat/a.webp']]);
    expect(late([text('set/2_hat/a.txt')]).found).toEqual([['a.txt', '2_hat/a.webp']]);
    // The one beside a picture that comes with it is that picture's.
    expect(late([file('a.png'), text('a.txt')])).toEqual({ found: [], lost: [] });
  });

  it('are read as UTF-8 or UTF-16, never as garbage', () => {
    const bytes = (...list: number[]) => Uint8Array.from(list);
    expect(textOf(bytes(0xef, 0xbb, 0xbf, 0x61), 'a.txt')).toBe('a');
    expect(textOf(bytes(0xff, 0xfe, 0x61, 0, 0xe9, 0), 'a.txt')).toBe('aé');
    expect(textOf(bytes(0xfe, 0xff, 0, 0x61), 'a.txt')).toBe('a');
    // "café" as Windows-1252 has it.
    expect(() => textOf(bytes(0x63, 0x61, 0x66, 0xe9, 0x20), 'a.txt')).toThrow('a.txt is not UTF-8: byte 4 is E9');
    expect(() => textOf(bytes(0x63, 0x61, 0x66, 0xe9), 'a.txt')).toThrow('byte 4 is E9');
    expect(() => textOf(bytes(0xe6, 0xbc, 0xa2, 0x8a, 0x42), 'a.txt')).toThrow('byte 4 is 8A');
  });
});
