import { useState } from 'preact/hooks';
import type { ListedLora } from '../api/schema';
import { findLora } from '../lib/collection';
import { loraWeight } from '../lib/fields';
import { loraTags, removeLora, replaceTag } from '../lib/prompt';
import { asSentence } from '../lib/settings_text';
import type { LoraTag } from '../lib/prompt';
import { Slider } from './fields';
import { Icon } from './icon';

/** The usual weights; others can be typed. */
const WEIGHT = { ...loraWeight(), from: -1, to: 2, step: 0.05 };

interface Props {
  prompt: string;
  onPrompt: (prompt: string) => void;
  /** null while the collection is not known: then nothing is called missing. */
  loras: ListedLora[] | null;
}

/** The LoRAs of the prompt, each with its weight under the finger. */
export function LoraChips({ prompt, onPrompt, loras }: Props) {
  const tags = loraTags(prompt);
  if (tags.length === 0) return null;
  return (
    <ul class="chips" aria-label="LoRAs in the prompt">
      {tags.map((tag, i) => (
        <Chip
          key={`${tag.name}${i}`} tag={tag} lora={loras ? findLora(loras, tag.name) : undefined} isMissing={loras !== null && !findLora(loras, tag.name)}
          onChange={(change) => onPrompt(replaceTag(prompt, tag, change))}
          onRemove={() => {
            const lora = loras && findLora(loras, tag.name);
            onPrompt(removeLora(prompt, tag.name, lora ? lora.trigger : ''));
          }}
        />
      ))}
    </ul>
  );
}

interface ChipProps {
  tag: LoraTag;
  lora: ListedLora | undefined;
  isMissing: boolean;
  onChange: (change: Partial<LoraTag>) => void;
  onRemove: () => void;
}

function Chip({ tag, lora, isMissing, onChange, onRemove }: ChipProps) {
  const [isOpen, setOpen] = useState(tag.te !== tag.unet || tag.start !== null || tag.stop !== null);
  const isSplit = isOpen;
  return (
    <li class={isMissing ? 'chip chip-missing' : 'chip'}>
      <div class="chip-head">
        {lora?.preview && <img src={lora.preview} alt="" width={32} height={32} />}
        <span class="chip-name">{tag.name || '(no name)'}</span>
        <button type="button" class="small quiet" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
          {isOpen ? 'Less' : 'More'}<span class="unseen"> options for {tag.name}</span>
        </button>
        <button type="button" class="icon-button" onClick={onRemove} aria-label={`Remove ${tag.name}`}>
          <Icon name="close" />
        </button>
      </div>
      {isMissing && <p class="chip-wrong"><Icon name="warning" /> No LoRA with this name in the collection.</p>}
      {lora && !lora.fits && <p class="chip-wrong"><Icon name="warning" /> {lora.fits_reason}</p>}
      {lora?.subfamily_hint && <p class="hint">{asSentence(lora.subfamily_hint)}</p>}
      {!isSplit && (
        <Slider label="Weight" value={tag.te} field={WEIGHT} onChange={(w) => onChange({ te: w, unet: w })} />
      )}
      {isSplit && (
        <>
          <Slider label="U-Net" value={tag.unet} field={WEIGHT} onChange={(unet) => onChange({ unet })} />
          <Slider label="Text encoder" value={tag.te} field={WEIGHT} onChange={(te) => onChange({ te })} />
          <Slider
            label="Start, % of the steps" value={Math.round((tag.start ?? 0) * 100)} field={{ min: 0, max: 95, step: 5 }}
            onChange={(v) => onChange({ start: v === 0 ? null : v / 100 })}
          />
          <Slider
            label="Stop, % of the steps" value={Math.round((tag.stop ?? 1) * 100)} field={{ min: 5, max: 100, step: 5 }}
            onChange={(v) => onChange({ stop: v === 100 ? null : v / 100 })}
          />
        </>
      )}
    </li>
  );
}
