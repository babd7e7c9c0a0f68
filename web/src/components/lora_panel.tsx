import { useEffect, useRef, useState } from 'preact/hooks';
import { api } from '../api/client';
import type { ListedLora, LoraDetail } from '../api/schema';
import { loadLoras, sentence } from '../lib/collection';
import type { Loaded } from '../lib/collection';
import { useDraft } from '../lib/drafts';
import { loraWeight } from '../lib/fields';
import { change, form } from '../lib/form';
import { TYPES } from '../lib/lora_filter';
import { mentions } from '../lib/prompt';
import { asSentence } from '../lib/settings_text';
import { bytes } from '../lib/words';
import { NumberField, Select } from './fields';
import { Icon } from './icon';
import { useLoraToggle } from './lora_sidebar';
import { PreviewChoice } from './preview_choice';
import { SubfamilyField } from './subfamily_field';
import { Failed, Loading } from './states';

/** Everything about one LoRA; its note, type, subfamily and rating can be changed. */
export function LoraPanel({ card, onClose }: { card: ListedLora; onClose: () => void }) {
  const [loaded, setLoaded] = useState<Loaded<LoraDetail>>({ state: 'loading' });
  const [wrong, setWrong] = useState('');
  const [saved, setSaved] = useState('');
  const heading = useRef<HTMLHeadingElement>(null);
  const { isActive, toggle } = useLoraToggle();
  const load = () =>
    api.lora(card.relative).then(
      (value) => setLoaded({ state: 'ready', value }),
      (error: unknown) => setLoaded({ state: 'failed', sentence: sentence(error) }),
    );
  useEffect(() => {
    void load();
    heading.current?.focus();
  }, []);
  const edit = async (part: Parameters<typeof api.editLora>[1]) => {
    try {
      await api.editLora(card.relative, part);
      setWrong('');
      setSaved('Saved.');
      await Promise.all([load(), loadLoras()]);
    } catch (error) {
      setWrong(sentence(error));
    }
  };
  const detail = loaded.state === 'ready' ? loaded.value : null;
  return (
    <aside
      class="panel" aria-label={`About ${card.name}`}
      onKeyDown={(e) => {
        if (e.key === 'Escape') onClose();
      }}
    >
      <div class="panel-head">
        <h2 ref={heading} tabIndex={-1}>{card.name}</h2>
        <button type="button" class="icon-button" aria-label="Close" onClick={onClose}><Icon name="close" /></button>
      </div>
      {card.preview && <img class="panel-picture" src={card.preview} alt={`Preview of ${card.name}`} />}
      <PreviewChoice card={card} onChanged={async () => void (await Promise.all([load(), loadLoras()]))} />
      <button type="button" class="primary" aria-pressed={isActive(card)} onClick={() => toggle(card)}>
        {isActive(card) ? 'Remove from prompt' : 'Add to prompt'}
      </button>
      {!card.fits && <Failed sentence={card.fits_reason} />}
      {card.subfamily_hint && <p class="hint">{asSentence(card.subfamily_hint)}</p>}
      {loaded.state === 'loading' && <Loading what="details" />}
      {loaded.state === 'failed' && <Failed sentence={loaded.sentence} onRetry={() => void load()} />}
      {detail && (
        <>
          {detail.description && <p>{detail.description}</p>}
          {detail.trigger_words.length > 0 && <Words title="Trigger words" words={detail.trigger_words.map((word) => ({ word }))} />}
          <div class="rating" role="group" aria-label="Rating">
            {[1, 2, 3, 4, 5].map((n) => (
              <button key={n} type="button" class={n <= detail.rating ? 'star star-on' : 'star'} aria-pressed={n === detail.rating}
                aria-label={`${n} of 5`} onClick={() => void edit({ rating: n === detail.rating ? 0 : n })}>
                <Icon name="star" />
              </button>
            ))}
          </div>
          <div class="pair">
            <Select label="Type" value={detail.type ?? ''} onChange={(type) => void edit({ type })}
              choices={[{ value: '', label: 'Unset' }, ...TYPES]} />
            <NumberField label="Preferred weight" value={detail.preferred_weight || 1} field={{ ...loraWeight(), step: 0.05 }}
              onChange={(preferred_weight) => void edit({ preferred_weight })} />
          </div>
          <SubfamilyField
            family={detail.family} name={detail.subfamily} origin={detail.subfamily_origin} reason={detail.subfamily_reason} conflict={detail.subfamily_conflict}
            onChange={(subfamily) => void edit({ subfamily })}
          />
          <Labels key={detail.labels.join()} place={card.relative} labels={detail.labels} onSave={(tags) => void edit({ tags })} />
          <Notes key={detail.notes} place={card.relative} text={detail.notes} onSave={(note) => void edit({ note })} />
          <p class="hint" role="status">{saved}</p>
          {wrong && <Failed sentence={wrong} />}
          <dl class="facts">
            <dt>Network</dt><dd>{detail.kind}{detail.rank && `, rank ${detail.rank}`}</dd>
            <dt>Architecture</dt><dd>{detail.family || 'unknown'}</dd>
            {detail.base_model && <><dt>Base model</dt><dd>{detail.base_model}</dd></>}
            {detail.creator && <><dt>Creator</dt><dd>{detail.creator}</dd></>}
            {detail.source && <><dt>Source</dt><dd>{/^https?:/.test(detail.source) ? <a href={detail.source} target="_blank" rel="noreferrer">{detail.source}</a> : detail.source}</dd></>}
            <dt>File</dt><dd>{detail.relative}, {bytes(detail.bytes)}</dd>
            {detail.modules !== undefined && <><dt>Modules</dt><dd>{detail.modules}</dd></>}
            {detail.hash && <><dt>Hash</dt><dd><code>{detail.hash}</code></dd></>}
          </dl>
          {(detail.skipped?.length ?? 0) + (detail.unknown_keys?.length ?? 0) > 0 && (
            <details>
              <summary>{detail.skipped?.length ?? 0} modules skipped, {detail.unknown_keys?.length ?? 0} keys unknown</summary>
              <ul class="reasons">
                {detail.skipped?.slice(0, 50).map((s) => <li key={s.module}><code>{s.module}</code> {s.reason}</li>)}
                {detail.unknown_keys?.slice(0, 50).map((key) => <li key={key}><code>{key}</code></li>)}
              </ul>
            </details>
          )}
          {detail.tags.length > 0 && <Words title="Training tags" words={detail.tags.slice(0, 40).map((t) => ({ word: t.tag, count: t.count }))} />}
          <details>
            <summary>Metadata</summary>
            <pre class="metadata">{JSON.stringify(detail.metadata, null, 1)}</pre>
          </details>
        </>
      )}
    </aside>
  );
}

/** Words that a press puts into the prompt. */
function Words({ title, words }: { title: string; words: { word: string; count?: number }[] }) {
  return (
    <section>
      <h3>{title}</h3>
      <ul class="words">
        {words.map(({ word, count }) => (
          <li key={word}>
            <button type="button" class="small" onClick={() => {
              const { prompt } = form.get();
              if (!mentions(prompt, word)) change({ prompt: prompt.trim() ? `${word}, ${prompt}` : word });
            }}>
              {word}{count !== undefined && <span class="count">{count}</span>}
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** What was written and not saved is saved when its field goes away: closing the panel loses nothing. */
function useSaveOnLeaving(isChanged: boolean, save: () => void) {
  const last = useRef({ isChanged, save });
  last.current = { isChanged, save };
  useEffect(() => () => last.current.isChanged && last.current.save(), []);
}

function Labels({ place, labels, onSave }: { place: string; labels: string[]; onSave: (labels: string[]) => void }) {
  const [text, setText] = useDraft(`tags.${place}`, labels.join(', '));
  const next = text.split(',').map((label) => label.trim()).filter(Boolean);
  useSaveOnLeaving(next.join() !== labels.join(), () => onSave(next));
  return (
    <div class="field">
      <label for="lora-labels">Tags (comma-separated)</label>
      <input id="lora-labels" type="text" value={text} onInput={(e) => setText(e.currentTarget.value)} />
      {next.join() !== labels.join() && <button type="button" class="small" onClick={() => onSave(next)}>Save tags</button>}
    </div>
  );
}

function Notes({ place, text, onSave }: { place: string; text: string; onSave: (text: string) => void }) {
  const [notes, setNotes] = useDraft(`notes.${place}`, text);
  useSaveOnLeaving(notes !== text, () => onSave(notes));
  return (
    <div class="field">
      <label for="lora-notes">Notes</label>
      <textarea id="lora-notes" rows={3} value={notes} onInput={(e) => setNotes(e.currentTarget.value)} />
      {notes !== text && <button type="button" class="small" onClick={() => onSave(notes)}>Save notes</button>}
    </div>
  );
}
