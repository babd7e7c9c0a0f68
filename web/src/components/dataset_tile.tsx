import { useEffect, useRef, useState } from 'preact/hooks';
import { api } from '../api/client';
import type { DatasetPicture } from '../api/schema';
import { sentence } from '../lib/collection';
import { useDraft } from '../lib/drafts';
import { Icon } from './icon';

interface Props {
  set: string;
  picture: DatasetPicture;
  /** The folder's trigger words, which caption what has no caption. */
  trigger: string;
  onSaved: (picture: DatasetPicture) => void;
  onRemove: () => void;
}

const fileName = (file: string) => file.slice(file.indexOf('/') + 1);

/** Where a caption that is not saved yet is kept. */
export const captionKey = (set: string, file: string) => `caption.${set}/${file}`;

/** A picture of the set with its caption, saved when one leaves it; Enter goes on to the next picture's. */
export function DatasetTile({ set, picture, trigger, onSaved, onRemove }: Props) {
  const [text, setText] = useDraft(captionKey(set, picture.file), picture.caption ?? '');
  const [state, setState] = useState<'' | 'saving' | 'saved' | { wrong: string }>('');
  const box = useRef<HTMLTextAreaElement>(null);
  const name = fileName(picture.file);
  const seen = useRef(picture.caption);
  useEffect(() => {
    // What another window wrote is shown, unless someone is writing here.
    if (seen.current !== picture.caption && document.activeElement !== box.current) setText(picture.caption ?? '');
    seen.current = picture.caption;
  }, [picture.caption]);
  const save = async () => {
    if (text.trim() === (picture.caption ?? '')) return;
    setState('saving');
    try {
      onSaved(await api.writeCaption(set, picture.file, text.trim() || null));
      setState('saved');
    } catch (error) {
      setState({ wrong: sentence(error) });
    }
  };
  // What a reload interrupted is saved now.
  useEffect(() => void save(), []);
  // A caption that is being written when the tile goes away (another page, another set) is kept too.
  const last = useRef({ text, picture });
  last.current = { text, picture };
  useEffect(
    () => () => {
      const { text: written, picture: of } = last.current;
      if (document.activeElement === box.current && written.trim() !== (of.caption ?? '')) void api.writeCaption(set, of.file, written.trim() || null).catch(() => {});
    },
    [],
  );
  const toNext = () => {
    const boxes = [...document.querySelectorAll<HTMLTextAreaElement>('.tile textarea')];
    const next = boxes[boxes.indexOf(box.current!) + 1];
    if (next) next.focus();
    else box.current?.blur();
  };
  const wrong = picture.error ?? (typeof state === 'object' ? state.wrong : '');
  return (
    <li class={wrong ? 'tile tile-bad' : 'tile'}>
      <div class="tile-picture">
        <img src={`${picture.url}&size=320`} alt={picture.learned || name} width={160} height={160} loading="lazy" />
        <button type="button" class="icon-button tile-remove" aria-label={`Remove ${name}`} title="Remove" onClick={onRemove}>
          <Icon name="close" />
        </button>
        {picture.bucket && (
          <span class="tile-bucket" title={`Training size; the image has ${picture.width} × ${picture.height} pixels`}>
            {picture.bucket.width}×{picture.bucket.height}
            {picture.cut !== null && picture.cut >= 0.005 && <span class="unseen">, {Math.round(picture.cut * 100)} % cropped</span>}
          </span>
        )}
      </div>
      <textarea
        ref={box} rows={2} aria-label={`Caption of ${name}`} placeholder={trigger} value={text} spellcheck={false}
        onInput={(e) => {
          setText(e.currentTarget.value);
          setState('');
        }}
        onBlur={() => void save()}
        onKeyDown={(e) => {
          if (e.key === 'Enter' && !e.shiftKey) {
            e.preventDefault();
            toNext();
          }
        }}
      />
      {wrong ? <p class="tile-wrong">{wrong}</p> : <p class="tile-line"><span>{name}</span><span role="status">{state === 'saved' ? 'Saved' : state === 'saving' ? 'Saving …' : ''}</span></p>}
    </li>
  );
}
