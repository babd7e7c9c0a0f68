import { useEffect, useState } from 'preact/hooks';
import { api, jobError } from '../api/client';
import type { Job, Training, TrainingDetail } from '../api/schema';
import { loadLoras, loras, ready, sentence } from '../lib/collection';
import { isUnfinished, send, watchQueue } from '../lib/queue';
import { useStore } from '../lib/store';
import { furtherRequest, isLive, resumeRequest } from '../lib/training';
import type { Point } from '../lib/training';
import { duration, percent } from '../lib/words';
import { LossCurve } from './loss_curve';
import { useLoraToggle } from './lora_sidebar';
import { PictureDialog } from './picture_dialog';
import { Failed, Loading } from './states';
import { go } from '../lib/route';

interface Props {
  training: Training;
  job: Job | undefined;
  onChanged: () => Promise<void>;
}

/** How often a training that runs is looked at, in milliseconds. */
const PAUSE = 1500;

/** One training: how far it is, its loss curve and sample pictures; stopped, gone on with, its LoRA used. */
export function TrainingRun({ training, job, onChanged }: Props) {
  const [detail, setDetail] = useState<TrainingDetail | null>(null);
  const [wrong, setWrong] = useState('');
  const [stopping, setStopping] = useState(false);
  const [open, setOpen] = useState<{ url: string; step: number } | null>(null);
  const isOn = job ? isUnfinished(job) : isLive(training);
  useEffect(() => {
    let isOld = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = async () => {
      try {
        const found = await api.training(training.name);
        if (!isOld) setDetail(found);
      } catch {
        // The server is away or the run forgotten: the frame tells.
      }
      if (!isOld && isOn) timer = setTimeout(() => void look(), document.hidden ? 4 * PAUSE : PAUSE);
    };
    void look();
    if (!isOn) setStopping(false);
    return () => {
      isOld = true;
      clearTimeout(timer);
    };
  }, [training.name, training.job, training.state, isOn]);

  const attempt = async (act: () => Promise<unknown>) => {
    try {
      await act();
      setWrong('');
      await onChanged();
    } catch (error) {
      setWrong(sentence(error));
    }
  };
  const [more, setMore] = useState(0);
  const finished = training.finished_step ?? 0;
  const further = () => attempt(() => send('train', furtherRequest(training, finished + (more || Math.max(1, Math.round(finished / 2)))), { prompt: training.name, width: 1, height: 1, label: training.name }));
  const goOn = () => attempt(() => send('train', resumeRequest(training), { prompt: training.name, width: 1, height: 1, label: training.name }));
  const stop = () => {
    setStopping(true);
    void attempt(async () => {
      await api.cancel(training.job);
      await watchQueue();
    });
  };
  const state = job?.state ?? training.state;
  const words = { queued: 'queued', running: 'running', completed: 'completed', failed: 'failed', cancelled: 'stopped' } as const;
  const isDone = state === 'completed';
  const error = jobError(job?.state === 'failed' ? job : training);
  return (
    <article class="block run" aria-label={`Training of ${training.name}`}>
      <div class="run-head">
        <h2>{training.name}</h2>
        <span class={`run-state run-${state ?? 'gone'}`}>{state ? words[state] : 'ended'}</span>
        <span class="hint">{new Date(training.begun * 1000).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' })}</span>
      </div>
      {isOn && <RunProgress job={job} />}
      {error && <Failed sentence={error} />}
      {!detail && <Loading what="loss curve" />}
      {detail && (detail.losses.length > 0 || isOn) && <LossCurve points={detail.losses as Point[]} steps={detail.steps} />}
      {detail && detail.samples.length > 0 && (
        <ul class="samples" aria-label="Sample images">
          {detail.samples.map((sample) => (
            <li key={sample.url}>
              <button type="button" class="picture-button" onClick={() => setOpen(sample)}>
                <img src={sample.url} alt={`Sample at step ${sample.step}`} width={96} height={96} loading="lazy" />
              </button>
              <small>{sample.step}</small>
            </li>
          ))}
        </ul>
      )}
      <div class="row">
        {isDone && <UseNow name={training.name} />}
        {isOn && <button type="button" class="small" disabled={stopping} onClick={stop}>{stopping ? 'Stopping …' : 'Stop'}</button>}
        {!isOn && training.resume_step !== null && (
          <button type="button" class="small primary" onClick={() => void goOn()}>Resume from step {training.resume_step}</button>
        )}
        {!isOn && finished > 0 && (
          <>
            <input type="number" class="small" min={1} aria-label={`More steps for ${training.name}`} placeholder={String(Math.max(1, Math.round(finished / 2)))}
              onInput={(e) => setMore(Math.max(0, Math.floor(Number(e.currentTarget.value) || 0)))} />
            <button type="button" class="small" onClick={() => void further()}>Train further<span class="unseen"> {training.name}</span></button>
          </>
        )}
        {!isOn && (
          <button
            type="button" class="small quiet"
            onClick={() => {
              if (confirm(`Delete the training run ${training.name}? Its loss curve, samples and saved state are deleted; the LoRA file is kept.`))
                void attempt(() => api.forgetTraining(training.name));
            }}
          >
            Delete run<span class="unseen"> {training.name}</span>
          </button>
        )}
      </div>
      {wrong && <Failed sentence={wrong} />}
      {open && <PictureDialog picture={open.url} name={`${training.name}, step ${open.step}`} onClose={() => setOpen(null)} />}
    </article>
  );
}

function RunProgress({ job }: { job: Job | undefined }) {
  const p = job?.progress;
  const words = !job || job.state === 'queued'
    ? 'Queued'
    : p?.phase === 'lora' ? `Step ${p.step} of ${p.steps}` : p?.phase === 'samples' ? `Generating samples at step ${p.step} of ${p.steps}` : p?.phase === 'validation' ? 'Measuring the validation loss' : p?.phase === 'latents' ? `Encoding images, ${p.step} of ${p.steps}` : 'Loading model';
  return (
    <div class="run-progress">
      <div class="running-words">
        <strong>{words}</strong>
        <span>{p && p.phase === 'lora' && p.eta > 0 ? `about ${duration(p.eta)} left` : ''}</span>
      </div>
      <progress value={p && p.phase !== 'latents' ? p.progress : 0} max={1} aria-label="Progress of the training">{percent(p?.progress ?? 0)}</progress>
    </div>
  );
}

/** Puts the trained LoRA into the prompt and goes there. */
function UseNow({ name }: { name: string }) {
  const { isActive, toggle } = useLoraToggle();
  const card = ready(useStore(loras))?.find((lora) => lora.name === name);
  useEffect(() => {
    if (!card) void loadLoras();
  }, [card === undefined]);
  return (
    <button
      type="button" class="small primary" disabled={!card}
      onClick={() => {
        if (card && !isActive(card)) toggle(card);
        go('create');
      }}
    >
      Use in prompt
    </button>
  );
}
