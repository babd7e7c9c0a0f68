import type { CheckpointList, Dataset, DatasetPicture, DatasetSummary, Job, JobResult, LoraCardData, LoraDetail, LoraDuplicates, LoraFacets, MissingFile, OutputFile, PictureParameters, PromptExplanation, Training, TrainingDetail } from './types';

/** What went wrong, in the server's own sentence. `status` is 0 when the server cannot be reached. */
export class ApiError extends Error {
  constructor(message: string, readonly status: number) {
    super(message);
  }
}

export const UNREACHABLE = 'The server cannot be reached. The page reconnects automatically.';

/** The sentence in an error answer of any of the server's forms. */
export function errorSentence(body: unknown, status: number): string {
  if (body && typeof body === 'object') {
    const { detail, error, errors, message } = body as Record<string, unknown>;
    if (Array.isArray(detail)) {
      return detail
        .map((fault: { loc?: unknown[]; msg?: string }) => {
          const field = Array.isArray(fault.loc) ? fault.loc[fault.loc.length - 1] : '';
          return [field, fault.msg].filter(Boolean).join(': ');
        })
        .join('; ');
    }
    for (const text of [errors, detail, message, error]) if (typeof text === 'string' && text) return text;
  }
  return `The server returned status ${status} without an error message.`;
}

async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers: body === undefined || body instanceof Blob ? {} : { 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: body instanceof Blob ? body : JSON.stringify(body) }),
    });
  } catch {
    throw new ApiError(UNREACHABLE, 0);
  }
  const text = await response.text();
  let answer: unknown = text;
  try {
    answer = text === '' ? null : JSON.parse(text);
  } catch {
    if (response.status >= 500) throw new ApiError(UNREACHABLE, 0);
  }
  if (!response.ok) throw new ApiError(errorSentence(answer, response.status), response.status);
  return answer as T;
}

const get = <T>(path: string) => call<T>('GET', path);
const put = <T>(path: string, body: unknown) => call<T>('PUT', path, body);
const drop = (path: string) => call<unknown>('DELETE', path);
/** A name with slashes as part of a path. */
const segments = (name: string) => name.split('/').map(encodeURIComponent).join('/');
const post = <T>(path: string, body: unknown = {}) => call<T>('POST', path, body);

export interface NamedThing {
  name: string;
}

export interface Style extends NamedThing {
  prompt: string;
  negative_prompt: string;
}

export const api = {
  health: () => get<{ status: string; version: string; model: string; waiting: number }>('/healthz'),

  submit: (kind: Job['kind'], request: unknown, key: string) =>
    post<Job>('/v1/jobs', { kind, request, idempotency_key: key }),
  /** `previews`: someone looks at the running picture, so the server makes previews of it. */
  jobs: (limit: number, previews: boolean) => get<{ jobs: Job[]; waiting: number }>(`/v1/jobs?limit=${limit}&previews=${previews}`),
  job: (id: string) => get<Job>(`/v1/jobs/${id}`),
  result: (id: string) => get<JobResult>(`/v1/jobs/${id}/result?images=false`),
  cancel: (id: string) => post<Job>(`/v1/jobs/${id}/cancel`),
  cancelAll: (kinds: Job['kind'][]) => post<{ cancelled: string[] }>('/v1/jobs/cancel', { kinds }),
  forget: (id: string) => drop(`/v1/jobs/${id}`),
  pictureUrl: (id: string, index: number) => `/v1/jobs/${id}/pictures/${index}`,
  previewUrl: (id: string, preview: number) => `/v1/jobs/${id}/preview?n=${preview}`,

  loras: () => get<{ loras: LoraCardData[]; total: number }>('/v1/loras?sort=name'),
  lora: (relative: string) => get<LoraDetail>(`/v1/loras/${encodeURIComponent(relative)}`),
  /** The LoRAs that a query finds, in its order, by their place. */
  findLoras: (query: URLSearchParams) => get<{ loras: { relative: string }[]; total: number; near: string[] }>(`/v1/loras?${query}&fields=relative`),
  loraFacets: () => get<LoraFacets>('/v1/loras/facets?tags=200'),
  duplicates: () => get<LoraDuplicates>('/v1/loras/duplicates'),
  missing: (text: string) => post<{ missing: MissingFile[] }>('/v1/loras/missing', { text }),
  setPreview: (relative: string, picture: Blob) => put<unknown>(`/v1/loras/${encodeURIComponent(relative)}/preview`, picture),
  removePreview: (relative: string) => drop(`/v1/loras/${encodeURIComponent(relative)}/preview`),
  editLora: (relative: string, change: Record<string, unknown>) =>
    call<LoraCardData>('PATCH', `/v1/loras/${encodeURIComponent(relative)}`, change),

  outputs: (limit: number, offset: number) =>
    get<{ outputs: OutputFile[]; total: number }>(`/v1/outputs?limit=${limit}&offset=${offset}`),
  deleteOutput: (name: string) =>
    drop(`/v1/outputs/${segments(name)}`),
  /** The settings in a text that was copied; no parameters when it holds none. */
  infotext: (text: string) => post<PictureParameters>('/v1/infotext', { text }),
  pictureParameters: (image: string) => post<PictureParameters>('/sdapi/v1/png-info', { image }),

  datasets: () => get<{ datasets: DatasetSummary[] }>('/v1/datasets'),
  /** With the buckets that pictures fall in at a resolution ("512" or "768,512"), aspect ratios kept. */
  dataset: (name: string, resolution: string) =>
    get<Dataset>(`/v1/datasets/${encodeURIComponent(name)}?enable_bucket=true&resolution=${encodeURIComponent(resolution)}`),
  createDataset: (name: string, trigger: string, repeats: number) => post<Dataset>('/v1/datasets', { name, trigger, repeats }),
  editFolder: (name: string, folder: string, trigger: string, repeats: number) =>
    call<Dataset>('PATCH', `/v1/datasets/${encodeURIComponent(name)}`, { folder, trigger, repeats }),
  addPicture: (name: string, folder: string, file: File) =>
    call<DatasetPicture>(
      'POST', `/v1/datasets/${encodeURIComponent(name)}/pictures?folder=${encodeURIComponent(folder)}&file=${encodeURIComponent(file.name)}`, file,
    ),
  removePicture: (name: string, file: string) => drop(`/v1/datasets/${encodeURIComponent(name)}/pictures/${segments(file)}`),
  writeCaption: (name: string, file: string, caption: string | null) =>
    put<DatasetPicture>(`/v1/datasets/${encodeURIComponent(name)}/captions/${segments(file)}`, { caption }),

  trainings: () => get<{ trainings: Training[] }>('/v1/trainings'),
  training: (name: string) => get<TrainingDetail>(`/v1/trainings/${encodeURIComponent(name)}?points=400`),
  forgetTraining: (name: string) => drop(`/v1/trainings/${encodeURIComponent(name)}`),

  checkpoints: () => get<CheckpointList>('/v1/checkpoints'),
  vaes: () => get<{ model_name: string }[]>('/sdapi/v1/sd-vae'),
  samplers: () => get<NamedThing[]>('/sdapi/v1/samplers'),
  schedulers: () => get<(NamedThing & { label: string })[]>('/sdapi/v1/schedulers'),
  upscalers: () => get<NamedThing[]>('/sdapi/v1/upscalers'),
  latentUpscalers: () => get<NamedThing[]>('/sdapi/v1/latent-upscale-modes'),
  styles: () => get<Style[]>('/sdapi/v1/prompt-styles'),
  embeddings: () => get<{ loaded: Record<string, unknown> }>('/sdapi/v1/embeddings'),
  options: () => get<Record<string, unknown>>('/sdapi/v1/options'),
  setOptions: (options: Record<string, unknown>) => post<unknown>('/sdapi/v1/options', options),
  memory: () => get<{ ram: { free: number; used: number; total: number } }>('/sdapi/v1/memory'),
  rescan: () => post<unknown>('/sdapi/v1/refresh-checkpoints'),
  unload: () => post<unknown>('/sdapi/v1/unload-checkpoint'),
  tokens: (prompt: string) => post<PromptExplanation>('/v1/prompt/tokens', { prompt }),
};
