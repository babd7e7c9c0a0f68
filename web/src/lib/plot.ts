import { loraWeight, textField } from './fields';
import type { Field } from './fields';
import type { Form } from './form';
import { loraTags, removeLora, replaceTag } from './prompt';

/** What an X/Y/Z plot may vary. Names and the forms of values are A1111's. */
export const AXES = [
  'Nothing', 'Seed', 'Steps', 'CFG Scale', 'Sampler', 'Schedule type', 'Prompt S/R', 'LoRA weight', 'LoRA on/off',
  'Denoising', 'Clip skip', 'Size',
] as const;
export type AxisName = (typeof AXES)[number];

export interface Axis {
  name: AxisName;
  values: string;
}

/** How many pictures a plot may have. Each waits in the queue as a job, which has room for more. */
export const MAX_CELLS = 150;

/** What the axes choose from by name; empty while it is not known. */
interface Known {
  samplers: readonly string[];
  schedulers: readonly string[];
}

/** The field whose range an axis has, and whether its values are integers. */
const FIELDS: Partial<Record<AxisName, { of: () => Field; whole?: true }>> = {
  Seed: { of: () => textField('seed'), whole: true }, Steps: { of: () => textField('steps'), whole: true }, 'CFG Scale': { of: () => textField('cfg_scale') },
  'LoRA weight': { of: loraWeight }, Denoising: { of: () => textField('denoising_strength') }, 'Clip skip': { of: () => textField('clip_skip'), whole: true },
};

/** All that is wrong with an axis, one sentence each, before anything is drawn. */
export function axisFaults(axis: Axis, known: Known): string[] {
  let values: string[];
  try {
    values = axisValues(axis);
  } catch (error) {
    return [(error as Error).message];
  }
  const list = (wrong: string[]) => wrong.map((value) => `“${value}”`).join(', ');
  const names = axis.name === 'Sampler' ? known.samplers : axis.name === 'Schedule type' ? known.schedulers : [];
  if (names.length > 0) {
    const wrong = values.filter((value) => !names.some((name) => name.toLowerCase() === value.toLowerCase()));
    return wrong.length > 0 ? [`Unknown ${axis.name.toLowerCase()}: ${list(wrong)}.`] : [];
  }
  if (axis.name === 'Size') {
    const { min, max } = textField('width');
    const wrong = values.filter((value) => value.split('x').some((side) => Number(side) < min || Number(side) > max));
    return wrong.length > 0 ? [`Size ${list(wrong)}: width and height must be ${min} to ${max}.`] : [];
  }
  const limits = FIELDS[axis.name];
  if (!limits) return [];
  const { min, max } = limits.of();
  const wrong = values.filter((value) => Number(value) < min || Number(value) > max || (limits.whole && !Number.isInteger(Number(value))));
  return wrong.length > 0 ? [`${axis.name}: ${list(wrong.slice(0, 5))} must be ${limits.whole ? 'an integer ' : ''}from ${min} to ${max}.`] : [];
}

/**
 * The values of an axis: a comma list; for numbers also `1-5`, `1-10 (+3)` and `0-1 [5]` (five values, ends included).
 * Throws Error with what is wrong.
 */
export function axisValues(axis: Axis): string[] {
  if (axis.name === 'Nothing') return [''];
  if (axis.name === 'LoRA on/off') return ['without LoRA', 'with LoRA'];
  const parts = axis.values.split(',').map((part) => part.trim()).filter(Boolean);
  if (parts.length === 0) throw new Error(`${axis.name} needs values, for example ${example(axis.name)}.`);
  if (['Sampler', 'Schedule type', 'Prompt S/R'].includes(axis.name)) return parts;
  if (axis.name === 'Size') {
    const wrong = parts.filter((part) => !/^\d+\s*x\s*\d+$/.test(part));
    if (wrong.length > 0) throw new Error(`${wrong.map((part) => `“${part}”`).join(', ')} is not a size; use WIDTHxHEIGHT, for example 512x768.`);
    return parts.map((part) => part.replace(/\s/g, ''));
  }
  const values: string[] = [];
  const wrong: string[] = [];
  for (const part of parts) {
    const found = numbers(part);
    if (found) values.push(...found);
    else wrong.push(`“${part}”`);
  }
  if (wrong.length > 0) throw new Error(`${wrong.join(', ')} is not a number (${axis.name}).`);
  return values;
}

/** null: it is no number. */
function numbers(part: string): string[] | null {
  const n = '([+-]?\\d+(?:\\.\\d+)?)';
  const range = new RegExp(`^${n}\\s*-\\s*${n}(?:\\s*\\(\\s*${n}\\s*\\)|\\s*\\[\\s*(\\d+)\\s*\\])?$`).exec(part);
  const round = (value: number) => String(Math.round(value * 1e6) / 1e6);
  if (!range) {
    return Number.isFinite(Number(part)) ? [part] : null;
  }
  const [from, to] = [Number(range[1]), Number(range[2])];
  if (range[4] !== undefined) {
    const count = Number(range[4]);
    if (count < 2) throw new Error(`“${part}” gives ${count} values; a range needs at least 2.`);
    checkCount(part, count);
    return Array.from({ length: count }, (_, i) => round(from + ((to - from) * i) / (count - 1)));
  }
  const step = range[3] === undefined ? 1 : Math.abs(Number(range[3]));
  if (step === 0) throw new Error(`The step of “${part}” is 0.`);
  const count = Math.floor(Math.abs(to - from) / step + 1e-9) + 1;
  checkCount(part, count);
  return Array.from({ length: count }, (_, i) => round(from + Math.sign(to - from) * step * i));
}

function checkCount(part: string, count: number): void {
  if (count > MAX_CELLS) throw new Error(`“${part}” gives ${count} values; a plot can have at most ${MAX_CELLS} images.`);
}

export function example(name: AxisName): string {
  const examples: Partial<Record<AxisName, string>> = {
    Seed: '1, 2, 3', Steps: '10-30 (+10)', 'CFG Scale': '3, 5, 7', Sampler: 'Euler a, DPM++ 2M', 'Schedule type': 'Karras, Uniform',
    'Prompt S/R': 'fox, cat, house', 'LoRA weight': '0-1 [5]', Denoising: '0.3, 0.5, 0.7', 'Clip skip': '1, 2', Size: '512x512, 512x768',
  };
  return examples[name] ?? '';
}

/** The form with one axis set. `first` is the axis' first value: what Prompt S/R looks for. */
export function withValue(form: Form, name: AxisName, value: string, first: string): Form {
  const number = Number(value);
  switch (name) {
    case 'Nothing': return form;
    case 'Seed': return { ...form, seed: number };
    case 'Steps': return { ...form, steps: number };
    case 'CFG Scale': return { ...form, cfg_scale: number };
    case 'Sampler': return { ...form, sampler_name: value };
    case 'Schedule type': return { ...form, scheduler: value };
    case 'Denoising': return { ...form, denoising_strength: number };
    case 'Clip skip': return { ...form, clip_skip: number };
    case 'Prompt S/R': {
      if (!form.prompt.includes(first) && !form.negative_prompt.includes(first))
        throw new Error(`Prompt S/R did not find “${first}” in the prompt or negative prompt.`);
      return {
        ...form,
        prompt: form.prompt.split(first).join(value),
        negative_prompt: form.negative_prompt.split(first).join(value),
      };
    }
    case 'LoRA weight': return { ...form, prompt: withWeights(form.prompt, number) };
    case 'LoRA on/off': return value === 'with LoRA' ? form : { ...form, prompt: withoutLoras(form.prompt) };
    case 'Size': {
      const [width, height] = value.split('x').map(Number) as [number, number];
      return { ...form, width, height };
    }
  }
}

function withWeights(prompt: string, weight: number): string {
  let text = prompt;
  for (const tag of loraTags(prompt).reverse()) text = replaceTag(text, tag, { te: weight, unet: weight });
  return text;
}

/** The prompt without LoRA tags; trigger words stay, so that only the LoRAs differ. */
export function withoutLoras(prompt: string): string {
  return [...new Set(loraTags(prompt).map((tag) => tag.name))].reduce((text, name) => removeLora(text, name, ''), prompt);
}

export interface Cell {
  x: string;
  y: string;
  z: string;
  form: Form;
}

/** All cells of a plot, row by row, sheet by sheet. Throws Error with what is wrong, also when there are too many. */
export function plotCells(form: Form, x: Axis, y: Axis, z: Axis): Cell[] {
  const [xs, ys, zs] = [axisValues(x), axisValues(y), axisValues(z)] as const;
  const count = xs.length * ys.length * zs.length;
  if (count < 2) throw new Error('Choose an axis with at least two values.');
  if (count > MAX_CELLS) throw new Error(`That is ${count} images; a plot can have at most ${MAX_CELLS}.`);
  const cells: Cell[] = [];
  for (const zv of zs)
    for (const yv of ys)
      for (const xv of xs) {
        let changed = form;
        // Search and replace goes first: other axes may change the words it looks for.
        const order = ([[x, xv, xs[0]!], [y, yv, ys[0]!], [z, zv, zs[0]!]] as const).slice()
          .sort((a, b) => Number(b[0].name === 'Prompt S/R') - Number(a[0].name === 'Prompt S/R'));
        for (const [axis, value, first] of order) changed = withValue(changed, axis.name, value, first);
        cells.push({ x: xv, y: yv, z: zv, form: { ...changed, n_iter: 1, batch_size: 1 } });
      }
  return cells;
}
