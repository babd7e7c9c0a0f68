import type { Routes } from '../api/schema';

export const TYPES = ['character', 'style', 'concept', 'pose', 'clothing', 'object'] as const;

/** What the collection page asks for; '' and 0 mean all. */
export interface LoraFilter {
  text: string;
  type: string;
  base_model: string;
  /** 'none': those without one. */
  subfamily: string;
  tag: string;
  /** With all below it; '.': in no folder. */
  folder: string;
  rating: number;
  /** Only those that fit the checkpoint in use. */
  onlyFitting: boolean;
  sort: 'name' | 'added' | 'rating' | 'size';
}

export const NO_FILTER: LoraFilter = { text: '', type: '', base_model: '', subfamily: '', tag: '', folder: '', rating: 0, onlyFitting: false, sort: 'name' };

export const isFiltered = (f: LoraFilter) => Boolean(f.text.trim() || f.type || f.base_model || f.subfamily || f.tag || f.folder || f.rating || f.onlyFitting);

/** The filter as the server takes it. */
export function loraQuery(f: LoraFilter, checkpoint: string): Routes['GET /v1/loras']['query'] {
  const query: Routes['GET /v1/loras']['query'] = {};
  const put = (name: 'q' | 'type' | 'base_model' | 'subfamily' | 'tag' | 'folder' | 'fits' | 'sort', value: string) => value && (query[name] = value);
  put('q', f.text.trim());
  put('type', f.type);
  put('base_model', f.base_model);
  put('subfamily', f.subfamily ?? '');
  put('tag', f.tag);
  put('folder', f.folder);
  if (f.rating) query.rating = f.rating;
  put('fits', f.onlyFitting ? checkpoint : '');
  // With words the best hits come first, unless another order is chosen.
  put('sort', f.sort === 'name' && f.text.trim() ? '' : f.sort);
  return query;
}

/** The slice of a grid that is in sight, with a margin of two rows: rows of the same height, as many columns as fit. */
export function visibleRange(count: number, columns: number, rowHeight: number, top: number, height: number) {
  const rows = Math.ceil(count / columns);
  const first = Math.min(rows, Math.max(0, Math.floor(top / rowHeight) - 2));
  const last = Math.min(rows, Math.max(0, Math.ceil((top + height) / rowHeight) + 2));
  return { from: first * columns, to: Math.min(count, last * columns), before: first * rowHeight, after: (rows - last) * rowHeight };
}
