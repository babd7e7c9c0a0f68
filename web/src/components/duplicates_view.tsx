import { useEffect, useState } from 'preact/hooks';
import { api } from '../api/client';
import type { LoraDuplicates, LoraFile } from '../api/schema';
import { sentence } from '../lib/collection';
import type { Loaded } from '../lib/collection';
import { routeUrl } from '../lib/route';
import { bytes } from '../lib/words';
import { Empty, Failed, Loading } from './states';

/** Files that are in the collection twice, and names that more than one file has. */
export function DuplicatesView() {
  const [loaded, setLoaded] = useState<Loaded<LoraDuplicates>>({ state: 'loading' });
  const [round, setRound] = useState(0);
  useEffect(() => {
    let isOld = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    api.duplicates().then(
      (value) => {
        if (isOld) return;
        setLoaded({ state: 'ready', value });
        // Files that may be the same are hashed in the meantime.
        if (value.pending > 0) timer = setTimeout(() => setRound(round + 1), 1000);
      },
      (error: unknown) => !isOld && setLoaded({ state: 'failed', sentence: sentence(error) }),
    );
    return () => {
      isOld = true;
      clearTimeout(timer);
    };
  }, [round]);
  if (loaded.state === 'loading') return <Loading what="duplicates" />;
  if (loaded.state === 'failed') return <Failed sentence={loaded.sentence} onRetry={() => setRound(round + 1)} />;
  const { duplicates, names, wasted_bytes, pending } = loaded.value;
  return (
    <section class="duplicates" aria-label="Duplicates">
      {pending > 0 && <p class="hint" role="status">Comparing {pending} more files …</p>}
      {pending === 0 && duplicates.length + names.length === 0 && <Empty title="No duplicates"><p>No two files contain the same LoRA, and no two LoRAs share a name.</p></Empty>}
      {duplicates.length > 0 && (
        <div class="block">
          <h2>Identical LoRAs <span class="hint">{bytes(wasted_bytes)} could be freed</span></h2>
          {duplicates.map((group) => (
            <div class="duplicate" key={group.files[0]?.relative}>
              <p class="hint">{group.same === 'file' ? 'Identical files' : 'Same weights, different metadata'}, {bytes(group.wasted_bytes)} wasted</p>
              <Files files={group.files} />
            </div>
          ))}
        </div>
      )}
      {names.length > 0 && (
        <div class="block">
          <h2>Name conflicts</h2>
          {names.map((entry) => (
            <div class="duplicate" key={entry.name}>
              <p><strong>{entry.name}</strong>{entry.winner && <span class="hint"> in a prompt refers to {entry.winner}</span>}</p>
              <Files files={entry.files} />
            </div>
          ))}
        </div>
      )}
    </section>
  );
}

function Files({ files }: { files: LoraFile[] }) {
  return (
    <ul class="plain">
      {files.map((file) => (
        <li key={file.file}>
          <a href={routeUrl('loras', file.relative)}>{file.file}</a>
          <span class="hint">{bytes(file.bytes)}, {new Date(file.time * 1000).toLocaleDateString()}</span>
        </li>
      ))}
    </ul>
  );
}
