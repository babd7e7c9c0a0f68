import type { ResultInfo } from '../api/schema';
import { findLora, loras as collection, ready } from '../lib/collection';
import { useStore } from '../lib/store';
import { percent } from '../lib/words';
import { Icon } from './icon';

/** What each LoRA did to the model, and why not: the server's apply report. */
export function ApplyReport({ info }: { info: ResultInfo['lowrank'] }) {
  const { loras, missing_loras: missing, warnings } = info;
  const cards = ready(useStore(collection));
  // A file that is there and made for another model is not missing.
  const misfit = (name: string) => {
    const card = cards ? findLora(cards, name) : undefined;
    return card && !card.fits ? card.fits_reason : '';
  };
  if (loras.length + missing.length + warnings.length === 0) return null;
  const largest = Math.max(1e-9, ...loras.flatMap((l) => Object.values(l.blocks).map((b) => b.relative)));
  return (
    <section class="report" aria-label="LoRA report">
      <h2 class="label">LoRA report</h2>
      {missing.map((lora) => (
        <div class="report-lora report-bad" key={lora.name}>
          <p class="report-name"><Icon name="warning" /> {lora.name} <span>{misfit(lora.name) ? 'skipped' : 'not found'}</span></p>
          <p>{misfit(lora.name) || lora.reason}</p>
        </div>
      ))}
      {loras.map((lora, i) => {
        const problems = lora.skipped + lora.unknown;
        const modules = lora.modules.unet.applied + lora.modules.text_encoder.applied;
        return (
          <div class={modules === 0 || problems > 0 ? 'report-lora report-warn' : 'report-lora'} key={lora.name + i}>
            <p class="report-name">
              <Icon name={modules === 0 || problems > 0 ? 'warning' : 'done'} /> {lora.name}
              <span>{modules === 0 ? 'no effect' : 'applied'}</span>
            </p>
            <p>
              {Object.keys(lora.kinds).join(' + ') || 'Unknown type'}, rank {Object.keys(lora.ranks).join(', ') || '–'} ·{' '}
              U-Net: {lora.modules.unet.applied} of {lora.modules.unet.modules} modules, weight {lora.unet}
              {lora.modules.text_encoder.modules > 0 &&
                ` · text encoder: ${lora.modules.text_encoder.applied} of ${lora.modules.text_encoder.modules} modules, weight ${lora.te}`}
              {' '}· weights changed by {(lora.relative_change * 100).toFixed(1)} %
            </p>
            {Object.keys(lora.blocks).length > 0 && (
              <details>
                <summary>Change per block</summary>
                <ul class="blocks">
                  {Object.entries(lora.blocks).map(([block, { relative }]) => (
                    <li key={block}>
                      <span>{block}</span>
                      <span class="bar" style={{ '--share': percent(relative / largest) }} aria-hidden="true" />
                      <span>{(relative * 100).toFixed(1)} %</span>
                    </li>
                  ))}
                </ul>
              </details>
            )}
            {problems > 0 && (
              <details open={modules === 0}>
                <summary>{lora.skipped} keys skipped, {lora.unknown} unknown</summary>
                <ul class="reasons">
                  {lora.skipped_modules.slice(0, 50).map((entry) => (
                    <li key={entry.module}><code>{entry.module}</code> {entry.reason}</li>
                  ))}
                  {lora.unknown_keys.slice(0, 50).map((key) => <li key={key}><code>{key}</code> is unknown</li>)}
                </ul>
              </details>
            )}
            {lora.notes.map((note) => <p key={note}>{note}</p>)}
          </div>
        );
      })}
      {warnings.map((warning) => (
        <p class="report-warning" key={warning}><Icon name="warning" /> {warning}</p>
      ))}
    </section>
  );
}
