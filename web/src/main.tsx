import { render } from 'preact';
import { api } from './api/client';
import { Failed } from './components/states';
import { setDescription } from './lib/fields';
import { followTheme } from './lib/theme';
import './styles/tokens.css';
import './styles/base.css';
import './styles/page.css';
import './styles/train.css';

const place = document.getElementById('app')!;

/** The page knows no field before the server has described them. */
async function start(): Promise<void> {
  try {
    setDescription(await api.describe());
    const { App } = await import('./app');
    render(<App />, place);
  } catch (error) {
    render(<Failed sentence={error instanceof Error ? error.message : String(error)} onRetry={() => void start()} />, place);
  }
}

followTheme();
void start();
