/** A file, or a picture of the server, as a data: URL. */
export async function dataUrl(from: Blob | string): Promise<string> {
  const blob = typeof from === 'string' ? await (await fetch(from)).blob() : from;
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(new Error('The file could not be read.'));
    reader.readAsDataURL(blob);
  });
}

/** Size of a picture in pixels. */
export function pictureSize(url: string): Promise<{ width: number; height: number }> {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve({ width: image.naturalWidth, height: image.naturalHeight });
    image.onerror = () => reject(new Error('The browser cannot display this image file.'));
    image.src = url;
  });
}

/** Width and height for the form: multiples of 8, the longer side at most `most`. */
export function formSize(width: number, height: number, most: number): { width: number; height: number } {
  const scale = Math.min(1, most / Math.max(width, height));
  const fit = (side: number) => Math.max(64, Math.round((side * scale) / 8) * 8);
  return { width: fit(width), height: fit(height) };
}
