import assert from 'node:assert/strict';
import { test } from 'node:test';
import { READ_CACHE_REGRESSIONS } from './regressions/read-cache.ts';
import { runSeed } from './run.ts';

for (const { name, seed, overrides } of READ_CACHE_REGRESSIONS) {
  test(`once ${name}`, async () => {
    const { findings } = await runSeed({ seed, scenario: 'read-cache', overrides });
    assert.deepEqual(findings, []);
  });
}
