/** A picture for a training set, and the caption that lay beside it. */
export interface SetFile {
  picture: File;
  caption: File | null;
}

const stem = (file: File) => (file.webkitRelativePath || file.name).replace(/\.[^./]*$/, '');

/** The pictures among files, each with the text file of its own name, as trainers keep captions. */
export function setFiles(files: File[]): SetFile[] {
  const captions = new Map(files.filter((f) => /\.txt$/i.test(f.name)).map((f) => [stem(f), f]));
  return files
    .filter((f) => /^image\/(png|jpeg|webp)$/.test(f.type))
    .map((picture) => ({ picture, caption: captions.get(stem(picture)) ?? null }));
}
