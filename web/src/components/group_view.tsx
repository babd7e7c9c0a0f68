import { api } from '../api/client';
import type { Job } from '../api/types';
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
  return (
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
                  const job = cells.find((c) => plotOf(c).x === x && plotOf(c).y === y && plotOf(c).z === z);
                  return (
                    <td key={x}>
                      {job && hasPicture(job) ? (
                        <button type="button" class="picture-button" onClick={() => onShow(job.id)}>
                          <img src={api.pictureUrl(job.id, 0)} alt={[x, y, z].filter(Boolean).join(', ')} width={first.width} height={first.height} loading="lazy" />
                        </button>
                      ) : (
                        <span class="plot-empty" title={job?.error ?? ''}>{job?.state ?? '–'}</span>
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
  );
}
