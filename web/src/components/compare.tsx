import { useId, useState } from 'preact/hooks';

interface Side {
  url: string;
  label: string;
}

/** Two pictures on top of each other with a line between them that is moved by mouse, finger or arrow keys. */
export function Compare({ left, right, width, height }: { left: Side; right: Side; width: number; height: number }) {
  const id = useId();
  const [share, setShare] = useState(50);
  return (
    <div class="compare" style={{ aspectRatio: `${width} / ${height}`, '--share': `${share}%` }}>
      <img src={right.url} alt={right.label} />
      <img class="compare-left" src={left.url} alt={left.label} />
      <span class="compare-label compare-label-left" aria-hidden="true">{left.label}</span>
      <span class="compare-label compare-label-right" aria-hidden="true">{right.label}</span>
      <span class="compare-line" aria-hidden="true" />
      <label class="unseen" for={id}>Share shown of “{left.label}”, in percent</label>
      <input id={id} type="range" min={0} max={100} value={share} onInput={(e) => setShare(Number(e.currentTarget.value))} />
    </div>
  );
}
