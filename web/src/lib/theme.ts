import { keep, readKept } from './kept';
import { createStore } from './store';

export type Theme = 'system' | 'light' | 'dark';
export const THEMES: readonly { value: Theme; label: string }[] = [
  { value: 'system', label: 'System' },
  { value: 'light', label: 'Light' },
  { value: 'dark', label: 'Dark' },
];

export const theme = createStore<Theme>(readKept<Theme>('theme', 'system'));

/** Puts the choice where the style sheet looks for it, now and whenever it changes. */
export function followTheme(): void {
  const apply = () => {
    keep('theme', theme.get());
    if (theme.get() === 'system') delete document.documentElement.dataset['theme'];
    else document.documentElement.dataset['theme'] = theme.get();
  };
  apply();
  theme.subscribe(apply);
}
