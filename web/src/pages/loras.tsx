import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { LoraCard } from '../components/lora_card';
import { LoraPanel } from '../components/lora_panel';
import { useLoraToggle } from '../components/lora_shelf';
import { Check, Select } from '../components/fields';
import { Icon } from '../components/icon';
import { Empty, Failed, Loading } from '../components/states';
import { findLora, loadLoras, loras, ready } from '../lib/collection';
import { form } from '../lib/form';
import { keep, readKept } from '../lib/kept';
import { NO_FILTER, TYPES, filterLoras, visibleRange } from '../lib/lora_filter';
import type { LoraFilter } from '../lib/lora_filter';
import { loraTags } from '../lib/prompt';
import { go, route, routeUrl } from '../lib/route';
import { useStore } from '../lib/store';

/** The collection: search, filters, cards, and a panel about the chosen one. */
export function LorasPage() {
  const loaded = useStore(loras);
  const { item } = useStore(route);
  const { prompt } = useStore(form);
  const [filter, setFilter] = useState<LoraFilter>({ ...NO_FILTER, ...readKept('filter', {}) });
  const set = (part: Partial<LoraFilter>) => setFilter((old) => ({ ...old, ...part }));
  useEffect(() => keep('filter', filter), [filter]);
  const list = ready(loaded);
  const found = useMemo(() => (list ? filterLoras(list, filter) : []), [list, filter]);
  const families = useMemo(() => [...new Set((list ?? []).map((l) => l.family).filter(Boolean))].sort(), [list]);
  const chosen = item && list ? findLora(list, item) ?? list.find((l) => l.relative === item) : undefined;
  const missing = list ? [...new Set(loraTags(prompt).map((t) => t.name).filter((name) => !findLora(list, name)))] : [];
  const isFiltered = filter.text || filter.type || filter.family || filter.onlyFitting;
  return (
    <div class={chosen ? 'loras loras-open' : 'loras'}>
      <div class="loras-main">
        <div class="page-head">
          <h1>LoRAs</h1>
          {list && <span class="hint">{found.length === list.length ? `${list.length}` : `${found.length} of ${list.length}`}</span>}
          <a class="button primary small to-create" href={routeUrl('create')}>To the prompt ({loraTags(prompt).length} active)</a>
        </div>
        <div class="filters" role="search">
          <label class="search">
            <Icon name="search" />
            <span class="unseen">Search by name, trigger word or tag</span>
            <input type="search" placeholder="Name or trigger word" value={filter.text} onInput={(e) => set({ text: e.currentTarget.value })} />
          </label>
          <Select label="Type" value={filter.type} onChange={(type) => set({ type })}
            choices={[{ value: '', label: 'All types' }, ...TYPES.map((t) => ({ value: t as string, label: t })), { value: 'other', label: 'other' }]} />
          <Select label="Family" value={filter.family} onChange={(family) => set({ family })}
            choices={[{ value: '', label: 'All families' }, ...families.map((f) => ({ value: f, label: f }))]} />
          <Select label="Order" value={filter.order} onChange={(order) => set({ order: order as LoraFilter['order'] })}
            choices={[{ value: 'name', label: 'Name' }, { value: 'newest', label: 'Newest' }, { value: 'rating', label: 'Rating' }]} />
          <Check label="Fits this program" value={filter.onlyFitting} onChange={(onlyFitting) => set({ onlyFitting })} />
        </div>
        {missing.map((name) => (
          <div class="notice notice-bad" key={name}>
            <Icon name="warning" />
            <p>The prompt asks for <strong>{name}</strong>, which is not in the collection.</p>
          </div>
        ))}
        {loaded.state === 'loading' && <Loading what="LoRAs" />}
        {loaded.state === 'failed' && <Failed sentence={loaded.sentence} onRetry={() => void loadLoras()} />}
        {list && list.length === 0 && <Empty title="No LoRAs yet"><p>Put .safetensors files into models/Lora of the data folder; they appear here by themselves.</p></Empty>}
        {list && list.length > 0 && found.length === 0 && (
          <Empty title="No LoRA matches">{isFiltered && <button type="button" onClick={() => setFilter(NO_FILTER)}>Clear the filters</button>}</Empty>
        )}
        {found.length > 0 && <Grid list={found} />}
      </div>
      {chosen && <LoraPanel key={chosen.relative} card={chosen} onClose={() => go('loras')} />}
    </div>
  );
}

const CARD_HEIGHT = 304;

/** A grid that draws only the cards in sight, so that ten thousand scroll like ten. */
function Grid({ list }: { list: ReturnType<typeof filterLoras> }) {
  const grid = useRef<HTMLDivElement>(null);
  const { isActive, toggle } = useLoraToggle();
  const [view, setView] = useState({ columns: 4, top: 0, height: 1200 });
  useEffect(() => {
    let frame = 0;
    const look = () => {
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(() => {
        const box = grid.current?.getBoundingClientRect();
        if (!box) return;
        // The same as the style sheet's grid: columns of at least 150 pixels, 12 between.
        const columns = Math.max(1, Math.floor((box.width + 12) / 162));
        setView((old) => {
          const next = { columns, top: Math.max(0, -box.top), height: innerHeight };
          const isSame = old.columns === columns && Math.abs(old.top - next.top) < CARD_HEIGHT / 2 && old.height === next.height;
          return isSame ? old : next;
        });
      });
    };
    look();
    addEventListener('scroll', look, { passive: true });
    const sizes = new ResizeObserver(look);
    if (grid.current) sizes.observe(grid.current);
    return () => {
      removeEventListener('scroll', look);
      sizes.disconnect();
      cancelAnimationFrame(frame);
    };
  }, []);
  const { from, to, before, after } = visibleRange(list.length, view.columns, CARD_HEIGHT, view.top, view.height);
  return (
    <div ref={grid} class="grid">
      <div style={{ height: `${before}px` }} />
      <ul class="cards cards-fixed" style={{ gridTemplateColumns: `repeat(${view.columns}, minmax(0, 1fr))` }}>
        {list.slice(from, to).map((lora) => (
          <LoraCard key={lora.relative} lora={lora} isActive={isActive(lora)} onToggle={() => toggle(lora)} onDetails={() => go('loras', lora.relative)} />
        ))}
      </ul>
      <div style={{ height: `${after}px` }} />
    </div>
  );
}
