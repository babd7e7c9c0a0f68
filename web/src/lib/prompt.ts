// The prompt language as far as the page needs it: colours, LoRA tags, weights, mistakes. The server's reading
// (src/prompt) is the one that counts; this one only helps to write.

export interface LoraTag {
  name: string;
  /** Weights of text encoder and U-Net. */
  te: number;
  unet: number;
  /** Share of the steps, 0 … 1, when the tag says so. */
  start: number | null;
  stop: number | null;
  /** Items that the page has no slider for (dyn, lbw, step …), kept as written. */
  others: string[];
  /** Where the tag stands in the text. */
  from: number;
  to: number;
}

export type PieceKind = 'text' | 'lora' | 'bracket' | 'weighted' | 'lowered' | 'break' | 'mistake' | 'comment';

export interface Piece {
  kind: PieceKind;
  text: string;
  /** What is wrong, for mistakes. */
  hint?: string;
}

const BODY = '"(?:[^"]|"")*"(?=[:>])[^<>]*|[^<>]*';
const TAG = new RegExp(`<([a-z]+):(${BODY})>`, 'gi');
const TAG_HERE = new RegExp(`^<([a-z]+):(${BODY})>`, 'i');
const ARGUMENTS = new Set(['te', 'unet', 'dyn', 'lbw', 'w', 'lbwe', 'x', 'start', 'stop', 'step']);

/** A name as a tag must write it: in quotes where it holds what would end it. As prompt::network_name of the server. */
export function networkName(name: string): string {
  const isPlain = !/[<>:\n]/.test(name) && !name.startsWith('"') && name.split('=').length !== 2;
  return isPlain ? name : `"${name.replace(/"/g, '""')}"`;
}

/** Name and arguments of a tag's inside; `a=b` is a name unless it reads as a known argument. */
function splitTag(body: string): { name: string; parts: string[] } {
  const quoted = /^"((?:[^"]|"")*)"(?::|$)/.exec(body);
  if (quoted) {
    const rest = body.slice(quoted[0].length);
    return { name: quoted[1]!.replace(/""/g, '"'), parts: quoted[0].endsWith(':') ? rest.split(':') : [] };
  }
  const parts = body.split(':');
  const isNamed = (part: string) => part.split('=').length === 2;
  const next = parts.find((part) => !isNamed(part));
  const key = parts[0]!.split('=')[0]!;
  const first =
    isNamed(parts[0]!) && ARGUMENTS.has(key) && next !== undefined && !Number.isFinite(Number(next))
      ? parts.indexOf(next)
      : 0;
  return { name: parts[first]!, parts: parts.filter((_, i) => i !== first) };
}

const number = (text: string | undefined, defaultValue: number): number => {
  const value = text === undefined || text.trim() === '' ? NaN : Number(text);
  return Number.isFinite(value) ? value : defaultValue;
};

/** All `<lora:…>` and `<lyco:…>` tags of a prompt. */
export function loraTags(prompt: string): LoraTag[] {
  const tags: LoraTag[] = [];
  for (const match of prompt.matchAll(TAG)) {
    if (!/^(lora|lyco)$/.test(match[1]!)) continue;
    const { name, parts } = splitTag(match[2]!);
    const named = new Map(parts.filter((p) => p.includes('=')).map((p) => p.split('=', 2) as [string, string]));
    const placed = [name, ...parts.filter((p) => !p.includes('='))];
    const te = number(named.get('te') ?? placed[1], 1);
    // Numbers of 1 and above are steps, not shares of them: they stay as they are written.
    const share = (key: string) => {
      const value = number(named.get(key), NaN);
      return value >= 0 && value < 1 ? value : null;
    };
    const isShare = (key: string) => (key === 'start' || key === 'stop') && share(key) !== null;
    const others = [
      ...placed.filter((part, i) => i > 2 || (i > 0 && part.trim() !== '' && !Number.isFinite(Number(part)))),
      ...[...named].filter(([key]) => key !== 'te' && key !== 'unet' && !isShare(key)).map(([key, value]) => `${key}=${value}`),
    ];
    tags.push({
      name,
      te,
      unet: number(named.get('unet') ?? placed[2], te),
      start: share('start'),
      stop: share('stop'),
      others,
      from: match.index,
      to: match.index + match[0].length,
    });
  }
  return tags;
}

const short = (value: number) => String(Math.round(value * 100) / 100);

/** Writes a tag as A1111 reads it; the shortest form that says the same. */
export function tagText(tag: Omit<LoraTag, 'from' | 'to'>): string {
  let text = `<lora:${networkName(tag.name)}:${short(tag.te)}`;
  // Behind items that are known by their place, the place of this one must be filled.
  const isPlaced = tag.others.some((item) => !item.includes('='));
  if (tag.unet !== tag.te || isPlaced) text += `:${short(tag.unet)}`;
  text = [text, ...tag.others].join(':');
  if (tag.start !== null && tag.start > 0) text += `:start=${short(tag.start)}`;
  if (tag.stop !== null && tag.stop < 1) text += `:stop=${short(tag.stop)}`;
  return `${text}>`;
}

export function replaceTag(prompt: string, tag: LoraTag, change: Partial<LoraTag>): string {
  return prompt.slice(0, tag.from) + tagText({ ...tag, ...change }) + prompt.slice(tag.to);
}

const tidy = (prompt: string) =>
  prompt.replace(/,\s*(?=,)/g, '').replace(/[ \t]{2,}/g, ' ').replace(/^[\s,]+|[\s,]+$/g, '');

const plainWords = (text: string) => text.toLowerCase().replace(/[()[\]]/g, '');

/** Whether the prompt, tags left out, says these words already. */
export function mentions(prompt: string, words: string): boolean {
  return plainWords(prompt.replace(TAG, ' ')).includes(plainWords(words).trim());
}

export function addLora(prompt: string, name: string, weight: number, trigger: string): string {
  const tag = tagText({ name, te: weight, unet: weight, start: null, stop: null, others: [] });
  let text = prompt.trim().replace(/,$/, '');
  if (trigger && !mentions(text, trigger)) text = text ? `${trigger}, ${text}` : trigger;
  return text ? `${text} ${tag}` : tag;
}

/** Takes out a LoRA's tags and, unless `trigger` is empty, its trigger words. */
export function removeLora(prompt: string, name: string, trigger: string): string {
  let text = prompt;
  for (const tag of loraTags(prompt).reverse())
    if (tag.name === name) text = text.slice(0, tag.from) + text.slice(tag.to);
  if (trigger) {
    const words = trigger.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
    text = text.replace(new RegExp(`(^|,)\\s*${words}\\s*(?=,|$|<)`, 'i'), '$1');
  }
  return tidy(text);
}

/** Cuts a prompt into pieces for colouring. Joined, their texts are the prompt. */
export function pieces(prompt: string): Piece[] {
  const out: Piece[] = [];
  const add = (kind: PieceKind, text: string, hint?: string) => {
    const last = out[out.length - 1];
    if (last && last.kind === kind && kind !== 'bracket' && kind !== 'lora' && last.hint === hint) last.text += text;
    else if (text) out.push(hint ? { kind, text, hint } : { kind, text });
  };
  const wrong = mismatched(prompt);
  const depth: string[] = [];
  let i = 0;
  while (i < prompt.length) {
    const rest = prompt.slice(i);
    const tag = TAG_HERE.exec(rest);
    const c = prompt[i]!;
    const inside: PieceKind = depth.includes('(') ? 'weighted' : depth.includes('[') ? 'lowered' : 'text';
    if (tag) {
      const kind = tag[1]!;
      const isKnown = kind === 'lora' || kind === 'lyco';
      if (isKnown && tag[2]!.trim()) add('lora', tag[0]);
      else if (isKnown) add('mistake', tag[0], 'This tag has no name.');
      else if (kind === 'hypernet') add('mistake', tag[0], 'Hypernetworks are not supported; this tag has no effect.');
      else if (/^(lora|lyco)$/i.test(kind)) add('mistake', tag[0], `Tags must be lowercase: write “${kind.toLowerCase()}”. This tag has no effect.`);
      else add('mistake', tag[0], `Unknown tag “${kind}”.`);
      i += tag[0].length;
    } else if (/^<(lora|lyco):/i.test(rest)) {
      const end = /[\s,]|$/.exec(rest.slice(6))!.index + 6;
      add('mistake', rest.slice(0, end), 'This tag is missing the closing “>”.');
      i += end;
    } else if (c === '\\' && i + 1 < prompt.length) {
      add(inside, prompt.slice(i, i + 2));
      i += 2;
    } else if ('()[]'.includes(c)) {
      const hint = wrong.get(i);
      if (hint) add('mistake', c, hint);
      else {
        add('bracket', c);
        if (c === '(' || c === '[') depth.push(c);
        else depth.pop();
      }
      i += 1;
    } else if (/^BREAK\b/.test(rest) && !/\w/.test(prompt[i - 1] ?? '')) {
      add('break', 'BREAK');
      i += 5;
    } else {
      add(inside, c);
      i += 1;
    }
  }
  return out;
}

/** Places of brackets without a partner, each with what is wrong. */
function mismatched(prompt: string): Map<number, string> {
  const open: { at: number; c: string }[] = [];
  const wrong = new Map<number, string>();
  for (let i = 0; i < prompt.length; ++i) {
    const c = prompt[i]!;
    if (c === '\\') ++i;
    else if (c === '(' || c === '[') open.push({ at: i, c });
    else if (c === ')' || c === ']') {
      const partner = c === ')' ? '(' : '[';
      const last = open[open.length - 1];
      if (last?.c === partner) open.pop();
      else wrong.set(i, `“${c}” has no matching opening bracket.`);
    }
  }
  for (const { at, c } of open) wrong.set(at, `“${c}” is not closed.`);
  return wrong;
}

/** The mistakes of a prompt, one sentence each. */
export function mistakes(prompt: string): string[] {
  return [...new Set(pieces(prompt).flatMap((piece) => (piece.hint ? [piece.hint] : [])))];
}

export interface Edit {
  text: string;
  from: number;
  to: number;
}

// A1111's keyedit: Ctrl-Up and Ctrl-Down change the weight of the selection, of the bracket that the caret is in, or of
// the word under it. Tags of extra networks move by half as much.
export function changeWeight(text: string, from: number, to: number, direction: 1 | -1): Edit {
  const step = 0.1;
  for (const match of text.matchAll(TAG)) {
    const start = match.index;
    const end = start + match[0].length;
    if (from < start || to > end) continue;
    const tag = loraTags(match[0])[0];
    if (!tag) break;
    const next = Math.round((tag.te + direction * 0.05) * 100) / 100;
    const written = tagText({ ...tag, te: next, unet: Math.round((tag.unet + direction * 0.05) * 100) / 100 });
    return { text: text.slice(0, start) + written + text.slice(end), from: start, to: start + written.length };
  }
  const around = enclosing(text, from, to);
  if (around) {
    const inner = text.slice(around.open + 1, around.close);
    const weight = /:\s*([+-]?[\d.]+)\s*$/.exec(inner);
    const body = weight ? inner.slice(0, weight.index) : inner;
    const old = weight ? Number(weight[1]) : 1.1;
    const next = Math.round((old + direction * step) * 100) / 100;
    const written = next === 1 ? body : `(${body}:${short(next)})`;
    const start = next === 1 ? around.open : around.open + 1;
    return {
      text: text.slice(0, around.open) + written + text.slice(around.close + 1),
      from: start,
      to: start + body.length,
    };
  }
  let a = from;
  let b = to;
  if (a === b) {
    const stop = /[\s,.()[\]<>|:]/;
    while (a > 0 && !stop.test(text[a - 1]!)) --a;
    while (b < text.length && !stop.test(text[b]!)) ++b;
  }
  while (b > a && /\s/.test(text[b - 1]!)) --b;
  while (a < b && /\s/.test(text[a]!)) ++a;
  if (a === b) return { text, from, to };
  const body = text.slice(a, b);
  return {
    text: `${text.slice(0, a)}(${body}:${short(1 + direction * step)})${text.slice(b)}`,
    from: a + 1,
    to: a + 1 + body.length,
  };
}

function enclosing(text: string, from: number, to: number): { open: number; close: number } | null {
  const open: number[] = [];
  let best: { open: number; close: number } | null = null;
  for (let i = 0; i < text.length; ++i) {
    if (text[i] === '\\') ++i;
    else if (text[i] === '(') open.push(i);
    else if (text[i] === ')' && open.length > 0) {
      const start = open.pop()!;
      if (start < from && i >= to && (!best || start > best.open)) best = { open: start, close: i };
    }
  }
  return best;
}

export interface Completion {
  kind: 'LoRA' | 'trigger' | 'embedding' | 'style';
  label: string;
  /** What takes the place of the half-written word. */
  insert: string;
  detail: string;
}

/** The half-written word before the caret: after `<` or `<lora:` names only, otherwise back to a comma. */
export function wordBefore(text: string, caret: number): { word: string; from: number; isTag: boolean } {
  const before = text.slice(0, caret);
  const tag = /<(?:(?:l|lo|lor|lora):?)?([^<>:,]*)$/i.exec(before);
  if (tag && before.slice(tag.index).length > 0)
    return { word: tag[1] ?? '', from: tag.index, isTag: true };
  const word = /[^,\n()[\]|<>]*$/.exec(before)![0].trimStart();
  return { word, from: caret - word.length, isTag: false };
}

/** Whether a word is a part of the label but for a typing mistake, or two in a long one. */
function isNear(word: string, label: string): boolean {
  const allowed = word.length < 4 ? 0 : word.length < 7 ? 1 : 2;
  const parts = label.toLowerCase().split(/[^\p{L}\p{N}]+/u);
  return allowed > 0 && [label.toLowerCase(), ...parts].some((part) => distance(word, part) <= allowed || (part.length > word.length && distance(word, part.slice(0, word.length)) <= allowed - 1));
}

/** How many letters must be put in, left out, changed or swapped with their neighbour. */
function distance(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; ++i) {
    const row = [i];
    for (let j = 1; j <= b.length; ++j) {
      const [last, before] = [rows[i - 1]!, rows[i - 2]];
      row[j] = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
      if (before && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) row[j] = Math.min(row[j]!, before[j - 2]! + 1);
    }
    rows[i] = row;
  }
  return rows[a.length]![b.length]!;
}

export function complete(all: Completion[], word: string, isTag: boolean): Completion[] {
  const wanted = word.toLowerCase();
  if (!isTag && wanted.length < 2) return [];
  const offered = all.filter((c) => !isTag || c.kind === 'LoRA');
  const found = offered.filter((c) => c.label.toLowerCase().includes(wanted));
  // Behind “<” a name is meant: one that is not there is misspelt.
  return (found.length === 0 && isTag ? offered.filter((c) => isNear(wanted, c.label)) : found)
    .filter((c) => c.label.toLowerCase() !== wanted || c.kind !== 'trigger')
    .sort((a, b) => Number(b.label.toLowerCase().startsWith(wanted)) - Number(a.label.toLowerCase().startsWith(wanted)))
    .slice(0, 8);
}
