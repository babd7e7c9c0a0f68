import { useEffect, useState } from 'preact/hooks';
import { ApiError, api, jobError } from '../api/client';
import type { Dataset, DatasetSummary, Training } from '../api/schema';
import { DatasetChooser } from '../components/dataset_chooser';
import { DatasetView } from '../components/dataset_view';
import { Failed, Loading } from '../components/states';
import { TrainingForm } from '../components/training_form';
import { TrainingRun } from '../components/training_run';
import { checkpointName, choices, loras, ready, sentence, takenCheckpoint } from '../lib/collection';
import type { Loaded } from '../lib/collection';
import { useKept } from '../lib/drafts';
import { readKept } from '../lib/kept';
import { isUnfinished, queue, send } from '../lib/queue';
import { go, route } from '../lib/route';
import { useStore } from '../lib/store';
import { FIRST_PLAN, isSmallSize, trainRequest } from '../lib/training';
import type { Earlier, Plan } from '../lib/training';

/** A set of pictures on one side; how to learn from it, and what became of it, on the other. */
export function TrainPage() {
  const { item } = useStore(route);
  const jobs = useStore(queue);
  const all = ready(useStore(choices));
  const cards = ready(useStore(loras));
  const [plan, setPlan] = useKept<Plan>('plan', FIRST_PLAN);
  const [sets, setSets] = useState<Loaded<DatasetSummary[]>>({ state: 'loading' });
  const [set, setSet] = useState<Loaded<Dataset> | null>(null);
  const [trainings, setTrainings] = useState<Loaded<Training[]>>({ state: 'loading' });
  const [wrong, setWrong] = useState('');
  const [refused, setRefused] = useState('');

  const change = (part: Partial<Plan>) => setPlan((old) => ({ ...old, ...part }));
  const loadSets = () =>
    api.datasets().then(
      ({ datasets }) => setSets({ state: 'ready', value: datasets }),
      (error: unknown) => setSets((old) => (old.state === 'ready' ? old : { state: 'failed', sentence: sentence(error) })),
    );
  const loadSet = async () => {
    if (!item) return setSet(null);
    try {
      const value = await api.dataset(item, String(plan.resolution));
      setSet({ state: 'ready', value });
    } catch (error) {
      setSet((old) => (old?.state === 'ready' && old.value.name === item ? old : { state: 'failed', sentence: sentence(error) }));
    }
  };
  const loadTrainings = () =>
    api.trainings().then(
      (answer) => setTrainings({ state: 'ready', value: answer.trainings }),
      (error: unknown) => setTrainings((old) => (old.state === 'ready' ? old : { state: 'failed', sentence: sentence(error) })),
    );

  const trainJobs = jobs.jobs.filter((job) => job.kind === 'train');
  const states = trainJobs.map((job) => job.id + job.state).join();
  useEffect(() => void loadSets(), [jobs.isOnline]);
  useEffect(() => void loadTrainings(), [states, jobs.isOnline]);
  const runs = ready(trainings) ?? [];
  // A job that has just begun writes its run down a moment later.
  const isUnknown = trainJobs.some((job) => job.state === 'running' && !runs.some((run) => run.job === job.id));
  useEffect(() => {
    if (isUnknown) void loadTrainings();
  }, [jobs.jobs]);
  useEffect(() => {
    if (set?.state !== 'ready' || set.value.name !== item) setSet(item ? { state: 'loading' } : null);
    void loadSet();
  }, [item, plan.resolution, jobs.isOnline]);
  useEffect(() => {
    // Pictures of the size that the checkpoint learned: larger ones would only cost time.
    const model = takenCheckpoint(all);
    if (model && model.native_size > 0 && readKept('plan', null) === null) change({ resolution: model.native_size });
  }, [all]);

  const checkpoint = checkpointName(all);
  const chosen = set?.state === 'ready' ? set.value : null;
  const planned = plan.output_name.trim();
  const earlier: Earlier = {
    // The server may know of a file that the list of LoRAs does not have yet.
    hasLora: planned !== '' && (refused === planned || (cards?.some((card) => card.relative === planned) ?? false)),
    resumeStep: runs.find((run) => run.name === planned)?.resume_step ?? null,
  };
  const start = async (replaces: boolean): Promise<boolean> => {
    if (!chosen) return false;
    const name = planned;
    setWrong('');
    try {
      await send('train', trainRequest({ ...plan, output_name: name }, chosen, checkpoint, replaces), { prompt: name, width: 1, height: 1, label: name });
      await loadTrainings();
      return true;
    } catch (error) {
      // Where the server offers to train anew, so does the form.
      const mayReplace = error instanceof ApiError && error.status === 422 && error.message.includes('"fresh"');
      if (mayReplace) setRefused(name);
      else setWrong(sentence(error));
      return false;
    }
  };
  const newest = trainJobs[0];
  const lost = newest?.state === 'failed' && trainings.state === 'ready' && !runs.some((run) => run.job === newest.id) ? jobError(newest) : '';
  // A job that still waits has left nothing behind yet.
  const waiting = trainJobs.filter((job) => job.state === 'queued' && !runs.some((run) => run.job === job.id));

  return (
    <div class="train">
      <div class="page-head"><h1>Train</h1></div>
      <div class="train-main">
        <p class="lead">Train a LoRA of a person, object or style from a few images.</p>
        {sets.state === 'loading' && <Loading what="datasets" />}
        {sets.state === 'failed' && <Failed sentence={sets.sentence} onRetry={() => void loadSets()} />}
        {sets.state === 'ready' && (
          <DatasetChooser
            sets={sets.value} chosen={item} onChoose={(name) => go('train', name === item ? '' : name)}
            onCreated={(name) => {
              void loadSets();
              if (!plan.output_name) change({ output_name: name });
              go('train', name);
            }}
          />
        )}
        {set?.state === 'loading' && <Loading what="images" />}
        {set?.state === 'failed' && <Failed sentence={set.sentence} onRetry={() => void loadSet()} />}
        {chosen && (
          <DatasetView
            key={chosen.name} set={chosen}
            onChanged={async () => void (await Promise.all([loadSet(), loadSets()]))}
            onPicture={(picture) => {
              setSet((old) =>
                old?.state === 'ready'
                  ? { state: 'ready', value: { ...old.value, pictures: old.value.pictures.map((p) => (p.file === picture.file ? { ...p, caption: picture.caption, learned: picture.learned, error: picture.error } : p)) } }
                  : old,
              );
            }}
          />
        )}
        {sets.state === 'ready' && sets.value.length > 0 && !item && <p class="hint">Select a dataset to see its images.</p>}
      </div>
      <div class="train-side">
        {runs.filter((run) => trainJobs.some((job) => job.id === run.job && isUnfinished(job))).map((run) => (
          <TrainingRun key={run.name} training={run} job={trainJobs.find((job) => job.id === run.job)} onChanged={loadTrainings} />
        ))}
        {waiting.length > 0 && <p class="hint" role="status">{waiting.length === 1 ? 'One training run is' : `${waiting.length} training runs are`} queued behind other jobs.</p>}
        <TrainingForm
          plan={plan} onPlan={change} set={chosen} checkpoint={all && checkpoint} earlier={earlier}
          isSmall={isSmallSize(plan.resolution, takenCheckpoint(all)?.native_size ?? 0)}
          onStart={start}
        />
        {(wrong || lost) && <Failed sentence={wrong || lost} />}
        {trainings.state === 'failed' && <Failed sentence={trainings.sentence} onRetry={() => void loadTrainings()} />}
        {runs.filter((run) => !trainJobs.some((job) => job.id === run.job && isUnfinished(job))).map((run) => (
          <TrainingRun key={run.name} training={run} job={trainJobs.find((job) => job.id === run.job)} onChanged={loadTrainings} />
        ))}
      </div>
    </div>
  );
}
