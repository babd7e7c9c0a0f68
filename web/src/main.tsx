import { render } from 'preact';
import { App } from './app';
import { followTheme } from './lib/theme';
import './styles/tokens.css';
import './styles/base.css';
import './styles/page.css';
import './styles/train.css';

followTheme();
render(<App />, document.getElementById('app')!);
