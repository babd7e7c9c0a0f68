import { useState } from 'preact/hooks';
import { api } from '../api/client';
import type { DatasetSummary } from '../api/schema';
import { sentence } from '../lib/collection';
import { bodyField } from '../lib/fields';
import { useKept } from '../lib/drafts';
import { forget, readKept } from '../lib/kept';
import { NumberField } from './fields';
import { Icon } from './icon';
import { Failed } from './states';

interface Props {
  sets: DatasetSummary[];
  chosen: string;
  onChoose: (name: string) => void;
  /** A new set is there. */
  onCreated: (name: string) => void;
}

/** The training sets as a row of covers, and a form that makes a new one. */
export function DatasetChooser({ sets, chosen, onChoose, onCreated }: Props) {
  const [isMaking, setMaking] = useState(isBegun());
  const isOpen = isMaking || sets.length === 0;
  return (
    <>
      <ul class="sets" aria-label="Datasets">
        {sets.map((set) => (
          <li key={set.name}>
            <button type="button" class="set" aria-pressed={set.name === chosen} onClick={() => onChoose(set.name)}>
              {set.cover ? <img src={`${set.cover}&size=128`} alt="" width={64} height={64} loading="lazy" /> : <span class="set-none"><Icon name="results" /></span>}
              <span>
                <strong>{set.name}</strong>
                <small>{set.count === 1 ? '1 image' : `${set.count} images`}</small>
              </span>
            </button>
          </li>
        ))}
        {!isOpen && (
          <li>
            <button type="button" class="set set-new" onClick={() => setMaking(true)}>
              <span class="set-none"><Icon name="more" /></span>
              <strong>New dataset</strong>
            </button>
          </li>
        )}
      </ul>
      {isOpen && (
        <NewSet
          canCancel={sets.length > 0} onCancel={() => setMaking(false)}
          onCreated={(name) => {
            setMaking(false);
            onCreated(name);
          }}
        />
      )}
    </>
  );
}

const FIRST = { name: '', trigger: '', repeats: Number(bodyField('POST /v1/datasets', 'repeats').standard) };
/** A form that was begun before a reload is open again. */
const isBegun = () => readKept('new-dataset', null) !== null;

function NewSet({ canCancel, onCancel, onCreated }: { canCancel: boolean; onCancel: () => void; onCreated: (name: string) => void }) {
  const [{ name, trigger, repeats }, set] = useKept('new-dataset', FIRST);
  const change = (part: Partial<typeof FIRST>) => set((old) => ({ ...old, ...part }));
  const [wrong, setWrong] = useState('');
  const create = async () => {
    const missing = name.trim() === '' ? 'Enter a dataset name.' : trigger.trim() === '' ? 'Enter trigger words; the grey text is only an example.' : '';
    if (missing) return setWrong(missing);
    try {
      await api.createDataset(name.trim(), trigger.trim(), repeats);
      forget('new-dataset');
      onCreated(name.trim());
    } catch (error) {
      setWrong(sentence(error));
    }
  };
  return (
    <form
      class="block new-set" aria-label="New dataset" noValidate
      onSubmit={(e) => {
        e.preventDefault();
        void create();
      }}
    >
      <div class="new-set-fields">
        <div class="field">
          <label for="set-name">Dataset name</label>
          <input id="set-name" type="text" required maxLength={100} placeholder="for example my-cat" value={name} onInput={(e) => change({ name: e.currentTarget.value })} />
        </div>
        <div class="field">
          <label for="set-trigger">Trigger words</label>
          <input id="set-trigger" type="text" required maxLength={100} placeholder="for example ohwx cat" value={trigger} onInput={(e) => change({ trigger: e.currentTarget.value })} />
        </div>
        <NumberField label="Repeats per image" value={repeats} field={bodyField('POST /v1/datasets', 'repeats')} onChange={(n) => change({ repeats: n })} />
      </div>
      <div class="row">
        <button type="submit" class="primary small">Create dataset</button>
        {canCancel && <button type="button" class="small" onClick={() => {
          forget('new-dataset');
          onCancel();
        }}>Cancel</button>}
      </div>
      {wrong && <Failed sentence={wrong} />}
    </form>
  );
}
