import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CLUSTER_REGRESSIONS } from './regressions/cluster.ts';
import { CLUSTER_WRITE_REGRESSIONS } from './regressions/cluster-write.ts';
import { KV_REGRESSIONS } from './regressions/kv.ts';
import { READ_CACHE_REGRESSIONS } from './regressions/read-cache.ts';
import { runSeed } from './run.ts';

for (const [scenario, regressions] of [
  ['read-cache', READ_CACHE_REGRESSIONS],
  ['cluster', CLUSTER_REGRESSIONS],
  ['cluster-write', CLUSTER_WRITE_REGRESSIONS],
  ['kv', KV_REGRESSIONS],
] as const) {
  for (const { name, seed, overrides } of regressions) {
    test(`once ${name}`, async () => {
      const { findings } = await runSeed({ seed, scenario, overrides });
      assert.deepEqual(findings, []);
    });
  }
}
