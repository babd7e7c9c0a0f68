import { useState } from 'preact/hooks';
import type { Dataset } from '../api/schema';
import { shortName } from '../lib/collection';
import { trainingField, trainingPresets } from '../lib/fields';
import { FIRST_PLAN, isChanged, planFault, planWords, replaceWords, sampleSteps, triggerOf, withPreset } from '../lib/training';
import type { Earlier, Plan } from '../lib/training';
import { Check, NumberField, Select } from './fields';
import { Failed } from './states';

const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);

interface Props {
  plan: Plan;
  onPlan: (part: Partial<Plan>) => void;
  set: Dataset | null;
  /** '': there is none; null: not known yet. */
  checkpoint: string | null;
  /** The resolution is one for the starter model, and another checkpoint is learned on. */
  isSmall: boolean;
  /** What is there under the plan's name. */
  earlier: Earlier;
  /** `replaces`: what is there may go. Gives whether the training was accepted. */
  onStart: (replaces: boolean) => Promise<boolean>;
}

/** How to learn: a name, a preset, and the numbers behind it. */
export function TrainingForm({ plan, onPlan, set, checkpoint, isSmall, earlier, onStart }: Props) {
  const [isStarting, setStarting] = useState(false);
  const [wasPressed, setPressed] = useState(false);
  // For one name only: another one must be asked about again.
  const [replaced, setReplaced] = useState('');
  const name = plan.output_name.trim();
  const destroys = replaceWords(name, earlier);
  const replaces = destroys !== '' && replaced === name;
  const presets = trainingPresets();
  const preset = presets.find((p) => p.name === plan.preset);
  const fault = planFault(plan, set, checkpoint ?? '', earlier, replaces);
  const trigger = set ? triggerOf(set) : '';
  return (
    <form
      // The browser would refuse numbers inside the fold without a word; the server says what is wrong.
      class="block" aria-label="Training settings" noValidate
      onSubmit={async (e) => {
        e.preventDefault();
        setPressed(true);
        if (fault) return;
        setStarting(true);
        if (await onStart(replaces)) {
          setReplaced('');
          setPressed(false);
        }
        setStarting(false);
      }}
    >
      <h2>Training</h2>
      <div class="field">
        <label for="train-name">LoRA name</label>
        <input id="train-name" type="text" maxLength={100} placeholder={`for example ${set?.name ?? 'my-cat'}`} value={plan.output_name} onInput={(e) => onPlan({ output_name: e.currentTarget.value })} />
      </div>
      <Select label="Preset" value={preset?.name ?? ''}
        choices={[...presets.map((p) => ({ value: p.name, label: capital(p.name) })), ...(preset ? [] : [{ value: '', label: 'Custom' }])]}
        onChange={(name) => onPlan(withPreset(name))} />
      {preset && <p class="hint">{preset.help}{isChanged(plan) && ' You have changed some of its numbers.'}</p>}
      {preset && (
        <details>
          <summary>Why these values</summary>
          <dl class="reasons">
            {preset.reasons.map(({ option, value, why }) => (
              <div key={option}>
                <dt><code>{option}</code> {value}</dt>
                <dd class="hint">{why}</dd>
              </div>
            ))}
          </dl>
        </details>
      )}
      <div class="pair">
        <NumberField label="Steps" value={plan.max_train_steps} field={trainingField('max_train_steps')} onChange={(max_train_steps) => onPlan({ max_train_steps })} />
        <NumberField label="Resolution" value={plan.resolution} field={trainingField('resolution')} onChange={(resolution) => onPlan({ resolution })} />
      </div>
      <details>
        <summary>More</summary>
        <div class="stack">
          <div class="pair">
            <NumberField label="Learning rate" value={plan.learning_rate} field={trainingField('learning_rate')} onChange={(learning_rate) => onPlan({ learning_rate })} />
            <NumberField label="Batch size" value={plan.train_batch_size} field={trainingField('train_batch_size')} onChange={(train_batch_size) => onPlan({ train_batch_size })} />
          </div>
          <div class="pair">
            <NumberField label="Rank" value={plan.network_dim} field={trainingField('network_dim')} onChange={(network_dim) => onPlan({ network_dim })} />
            <NumberField label="Alpha" value={plan.network_alpha} field={trainingField('network_alpha')} onChange={(network_alpha) => onPlan({ network_alpha })} />
          </div>
          <Check label="Generate sample images during training" value={plan.sample_every_n_steps > 0}
            onChange={(yes) => onPlan({ sample_every_n_steps: yes ? sampleSteps(plan.max_train_steps) : 0 })} />
          {plan.sample_every_n_steps > 0 && (
            <>
              <NumberField label="Sample every N steps" value={plan.sample_every_n_steps} field={{ ...trainingField('sample_every_n_steps'), min: 1 }}
                onChange={(sample_every_n_steps) => onPlan({ sample_every_n_steps })} />
              <div class="field">
                <label for="train-samples">Sample prompts, one per line</label>
                <textarea id="train-samples" rows={2} placeholder={trigger || 'the trigger words'} value={plan.sample_prompts}
                  onInput={(e) => onPlan({ sample_prompts: e.currentTarget.value })} />
              </div>
            </>
          )}
        </div>
      </details>
      <p class="hint">
        {set && set.count > 0 && `${planWords(plan, set)} `}{checkpoint === null ? '' : checkpoint ? `Checkpoint: ${shortName(checkpoint)}.` : 'No checkpoint to train on; see the Create page.'} Images requested during training are queued until it ends.
      </p>
      {isSmall && (
        <p class="notice notice-warn">
          A resolution of {plan.resolution} is meant for the starter model and is too small for {shortName(checkpoint ?? '')}.
          <button type="button" class="small" onClick={() => onPlan({ resolution: FIRST_PLAN.resolution })}>Use {FIRST_PLAN.resolution}</button>
        </p>
      )}
      {destroys && <Check label={destroys} value={replaces} onChange={(yes) => setReplaced(yes ? name : '')} />}
      <button type="submit" class="primary" disabled={isStarting}>Start training</button>
      {wasPressed && fault && <Failed sentence={fault} />}
    </form>
  );
}
