import { choices, ready } from '../lib/collection';
import { extrasField } from '../lib/fields';
import { change } from '../lib/form';
import type { Form } from '../lib/form';
import { useStore } from '../lib/store';
import { Select, Slider } from './fields';

/** A1111's extras: how a finished picture is made larger. */
export function ExtrasFields({ form }: { form: Form }) {
  const upscalers = ready(useStore(choices))?.pictureUpscalers ?? [form.upscaler_1];
  return (
    <div class="parameters">
      <Select label="Upscaler" value={form.upscaler_1} choices={upscalers} onChange={(upscaler_1) => change({ upscaler_1 })} />
      <Slider label="Resize" value={form.upscaling_resize} field={extrasField('upscaling_resize')} onChange={(upscaling_resize) => change({ upscaling_resize })} />
      <Select label="Upscaler 2" value={form.upscaler_2} choices={['None', ...upscalers]}
        onChange={(upscaler_2) => change({ upscaler_2, extras_upscaler_2_visibility: form.extras_upscaler_2_visibility || 0.5 })} />
      {form.upscaler_2 !== 'None' && (
        <Slider label="Upscaler 2 visibility" value={form.extras_upscaler_2_visibility} field={extrasField('extras_upscaler_2_visibility')}
          onChange={(extras_upscaler_2_visibility) => change({ extras_upscaler_2_visibility })} />
      )}
      <p class="hint">Upscaler models (ESRGAN, .pth) go in models/ESRGAN in the data folder.</p>
    </div>
  );
}
