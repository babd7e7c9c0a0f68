import { useMemo, useState } from 'preact/hooks';
import { lossRange, smoothed, ticks } from '../lib/training';
import type { Point } from '../lib/training';

interface Props {
  points: readonly Point[];
  /** Right end of the axis. */
  steps: number;
}

const number = (value: number) => (value >= 1 ? value.toFixed(2) : value.toPrecision(2));

/** How the loss falls: each step thin, and without the noise thick. A pointer over it reads values off. */
export function LossCurve({ points, steps }: Props) {
  const [at, setAt] = useState<number | null>(null);
  const smooth = useMemo(() => smoothed(points), [points]);
  const [low, high] = useMemo(() => lossRange(points, smooth), [points, smooth]);
  if (points.length < 2) return <p class="hint curve-none">The loss curve starts at step 2.</p>;
  const last = Math.max(steps, points[points.length - 1]![0]);
  const x = (step: number) => (step / last) * 100;
  const y = (loss: number) => 100 - ((Math.min(high, Math.max(low, loss)) - low) / (high - low)) * 100;
  const path = (list: readonly Point[]) => list.map(([step, loss], i) => `${i ? 'L' : 'M'}${x(step).toFixed(2)} ${y(loss).toFixed(2)}`).join('');
  const shown = at === null ? null : smooth[at];
  const [firstStep, firstLoss] = smooth[0]!;
  const [endStep, endLoss] = smooth[smooth.length - 1]!;
  return (
    <figure class="curve">
      <div class="curve-plot">
        {ticks(low, high).map((value) => (
          <span key={value} class="curve-tick" style={{ top: `${y(value)}%` }} aria-hidden="true">{number(value)}</span>
        ))}
        <svg
          viewBox="0 0 100 100" preserveAspectRatio="none" role="img"
          aria-label={`Loss, smoothed: ${number(firstLoss)} at step ${firstStep}, ${number(endLoss)} at step ${endStep}`}
          onPointerMove={(e) => {
            const box = e.currentTarget.getBoundingClientRect();
            const step = ((e.clientX - box.left) / box.width) * last;
            const nearest = smooth.reduce((best, point, i) => (Math.abs(point[0] - step) < Math.abs(smooth[best]![0] - step) ? i : best), 0);
            setAt(nearest);
          }}
          onPointerLeave={() => setAt(null)}
        >
          {ticks(low, high).map((value) => <path key={value} class="curve-grid" d={`M0 ${y(value)}H100`} />)}
          <path class="curve-raw" d={path(points)} />
          <path class="curve-line" d={path(smooth)} />
          {shown && <path class="curve-at" d={`M${x(shown[0])} 0V100`} />}
        </svg>
      </div>
      <figcaption>
        {shown ? `Step ${shown[0]}: loss ${number(shown[1])}` : `Loss ${number(endLoss)} at step ${endStep}`}
        <span>{last} steps</span>
      </figcaption>
    </figure>
  );
}
