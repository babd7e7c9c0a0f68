import { useState } from 'preact/hooks';
import { checkpointName, sentence, setOptions, shortName, takenCheckpoint } from '../lib/collection';
import type { Choices } from '../lib/collection';
import { change, followsCard, settingsFor } from '../lib/form';
import type { Form } from '../lib/form';
import { CheckpointImport } from './checkpoint_import';
import { Icon } from './icon';
import { Failed } from './states';

/** What one should know of the model before drawing: that there is none, that it is another than was chosen, that it is the
 * small one that came with the program. */
export function ModelNotice({ all, form }: { all: Choices; form: Form }) {
  const [wrong, setWrong] = useState('');
  const { model } = all;
  const taken = takenCheckpoint(all);
  const keep = (title: string) => setOptions({ sd_model_checkpoint: title }).then(() => setWrong(''), (error: unknown) => setWrong(sentence(error)));
  const settings = taken && settingsFor(form, taken);
  // Without a choice the newest is taken: who has just put one there would wonder.
  const passed = model.chosen === null ? all.checkpoints.filter((c) => c.problem && c.title !== model.taken) : [];
  return (
    <>
      {!taken && (
        <div class="notice notice-bad" role="alert">
          <Icon name="warning" />
          <p>No checkpoint found, so no images can be generated. Import one below, or copy a Stable Diffusion checkpoint (.safetensors) to <code>{model.folder}</code>.</p>
        </div>
      )}
      {taken && !model.is_chosen_there && (
        <div class="notice notice-warn" role="status">
          <Icon name="warning" />
          <p>The selected checkpoint {shortName(model.chosen ?? '')} no longer exists. Images are generated with {taken.name}.</p>
          <button type="button" class="small" onClick={() => void keep(taken.title)}>Use {taken.name}</button>
        </div>
      )}
      {taken?.problem && <Failed sentence={`The checkpoint ${taken.name} cannot be used: ${taken.problem}`} />}
      {passed.slice(0, 1).map((c) => (
        <div class="notice notice-warn" role="status" key={c.title}>
          <Icon name="warning" />
          <p>The checkpoint {c.name} is skipped: {c.problem}</p>
        </div>
      ))}
      {taken?.is_starter && (
        <p class="starter-note hint">
          <strong>Small starter model.</strong> {taken.card.description ?? ''} For other images, use Stable Diffusion 1.5, SDXL or a checkpoint based on one of them.
        </p>
      )}
      {(!taken || taken.is_starter) && <CheckpointImport folder={model.folder} isNeeded={!taken} />}
      {settings && !followsCard(form, settings) && (
        <p class="hint card-settings">
          {shortName(checkpointName(all))} works best with {[settings.width && settings.height ? `${settings.width} × ${settings.height}` : '', settings.cfg_scale ? `CFG ${settings.cfg_scale}` : '', settings.sampler_name ?? ''].filter(Boolean).join(', ')}.{' '}
          <button type="button" class="small" onClick={() => {
            const { prompt: _, negative_prompt: __, ...rest } = settings;
            change(rest);
          }}>
            Apply
          </button>
        </p>
      )}
      {wrong && <Failed sentence={wrong} />}
    </>
  );
}
