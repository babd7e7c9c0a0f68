import type { Form } from './form';
import { loraTags, removeLora, replaceTag } from './prompt';

/** What an X/Y/Z plot may vary. Names and the forms of values are A1111's. */
export const AXES = [
  'Nothing', 'Seed', 'Steps', 'CFG Scale', 'Sampler', 'Schedule type', 'Prompt S/R', 'LoRA weight', 'LoRA on and off',
  'Denoising', 'Clip skip', 'Size',
] as const;
export type AxisName = (typeof AXES)[number];

export interface Axis {
  name: AxisName;
  values: string;
}

/**
 * The values of an axis: a comma list; for numbers also `1-5`, `1-10 (+3)` and `0-1 [5]` (five values, ends included).
 * Throws Error with what is wrong.
 */
export function axisValues(axis: Axis): string[] {
  if (axis.name === 'Nothing') return [''];
  if (axis.name === 'LoRA on and off') return ['without LoRA', 'with LoRA'];
  const parts = axis.values.split(',').map((part) => part.trim()).filter(Boolean);
  if (parts.length === 0) throw new Error(`${axis.name} needs values, for example ${example(axis.name)}.`);
  if (['Sampler', 'Schedule type', 'Prompt S/R'].includes(axis.name)) return parts;
  if (axis.name === 'Size') {
    const wrong = parts.find((part) => !/^\d+\s*x\s*\d+$/.test(part));
    if (wrong) throw new Error(`“${wrong}” is no size; write 512x768.`);
    return parts.map((part) => part.replace(/\s/g, ''));
  }
  return parts.flatMap((part) => numbers(part, axis.name));
}

function numbers(part: string, name: AxisName): string[] {
  const n = '([+-]?\\d+(?:\\.\\d+)?)';
  const range = new RegExp(`^${n}\\s*-\\s*${n}(?:\\s*\\(\\s*${n}\\s*\\)|\\s*\\[\\s*(\\d+)\\s*\\])?$`).exec(part);
  const round = (value: number) => String(Math.round(value * 1e6) / 1e6);
  if (!range) {
    if (!Number.isFinite(Number(part))) throw new Error(`“${part}” is no number for ${name}.`);
    return [part];
  }
  const [from, to] = [Number(range[1]), Number(range[2])];
  if (range[4] !== undefined) {
    const count = Math.min(100, Math.max(2, Number(range[4])));
    return Array.from({ length: count }, (_, i) => round(from + ((to - from) * i) / (count - 1)));
  }
  const step = range[3] === undefined ? 1 : Math.abs(Number(range[3]));
  if (step === 0) throw new Error(`The step of “${part}” is 0.`);
  const count = Math.min(100, Math.floor(Math.abs(to - from) / step + 1e-9) + 1);
  return Array.from({ length: count }, (_, i) => round(from + Math.sign(to - from) * step * i));
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
        throw new Error(`Prompt S/R did not find “${first}” in the prompt.`);
      return {
        ...form,
        prompt: form.prompt.split(first).join(value),
        negative_prompt: form.negative_prompt.split(first).join(value),
      };
    }
    case 'LoRA weight': return { ...form, prompt: withWeights(form.prompt, number) };
    case 'LoRA on and off': return value === 'with LoRA' ? form : { ...form, prompt: withoutLoras(form.prompt) };
    case 'Size': {
      const [width = 512, height = 512] = value.split('x').map(Number);
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
  if (count < 2) throw new Error('Choose what to vary.');
  if (count > 150) throw new Error(`That would be ${count} pictures; a plot may have 150.`);
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
