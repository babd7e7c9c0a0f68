/** Where the browser keeps things: for good, or as long as the tab lives. Private windows may forbid both. */
export type StorageArea = 'local' | 'session';
const storage = (area: StorageArea): Storage => (area === 'local' ? localStorage : sessionStorage);

/** Reads what the browser keeps for this page; `defaultValue` when there is nothing, or nothing readable. */
export function readKept<T>(key: string, defaultValue: T, area: StorageArea = 'local'): T {
  try {
    const text = storage(area).getItem(`lowrank.${key}`);
    return text === null ? defaultValue : (JSON.parse(text) as T);
  } catch {
    return defaultValue;
  }
}

/** Keeps a value. A full or forbidden store loses it quietly, with what was kept before: the page works without. */
export function keep(key: string, value: unknown, area: StorageArea = 'local'): void {
  try {
    storage(area).removeItem(`lowrank.${key}`);
    storage(area).setItem(`lowrank.${key}`, JSON.stringify(value));
  } catch {
    // Nothing is kept.
  }
}

export function forget(key: string, area: StorageArea = 'local'): void {
  try {
    storage(area).removeItem(`lowrank.${key}`);
  } catch {
    // Nothing is kept.
  }
}
