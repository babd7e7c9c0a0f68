import { useEffect, useMemo, useState } from 'preact/hooks';
import { api } from '../api/client';
import type { LoraFacets } from '../api/schema';
import { CardGrid } from '../components/card_grid';
import { DuplicatesView } from '../components/duplicates_view';
import { Check, Select } from '../components/fields';
import { Icon } from '../components/icon';
import { ImportPanel } from '../components/import_panel';
import { NearWords } from '../components/lora_sidebar';
import { LoraPanel } from '../components/lora_panel';
import { MissingList } from '../components/missing_list';
import { Empty, Failed, Loading } from '../components/states';
import { checkpointName, choices, findLora, loadLoras, loras, ready, shortName } from '../lib/collection';
import { form } from '../lib/form';
import { useKept } from '../lib/drafts';
import { readKept } from '../lib/kept';
import { NO_FILTER, TYPES, isFiltered } from '../lib/lora_filter';
import type { LoraFilter } from '../lib/lora_filter';
import { useLoraSearch } from '../lib/lora_search';
import { loraTags } from '../lib/prompt';
import { useUndoAnywhere } from '../lib/prompt_undo';
import { isUnfinished, queue } from '../lib/queue';
import { go, route, routeUrl } from '../lib/route';
import { useStore } from '../lib/store';

/** The collection: search, filters, cards, imports, duplicates, and a panel about the chosen one. */
export function LorasPage() {
  useUndoAnywhere();
  const loaded = useStore(loras);
  const { item } = useStore(route);
  const { prompt } = useStore(form);
  const checkpoint = checkpointName(ready(useStore(choices)));
  const isImportOn = useStore(queue).jobs.some((job) => job.kind === 'import' && isUnfinished(job));
  const [filter, setFilter] = useKept<LoraFilter>('filter', NO_FILTER);
  const [isImporting, setImporting] = useState(isImportOn || readKept('import', '') !== '');
  const [isDeduping, setDeduping] = useState(false);
  const [facets, setFacets] = useState<LoraFacets | null>(null);
  const set = (part: Partial<LoraFilter>) => setFilter((old) => ({ ...old, ...part }));
  const list = ready(loaded);
  const { list: found, near } = useLoraSearch(filter, checkpoint, list);
  useEffect(() => void api.loraFacets().then(setFacets, () => setFacets(null)), [list]);
  const chosen = item && list ? list.find((l) => l.relative === item) ?? findLora(list, item) : undefined;
  const shown = ready(found);
  return (
    <div class={chosen ? 'loras loras-open' : 'loras'}>
      <div class="loras-main">
        <div class="page-head">
          <h1>LoRAs</h1>
          {list && shown && <span class="hint" role="status">{shown.length === list.length ? `${list.length}` : `${shown.length} of ${list.length}`}</span>}
          <div class="page-actions">
            <button type="button" class="small" aria-pressed={isImporting} onClick={() => setImporting(!isImporting)}>Import</button>
            <button type="button" class="small" aria-pressed={isDeduping} onClick={() => setDeduping(!isDeduping)}>Duplicates</button>
            <a class="button primary small" href={routeUrl('create')}>Go to prompt ({loraTags(prompt).length} active)</a>
          </div>
        </div>
        {isImporting && <ImportPanel />}
        <MissingList text={prompt} words="The prompt uses" />
        {isDeduping ? <DuplicatesView /> : (
          <>
            <Filters filter={filter} onChange={set} facets={facets} checkpoint={checkpoint} />
            {(loaded.state === 'loading' || (list && found.state === 'loading')) && <Loading what="LoRAs" />}
            {loaded.state === 'failed' && <Failed sentence={loaded.sentence} onRetry={() => void loadLoras()} />}
            {list && found.state === 'failed' && <Failed sentence={found.sentence} />}
            {list && list.length === 0 && (
              <Empty title="No LoRAs yet">
                <p>Copy .safetensors files to models/Lora in the data folder; they are listed here automatically.</p>
                {!isImporting && <p><button type="button" onClick={() => setImporting(true)}>Import from a URL</button></p>}
              </Empty>
            )}
            {list && list.length > 0 && shown?.length === 0 && (
              <Empty title="No matching LoRAs">{isFiltered(filter) && <button type="button" onClick={() => setFilter({ ...NO_FILTER, sort: filter.sort })}>Clear filters</button>}</Empty>
            )}
            {shown && shown.length > 0 && <NearWords text={filter.text} near={near} />}
            {shown && shown.length > 0 && <CardGrid list={shown} />}
          </>
        )}
      </div>
      {chosen && <LoraPanel key={chosen.relative} card={chosen} onClose={() => go('loras')} />}
    </div>
  );
}

interface FiltersProps {
  filter: LoraFilter;
  onChange: (part: Partial<LoraFilter>) => void;
  facets: LoraFacets | null;
  checkpoint: string;
}

function Filters({ filter, onChange, facets, checkpoint }: FiltersProps) {
  const counted = useMemo(() => {
    const choice = (value: string, count: number | undefined) => ({ value, label: count === undefined ? value : `${value} (${count})` });
    const typeCount = (type: string | null) => facets?.types.find((t) => t.type === type)?.count;
    return {
      types: [
        { value: '', label: 'All' },
        ...TYPES.map((type) => choice(type, facets ? typeCount(type) ?? 0 : undefined)),
        { value: 'none', label: typeCount(null) === undefined ? 'Unset' : `Unset (${typeCount(null)})` },
      ],
      bases: [
        { value: '', label: 'All' },
        ...(facets?.base_models ?? []).filter((b) => b.base_model).map((b) => choice(b.base_model!, b.count)),
      ],
      subfamilies: [
        { value: '', label: 'All' },
        ...(facets?.subfamilies ?? []).map((s) => (s.subfamily ? choice(s.subfamily, s.count) : { value: 'none', label: `None (${s.count})` })),
      ],
      folders: [
        { value: '', label: 'All' },
        ...(facets?.folders ?? []).map((f) => (f.folder ? choice(f.folder, f.count) : { value: '.', label: `No folder (${f.count})` })),
      ],
      tags: [{ value: '', label: 'All' }, ...(facets?.tags ?? []).map((t) => choice(t.tag, t.count))],
    };
  }, [facets]);
  return (
    <div class="filters" role="search">
      <label class="search">
        <Icon name="search" />
        <span class="unseen">Search by name, trigger word or tag</span>
        <input type="search" placeholder="Name, trigger or tag" value={filter.text} onInput={(e) => onChange({ text: e.currentTarget.value })} />
      </label>
      <Select label="Type" value={filter.type} choices={counted.types} onChange={(type) => onChange({ type })} />
      <Select label="Base model" value={filter.base_model} choices={counted.bases} onChange={(base_model) => onChange({ base_model })} />
      {(counted.subfamilies.length > 2 || filter.subfamily) && (
        <Select label="Subfamily" value={filter.subfamily ?? ''} choices={counted.subfamilies} onChange={(subfamily) => onChange({ subfamily })} />
      )}
      <Select label="Tag" value={filter.tag} choices={counted.tags} onChange={(tag) => onChange({ tag })} />
      {(counted.folders.length > 2 || filter.folder) && (
        <Select label="Folder" value={filter.folder} choices={counted.folders} onChange={(folder) => onChange({ folder })} />
      )}
      <Select label="Rating" value={String(filter.rating)} onChange={(rating) => onChange({ rating: Number(rating) })}
        choices={[{ value: '0', label: 'Any' }, ...[1, 2, 3, 4].map((n) => ({ value: String(n), label: `${n}+ stars` })), { value: '5', label: '5 stars' }]} />
      <Select label="Sort by" value={filter.sort} onChange={(sort) => onChange({ sort: sort as LoraFilter['sort'] })}
        choices={[{ value: 'name', label: 'Name' }, { value: 'added', label: 'Newest' }, { value: 'rating', label: 'Rating' }, { value: 'size', label: 'Size' }]} />
      <Check label={`Compatible with ${shortName(checkpoint) || 'the checkpoint'}`} value={filter.onlyFitting} onChange={(onlyFitting) => onChange({ onlyFitting })} />
    </div>
  );
}
