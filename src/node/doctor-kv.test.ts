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

test('doctor warns of a share whose keys would outgrow the memory, and says how much it takes', () => {
  assert.deepEqual(found('', ''), [], 'nothing without a kv volume');
  const [small] = found('capacity = "1TiB"', '[volumes.kv]\nkind = "kv"');
  assert.equal(small?.level, 'ok');
  assert.equal(small?.text, 'may take 307 GiB (30 % of node.capacity) and at most 1677721 keys (node.memory = 1 GiB)');
  const [large] = found('capacity = "7TiB"', '[volumes.kv]\nkind = "kv"\nshare = 0.6');
  assert.equal(large?.level, 'warn');
  assert.match(
    large?.text ?? '',
    /with values smaller than 2\.63 MiB on average the keys end before the share is full/,
  );
  assert.match(large?.hint ?? '', /Set node\.memory to 2\.63 GiB for values of 1 MiB/);
  const two = found('capacity = "1TiB"', '[volumes.one]\nkind = "kv"\n[volumes.two]\nkind = "kv"');
  assert.deepEqual(
    two.map(({ check, text }) => [check, /at most 838860 keys/.test(text)]),
    [
      ['kv volume one', true],
      ['kv volume two', true],
    ],
  );
  assert.match(found('', '[volumes.kv]\nkind = "kv"')[0]?.text ?? '', /may take 30 % of the cache/);
});
