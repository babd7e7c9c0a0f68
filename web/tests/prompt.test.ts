import { describe, expect, it } from 'vitest';
import { addLora, changeWeight, complete, loraTags, mistakes, networkName, pieces, removeLora, replaceTag, tagText, wordBefore } from '../src/lib/prompt';

describe('LoRA tags', () => {
  // The forms of A1111's built-in Lora extension (extra_networks_lora.py) and of sd-webui-loractl's start and stop.
  it.each([
    ['<lora:fox>', { te: 1, unet: 1 }],
    ['<lora:fox:0.5>', { te: 0.5, unet: 0.5 }],
    ['<lora:fox:0.5:0.8>', { te: 0.5, unet: 0.8 }],
    ['<lora:fox:te=0.2:unet=0.7>', { te: 0.2, unet: 0.7 }],
    ['<lora:fox:0.4:unet=0.9>', { te: 0.4, unet: 0.9 }],
    ['<lyco:fox:-1>', { te: -1, unet: -1 }],
    ['<lora:fox:1:start=0.2:stop=0.8>', { te: 1, unet: 1, start: 0.2, stop: 0.8 }],
  ])('reads %s', (text, expected) => {
    expect(loraTags(`a ${text} b`)[0]).toMatchObject({ name: 'fox', ...expected });
  });

  it('finds where tags stand', () => {
    const prompt = 'a <lora:x:1>, (b:1.2) <lora:y:0.5>';
    expect(loraTags(prompt).map((tag) => prompt.slice(tag.from, tag.to))).toEqual(['<lora:x:1>', '<lora:y:0.5>']);
  });

  it('leaves other tags and hypernets alone', () => {
    expect(loraTags('<hypernet:x:1> <foo:bar>')).toEqual([]);
  });

  it('does not take a tag that the server ignores for one', () => {
    expect(loraTags('<LORA:x:1>')).toEqual([]);
    for (const [tag, hint] of [
      ['<Lora:x:1>', 'lowercase'],
      ['<hypernet:x:1>', 'not supported'],
    ] as const)
      expect(mistakes(`a ${tag}`)[0]).toContain(hint);
  });

  // The server's cases: tests/prompt/extra_networks_test.cc.
  it.each(['a=b', 'x=2', 'step=1000', 'a:b', 'a>b', '<a>', 'say "x"', '"x"', '#1/fox', 'plain'])(
    'writes and reads the name %s',
    (name) => {
      const text = `a <lora:${networkName(name)}:0.8>, b`;
      expect(loraTags(text)).toHaveLength(1);
      expect(loraTags(text)[0]).toMatchObject({ name, te: 0.8, unet: 0.8, others: [] });
      expect(pieces(text).filter((piece) => piece.kind === 'lora')).toHaveLength(1);
      expect(replaceTag(text, loraTags(text)[0]!, { te: 1, unet: 1 })).toBe(`a <lora:${networkName(name)}:1>, b`);
    },
  );
  it('reads a name behind a known argument, and one in plain letters with an equals sign', () => {
    expect(loraTags('<lora:te=0.3:x>')[0]).toMatchObject({ name: 'x', te: 0.3 });
    expect(loraTags('<lora:a=b:0.8>')[0]).toMatchObject({ name: 'a=b', te: 0.8 });
  });

  it('keeps items that have no slider when a weight changes', () => {
    const prompt = '<lora:x:1:1:8:lbw=MIDD:stop=12>';
    expect(replaceTag(prompt, loraTags(prompt)[0]!, { te: 0.5, unet: 0.5 })).toBe('<lora:x:0.5:0.5:8:lbw=MIDD:stop=12>');
  });

  it('says what it read, for any tag of its own', () => {
    for (const te of [-1, 0, 0.35, 1])
      for (const unet of [te, 0.8])
        for (const start of [null, 0.25])
          for (const stop of [null, 0.75]) {
            const tag = { name: 'a b', te, unet, start, stop, others: [] };
            expect(loraTags(tagText(tag))[0]).toMatchObject(tag);
          }
  });
});

describe('a card', () => {
  it('puts trigger words in front and the tag behind', () => {
    expect(addLora('a red fox', '3dmm', 0.8, '3dmm style')).toBe('3dmm style, a red fox <lora:3dmm:0.8>');
  });
  it('does not say trigger words twice', () => {
    expect(addLora('a fox, (3DMM style:1.2)', '3dmm', 1, '3dmm style')).toBe('a fox, (3DMM style:1.2) <lora:3dmm:1>');
  });
  it('begins an empty prompt', () => {
    expect(addLora('', 'x', 1, '')).toBe('<lora:x:1>');
  });
  it('takes out again what it put in', () => {
    for (const prompt of ['a red fox', 'a, b, c', 'one <lora:other:1>'])
      expect(removeLora(addLora(prompt, 'x', 1, 'trig word'), 'x', 'trig word')).toBe(prompt);
  });
});

describe('colours', () => {
  it.each(['', 'a (b:1.2) [c] <lora:x:1>', '((a', 'b))', '\\(a\\)', '<lora:x', 'a <nothing:1> BREAK b', '[a:b:0.5] | 漢字 \n x'])(
    'lose no character of %j', (prompt) => {
      expect(pieces(prompt).map((piece) => piece.text).join('')).toBe(prompt);
    });
  it('know BREAK only as a word of its own', () => {
    expect(pieces('a BREAK b').some((p) => p.kind === 'break')).toBe(true);
    expect(pieces('BREAKFAST').some((p) => p.kind === 'break')).toBe(false);
  });
});

describe('mistakes', () => {
  it.each([['(a', 'not closed'], ['a)', 'no matching opening bracket'], ['(a]', 'no matching opening bracket'], ['<lora:x', 'missing the closing'], ['<lora:>', 'has no name'], ['<lara:x:1>', 'Unknown tag “lara”']])(
    'in %s: %s', (prompt, words) => expect(mistakes(prompt).join(' ')).toContain(words));
  it.each(['a', '(a:1.2)', '[[b]]', '\\(a', '<lora:x:1>'])('not in %s', (prompt) => expect(mistakes(prompt)).toEqual([]));
});

describe('Ctrl-Up and Ctrl-Down', () => {
  // What A1111's edit-attention.js makes of the same keys.
  it('gives the word under the caret a weight', () => {
    expect(changeWeight('a red fox', 3, 3, 1).text).toBe('a (red:1.1) fox');
    expect(changeWeight('a red fox', 3, 3, -1).text).toBe('a (red:0.9) fox');
  });
  it('raises the weight of a selection step by step', () => {
    const once = changeWeight('a red fox', 2, 9, 1);
    const twice = changeWeight(once.text, once.from, once.to, 1);
    expect(twice.text).toBe('a (red fox:1.2)');
  });
  it('takes the brackets away at 1', () => {
    expect(changeWeight('a (red:1.1) fox', 4, 4, -1).text).toBe('a red fox');
  });
  it('moves a LoRA tag by 0.05', () => {
    expect(changeWeight('fox <lora:x:1>', 8, 8, 1).text).toBe('fox <lora:x:1.05>');
  });
});

describe('completion', () => {
  const all = [
    { kind: 'LoRA' as const, label: '3dmm_style', insert: '<lora:3dmm_style:1>', detail: '' },
    { kind: 'trigger' as const, label: '3dmm style', insert: '3dmm style', detail: '' },
  ];
  it('offers LoRAs only behind <', () => {
    const word = wordBefore('a fox <lora:3d', 14);
    expect(word).toEqual({ word: '3d', from: 6, isTag: true });
    expect(complete(all, word.word, word.isTag).map((c) => c.label)).toEqual(['3dmm_style']);
  });
  it('offers names that are misspelt behind <, and only there', () => {
    const umbrella = [...all, { kind: 'LoRA' as const, label: 'object_umbrella', insert: '<lora:object_umbrella:1>', detail: '' }];
    for (const word of ['umbrela', 'umberlla', 'ombrella', 'umbrlla', 'object_umbrela'])
      expect(complete(umbrella, word, true).map((c) => c.label)).toEqual(['object_umbrella']);
    for (const word of ['umbrellas on fire', 'xyz', 'tree', 'quaternion']) expect(complete(umbrella, word, true)).toEqual([]);
    expect(complete(umbrella, 'umbrela', false)).toEqual([]);
  });
  it('offers all names after two letters, back to the comma', () => {
    const word = wordBefore('fox, 3d', 7);
    expect(word).toEqual({ word: '3d', from: 5, isTag: false });
    expect(complete(all, word.word, word.isTag)).toHaveLength(2);
    expect(complete(all, '3', false)).toHaveLength(0);
  });
});
