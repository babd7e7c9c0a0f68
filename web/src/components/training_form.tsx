import { useState } from 'preact/hooks';
import type { Dataset, Training } from '../api/types';
import { shortName } from '../lib/collection';
import { FIRST_PLAN, PRESETS, planFault, planWords, presetOf, triggerOf } from '../lib/training';
import type { Plan } from '../lib/training';
import { Check, NumberField, Select } from './fields';
import { Failed } from './states';

interface Props {
  plan: Plan;
  onPlan: (part: Partial<Plan>) => void;
  set: Dataset | null;
  checkpoint: string;
  /** The resolution is one for the starter model, and another checkpoint is learned on. */
  isSmall: boolean;
  /** What is kept under the plan's name, if anything. */
  earlier: Training | undefined;
  /** A LoRA of the plan's name is in the collection. */
  isTaken: boolean;
  onStart: () => Promise<void>;
}

/** How to learn: a name, a preset, and the numbers behind it. */
export function TrainingForm({ plan, onPlan, set, checkpoint, isSmall, earlier, isTaken, onStart }: Props) {
  const [isStarting, setStarting] = useState(false);
  const [wasPressed, setPressed] = useState(false);
  const preset = presetOf(plan);
  const fault = planFault(plan, set, checkpoint);
  const trigger = set ? triggerOf(set) : '';
  return (
    <form
      // The browser would refuse numbers inside the fold without a word; the server says what is wrong.
      class="block" aria-label="How to learn" noValidate
      onSubmit={async (e) => {
        e.preventDefault();
        setPressed(true);
        if (fault) return;
        setStarting(true);
        await onStart();
        setStarting(false);
      }}
    >
      <h2>Training</h2>
      <div class="field">
        <label for="train-name">Name of the LoRA</label>
        <input id="train-name" type="text" maxLength={100} placeholder={`for example ${set?.name ?? 'my-cat'}`} value={plan.output_name} onInput={(e) => onPlan({ output_name: e.currentTarget.value })} />
      </div>
      <Select label="Preset" value={preset} choices={[...Object.keys(PRESETS), ...(preset ? [] : [{ value: '', label: 'Own settings' }])]}
        onChange={(name) => PRESETS[name] && onPlan(PRESETS[name]!.is)} />
      {preset && <p class="hint">{PRESETS[preset]!.help}</p>}
      <div class="pair">
        <NumberField label="Steps" value={plan.max_train_steps} min={1} max={100000} onChange={(max_train_steps) => onPlan({ max_train_steps })} />
        <NumberField label="Resolution" value={plan.resolution} min={64} max={1024} step={8} onChange={(resolution) => onPlan({ resolution })} />
      </div>
      <details>
        <summary>More</summary>
        <div class="stack">
          <div class="pair">
            <NumberField label="Learning rate" value={plan.learning_rate} min={0.0000001} max={1} step={0.0001} onChange={(learning_rate) => onPlan({ learning_rate })} />
            <NumberField label="Batch size" value={plan.train_batch_size} min={1} max={32} onChange={(train_batch_size) => onPlan({ train_batch_size })} />
          </div>
          <div class="pair">
            <NumberField label="Rank" value={plan.network_dim} min={1} max={256} onChange={(network_dim) => onPlan({ network_dim })} />
            <NumberField label="Alpha" value={plan.network_alpha} min={0.1} max={256} step={0.1} onChange={(network_alpha) => onPlan({ network_alpha })} />
          </div>
          <Check label="Draw sample pictures on the way" value={plan.sample_every_n_steps > 0}
            onChange={(yes) => onPlan({ sample_every_n_steps: yes ? Math.max(1, Math.round(plan.max_train_steps / 4)) : 0 })} />
          {plan.sample_every_n_steps > 0 && (
            <>
              <NumberField label="Every so many steps" value={plan.sample_every_n_steps} min={1} max={100000}
                onChange={(sample_every_n_steps) => onPlan({ sample_every_n_steps })} />
              <div class="field">
                <label for="train-samples">Sample prompts, one a line</label>
                <textarea id="train-samples" rows={2} placeholder={trigger || 'the trigger words'} value={plan.sample_prompts}
                  onInput={(e) => onPlan({ sample_prompts: e.currentTarget.value })} />
              </div>
            </>
          )}
        </div>
      </details>
      <p class="hint">
        {set && set.count > 0 && `${planWords(plan, set)} `}On the checkpoint {shortName(checkpoint) || '…'}. Pictures asked for meanwhile wait for the end.
      </p>
      {isSmall && (
        <p class="notice notice-warn">
          {plan.resolution} pixels are for the small starter model; {shortName(checkpoint)} learns little from them.
          <button type="button" class="small" onClick={() => onPlan({ resolution: FIRST_PLAN.resolution })}>Use {FIRST_PLAN.resolution}</button>
        </p>
      )}
      {(isTaken || earlier?.resume_step !== null) && plan.output_name && (isTaken || earlier) && (
        <p class="notice notice-warn">
          {isTaken ? `There is a LoRA called ${plan.output_name}; this training replaces it.` : `A stopped training of this name is kept below; to start anew gives it up.`}
        </p>
      )}
      <button type="submit" class="primary" disabled={isStarting}>Start training</button>
      {wasPressed && fault && <Failed sentence={fault} />}
    </form>
  );
}
