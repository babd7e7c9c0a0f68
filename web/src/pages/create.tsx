import { useEffect, useMemo, useState } from 'preact/hooks';
import { LoraChips } from '../components/lora_chips';
import { LoraShelf } from '../components/lora_shelf';
import { ExtrasFields } from '../components/extras_fields';
import { Parameters } from '../components/parameters';
import { PromptBox } from '../components/prompt_box';
import { SourcePicker } from '../components/source_picker';
import { Stage } from '../components/stage';
import { Check, Segments } from '../components/fields';
import { Failed } from '../components/states';
import { Icon } from '../components/icon';
import { choices, loras, ready, sentence, tagName } from '../lib/collection';
import { STARTER_FORM, change, fault, form, isFirstVisit, requestOf, source } from '../lib/form';
import type { Form, Source } from '../lib/form';
import { pictureSize } from '../lib/picture_file';
import { plotCells, withoutLoras } from '../lib/plot';
import type { Axis } from '../lib/plot';
import { loraTags } from '../lib/prompt';
import type { Completion } from '../lib/prompt';
import { isUnfinished, queue, send, sent } from '../lib/queue';
import type { Sent } from '../lib/queue';
import { useStore } from '../lib/store';

const MODES = [
  { value: 'txt2img', label: 'Text' },
  { value: 'img2img', label: 'Image' },
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
      const name = tagName(cards!, lora);
      list.push({ kind: 'LoRA', label: name, insert: `<lora:${name}:${lora.preferred_weight || 1}>`, detail: lora.type ?? lora.family });
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

  useEffect(() => {
    if (all && isFirstVisit() && all.checkpoints.length === 1 && all.checkpoints[0]!.model_name === 'starter') change(STARTER_FORM);
  }, [all]);

  /** Sends forms that belong together; one alone has no group. */
  const sendAll = async (list: { form: Form; note: Partial<Sent> }[]) => {
    setWrong('');
    const problem = list.map((entry) => fault(entry.form, from)).find(Boolean);
    if (problem) return setWrong(problem);
    setSending(true);
    // Where the picture is not in sight, go and see it come.
    if (innerWidth <= 680) document.querySelector('.stage')?.scrollIntoView();
    const group = list.length > 1 ? `group-${Date.now()}` : undefined;
    try {
      for (const entry of list) {
        const { kind, request } = requestOf(entry.form, from);
        const size = await sizeOf(entry.form, from);
        const prompt = kind === 'extras' ? `${entry.form.upscaler_1}, ${entry.form.upscaling_resize} times larger` : entry.form.prompt;
        const job = await send(kind, request, { prompt, ...size, ...(group ? { group } : {}), ...entry.note });
        setShown((old) => (list[0] === entry ? job.id : old));
      }
    } catch (error) {
      setWrong(sentence(error));
    }
    setSending(false);
  };
  const generate = () => {
    if (isSending) return;
    if (!f.compare || tags.length === 0 || isExtras) return void sendAll([{ form: f, note: {} }]);
    const fixed: Form = { ...f, seed: f.seed === -1 ? randomSeed() : f.seed, n_iter: 1, batch_size: 1 };
    void sendAll([
      { form: { ...fixed, prompt: withoutLoras(f.prompt) }, note: { label: 'without LoRA' } },
      { form: fixed, note: { label: 'with LoRA' } },
    ]);
  };
  const plot = (x: Axis, y: Axis, z: Axis) => {
    try {
      const fixed = { ...f, seed: f.seed === -1 ? randomSeed() : f.seed };
      const cells = plotCells(fixed, x, y, z);
      void sendAll(
        cells.map((cell) => ({
          form: cell.form,
          note: {
            label: [cell.x, cell.y, cell.z].filter(Boolean).join(', '),
            plot: { x: cell.x, y: cell.y, z: cell.z, xName: x.name, yName: y.name, zName: z.name },
          },
        })),
      );
    } catch (error) {
      setWrong(sentence(error));
    }
  };

  return (
    <div class="create">
      <div class="create-side">
      <form
        class="create-form" aria-label="What to draw"
        onSubmit={(e) => {
          e.preventDefault();
          generate();
        }}
      >
        <h1 class="unseen">Create</h1>
        <Segments label="Start from" value={f.mode} choices={MODES} onChange={(mode) => change({ mode })} />
        {!isExtras && (
          <>
            <PromptBox
              label="Prompt" value={f.prompt} onChange={(prompt) => change({ prompt })} completions={completions} rows={4}
              placeholder="What to draw, for example: a red fox in the snow" onSubmit={generate}
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
              label="Negative prompt" value={f.negative_prompt} onChange={(negative_prompt) => change({ negative_prompt })}
              completions={completions.filter((c) => c.kind !== 'LoRA')} rows={2} placeholder="What to keep out of the picture"
              onSubmit={generate} onStyle={(name) => change({ styles: [...new Set([...f.styles, name])] })}
            />
          </>
        )}
        {f.mode !== 'txt2img' && <SourcePicker withMask={f.mode === 'inpaint'} />}
        <div class="generate">
          <button type="submit" class="primary" disabled={isSending || !jobs.isOnline}>
            {isExtras ? 'Make it larger' : 'Generate'}
            {waiting > 0 && <span class="count">{waiting} in the queue</span>}
          </button>
          {tags.length > 0 && !isExtras && <Check label="Also without LoRA, to compare" value={f.compare} onChange={(compare) => change({ compare })} />}
          {wrong && <Failed sentence={wrong} />}
        </div>
      </form>
      <section class="create-settings" aria-label="Parameters">
        {isExtras ? <ExtrasFields form={f} /> : <Parameters form={f} onPlot={plot} />}
      </section>
      </div>
      <Stage jobs={jobs} notes={notes} shown={shown} onShow={setShown} />
      <LoraShelf />
    </div>
  );
}
