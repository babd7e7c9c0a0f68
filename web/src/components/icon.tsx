const SHAPES = {
  create: 'M4 20l4-1L19 8l-3-3L5 16zM14 7l3 3',
  loras: 'M12 3l8 4.5-8 4.5-8-4.5zM4 12l8 4.5 8-4.5M4 16.5L12 21l8-4.5',
  results: 'M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15 9h.01',
  train: 'M4 19h16M5 15l4-5 4 3 6-8M15 5h4v4',
  settings: 'M4 7h9M17 7h3M4 17h3M11 17h9M15 5v4M9 15v4',
  close: 'M6 6l12 12M18 6L6 18',
  more: 'M12 5v14M5 12h14',
  swap: 'M7 4v14M7 18l-3-3M7 18l3-3M17 20V6M17 6l-3 3M17 6l3 3',
  dice: 'M5 5h14v14H5zM9 9h.01M15 15h.01M12 12h.01',
  again: 'M4 12a8 8 0 1 0 3-6.2M4 4v4h4',
  search: 'M11 5a6 6 0 1 0 0 12 6 6 0 0 0 0-12zM15.5 15.5L20 20',
  warning: 'M12 4l9 16H3zM12 10v4M12 17h.01',
  done: 'M5 13l4 4L19 7',
  left: 'M15 5l-7 7 7 7',
  right: 'M9 5l7 7-7 7',
  star: 'M12 4l2.4 5 5.6.7-4 3.9 1 5.4-5-2.7-5 2.7 1-5.4-4-3.9 5.600-.7z',
} as const;

export type IconName = keyof typeof SHAPES;

/** A line drawing beside a word; it says nothing to screen readers. */
export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" width="20" height="20" aria-hidden="true" focusable="false">
      <path d={SHAPES[name]} />
    </svg>
  );
}
