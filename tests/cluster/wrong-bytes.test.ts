import assert from 'node:assert/strict';
import { closeSync, globSync, openSync, readSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { firstWrong } from '../../bench/pattern.ts';
import { fixture, MiB, VOLUME } from './fixture.ts';
import { type ClusterNode, eventually } from './node.ts';

const OBJECT = { key: 'models/weights', sizeBytes: 24 * MiB + 4321, seed: 3 };

/** Flips a byte of the largest data file of a node's cache, in each of these blocks. */
function flipBytes(node: ClusterNode, blocks: readonly number[]): void {
  const [path] = globSync('objects/**/*.data', { cwd: node.cache })
    .map((name) => join(node.cache, name))
    .sort((a, b) => statSync(b).size - statSync(a).size);
  assert.ok(path);
  const file = openSync(path, 'r+');
  const byte = Buffer.alloc(1);
  for (const block of blocks) {
    readSync(file, byte, 0, 1, block * MiB + 777);
    byte[0]! ^= 0x40;
    writeSync(file, byte, 0, 1, block * MiB + 777);
  }
  closeSync(file);
}

test('S-9: a holder whose bytes rotted: the reader elsewhere gets right ones, and the holder drops the wrong', async (t) => {
  const { startAll } = await fixture(t, { generated: [OBJECT] });
  const [holder, reader] = await startAll(['holder', 'reader']);
  await holder!.expectWhole(VOLUME, OBJECT);
  flipBytes(holder!, [2, 13]);
  await reader!.expectWhole(VOLUME, OBJECT);
  assert.ok((await reader!.metric('forebay_pulls_total', { peer: 'holder', result: 'peerCorrupt' })) >= 1);
  await eventually(
    'the holder found out',
    async () => (await holder!.metric('forebay_store_corrupt_blocks_total')) >= 2,
  );
  await holder!.expectWhole(VOLUME, OBJECT);
  await reader!.expectWhole(VOLUME, OBJECT);
});

test('S-9: with two holders of which one rotted, the readers of a broadcast all end right', async (t) => {
  const { startAll } = await fixture(t, { generated: [OBJECT] });
  const nodes = await startAll(['rotten', 'sound', 'reader']);
  const [rotten, sound, reader] = nodes;
  await rotten!.expectWhole(VOLUME, OBJECT);
  await sound!.expectWhole(VOLUME, OBJECT);
  flipBytes(rotten!, [0, 5, 9, 14, 23]);
  await reader!.warm({ volume: VOLUME, key: OBJECT.key, nodes: 'all' });
  await reader!.expectWhole(VOLUME, OBJECT);
  await sound!.expectWhole(VOLUME, OBJECT);
});

test('S-1: an object replaced at the origin during a broadcast: each node has one version whole, and soon the newer', async (t) => {
  const { origin, startAll } = await fixture(t, { generated: [OBJECT], bytesPerS: 12 * MiB });
  const nodes = await startAll(['a', 'b', 'c'], { volume: { revalidate: '1s' } });
  const newer = { ...OBJECT, seed: 9 };
  let replaced = false;
  const warmed = nodes[0]!.warm(
    { volume: VOLUME, key: OBJECT.key, nodes: 'all' },
    {
      onProgress: ({ bytesDone }) => {
        if (replaced || bytesDone < 6 * MiB) return;
        replaced = true;
        origin.put(newer);
      },
    },
  );
  // Readers beside it: a version, or a broken read.
  const readers = nodes.map(async (node) => {
    const { status, bytes, cut } = await node.get(`${VOLUME}/${OBJECT.key}`);
    assert.ok(status === 200 || status >= 500, `${node.name}: ${status}`);
    if (status !== 200) return;
    const isOld = firstWrong(OBJECT.seed, 0, bytes) === undefined;
    assert.ok(isOld || firstWrong(newer.seed, 0, bytes) === undefined, `${node.name} read one version`);
    assert.ok(cut || bytes.length === OBJECT.sizeBytes, 'a read that is not whole is broken, not short');
  });
  const [done] = await Promise.all([warmed, ...readers]);
  assert.ok(replaced);
  t.diagnostic(`of the warm failed: ${JSON.stringify(done.failed)}`);
  for (const node of nodes)
    await eventually(`${node.name} has the newer version`, async () => {
      const { status, bytes, cut } = await node.get(`${VOLUME}/${OBJECT.key}`);
      if (status !== 200 || cut) return false;
      assert.equal(bytes.length, OBJECT.sizeBytes);
      const isNew = firstWrong(newer.seed, 0, bytes) === undefined;
      assert.ok(isNew || firstWrong(OBJECT.seed, 0, bytes) === undefined, `${node.name} read one version`);
      return isNew;
    });
});
