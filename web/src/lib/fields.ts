import type { ExtrasRequest, Img2imgRequest, Txt2imgRequest, TrainingRequest } from '../api/schema';

// Defaults, ranges and choices of all fields are the server's: it tells them in /openapi.json, which main.tsx asks for before
// the page is shown. Nothing here states one again.

interface Schema {
  type?: string;
  default?: unknown;
  minimum?: number;
  maximum?: number;
  /** How a form shows the field, where that differs from the API. */
  'x-form'?: { default: unknown; minimum?: number; maximum?: number; step?: number; labels?: string[] };
}
interface Body {
  properties: Record<string, Schema>;
  'x-presets'?: Preset[];
}
/** The parts of /openapi.json that are read. */
export interface Description {
  components: { schemas: Record<string, Body> };
  paths: Record<string, Record<string, { requestBody?: { content: Record<string, { schema: Body }> } }>>;
}

/** Options of a training for a usual purpose. */
export interface Preset {
  name: string;
  help: string;
  values: Partial<TrainingRequest>;
  /** Why each value is what it is. */
  reasons: { option: string; value: string; why: string }[];
}

/** What a control has to know of a field. */
export interface Field {
  /** Within which the server takes a number. */
  min: number;
  max: number;
  /** The ends of a slider. */
  from: number;
  to: number;
  step: number;
  /** A1111's words for 0, 1 … */
  labels: readonly string[];
  /** Of a new form. */
  standard: unknown;
}

let described: Description | null = null;

export function setDescription(whole: Description): void {
  described = whole;
}

function body(name: string): Body {
  if (!described) throw new Error('The fields are asked for before the server has described them.');
  const [method, path] = name.split(' ');
  const found = path ? described.paths[path]?.[method!.toLowerCase()]?.requestBody?.content['application/json']?.schema : described.components.schemas[name];
  if (!found) throw new Error(`The server does not describe ${name}.`);
  return found;
}

function fieldOf(place: string, name: string): Field {
  const schema = body(place).properties[name];
  if (!schema) throw new Error(`The server does not describe “${name}” in ${place}.`);
  const form = schema['x-form'];
  const min = schema.minimum ?? form?.minimum ?? -Number.MAX_SAFE_INTEGER;
  const max = Math.min(schema.maximum ?? form?.maximum ?? Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  return {
    min, max, from: form?.minimum ?? min, to: form?.maximum ?? max,
    step: form?.step ?? 1, labels: form?.labels ?? [], standard: form ? form.default : schema.default,
  };
}

/** A field of the pictures' requests, of extras, of a training. */
export const textField = (name: keyof Txt2imgRequest) => fieldOf('Txt2imgRequest', name);
export const imageField = (name: keyof Img2imgRequest) => fieldOf('Img2imgRequest', name);
export const extrasField = (name: keyof ExtrasRequest) => fieldOf('ExtrasRequest', name);
export const trainingField = (name: keyof TrainingRequest) => fieldOf('TrainingRequest', name);
/** A field of what a route takes: "POST /v1/datasets". */
export const bodyField = fieldOf;

/** The weight of a LoRA that a person may prefer, and so that of a tag. */
export const loraWeight = () => fieldOf('PATCH /v1/loras/{name}', 'preferred_weight');

export const trainingPresets = (): readonly Preset[] => body('TrainingRequest')['x-presets'] ?? [];

/** The first values of a form's fields. Their types are those of the request. */
export function firstValues<R, K extends string & keyof R>(place: string, names: readonly K[]): { [N in K]-?: NonNullable<R[N]> } {
  return Object.fromEntries(names.map((name) => [name, fieldOf(place, name).standard])) as { [N in K]-?: NonNullable<R[N]> };
}
