import { createStore } from './store';

/** The place on the page that takes dropped pictures now, in place of the reader of their settings. */
export interface DropTarget {
  /** What the cover says while pictures hang over the page. */
  words: string;
  take: (files: File[]) => void;
}

export const dropTarget = createStore<DropTarget | null>(null);
