import { useState } from 'preact/hooks';
import { loadLoras, loras, ready } from '../lib/collection';
import { change, form } from '../lib/form';
import { NO_FILTER } from '../lib/lora_filter';
import { useLoraSearch } from '../lib/lora_search';
import { addLora, loraTags, removeLora } from '../lib/prompt';
import { go, routeUrl } from '../lib/route';
import { useStore } from '../lib/store';
import type { ListedLora } from '../api/schema';
import { Icon } from './icon';
import { LoraCard } from './lora_card';
import { Empty, Failed, Loading } from './states';

/** Puts a LoRA into the prompt of Create's form, or takes it out again. */
export function useLoraToggle(): { isActive: (lora: ListedLora) => boolean; toggle: (lora: ListedLora) => void } {
  const { prompt } = useStore(form);
  const names = new Set(loraTags(prompt).map((tag) => tag.name));
  const isActive = (lora: ListedLora) => names.has(lora.tag_name) || names.has(lora.alias);
  return {
    isActive,
    toggle: (lora) => {
      const name = lora.tag_name;
      if (!isActive(lora)) return change({ prompt: addLora(prompt, name, lora.preferred_weight || 1, lora.trigger) });
      change({ prompt: removeLora(removeLora(prompt, name, lora.trigger), lora.alias, '') });
    },
  };
}

/** How many cards the sidebar beside the picture shows; the rest is on the LoRAs page. */
const SHELF = 60;

/** Says that what is shown was not what was written. */
export function NearWords({ text, near }: { text: string; near: string[] }) {
  if (near.length === 0) return null;
  return <p class="hint near-words" role="status">No results for “{text.trim()}”; showing results for {near.slice(0, 3).map((word) => `“${word}”`).join(' or ')}.</p>;
}

/** The LoRAs within reach while writing a prompt. */
export function LoraSidebar() {
  const loaded = useStore(loras);
  const { isActive, toggle } = useLoraToggle();
  const [text, setText] = useState('');
  const search = useLoraSearch({ ...NO_FILTER, text }, '', ready(loaded));
  const found = ready(search.list) ?? [];
  return (
    <aside class="shelf" aria-label="LoRAs">
      <div class="shelf-head">
        <h2>LoRAs</h2>
        <a href={routeUrl('loras')}>All {loaded.state === 'ready' ? loaded.value.length : ''}</a>
      </div>
      <label class="search">
        <Icon name="search" />
        <span class="unseen">Search LoRAs</span>
        <input type="search" placeholder="Search" value={text} onInput={(e) => setText(e.currentTarget.value)} />
      </label>
      {loaded.state === 'loading' && <Loading what="LoRAs" />}
      {loaded.state === 'failed' && <Failed sentence={loaded.sentence} onRetry={() => void loadLoras()} />}
      {loaded.state === 'ready' && loaded.value.length === 0 && (
        <Empty title="No LoRAs yet"><p>Copy .safetensors files to models/Lora, or <a href={routeUrl('loras')}>import one</a>.</p></Empty>
      )}
      {search.list.state === 'failed' && <Failed sentence={search.list.sentence} />}
      {search.list.state === 'ready' && text.trim() && found.length === 0 && <Empty title={`No results for “${text}”`} />}
      <NearWords text={text} near={search.near} />
      <ul class="cards">
        {found.slice(0, SHELF).map((lora) => (
          <LoraCard key={lora.relative} lora={lora} isActive={isActive(lora)} onToggle={() => toggle(lora)} onDetails={() => go('loras', lora.relative)} />
        ))}
      </ul>
      {found.length > SHELF && <p class="hint">{found.length - SHELF} more on the LoRAs page.</p>}
    </aside>
  );
}
