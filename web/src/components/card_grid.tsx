import { useEffect, useRef, useState } from 'preact/hooks';
import type { ListedLora } from '../api/schema';
import { visibleRange } from '../lib/lora_filter';
import { go } from '../lib/route';
import { LoraCard } from './lora_card';
import { useLoraToggle } from './lora_sidebar';

const CARD_HEIGHT = 304;

/** A grid that draws only the cards in sight, so that ten thousand scroll like ten. */
export function CardGrid({ list }: { list: ListedLora[] }) {
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
