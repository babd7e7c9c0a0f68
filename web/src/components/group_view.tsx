import { useState } from 'preact/hooks';
import { api, jobError } from '../api/client';
import type { Job } from '../api/schema';
import { sentence } from '../lib/collection';
import { plotPicture } from '../lib/plot_picture';
import type { Sheet } from '../lib/plot_picture';
import { hasPicture, sent } from '../lib/queue';
import { useStore } from '../lib/store';
import { Compare } from './compare';

const unique = (list: string[]) => [...new Set(list)];

/** Jobs that belong together: the two sides of a comparison, or the cells of a plot. */
export function GroupView({ jobs, onShow }: { jobs: Job[]; onShow: (id: string) => void }) {
  const notes = useStore(sent);
  const cells = [...jobs].sort((a, b) => a.created - b.created);
  const first = notes[cells[0]!.id]!;
  if (!first.plot) {
    const [left, right] = cells;
    if (left?.state === 'completed' && right?.state === 'completed')
      return (
        <Compare
          left={{ url: api.pictureUrl(left.id, 0), label: notes[left.id]?.label ?? '' }}
          right={{ url: api.pictureUrl(right.id, 0), label: notes[right.id]?.label ?? '' }}
          width={first.width} height={first.height}
        />
      );
    return null;
  }
  const plotOf = (job: Job) => notes[job.id]!.plot!;
  const xs = unique(cells.map((job) => plotOf(job).x));
  const ys = unique(cells.map((job) => plotOf(job).y));
  const zs = unique(cells.map((job) => plotOf(job).z));
  const cellOf = (x: string, y: string, z: string) => cells.find((c) => plotOf(c).x === x && plotOf(c).y === y && plotOf(c).z === z);
  const { xName, yName, zName } = first.plot;
  const sheets = (): Sheet[] => zs.map((z) => ({
    title: z && `${zName}: ${z}`,
    xs: xs.map((x) => x && `${xName}: ${x}`),
    ys: ys.map((y) => y && `${yName}: ${y}`),
    urls: ys.map((y) => xs.map((x) => {
      const job = cellOf(x, y, z);
      return job && hasPicture(job) ? api.pictureUrl(job.id, 0) : null;
    })),
  }));
  return (
    <>
    <div class="plot" tabIndex={0} role="region" aria-label="Plot">
      {zs.map((z) => (
        <table key={z}>
          {z && <caption>{first.plot!.zName}: {z}</caption>}
          <thead>
            <tr>
              <td />
              {xs.map((x) => (x ? <th key={x} scope="col">{first.plot!.xName}: {x}</th> : <td key={x} />))}
            </tr>
          </thead>
          <tbody>
            {ys.map((y) => (
              <tr key={y}>
                {y ? <th scope="row">{first.plot!.yName}: {y}</th> : <td />}
                {xs.map((x) => {
                  const job = cellOf(x, y, z);
                  return (
                    <td key={x}>
                      {job && hasPicture(job) ? (
                        <button type="button" class="picture-button" onClick={() => onShow(job.id)}>
                          <img src={api.pictureUrl(job.id, 0)} alt={[x, y, z].filter(Boolean).join(', ')} width={first.width} height={first.height} loading="lazy" />
                        </button>
                      ) : (
                        <span class="plot-empty" title={job ? jobError(job) : ''}>{job?.state ?? '–'}</span>
                      )}
                    </td>
                  );
                })}
              </tr>
            ))}
          </tbody>
        </table>
      ))}
    </div>
    {cells.some(hasPicture) && <SavePlot sheets={sheets} width={first.width} height={first.height} />}
    </>
  );
}

/** The whole plot with its words as one file; its pictures are saved each for itself as they are drawn. */
function SavePlot({ sheets, width, height }: { sheets: () => Sheet[]; width: number; height: number }) {
  const [message, setMessage] = useState('');
  const save = async () => {
    try {
      const { picture, scale } = await plotPicture(sheets(), { width, height });
      const link = document.createElement('a');
      link.href = URL.createObjectURL(picture);
      link.download = `plot-${Date.now()}.png`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
      setMessage(scale < 1 ? `The plot was too large and was saved at ${Math.round(scale * 100)} % of its size.` : '');
    } catch (error) {
      setMessage(sentence(error));
    }
  };
  return (
    <div class="row actions">
      <button type="button" class="small" onClick={() => void save()}>Save plot as one image</button>
      <span class="hint" role="status">{message}</span>
    </div>
  );
}
