import { choices, ready } from '../lib/collection';
import { asSentence } from '../lib/settings_text';
import { useStore } from '../lib/store';
import { Select } from './fields';

interface Props {
  /** What the keys tell: only its kinds are offered. */
  family: string;
  name: string | null;
  /** 'user': somebody has set it here. */
  origin: string | null;
  reason: string;
  /** Where the label and the keys disagree. */
  conflict: string;
  /** '' detects it from the files, 'none': it is plainly its family. */
  onChange: (subfamily: string) => void;
}

/** Which offspring of its family a model is of (Pony, Illustrious …): what was recognised and why, and the user's word over it. */
export function SubfamilyField({ family, name, origin, reason, conflict, onChange }: Props) {
  const all = ready(useStore(choices));
  const known = (all?.model.subfamilies ?? []).filter((s) => s.family === family);
  const isSet = origin === 'user';
  if (known.length === 0 && !name && !conflict) return null;
  const usual = all?.model.subfamilies.find((s) => s.name === name)?.usual;
  return (
    <div class="subfamily-field">
      <Select
        label="Subfamily" value={isSet ? name ?? 'none' : ''} onChange={onChange}
        choices={[
          { value: '', label: isSet ? 'Detect' : `Detected: ${name ?? 'none'}` }, { value: 'none', label: `None: plain ${family}` },
          ...known.map((s) => s.name), ...(isSet && name && !known.some((s) => s.name === name) ? [name] : []),
        ]}
      />
      {conflict && <p class="chip-wrong">{asSentence(conflict)}</p>}
      {!conflict && name && !isSet && <p class="hint">{asSentence(reason)}</p>}
      {usual && <p class="hint">Usual: {usual}</p>}
    </div>
  );
}
