import type { Size } from '../api/schema';
import { change } from '../lib/form';
import type { Form } from '../lib/form';
import { Select } from './fields';

const text = ({ width, height }: { width: number; height: number }) => `${width} × ${height}`;

/** The sizes in which the checkpoint draws well; any other can be typed. */
export function SizeChoice({ form, sizes }: { form: Form; sizes: Size[] }) {
  if (sizes.length === 0) return null;
  const isUsual = sizes.some((size) => text(size) === text(form));
  return (
    <Select
      label="Size" value={text(form)}
      choices={[...(isUsual ? [] : [{ value: text(form), label: `${text(form)} (custom)` }]), ...sizes.map(text)]}
      onChange={(chosen) => {
        const size = sizes.find((s) => text(s) === chosen);
        if (size) change({ width: size.width, height: size.height });
      }}
    />
  );
}
