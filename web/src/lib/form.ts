import type { CardSettings, Checkpoint, ExtrasRequest, Img2imgRequest, Txt2imgRequest } from '../api/schema';
import { firstValues, imageField, textField } from './fields';
import { keep, readKept } from './kept';
import { createStore } from './store';

const OF_TEXT = [
  'prompt', 'negative_prompt', 'styles', 'sampler_name', 'scheduler', 'steps', 'width', 'height', 'cfg_scale', 'seed', 'subseed', 'subseed_strength',
  'n_iter', 'batch_size', 'clip_skip', 'tiling', 'enable_hr', 'hr_scale', 'hr_upscaler', 'hr_second_pass_steps', 'denoising_strength',
  'refiner_checkpoint', 'refiner_switch_at',
] as const;
const OF_IMAGE = ['resize_mode', 'mask_blur', 'inpainting_fill', 'inpaint_full_res', 'inpaint_full_res_padding'] as const;
const OF_EXTRAS = ['upscaler_1', 'upscaling_resize', 'upscaler_2', 'extras_upscaler_2_visibility'] as const;
type Values<R, K extends keyof R> = { [N in K]-?: NonNullable<R[N]> };

/** Everything that Create's form holds: fields of the server's requests, and what is the page's own. */
export interface Form
  extends Values<Txt2imgRequest, (typeof OF_TEXT)[number]>, Values<Img2imgRequest, (typeof OF_IMAGE)[number]>,
    Values<ExtrasRequest, (typeof OF_EXTRAS)[number]> {
  mode: 'txt2img' | 'img2img' | 'inpaint' | 'extras';
  inpainting_mask_invert: boolean;
  compare: boolean;
  /** Of the U-Net's products, in override_settings; none: what the server's options say. */
  precision?: string;
}

export const DEFAULTS: Form = {
  mode: 'txt2img',
  compare: false,
  ...firstValues<Txt2imgRequest, (typeof OF_TEXT)[number]>('Txt2imgRequest', OF_TEXT),
  ...firstValues<Img2imgRequest, (typeof OF_IMAGE)[number]>('Img2imgRequest', OF_IMAGE),
  ...firstValues<ExtrasRequest, (typeof OF_EXTRAS)[number]>('ExtrasRequest', OF_EXTRAS),
  inpainting_mask_invert: imageField('inpainting_mask_invert').standard === 1,
};
/** Between the two lies the size of a checkpoint without a card and that of the starter model. */
const SMALL = (DEFAULTS.width * 2) / 3;

/** The form as a checkpoint's card has it: what a newcomer with nothing but the starter model finds. With a LoRA in the
 * prompt the comparison shows what it does. */
export const fromCard = (settings: CardSettings): Partial<Form> => ({ ...settings, ...(/<lora:/i.test(settings.prompt ?? '') ? { compare: true } : {}) });

/** What a checkpoint without a card is drawn with where the form still has the starter model's settings. */
const USUAL = (({ cfg_scale, sampler_name, scheduler }) => ({ cfg_scale, sampler_name, scheduler }))(DEFAULTS);

/** The settings that a checkpoint asks for: its card's. Of one without a card the size that it learned, where the form's is so
 * much smaller that it draws nothing good or so much larger that it repeats what it draws. */
export function settingsFor(f: Form, { card, native_size }: Pick<Checkpoint, 'card' | 'native_size'>): CardSettings | null {
  if (card.settings) return card.settings;
  const native = native_size || DEFAULTS.width;
  const isSmall = Math.max(f.width, f.height) < native * 0.75;
  const isLarge = Math.min(f.width, f.height) > native * 1.5;
  if (!isSmall && !isLarge) return null;
  return { width: native, height: native, ...(Math.max(f.width, f.height) < SMALL ? USUAL : {}) };
}

/** Whether the form already has what a card says of sampler, size and guidance. */
export const followsCard = (f: Form, settings: CardSettings): boolean =>
  (['sampler_name', 'scheduler', 'cfg_scale', 'width', 'height'] as const).every((key) => settings[key] === undefined || settings[key] === f[key]);

export const form = createStore<Form>({ ...DEFAULTS, ...readKept<Partial<Form>>('form', {}) });
form.subscribe(() => keep('form', form.get()));

export const isFirstVisit = () => localStorage.getItem('lowrank.form') === null;

export function change(part: Partial<Form>): void {
  form.set((old) => ({ ...old, ...part }));
}

/** Pictures that img2img and inpaint start from; kept for a reload, unless they are too large for the browser's small store. */
export interface Source {
  /** data: URL, or '' when none is chosen. */
  image: string;
  /** White where to repaint; data: URL of a PNG. */
  mask: string;
}

const NO_SOURCE: Source = { image: '', mask: '' };
export const source = createStore<Source>(readKept('source', NO_SOURCE, 'session'));
source.subscribe(() => keep('source', source.get(), 'session'));

/** An order for /v1/jobs. */
export type Order =
  | { kind: 'txt2img'; request: Txt2imgRequest } | { kind: 'img2img'; request: Img2imgRequest } | { kind: 'extras'; request: ExtrasRequest };

export function requestOf(f: Form, from: Source): Order {
  if (f.mode === 'extras')
    return {
      kind: 'extras',
      request: {
        image: from.image,
        upscaler_1: f.upscaler_1,
        upscaling_resize: f.upscaling_resize,
        upscaler_2: f.upscaler_2,
        extras_upscaler_2_visibility: f.upscaler_2 === 'None' ? 0 : f.extras_upscaler_2_visibility,
        save_images: true,
      },
    };
  const common = {
    prompt: f.prompt,
    negative_prompt: f.negative_prompt,
    styles: f.styles,
    sampler_name: f.sampler_name,
    scheduler: f.scheduler,
    steps: f.steps,
    width: f.width,
    height: f.height,
    cfg_scale: f.cfg_scale,
    seed: f.seed,
    n_iter: f.n_iter,
    batch_size: f.batch_size,
    clip_skip: f.clip_skip,
    tiling: f.tiling,
    save_images: true,
    send_images: true,
    ...(f.refiner_checkpoint ? { refiner_checkpoint: f.refiner_checkpoint, refiner_switch_at: f.refiner_switch_at } : {}),
    ...(f.precision ? { override_settings: { precision: f.precision } } : {}),
  };
  const varied = f.subseed_strength > 0 ? { subseed: f.subseed, subseed_strength: f.subseed_strength } : {};
  if (f.mode === 'txt2img') {
    const hires = {
      enable_hr: true,
      hr_scale: f.hr_scale,
      hr_upscaler: f.hr_upscaler,
      hr_second_pass_steps: f.hr_second_pass_steps,
      denoising_strength: f.denoising_strength,
    };
    return { kind: 'txt2img', request: { ...common, ...varied, ...(f.enable_hr ? hires : {}) } };
  }
  const masked = {
    mask: from.mask,
    mask_blur: f.mask_blur,
    inpainting_fill: f.inpainting_fill,
    inpaint_full_res: f.inpaint_full_res,
    inpaint_full_res_padding: f.inpaint_full_res_padding,
    inpainting_mask_invert: f.inpainting_mask_invert ? 1 : 0,
  };
  const image = { init_images: [from.image], denoising_strength: f.denoising_strength, resize_mode: f.resize_mode };
  return { kind: 'img2img', request: { ...common, ...varied, ...image, ...(f.mode === 'inpaint' ? masked : {}) } };
}

/** What the form can choose from by name. */
export interface Named {
  samplers: string[];
  schedulers: string[];
  upscalers: string[];
  pictureUpscalers: string[];
  styles: { name: string }[];
  checkpoints: { name: string }[];
}

/** Choices of the form that are no longer there, as a sentence; null when all are. The form outlives files and styles. */
export function staleChoice(f: Form, all: Named): string | null {
  const gone = (what: string, name: string, list: string[]) => (list.includes(name) ? null : `The ${what} “${name}” is not available; choose another.`);
  if (f.mode === 'extras') return gone('upscaler', f.upscaler_1, all.pictureUpscalers) ?? (f.upscaler_2 === 'None' ? null : gone('upscaler', f.upscaler_2, all.pictureUpscalers));
  return (
    gone('sampling method', f.sampler_name, all.samplers) ??
    gone('schedule type', f.scheduler, all.schedulers) ??
    (f.mode === 'txt2img' && f.enable_hr ? gone('upscaler', f.hr_upscaler, all.upscalers) : null) ??
    (f.refiner_checkpoint ? gone('refiner', f.refiner_checkpoint, all.checkpoints.map((c) => c.name)) : null) ??
    f.styles.map((style) => gone('style', style, all.styles.map((s) => s.name))).find(Boolean) ??
    null
  );
}

/** What must be put right before Generate, as a sentence; null when nothing. */
export function fault(f: Form, from: Source): string | null {
  if (f.mode !== 'txt2img' && !from.image) return f.mode === 'extras' ? 'Choose an image to upscale.' : 'Choose an input image.';
  if (f.mode === 'extras') return f.upscaler_1 === 'None' ? 'Choose an upscaler.' : null;
  if (f.mode === 'inpaint' && !from.mask) return 'Paint the area you want redrawn.';
  const least = textField('width').min;
  if (f.width < least || f.height < least) return `Width and height must be at least ${least}.`;
  return null;
}

/** Form fields out of a picture's infotext as /sdapi/v1/png-info reads it. What is not said stays as it is, but for what an
 * infotext leaves out when it was off. */
export function fromInfotext(parameters: Record<string, string>): Partial<Form> {
  const part: Partial<Form> = {};
  const text = (label: string) => parameters[label];
  const value = (label: string) => {
    const n = Number(text(label));
    return text(label) !== undefined && Number.isFinite(n) ? n : undefined;
  };
  const put = <K extends keyof Form>(key: K, found: Form[K] | undefined) => {
    if (found !== undefined) part[key] = found;
  };
  put('prompt', text('Prompt'));
  put('negative_prompt', text('Negative prompt'));
  put('sampler_name', text('Sampler'));
  put('scheduler', text('Schedule type'));
  put('steps', value('Steps'));
  put('cfg_scale', value('CFG scale'));
  put('seed', value('Seed'));
  put('clip_skip', value('Clip skip'));
  put('denoising_strength', value('Denoising strength'));
  put('subseed', value('Variation seed'));
  put('subseed_strength', value('Variation seed strength'));
  const size = /^(\d+)x(\d+)$/.exec(text('Size') ?? '');
  put('width', size ? Number(size[1]) : value('Size-1'));
  put('height', size ? Number(size[2]) : value('Size-2'));
  const scale = value('Hires upscale');
  part.enable_hr = scale !== undefined;
  put('hr_scale', scale);
  put('hr_upscaler', text('Hires upscaler'));
  put('hr_second_pass_steps', value('Hires steps'));
  put('mask_blur', value('Mask blur'));
  // "folder/name.safetensors [hash]", or a name alone.
  part.refiner_checkpoint = (text('Refiner') ?? '').replace(/( \[\w+\])?$/, '').replace(/\.(safetensors|ckpt|pt)$/, '').replaceAll('/', '_');
  put('refiner_switch_at', value('Refiner switch at'));
  part.precision = text('Precision') ?? 'float32';
  part.tiling = text('Tiling') === 'True';
  part.subseed_strength ??= 0;
  // Styles are in the prompt as it was used.
  part.styles = [];
  return part;
}
