import { Icon } from './icon';
import { MissingList } from './missing_list';

/** What came of settings that were pasted, with a way back. */
export interface TakenSettings {
  text: string;
  notes: string[];
}

export function SettingsNotice({ taken, onUndo, onClose }: { taken: TakenSettings; onUndo: () => void; onClose: () => void }) {
  return (
    <div class="stack" role="status">
      <div class="notice notice-good">
        <Icon name="done" />
        <p>Parameters from the pasted text were applied. {taken.notes.join(' ')}</p>
        <button type="button" class="small" onClick={onUndo}>Undo</button>
        <button type="button" class="icon-button" aria-label="Close" onClick={onClose}><Icon name="close" /></button>
      </div>
      <MissingList text={taken.text} words="The parameters use" />
    </div>
  );
}
