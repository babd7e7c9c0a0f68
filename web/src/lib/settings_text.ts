import { fromInfotext } from './form';
import type { Form } from './form';

/** Whether a text looks like the settings of a picture as A1111, LowRank and civitai.com copy them. The server reads it. */
export function looksLikeSettings(text: string): boolean {
  const labels = ['Steps', 'Sampler', 'CFG scale', 'Seed', 'Size', 'Model', 'Model hash', 'Clip skip', 'Version', 'Civitai resources'];
  const found = labels.filter((label) => new RegExp(`(^|[\\n,])\\s*${label}: ?\\S`, 'i').test(text));
  // Other programs' settings are JSON.
  if (/^\s*\{/.test(text) && /"(class_type|sui_image_params|positive_prompt|base_model|use_stable_diffusion_model|num_inference_steps)"/.test(text)) return true;
  return found.length >= 3 || (/(^|\n)Negative prompt:/i.test(text) && found.length > 0);
}

/** A note of the server as a sentence of its own. */
export const asSentence = (note: string) => note.charAt(0).toUpperCase() + note.slice(1) + (/[.!?]$/.test(note) ? '' : '.');

/** What the form can choose from, as far as settings name it. */
export interface Known {
  samplers: string[];
  schedulers: string[];
  /** Of Hires. fix. */
  upscalers: string[];
  /** The checkpoint in use, without its ending. */
  checkpoint: string;
}

/** The form's fields that settings give, and a sentence about each that is not taken as it stands. */
export function settingsOf(parameters: Record<string, string>, known: Known): { part: Partial<Form>; notes: string[] } {
  const part = fromInfotext(parameters);
  const notes: string[] = [];
  const same = (a: string, b: string) => a.toLowerCase() === b.toLowerCase();
  if (part.sampler_name !== undefined && known.samplers.length > 0) {
    const asked = part.sampler_name;
    const exact = known.samplers.find((name) => same(name, asked));
    // Up to A1111 1.8, and at civitai.com still, the schedule is a part of the sampler's name.
    const schedule = exact ? undefined : known.schedulers.find((name) => asked.toLowerCase().endsWith(` ${name.toLowerCase()}`));
    const short = schedule && known.samplers.find((name) => same(name, asked.slice(0, -schedule.length - 1)));
    if (exact) part.sampler_name = exact;
    else if (schedule && short) Object.assign(part, { sampler_name: short, scheduler: schedule });
    else {
      delete part.sampler_name;
      notes.push(`Unknown sampler “${asked}”; the current one is kept.`);
    }
    // Without a word about the schedule the sampler's own was used.
    if (part.sampler_name !== undefined && part.scheduler === undefined) part.scheduler = 'Automatic';
  }
  if (part.scheduler !== undefined && known.schedulers.length > 0) {
    const asked = part.scheduler;
    const exact = known.schedulers.find((name) => same(name, asked));
    if (exact) part.scheduler = exact;
    else {
      delete part.scheduler;
      notes.push(`Unknown schedule type “${asked}”; the current one is kept.`);
    }
  }
  if (part.hr_upscaler !== undefined && known.upscalers.length > 0) {
    const asked = part.hr_upscaler;
    const exact = known.upscalers.find((name) => same(name, asked));
    if (exact) part.hr_upscaler = exact;
    else {
      delete part.hr_upscaler;
      notes.push(`Unknown upscaler “${asked}”; the current one is kept.`);
    }
  }
  const model = parameters['Model'];
  if (model && known.checkpoint && !same(model, known.checkpoint)) notes.push(`Made with the checkpoint ${model}; the current checkpoint is ${known.checkpoint}.`);
  if (part.seed === undefined) notes.push('No seed given; the current seed is kept.');
  return { part, notes };
}
