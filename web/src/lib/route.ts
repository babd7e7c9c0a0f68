import { createStore } from './store';

export const PAGES = ['create', 'loras', 'results', 'train', 'settings'] as const;
export type PageName = (typeof PAGES)[number];

/** `#/loras/NAME` → page "loras", item "NAME". */
export interface Route {
  page: PageName;
  item: string;
}

export function parseRoute(hash: string): Route {
  const [page = '', ...rest] = hash.replace(/^#\/?/, '').split('/');
  let item = rest.join('/');
  try {
    item = decodeURIComponent(item);
  } catch {
    // A broken escape is taken as it is written.
  }
  return { page: (PAGES as readonly string[]).includes(page) ? (page as PageName) : 'create', item };
}

export const routeUrl = (page: PageName, item = '') => `#/${page}${item ? `/${encodeURIComponent(item)}` : ''}`;
export const route = createStore<Route>(parseRoute(location.hash));
addEventListener('hashchange', () => route.set(parseRoute(location.hash)));
export const go = (page: PageName, item = '') => void (location.hash = routeUrl(page, item));
