import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig } from './config.ts';
import { diagnoseKv } from './doctor-kv.ts';

const found = (capacity: string, kv: string) =>
  diagnoseKv(
    parseConfig(
      { text: `[node]\n${capacity}\n[volumes.models]\norigin = "memory:"\n${kv}` },
      { hostName: 'here', homeDirectory: '/home/me', workingDirectory: '/work', environment: {} },
    ),
  );

test('doctor warns of a share whose keys would outgrow the memory, and says how much they need', () => {
  assert.deepEqual(found('', ''), [], 'nothing without a kv volume');
  const [small] = found('capacity = "1TiB"', '[volumes.kv]\nkind = "kv"');
  assert.equal(small?.level, 'ok');
  assert.match(small?.text ?? '', /^may take 307 GiB \(30 % of node\.capacity\); .* room for about 1\.7 million keys$/);
  const [large] = found('capacity = "7TiB"', '[volumes.kv]\nkind = "kv"\nshare = 0.6');
  assert.equal(large?.level, 'warn');
  assert.match(large?.text ?? '', /values smaller than 2\.46 MiB on average would take more memory/);
  assert.match(large?.hint ?? '', /Set node\.memory to 2\.46 GiB for values of 1 MiB/);
  assert.match(found('', '[volumes.kv]\nkind = "kv"')[0]?.text ?? '', /may take 30 % of the cache/);
});
