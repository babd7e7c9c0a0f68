import { ApiError, api } from '../api/client';
import type { Job } from '../api/schema';
import { keep, readKept } from './kept';
import { createStore } from './store';

/** What of the server's queue the page shows. */
export interface Queue {
  jobs: Job[];
  isLoaded: boolean;
  /** false while the server cannot be reached; asking goes on. */
  isOnline: boolean;
}

export const queue = createStore<Queue>({ jobs: [], isLoaded: false, isOnline: true });
export const isUnfinished = (job: Job) => job.state === 'queued' || job.state === 'running';

/** Jobs that give pictures. */
export const DRAWING: Job['kind'][] = ['txt2img', 'img2img', 'extras'];
export const isDrawing = (job: Job) => DRAWING.includes(job.kind);

/** Whether there is a picture to show: also of a job that was cancelled on its way. */
export const hasPicture = (job: Job) => job.pictures > 0 && (job.state === 'completed' || job.state === 'cancelled');

/** Jobs that the page started, with what is worth remembering of their form. */
export interface Sent {
  prompt: string;
  width: number;
  height: number;
  /** "without LoRAs" of a comparison, or a cell of a plot. */
  label?: string;
  group?: string;
  /** Of an import: what it brings. */
  importKind?: string;
  plot?: { x: string; y: string; z: string; xName: string; yName: string; zName: string };
}

export const sent = createStore<Record<string, Sent>>(readKept('sent', {}));
sent.subscribe(() => keep('sent', Object.fromEntries(Object.entries(sent.get()).slice(-200))));

let timer: ReturnType<typeof setTimeout> | undefined;

/** How many jobs are asked for: enough for the strip and for the largest group among the last, so that a plot stays whole. */
function listed(): number {
  const counts = new Map<string, number>();
  for (const { group } of Object.values(sent.get())) if (group) counts.set(group, (counts.get(group) ?? 0) + 1);
  return Math.min(500, 60 + Math.max(0, ...counts.values()));
}

/** Asks for the jobs now, and again: soon while something runs, seldom otherwise. */
export async function watchQueue(): Promise<void> {
  clearTimeout(timer);
  let pause = 4000;
  try {
    const { jobs } = await api.jobs(listed(), !document.hidden);
    queue.set({ jobs, isLoaded: true, isOnline: true });
    if (jobs.some(isUnfinished)) pause = 600;
  } catch (error) {
    const gone = error instanceof ApiError && error.status === 0;
    queue.set((old) => ({ ...old, isOnline: !gone }));
    pause = 1500;
  }
  clearTimeout(timer);
  timer = setTimeout(() => void watchQueue(), document.hidden ? Math.max(pause, 4000) : pause);
}

/** Puts a job into the server's queue. Throws ApiError. */
export async function send(kind: Job['kind'], request: Parameters<typeof api.submit>[1], note: Sent): Promise<Job> {
  const key = `page-${Date.now()}-${Math.random().toString(36).slice(2)}`;
  const job = await api.submit(kind, request, key);
  sent.set((old) => ({ ...old, [job.id]: note }));
  queue.set((old) => ({ ...old, jobs: [job, ...old.jobs] }));
  void watchQueue();
  return job;
}
