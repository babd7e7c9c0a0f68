/** One sheet of a plot: `urls` by row and column, null where there is no picture. */
export interface Sheet {
  title: string;
  xs: string[];
  ys: string[];
  urls: (string | null)[][];
}

const LINE = 26;
const GAP = 8;
/** Browsers draw no larger canvas: pixels along one side. */
const LONGEST = 12000;

export interface Layout {
  left: number;
  top: number;
  width: number;
  height: number;
  /** At most 1: how much smaller the cells are drawn, so that the whole can be drawn at all. */
  scale: number;
}

/** Where the cells of a plot go, one sheet below the other, with room for the words beside them. */
export function layout(sheets: Pick<Sheet, 'title' | 'xs' | 'ys'>[], cell: { width: number; height: number }, widest: number): Layout {
  const columns = Math.max(...sheets.map((sheet) => sheet.xs.length));
  const rows = sheets.reduce((n, sheet) => n + sheet.ys.length, 0);
  const lines = sheets.reduce((n, sheet) => n + (sheet.title ? 1 : 0) + (sheet.xs.some(Boolean) ? 1 : 0), 0);
  const left = widest > 0 ? widest + 2 * GAP : GAP;
  const most = (length: number, count: number, rest: number) => (LONGEST - rest - count * GAP) / (count * length);
  const scale = Math.min(1, most(cell.width, columns, left), most(cell.height, rows, lines * LINE + GAP));
  return {
    left, top: GAP, scale,
    width: Math.ceil(left + columns * (cell.width * scale + GAP)),
    height: Math.ceil(GAP + lines * LINE + rows * (cell.height * scale + GAP)),
  };
}

const load = (url: string) =>
  new Promise<HTMLImageElement>((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = () => reject(new Error('One of the images is no longer available on the server.'));
    image.src = url;
  });

/** All sheets as one PNG, as A1111 saves its grids. Throws Error when a picture is gone. */
export async function plotPicture(sheets: Sheet[], cell: { width: number; height: number }): Promise<{ picture: Blob; scale: number }> {
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d')!;
  const font = '16px sans-serif';
  context.font = font;
  const widest = Math.max(0, ...sheets.flatMap((sheet) => sheet.ys.map((y) => (y ? context.measureText(y).width : 0))));
  const { left, top, width, height, scale } = layout(sheets, cell, widest);
  Object.assign(canvas, { width, height });
  context.fillStyle = '#fff';
  context.fillRect(0, 0, width, height);
  context.font = font;
  context.textBaseline = 'middle';
  const [w, h] = [cell.width * scale, cell.height * scale];
  let y = top;
  const write = (text: string, x: number, middle: number, align: CanvasTextAlign, most?: number) => {
    context.fillStyle = '#111';
    context.textAlign = align;
    context.fillText(text, x, middle, most);
  };
  for (const sheet of sheets) {
    if (sheet.title) {
      write(sheet.title, width / 2, y + LINE / 2, 'center');
      y += LINE;
    }
    if (sheet.xs.some(Boolean)) {
      sheet.xs.forEach((text, i) => write(text, left + i * (w + GAP) + w / 2, y + LINE / 2, 'center', w));
      y += LINE;
    }
    for (const [row, urls] of sheet.urls.entries()) {
      write(sheet.ys[row] ?? '', left - GAP, y + h / 2, 'right');
      for (const [column, url] of urls.entries()) if (url) context.drawImage(await load(url), left + column * (w + GAP), y, w, h);
      y += h + GAP;
    }
  }
  const picture = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, 'image/png'));
  if (!picture) throw new Error('The plot is too large to save as one image.');
  return { picture, scale };
}
