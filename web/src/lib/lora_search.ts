import { useEffect, useMemo, useState } from 'preact/hooks';
import { api } from '../api/client';
import type { ListedLora } from '../api/schema';
import { sentence } from './collection';
import type { Loaded } from './collection';
import { NO_FILTER, loraQuery } from './lora_filter';
import type { LoraFilter } from './lora_filter';

/** How long one may go on writing before the server is asked, in milliseconds. */
const PAUSE = 150;

/**
 * The cards that a filter leaves, and where no LoRA has the words that were written, the words that were looked for instead. The server searches; the page has all cards already and needs only their order. While
 * an answer is awaited the last one stays.
 */
export function useLoraSearch(filter: LoraFilter, checkpoint: string, cards: ListedLora[] | null): { list: Loaded<ListedLora[]>; near: string[] } {
  // As text, so that an equal query is the same one.
  const query = JSON.stringify(loraQuery(filter, checkpoint));
  const isPlain = query === JSON.stringify(loraQuery(NO_FILTER, ''));
  const [found, setFound] = useState<Loaded<{ places: string[]; near: string[] }>>({ state: 'loading' });
  useEffect(() => {
    if (isPlain || !cards) return;
    let isOld = false;
    const timer = setTimeout(() => {
      api.findLoras(JSON.parse(query) as ReturnType<typeof loraQuery>).then(
        ({ loras, near }) => !isOld && setFound({ state: 'ready', value: { places: loras.map((lora) => lora.relative), near } }),
        (error: unknown) => !isOld && setFound({ state: 'failed', sentence: sentence(error) }),
      );
    }, PAUSE);
    return () => {
      isOld = true;
      clearTimeout(timer);
    };
  }, [query, isPlain, cards]);
  return useMemo(() => {
    if (!cards) return { list: { state: 'loading' }, near: [] };
    if (isPlain) return { list: { state: 'ready', value: cards }, near: [] };
    if (found.state !== 'ready') return { list: found, near: [] };
    const byPlace = new Map(cards.map((card) => [card.relative, card]));
    const value = found.value.places.map((place) => byPlace.get(place)).filter((card) => card !== undefined);
    return { list: { state: 'ready', value }, near: found.value.near };
  }, [cards, isPlain, found]);
}
