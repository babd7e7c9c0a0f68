import type { Description } from '../lib/fields';
import type { Job, ListedLora, Routes } from './schema';

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

/** What went wrong with a job, as a sentence; '' nothing. */
export const jobError = ({ error }: { error: Job['error'] }): string => (error === null ? '' : errorSentence({ detail: error }, 0));

type Route = keyof Routes;
/** The names in braces of a path. */
type Names<Path> = Path extends `${string}{${infer Name}}${infer Rest}` ? Name | Names<Rest> : never;
type QueryOf<R extends Route> = Routes[R] extends { query: infer Q } ? Q : never;
type BodyOf<R extends Route> = Routes[R] extends { body: infer B } ? B : never;
/** What a call sends: the route's names, a list for one with slashes; its query; its JSON, or a file. */
type Sent<R extends Route> = ([Names<R>] extends [never] ? object : { at: Record<Names<R>, string | readonly string[]> }) & {
  query?: QueryOf<R>;
  body?: BodyOf<R> | Blob;
};

/** The path of a route with its names filled in. */
export function pathOf<R extends Route>(route: R, { at, query }: { at?: Record<string, string | readonly string[]>; query?: object } = {}): string {
  const path = route.slice(route.indexOf(' ') + 1).replace(/\{(\w+)\}/g, (_, name: string) => [at?.[name] ?? ''].flat().map(encodeURIComponent).join('/'));
  const asked = new URLSearchParams(Object.entries(query ?? {}).map(([name, value]) => [name, String(value)])).toString();
  return asked ? `${path}?${asked}` : path;
}

async function request(method: string, path: string, body?: unknown): Promise<unknown> {
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
  return answer;
}

async function call<R extends Route>(route: R, sent: Sent<R>): Promise<Routes[R]['answer']> {
  const method = route.slice(0, route.indexOf(' '));
  return request(method, pathOf(route, sent as { at?: Record<string, string>; query?: object }), sent.body ?? (method === 'POST' ? {} : undefined)) as Promise<Routes[R]['answer']>;
}

type JobRequest = Routes['POST /v1/jobs']['body'];
const slashed = (name: string) => name.split('/');

export const api = {
  describe: () => request('GET', '/openapi.json') as Promise<Description>,
  health: () => call('GET /healthz', {}),

  submit: (kind: Job['kind'], order: JobRequest['request'], key: string) => call('POST /v1/jobs', { body: { kind, request: order, idempotency_key: key } }),
  /** `previews`: someone looks at the running picture, so the server makes previews of it. */
  jobs: (limit: number, previews: boolean) => call('GET /v1/jobs', { query: { limit, previews } }),
  job: (id: string) => call('GET /v1/jobs/{id}', { at: { id } }),
  /** Without the pictures, which have addresses of their own. */
  result: (id: string) => call('GET /v1/jobs/{id}/result', { at: { id }, query: { images: false } }),
  cancel: (id: string) => call('POST /v1/jobs/{id}/cancel', { at: { id } }),
  cancelAll: (kinds: Job['kind'][]) => call('POST /v1/jobs/cancel', { body: { kinds } }),
  forget: (id: string) => call('DELETE /v1/jobs/{id}', { at: { id } }),
  pictureUrl: (id: string, index: number) => pathOf('GET /v1/jobs/{id}/pictures/{index}', { at: { id, index: String(index) } }),
  previewUrl: (id: string, preview: number) => `${pathOf('GET /v1/jobs/{id}/preview', { at: { id } })}?n=${preview}`,

  loras: () => call('GET /v1/loras', { query: { sort: 'name' } }),
  lora: (name: string) => call('GET /v1/loras/{name}', { at: { name } }),
  /** The LoRAs that a query finds, in its order, by their place. */
  findLoras: (query: Routes['GET /v1/loras']['query']) =>
    call('GET /v1/loras', { query: { ...query, fields: 'relative' } }) as Promise<{ loras: Pick<ListedLora, 'relative'>[]; total: number; near: string[] }>,
  loraFacets: () => call('GET /v1/loras/facets', { query: { tags: 200 } }),
  duplicates: () => call('GET /v1/loras/duplicates', {}),
  missing: (text: string) => call('POST /v1/loras/missing', { body: { text } }),
  setPreview: (name: string, picture: Blob) => call('PUT /v1/loras/{name}/preview', { at: { name }, body: picture }),
  removePreview: (name: string) => call('DELETE /v1/loras/{name}/preview', { at: { name } }),
  editLora: (name: string, change: Routes['PATCH /v1/loras/{name}']['body']) => call('PATCH /v1/loras/{name}', { at: { name }, body: change }),

  outputs: (limit: number, offset: number) => call('GET /v1/outputs', { query: { limit, offset } }),
  deleteOutput: (name: string) => call('DELETE /v1/outputs/{name}', { at: { name: slashed(name) } }),
  /** The settings in a text that was copied; no parameters when it holds none. */
  infotext: (text: string) => call('POST /v1/infotext', { body: { text } }),
  pictureParameters: (image: string) => call('POST /sdapi/v1/png-info', { body: { image } }),

  datasets: () => call('GET /v1/datasets', {}),
  /** With the buckets that pictures fall in at a resolution ("512" or "768,512"), aspect ratios kept. */
  dataset: (name: string, resolution: string) => call('GET /v1/datasets/{name}', { at: { name }, query: { enable_bucket: true, resolution } }),
  createDataset: (name: string, trigger: string, repeats: number) => call('POST /v1/datasets', { body: { name, trigger, repeats } }),
  editFolder: (name: string, folder: string, trigger: string, repeats: number) =>
    call('PATCH /v1/datasets/{name}', { at: { name }, body: { folder, trigger, repeats } }),
  addPicture: (name: string, folder: string, file: File) =>
    call('POST /v1/datasets/{name}/pictures', { at: { name }, query: { folder, file: file.name }, body: file }),
  removePicture: (name: string, file: string) => call('DELETE /v1/datasets/{name}/pictures/{file}', { at: { name, file: slashed(file) } }),
  writeCaption: (name: string, file: string, caption: string | null) =>
    call('PUT /v1/datasets/{name}/captions/{file}', { at: { name, file: slashed(file) }, body: { caption } }),

  trainings: () => call('GET /v1/trainings', {}),
  training: (name: string) => call('GET /v1/trainings/{name}', { at: { name }, query: { points: 400 } }),
  forgetTraining: (name: string) => call('DELETE /v1/trainings/{name}', { at: { name } }),

  checkpoints: () => call('GET /v1/checkpoints', {}),
  editCheckpoint: (name: string, change: Routes['PATCH /v1/checkpoints/{name}']['body']) => call('PATCH /v1/checkpoints/{name}', { at: { name }, body: change }),
  vaes: () => call('GET /sdapi/v1/sd-vae', {}),
  samplers: () => call('GET /sdapi/v1/samplers', {}),
  schedulers: () => call('GET /sdapi/v1/schedulers', {}),
  upscalers: () => call('GET /sdapi/v1/upscalers', {}),
  latentUpscalers: () => call('GET /sdapi/v1/latent-upscale-modes', {}),
  styles: () => call('GET /sdapi/v1/prompt-styles', {}),
  embeddings: () => call('GET /sdapi/v1/embeddings', {}),
  options: () => call('GET /sdapi/v1/options', {}),
  setOptions: (options: Routes['POST /sdapi/v1/options']['body']) => call('POST /sdapi/v1/options', { body: options }),
  memory: () => call('GET /sdapi/v1/memory', {}),
  rescan: () => call('POST /sdapi/v1/refresh-checkpoints', {}),
  unload: () => call('POST /sdapi/v1/unload-checkpoint', {}),
  tokens: (prompt: string) => call('POST /v1/prompt/tokens', { body: { prompt } }),
};
