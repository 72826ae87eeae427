import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Life } from '../../sim/sim-clock.ts';
import { SimRandom } from '../../sim/sim-random.ts';
import { bytesOf, NEVER, SimValues, same } from '../../sim/sim-values.ts';
import { KiB } from '../core/limits.ts';
import type { ValueBody } from './kv.ts';
import { KvVolume } from './kv-volume.ts';

async function volumeOn(bench: SimValues): Promise<KvVolume> {
  await bench.open();
  return new KvVolume({
    name: 'kv1',
    suffixes: [],
    local: bench.values,
    clock: bench.machine.attach(new Life('volume')),
    random: new SimRandom(1),
    emit: () => undefined,
  });
}

/** A body whose last byte comes when it is let. */
function heldBody(bytes: Uint8Array): ValueBody & { readonly end: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return {
    lengthBytes: bytes.length,
    end: resolve,
    async *stream() {
      yield bytes.subarray(0, bytes.length - 1);
      await promise;
      yield bytes.subarray(bytes.length - 1);
    },
  };
}

for (const [kind, length] of [
  ['packed', 50 * KiB],
  ['in a file', 400 * KiB],
] as const)
  test(`of writers whose NX is read behind their bytes one gets the key, and the others keep nothing (${kind})`, async () => {
    const bench = new SimValues();
    const volume = await volumeOn(bench);
    const bodies = [1, 2, 3].map((seed) => heldBody(bytesOf(seed, length)));
    const puts = bodies.map((body) => volume.put('k', body, { mustBeAbsent: () => true, signal: NEVER }));
    await bench.sleep(10);
    for (const body of bodies) body.end();
    const outcomes = await bench.run(Promise.all(puts));
    assert.deepEqual(outcomes.toSorted(), ['exists', 'exists', 'stored']);
    same(await bench.get('k'), bytesOf(1 + outcomes.indexOf('stored'), length));
    await bench.sleep(1000);
    assert.equal(bench.values.status.values, 1);
    assert.ok(bench.values.status.footprintBytes < length + KiB);

    const again = heldBody(bytesOf(1 + outcomes.indexOf('stored'), length));
    again.end();
    const put = volume.put('k', again, { mustBeAbsent: () => true, signal: NEVER });
    assert.equal(await bench.run(put), 'exists', 'also equal bytes came second');
  });

test('a put whose condition turned out to be none replaces what is there', async () => {
  const bench = new SimValues();
  const volume = await volumeOn(bench);
  for (const seed of [1, 2]) {
    const body = heldBody(bytesOf(seed, 300 * KiB));
    body.end();
    const put = volume.put('k', body, { mustBeAbsent: () => false, signal: NEVER });
    assert.equal(await bench.run(put), 'stored');
    same(await bench.get('k'), bytesOf(seed, 300 * KiB));
  }
});
