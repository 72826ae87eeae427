import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MiB } from './fixture.ts';
import { expectBytes, put, ramp, stagedCluster, untilReplicated } from './staged.ts';

test('S-3: a PUT at `local` is replicated soon after, and read elsewhere once its writer was killed', async (t) => {
  const { nodes } = await stagedCluster(t, ['a', 'b', 'c']);
  const [a, b, c] = nodes;
  const sizes = { small: 1000, middle: 100_000, large: 9 * MiB + 12_345, empty: 0 };
  for (const [key, size] of Object.entries(sizes)) {
    const answer = await put(a!, `dir/${key}`, ramp(size, size));
    assert.match(answer.headers.get('etag') ?? '', /^"[0-9a-f]{32}-1"$/);
    assert.match(answer.headers.get('x-forebay-ack') ?? '', /^(local|replicated)$/);
    for (const node of nodes) await expectBytes(node, `dir/${key}`, ramp(size, size));
  }
  for (const key of Object.keys(sizes)) {
    const { replicas = [] } = await untilReplicated(b!, `dir/${key}`);
    assert.ok(replicas.length === 0 || (replicas.length === 2 && replicas[0] === 'a'), replicas.join());
  }
  await a!.kill();
  for (const [key, size] of Object.entries(sizes))
    for (const node of [b!, c!]) await expectBytes(node, `dir/${key}`, ramp(size, size));
});
