import { useEffect, useMemo, useState } from 'preact/hooks';
import { api } from '../api/client';
import type { LoraCardData } from '../api/types';
import { sentence } from './collection';
import type { Loaded } from './collection';
import { NO_FILTER, loraQuery } from './lora_filter';
import type { LoraFilter } from './lora_filter';

/** How long one may go on writing before the server is asked, in milliseconds. */
const PAUSE = 150;

/**
 * The cards that a filter leaves. The server searches; the page has all cards already and needs only their order. While
 * an answer is awaited the last one stays.
 */
export function useLoraSearch(filter: LoraFilter, checkpoint: string, cards: LoraCardData[] | null): Loaded<LoraCardData[]> {
  const query = loraQuery(filter, checkpoint).toString();
  const isPlain = query === loraQuery(NO_FILTER, '').toString();
  const [found, setFound] = useState<Loaded<string[]>>({ state: 'loading' });
  useEffect(() => {
    if (isPlain || !cards) return;
    let isOld = false;
    const timer = setTimeout(() => {
      api.findLoras(new URLSearchParams(query)).then(
        ({ loras }) => !isOld && setFound({ state: 'ready', value: loras.map((lora) => lora.relative) }),
        (error: unknown) => !isOld && setFound({ state: 'failed', sentence: sentence(error) }),
      );
    }, PAUSE);
    return () => {
      isOld = true;
      clearTimeout(timer);
    };
  }, [query, isPlain, cards]);
  return useMemo(() => {
    if (!cards) return { state: 'loading' };
    if (isPlain) return { state: 'ready', value: cards };
    if (found.state !== 'ready') return found;
    const byPlace = new Map(cards.map((card) => [card.relative, card]));
    return { state: 'ready', value: found.value.map((place) => byPlace.get(place)).filter((card) => card !== undefined) };
  }, [cards, isPlain, found]);
}
