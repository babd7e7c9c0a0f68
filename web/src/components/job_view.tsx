import { useEffect, useState } from 'preact/hooks';
import { api } from '../api/client';
import type { Job, JobResult, ResultInfo } from '../api/schema';
import { sentence } from '../lib/collection';
import type { Loaded } from '../lib/collection';
import { DRAWING, hasPicture, isDrawing, isUnfinished, queue, sent, watchQueue } from '../lib/queue';
import { useStore } from '../lib/store';
import { duration, ordinal, percent } from '../lib/words';
import { Failed } from './states';

/** The answer of a job that has pictures, asked for once. */
export function useResult(job: Job | null): Loaded<Told> {
  const [loaded, setLoaded] = useState<{ id: string; is: Loaded<Told> }>({ id: '', is: { state: 'loading' } });
  const id = job && isDrawing(job) && job.has_result && (job.state === 'completed' || hasPicture(job)) ? job.id : '';
  useEffect(() => {
    if (!id) return;
    let isOld = false;
    const done = (is: Loaded<Told>) => !isOld && setLoaded({ id, is });
    api.result(id).then(
      (result: JobResult) => done({ state: 'ready', value: infoOf(result) }),
      (error: unknown) => done({ state: 'failed', sentence: sentence(error) }),
    );
    return () => {
      isOld = true;
    };
  }, [id]);
  return loaded.id === id ? loaded.is : { state: 'loading' };
}

/** What is shown of a result's facts. */
export type Told = Pick<ResultInfo, 'prompt' | 'negative_prompt' | 'all_seeds' | 'infotexts' | 'index_of_first_image' | 'lowrank'>;

const NO_INFO: Told = {
  prompt: '', negative_prompt: '', all_seeds: [], infotexts: [], index_of_first_image: 0,
  lowrank: { loras: [], missing_loras: [], timings: {}, unet_passes: 0, prediction: '', warnings: [] },
};

/** Extras tell nothing of prompts and LoRAs. */
const infoOf = (result: JobResult): Told => (result.info ? (JSON.parse(result.info) as Told) : NO_INFO);

/** How far a job is: picture so far, bar, steps, time left, cancel. */
export function JobProgressView({ job }: { job: Job }) {
  const note = useStore(sent)[job.id];
  const [stopping, setStopping] = useState(false);
  const [wrong, setWrong] = useState('');
  const p = job.progress;
  const share = p?.progress ?? 0;
  const isTraining = useStore(queue).jobs.some((other) => other.kind === 'train' && other.state === 'running');
  const words =
    job.state === 'queued'
      ? isTraining ? 'Queued: a training run is in progress' : job.position && job.position > 1 ? `Queued (${ordinal(job.position)})` : 'Queued (next)'
      : p?.steps
        ? `Step ${p.step ?? 0} of ${p.steps}${(p.batches ?? 1) > 1 ? `, batch ${(p.batch ?? 0) + 1} of ${p.batches}` : ''}`
        : p?.text || 'Preparing';
  return (
    <div class="running">
      <div class="running-picture" style={{ aspectRatio: `${note?.width ?? 1} / ${note?.height ?? 1}` }}>
        {p?.preview ? (
          <img src={api.previewUrl(job.id, p.preview)} alt="Live preview" />
        ) : (
          <span class="shimmer" aria-hidden="true" />
        )}
      </div>
      <div class="running-line">
        <div class="running-words">
          <strong>{words}</strong>
          <span>{job.state === 'running' && p && p.eta > 0 ? `about ${duration(p.eta)} left` : ''}</span>
        </div>
        <progress value={share} max={1} aria-label="Progress">{percent(share)}</progress>
        <button
          type="button" class="small" disabled={stopping}
          onClick={async () => {
            setStopping(true);
            try {
              await api.cancel(job.id);
            } catch (error) {
              setWrong(sentence(error));
            }
            void watchQueue();
          }}
        >
          {stopping ? 'Stopping …' : 'Cancel'}
        </button>
      </div>
      {wrong && <Failed sentence={wrong} />}
    </div>
  );
}

/** The jobs that wait or run behind the one in sight, each with its own way out. */
export function QueueList({ jobs, shown, onShow }: { jobs: Job[]; shown: string; onShow: (id: string) => void }) {
  const notes = useStore(sent);
  const [wrong, setWrong] = useState('');
  // What was drawn of the running one stays in sight.
  const cancelAll = () => api.cancelAll(DRAWING).then(() => {
    setWrong('');
    onShow('');
  }, (error: unknown) => setWrong(sentence(error))).then(watchQueue);
  const waiting = jobs.filter((job) => isUnfinished(job)).reverse();
  if (waiting.length < 2) return null;
  return (
    <section class="queue" aria-label="Queue">
      <div class="queue-head">
        <h2 class="label">Queue <span class="count">{waiting.length}</span></h2>
        <button type="button" class="small" onClick={() => void cancelAll()}>Cancel all</button>
      </div>
      {wrong && <Failed sentence={wrong} />}
      <ul>
        {waiting.map((job) => (
          <li key={job.id} aria-current={job.id === shown ? 'true' : undefined}>
            <button type="button" class="queue-name" onClick={() => onShow(job.id)}>
              {job.state === 'running' ? '▸ ' : ''}{notes[job.id]?.label ?? notes[job.id]?.prompt ?? job.kind}
            </button>
            <button type="button" class="small quiet" onClick={() => void api.cancel(job.id).then(watchQueue, watchQueue)}>
              Cancel<span class="unseen"> {notes[job.id]?.prompt ?? job.kind}</span>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
