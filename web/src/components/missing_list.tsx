import { useEffect, useState } from 'preact/hooks';
import { api } from '../api/client';
import type { MissingFile } from '../api/schema';
import { loras, ready, sentence } from '../lib/collection';
import { useStore } from '../lib/store';
import { Icon } from './icon';
import { startImport } from './import_panel';
import { Failed } from './states';

interface Props {
  /** A prompt, or the settings of a picture: names and hashes are looked for in it. */
  text: string;
  /** "The prompt asks for", "It was made with" */
  words: string;
}

/** What a text needs and the collection lacks, and where to get it. */
export function MissingList({ text, words }: Props) {
  const cards = ready(useStore(loras));
  const [missing, setMissing] = useState<MissingFile[]>([]);
  const [wrong, setWrong] = useState('');
  const [asked, setAsked] = useState<string[]>([]);
  useEffect(() => {
    if (!text.trim()) return setMissing([]);
    let isOld = false;
    const timer = setTimeout(() => {
      api.missing(text).then(
        (answer) => !isOld && setMissing(answer.missing),
        (error: unknown) => !isOld && setWrong(sentence(error)),
      );
    }, 200);
    return () => {
      isOld = true;
      clearTimeout(timer);
    };
  }, [text, cards]);
  return (
    <>
      {missing.map((file) => (
        <div class="notice notice-bad missing" key={file.kind + file.name}>
          <Icon name="warning" />
          <p>
            {words} the {file.kind === 'lora' ? 'LoRA' : file.kind} <strong>{file.name}</strong>, which is not in the collection.{' '}
            {/^https?:/.test(file.where) ? <a href={file.where} target="_blank" rel="noreferrer">Download page</a> : sentenceCase(file.where)}
          </p>
          {file.import && (
            <button
              type="button" class="small" disabled={asked.includes(file.name)}
              onClick={() =>
                startImport(file.import!, file.kind).then(() => setAsked([...asked, file.name]), (error: unknown) => setWrong(sentence(error)))
              }
            >
              {asked.includes(file.name) ? 'Importing …' : 'Import'}<span class="unseen"> {file.name}</span>
            </button>
          )}
        </div>
      ))}
      {wrong && <Failed sentence={wrong} />}
    </>
  );
}

const sentenceCase = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);
