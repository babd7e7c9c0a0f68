import { useEffect, useRef, useState } from 'preact/hooks';
import { form } from '../lib/form';
import { choices, ready } from '../lib/collection';
import { useKept } from '../lib/drafts';
import { AXES, MAX_CELLS, axisFaults, axisValues, example } from '../lib/plot';
import type { Axis, AxisName } from '../lib/plot';
import { useStore } from '../lib/store';
import { Select } from './fields';
import { Failed } from './states';

const NOTHING: Axis = { name: 'Nothing', values: '' };
const FIRST: Axes = [{ name: 'LoRA weight', values: '0-1 [3]' }, NOTHING, NOTHING];
type Axes = [Axis, Axis, Axis];

/** Chooses what an X/Y/Z plot varies; the pictures become jobs of their own in the queue. */
export function PlotPanel({ onPlot }: { onPlot: (x: Axis, y: Axis, z: Axis) => Promise<string> }) {
  const [kept, setAxes] = useKept<Axes>('plot', FIRST);
  // An older page may have kept the name of an axis that there is no longer.
  const axes = kept.map((axis) => (AXES.includes(axis.name) ? axis : NOTHING)) as Axes;
  const [refused, setRefused] = useState('');
  const place = useRef<HTMLDivElement>(null);
  // The panel lies at the end of the form, and what is wrong below it.
  useEffect(() => {
    if (refused) place.current?.scrollIntoView({ block: 'nearest' });
  }, [refused]);
  const all = ready(useStore(choices));
  const hasLora = /<lora:/i.test(useStore(form).prompt);
  const set = (i: number, axis: Axis) => {
    const next = axes.map((a, k) => (k === i ? axis : a)) as Axes;
    setAxes(next);
    setRefused('');
  };
  const faults = axes.flatMap((axis) => axisFaults(axis, { samplers: all?.samplers ?? [], schedulers: all?.schedulers ?? [] }));
  const count = faults.length > 0 ? 0 : axes.reduce((n, axis) => n * axisValues(axis).length, 1);
  if (count > MAX_CELLS) faults.push(`That is ${count} images; a plot can have at most ${MAX_CELLS}.`);
  if (!hasLora && axes.some((axis) => axis.name.startsWith('LoRA'))) faults.push('The prompt contains no LoRA to vary.');
  const wrong = faults.join(' ');
  return (
    <details class="plot-panel">
      <summary>X/Y/Z plot</summary>
      {axes.map((axis, i) => (
        <div class="pair" key={i}>
          <Select label={`${'XYZ'[i]} type`} value={axis.name} choices={AXES}
            onChange={(name) => set(i, { name: name as AxisName, values: example(name as AxisName) })} />
          <div class="field">
            <label for={`axis-${i}`}>{'XYZ'[i]} values</label>
            <input id={`axis-${i}`} type="text" value={axis.values} disabled={axis.name === 'Nothing' || axis.name === 'LoRA on/off'}
              onInput={(e) => set(i, { ...axis, values: e.currentTarget.value })} />
          </div>
        </div>
      ))}
      <div class="row">
        <button type="button" disabled={wrong !== '' || count < 2} onClick={() => void onPlot(...axes).then(setRefused)}>{count > 1 && wrong === '' ? `Plot ${count} images` : 'Plot'}</button>
        <span class={wrong ? 'plot-wrong' : 'hint'} role="status">{wrong || `Each image is saved separately; at most ${MAX_CELLS} images.`}</span>
      </div>
      <div ref={place}>{refused && <Failed sentence={refused} />}</div>
    </details>
  );
}
