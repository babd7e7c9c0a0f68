import type { ComponentChildren } from 'preact';
import { useEffect, useId, useState } from 'preact/hooks';
import type { Field } from '../lib/fields';

interface NumberProps {
  label: string;
  value: number;
  onChange: (value: number) => void;
  /** Range and steps: a field of the server's, or a control's own. */
  field: Pick<Field, 'min' | 'max' | 'step'> & Partial<Pick<Field, 'from' | 'to'>>;
  /** Buttons inside the field's right end. */
  children?: ComponentChildren;
}

/** A number that is typed. Half-written text is left alone; what is out of range is put right when leaving. */
export function NumberField({ label, value, onChange, field: { min, max, step }, children }: NumberProps) {
  const id = useId();
  const [text, setText] = useState(String(value));
  useEffect(() => {
    if (Number(text) !== value || text === '') setText(String(value));
  }, [value]);
  const settle = () => {
    const number = Number(text);
    const next = text.trim() === '' || !Number.isFinite(number) ? value : Math.min(max, Math.max(min, number));
    setText(String(next));
    if (next !== value) onChange(next);
  };
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <div class="field-row">
        <input
          id={id} type="number" inputMode={step % 1 === 0 ? 'numeric' : 'decimal'} min={min} max={max} step={step} value={text}
          onInput={(e) => {
            setText(e.currentTarget.value);
            const number = Number(e.currentTarget.value);
            if (e.currentTarget.value !== '' && number >= min && number <= max) onChange(number);
          }}
          onBlur={settle}
        />
        {children}
      </div>
    </div>
  );
}

/** A number on a slider with a field beside it, which takes what the slider is too short for. */
export function Slider({ label, value, onChange, field }: NumberProps) {
  const id = useId();
  const { min, max, step, from = min, to = max } = field;
  return (
    <div class="slider">
      <label for={id}>{label}</label>
      <input
        class="slider-number" type="number" aria-label={`${label}, as a number`} min={min} max={max} step={step} value={value}
        onChange={(e) => {
          const number = Number(e.currentTarget.value);
          if (e.currentTarget.value !== '' && Number.isFinite(number)) onChange(Math.min(max, Math.max(min, number)));
          else e.currentTarget.value = String(value);
        }}
      />
      <input
        id={id} type="range" min={from} max={to} step={step} value={value}
        style={{ '--share': `${((Math.min(to, Math.max(from, value)) - from) / (to - from)) * 100}%` }}
        onInput={(e) => onChange(Number(e.currentTarget.value))}
      />
    </div>
  );
}

interface SelectProps {
  label: string;
  value: string;
  choices: readonly (string | { value: string; label: string })[];
  onChange: (value: string) => void;
  disabled?: boolean;
}

export function Select({ label, value, choices, onChange, disabled = false }: SelectProps) {
  const id = useId();
  const rows = choices.map((c) => (typeof c === 'string' ? { value: c, label: c } : c));
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <select id={id} value={value} disabled={disabled} onChange={(e) => onChange(e.currentTarget.value)}>
        {!rows.some((row) => row.value === value) && <option value={value}>{value ? `${value} (not available)` : '–'}</option>}
        {rows.map((row) => (
          <option key={row.value} value={row.value}>{row.label}</option>
        ))}
      </select>
    </div>
  );
}

export function Check({ label, value, onChange }: { label: string; value: boolean; onChange: (value: boolean) => void }) {
  return (
    <label class="check">
      <input type="checkbox" checked={value} onChange={(e) => onChange(e.currentTarget.checked)} />
      <span>{label}</span>
    </label>
  );
}

/** One of a few, all in sight. */
export function Segments<T extends string>(props: {
  label: string; value: T; choices: readonly { value: T; label: string }[]; onChange: (value: T) => void;
}) {
  const name = useId();
  return (
    <fieldset class="segments">
      <legend class="unseen">{props.label}</legend>
      {props.choices.map((choice) => (
        <label key={choice.value}>
          <input
            type="radio" name={name} value={choice.value} checked={choice.value === props.value}
            onChange={() => props.onChange(choice.value)}
          />
          <span>{choice.label}</span>
        </label>
      ))}
    </fieldset>
  );
}
