import { useState } from 'preact/hooks';
import { rescanModels, sentence } from '../lib/collection';
import { useKept } from '../lib/drafts';
import { queue, sent } from '../lib/queue';
import { useStore } from '../lib/store';
import { ImportRow, startImport } from './import_panel';
import { Failed } from './states';

/** A checkpoint that anybody may fetch without an account, and how large it is. */
const SD15 = { source: 'stable-diffusion-v1-5/stable-diffusion-v1-5:v1-5-pruned-emaonly.safetensors', name: 'Stable Diffusion 1.5', size: '4.3 GB' };

/** Two ways to a real checkpoint: the server downloads one, or the user copies a file to the folder and rescans. */
export function CheckpointImport({ folder, isNeeded }: { folder: string; isNeeded: boolean }) {
  const notes = useStore(sent);
  const jobs = useStore(queue).jobs.filter((job) => job.kind === 'import' && notes[job.id]?.importKind === 'checkpoint').slice(0, 3);
  const [source, setSource] = useKept('checkpoint-import', SD15.source);
  const [isOpen, setOpen] = useState(isNeeded || jobs.some((job) => job.state !== 'completed'));
  const [message, setMessage] = useState('');
  const [wrong, setWrong] = useState('');
  const attempt = async (act: () => Promise<string>) => {
    try {
      setMessage(await act());
      setWrong('');
    } catch (error) {
      setWrong(sentence(error));
    }
  };
  const start = () => attempt(async () => {
    await startImport(source.trim(), 'checkpoint');
    return '';
  });
  return (
    <details class="checkpoint-import" open={isOpen} onToggle={(e) => setOpen(e.currentTarget.open)}>
      <summary>Get a checkpoint</summary>
      <div class="field">
        <label for="checkpoint-source">Checkpoint URL</label>
        <input
          id="checkpoint-source" type="text" value={source} onInput={(e) => setSource(e.currentTarget.value)}
          onKeyDown={(e) => {
            // It stands inside the form of the prompt, which Enter must not send.
            if (e.key !== 'Enter') return;
            e.preventDefault();
            void start();
          }}
        />
      </div>
      <div class="row">
        <button type="button" class="small" disabled={source.trim() === ''} onClick={() => void start()}>Import checkpoint</button>
        {source !== SD15.source && <button type="button" class="small quiet" onClick={() => setSource(SD15.source)}>Reset to {SD15.name}</button>}
      </div>
      <p class="hint">
        {source === SD15.source ? `${SD15.name}, ${SD15.size}, from Hugging Face. ` : 'A Civitai or Hugging Face URL, civitai:123@456, or owner/repo:file. '}
        It must be a Stable Diffusion 1.x, 2.x or SDXL checkpoint. The download resumes if it is interrupted.
      </p>
      {jobs.length > 0 && <ul class="imports" aria-label="Checkpoint imports">{jobs.map((job) => <ImportRow key={job.id} job={job} />)}</ul>}
      <p class="hint">Without internet access, copy a .safetensors file to <code>{folder}</code> and rescan.</p>
      <div class="row">
        <button
          type="button" class="small"
          onClick={() => void navigator.clipboard.writeText(folder).then(() => setMessage('Folder path copied.'), () => setMessage('The browser blocked copying.'))}
        >
          Copy folder path
        </button>
        <button type="button" class="small" onClick={() => void attempt(rescanModels)}>Rescan models</button>
        <span class="hint" role="status">{message}</span>
      </div>
      {wrong && <Failed sentence={wrong} />}
    </details>
  );
}
