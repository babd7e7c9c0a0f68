import type { ComponentChildren } from 'preact';
import { Icon } from './icon';

/** A list that has nothing in it: why, and what to do. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="state">
      <p class="state-title">{title}</p>
      {children && <div class="state-text">{children}</div>}
    </div>
  );
}

export function Loading({ what }: { what: string }) {
  return (
    <div class="state" role="status">
      <span class="spinner" aria-hidden="true" />
      <p class="state-text">Loading {what} …</p>
    </div>
  );
}

/** The server's sentence, and a way to try again. */
export function Failed({ sentence, onRetry }: { sentence: string; onRetry?: () => void }) {
  return (
    <div class="notice notice-bad" role="alert">
      <Icon name="warning" />
      <p>{sentence}</p>
      {onRetry && (
        <button type="button" class="small" onClick={onRetry}>
          Retry
        </button>
      )}
    </div>
  );
}
