import { useEffect, useId, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { ApiError, api } from '../api/client';
import type { PromptTokens } from '../api/schema';
import { change } from '../lib/form';
import { difference } from '../lib/history';
import { changeWeight, complete, mistakes, pieces, wordBefore } from '../lib/prompt';
import type { Completion } from '../lib/prompt';
import { redoPrompt, typePrompt, undoKey, undoPrompt } from '../lib/prompt_undo';
import type { PromptField } from '../lib/prompt_undo';
import { looksLikeSettings } from '../lib/settings_text';

interface Props {
  label: string;
  /** The form's field that is written here. */
  field: PromptField;
  value: string;
  completions: Completion[];
  placeholder: string;
  rows: number;
  /** A completed style is applied, not written into the text. */
  onStyle: (name: string) => void;
  onSubmit: () => void;
  /** Takes the settings of a copied text; false: the server finds none in it. */
  onSettings: (text: string) => Promise<boolean>;
}

/** A prompt with coloured brackets and tags, completion, weights by Ctrl-Up/Down, and its number of tokens. */
export function PromptBox({ label, field, value, completions, placeholder, rows, onStyle, onSubmit, onSettings }: Props) {
  const id = useId();
  const box = useRef<HTMLTextAreaElement>(null);
  const behind = useRef<HTMLDivElement>(null);
  const [caret, setCaret] = useState<number | null>(null);
  const [chosen, setChosen] = useState(0);
  const tokens = useTokens(value);
  const coloured = useMemo(() => pieces(value), [value]);
  const own = useMemo(() => mistakes(value), [value]);
  const wrong = own.length > 0 ? own : tokens?.warnings ?? [];
  const word = caret === null ? null : wordBefore(value, caret);
  const offers = word ? complete(completions, word.word, word.isTag) : [];

  // Where the caret goes when the text that is being set stands in the box.
  const next = useRef<[number, number] | null>(null);
  const put = (text: string, from: number, to: number) => {
    if (text === value) return box.current?.setSelectionRange(from, to);
    next.current = [from, to];
    change({ [field]: text });
  };
  useLayoutEffect(() => {
    if (next.current && document.activeElement === box.current) box.current?.setSelectionRange(...next.current);
    next.current = null;
  }, [value]);
  const travel = (how: 'undo' | 'redo') => {
    const old = box.current!.value;
    if (!(how === 'undo' ? undoPrompt(field) : redoPrompt(field))) return;
    setCaret(null);
    // To what has changed, as the browser's own undo does. The new text is the form's and reaches the box a moment later.
    requestAnimationFrame(() => {
      const { afterTo } = difference(old, box.current?.value ?? '');
      if (document.activeElement === box.current) box.current?.setSelectionRange(afterTo, afterTo);
    });
  };
  const insert = (text: string) => {
    const { selectionStart: from, selectionEnd: to } = box.current!;
    put(value.slice(0, from) + text + value.slice(to), from + text.length, from + text.length);
  };
  // The browser's own undo (of its menu, of a phone) knows nothing of what the page changed.
  useEffect(() => {
    const own = (event: InputEvent) => {
      const how = event.inputType === 'historyUndo' ? 'undo' : event.inputType === 'historyRedo' ? 'redo' : null;
      if (!how) return;
      event.preventDefault();
      travel(how);
    };
    const place = box.current!;
    place.addEventListener('beforeinput', own);
    return () => place.removeEventListener('beforeinput', own);
  }, [field]);
  const take = (offer: Completion) => {
    if (!word || caret === null) return;
    const before = value.slice(0, word.from);
    if (offer.kind === 'style') {
      put(before.replace(/,\s*$/, '') + value.slice(caret), before.length, before.length);
      onStyle(offer.label);
    } else {
      const after = value.slice(caret).replace(/^>/, word.isTag ? '' : '>');
      put(before + offer.insert + after, before.length + offer.insert.length, before.length + offer.insert.length);
    }
    setCaret(null);
  };
  const onKeyDown = (event: KeyboardEvent & { currentTarget: HTMLTextAreaElement }) => {
    const { selectionStart, selectionEnd } = event.currentTarget;
    const how = undoKey(event);
    if (how) {
      event.preventDefault();
      return travel(how);
    }
    const isWeight = (event.ctrlKey || event.metaKey) && (event.key === 'ArrowUp' || event.key === 'ArrowDown');
    if (isWeight) {
      event.preventDefault();
      const edit = changeWeight(value, selectionStart, selectionEnd, event.key === 'ArrowUp' ? 1 : -1);
      setCaret(null);
      put(edit.text, edit.from, edit.to);
    } else if ((event.ctrlKey || event.metaKey) && event.key === 'Enter') {
      event.preventDefault();
      setCaret(null);
      onSubmit();
    } else if (offers.length > 0) {
      const last = offers.length - 1;
      if (event.key === 'ArrowDown') setChosen(chosen === last ? 0 : chosen + 1);
      else if (event.key === 'ArrowUp') setChosen(chosen === 0 ? last : chosen - 1);
      else if (event.key === 'Enter' || event.key === 'Tab') take(offers[Math.min(chosen, last)]!);
      else if (event.key === 'Escape') setCaret(null);
      else return;
      event.preventDefault();
    }
  };

  return (
    <div class="prompt">
      <div class="prompt-head">
        <label for={id}>{label}</label>
        {tokens !== null && (
          <span class={tokens.tokens > 75 ? 'tokens tokens-over' : 'tokens'} title="Tokens used / available in chunks of 75">
            {tokens.tokens}/{tokens.limit} <span class="unseen">tokens</span>
          </span>
        )}
      </div>
      <div class="prompt-field">
        <div class="prompt-colours" aria-hidden="true" ref={behind}>
          {coloured.map((piece, i) => (
            <span key={i} class={`piece-${piece.kind}`}>{piece.text}</span>
          ))}
          {'\n'}
        </div>
        <textarea
          id={id} ref={box} rows={rows} value={value} placeholder={placeholder} spellcheck={false}
          aria-autocomplete="list" aria-controls={offers.length > 0 ? `${id}-offers` : undefined}
          aria-activedescendant={offers.length > 0 ? `${id}-${Math.min(chosen, offers.length - 1)}` : undefined}
          aria-describedby={wrong.length > 0 ? `${id}-wrong` : undefined}
          onInput={(e) => {
            typePrompt(field, e.currentTarget.value);
            setCaret(e.currentTarget.selectionStart);
            setChosen(0);
          }}
          onPaste={(e) => {
            const text = e.clipboardData?.getData('text/plain') ?? '';
            if (!looksLikeSettings(text)) return;
            e.preventDefault();
            void onSettings(text).then((isTaken) => !isTaken && insert(text));
          }}
          onKeyDown={onKeyDown}
          onClick={() => setCaret(null)}
          onBlur={() => setCaret(null)}
          onScroll={(e) => {
            if (behind.current) behind.current.scrollTop = e.currentTarget.scrollTop;
          }}
        />
        {offers.length > 0 && (
          <ul class="offers" role="listbox" id={`${id}-offers`} aria-label="Completions">
            {offers.map((offer, i) => (
              <li
                key={offer.kind + offer.label} id={`${id}-${i}`} role="option" aria-selected={i === chosen}
                onPointerDown={(e) => {
                  e.preventDefault();
                  take(offer);
                }}
              >
                <span>{offer.label}</span>
                <small>{offer.kind}{offer.detail && ` · ${offer.detail}`}</small>
              </li>
            ))}
          </ul>
        )}
      </div>
      {looksLikeSettings(value) && (
        <p class="prompt-settings">
          <span>This text contains generation parameters.</span>
          <button type="button" class="small" onClick={() => void onSettings(value)}>Apply parameters</button>
        </p>
      )}
      {wrong.length > 0 && (
        <p class="prompt-wrong" id={`${id}-wrong`}>{wrong.join(' ')}</p>
      )}
    </div>
  );
}

/** The number of tokens as the server counts them, a moment after writing; null while it is not known. */
function useTokens(text: string): PromptTokens | null {
  const [count, setCount] = useState<PromptTokens | null>(null);
  useEffect(() => {
    if (text.trim() === '') return setCount({ tokens: 0, limit: 75, warnings: [] });
    let isOld = false;
    const timer = setTimeout(async () => {
      try {
        const found = await api.tokens(text);
        if (!isOld) setCount(found);
      } catch (error) {
        if (!isOld && error instanceof ApiError) setCount(null);
      }
    }, 250);
    return () => {
      isOld = true;
      clearTimeout(timer);
    };
  }, [text]);
  return count;
}
