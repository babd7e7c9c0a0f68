import { useEffect, useMemo, useState } from 'preact/hooks';
import { api } from '../api/client';
import { LoraChips } from '../components/lora_chips';
import { LoraSidebar } from '../components/lora_sidebar';
import { ModelNotice } from '../components/model_notice';
import { ExtrasFields } from '../components/extras_fields';
import { Parameters } from '../components/parameters';
import { PromptBox } from '../components/prompt_box';
import { SettingsNotice } from '../components/settings_notice';
import type { TakenSettings } from '../components/settings_notice';
import { SourcePicker } from '../components/source_picker';
import { Stage } from '../components/stage';
import { Check, Segments } from '../components/fields';
import { Failed } from '../components/states';
import { Icon } from '../components/icon';
import { checkpointName, choices, loras, ready, sentence, shortName, takenCheckpoint } from '../lib/collection';
import { change, fault, form, fromCard, isFirstVisit, requestOf, source, staleChoice } from '../lib/form';
import type { Form, Source } from '../lib/form';
import { pictureSize } from '../lib/picture_file';
import { plotCells, withoutLoras } from '../lib/plot';
import type { Axis } from '../lib/plot';
import { loraTags, networkName } from '../lib/prompt';
import type { Completion } from '../lib/prompt';
import { changeWhole, undoPrompt, useUndoAnywhere } from '../lib/prompt_undo';
import { asSentence, settingsOf } from '../lib/settings_text';
import { isUnfinished, queue, send, sent, watchQueue } from '../lib/queue';
import type { Sent } from '../lib/queue';
import { useStore } from '../lib/store';

const MODES = [
  { value: 'txt2img', label: 'txt2img' },
  { value: 'img2img', label: 'img2img' },
  { value: 'inpaint', label: 'Inpaint' },
  { value: 'extras', label: 'Extras' },
] as const;

const randomSeed = () => Math.floor(Math.random() * 4294967295);

/** Size of the picture that a form gives. */
async function sizeOf(f: Form, from: Source): Promise<{ width: number; height: number }> {
  const scale = f.mode === 'extras' ? f.upscaling_resize : f.mode === 'txt2img' && f.enable_hr ? f.hr_scale : 1;
  const { width, height } = f.mode === 'extras' ? await pictureSize(from.image) : f;
  return { width: width * scale, height: height * scale };
}

/** The words that a prompt box offers while writing. */
function useCompletions(): Completion[] {
  const cards = ready(useStore(loras));
  const all = ready(useStore(choices));
  return useMemo(() => {
    const list: Completion[] = [];
    for (const lora of cards ?? []) {
      const name = lora.tag_name;
      list.push({ kind: 'LoRA', label: name, insert: `<lora:${networkName(name)}:${lora.preferred_weight || 1}>`, detail: lora.type ?? lora.family });
      for (const word of lora.trigger_words) list.push({ kind: 'trigger', label: word, insert: word, detail: lora.name });
    }
    for (const name of all?.embeddings ?? []) list.push({ kind: 'embedding', label: name, insert: name, detail: '' });
    for (const style of all?.styles ?? []) list.push({ kind: 'style', label: style.name, insert: '', detail: style.prompt.slice(0, 40) });
    return list;
  }, [cards, all]);
}

/** Prompt, parameters and LoRAs on one side, the picture on the other. */
export function CreatePage() {
  const f = useStore(form);
  const from = useStore(source);
  const all = ready(useStore(choices));
  const cards = ready(useStore(loras));
  const jobs = useStore(queue);
  const notes = useStore(sent);
  const completions = useCompletions();
  const [wrong, setWrong] = useState('');
  const [shown, setShown] = useState('');
  const [isSending, setSending] = useState(false);
  const waiting = jobs.jobs.filter((job) => isUnfinished(job)).length;
  const tags = loraTags(f.prompt);
  const isExtras = f.mode === 'extras';
  const [taken, setTaken] = useState<TakenSettings | null>(null);
  useUndoAnywhere();

  useEffect(() => {
    const model = takenCheckpoint(all);
    if (model?.is_starter && model.card.settings && isFirstVisit()) change(fromCard(model.card.settings));
  }, [all]);

  /** Sends forms that belong together, all or none; one alone has no group. Gives what went wrong, '' nothing. */
  const sendAll = async (list: { form: Form; note: Partial<Sent> }[]): Promise<string> => {
    const problem = all && !all.model.taken && !isExtras ? 'No checkpoint available; see above.' : list.map((entry) => fault(entry.form, from) ?? (all ? staleChoice(entry.form, all) : null)).find(Boolean);
    if (problem) return problem;
    setSending(true);
    // Where the picture is not in sight, go and see it come.
    if (innerWidth <= 680) document.querySelector('.stage')?.scrollIntoView();
    const group = list.length > 1 ? `group-${Date.now()}` : undefined;
    const begun: string[] = [];
    const before = shown;
    let failure = '';
    try {
      for (const entry of list) {
        const { kind, request } = requestOf(entry.form, from);
        const size = await sizeOf(entry.form, from);
        const prompt = kind === 'extras' ? `${entry.form.upscaler_1}, ${entry.form.upscaling_resize}×` : entry.form.prompt;
        const job = await send(kind, request, { prompt, ...size, ...(group ? { group } : {}), ...entry.note });
        begun.push(job.id);
        setShown((old) => (list[0] === entry ? job.id : old));
      }
    } catch (error) {
      // Half of what belongs together is of no use to anybody.
      failure = sentence(error) + (begun.length > 0 ? ` None of the ${list.length} images was generated.` : '');
      setShown(before);
      await Promise.allSettled(begun.reverse().map((id) => api.cancel(id)));
      void watchQueue();
    }
    setSending(false);
    return failure;
  };
  const generate = () => {
    if (isSending) return;
    setWrong('');
    if (!f.compare || tags.length === 0 || isExtras) return void sendAll([{ form: f, note: {} }]).then(setWrong);
    const fixed: Form = { ...f, seed: f.seed === -1 ? randomSeed() : f.seed, n_iter: 1, batch_size: 1 };
    void sendAll([
      { form: { ...fixed, prompt: withoutLoras(f.prompt) }, note: { label: 'without LoRA' } },
      { form: fixed, note: { label: 'with LoRA' } },
    ]).then(setWrong);
  };
  /** Settings that were copied elsewhere and stand in a text now; false when the text holds none. */
  const takeSettings = async (text: string): Promise<boolean> => {
    try {
      const { parameters, lowrank } = await api.infotext(text);
      if (parameters['Prompt'] === undefined) return false;
      const { part, notes: said } = settingsOf(parameters, {
        samplers: all?.samplers ?? [], schedulers: all?.schedulers ?? [], upscalers: all?.upscalers ?? [], checkpoint: shortName(checkpointName(all)),
      });
      changeWhole({ ...part, mode: f.mode === 'extras' ? 'txt2img' : f.mode });
      setTaken({ text, notes: [...(lowrank?.notes ?? []).map(asSentence), ...said] });
      return true;
    } catch (error) {
      setWrong(`The parameters could not be read: ${sentence(error)}`);
      return false;
    }
  };
  const plot = async (x: Axis, y: Axis, z: Axis): Promise<string> => {
    try {
      const fixed = { ...f, seed: f.seed === -1 ? randomSeed() : f.seed };
      const cells = plotCells(fixed, x, y, z);
      return await sendAll(
        cells.map((cell) => ({
          form: cell.form,
          note: {
            label: [cell.x, cell.y, cell.z].filter(Boolean).join(', '),
            plot: { x: cell.x, y: cell.y, z: cell.z, xName: x.name, yName: y.name, zName: z.name },
          },
        })),
      );
    } catch (error) {
      return sentence(error);
    }
  };

  return (
    <div class="create">
      <div class="create-side">
      <form
        class="create-form" aria-label="Prompt and mode"
        onSubmit={(e) => {
          e.preventDefault();
          generate();
        }}
      >
        <h1 class="unseen">Create</h1>
        <Segments label="Mode" value={f.mode} choices={MODES} onChange={(mode) => change({ mode })} />
        {all && !isExtras && <ModelNotice all={all} form={f} />}
        {taken && (
          <SettingsNotice
            taken={taken} onClose={() => setTaken(null)}
            onUndo={() => {
              undoPrompt();
              setTaken(null);
            }}
          />
        )}
        {!isExtras && (
          <>
            <PromptBox
              label="Prompt" field="prompt" value={f.prompt} completions={completions} rows={4}
              placeholder="For example: a red fox in the snow" onSubmit={generate} onSettings={takeSettings}
              onStyle={(name) => change({ styles: [...new Set([...f.styles, name])] })}
            />
            {f.styles.length > 0 && (
              <ul class="styles" aria-label="Styles">
                {f.styles.map((name) => (
                  <li key={name}>
                    {name}
                    <button type="button" class="icon-button" aria-label={`Remove style ${name}`}
                      onClick={() => change({ styles: f.styles.filter((s) => s !== name) })}>
                      <Icon name="close" />
                    </button>
                  </li>
                ))}
              </ul>
            )}
            <LoraChips prompt={f.prompt} onPrompt={(prompt) => change({ prompt })} loras={cards} />
            <PromptBox
              label="Negative prompt" field="negative_prompt" value={f.negative_prompt} onSettings={takeSettings}
              completions={completions.filter((c) => c.kind !== 'LoRA')} rows={2} placeholder="What the image should not contain"
              onSubmit={generate} onStyle={(name) => change({ styles: [...new Set([...f.styles, name])] })}
            />
          </>
        )}
        {f.mode !== 'txt2img' && <SourcePicker withMask={f.mode === 'inpaint'} />}
        <div class="generate">
          <button type="submit" class="primary" disabled={isSending || !jobs.isOnline}>
            {isExtras ? 'Upscale' : 'Generate'}
            {waiting > 0 && <span class="count">{waiting} queued</span>}
          </button>
          {tags.length > 0 && !isExtras && <Check label="Compare with and without LoRA" value={f.compare} onChange={(compare) => change({ compare })} />}
          {wrong && <Failed sentence={wrong} />}
        </div>
      </form>
      <section class="create-settings" aria-label="Parameters">
        {isExtras ? <ExtrasFields form={f} /> : <Parameters form={f} onPlot={plot} />}
      </section>
      </div>
      <Stage jobs={jobs} notes={notes} shown={shown} onShow={setShown} />
      <LoraSidebar />
    </div>
  );
}
