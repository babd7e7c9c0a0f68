import { useEffect, useState } from 'preact/hooks';
import { api, jobError } from '../api/client';
import type { Job } from '../api/schema';
import { sentence } from '../lib/collection';
import { change } from '../lib/form';
import type { Form } from '../lib/form';
import { hasPicture, isDrawing, isUnfinished } from '../lib/queue';
import type { Queue, Sent } from '../lib/queue';
import { routeUrl } from '../lib/route';
import { duration, title } from '../lib/words';
import { ApplyReport } from './apply_report';
import { GroupView } from './group_view';
import { JobProgressView, QueueList, useResult } from './job_view';
import { useAsSource } from './source_picker';
import { Empty, Failed, Loading } from './states';

interface Props {
  jobs: Queue;
  notes: Record<string, Sent>;
  /** Id of the chosen job; '' for the one that runs, or else the newest. */
  shown: string;
  onShow: (id: string) => void;
}

/** Where the picture appears: the running job, what came of it, and a strip of the last ones. */
export function Stage({ jobs, notes, shown, onShow }: Props) {
  const drawings = jobs.jobs.filter(isDrawing);
  const running = drawings.find((job) => job.state === 'running');
  const job = drawings.find((j) => j.id === shown) ?? running ?? drawings.find(hasPicture) ?? drawings[0] ?? null;
  const group = job ? notes[job.id]?.group : undefined;
  const members = group ? drawings.filter((j) => notes[j.id]?.group === group) : [];
  // Of one that waits there is nothing to see yet.
  const active = job && isUnfinished(job) ? (job.state === 'queued' && running) || job : members.find((j) => j.state === 'running') ?? null;
  // A comparison speaks of the side with the LoRAs.
  const told = members.find((j) => notes[j.id]?.label === 'with LoRA' && j.state === 'completed') ?? job;
  const finished = drawings.filter(hasPicture).slice(0, 24);
  // Two sides can be laid on each other only when both are whole; a plot stands by itself.
  const isPlot = Boolean(job && notes[job.id]?.plot);
  const isPair = members.length > 1 && !isPlot && members.every((j) => j.state === 'completed');
  return (
    <section class="stage" aria-label="Image">
      <p class="unseen" aria-live="polite">
        {job?.state === 'completed' ? 'Image ready.' : job?.state === 'failed' ? `Failed: ${jobError(job)}` : ''}
      </p>
      {!jobs.isLoaded && <Loading what="images" />}
      {jobs.isLoaded && !job && (
        <Empty title="Your image appears here">
          <p>Enter a prompt, add LoRAs if you like, then press Generate.</p>
        </Empty>
      )}
      {active && <JobProgressView key={active.id} job={active} />}
      {members.length > 1 && <GroupView jobs={members} onShow={onShow} />}
      {told && job && !active && <Ended key={told.id} job={isPair ? told : job} isGrouped={isPair} />}
      <QueueList jobs={drawings} shown={job?.id ?? ''} onShow={onShow} />
      {finished.length > 1 && (
        <ul class="strip" aria-label="Recent images">
          {finished.map((j) => (
            <li key={j.id}>
              <button type="button" class="picture-button" aria-current={j.id === job?.id ? 'true' : undefined} onClick={() => onShow(j.id)}>
                <img src={api.pictureUrl(j.id, 0)} alt={title(notes[j.id]?.prompt ?? 'Image')} width={72} height={72} loading="lazy" />
              </button>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function Ended({ job, isGrouped }: { job: Job; isGrouped: boolean }) {
  const result = useResult(job);
  const [index, setIndex] = useState(0);
  const [copied, setCopied] = useState(false);
  const [wrong, setWrong] = useState('');
  const send = (mode: Form['mode']) => void useAsSource(url, mode).then(() => setWrong(''), (error: unknown) => setWrong(sentence(error)));
  useEffect(() => {
    setIndex(0);
    setCopied(false);
  }, [job.id]);
  if (job.state === 'failed') return <Failed sentence={jobError(job) || 'The job failed.'} />;
  if (job.state === 'cancelled' && job.pictures === 0) return <Empty title="Cancelled">{jobError(job) && !jobError(job).startsWith('cancelled') && <p>{jobError(job)}</p>}</Empty>;
  if (job.state === 'completed' && !job.has_result)
    return <Empty title="This result is no longer available"><p>Saved images are in <a href={routeUrl('results')}>Results</a>.</p></Empty>;
  const info = result.state === 'ready' ? result.value : null;
  const at = Math.min(index, Math.max(0, job.pictures - 1));
  const url = api.pictureUrl(job.id, at);
  const infotext = info?.infotexts[at] ?? '';
  const seed = info?.all_seeds[Math.max(0, at - (info.index_of_first_image || 0))];
  return (
    <div class="ended">
      {job.state === 'cancelled' && <p class="hint">Cancelled: partial image.</p>}
      {!isGrouped && job.pictures > 0 && (
        <a class="main-picture" href={url} target="_blank" rel="noreferrer">
          <img src={url} alt={title(info?.prompt ?? '')} />
        </a>
      )}
      {job.pictures > 1 && (
        <div class="strip">
          {Array.from({ length: job.pictures }, (_, i) => (
            <button key={i} type="button" class="picture-button" aria-current={i === at ? 'true' : undefined} onClick={() => setIndex(i)}>
              <img src={api.pictureUrl(job.id, i)} alt={`Image ${i + 1}`} width={72} height={72} loading="lazy" />
            </button>
          ))}
        </div>
      )}
      {job.pictures > 0 && (
        <div class="row actions">
          <a class="button small" href={url} download={`lowrank-${seed ?? job.id}.png`}>Download</a>
          <button type="button" class="small" disabled={seed === undefined} onClick={() => seed !== undefined && change({ seed })}>Reuse seed</button>
          <button type="button" class="small" onClick={() => send('img2img')}>Send to img2img</button>
          <button type="button" class="small" onClick={() => send('inpaint')}>Send to inpaint</button>
          <button type="button" class="small" onClick={() => send('extras')}>Send to extras</button>
          <button type="button" class="small" disabled={!infotext}
            onClick={() => void navigator.clipboard.writeText(infotext).then(() => setCopied(true), () => setCopied(false))}>
            {copied ? 'Copied' : 'Copy parameters'}
          </button>
        </div>
      )}
      {wrong && <Failed sentence={wrong} />}
      {result.state === 'failed' && <Failed sentence={result.sentence} />}
      {info && <ApplyReport info={info.lowrank} />}
      {infotext && (
        <details class="infotext">
          <summary>
            Parameters · seed {seed} {job.started && job.finished ? `· took ${duration(job.finished - job.started)}` : ''}
          </summary>
          <pre>{infotext}</pre>
        </details>
      )}
    </div>
  );
}
