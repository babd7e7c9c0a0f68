import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { api } from '../api/client';
import type { ListedLora, PictureSettings } from '../api/schema';
import { checkpointName, choices, findLora, loadLoras, loras, ready, sentence, shortName } from '../lib/collection';
import type { Loaded } from '../lib/collection';
import { changeWhole } from '../lib/prompt_undo';
import { asSentence, settingsOf } from '../lib/settings_text';
import { dataUrl } from '../lib/picture_file';
import { loraTags } from '../lib/prompt';
import { go } from '../lib/route';
import { useStore } from '../lib/store';
import { Icon } from './icon';
import { MissingList } from './missing_list';
import { useAsSource } from './source_picker';
import { Failed, Loading } from './states';

interface Props {
  /** A file of the user's, or the address of a picture on the server. */
  picture: Blob | string;
  name: string;
  onClose: () => void;
  /** Buttons of the place it was opened from. */
  children?: ComponentChildren;
  onKey?: (key: string) => void;
}

/** A picture in large with the settings inside it: read, copied, sent on. */
export function PictureDialog({ picture, name, onClose, children, onKey }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [url, setUrl] = useState(typeof picture === 'string' ? picture : '');
  const [read, setRead] = useState<Loaded<PictureSettings>>({ state: 'loading' });
  const [message, setMessage] = useState('');
  const cards = ready(useStore(loras));
  useEffect(() => {
    if (dialog.current && !dialog.current.open) dialog.current.showModal();
  }, []);
  useEffect(() => {
    let isOld = false;
    setRead({ state: 'loading' });
    setMessage('');
    const object = typeof picture === 'string' ? picture : URL.createObjectURL(picture);
    setUrl(object);
    dataUrl(picture)
      .then((data) => api.pictureParameters(data))
      .then(
        (value) => !isOld && setRead({ state: 'ready', value }),
        (error: unknown) => !isOld && setRead({ state: 'failed', sentence: sentence(error) }),
      );
    return () => {
      isOld = true;
      if (typeof picture !== 'string') URL.revokeObjectURL(object);
    };
  }, [picture]);

  const found = read.state === 'ready' ? read.value : null;
  const all = ready(useStore(choices));
  const taken = found?.info
    ? settingsOf(found.parameters, { samplers: all?.samplers ?? [], schedulers: all?.schedulers ?? [], upscalers: all?.upscalers ?? [], checkpoint: shortName(checkpointName(all)) })
    : null;
  const tags = loraTags(found?.parameters['Prompt'] ?? '');
  const used = cards ? tags.map((t) => findLora(cards, t.name)).filter((lora) => lora !== undefined) : [];
  const leave = (then: () => unknown) => {
    then();
    onClose();
    go('create');
  };
  const asSource = async (mode: 'img2img' | 'inpaint' | 'extras') => {
    try {
      await useAsSource(picture, mode);
      leave(() => found?.info && mode !== 'extras' && changeWhole({ prompt: found.parameters['Prompt'] ?? '' }));
    } catch (error) {
      setRead({ state: 'failed', sentence: sentence(error) });
    }
  };
  const asPreview = async (lora: ListedLora) => {
    try {
      await api.setPreview(lora.relative, typeof picture === 'string' ? await (await fetch(picture)).blob() : picture);
      setMessage(`Set as preview of ${lora.name}.`);
      await loadLoras();
    } catch (error) {
      setMessage(sentence(error));
    }
  };
  return (
    <dialog
      ref={dialog} class="viewer" aria-label={name} onClose={onClose}
      onKeyDown={(e) => onKey?.(e.key)}
      onClick={(e) => {
        if (e.target === dialog.current) dialog.current?.close();
      }}
    >
      <div class="viewer-picture">{url && <img src={url} alt={name} />}</div>
      <div class="viewer-side">
        <div class="panel-head">
          <h2>{name}</h2>
          <button type="button" class="icon-button" aria-label="Close" onClick={() => dialog.current?.close()}><Icon name="close" /></button>
        </div>
        {read.state === 'loading' && <Loading what="parameters" />}
        {read.state === 'failed' && <Failed sentence={read.sentence} />}
        {found && !found.info && <p class="hint">This image contains no generation parameters.</p>}
        {found && <MissingList text={found.info} words="This image was made with" />}
        <div class="row actions">
          <button type="button" class="primary small" disabled={!found?.info}
            onClick={() => taken && leave(() => changeWhole({ ...taken.part, mode: 'txt2img' }))}>
            Use these parameters
          </button>
          <button type="button" class="small" onClick={() => void asSource('img2img')}>Send to img2img</button>
          <button type="button" class="small" onClick={() => void asSource('inpaint')}>Send to inpaint</button>
          <button type="button" class="small" onClick={() => void asSource('extras')}>Send to extras</button>
          <button type="button" class="small" disabled={!found?.info}
            onClick={() => found && void navigator.clipboard.writeText(found.info).then(() => setMessage('Copied.'), () => setMessage('The browser blocked copying.'))}>
            Copy parameters
          </button>
          {tags.length > 0 && (
            <button type="button" class="small" onClick={() => taken && leave(() => changeWhole({ ...taken.part, mode: 'txt2img', compare: true }))}>
              Compare without LoRA
            </button>
          )}
          {used.map((lora) => (
            <button key={lora.relative} type="button" class="small" onClick={() => void asPreview(lora)}>Use as preview of {lora.name}</button>
          ))}
          {children}
        </div>
        {taken && taken.notes.length > 0 && <p class="hint">{taken.notes.join(' ')}</p>}
        <p class="hint" role="status">{message}</p>
        {found?.info && (
          <>
            {found.lowrank && found.lowrank.notes.length > 0 && <p class="hint">{found.lowrank.notes.map(asSentence).join(' ')}</p>}
            <h3>Prompt</h3>
            <p class="viewer-prompt">{found.parameters['Prompt']}</p>
            {found.parameters['Negative prompt'] && <><h3>Negative prompt</h3><p class="viewer-prompt">{found.parameters['Negative prompt']}</p></>}
            <dl class="facts">
              {['Steps', 'Sampler', 'Schedule type', 'CFG scale', 'Seed', 'Size', 'Model', 'Denoising strength', 'Lora hashes', 'Version']
                .filter((label) => found.parameters[label] !== undefined)
                .map((label) => <><dt key={label}>{label}</dt><dd>{String(found.parameters[label])}</dd></>)}
            </dl>
          </>
        )}
      </div>
    </dialog>
  );
}
