import { useRef, useState } from 'preact/hooks';
import { api } from '../api/client';
import type { ListedLora } from '../api/schema';
import { sentence } from '../lib/collection';
import { queue } from '../lib/queue';
import { useStore } from '../lib/store';
import { Failed } from './states';

/** Gives a LoRA another preview: the last picture made, or a file. */
export function PreviewChoice({ card, onChanged }: { card: ListedLora; onChanged: () => Promise<void> }) {
  const chooser = useRef<HTMLInputElement>(null);
  const [wrong, setWrong] = useState('');
  const last = useStore(queue).jobs.find((job) => (job.kind === 'txt2img' || job.kind === 'img2img') && job.state === 'completed' && job.pictures > 0);
  const attempt = async (act: () => Promise<unknown>) => {
    try {
      await act();
      setWrong('');
      await onChanged();
    } catch (error) {
      setWrong(sentence(error));
    }
  };
  return (
    <div class="row" role="group" aria-label="Preview">
      {last && (
        <button type="button" class="small" onClick={() => void attempt(async () => api.setPreview(card.relative, await (await fetch(api.pictureUrl(last.id, 0))).blob()))}>
          Use last image as preview
        </button>
      )}
      <button type="button" class="small" onClick={() => chooser.current?.click()}>Preview from file</button>
      {card.preview && <button type="button" class="small quiet" onClick={() => void attempt(() => api.removePreview(card.relative))}>Remove preview</button>}
      <input
        ref={chooser} type="file" accept="image/png,image/jpeg,image/webp" hidden aria-label={`Preview of ${card.name}`}
        onChange={(e) => {
          const file = e.currentTarget.files?.[0];
          if (file) void attempt(() => api.setPreview(card.relative, file));
          e.currentTarget.value = '';
        }}
      />
      {wrong && <Failed sentence={wrong} />}
    </div>
  );
}
