import { useEffect, useState } from 'preact/hooks';
import { api } from '../api/client';
import type { Imported, Job } from '../api/types';
import { sentence } from '../lib/collection';
import { isUnfinished, queue, send, sent, watchQueue } from '../lib/queue';
import { routeUrl } from '../lib/route';
import { useStore } from '../lib/store';
import { bytes, percent } from '../lib/words';
import { Failed } from './states';

/** Puts an import into the queue; what it is called there is its source. Throws ApiError. */
export const startImport = (source: string) => send('import', { source }, { prompt: source, width: 1, height: 1, label: source });

/** LoRAs by their address, and how far they have come. */
export function ImportPanel() {
  const jobs = useStore(queue).jobs.filter((job) => job.kind === 'import').slice(0, 6);
  const [source, setSource] = useState('');
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
          <label for="import-source">Address of the LoRA</label>
          <input id="import-source" type="text" required placeholder="https://civitai.com/models/…" value={source} onInput={(e) => setSource(e.currentTarget.value)} />
        </div>
        <button type="submit" class="primary">Import</button>
      </form>
      <p class="hint">A page of Civitai or Hugging Face, civitai:123@456, owner/repo, or a hash. Card and preview come along.</p>
      {wrong && <Failed sentence={wrong} />}
      {jobs.length > 0 && <ul class="imports" aria-label="Imports">{jobs.map((job) => <ImportRow key={job.id} job={job} />)}</ul>}
    </section>
  );
}

function ImportRow({ job }: { job: Job }) {
  const source = useStore(sent)[job.id]?.prompt ?? 'Import';
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
        {job.state === 'queued' && <span class="hint">waits</span>}
        {job.state === 'running' && <span class="hint">{p?.total_bytes ? `${bytes(p.bytes ?? 0)} of ${bytes(p.total_bytes)}` : 'asking …'}</span>}
        {job.state === 'cancelled' && <span class="hint">cancelled</span>}
        {isUnfinished(job) && <button type="button" class="small quiet" onClick={() => void attempt(() => api.cancel(job.id))}>Cancel<span class="unseen"> {source}</span></button>}
        {(job.state === 'failed' || job.state === 'cancelled') && source !== 'Import' && (
          <button type="button" class="small" onClick={() => void attempt(() => startImport(source))}>{job.state === 'failed' ? 'Try again' : 'Go on'}</button>
        )}
        {!isUnfinished(job) && (
          <button type="button" class="small quiet" onClick={() => void attempt(() => api.forget(job.id))}>Clear<span class="unseen"> {source}</span></button>
        )}
      </div>
      {job.state === 'running' && <progress value={p?.progress ?? 0} max={1} aria-label={`Progress of ${source}`}>{percent(p?.progress ?? 0)}</progress>}
      {imported.map((file) => (
        <p class="import-done" key={file.relative}>
          <a href={routeUrl('loras', file.relative)}>{file.name}</a> {file.state}
          {file.remarks.map((remark) => <span class="hint" key={remark}> {remark}</span>)}
        </p>
      ))}
      {job.state === 'failed' && <Failed sentence={job.error ?? 'The import failed.'} />}
      {wrong && <Failed sentence={wrong} />}
    </li>
  );
}
