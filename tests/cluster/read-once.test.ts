import assert from 'node:assert/strict';
import { test } from 'node:test';
import { expectMembers, expectReadOnce, fixture, MiB, originBytes, total, VOLUME } from './fixture.ts';

const OBJECT = { key: 'models/weights', sizeBytes: 50 * MiB + 12_345, seed: 3 };
const NAMES = ['a', 'b', 'c', 'd'];

test('S-11: four nodes read one object at the same time: each range comes from the origin once, a late node costs it nothing', async (t) => {
  const { origin, start, startAll } = await fixture(t, { generated: [OBJECT], bytesPerS: 64 * MiB });
  const nodes = await startAll(NAMES);
  await Promise.all(nodes.map((node) => node.expectWhole(VOLUME, OBJECT)));
  expectReadOnce(origin, OBJECT);
  assert.equal(await total(nodes, 'forebay_origin_refills_total'), 0);
  const late = await start('late');
  await expectMembers([...nodes, late], [...NAMES, 'late']);
  origin.reset();
  await late.expectWhole(VOLUME, OBJECT);
  assert.equal(originBytes(origin, OBJECT), 0, 'the late node got all from its peers');
});

test('S-11: a warm of four nodes at the same time: each range comes from the origin once, a late node costs it nothing', async (t) => {
  const { origin, start, startAll } = await fixture(t, { generated: [OBJECT], bytesPerS: 64 * MiB });
  const nodes = await startAll(NAMES);
  const done = await nodes[0]!.warm({ volume: VOLUME, key: OBJECT.key, nodes: 'all' });
  assert.deepEqual(done.failed, []);
  assert.equal(done.bytesDone, NAMES.length * OBJECT.sizeBytes);
  assert.deepEqual(done.nodes?.map(({ node }) => node).sort(), NAMES);
  expectReadOnce(origin, OBJECT);
  const late = await start('late');
  await expectMembers([late], [...NAMES, 'late']);
  origin.reset();
  await late.warm({ volume: VOLUME, key: OBJECT.key });
  await Promise.all([...nodes, late].map((node) => node.expectWhole(VOLUME, OBJECT)));
  assert.equal(originBytes(origin, OBJECT), 0, 'the late node got all from its peers, the others had it');
});

test('S-11: warms and readers of one object at the same time share what each brings', async (t) => {
  const { origin, startAll } = await fixture(t, { generated: [OBJECT], bytesPerS: 64 * MiB });
  const [a, b, c, d] = await startAll(NAMES);
  await Promise.all([
    a!.warm({ volume: VOLUME, key: OBJECT.key, nodes: ['a', 'b'] }),
    b!.expectWhole(VOLUME, OBJECT),
    c!.expectWhole(VOLUME, OBJECT),
    d!.expectRange(VOLUME, OBJECT, { start: 30 * MiB + 5, end: 45 * MiB + 7 }),
  ]);
  expectReadOnce(origin, OBJECT);
});
