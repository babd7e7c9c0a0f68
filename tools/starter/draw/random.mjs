// Small seeded random numbers. Every picture draws from its own stream, named by a string, so that adding or
// removing one picture changes no other.

function hash(text) {  // FNV-1a, 32 bits
  let h = 0x811c9dc5;
  for (const byte of Buffer.from(text, 'utf8')) h = Math.imul(h ^ byte, 0x01000193);
  return h >>> 0;
}

/** A stream with .unit() in [0, 1), .between(a, b), .index(n), .sign(), .shuffled(list). */
export function stream(seed, name) {
  let state = hash(`${seed}/${name}`);
  const unit = () => {  // mulberry32
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const index = (n) => Math.floor(unit() * n);
  return {
    unit,
    index,
    between: (a, b) => a + (b - a) * unit(),
    sign: () => (unit() < 0.5 ? -1 : 1),
    shuffled(list) {
      const out = [...list];
      for (let i = out.length - 1; i > 0; i--) {
        const j = index(i + 1);
        [out[i], out[j]] = [out[j], out[i]];
      }
      return out;
    },
  };
}
