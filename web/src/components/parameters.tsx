import { useState } from 'preact/hooks';
import type { Checkpoint, Img2imgRequest } from '../api/schema';
import { api } from '../api/client';
import { checkpointLabel, checkpointName, choices, loadChoices, loadLoras, ready, sentence, setOptions, takenCheckpoint } from '../lib/collection';
import { imageField, textField } from '../lib/fields';
import { DEFAULTS, change } from '../lib/form';
import type { Form } from '../lib/form';
import { useStore } from '../lib/store';
import { Check, NumberField, Select, Slider } from './fields';
import type { Axis } from '../lib/plot';
import { Icon } from './icon';
import { PlotPanel } from './plot_panel';
import { SizeChoice } from './size_choice';
import { SubfamilyField } from './subfamily_field';
import { Failed } from './states';

/** The model that the next pictures are made with: options of the server, so they hold for all its clients. */
export function ModelChoice() {
  const all = ready(useStore(choices));
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState('');
  const taken = takenCheckpoint(all);
  const set = async (options: Parameters<typeof setOptions>[0]) => {
    setBusy(true);
    try {
      await setOptions(options);
      setWrong('');
    } catch (error) {
      setWrong(sentence(error));
    }
    setBusy(false);
  };
  return (
    <div class="model-choice">
      <div class="pair">
        <Select
          label="Checkpoint" disabled={busy || !all} value={checkpointName(all)}
          choices={(all?.checkpoints ?? []).map((c) => ({ value: c.title, label: checkpointLabel(c) }))}
          onChange={(title) => void set({ sd_model_checkpoint: title })}
        />
        <Select
          label="VAE" disabled={busy || !all} value={String(all?.options['sd_vae'] ?? 'Automatic')}
          choices={['Automatic', 'None', ...(all?.vaes ?? [])]} onChange={(vae) => void set({ sd_vae: vae })}
        />
      </div>
      {busy && <p class="hint" role="status">Loading model …</p>}
      {taken && <AboutCheckpoint checkpoint={taken} onWrong={setWrong} />}
      {wrong && <Failed sentence={wrong} />}
    </div>
  );
}

/** Of what kind a checkpoint is, and the user's word on it. The starter model is the program's own. */
function AboutCheckpoint({ checkpoint, onWrong }: { checkpoint: Checkpoint; onWrong: (sentence: string) => void }) {
  if (checkpoint.is_starter || !checkpoint.family) return null;
  const edit = async (subfamily: string) => {
    try {
      await api.editCheckpoint(checkpoint.name, { subfamily });
      await Promise.all([loadChoices(), loadLoras()]);
      onWrong('');
    } catch (error) {
      onWrong(sentence(error));
    }
  };
  return (
    <details>
      <summary>{[checkpoint.family, checkpoint.subfamily].filter(Boolean).join(', ')}, draws {checkpoint.native_size} × {checkpoint.native_size}</summary>
      <SubfamilyField
        family={checkpoint.family} name={checkpoint.subfamily} origin={checkpoint.subfamily_origin} reason={checkpoint.subfamily_reason}
        conflict={checkpoint.subfamily_conflict} onChange={(subfamily) => void edit(subfamily)}
      />
    </details>
  );
}

/** The choices of a field for whose numbers A1111 has words. */
const numbered = (name: keyof Img2imgRequest) => imageField(name).labels.map((label, i) => ({ value: String(i), label }));

/** A1111's parameters; the rarer ones behind folds. */
export function Parameters({ form, onPlot }: { form: Form; onPlot: (x: Axis, y: Axis, z: Axis) => Promise<string> }) {
  const all = ready(useStore(choices));
  const isImage = form.mode !== 'txt2img';
  // One checkpoint is no choice: then it stands with the rarer things.
  const hasModels = (all?.checkpoints.length ?? 0) > 1;
  return (
    <div class="parameters">
      {hasModels && <ModelChoice />}
      <SizeChoice form={form} sizes={takenCheckpoint(all)?.sizes ?? []} />
      <div class="pair">
        <NumberField label="Width" value={form.width} field={textField('width')} onChange={(width) => change({ width })} />
        <NumberField label="Height" value={form.height} field={textField('height')} onChange={(height) => change({ height })}>
          <button type="button" class="icon-button" aria-label="Swap width and height" title="Swap width and height"
            onClick={() => change({ width: form.height, height: form.width })}>
            <Icon name="swap" />
          </button>
        </NumberField>
      </div>
      <Slider label="Sampling steps" value={form.steps} field={textField('steps')} onChange={(steps) => change({ steps })} />
      <Slider label="CFG Scale" value={form.cfg_scale} field={textField('cfg_scale')} onChange={(cfg_scale) => change({ cfg_scale })} />
      {isImage && (
        <Slider label="Denoising strength" value={form.denoising_strength} field={textField('denoising_strength')}
          onChange={(denoising_strength) => change({ denoising_strength })} />
      )}
      <div class="pair">
        <NumberField label="Seed" value={form.seed} field={textField('seed')} onChange={(seed) => change({ seed })}>
          <button type="button" class="icon-button" aria-label="Random seed" title="Random seed" onClick={() => change({ seed: DEFAULTS.seed })}>
            <Icon name="dice" />
          </button>
        </NumberField>
        <Select label="Sampling method" value={form.sampler_name} choices={all?.samplers ?? [form.sampler_name]}
          onChange={(sampler_name) => change({ sampler_name })} />
      </div>
      <div class="pair">
        <NumberField label="Batch count" value={form.n_iter} field={textField('n_iter')} onChange={(n_iter) => change({ n_iter })} />
        <NumberField label="Batch size" value={form.batch_size} field={textField('batch_size')} onChange={(batch_size) => change({ batch_size })} />
      </div>
      {form.mode === 'inpaint' && (
        <details open>
          <summary>Inpaint</summary>
          <div class="pair">
            <Select label="Masked content" value={String(form.inpainting_fill)}
              choices={numbered('inpainting_fill')}
              onChange={(v) => change({ inpainting_fill: Number(v) })} />
            <Select label="Inpaint area" value={form.inpaint_full_res ? '1' : '0'} choices={numbered('inpaint_full_res')}
              onChange={(v) => change({ inpaint_full_res: v === '1' })} />
          </div>
          <Slider label="Mask blur" value={form.mask_blur} field={imageField('mask_blur')} onChange={(mask_blur) => change({ mask_blur })} />
          {form.inpaint_full_res && (
            <Slider label="Only masked padding, pixels" value={form.inpaint_full_res_padding} field={imageField('inpaint_full_res_padding')}
              onChange={(inpaint_full_res_padding) => change({ inpaint_full_res_padding })} />
          )}
          <Check label="Inpaint not masked" value={form.inpainting_mask_invert}
            onChange={(inpainting_mask_invert) => change({ inpainting_mask_invert })} />
        </details>
      )}
      {!isImage && (
        <details open={form.enable_hr}>
          <summary>Hires. fix {form.enable_hr && <span class="tag-on">on</span>}</summary>
          <Check label="Enable Hires. fix" value={form.enable_hr} onChange={(enable_hr) => change({ enable_hr })} />
          {form.enable_hr && (
            <>
              <Select label="Upscaler" value={form.hr_upscaler} choices={all?.upscalers ?? [form.hr_upscaler]}
                onChange={(hr_upscaler) => change({ hr_upscaler })} />
              <Slider label="Upscale by" value={form.hr_scale} field={textField('hr_scale')} onChange={(hr_scale) => change({ hr_scale })} />
              <Slider label="Hires steps (0 = same as sampling steps)" value={form.hr_second_pass_steps} field={textField('hr_second_pass_steps')}
                onChange={(hr_second_pass_steps) => change({ hr_second_pass_steps })} />
              <Slider label="Denoising strength" value={form.denoising_strength} field={textField('denoising_strength')}
                onChange={(denoising_strength) => change({ denoising_strength })} />
              <p class="hint">{Math.floor((form.width * form.hr_scale) / 8) * 8} × {Math.floor((form.height * form.hr_scale) / 8) * 8} pixels</p>
            </>
          )}
        </details>
      )}
      {hasModels && (
        <details open={form.refiner_checkpoint !== ''}>
          <summary>Refiner {form.refiner_checkpoint && <span class="tag-on">on</span>}</summary>
          <Select label="Refiner checkpoint" value={form.refiner_checkpoint} onChange={(refiner_checkpoint) => change({ refiner_checkpoint })}
            choices={[{ value: '', label: 'None' }, ...(all?.checkpoints ?? []).filter((c) => !c.problem).map((c) => ({ value: c.name, label: checkpointLabel(c) }))]} />
          {form.refiner_checkpoint && (
            <Slider label="Switch at" value={form.refiner_switch_at} field={textField('refiner_switch_at')}
              onChange={(refiner_switch_at) => change({ refiner_switch_at })} />
          )}
        </details>
      )}
      <details>
        <summary>More</summary>
        {!hasModels && <ModelChoice />}
        <div class="pair">
          <Select label="Schedule type" value={form.scheduler} choices={all?.schedulers ?? [form.scheduler]}
            onChange={(scheduler) => change({ scheduler })} />
          <NumberField label="Clip skip" value={form.clip_skip} field={textField('clip_skip')} onChange={(clip_skip) => change({ clip_skip })} />
        </div>
        {isImage && (
          <Select label="Resize mode" value={String(form.resize_mode)}
            choices={numbered('resize_mode')}
            onChange={(v) => change({ resize_mode: Number(v) })} />
        )}
        <div class="pair">
          <NumberField label="Variation seed" value={form.subseed} field={textField('subseed')} onChange={(subseed) => change({ subseed })} />
          <NumberField label="Variation strength" value={form.subseed_strength} field={textField('subseed_strength')}
            onChange={(subseed_strength) => change({ subseed_strength })} />
        </div>
        <Select label="Precision" value={form.precision ?? ''} choices={[{ value: '', label: 'As set on the server' }, { value: 'float32', label: 'float32 (exact)' }, { value: 'bf16', label: 'bf16 (faster, where the processor can)' },
          { value: 'int8', label: 'int8 (fastest; the server needs --int8)' }]}
          onChange={(precision) => change({ precision: precision || undefined })} />
        <Check label="Tiling (seamless edges)" value={form.tiling} onChange={(tiling) => change({ tiling })} />
      </details>
      <PlotPanel onPlot={onPlot} />
    </div>
  );
}
