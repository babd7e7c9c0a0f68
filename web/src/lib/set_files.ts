/** A picture for a training set, and the caption that lay beside it. */
export interface SetFile {
  picture: File;
  caption: File | null;
}

const withoutEnding = (path: string) => path.replace(/\.[^./]*$/, '');
const stem = (file: File) => withoutEnding(file.webkitRelativePath || file.name);
const isCaption = (file: File) => /\.(txt|caption)$/i.test(file.name);

/** The pictures among files, each with the text file of its own name, as trainers keep captions. */
export function setFiles(files: File[]): SetFile[] {
  const captions = new Map(files.filter(isCaption).map((f) => [stem(f), f]));
  return files
    .filter((f) => /^image\/(png|jpeg|webp|gif|bmp|x-ms-bmp|tiff)$/.test(f.type))
    .map((picture) => ({ picture, caption: captions.get(stem(picture)) ?? null }));
}

/** A caption for a picture that the set has already. */
export interface LateCaption {
  caption: File;
  /** The picture's place in the set: "10_my cat/a.png". */
  file: string;
}

/** The text files that came without their pictures: those whose picture is in the set, in the folder for new pictures before
 * the others, and the names of the rest. */
export function lateCaptions(files: File[], set: { file: string; folder: string }[], folder: string): { found: LateCaption[]; lost: string[] } {
  const here = new Set(setFiles(files).map(({ caption }) => caption));
  const found: LateCaption[] = [];
  const lost: string[] = [];
  for (const caption of files.filter((file) => isCaption(file) && !here.has(file))) {
    const name = withoutEnding(caption.name);
    // A folder that was dropped says in which of the set's folders the picture lies.
    const said = caption.webkitRelativePath.split('/').at(-2);
    const twins = set.filter(({ file }) => withoutEnding(file.slice(file.indexOf('/') + 1)) === name);
    const picture = twins.find((p) => p.folder === said) ?? twins.find((p) => p.folder === folder) ?? twins[0];
    if (picture) found.push({ caption, file: picture.file });
    else lost.push(caption.name);
  }
  return { found, lost };
}
