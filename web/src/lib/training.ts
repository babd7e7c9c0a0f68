import type { Dataset, DatasetPicture, Training, TrainingRequest } from '../api/schema';
import { firstValues, trainingField, trainingPresets } from './fields';

const NUMBERS = ['network_dim', 'network_alpha', 'max_train_steps', 'learning_rate', 'train_batch_size'] as const;

/** What a person decides about a training. Names are kohya's. */
export interface Plan extends Record<(typeof NUMBERS)[number], number> {
  output_name: string;
  /** Where the plan started; '' for one from before there were presets. The numbers of the form override its own. */
  preset: NonNullable<TrainingRequest['preset']> | '';
  resolution: number;
  /** One a line; '' means the trigger words. */
  sample_prompts: string;
  /** 0: none. */
  sample_every_n_steps: number;
}

/** After how many steps sample images are generated, where nobody said. */
export function sampleSteps(steps: number): number {
  return Math.max(1, Math.round(steps / 4));
}

/** What a new form has: the server's first preset, and sample images four times on the way. */
export const FIRST_PLAN: Plan = {
  ...firstValues<TrainingRequest, (typeof NUMBERS)[number]>('TrainingRequest', NUMBERS),
  // Width and height; the form has one side for both.
  resolution: parseInt(String(trainingField('resolution').standard), 10),
  preset: trainingField('preset').standard as Plan['preset'], output_name: '', sample_prompts: '', sample_every_n_steps: 0,
};
FIRST_PLAN.sample_every_n_steps = sampleSteps(FIRST_PLAN.max_train_steps);

/** Whether pictures are so far below the size that a checkpoint learned (0: not known) that it learns nothing good of them. */
export const isSmallSize = (resolution: number, native: number) => resolution <= native / 2;

/** The plan with a preset's numbers in its form; the rest of the preset goes with its name. */
export function withPreset(name: string): Partial<Plan> {
  const values = trainingPresets().find((preset) => preset.name === name)?.values ?? {};
  return { preset: name as Plan['preset'], ...Object.fromEntries(NUMBERS.flatMap((key) => (values[key] === undefined ? [] : [[key, values[key]]]))) };
}

/** Whether the plan has other numbers than the preset where it started. */
export const isChanged = (plan: Plan): boolean => Object.entries(withPreset(plan.preset)).some(([key, value]) => plan[key as keyof Plan] !== value);

/** The trigger words of all folders of a set, as the trainer joins them. */
export const triggerOf = (set: Dataset): string => [...new Set(set.folders.map((f) => f.trigger).filter(Boolean))].join(', ');

/** Pictures whose own caption leaves out the trigger words of their folder. */
export function withoutTrigger(set: Dataset): { picture: DatasetPicture; trigger: string }[] {
  return set.pictures.flatMap((picture) => {
    const trigger = set.folders.find((f) => f.folder === picture.folder)?.trigger ?? '';
    const isSilent = trigger !== '' && picture.caption !== null && !picture.caption.toLowerCase().includes(trigger.toLowerCase());
    return isSilent ? [{ picture, trigger }] : [];
  });
}

/** What a training of this name would destroy: the finished LoRA's file, or the saved state of a stopped run. */
export interface Earlier {
  hasLora: boolean;
  resumeStep: number | null;
}

/** The words of the choice to destroy it; '' when there is nothing. */
export const replaceWords = (name: string, { hasLora, resumeStep }: Earlier): string =>
  hasLora && resumeStep !== null ? `Replace the finished LoRA and the run of “${name}” stopped at step ${resumeStep}`
  : hasLora ? `Replace the finished LoRA “${name}”`
  : resumeStep !== null ? `Discard the run of “${name}” stopped at step ${resumeStep}` : '';

/** The request that /v1/jobs takes, with kohya's option names. `replaces`: what an earlier training of the name left may go. */
export function trainRequest(plan: Plan, set: Dataset, checkpoint: string, replaces = false): TrainingRequest {
  const { sample_prompts, sample_every_n_steps, resolution, preset, ...rest } = plan;
  const prompts = sample_prompts.trim() || triggerOf(set);
  return {
    ...rest,
    ...(preset ? { preset } : {}),
    train_data_dir: set.train_data_dir,
    resolution: String(resolution),
    enable_bucket: true,
    ...(replaces ? { fresh: true } : {}),
    ...(checkpoint ? { pretrained_model: checkpoint } : {}),
    ...(sample_every_n_steps > 0 && prompts ? { sample_prompts: prompts, sample_every_n_steps } : {}),
  };
}

/** The request that resumes a stopped run: the same, also where it replaces a finished LoRA. */
export const resumeRequest = (training: Training): TrainingRequest => ({ ...training.request, ...(training.request.fresh ? { resume: true } : {}) });

/** The request that trains a finished run further: the same with more steps. */
export const furtherRequest = (training: Training, steps: number): TrainingRequest => ({ ...training.request, max_train_steps: steps, resume: true });

/** What must be put right before the training, as a sentence; null when nothing. */
export function planFault(plan: Plan, set: Dataset | null, checkpoint: string, earlier: Earlier = { hasLora: false, resumeStep: null }, replaces = false): string | null {
  if (!checkpoint) return 'No checkpoint to train on; see the Create page.';
  if (!set) return 'Select a dataset first.';
  if (set.count === 0) return 'Add images first.';
  if (!set.is_ready) return 'Some images cannot be used; see the dataset.';
  if (plan.output_name.trim() === '') return 'Enter a LoRA name.';
  if (replaces) return null;
  if (earlier.hasLora) return `A LoRA named “${plan.output_name.trim()}” already exists. Enter another name, or select “Replace”.`;
  if (earlier.resumeStep !== null) return `A stopped run named “${plan.output_name.trim()}” exists. Resume it below, enter another name, or select “Discard”.`;
  return null;
}

/** "800 steps: each of 12 images is seen about 67 times." */
export function planWords(plan: Plan, set: Dataset): string {
  const shown = (plan.max_train_steps * plan.train_batch_size) / Math.max(1, set.count);
  return `${plan.max_train_steps} steps: each of ${set.count} images is seen about ${shown < 10 ? shown.toFixed(1) : Math.round(shown)} times.`;
}

export type Point = [step: number, loss: number];

/** The curve without its noise: a running mean that weighs old points less. */
export function smoothed(points: readonly Point[]): Point[] {
  const share = Math.max(0.02, Math.min(1, 2 / (points.length / 10 + 1)));
  let sum = 0;
  let weight = 0;
  return points.map(([step, loss]) => {
    sum = sum * (1 - share) + loss * share;
    weight = weight * (1 - share) + share;
    return [step, sum / weight];
  });
}

/** Lowest and highest loss to draw: all of the smooth curve, and the rest without the few that stick out. */
export function lossRange(points: readonly Point[], smooth: readonly Point[]): [low: number, high: number] {
  const sorted = points.map(([, loss]) => loss).sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  const low = Math.min(at(0.03), ...smooth.map(([, loss]) => loss));
  const high = Math.max(at(0.97), ...smooth.map(([, loss]) => loss));
  const margin = (high - low) * 0.06 || Math.max(high * 0.1, 1e-6);
  return [Math.max(0, low - margin), high + margin];
}

/** Round numbers between two ends, two to four of them. */
export function ticks(low: number, high: number): number[] {
  const raw = (high - low) / 3;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((n) => n >= raw) ?? raw;
  const list: number[] = [];
  for (let i = Math.ceil(low / step); i * step <= high; ++i) list.push(Number((i * step).toPrecision(12)));
  return list;
}

export const isLive = (training: Training) => training.state === 'queued' || training.state === 'running';
