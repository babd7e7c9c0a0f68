/** What a text was before, for Ctrl-Z. The browser's own memory of a field is lost whenever the page changes the text. */
export interface History<Extra = undefined> {
  past: { text: string; extra: Extra | undefined }[];
  now: string;
  future: string[];
  /** When the newest change was typed, in milliseconds; null: the page made it. */
  typedAt: number | null;
}

const LONGEST = 200;
/** Letters typed without a longer pause are taken back together. */
const PAUSE = 1200;

export const newHistory = <Extra>(text: string): History<Extra> => ({ past: [], now: text, future: [], typedAt: null });

/** The place where two texts begin to differ, and where in each they are the same again. */
export function difference(before: string, after: string): { from: number; beforeTo: number; afterTo: number } {
  const most = Math.min(before.length, after.length);
  let from = 0;
  while (from < most && before[from] === after[from]) ++from;
  let same = 0;
  while (same < most - from && before[before.length - 1 - same] === after[after.length - 1 - same]) ++same;
  return { from, beforeTo: before.length - same, afterTo: after.length - same };
}

/** A new text. `typedAt`: null when the page made it. `extra`: what else belongs to the state before it. */
export function record<Extra>(history: History<Extra>, text: string, typedAt: number | null, extra?: Extra): History<Extra> {
  if (text === history.now) return history;
  const { from, beforeTo, afterTo } = difference(history.now, text);
  const isLetter = beforeTo - from + (afterTo - from) === 1 && !/\s/.test(text.slice(from, afterTo));
  const goesOn = isLetter && typedAt !== null && history.typedAt !== null && typedAt - history.typedAt < PAUSE && history.past.length > 0;
  const past = goesOn ? history.past : [...history.past, { text: history.now, extra }].slice(-LONGEST);
  return { past, now: text, future: [], typedAt };
}

/** One step back, with what belongs to it; null when there is none. */
export function undone<Extra>(history: History<Extra>): { history: History<Extra>; extra: Extra | undefined } | null {
  const last = history.past[history.past.length - 1];
  if (!last) return null;
  return { history: { past: history.past.slice(0, -1), now: last.text, future: [history.now, ...history.future], typedAt: null }, extra: last.extra };
}

/** One step forward again; null when there is none. */
export function redone<Extra>(history: History<Extra>): History<Extra> | null {
  const [next, ...future] = history.future;
  if (next === undefined) return null;
  return { past: [...history.past, { text: history.now, extra: undefined }], now: next, future, typedAt: null };
}
