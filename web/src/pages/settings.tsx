import { useEffect, useState } from 'preact/hooks';
import { api } from '../api/client';
import { ModelChoice } from '../components/parameters';
import { Check, NumberField, Segments, Select } from '../components/fields';
import { Failed, Loading } from '../components/states';
import { choices, loadChoices, rescanModels, sentence, setOptions } from '../lib/collection';
import { bodyField } from '../lib/fields';
import { THEMES, theme } from '../lib/theme';
import type { Theme } from '../lib/theme';
import { useStore } from '../lib/store';
import { bytes } from '../lib/words';

const QUALITY = bodyField('POST /sdapi/v1/options', 'jpeg_quality');

/** Looks of the page, the model, and the server's options that a person changes. */
export function SettingsPage() {
  const loaded = useStore(choices);
  const look = useStore(theme);
  // Beside what was pressed.
  const [wrong, setWrong] = useState({ at: '', text: '' });
  const says = (at: string) => wrong.at === at && wrong.text && <Failed sentence={wrong.text} />;
  const [ram, setRam] = useState<{ used: number; total: number } | null>(null);
  const [rescanned, setRescanned] = useState('');
  const [version, setVersion] = useState('');
  const look_at_memory = () => api.memory().then((m) => setRam(m.ram), () => setRam(null));
  useEffect(() => {
    void look_at_memory();
    api.health().then((h) => setVersion(h.version), () => setVersion(''));
  }, []);
  const set = async (options: Parameters<typeof setOptions>[0], at = 'pictures') => {
    try {
      await setOptions(options);
      setWrong({ at: '', text: '' });
    } catch (error) {
      setWrong({ at, text: sentence(error) });
    }
  };
  const options = loaded.state === 'ready' ? loaded.value.options : null;
  const text = (name: string) => String(options?.[name] ?? '');
  const flag = (name: string) => options?.[name] === true;
  return (
    <div class="settings narrow">
      <div class="page-head"><h1>Settings</h1></div>
      <section class="block">
        <h2>Appearance</h2>
        <Segments label="Theme" value={look} choices={THEMES} onChange={(value: Theme) => theme.set(value)} />
      </section>
      {loaded.state === 'loading' && <Loading what="settings" />}
      {loaded.state === 'failed' && <Failed sentence={loaded.sentence} onRetry={() => void loadChoices()} />}
      {loaded.state === 'ready' && (
        <>
          <section class="block">
            <h2>Model</h2>
            {loaded.value.checkpoints.length === 0 && <Failed sentence={`No checkpoint found. Copy one to ${loaded.value.model.folder}.`} />}
            <ModelChoice />
            <div class="row">
              <button type="button" class="small" onClick={() => void rescanModels().then(setRescanned, (e: unknown) => setWrong({ at: 'model', text: sentence(e) }))}>Rescan models</button>
              <button type="button" class="small" onClick={() => void api.unload().then(look_at_memory, (e: unknown) => setWrong({ at: 'model', text: sentence(e) }))}>Unload model</button>
              {rescanned && <span class="hint" role="status">{rescanned}</span>}
              {ram && <span class="hint">Server memory: {bytes(ram.used)} of {bytes(ram.total)}.</span>}
            </div>
            {says('model')}
          </section>
          <section class="block">
            <h2>Saved images</h2>
            <div class="pair">
              <Select label="File format" value={text('samples_format')} choices={['png', 'jpg', 'webp']} onChange={(v) => void set({ samples_format: v })} />
              <NumberField label="JPEG/WebP quality" value={Number(text('jpeg_quality')) || Number(QUALITY.standard)} field={QUALITY} onChange={(v) => void set({ jpeg_quality: v })} />
            </div>
            <Check label="Save generation parameters in the image metadata" value={flag('enable_pnginfo')} onChange={(v) => void set({ enable_pnginfo: v })} />
            <Check label="Save generation parameters in a text file as well" value={flag('save_txt')} onChange={(v) => void set({ save_txt: v })} />
            <div class="pair">
              <Select label="VAE decoder" value={text('sd_vae_decode_method')} choices={['Full', 'TAESD']} onChange={(v) => void set({ sd_vae_decode_method: v })} />
              <Select label="VAE encoder" value={text('sd_vae_encode_method')} choices={['Full', 'TAESD']} onChange={(v) => void set({ sd_vae_encode_method: v })} />
            </div>
            <Check label="Show live previews" value={flag('live_previews_enable')} onChange={(v) => void set({ live_previews_enable: v })} />
            <Select label="Preview method" value={text('show_progress_type')} choices={['Approx NN', 'Approx cheap', 'TAESD', 'Full']} onChange={(v) => void set({ show_progress_type: v })} />
            <Check label="Show a grid for batches" value={flag('return_grid')} onChange={(v) => void set({ return_grid: v })} />
            {says('pictures')}
          </section>
          <section class="block">
            <h2>Prompts</h2>
            <div class="pair">
              <Select label="Emphasis mode" value={text('emphasis')} choices={['Original', 'No norm', 'Ignore', 'None']} onChange={(v) => void set({ emphasis: v }, 'prompts')} />
              <Select label="RNG source" value={text('randn_source')} choices={['GPU', 'CPU', 'NV']} onChange={(v) => void set({ randn_source: v }, 'prompts')} />
            </div>
            {says('prompts')}
          </section>
        </>
      )}
      <section class="block">
        <h2>Keyboard shortcuts</h2>
        <dl class="facts">
          <dt><kbd>Ctrl</kbd> <kbd>Enter</kbd></dt><dd>Generate</dd>
          <dt><kbd>Ctrl</kbd> <kbd>↑</kbd> <kbd>↓</kbd></dt><dd>Change the weight of the word, the selection or the LoRA tag</dd>
          <dt><kbd>&lt;</kbd></dt><dd>Complete a LoRA name</dd>
          <dt><kbd>Ctrl</kbd> <kbd>Z</kbd>, <kbd>Ctrl</kbd> <kbd>Y</kbd></dt><dd>Undo, redo: changes of the prompt, including those made by cards and weights</dd>
          <dt><kbd>←</kbd> <kbd>→</kbd> <kbd>Delete</kbd></dt><dd>Results: next or previous image; delete</dd>
          <dt><kbd>Enter</kbd></dt><dd>Train: save the caption and go to the next one</dd>
        </dl>
      </section>
      <p class="hint">{version} · <a href="/docs">API</a></p>
    </div>
  );
}
