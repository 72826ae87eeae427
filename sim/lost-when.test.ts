import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { lostWhenPage } from './lost-when.ts';

test('S-3: docs/what-is-lost-when.md says what the crash tests find', async () => {
  const committed = readFileSync(new URL('../docs/what-is-lost-when.md', import.meta.url), 'utf8');
  assert.equal(await lostWhenPage([1]), committed, 'run `npm run lost-when`');
});
