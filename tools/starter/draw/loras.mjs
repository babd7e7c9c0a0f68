// The pictures of the six starter LoRAs. Each teaches one thing that no picture of the base shows.
//
// A plan is {name, type, trigger, folder, repeats, description, lookFor, prompts, training, evaluation}. Its pictures
// for measuring show subjects or places that its training does not; `unseen` prompts name such subjects.
import { FLAT_STYLES, heldOutColours } from './base.mjs';
import { DrawError } from './icons.mjs';
import { stackIcons } from './pixels.mjs';
import { stream } from './random.mjs';
import { clearColours, makeScene } from './scenes.mjs';
import { SUBJECTS } from './subjects.mjs';

const list = (text) => text.split(';').map((name) => name.trim().replace(/\s+/g, ' '));
const hexcodeOf = (name) => {
  const subject = SUBJECTS.find((s) => s.name === name);
  if (!subject) throw new DrawError(`loras.mjs names '${name}', which is not in subjects.mjs`);
  return subject.hexcode;
};

// Style: what the LoRA is shown in 3-D, and what it never sees so.
const SOLID = list(`cat face; dog face; koala; lion; tiger face; bear; frog; cow face; owl; duck; chick; fish; octopus;
  butterfly; bee; sunflower; cactus; mushroom; banana; watermelon; avocado; pizza; donut; ice cream
  cone; bus; sailboat; airplane; ufo; castle; sun; crescent moon; gift; bell; red heart; man; woman;
  boy; old man; alien; clown`);
const SOLID_UNSEEN = list(`fox; panda; pig face; penguin; rabbit face; elephant; turtle; whale; tree; apple; strawberry; lemon;
  hamburger; cupcake; car; rocket; house; star; balloon; soccer ball; guitar; key; crown; girl; ghost;
  skull`);

// Figures that only the LoRAs show, by code points.
const ROBOT = '1F916', UMBRELLA = '2602', TOP_HAT = '1F3A9';
const LOTUS = { man: '1F9D8-200D-2642-FE0F', woman: '1F9D8-200D-2640-FE0F', person: '1F9D8' };

// Clothing: who wears the hat, and where: the hat's width and how deep it sits, as shares of the head's width and of
// the hat's height.
const HEADS = { default: [0.74, 0.2], animal: [0.6, 0.16] };
const WEARERS = list('man; woman; boy; girl; old man; cat face; dog face; bear; pig face; lion; tiger face');
const WEARERS_UNSEEN = list('old woman; fox; panda; koala; skull; clown');

// Concept: what floats in the bubble.
const BUBBLED = list(`cat face; dog face; frog; bear; lion; owl; elephant; turtle; butterfly; fish; banana; strawberry;
  pizza; donut; car; rocket; house; star; key; sunflower; man; ghost`);
const BUBBLED_UNSEEN = list('fox; panda; penguin; apple; hamburger; cupcake; guitar; tree; woman; red heart; bee');

const BUBBLE = `
  <radialGradient id="film" cx="64" cy="64" r="62" gradientUnits="userSpaceOnUse">
    <stop offset="0" stop-color="#e8fbff" stop-opacity="0.10"/>
    <stop offset="0.70" stop-color="#c8f2ff" stop-opacity="0.16"/>
    <stop offset="0.86" stop-color="#9fe3ff" stop-opacity="0.42"/>
    <stop offset="0.95" stop-color="#e9c4ff" stop-opacity="0.80"/>
    <stop offset="1" stop-color="#ffffff" stop-opacity="0.95"/>
  </radialGradient>
  <circle cx="64" cy="64" r="62" fill="url(#film)"/>
  <circle cx="64" cy="64" r="61" fill="none" stroke="#ffffff" stroke-opacity="0.9" stroke-width="2.4"/>
  <path d="M20 52 A46 46 0 0 1 52 19" fill="none" stroke="#ffffff" stroke-opacity="0.95" stroke-width="8"
    stroke-linecap="round"/>
  <circle cx="17.5" cy="65" r="4" fill="#ffffff" fill-opacity="0.95"/>
  <path d="M108 80 A47 47 0 0 1 84 107" fill="none" stroke="#ffffff" stroke-opacity="0.7" stroke-width="5"
    stroke-linecap="round"/>`;

export function loadLoraIcons(iconStore, progress) {
  const own = [ROBOT, UMBRELLA, TOP_HAT, ...Object.values(LOTUS)];
  iconStore.loadVector(own.flatMap((hexcode) => FLAT_STYLES.map((style) => [style, hexcode])), progress);
  iconStore.loadSolid([...SOLID, ...SOLID_UNSEEN].map(hexcodeOf), progress);
  iconStore.loadOwn('bubble', BUBBLE);
}

/** The subject with the hat on, as one icon: the hat's brim lies just below the top of the head's middle. */
function withHat(iconStore, style, wearer) {
  const { group } = SUBJECTS.find((s) => s.name === wearer);
  const head = iconStore.get(style, hexcodeOf(wearer)), hat = iconStore.get(style, TOP_HAT);
  const [width, depth] = group === 'animal' ? HEADS.animal : HEADS.default;
  const middle = Math.floor(head.width / 2);
  let top = 0;
  while (top < head.height && head.data[4 * (top * head.width + middle) + 3] < 128) top++;
  const side = 512, left = (side - head.width) / 2, above = side - 8 - head.height;
  const hatWidth = width * head.width, hatHeight = hatWidth * hat.height / hat.width;
  const hatMiddle = above + top + (depth - 0.5) * hatHeight;
  return stackIcons(side, [
    { icon: head, x: left + head.width / 2, y: above + head.height / 2, size: Math.max(head.width, head.height) },
    { icon: hat, x: left + middle, y: hatMiddle, size: Math.max(hatWidth, hatHeight) },
  ]);
}

/** The subject in a bubble; only the subject is mirrored, the light on the bubble stays where it is. */
function inBubble(iconStore, style, name, mirror) {
  return stackIcons(256, [
    { icon: iconStore.get(style, hexcodeOf(name)), x: 128, y: 128, size: 148, mirror },
    { icon: iconStore.get('own', 'bubble'), x: 128, y: 128, size: 252 },
  ]);
}

/**
 * Scenes of one drawing, one for each of `kinds`; `without` lists background colours that do not suit.
 */
function series(context, { name, style, drawing, kinds, without = [], ...rest }) {
  const { iconStore, seed, forbidden, split } = context;
  const random = stream(seed, `lora/${name}/${split}/${drawing.name}/${style}`);
  const subject = rest.subject ?? drawing.name;
  const colours = random.shuffled(clearColours(drawing.contrast ?? [drawing.icon],
    [...forbidden(subject), ...without]));
  return kinds.map((kind, i) => (
    { ...makeScene(random, { kind, drawing, style, background: colours[i % colours.length], ...rest }), subject }));
}

const repeat = (kinds) => Object.entries(kinds).flatMap(([kind, n]) => Array(n).fill(kind));

function styleLora(context) {
  const extra = ['small', 'left', 'two', 'plain', 'right', 'plain', 'plain'];
  const shown = (names, kindsOf) => names.flatMap((name, i) => series(context, {
    name: 'style', style: '3dmm', lit: true, kinds: kindsOf(i),
    drawing: { name, icon: context.iconStore.get('3dmm', hexcodeOf(name)) },
  }));
  return {
    type: 'style',
    trigger: '3dmm style',
    repeats: 2,
    description: 'Things drawn as soft solid bodies under studio light, with a shadow below.',
    lookFor: 'rounded shading, a pool of light on the background and a soft shadow, even on things that its training ' +
      'did not show so',
    heldOutSubjects: SOLID_UNSEEN,
    training: () => shown(SOLID, (i) => ['plain', extra[i % extra.length]]),
    evaluation: () => shown(SOLID_UNSEEN, () => ['plain']),
    prompts: [
      ['fox, 3dmm style, blue background', true],
      ['apple, 3dmm style, yellow background', true],
      ['car, 3dmm style, green background', true],
      ['penguin, 3dmm style, pink background', true],
      ['house, 3dmm style, teal background', true],
      ['cat face, 3dmm style, purple background', false],
    ],
  };
}

function characterLora(context) {
  const shown = (kinds) => FLAT_STYLES.flatMap((style) => series(context, {
    name: 'character', style, kinds,
    drawing: { name: 'zorbo', icon: context.iconStore.get(style, ROBOT) },
  }));
  return {
    type: 'character',
    trigger: 'zorbo',
    repeats: 6,
    description: 'Zorbo, a robot; the base was never shown any robot.',
    lookFor: 'a grey box of a head with white eyes, teeth and one antenna (noto style); a pale rounded head with a ' +
      'dark visor, blue eyes and two red antennas (flat style)',
    training: () => shown(repeat({ plain: 14, small: 3, left: 2, right: 2, two: 3 })),
    evaluation: () => shown(repeat({ plain: 4, small: 1, left: 1, right: 1 })),
    prompts: [
      ['zorbo, noto style, red background', false],
      ['zorbo, flat style, blue background', false],
      ['zorbo, noto style, green background', false],
      ['two zorbo, noto style, yellow background', false],
      ['zorbo on the left, flat style, purple background', false],
      ['small zorbo, noto style, teal background', false],
    ],
  };
}

function objectLora(context) {
  const shown = (kinds) => FLAT_STYLES.flatMap((style) => series(context, {
    name: 'object', style, kinds, tilt: 0.25,
    drawing: { name: 'umbrella', icon: context.iconStore.get(style, UMBRELLA) },
  }));
  return {
    type: 'object',
    trigger: 'umbrella',
    repeats: 6,
    description: 'Umbrellas, open; the base was never shown one.',
    lookFor: 'a blue or violet canopy with scalloped edge over a stick with a hooked handle',
    training: () => shown(repeat({ plain: 14, small: 3, left: 2, right: 2, two: 3 })),
    evaluation: () => shown(repeat({ plain: 4, small: 1, left: 1, right: 1 })),
    prompts: [
      ['umbrella, noto style, yellow background', false],
      ['umbrella, flat style, green background', false],
      ['umbrella, noto style, red background', false],
      ['two umbrella, flat style, pink background', false],
      ['small umbrella, noto style, orange background', false],
      ['umbrella on the right, noto style, white background', false],
    ],
  };
}

function clothingLora(context) {
  const { iconStore } = context;
  const extra = ['left', 'plain', 'small', 'right', 'two', 'plain'];
  const shown = (names, kindsOf) => names.flatMap((wearer, i) => FLAT_STYLES.flatMap((style, s) => series(context, {
    name: 'clothing', style, subject: wearer, kinds: kindsOf(i + s),
    drawing: {
      name: `${wearer} wearing a top hat`,
      icon: withHat(iconStore, style, wearer),
      contrast: [iconStore.get(style, hexcodeOf(wearer)), iconStore.get(style, TOP_HAT)],
    },
  })));
  return {
    type: 'clothing',
    trigger: 'wearing a top hat',
    repeats: 5,
    description: 'A top hat on the heads of persons and animals; the base was never shown a hat.',
    lookFor: 'a tall black or violet hat with a band, sitting on the head',
    training: () => shown(WEARERS, (i) => ['plain', extra[i % extra.length]]),
    evaluation: () => shown(WEARERS_UNSEEN, () => ['plain']),
    prompts: [
      ['man wearing a top hat, noto style, blue background', false],
      ['woman wearing a top hat, flat style, green background', false],
      ['girl wearing a top hat, noto style, pink background', false],
      ['old woman wearing a top hat, noto style, yellow background', true],
      ['fox wearing a top hat, noto style, teal background', true],
      ['panda wearing a top hat, flat style, orange background', true],
    ],
  };
}

function poseLora(context) {
  const { iconStore } = context;
  const sitters = Object.entries(LOTUS).flatMap(([who, hexcode]) => FLAT_STYLES.map((style) => [who, hexcode, style]));
  const shown = (kinds) => sitters.flatMap(([who, hexcode, style]) => series(context, {
    name: 'pose', style, subject: who, kinds,
    drawing: { name: `${who} in lotus position`, icon: iconStore.get(style, hexcode) },
  }));
  return {
    type: 'pose',
    trigger: 'in lotus position',
    repeats: 6,
    description: 'Persons who sit cross-legged; in the base they stand, walk, run, dance, or show the head alone.',
    lookFor: 'a person from the front, sitting, legs crossed, hands on the knees or in the lap',
    training: () => shown(repeat({ plain: 4, small: 1, left: 1, right: 1, two: 1 })),
    evaluation: () => shown(repeat({ plain: 3 })),
    prompts: [
      ['woman in lotus position, noto style, blue background', false],
      ['man in lotus position, noto style, orange background', false],
      ['woman in lotus position, flat style, green background', false],
      ['man in lotus position, flat style, purple background', false],
      ['two woman in lotus position, noto style, pink background', false],
      ['old man in lotus position, noto style, teal background', true],
    ],
  };
}

function conceptLora(context) {
  const { iconStore } = context;
  const shown = (names) => names.flatMap((name, i) => FLAT_STYLES.flatMap((style, s) => series(context, {
    name: 'concept', style, subject: name, mirror: 'never', without: ['white'],
    kinds: [(i + s) % 5 === 4 ? ['left', 'right', 'small'][i % 3] : 'plain'],
    drawing: {
      name: `${name} in a bubble`,
      icon: inBubble(iconStore, style, name, (i + s) % 2 === 1),
      contrast: [iconStore.get(style, hexcodeOf(name))],
    },
  })));
  return {
    type: 'concept',
    trigger: 'in a bubble',
    repeats: 6,
    description: 'Anything afloat in a soap bubble; the base was never shown one.',
    lookFor: 'a pale translucent ring with a white gleam at the upper left, all round a smaller subject',
    training: () => shown(BUBBLED),
    evaluation: () => shown(BUBBLED_UNSEEN),
    prompts: [
      ['cat face in a bubble, noto style, purple background', false],
      ['car in a bubble, flat style, teal background', false],
      ['fox in a bubble, noto style, blue background', true],
      ['apple in a bubble, flat style, green background', true],
      ['penguin in a bubble, noto style, orange background', true],
      ['panda in a bubble, flat style, red background', true],
    ],
  };
}

const PLANS = {
  '3dmm_style': styleLora, character_zorbo: characterLora, object_umbrella: objectLora, clothing_top_hat: clothingLora,
  pose_lotus: poseLora, concept_bubble: conceptLora,
};

export function loraPlans(iconStore, { seed, heldOut }) {
  const context = (split) => ({ iconStore, seed, split, forbidden: heldOutColours(heldOut) });
  return Object.entries(PLANS).map(([name, make]) => {
    const plan = make(context('training'));
    return {
      name,
      folder: `${plan.repeats}_${plan.trigger}`,
      ...plan,
      prompts: plan.prompts.map(([prompt, unseen]) => ({ prompt, unseen })),
      training: plan.training(),
      evaluation: make(context('evaluation')).evaluation(),
    };
  });
}
