import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MiB } from './fixture.ts';
import { eventually } from './node.ts';
import { expectBytes, put, ramp, stagedCluster, writes } from './staged.ts';

test('what is written drains to the origin by itself, and is read as before', async (t) => {
  const { nodes, atOrigin } = await stagedCluster(t, ['a', 'b', 'c']);
  const sizes = { small: 1000, middle: 100_000, large: 40 * MiB + 12_345, empty: 0 };
  const etags = new Map<string, string | null>();
  for (const [key, size] of Object.entries(sizes))
    etags.set(key, (await put(nodes[0]!, `dir/${key}`, ramp(size, size))).headers.get('etag'));
  await eventually('all is drained', async () => (await writes(nodes[1]!)).every(({ kind }) => kind === 'stub'));
  for (const [key, size] of Object.entries(sizes)) {
    assert.ok(atOrigin(`dir/${key}`)?.equals(ramp(size, size)), `${key} is at the origin`);
    for (const node of nodes) await expectBytes(node, `dir/${key}`, ramp(size, size));
    const head = await fetch(nodes[2]!.url(`work/dir/${key}`), { method: 'HEAD' });
    assert.equal(head.headers.get('etag'), etags.get(key), 'one ETag for the life of the content');
    assert.equal(head.headers.get('x-amz-meta-forebayid'), null);
  }
});
