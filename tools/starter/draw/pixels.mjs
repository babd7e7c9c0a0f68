// Pictures as bytes: PNG in and out, icons laid on a coloured canvas.
//
// An icon is {width, height, data}: RGBA bytes, colours multiplied by alpha, cut to its visible box.
// A canvas is the same with values 0..255 as floats; a picture is a canvas of SIZE by SIZE whose alpha is 255.
import zlib from 'node:zlib';

export const SIZE = 128;

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n >>> 0;
});

function crc32(bytes) {
  let c = 0xffffffff;
  for (const b of bytes) c = CRC_TABLE[(c ^ b) & 0xff] ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}

function chunk(type, data) {
  const out = Buffer.alloc(12 + data.length);
  out.writeUInt32BE(data.length, 0);
  out.write(type, 4, 'latin1');
  data.copy(out, 8);
  out.writeUInt32BE(crc32(out.subarray(4, 8 + data.length)), 8 + data.length);
  return out;
}

/** An 8-bit RGB PNG of `rgb` (width*height*3 bytes). Every row uses the Sub filter. */
export function encodePng(width, height, rgb) {
  const stride = 3 * width;
  const raw = Buffer.alloc(height * (stride + 1));
  for (let y = 0; y < height; y++) {
    const to = y * (stride + 1), from = y * stride;
    raw[to] = 1;
    for (let i = 0; i < stride; i++) raw[to + 1 + i] = rgb[from + i] - (i < 3 ? 0 : rgb[from + i - 3]);
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  return Buffer.concat([SIGNATURE, chunk('IHDR', header), chunk('IDAT', zlib.deflateSync(raw, { level: 6 })),
    chunk('IEND', Buffer.alloc(0))]);
}

function paeth(a, b, c) {
  const p = a + b - c, pa = Math.abs(p - a), pb = Math.abs(p - b), pc = Math.abs(p - c);
  return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
}

/** Reads an 8-bit, non-interlaced RGB or RGBA PNG into {width, height, data: RGBA, alpha not multiplied}. */
export function decodePng(file) {
  if (!file.subarray(0, 8).equals(SIGNATURE)) throw new Error('not a PNG file');
  const width = file.readUInt32BE(16), height = file.readUInt32BE(20);
  const channels = { 2: 3, 6: 4 }[file[25]];
  if (file[24] !== 8 || !channels || file[28] !== 0) throw new Error('only 8-bit RGB or RGBA PNG files are read');
  const parts = [];
  for (let at = 8; at + 12 <= file.length;) {
    const length = file.readUInt32BE(at);
    if (file.toString('latin1', at + 4, at + 8) === 'IDAT') parts.push(file.subarray(at + 8, at + 8 + length));
    at += 12 + length;
  }
  const raw = zlib.inflateSync(Buffer.concat(parts));
  const stride = width * channels;
  const data = new Uint8Array(width * height * 4);
  let above = new Uint8Array(stride);
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (stride + 1)];
    const row = raw.subarray(y * (stride + 1) + 1, (y + 1) * (stride + 1));
    for (let i = 0; i < stride; i++) {
      const a = i < channels ? 0 : row[i - channels], b = above[i], c = i < channels ? 0 : above[i - channels];
      if (filter === 1) row[i] += a;
      else if (filter === 2) row[i] += b;
      else if (filter === 3) row[i] += (a + b) >> 1;
      else if (filter === 4) row[i] += paeth(a, b, c);
    }
    for (let x = 0; x < width; x++) {
      const to = 4 * (y * width + x), from = x * channels;
      data[to] = row[from];
      data[to + 1] = row[from + 1];
      data[to + 2] = row[from + 2];
      data[to + 3] = channels === 4 ? row[from + 3] : 255;
    }
    above = row;
  }
  return { width, height, data };
}

/** What is visible in an RGBA picture whose colours are multiplied by alpha, as an icon; null where nothing is. */
function trim({ width: w, height: h, data: source }) {
  const visible = 12;
  let left = w, right = -1, top = h, bottom = -1;
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      if (source[4 * (y * w + x) + 3] < visible) continue;
      left = Math.min(left, x);
      right = Math.max(right, x);
      top = Math.min(top, y);
      bottom = Math.max(bottom, y);
    }
  }
  if (right < 0) return null;
  const width = right - left + 1, height = bottom - top + 1;
  const data = new Uint8Array(width * height * 4);
  for (let y = 0; y < height; y++) {
    const from = 4 * ((top + y) * w + left);
    for (let i = 0; i < 4 * width; i++) data[4 * y * width + i] = Math.round(source[from + i]);
  }
  return { width, height, data };
}

/** Cuts the box (x, y, w, h) out of a decoded picture (alpha not yet multiplied), as an icon. */
export function cutIcon(picture, x, y, w, h) {
  const data = new Float32Array(4 * w * h);
  for (let i = 0; i < w * h; i++) {
    const from = 4 * ((y + Math.floor(i / w)) * picture.width + x + (i % w));
    const alpha = picture.data[from + 3];
    for (let c = 0; c < 3; c++) data[4 * i + c] = picture.data[from + c] * alpha / 255;
    data[4 * i + 3] = alpha;
  }
  return trim({ width: w, height: h, data });
}

/** A picture of one colour. */
export function newPicture(colour) {
  const data = new Float32Array(4 * SIZE * SIZE);
  for (let i = 0; i < data.length; i++) data[i] = i % 4 === 3 ? 255 : colour[i % 4];
  return { width: SIZE, height: SIZE, data };
}

/** Several icons laid on each other, the first at the bottom, as one icon; places are pixels of a square canvas. */
export function stackIcons(side, layers) {
  const canvas = { width: side, height: side, data: new Float32Array(4 * side * side) };
  for (const { icon, ...place } of layers) drawIcon(canvas, icon, place);
  return trim(canvas);
}

/**
 * Lays an icon on a canvas: centred at (x, y), its longer side `size` pixels, optionally mirrored and turned by
 * `angle` radians clockwise. Every canvas pixel averages a grid of samples about as fine as the icon's own pixels.
 */
export function drawIcon(canvas, icon, { x, y, size, mirror = false, angle = 0 }) {
  const scale = Math.max(icon.width, icon.height) / size;  // icon pixels per canvas pixel
  const grid = Math.min(6, Math.max(2, Math.ceil(scale)));
  const cos = Math.cos(angle), sin = Math.sin(angle);
  const reachX = (Math.abs(cos) * icon.width + Math.abs(sin) * icon.height) / scale / 2 + 1;
  const reachY = (Math.abs(sin) * icon.width + Math.abs(cos) * icon.height) / scale / 2 + 1;
  const x1 = Math.min(canvas.width, Math.ceil(x + reachX)), y1 = Math.min(canvas.height, Math.ceil(y + reachY));
  for (let py = Math.max(0, Math.floor(y - reachY)); py < y1; py++) {
    for (let px = Math.max(0, Math.floor(x - reachX)); px < x1; px++) {
      let r = 0, g = 0, b = 0, a = 0;
      for (let k = 0; k < grid * grid; k++) {
        const dx = px + (k % grid + 0.5) / grid - x, dy = py + (Math.floor(k / grid) + 0.5) / grid - y;
        const along = (cos * dx + sin * dy) * scale;
        const u = Math.floor(icon.width / 2 + (mirror ? -along : along));
        const v = Math.floor(icon.height / 2 + (cos * dy - sin * dx) * scale);
        if (u < 0 || v < 0 || u >= icon.width || v >= icon.height) continue;
        const at = 4 * (v * icon.width + u);
        r += icon.data[at];
        g += icon.data[at + 1];
        b += icon.data[at + 2];
        a += icon.data[at + 3];
      }
      if (a === 0) continue;
      const n = grid * grid, keep = 1 - a / n / 255, to = 4 * (py * canvas.width + px);
      canvas.data[to] = canvas.data[to] * keep + r / n;
      canvas.data[to + 1] = canvas.data[to + 1] * keep + g / n;
      canvas.data[to + 2] = canvas.data[to + 2] * keep + b / n;
      canvas.data[to + 3] = canvas.data[to + 3] * keep + a / n;
    }
  }
}

export function picturePng({ width, height, data }) {
  const rgb = new Uint8Array(3 * width * height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) rgb[3 * i + c] = Math.min(255, Math.max(0, Math.round(data[4 * i + c])));
  }
  return encodePng(width, height, rgb);
}

/** How much of the icon's outline would melt into a background: the share of outline pixels near its colour. */
export function outlineNear(icon, colour, distance = 62) {
  let outline = 0, near = 0;
  const alpha = (u, v) => {
    const inside = u >= 0 && v >= 0 && u < icon.width && v < icon.height;
    return inside ? icon.data[4 * (v * icon.width + u) + 3] : 0;
  };
  const within = (u, v) => [[-3, 0], [3, 0], [0, -3], [0, 3]].every(([du, dv]) => alpha(u + du, v + dv) >= 128);
  for (let v = 0; v < icon.height; v++) {
    for (let u = 0; u < icon.width; u++) {
      const a = alpha(u, v);
      if (a < 128 || within(u, v)) continue;
      outline++;
      const at = 4 * (v * icon.width + u);
      const d = Math.hypot(...[0, 1, 2].map((c) => icon.data[at + c] * 255 / a - colour[c]));
      if (d < distance) near++;
    }
  }
  return near / Math.max(1, outline);
}
