import { useEffect, useRef, useState } from 'preact/hooks';
import { sentence } from '../lib/collection';
import { dropTarget } from '../lib/drop_target';
import { DEFAULTS, change, form, source } from '../lib/form';
import type { Form } from '../lib/form';
import { dataUrl, formSize, pictureSize } from '../lib/picture_file';
import { useStore } from '../lib/store';
import { MaskEditor } from './mask_editor';
import { Failed } from './states';

/** Takes a picture as the one that a mode starts from; the size to draw follows it. */
export async function useAsSource(from: Blob | string, mode: Form['mode']): Promise<void> {
  const url = await dataUrl(from);
  const { width, height } = await pictureSize(url);
  source.set({ image: url, mask: '' });
  const size = mode === 'extras' ? {} : formSize(width, height, Math.max(DEFAULTS.width, form.get().width, form.get().height));
  change({ mode, ...size });
}

/** Chooses the picture to start from and, for inpaint, paints the mask on it. */
export function SourcePicker({ withMask }: { withMask: boolean }) {
  const from = useStore(source);
  const file = useRef<HTMLInputElement>(null);
  const [wrong, setWrong] = useState('');
  const choose = async (chosen: File | undefined) => {
    if (!chosen) return;
    try {
      await useAsSource(chosen, form.get().mode);
      setWrong('');
    } catch (error) {
      setWrong(sentence(error));
    }
  };
  useEffect(() => {
    const mine = { words: 'Drop the image to use it as input', take: (files: File[]) => void choose(files.find((f) => f.type.startsWith('image/'))) };
    dropTarget.set(mine);
    return () => dropTarget.set((now) => (now === mine ? null : now));
  }, []);
  return (
    <section class="source" aria-label="Input image">
      {wrong && <Failed sentence={wrong} />}
      {!from.image && (
        <button type="button" class="drop" onClick={() => file.current?.click()}>
          <strong>Choose an image</strong>
          <span>or drop one here, or send one from Results</span>
        </button>
      )}
      {from.image && withMask && (
        <MaskEditor image={from.image} mask={from.mask} onMask={(mask) => source.set((old) => ({ ...old, mask }))} />
      )}
      {from.image && !withMask && <img class="source-picture" src={from.image} alt="Input image" />}
      {from.image && (
        <div class="row">
          <button type="button" class="small" onClick={() => file.current?.click()}>Replace</button>
          <button type="button" class="small" onClick={() => source.set({ image: '', mask: '' })}>Remove</button>
        </div>
      )}
      <input
        ref={file} type="file" accept="image/png,image/jpeg,image/webp,image/gif,image/bmp,image/tiff" hidden aria-label="Input image"
        onChange={(e) => {
          void choose(e.currentTarget.files?.[0]);
          e.currentTarget.value = '';
        }}
      />
    </section>
  );
}
