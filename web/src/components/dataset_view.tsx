import { useEffect, useRef, useState } from 'preact/hooks';
import { api } from '../api/client';
import type { Dataset, DatasetFolder, DatasetPicture } from '../api/schema';
import { sentence } from '../lib/collection';
import { bodyField } from '../lib/fields';
import { dropTarget } from '../lib/drop_target';
import { forget } from '../lib/kept';
import { lateCaptions, setFiles } from '../lib/set_files';
import { textOf } from '../lib/text_file';
import { withoutTrigger } from '../lib/training';
import { DatasetTile, captionKey } from './dataset_tile';
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
    const { found, lost } = lateCaptions(all, set.pictures, target.folder);
    const refused = files.length + found.length + lost.length > 0 ? [] : ['These files contain no supported image (PNG, JPEG, WebP, GIF, BMP, TIFF) and no caption.'];
    // A folder holds other texts too; a text that was chosen alone was meant.
    if (lost.length > 0 && files.length === 0) refused.push(`No image in the dataset matches ${lost.join(', ')}.`);
    const write = async (file: string, caption: File) =>
      api.writeCaption(set.name, file, textOf(new Uint8Array(await caption.arrayBuffer()), caption.name).trim() || null);
    let done = 0;
    const step = async (name: string, act: () => Promise<unknown>) => {
      setAdding({ done: done++, all: files.length + found.length });
      try {
        await act();
      } catch (error) {
        refused.push(`${name}: ${sentence(error)}`);
      }
    };
    for (const { picture, caption } of files) {
      await step(picture.name, async () => {
        const added = await api.addPicture(set.name, target.folder, picture);
        if (caption) await write(added.file, caption);
      });
    }
    const overwritten = found.filter(({ file }) => set.pictures.find((p) => p.file === file)?.caption != null);
    const isAllowed = overwritten.length === 0 || confirm(`${overwritten.length === 1 ? `${overwritten[0]!.file} already has a caption` : `${overwritten.length} of the images already have captions`}. Replace ${overwritten.length === 1 ? 'it' : 'them'}?`);
    for (const late of found) if (isAllowed || !overwritten.includes(late)) await step(late.caption.name, () => write(late.file, late.caption));
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
    const mine = { words: `Drop images to add them to ${set.name}`, take: (files: File[]) => void add(files) };
    dropTarget.set(mine);
    return () => dropTarget.set((now) => (now === mine ? null : now));
  }, [set.name, target?.folder]);

  const silent = withoutTrigger(set);
  const addTriggers = () =>
    attempt(async () => {
      for (const { picture, trigger } of silent) await api.writeCaption(set.name, picture.file, `${trigger}, ${picture.caption ?? ''}`);
    });
  const most = Math.max(1, ...set.buckets.map((b) => b.pictures));
  const faults = set.count > 0 ? set.faults : [];
  return (
    <section class="set-view" aria-label={`Dataset ${set.name}`}>
      {set.folders.map((f) => (
        <FolderLine key={f.folder} folder={f} onChange={(trigger, repeats) => void attempt(() => api.editFolder(set.name, f.folder, trigger, repeats))} />
      ))}
      <div class="row">
        <button type="button" disabled={!target || adding !== null} onClick={() => chooser.current?.click()}>
          <Icon name="more" /> Add images
        </button>
        <button type="button" class="quiet" disabled={!target || adding !== null} onClick={() => folderChooser.current?.click()}>Add folder</button>
        {set.folders.length > 1 && target && (
          <label class="hint">
            into <select value={target.folder} aria-label="Folder for new images" onChange={(e) => setFolder(e.currentTarget.value)}>
              {set.folders.map((f) => <option key={f.folder}>{f.folder}</option>)}
            </select>
          </label>
        )}
        <span class="hint" role="status">{adding ? `Adding ${adding.done + 1} of ${adding.all} …` : set.count > 0 ? 'or drop them anywhere on this page' : ''}</span>
        <input ref={chooser} type="file" accept="image/png,image/jpeg,image/webp,image/gif,image/bmp,image/tiff,text/plain,.txt,.caption" multiple hidden aria-label="Images to add" onChange={take} />
        <input ref={folderChooser} type="file" {...{ webkitdirectory: true }} hidden aria-label="Folder to add" onChange={take} />
      </div>
      {[...wrong, ...faults].map((text) => <Failed key={text} sentence={text} />)}
      {silent.length > 0 && (
        <div class="notice notice-warn" role="status">
          <Icon name="warning" />
          <p>
            {silent.length === 1 ? 'One caption does' : `${silent.length} captions do`} not contain the trigger words “{silent[0]!.trigger}”, so {silent.length === 1 ? 'this image is' : 'these images are'} trained without them. The grey text is used only where a caption is empty.
          </p>
          <button type="button" class="small" onClick={() => void addTriggers()}>Add trigger words</button>
        </div>
      )}
      {set.count === 0 && (
        <Empty title="No images yet"><p>Add 10 to 30 images, or drop them here. Then write a caption below each image, starting with the trigger words; text files with the same names are imported as captions.</p></Empty>
      )}
      {set.buckets.length > 0 && (
        <details class="buckets">
          <summary>{set.buckets.length === 1 ? 'Training size' : `${set.buckets.length} training sizes (buckets)`}</summary>
          <ul class="blocks">
            {set.buckets.map((b) => (
              <li key={`${b.width}x${b.height}`}>
                <span>{b.width} × {b.height}</span>
                <span class="bar" style={{ '--share': `${(b.pictures / most) * 100}%` }} aria-hidden="true" />
                <span title="Images per epoch, including repeats">{b.pictures}</span>
              </li>
            ))}
          </ul>
        </details>
      )}
      <ul class="tiles" aria-label="Images">
        {set.pictures.map((picture) => (
          <DatasetTile
            key={picture.file} set={set.name} picture={picture} onSaved={onPicture}
            trigger={set.folders.find((f) => f.folder === picture.folder)?.trigger ?? ''}
            onRemove={() => {
              if (confirm(`Remove ${picture.file} from the dataset? The file is deleted.`)) void attempt(() => api.removePicture(set.name, picture.file).then(() => forget(captionKey(set.name, picture.file))));
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
    if (trigger.trim() === folder.trigger) return;
    if (trigger.trim()) onChange(trigger.trim(), folder.repeats);
    // Without trigger words nothing would call the LoRA up: they come back.
    else setTrigger(folder.trigger);
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
      <NumberField label="Repeats" value={next} field={bodyField('POST /v1/datasets', 'repeats')} onChange={setNext} />
    </div>
  );
}
