import { useEffect, useId, useMemo, useRef, useState } from 'preact/hooks';
import { ApiError, api } from '../api/client';
import type { PromptExplanation } from '../api/types';
import { changeWeight, complete, mistakes, pieces, wordBefore } from '../lib/prompt';
import type { Completion } from '../lib/prompt';

interface Props {
  label: string;
  value: string;
  onChange: (value: string) => void;
  completions: Completion[];
  placeholder: string;
  rows: number;
  /** A completed style is applied, not written into the text. */
  onStyle: (name: string) => void;
  onSubmit: () => void;
}

/** A prompt with coloured brackets and tags, completion, weights by Ctrl-Up/Down, and its number of tokens. */
export function PromptBox({ label, value, onChange, completions, placeholder, rows, onStyle, onSubmit }: Props) {
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

  const select = (from: number, to: number) =>
    requestAnimationFrame(() => box.current?.setSelectionRange(from, to));
  const take = (offer: Completion) => {
    if (!word || caret === null) return;
    const before = value.slice(0, word.from);
    if (offer.kind === 'style') {
      onChange(before.replace(/,\s*$/, '') + value.slice(caret));
      onStyle(offer.label);
      select(before.length, before.length);
    } else {
      const after = value.slice(caret).replace(/^>/, word.isTag ? '' : '>');
      onChange(before + offer.insert + after);
      select(before.length + offer.insert.length, before.length + offer.insert.length);
    }
    setCaret(null);
  };
  const onKeyDown = (event: KeyboardEvent & { currentTarget: HTMLTextAreaElement }) => {
    const { selectionStart, selectionEnd } = event.currentTarget;
    const isWeight = (event.ctrlKey || event.metaKey) && (event.key === 'ArrowUp' || event.key === 'ArrowDown');
    if (isWeight) {
      event.preventDefault();
      const edit = changeWeight(value, selectionStart, selectionEnd, event.key === 'ArrowUp' ? 1 : -1);
      onChange(edit.text);
      setCaret(null);
      select(edit.from, edit.to);
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
          <span class={tokens.tokens > 75 ? 'tokens tokens-over' : 'tokens'} title="Tokens, and the chunks of 75 that they fill">
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
            onChange(e.currentTarget.value);
            setCaret(e.currentTarget.selectionStart);
            setChosen(0);
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
      {wrong.length > 0 && (
        <p class="prompt-wrong" id={`${id}-wrong`}>{wrong.join(' ')}</p>
      )}
    </div>
  );
}

/** The number of tokens as the server counts them, a moment after writing; null while it is not known. */
function useTokens(text: string): PromptExplanation | null {
  const [count, setCount] = useState<PromptExplanation | null>(null);
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
