import { useState } from 'preact/hooks';
import { api } from '../api/client';
import { Failed } from '../components/states';
import { NumberField, Select } from '../components/fields';
import { choices, loadLoras, ready, sentence } from '../lib/collection';
import { keep, readKept } from '../lib/kept';
import { isUnfinished, queue, send, watchQueue } from '../lib/queue';
import { go } from '../lib/route';
import { useStore } from '../lib/store';
import { duration, percent } from '../lib/words';

interface Plan {
  output_name: string;
  train_data_dir: string;
  network_dim: number;
  network_alpha: number;
  max_train_steps: number;
  learning_rate: number;
  resolution: number;
  train_batch_size: number;
}

const PRESETS: Record<string, Pick<Plan, 'network_dim' | 'network_alpha' | 'max_train_steps' | 'learning_rate'>> = {
  'Character or object': { network_dim: 8, network_alpha: 4, max_train_steps: 800, learning_rate: 0.0005 },
  Style: { network_dim: 16, network_alpha: 8, max_train_steps: 1500, learning_rate: 0.0003 },
  'Quick trial': { network_dim: 4, network_alpha: 2, max_train_steps: 100, learning_rate: 0.001 },
};

const FIRST: Plan = {
  output_name: '', train_data_dir: '', resolution: 512, train_batch_size: 1, ...PRESETS['Character or object']!,
};

/** Starts a training from a folder of pictures and shows how far it is. */
export function TrainPage() {
  const [plan, setPlan] = useState<Plan>({ ...FIRST, ...readKept<Partial<Plan>>('plan', {}) });
  const [wrong, setWrong] = useState('');
  const all = ready(useStore(choices));
  const trainings = useStore(queue).jobs.filter((job) => job.kind === 'train');
  const set = (part: Partial<Plan>) =>
    setPlan((old) => {
      keep('plan', { ...old, ...part });
      return { ...old, ...part };
    });
  const start = async () => {
    setWrong('');
    try {
      await send('train', { ...plan, resolution: String(plan.resolution) }, { prompt: plan.output_name, width: 1, height: 1, label: plan.output_name });
    } catch (error) {
      setWrong(sentence(error));
    }
  };
  const preset = Object.entries(PRESETS).find(([, p]) => Object.entries(p).every(([k, v]) => plan[k as keyof Plan] === v))?.[0] ?? '';
  return (
    <div class="train narrow">
      <div class="page-head"><h1>Train</h1></div>
      <p>Teach the checkpoint something from a folder of pictures. Each picture may have a text file of the same name with its caption.</p>
      <form
        class="block"
        onSubmit={(e) => {
          e.preventDefault();
          void start();
        }}
      >
        <div class="field">
          <label for="train-folder">Folder of pictures, below the data folder</label>
          <input id="train-folder" type="text" required placeholder="train/my-cat" value={plan.train_data_dir} onInput={(e) => set({ train_data_dir: e.currentTarget.value })} />
        </div>
        <div class="field">
          <label for="train-name">Name of the LoRA</label>
          <input id="train-name" type="text" required placeholder="my-cat" value={plan.output_name} onInput={(e) => set({ output_name: e.currentTarget.value })} />
        </div>
        <Select label="Preset" value={preset} choices={[...Object.keys(PRESETS), { value: '', label: 'Own settings' }]}
          onChange={(name) => PRESETS[name] && set(PRESETS[name]!)} />
        <div class="pair">
          <NumberField label="Steps" value={plan.max_train_steps} min={1} max={100000} onChange={(max_train_steps) => set({ max_train_steps })} />
          <NumberField label="Learning rate" value={plan.learning_rate} min={0.0000001} max={1} step={0.0001} onChange={(learning_rate) => set({ learning_rate })} />
        </div>
        <div class="pair">
          <NumberField label="Rank" value={plan.network_dim} min={1} max={256} onChange={(network_dim) => set({ network_dim })} />
          <NumberField label="Alpha" value={plan.network_alpha} min={0.1} max={256} step={0.1} onChange={(network_alpha) => set({ network_alpha })} />
        </div>
        <div class="pair">
          <NumberField label="Resolution" value={plan.resolution} min={64} max={1024} step={8} onChange={(resolution) => set({ resolution })} />
          <NumberField label="Batch size" value={plan.train_batch_size} min={1} max={32} onChange={(train_batch_size) => set({ train_batch_size })} />
        </div>
        <p class="hint">On the checkpoint {String(all?.options['sd_model_checkpoint'] || all?.checkpoints[0]?.model_name || '…')}. Pictures asked for meanwhile wait for its end.</p>
        <button type="submit" class="primary">Start training</button>
        {wrong && <Failed sentence={wrong} />}
      </form>
      {trainings.length > 0 && (
        <section class="block">
          <h2>Trainings</h2>
          <ul class="plain">
            {trainings.map((job) => (
              <TrainingRow key={job.id} job={job} />
            ))}
          </ul>
        </section>
      )}
    </div>
  );
}

function TrainingRow({ job }: { job: ReturnType<typeof queue.get>['jobs'][number] }) {
  const p = job.progress;
  const states = { queued: 'waits', running: 'runs', completed: 'done', failed: 'failed', cancelled: 'stopped' } as const;
  return (
    <li class="training">
      <strong>{new Date(job.created * 1000).toLocaleString()}</strong>
      <span>{states[job.state]}</span>
      {p && <span>{p.text || `step ${p.step} of ${p.steps}`}{p.eta > 0 && `, about ${duration(p.eta)} left`}</span>}
      {p && <progress value={p.progress} max={1} aria-label="Progress of the training">{percent(p.progress)}</progress>}
      {job.error && <Failed sentence={job.error} />}
      {isUnfinished(job) && (
        <button type="button" class="small" onClick={() => void api.cancel(job.id).then(watchQueue, watchQueue)}>Stop</button>
      )}
      {job.state === 'completed' && (
        <button type="button" class="small" onClick={() => void loadLoras().then(() => go('loras'))}>To the LoRAs</button>
      )}
    </li>
  );
}
