/** "0.4 s", "3 s", "2 min 5 s", "1 h 4 min". */
export function duration(seconds: number): string {
  if (seconds > 0 && seconds < 0.95) return `${Math.max(0.1, Math.round(seconds * 10) / 10)} s`;
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min${s % 60 ? ` ${s % 60} s` : ''}`;
  return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
}

/** "527 kB", "1.4 GB". */
export function bytes(count: number): string {
  if (count < 1000) return `${count} B`;
  for (const [size, unit] of [[1e9, 'GB'], [1e6, 'MB']] as const)
    if (count >= size) return `${(count / size).toFixed(1)} ${unit}`;
  return `${Math.round(count / 1e3)} kB`;
}

export const percent = (share: number) => `${Math.round(share * 100)} %`;

/** "fox, cat" … the beginning of a prompt without tags. */
export const title = (prompt: string) => prompt.replace(/<[^<>]*>/g, '').trim().replace(/[,\s]+$/, '') || 'No prompt';

/** "1st", "2nd", "3rd", "4th" … "11th". */
export function ordinal(n: number): string {
  const last = n % 10;
  const isTeen = Math.floor((n % 100) / 10) === 1;
  return `${n}${isTeen ? 'th' : last === 1 ? 'st' : last === 2 ? 'nd' : last === 3 ? 'rd' : 'th'}`;
}
