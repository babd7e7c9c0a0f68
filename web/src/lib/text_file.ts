/** The text of a file: UTF-8, or UTF-16 with a byte order mark, as the trainer reads captions. Throws Error that names the
 * first byte that is neither, so that no caption is learned as garbage. */
export function textOf(bytes: Uint8Array, name: string): string {
  const mark = bytes[0] === 0xff && bytes[1] === 0xfe ? 'utf-16le' : bytes[0] === 0xfe && bytes[1] === 0xff ? 'utf-16be' : 'utf-8';
  try {
    return new TextDecoder(mark, { fatal: true }).decode(bytes);
  } catch {
    if (mark !== 'utf-8') throw new Error(`${name} is not valid UTF-16. Save it as UTF-8 and add it again.`);
    const at = firstWrong(bytes);
    const byte = (bytes[at] ?? 0).toString(16).toUpperCase().padStart(2, '0');
    throw new Error(`${name} is not UTF-8: byte ${at + 1} is ${byte}. Save it as UTF-8 and add it again.`);
  }
}

/** Where the first character begins that is none. */
function firstWrong(bytes: Uint8Array): number {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  for (let at = 0; at < bytes.length; ) {
    const lead = bytes[at]!;
    const length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    try {
      decoder.decode(bytes.subarray(at, at + length));
    } catch {
      return at;
    }
    at += length;
  }
  return bytes.length;
}
