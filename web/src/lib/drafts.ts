import { useEffect, useState } from 'preact/hooks';
import { forget, keep, readKept } from './kept';

const isRecord = (value: unknown): value is object => typeof value === 'object' && value !== null && !Array.isArray(value);

/** State that survives a reload. What a kept object lacks is taken from `defaultValue`. */
export function useKept<T>(key: string, defaultValue: T): [T, (next: T | ((old: T) => T)) => void] {
  const [value, setValue] = useState<T>(() => {
    const kept = readKept(key, defaultValue);
    return isRecord(defaultValue) && isRecord(kept) ? { ...defaultValue, ...kept } : kept;
  });
  const set = (next: T | ((old: T) => T)) =>
    setValue((old) => {
      const changed = typeof next === 'function' ? (next as (old: T) => T)(old) : next;
      keep(key, changed);
      return changed;
    });
  return [value, set];
}

/** The text of a field whose saved value the server has: what is not saved yet survives a reload. */
export function useDraft(key: string, saved: string): [string, (text: string) => void] {
  const [text, setText] = useState<string>(() => String(readKept(key, saved)));
  // At once: a reload does not wait for effects.
  const put = (next: string) => (next.trim() === saved.trim() ? forget(key) : keep(key, next));
  useEffect(() => put(text), [key, saved]);
  return [text, (next) => {
    put(next);
    setText(next);
  }];
}
