/** Reads what the browser keeps for this page; `standard` when there is nothing, or nothing readable. */
export function readKept<T>(key: string, standard: T): T {
  try {
    const text = localStorage.getItem(`lowrank.${key}`);
    return text === null ? standard : (JSON.parse(text) as T);
  } catch {
    return standard;
  }
}

/** Keeps a value. A full or forbidden store loses it quietly: the page works without. */
export function keep(key: string, value: unknown): void {
  try {
    localStorage.setItem(`lowrank.${key}`, JSON.stringify(value));
  } catch {
    // Private windows may forbid it.
  }
}
