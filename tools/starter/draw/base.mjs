// The pictures of the base model: every subject in both flat styles.
import { clearColours, makeScene } from './scenes.mjs';
import { stream } from './random.mjs';

export const FLAT_STYLES = ['noto', 'flat'];

// What each further variant of a drawing shows; after the last one the list starts again.
const KINDS = ['plain', 'plain', 'plain', 'small', 'plain', 'plain', 'plain', 'two', 'plain', 'plain', 'side', 'plain'];
const WITHOUT_STYLE = 6;  // this variant's caption names no style, so that prompts need not

/** Looks up what may not be drawn: the colours held out for a subject. */
export function heldOutColours(heldOut) {
  const colours = new Map();
  for (const { subject, background } of heldOut) colours.set(subject, [...(colours.get(subject) ?? []), background]);
  return (...names) => names.flatMap((name) => colours.get(name) ?? []);
}

export function baseScenes(subjects, iconStore, { seed, variants, heldOut }) {
  const forbidden = heldOutColours(heldOut);
  const scenes = [];
  subjects.forEach((subject, number) => {
    FLAT_STYLES.forEach((style, s) => {
      const random = stream(seed, `base/${subject.name}/${style}`);
      const drawing = { name: subject.name, icon: iconStore.get(style, subject.hexcode) };
      const colours = random.shuffled(clearColours([drawing.icon], forbidden(subject.name)));
      const sides = (number + s) % 2 ? ['left', 'right'] : ['right', 'left'];
      for (let v = 0; v < variants; v++) {
        const turn = KINDS[v % KINDS.length];
        const kind = turn === 'side' ? sides[Math.floor(v / KINDS.length) % 2] : turn;
        const background = colours[v % colours.length];
        const mirror = v % 4 === 1 ? 'always' : 'never';
        const spokenStyle = v % KINDS.length === WITHOUT_STYLE ? null : style;
        scenes.push({
          ...makeScene(random, { kind, drawing, style, background, mirror, spokenStyle }),
          variant: v + 1,
        });
      }
    });
  });
  return scenes;
}

/** Pictures for measuring, none of them in the base: each drawing once more, plain; and the held-out captions. */
export function baseEvaluation(subjects, iconStore, { seed, heldOut }) {
  const forbidden = heldOutColours(heldOut);
  const byName = new Map(subjects.map((subject) => [subject.name, subject]));
  const plain = (group, subject, style, choose) => {
    const random = stream(seed, `evaluation/${group}/${subject.name}/${style}`);
    const drawing = { name: subject.name, icon: iconStore.get(style, subject.hexcode) };
    return makeScene(random, { kind: 'plain', drawing, style, background: choose(random, drawing) });
  };
  const again = subjects.flatMap((subject) => FLAT_STYLES.map((style) =>
    plain('drawings', subject, style, (random, drawing) => {
      const colours = clearColours([drawing.icon], forbidden(subject.name));
      return colours[random.index(colours.length)];
    })));
  const heldOutScenes = heldOut.map(({ subject, style, background }) =>
    plain('heldout', byName.get(subject), style, () => background));
  return { drawings: again, heldout: heldOutScenes };
}
