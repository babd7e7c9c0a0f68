import { useEffect, useRef, useState } from 'preact/hooks';
import { api } from '../api/client';
import type { Dataset, DatasetFolder, DatasetPicture } from '../api/types';
import { sentence } from '../lib/collection';
import { dropTarget } from '../lib/drop_target';
import { setFiles } from '../lib/set_files';
import { DatasetTile } from './dataset_tile';
import { NumberField } from './fields';
import { Icon } from './icon';
import { Empty, Failed } from './states';

interface Props {
  set: Dataset;
  /** Something was added, removed or renamed. */
  onChanged: () => Promise<void>;
  onPicture: (picture: DatasetPicture) => void;
}

/** The pictures of a training set: added, captioned, removed, and into which sizes they will be cut. */
export function DatasetView({ set, onChanged, onPicture }: Props) {
  const chooser = useRef<HTMLInputElement>(null);
  const folderChooser = useRef<HTMLInputElement>(null);
  const [wrong, setWrong] = useState<string[]>([]);
  const [adding, setAdding] = useState<{ done: number; all: number } | null>(null);
  const [folder, setFolder] = useState('');
  const target = set.folders.find((f) => f.folder === folder) ?? set.folders[0];

  const add = async (all: File[]) => {
    const files = setFiles(all);
    if (!target || all.length === 0) return;
    const refused = files.length > 0 ? [] : ['There is no PNG, JPEG or WebP picture among these files.'];
    for (const [i, { picture, caption }] of files.entries()) {
      setAdding({ done: i, all: files.length });
      try {
        const added = await api.addPicture(set.name, target.folder, picture);
        if (caption) await api.writeCaption(set.name, added.file, (await caption.text()).trim() || null);
      } catch (error) {
        refused.push(`${picture.name}: ${sentence(error)}`);
      }
    }
    setAdding(null);
    setWrong(refused);
    await onChanged();
  };
  const take = (e: { currentTarget: HTMLInputElement }) => {
    void add([...(e.currentTarget.files ?? [])]);
    e.currentTarget.value = '';
  };
  const attempt = async (act: () => Promise<unknown>) => {
    try {
      await act();
      setWrong([]);
      await onChanged();
    } catch (error) {
      setWrong([sentence(error)]);
    }
  };
  useEffect(() => {
    const mine = { words: `Drop pictures to add them to ${set.name}`, take: (files: File[]) => void add(files) };
    dropTarget.set(mine);
    return () => dropTarget.set((now) => (now === mine ? null : now));
  }, [set.name, target?.folder]);

  const most = Math.max(1, ...set.buckets.map((b) => b.pictures));
  const faults = set.count > 0 ? set.faults : [];
  return (
    <section class="set-view" aria-label={`Set ${set.name}`}>
      {set.folders.map((f) => (
        <FolderLine key={f.folder} folder={f} onChange={(trigger, repeats) => void attempt(() => api.editFolder(set.name, f.folder, trigger, repeats))} />
      ))}
      <div class="row">
        <button type="button" disabled={!target || adding !== null} onClick={() => chooser.current?.click()}>
          <Icon name="more" /> Add pictures
        </button>
        <button type="button" class="quiet" disabled={!target || adding !== null} onClick={() => folderChooser.current?.click()}>Add a folder</button>
        {set.folders.length > 1 && target && (
          <label class="hint">
            into <select value={target.folder} aria-label="Folder for new pictures" onChange={(e) => setFolder(e.currentTarget.value)}>
              {set.folders.map((f) => <option key={f.folder}>{f.folder}</option>)}
            </select>
          </label>
        )}
        <span class="hint" role="status">{adding ? `Adding ${adding.done + 1} of ${adding.all} …` : set.count > 0 ? 'or drop them anywhere on this page' : ''}</span>
        <input ref={chooser} type="file" accept="image/png,image/jpeg,image/webp,text/plain" multiple hidden aria-label="Pictures to add" onChange={take} />
        <input ref={folderChooser} type="file" {...{ webkitdirectory: true }} hidden aria-label="Folder to add" onChange={take} />
      </div>
      {[...wrong, ...faults].map((text) => <Failed key={text} sentence={text} />)}
      {set.count === 0 && (
        <Empty title="No pictures yet"><p>Add ten to thirty, or drop them here. Then write below each what is on it, beginning with the trigger words; text files of the same names are taken as captions.</p></Empty>
      )}
      {set.buckets.length > 0 && (
        <details class="buckets">
          <summary>{set.buckets.length === 1 ? 'One size' : `${set.buckets.length} sizes`} to learn at</summary>
          <ul class="blocks">
            {set.buckets.map((b) => (
              <li key={`${b.width}x${b.height}`}>
                <span>{b.width} × {b.height}</span>
                <span class="bar" style={{ '--share': `${(b.pictures / most) * 100}%` }} aria-hidden="true" />
                <span title="With repeats, in one round over the set">{b.pictures}</span>
              </li>
            ))}
          </ul>
        </details>
      )}
      <ul class="tiles" aria-label="Pictures">
        {set.pictures.map((picture) => (
          <DatasetTile
            key={picture.file} set={set.name} picture={picture} onSaved={onPicture}
            trigger={set.folders.find((f) => f.folder === picture.folder)?.trigger ?? ''}
            onRemove={() => {
              if (confirm(`Remove ${picture.file} from the set? The file is deleted.`)) void attempt(() => api.removePicture(set.name, picture.file));
            }}
          />
        ))}
      </ul>
    </section>
  );
}

/** Trigger words and repeats of one folder, changed in place. */
function FolderLine({ folder, onChange }: { folder: DatasetFolder; onChange: (trigger: string, repeats: number) => void }) {
  const [trigger, setTrigger] = useState(folder.trigger);
  const id = `trigger-${folder.folder}`;
  const leave = () => {
    if (trigger.trim() && trigger.trim() !== folder.trigger) onChange(trigger.trim(), folder.repeats);
  };
  return (
    <div class="folder-line">
      <div class="field">
        <label for={id}>Trigger words</label>
        <input id={id} type="text" value={trigger} onInput={(e) => setTrigger(e.currentTarget.value)} onBlur={leave}
          onKeyDown={(e) => {
            if (e.key === 'Enter') leave();
          }} />
      </div>
      <Repeats value={folder.repeats} onChange={(repeats) => onChange(folder.trigger, repeats)} />
    </div>
  );
}

/** Renames the folder, so it waits until one leaves the field. */
function Repeats({ value, onChange }: { value: number; onChange: (value: number) => void }) {
  const [next, setNext] = useState(value);
  return (
    <div onFocusOut={() => next !== value && onChange(next)} onKeyDown={(e) => e.key === 'Enter' && next !== value && onChange(next)}>
      <NumberField label="Repeats" value={next} min={1} max={10000} onChange={setNext} />
    </div>
  );
}
