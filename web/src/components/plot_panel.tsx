import { useState } from 'preact/hooks';
import { form } from '../lib/form';
import { AXES, axisValues, example } from '../lib/plot';
import type { Axis, AxisName } from '../lib/plot';
import { useStore } from '../lib/store';
import { Select } from './fields';

const NOTHING: Axis = { name: 'Nothing', values: '' };

/** Chooses what an X/Y/Z plot varies; the pictures become jobs of their own in the queue. */
export function PlotPanel({ onPlot }: { onPlot: (x: Axis, y: Axis, z: Axis) => void }) {
  const [axes, setAxes] = useState<[Axis, Axis, Axis]>([{ name: 'LoRA weight', values: '0-1 [3]' }, NOTHING, NOTHING]);
  const hasLora = /<lora:/i.test(useStore(form).prompt);
  const set = (i: number, axis: Axis) => setAxes((old) => old.map((a, k) => (k === i ? axis : a)) as [Axis, Axis, Axis]);
  let count = 0;
  let wrong = '';
  try {
    count = axes.reduce((n, axis) => n * axisValues(axis).length, 1);
  } catch (error) {
    wrong = (error as Error).message;
  }
  if (!hasLora && axes.some((axis) => axis.name.startsWith('LoRA'))) wrong = 'The prompt has no LoRA whose weight could vary.';
  return (
    <details class="plot-panel">
      <summary>X/Y/Z plot</summary>
      {axes.map((axis, i) => (
        <div class="pair" key={i}>
          <Select label={`${'XYZ'[i]} type`} value={axis.name} choices={AXES}
            onChange={(name) => set(i, { name: name as AxisName, values: example(name as AxisName) })} />
          <div class="field">
            <label for={`axis-${i}`}>{'XYZ'[i]} values</label>
            <input id={`axis-${i}`} type="text" value={axis.values} disabled={axis.name === 'Nothing' || axis.name === 'LoRA on and off'}
              onInput={(e) => set(i, { ...axis, values: e.currentTarget.value })} />
          </div>
        </div>
      ))}
      <div class="row">
        <button type="button" disabled={wrong !== '' || count < 2} onClick={() => onPlot(...axes)}>Make {count > 1 ? `${count} pictures` : 'the plot'}</button>
        <span class="hint" role="status">{wrong}</span>
      </div>
    </details>
  );
}
