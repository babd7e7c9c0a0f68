import { useEffect, useState } from 'preact/hooks';
import { api } from '../api/client';
import type { OutputFile } from '../api/schema';
import { Compare } from '../components/compare';
import { PictureDialog } from '../components/picture_dialog';
import { Empty, Failed, Loading } from '../components/states';
import { sentence } from '../lib/collection';
import type { Loaded } from '../lib/collection';
import { moveFocus } from '../lib/move_focus';
import { pictureSize } from '../lib/picture_file';
import { queue } from '../lib/queue';
import { routeUrl } from '../lib/route';
import { useStore } from '../lib/store';

const PAGE = 60;
const plainName = (file: OutputFile) => file.name.split('/').pop() ?? file.name;

/** All saved pictures, newest first; two of them can be laid on top of each other. */
export function ResultsPage() {
  const [loaded, setLoaded] = useState<Loaded<{ outputs: OutputFile[]; total: number }>>({ state: 'loading' });
  // By name, since new pictures push the others on.
  const [open, setOpen] = useState('');
  const [isPicking, setPicking] = useState(false);
  const [picked, setPicked] = useState<string[]>([]);
  const [wrong, setWrong] = useState('');
  const [limit, setLimit] = useState(PAGE);
  const done = useStore(queue).jobs.filter((job) => job.state === 'completed').length;
  const load = () =>
    api.outputs(limit, 0).then(
      (value) => setLoaded({ state: 'ready', value }),
      (error: unknown) => setLoaded((old) => (old.state === 'ready' ? old : { state: 'failed', sentence: sentence(error) })),
    );
  useEffect(() => void load(), [done, limit]);
  const list = loaded.state === 'ready' ? loaded.value.outputs : [];
  const total = loaded.state === 'ready' ? loaded.value.total : 0;
  const at = list.findIndex((entry) => entry.name === open);
  const file = list[at];
  const step = (by: number) => setOpen(list[Math.min(list.length - 1, Math.max(0, at + by))]?.name ?? '');
  const pair = picked.map((name) => list.find((entry) => entry.name === name)).filter((entry) => entry !== undefined);
  const remove = async (gone: OutputFile) => {
    if (!confirm(`Delete ${plainName(gone)}? This cannot be undone.`)) return;
    setWrong('');
    try {
      await api.deleteOutput(gone.name);
      setOpen(list[at + 1]?.name ?? list[at - 1]?.name ?? '');
      await load();
    } catch (error) {
      setWrong(sentence(error));
    }
  };
  return (
    <div class="results">
      <div class="page-head">
        <h1>Results</h1>
        {total > 0 && <span class="hint">{total}</span>}
        {total > 1 && (
          <button type="button" class="small" aria-pressed={isPicking} onClick={() => {
            setPicking(!isPicking);
            setPicked([]);
          }}>
            Compare two
          </button>
        )}
      </div>
      {isPicking && picked.length < 2 && <p class="hint" role="status">Select {picked.length === 0 ? 'two images' : 'one more image'}.</p>}
      {wrong && !file && <Failed sentence={wrong} />}
      {pair.length === 2 && <PickedPair key={picked.join()} pair={[pair[0]!, pair[1]!]} />}
      {loaded.state === 'loading' && <Loading what="images" />}
      {loaded.state === 'failed' && <Failed sentence={loaded.sentence} onRetry={() => void load()} />}
      {loaded.state === 'ready' && total === 0 && (
        <Empty title="No images yet"><p><a href={routeUrl('create')}>Generate the first one.</a> You can also drop an image anywhere on this page to read its generation parameters.</p></Empty>
      )}
      <ul class="gallery" onKeyDown={(e) => {
        if (moveFocus(e)) return;
        const name = (document.activeElement as HTMLElement).dataset['name'];
        const entry = list.find((l) => l.name === name);
        if (e.key === 'Delete' && entry) void remove(entry);
      }}>
        {list.map((entry) => (
          <li key={entry.name}>
            <button
              type="button" class="picture-button" aria-pressed={isPicking ? picked.includes(entry.name) : undefined} data-name={entry.name}
              onClick={() => {
                if (!isPicking) return setOpen(entry.name);
                setPicked((old) => (old.includes(entry.name) ? old.filter((p) => p !== entry.name) : [...old.slice(-1), entry.name]));
              }}
            >
              <img src={entry.url} alt={plainName(entry)} width={240} height={240} loading="lazy" />
            </button>
          </li>
        ))}
      </ul>
      {total > list.length && <button type="button" class="more" onClick={() => setLimit(limit + PAGE)}>Show more</button>}
      {file && (
        <PictureDialog
          picture={file.url} name={plainName(file)} onClose={() => setOpen('')}
          onKey={(key) => {
            if (key === 'ArrowRight') step(1);
            if (key === 'ArrowLeft') step(-1);
            if (key === 'Delete') void remove(file);
          }}
        >
          <a class="button small" href={file.url} download={plainName(file)}>Download</a>
          <button type="button" class="small danger" onClick={() => void remove(file)}>Delete</button>
          {wrong && <Failed sentence={wrong} />}
          <button type="button" class="small" disabled={at === 0} onClick={() => step(-1)}>Newer</button>
          <button type="button" class="small" disabled={at === list.length - 1} onClick={() => step(1)}>Older</button>
        </PictureDialog>
      )}
    </div>
  );
}

function PickedPair({ pair: [left, right] }: { pair: [OutputFile, OutputFile] }) {
  const [size, setSize] = useState<{ width: number; height: number } | null>(null);
  useEffect(() => void pictureSize(left.url).then(setSize, () => setSize({ width: 1, height: 1 })), [left.url]);
  if (!size) return <Loading what="both" />;
  return (
    <div class="picked">
      <Compare left={{ url: left.url, label: plainName(left) }} right={{ url: right.url, label: plainName(right) }} {...size} />
    </div>
  );
}
