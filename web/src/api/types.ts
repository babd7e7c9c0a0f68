// What the server says, as docs/api.md and /openapi.json describe it.

export interface LoraCardData {
  name: string;
  alias: string;
  relative: string;
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
  preferred_weight: number | null;
  rating: number;
  preview: string | null;
  bytes: number;
  time: number;
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
}

export interface Job {
  id: string;
  kind: 'txt2img' | 'img2img' | 'extras' | 'train';
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
  info: string;
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
}

/** How the server reads a prompt. */
export interface PromptExplanation {
  tokens: number;
  limit: number;
  warnings: string[];
}
