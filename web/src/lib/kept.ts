/** Where the browser keeps things: for good, or as long as the tab lives. Private windows may forbid both. */
export type Shelf = 'local' | 'session';
const storage = (shelf: Shelf): Storage => (shelf === 'local' ? localStorage : sessionStorage);

/** Reads what the browser keeps for this page; `standard` when there is nothing, or nothing readable. */
export function readKept<T>(key: string, standard: T, shelf: Shelf = 'local'): T {
  try {
    const text = storage(shelf).getItem(`lowrank.${key}`);
    return text === null ? standard : (JSON.parse(text) as T);
  } catch {
    return standard;
  }
}

/** Keeps a value. A full or forbidden store loses it quietly, with what was kept before: the page works without. */
export function keep(key: string, value: unknown, shelf: Shelf = 'local'): void {
  try {
    storage(shelf).removeItem(`lowrank.${key}`);
    storage(shelf).setItem(`lowrank.${key}`, JSON.stringify(value));
  } catch {
    // Nothing is kept.
  }
}

export function forget(key: string, shelf: Shelf = 'local'): void {
  try {
    storage(shelf).removeItem(`lowrank.${key}`);
  } catch {
    // Nothing is kept.
  }
}
