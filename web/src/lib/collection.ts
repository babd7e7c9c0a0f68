import { api } from '../api/client';
import type { Checkpoint, CheckpointList, ListedLora, Style } from '../api/schema';
import { createStore } from './store';

/** A thing that is asked from the server: not here yet, here, or refused with a sentence. */
export type Loaded<T> = { state: 'loading' } | { state: 'ready'; value: T } | { state: 'failed'; sentence: string };

export const sentence = (error: unknown) => (error instanceof Error ? error.message : String(error));

export const loras = createStore<Loaded<ListedLora[]>>({ state: 'loading' });

export async function loadLoras(): Promise<void> {
  try {
    loras.set({ state: 'ready', value: (await api.loras()).loras });
  } catch (error) {
    // Cards that are on the screen stay there while the server is away.
    if (loras.get().state !== 'ready') loras.set({ state: 'failed', sentence: sentence(error) });
  }
}

/** The choices of the form. */
export interface Choices {
  checkpoints: Checkpoint[];
  /** Which one is taken, and where they lie. */
  model: CheckpointList;
  vaes: string[];
  samplers: string[];
  schedulers: string[];
  /** Of hires fix: latent ones too. */
  upscalers: string[];
  /** Of extras. */
  pictureUpscalers: string[];
  styles: Style[];
  embeddings: string[];
  options: Record<string, unknown>;
}

export const choices = createStore<Loaded<Choices>>({ state: 'loading' });

export async function loadChoices(): Promise<void> {
  try {
    const [checkpoints, vaes, samplers, schedulers, upscalers, latent, styles, embeddings, options] = await Promise.all([
      api.checkpoints(), api.vaes(), api.samplers(), api.schedulers(), api.upscalers(), api.latentUpscalers(),
      api.styles(), api.embeddings(), api.options(),
    ]);
    choices.set({
      state: 'ready',
      value: {
        checkpoints: checkpoints.checkpoints,
        model: checkpoints,
        vaes: vaes.map((v) => v.model_name),
        samplers: samplers.map((s) => s.name),
        schedulers: schedulers.map((s) => s.label),
        upscalers: [...latent.map((u) => u.name), ...upscalers.map((u) => u.name).filter((n) => n !== 'None')],
        pictureUpscalers: upscalers.map((u) => u.name).filter((n) => n !== 'None'),
        styles,
        embeddings: Object.keys(embeddings.loaded),
        options,
      },
    });
  } catch (error) {
    if (choices.get().state !== 'ready') choices.set({ state: 'failed', sentence: sentence(error) });
  }
}

export const ready = <T>(loaded: Loaded<T>): T | null => (loaded.state === 'ready' ? loaded.value : null);

/** Title of the checkpoint in use; '' while it is not known. */
export const checkpointName = (all: Choices | null) => all?.model.taken ?? '';

/** The checkpoint in use. */
export const takenCheckpoint = (all: Choices | null): Checkpoint | undefined => all?.checkpoints.find((c) => c.title === all.model.taken);

/** How a checkpoint stands in a list: with its family, and whose offspring it is. */
export const checkpointLabel = ({ name, problem, family, subfamily }: Checkpoint) => {
  if (problem) return `${name} (cannot be used)`;
  const kind = [family, subfamily].filter(Boolean).join(', ');
  return kind ? `${name} (${kind})` : name;
};

/** "starter.safetensors [7bee46278f]" → "starter" */
export const shortName = (title: string) => title.replace(/( \[\w+\])?$/, '').replace(/\.(safetensors|ckpt|pt)$/, '');

/** Has the server look for new files, and says what came of it. Throws ApiError. */
export async function rescanModels(): Promise<string> {
  const titles = () => new Set(ready(choices.get())?.checkpoints.map((c) => c.title));
  const before = titles();
  await api.rescan();
  await Promise.all([loadChoices(), loadLoras()]);
  const found = [...titles()].filter((title) => !before.has(title)).map(shortName);
  return found.length > 0 ? `Found ${found.join(', ')}.` : 'No new checkpoints found.';
}

export async function setOptions(options: Parameters<typeof api.setOptions>[0]): Promise<void> {
  await api.setOptions(options);
  // Which LoRAs fit depends on the checkpoint.
  await Promise.all([loadChoices(), ...('sd_model_checkpoint' in options ? [loadLoras()] : [])]);
}

/** The LoRA that a tag's name means: the one whose own tag says so, else by name, alias, or folder/name. */
export function findLora(list: ListedLora[], name: string): ListedLora | undefined {
  return list.find((l) => l.tag_name === name) ?? list.find((l) => l.name === name) ?? list.find((l) => l.alias === name || l.relative === name);
}

