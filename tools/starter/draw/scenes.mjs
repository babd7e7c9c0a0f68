// How a drawing is placed on its background, and the words that say so.
//
// A scene is data: {caption, subject, style, background, kind, shade, parts}, where parts are icons with their places.
import { COLOURS } from './subjects.mjs';
import { newPicture, drawIcon, outlineNear, picturePng } from './pixels.mjs';

// Each kind of layout: where the icons lie (x, y, size in pixels) and what the caption calls it.
const LAYOUTS = {
  plain: { words: (name) => name, places: [[64, 64, 98, 110]], wander: 3 },
  small: { words: (name) => `small ${name}`, places: [[64, 64, 44, 54]], wander: 8 },
  left: { words: (name) => `${name} on the left`, places: [[37, 64, 58, 66]], wander: 3 },
  right: { words: (name) => `${name} on the right`, places: [[91, 64, 58, 66]], wander: 3 },
  two: { words: (name) => `two ${name}`, places: [[34, 64, 52, 58], [94, 64, 52, 58]], wander: 3 },
};

/** The colours on which all these icons stand out; of those that are left, at least the five best. */
export const clearColours = (() => {
  const known = new WeakMap();
  const nearness = (icon) => {
    if (!known.has(icon)) {
      known.set(icon, new Map(Object.entries(COLOURS).map(([colour, rgb]) => [colour, outlineNear(icon, rgb)])));
    }
    return known.get(icon);
  };
  return (icons, forbidden) => {
    const worst = (colour) => Math.max(...icons.map((icon) => nearness(icon).get(colour)));
    const open = Object.keys(COLOURS).filter((c) => !forbidden.includes(c)).sort((a, b) => worst(a) - worst(b));
    return open.filter((c, i) => worst(c) < 0.35 || i < 5);
  };
})();

/** The caption's parts in their usual order; style is left out where it is null. */
export function caption({ lead, style, background }) {
  return [lead, style && `${style} style`, `${background} background`].filter(Boolean).join(', ');
}

/**
 * One scene. `drawing` is {name, icon, contrast?: icons that must stand out}.
 * `mirror`: 'never', 'always' or by chance. `tilt`: the most that an icon is turned, in radians. `lit`: studio light,
 * brighter behind the middle, and a soft shadow under every icon.
 */
export function makeScene(random, { kind, drawing, style, background, mirror, spokenStyle = style,
  tilt = 0, lit = false }) {
  const layout = LAYOUTS[kind];
  const parts = layout.places.map(([x, y, least, most]) => ({
    icon: drawing.icon,
    x: x + random.between(-layout.wander, layout.wander),
    y: y + random.between(-layout.wander, layout.wander),
    size: random.between(least, most),
    mirror: false,
    angle: random.between(-tilt, tilt),
  }));
  const mirrored = mirror === 'always' || (mirror !== 'never' && random.unit() < 0.5);
  for (const part of parts) part.mirror = mirrored;
  const shade = COLOURS[background].map((v) => Math.round(Math.min(255, Math.max(0, v + random.between(-9, 9)))));
  return {
    caption: caption({ lead: layout.words(drawing.name), style: spokenStyle, background }),
    subject: drawing.name,
    style,
    background,
    kind,
    mirrored,
    shade,
    lit,
    parts,
  };
}

// A pool of light behind the middle and the shadow of each icon on the ground it seems to stand on.
function light(picture, parts) {
  const { width, height, data } = picture;
  const scale = (at, factor) => {
    for (let c = 0; c < 3; c++) data[at + c] = Math.min(255, data[at + c] * factor);
  };
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const out = Math.hypot(x - width / 2, y - 0.4 * height) / width;
      const at = 4 * (y * width + x), glow = Math.max(0, 1 - 2 * out) * 40;
      scale(at, 1.06 - 0.62 * out * out);
      for (let c = 0; c < 3; c++) data[at + c] = Math.min(255, data[at + c] + glow);
      for (const { icon, x: cx, y: cy, size } of parts) {
        const unit = size / Math.max(icon.width, icon.height);
        const dx = (x - cx) / (0.46 * icon.width * unit), dy = (y - cy - 0.48 * icon.height * unit) / (0.09 * size);
        scale(at, 1 - 0.6 * Math.exp(-(dx ** 4) - dy * dy));
      }
    }
  }
}

export function renderScene(scene) {
  const picture = newPicture(scene.shade);
  if (scene.lit) light(picture, scene.parts);
  for (const { icon, ...place } of scene.parts) drawIcon(picture, icon, place);
  return picturePng(picture);
}
