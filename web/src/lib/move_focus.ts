/** Arrow keys, Home and End move the focus among the buttons of a grid, as eyes move over it. True when the key was one. */
export function moveFocus(event: KeyboardEvent & { currentTarget: HTMLElement }): boolean {
  const buttons = [...event.currentTarget.querySelectorAll<HTMLElement>(':scope > li > button')];
  const at = buttons.indexOf(document.activeElement as HTMLElement);
  if (at < 0) return false;
  const top = buttons[0]!.getBoundingClientRect().top;
  const columns = buttons.findIndex((button) => button.getBoundingClientRect().top > top + 1);
  const row = columns < 0 ? buttons.length : columns;
  const moves: Record<string, number> = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + row, ArrowUp: at - row, Home: 0, End: buttons.length - 1 };
  const next = moves[event.key];
  if (next === undefined) return false;
  event.preventDefault();
  buttons[next]?.focus();
  return true;
}
