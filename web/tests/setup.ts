import description from './fields.json';
import { setDescription } from '../src/lib/fields';
import type { Description } from '../src/lib/fields';

// As main.tsx does with the server's answer; fields.json is a part of it, which tests/server/program/page_types_test.py keeps fresh.
setDescription(description as unknown as Description);
