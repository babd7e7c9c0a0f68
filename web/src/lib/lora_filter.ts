import type { LoraCardData } from '../api/types';

export const TYPES = ['character', 'style', 'concept', 'pose', 'clothing', 'object'] as const;

export interface LoraFilter {
  text: string;
  /** '' for all. */
  type: string;
  family: string;
  onlyFitting: boolean;
  order: 'name' | 'newest' | 'rating';
}

export const NO_FILTER: LoraFilter = { text: '', type: '', family: '', onlyFitting: false, order: 'name' };

/** The LoRAs that a filter leaves; each word of the text must stand in name, alias, trigger words, type or base model. */
export function filterLoras(all: LoraCardData[], filter: LoraFilter): LoraCardData[] {
  const words = filter.text.toLowerCase().split(/\s+/).filter(Boolean);
  const kept = all.filter((lora) => {
    if (filter.type && (filter.type === 'other' ? isOther(lora.type) : lora.type === filter.type) === false) return false;
    if (filter.family && lora.family !== filter.family) return false;
    if (filter.onlyFitting && !lora.fits) return false;
    if (words.length === 0) return true;
    const text = [lora.relative, lora.alias, lora.type ?? '', lora.base_model, ...lora.trigger_words].join(' ').toLowerCase();
    return words.every((word) => text.includes(word));
  });
  const byName = (a: LoraCardData, b: LoraCardData) => a.name.localeCompare(b.name, 'en', { numeric: true });
  if (filter.order === 'newest') return kept.sort((a, b) => b.time - a.time || byName(a, b));
  if (filter.order === 'rating') return kept.sort((a, b) => b.rating - a.rating || byName(a, b));
  return kept.sort(byName);
}

const isOther = (type: string | null) => !(TYPES as readonly string[]).includes(type ?? '');

/** The slice of a grid that is in sight, with a margin of two rows: rows of the same height, as many columns as fit. */
export function visibleRange(count: number, columns: number, rowHeight: number, top: number, height: number) {
  const rows = Math.ceil(count / columns);
  const first = Math.min(rows, Math.max(0, Math.floor(top / rowHeight) - 2));
  const last = Math.min(rows, Math.max(0, Math.ceil((top + height) / rowHeight) + 2));
  return { from: first * columns, to: Math.min(count, last * columns), before: first * rowHeight, after: (rows - last) * rowHeight };
}
