import { useEffect } from 'preact/hooks';
import { form } from './form';
import type { Form } from './form';
import { newHistory, record, redone, undone } from './history';
import type { History } from './history';

export type PromptField = 'prompt' | 'negative_prompt';
const FIELDS = ['prompt', 'negative_prompt'] as const;

// Whoever changes a prompt (typing, a weight, a completion, a card, settings that were read) changes the form; it is watched
// here, so that every change can be taken back.
const histories: Record<PromptField, History<Form>> = { prompt: newHistory(form.get().prompt), negative_prompt: newHistory(form.get().negative_prompt) };
let before = form.get();
let latest: PromptField = 'prompt';
let typedAt: number | null = null;
let whole: Form | undefined;
form.subscribe(() => {
  const now = form.get();
  for (const field of FIELDS) {
    if (now[field] === histories[field].now) continue;
    histories[field] = record(histories[field], now[field], typedAt, whole);
    latest = field;
  }
  before = now;
});

/** Changes a prompt as typing does: letters in a row are taken back together. */
export function typePrompt(field: PromptField, text: string): void {
  typedAt = Date.now();
  form.set((old) => ({ ...old, [field]: text }));
  typedAt = null;
}

/** Changes many fields at once; taking back the prompt takes back all of them. */
export function changeWhole(part: Partial<Form>): void {
  whole = before;
  form.set((old) => ({ ...old, ...part }));
  whole = undefined;
}

/** Takes back the last change of a prompt, by default of the one that was changed last; false when there is none. */
export function undoPrompt(field: PromptField = latest): boolean {
  const step = undone(histories[field]);
  if (!step) return false;
  histories[field] = step.history;
  const text = step.history.now;
  if (step.extra) {
    // Both prompts were changed together.
    for (const other of FIELDS) if (other !== field && step.extra[other] !== form.get()[other]) histories[other] = undone(histories[other])?.history ?? histories[other];
    form.set(step.extra);
  } else form.set((old) => ({ ...old, [field]: text }));
  return true;
}

export function redoPrompt(field: PromptField = latest): boolean {
  const next = redone(histories[field]);
  if (!next) return false;
  histories[field] = next;
  form.set((old) => ({ ...old, [field]: next.now }));
  return true;
}

/** What a key does to a prompt's history; null: nothing. */
export function undoKey(event: KeyboardEvent): 'undo' | 'redo' | null {
  if (!(event.ctrlKey || event.metaKey) || event.altKey) return null;
  const key = event.key.toLowerCase();
  if (key === 'z') return event.shiftKey ? 'redo' : 'undo';
  return key === 'y' && event.ctrlKey ? 'redo' : null;
}

/** Ctrl-Z outside of the prompts, after a card or a slider: takes back what was done to a prompt last. */
export function useUndoAnywhere() {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const how = undoKey(event);
      const target = event.target as HTMLElement;
      const hasOwn = target.matches?.('textarea, select, input:not([type=range], [type=checkbox], [type=radio])');
      if (!how || hasOwn || event.defaultPrevented) return;
      if (how === 'undo' ? undoPrompt() : redoPrompt()) event.preventDefault();
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, []);
}
