// What the server says, as docs/api.md and /openapi.json describe it.

export interface LoraCardData {
  name: string;
  alias: string;
  relative: string;
  title: string;
  /** character, style, concept, pose, clothing, object …; null when nobody said. */
  type: string | null;
  kind: string;
  rank: string;
  family: string;
  base_model: string;
  fits: boolean;
  fits_reason: string;
  trigger_words: string[];
  trigger: string;
  /** What a tag says to mean this file. */
  tag_name: string;
  /** Its makers' and the user's tags. */
  labels: string[];
  preferred_weight: number | null;
  rating: number;
  preview: string | null;
  bytes: number;
  time: number;
  creator: string;
  /** Where it came from; a page, if it is an address. */
  source: string;
  error: string | null;
}

export interface LoraDetail extends LoraCardData {
  description: string;
  activation_text: string;
  negative_text: string;
  tags: { tag: string; count: number }[];
  metadata: Record<string, unknown>;
  notes: string;
  hash?: string;
  modules?: number;
  unknown_keys?: string[];
  skipped?: { module: string; keys: string[]; reason: string }[];
}

/** How many LoRAs there are of each kind; null is what nobody said. */
export interface LoraFacets {
  total: number;
  types: { type: string | null; count: number }[];
  base_models: { base_model: string | null; count: number }[];
  /** With all below them, by name; null: in no folder. */
  folders: { folder: string | null; count: number }[];
  tags: { tag: string; count: number }[];
}

export interface LoraFile {
  name: string;
  relative: string;
  file: string;
  bytes: number;
  time: number;
}

/** Files that are the same, and names that several files claim. `pending` files are still being compared. */
export interface LoraDuplicates {
  duplicates: { same: 'file' | 'tensors'; wasted_bytes: number; files: LoraFile[] }[];
  names: { name: string; winner: string | null; files: LoraFile[] }[];
  wasted_bytes: number;
  pending: number;
}

/** What a prompt or a picture's settings need and the collection lacks. */
export interface MissingFile {
  kind: string;
  name: string;
  /** An address, or a sentence. */
  where: string;
  /** The source of an import job; null: not known. */
  import: string | null;
}

/** What a checkpoint draws well with, by A1111's names: what its card says of the form's fields. */
export interface CardSettings {
  prompt?: string;
  negative_prompt?: string;
  sampler_name?: string;
  scheduler?: string;
  steps?: number;
  cfg_scale?: number;
  width?: number;
  height?: number;
}

export interface Checkpoint {
  title: string;
  name: string;
  /** The small model that came with the program. */
  is_starter: boolean;
  /** Why it cannot be drawn with. */
  problem: string | null;
  card: { description: string | null; notes: string | null; settings: CardSettings | null };
}

export interface CheckpointList {
  checkpoints: Checkpoint[];
  /** Where checkpoints are put. */
  folder: string;
  /** What the settings name; null: the newest is taken. */
  chosen: string | null;
  is_chosen_there: boolean;
  /** Title of the one that pictures are made with; null: there is none. */
  taken: string | null;
}

export interface Imported {
  state: string;
  kind: string;
  name: string;
  relative: string;
  remarks: string[];
}

export type JobState = 'queued' | 'running' | 'completed' | 'failed' | 'cancelled';

export interface JobProgress {
  progress: number;
  eta: number;
  batch: number;
  batches: number;
  step: number;
  steps: number;
  preview: number;
  text: string;
  /** Of a training: "latents" while pictures are encoded, then "lora". */
  phase?: string;
  loss?: number;
  /** Of an import. */
  file?: string;
  bytes?: number;
  total_bytes?: number;
}

export interface Job {
  id: string;
  kind: 'txt2img' | 'img2img' | 'extras' | 'train' | 'import';
  state: JobState;
  position: number | null;
  created: number;
  started: number | null;
  finished: number | null;
  pictures: number;
  has_result: boolean;
  error: string | null;
  progress?: JobProgress;
}

export interface DatasetFolder {
  /** "10_my cat" */
  folder: string;
  repeats: number;
  trigger: string;
  pictures: number;
}

/** A training set: a folder of train/. */
export interface DatasetSummary {
  name: string;
  train_data_dir: string;
  folders: DatasetFolder[];
  count: number;
  pictures_per_epoch: number;
  cover: string | null;
  /** What the trainer would refuse about the set, one sentence each. */
  faults: string[];
  is_ready: boolean;
}

export interface DatasetPicture {
  file: string;
  folder: string;
  url: string;
  /** Its own; null: the folder's trigger words count. */
  caption: string | null;
  learned: string;
  repeats: number;
  width: number;
  height: number;
  bytes: number;
  bucket: { width: number; height: number } | null;
  /** Share of the picture that lies outside its bucket. */
  cut: number | null;
  error: string | null;
}

export interface Dataset extends DatasetSummary {
  pictures: DatasetPicture[];
  buckets: { width: number; height: number; pictures: number }[];
}

/** What is kept of a training, by the name of its LoRA. */
export interface Training {
  name: string;
  job: string;
  state: JobState | null;
  error: string | null;
  begun: number;
  request: Record<string, unknown>;
  step: number;
  steps: number;
  loss: number | null;
  /** Step from which it can go on; null: it cannot. */
  resume_step: number | null;
  sample_count: number;
}

export interface TrainingDetail extends Training {
  losses: [step: number, loss: number][];
  samples: { step: number; index: number; url: string }[];
}

export interface ComponentReport {
  applied: number;
  modules: number;
  layers: number;
  weight: number;
}

/** What one LoRA did to the model: the apply report. */
export interface LoraReport {
  name: string;
  te: number;
  unet: number;
  applied: number;
  skipped: number;
  unknown: number;
  base_model: string;
  kinds: Record<string, number>;
  ranks: Record<string, number>;
  modules: { unet: ComponentReport; text_encoder: ComponentReport };
  relative_change: number;
  blocks: Record<string, { modules: number; relative: number }>;
  skipped_modules: { module: string; keys: string[]; reason: string }[];
  unknown_keys: string[];
  notes: string[];
}

export interface ResultInfo {
  prompt: string;
  negative_prompt: string;
  all_seeds: number[];
  infotexts: string[];
  index_of_first_image: number;
  lowrank: {
    loras: LoraReport[];
    missing_loras: { name: string; reason: string }[];
    timings: Record<string, number>;
    warnings: string[];
  };
}

export interface JobResult {
  /** JSON; extras have none. */
  info?: string;
  /** Of an import. */
  imported?: Imported[];
  parameters: Record<string, unknown>;
}

export interface OutputFile {
  name: string;
  url: string;
  bytes: number;
  time: number;
}

export interface PictureParameters {
  info: string;
  parameters: Record<string, string>;
  /** Which program wrote the settings, and what of them was not understood. */
  lowrank?: { generator: string; notes: string[] };
}

/** How the server reads a prompt. */
export interface PromptExplanation {
  tokens: number;
  limit: number;
  warnings: string[];
}
