import { useEffect, useRef, useState } from 'preact/hooks';
import { Icon } from './components/icon';
import { PictureDialog } from './components/picture_dialog';
import { loadChoices, loadLoras } from './lib/collection';
import { dropTarget } from './lib/drop_target';
import { isUnfinished, queue, watchQueue } from './lib/queue';
import { PAGES, route, routeUrl } from './lib/route';
import { useStore } from './lib/store';
import { CreatePage } from './pages/create';
import { LorasPage } from './pages/loras';
import { ResultsPage } from './pages/results';
import { SettingsPage } from './pages/settings';
import { TrainPage } from './pages/train';

const NAMES = { create: 'Create', loras: 'LoRAs', results: 'Results', train: 'Train', settings: 'Settings' } as const;
const VIEWS = { create: CreatePage, loras: LorasPage, results: ResultsPage, train: TrainPage, settings: SettingsPage };

const DOING: Record<string, string> = { txt2img: 'Generating', img2img: 'Generating', extras: 'Upscaling', train: 'Training', import: 'Importing' };

/** The frame: navigation, whether the server is there, and pictures dropped anywhere. */
export function App() {
  const { page } = useStore(route);
  const { isOnline, isLoaded, jobs } = useStore(queue);
  const wasOnline = useRef(true);
  const main = useRef<HTMLElement>(null);
  useEffect(() => {
    void loadChoices();
    void loadLoras();
    void watchQueue();
    const look = () => {
      if (document.hidden) return;
      void watchQueue();
      void loadLoras();
      void loadChoices();
    };
    document.addEventListener('visibilitychange', look);
    return () => document.removeEventListener('visibilitychange', look);
  }, []);
  useEffect(() => {
    // Files may have come and gone while the server was away.
    if (isOnline && !wasOnline.current) {
      void loadChoices();
      void loadLoras();
    }
    wasOnline.current = isOnline;
  }, [isOnline]);
  // A view begins at its top, not where the last one was left.
  useEffect(() => scrollTo(0, 0), [page]);
  const running = jobs.find((job) => job.state === 'running');
  useEffect(() => {
    const share = running?.progress ? `${Math.round(running.progress.progress * 100)} % · ` : '';
    document.title = `${share}${NAMES[page]} · LowRank`;
  }, [page, jobs]);
  // An import or a training that has ended has brought a file.
  const brought = jobs.filter((job) => (job.kind === 'import' || job.kind === 'train') && job.state === 'completed').length;
  useEffect(() => {
    if (brought === 0) return;
    void loadLoras();
    void loadChoices();
  }, [brought]);
  const View = VIEWS[page];
  const busy = jobs.some(isUnfinished);
  return (
    <>
      <a class="skip" href="#main" onClick={(e) => {
        e.preventDefault();
        main.current?.focus();
      }}>Skip to content</a>
      <header class="top">
        <a class="brand" href={routeUrl('create')}>
          <img src="/icon.svg" alt="" width={28} height={28} />
          <span>LowRank</span>
        </a>
        <nav aria-label="Pages">
          {PAGES.map((name) => (
            <a key={name} href={routeUrl(name)} aria-current={name === page ? 'page' : undefined}>
              <Icon name={name} />
              <span>{NAMES[name]}</span>
            </a>
          ))}
        </nav>
        <span class={isOnline ? (busy ? 'presence presence-busy' : 'presence') : 'presence presence-off'} role="status">
          {!isOnline ? 'Disconnected' : busy ? DOING[running?.kind ?? 'txt2img'] ?? 'Working' : isLoaded ? 'Ready' : 'Connecting'}
        </span>
      </header>
      {!isOnline && (
        <div class="notice notice-bad offline" role="alert">
          <Icon name="warning" />
          <p>The server cannot be reached. The page reconnects automatically; your input is kept.</p>
        </div>
      )}
      <main id="main" ref={main} tabIndex={-1}>
        <View />
      </main>
      <DropAnywhere />
    </>
  );
}

/** A picture dropped or pasted anywhere is opened with its settings, unless the page has a use of its own for it. */
function DropAnywhere() {
  const target = useStore(dropTarget);
  const [file, setFile] = useState<File | null>(null);
  const [isOver, setOver] = useState(false);
  useEffect(() => {
    const take = (list: FileList | undefined | null) => {
      const files = [...(list ?? [])];
      const pictures = files.filter((f) => f.type.startsWith('image/'));
      const own = dropTarget.get();
      if (own) own.take(files);
      else if (pictures[0]) setFile(pictures[0]);
      return pictures.length > 0;
    };
    const over = (e: DragEvent) => {
      if (![...(e.dataTransfer?.types ?? [])].includes('Files')) return;
      e.preventDefault();
      setOver(true);
    };
    const leave = (e: DragEvent) => {
      if (e.relatedTarget === null) setOver(false);
    };
    const drop = (e: DragEvent) => {
      setOver(false);
      if (take(e.dataTransfer?.files)) e.preventDefault();
    };
    const paste = (e: ClipboardEvent) => {
      if (take(e.clipboardData?.files)) e.preventDefault();
    };
    addEventListener('dragover', over);
    addEventListener('dragleave', leave);
    addEventListener('drop', drop);
    addEventListener('paste', paste);
    return () => {
      removeEventListener('dragover', over);
      removeEventListener('dragleave', leave);
      removeEventListener('drop', drop);
      removeEventListener('paste', paste);
    };
  }, []);
  return (
    <>
      {isOver && <div class="drop-cover" aria-hidden="true">{target?.words ?? 'Drop the image to read its generation parameters'}</div>}
      {file && <PictureDialog key={file.name + file.lastModified} picture={file} name={file.name} onClose={() => setFile(null)} />}
    </>
  );
}
