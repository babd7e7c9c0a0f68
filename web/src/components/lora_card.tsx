import { useState } from 'preact/hooks';
import type { ListedLora } from '../api/schema';
import { Icon } from './icon';

interface Props {
  lora: ListedLora;
  /** Whether the prompt holds its tag. */
  isActive: boolean;
  onToggle: () => void;
  /** Opens the detail panel; without it the card has no such button. */
  onDetails?: () => void;
}

/** One LoRA of the collection: a press puts it into the prompt, with its trigger words, or takes it out again. */
export function LoraCard({ lora, isActive, onToggle, onDetails }: Props) {
  // A preview that cannot be shown.
  const [broken, setBroken] = useState<string | null>(null);
  return (
    <li class={isActive ? 'card card-on' : 'card'}>
      <button type="button" class="card-press" aria-pressed={isActive} onClick={onToggle} title={lora.name}>
        <span class="card-picture">
          {lora.preview && lora.preview !== broken ? <img src={lora.preview} alt="" width={192} height={192} loading="lazy" onError={() => setBroken(lora.preview)} /> : <Letters name={lora.name} />}
          {isActive && <span class="card-mark"><Icon name="done" /></span>}
        </span>
        <span class="card-title">{lora.name}</span>
        <span class="card-line">
          {lora.type && <span class={`type type-${lora.type}`}>{lora.type}</span>}
          <span class={lora.fits ? 'family' : 'family family-no'}>{lora.family === 'other' ? (lora.error ? 'unreadable' : 'unknown') : lora.family}</span>
          {!lora.fits && <span class="unseen">not compatible</span>}
          {lora.subfamily && <span class={lora.subfamily_hint || lora.subfamily_conflict ? 'subfamily subfamily-other' : 'subfamily'} title={lora.subfamily_conflict || lora.subfamily_hint || lora.subfamily_reason}>{lora.subfamily}</span>}
        </span>
        {lora.trigger_words.length > 0 && <span class="card-words">{lora.trigger_words.join(', ')}</span>}
      </button>
      {onDetails && (
        <button type="button" class="card-details" onClick={onDetails}>
          Details<span class="unseen"> of {lora.name}</span>
        </button>
      )}
    </li>
  );
}

/** Stands in for a preview that is not there. */
function Letters({ name }: { name: string }) {
  const hue = [...name].reduce((sum, c) => (sum * 31 + c.charCodeAt(0)) % 360, 7);
  const letters = name.replace(/[^\p{L}\p{N}]+/gu, ' ').trim().slice(0, 2).toUpperCase() || '?';
  return (
    <span class="letters" style={{ '--hue': String(hue) }} aria-hidden="true">{letters}</span>
  );
}
