import { useEffect, useState } from 'preact/hooks';
import { api, jobError } from '../api/client';
import type { Imported, Job } from '../api/schema';
import { checkpointName, choices, ready, sentence, setOptions, shortName } from '../lib/collection';
import { isUnfinished, queue, send, sent, watchQueue } from '../lib/queue';
import { useKept } from '../lib/drafts';
import { routeUrl } from '../lib/route';
import { useStore } from '../lib/store';
import { bytes, percent } from '../lib/words';
import { Failed } from './states';

/** Puts an import into the queue; what it is called there is its source. `kind`: what the file is, where its site does not
 * tell. Throws ApiError. */
export const startImport = (source: string, kind = 'lora') =>
  send('import', kind === 'lora' ? { source } : { source, kind }, { prompt: source, width: 1, height: 1, label: source, importKind: kind });

/** LoRAs by their address, and how far they have come. */
export function ImportPanel() {
  const notes = useStore(sent);
  const jobs = useStore(queue).jobs.filter((job) => job.kind === 'import' && notes[job.id]?.importKind !== 'checkpoint').slice(0, 6);
  const [source, setSource] = useKept('import', '');
  const [wrong, setWrong] = useState('');
  return (
    <section class="block import" aria-label="Import">
      <form
        class="import-form"
        onSubmit={async (e) => {
          e.preventDefault();
          try {
            await startImport(source.trim());
            setSource('');
            setWrong('');
          } catch (error) {
            setWrong(sentence(error));
          }
        }}
      >
        <div class="field">
          <label for="import-source">LoRA URL</label>
          <input id="import-source" type="text" required placeholder="https://civitai.com/models/…" value={source} onInput={(e) => setSource(e.currentTarget.value)} />
        </div>
        <button type="submit" class="primary">Import</button>
      </form>
      <p class="hint">A Civitai or Hugging Face URL, civitai:123@456, owner/repo, or a hash. Metadata and preview are imported too.</p>
      {wrong && <Failed sentence={wrong} />}
      {jobs.length > 0 && <ul class="imports" aria-label="Imports">{jobs.map((job) => <ImportRow key={job.id} job={job} />)}</ul>}
    </section>
  );
}

export function ImportRow({ job }: { job: Job }) {
  const note = useStore(sent)[job.id];
  const source = note?.prompt ?? 'Import';
  const checkpoint = checkpointName(ready(useStore(choices)));
  const [wrong, setWrong] = useState('');
  const [imported, setImported] = useState<Imported[]>([]);
  useEffect(() => {
    if (job.state === 'completed') api.result(job.id).then((result) => setImported(result.imported ?? []), () => setImported([]));
  }, [job.id, job.state]);
  const attempt = (act: () => Promise<unknown>) => act().then(() => setWrong(''), (error: unknown) => setWrong(sentence(error))).then(watchQueue);
  const p = job.progress;
  return (
    <li>
      <div class="import-line">
        <span class="import-source">{p?.file || source}</span>
        {job.state === 'queued' && <span class="hint">queued</span>}
        {job.state === 'running' && <span class="hint">{p?.total_bytes ? `${bytes(p.bytes ?? 0)} of ${bytes(p.total_bytes)}` : 'connecting …'}</span>}
        {job.state === 'cancelled' && <span class="hint">cancelled</span>}
        {isUnfinished(job) && <button type="button" class="small quiet" onClick={() => void attempt(() => api.cancel(job.id))}>Cancel<span class="unseen"> {source}</span></button>}
        {(job.state === 'failed' || job.state === 'cancelled') && source !== 'Import' && (
          <button type="button" class="small" onClick={() => void attempt(() => startImport(source, note?.importKind))}>{job.state === 'failed' ? 'Retry' : 'Resume'}</button>
        )}
        {!isUnfinished(job) && (
          <button type="button" class="small quiet" onClick={() => void attempt(() => api.forget(job.id))}>Clear<span class="unseen"> {source}</span></button>
        )}
      </div>
      {job.state === 'running' && <progress value={p?.progress ?? 0} max={1} aria-label={`Progress of ${source}`}>{percent(p?.progress ?? 0)}</progress>}
      {imported.map((file) => (
        <p class="import-done" key={file.relative}>
          {file.kind === 'lora' ? <a href={routeUrl('loras', file.relative)}>{file.name}</a> : file.name} {file.state}
          {file.kind === 'checkpoint' && shortName(checkpoint) !== file.name && (
            <button type="button" class="small" onClick={() => void attempt(() => setOptions({ sd_model_checkpoint: file.name }))}>Use this checkpoint</button>
          )}
          {file.remarks.map((remark) => <span class="hint" key={remark}> {remark}</span>)}
        </p>
      ))}
      {job.state === 'failed' && <Failed sentence={jobError(job) || 'The import failed.'} />}
      {wrong && <Failed sentence={wrong} />}
    </li>
  );
}
