import assert from 'node:assert/strict';
import { test } from 'node:test';
import { coverage } from '../../bench/origin-log.ts';
import { CHUNK_BYTES, expectMembers, fixture, MiB, total, VOLUME } from './fixture.ts';
import { eventually } from './node.ts';
import { chunkOwners } from './owners.ts';

const OBJECT = { key: 'models/weights', sizeBytes: 64 * MiB + 12_345, seed: 3 };

test('S-11: a node killed midway in a warm of all: the others end whole, and what is read again is bounded and counted', async (t) => {
  const { origin, startAll } = await fixture(t, { generated: [OBJECT], bytesPerS: 32 * MiB });
  const [a, b, c, victim] = await startAll(['a', 'b', 'c', 'victim']);
  const survivors = [a!, b!, c!];
  let killed: Promise<void> | undefined;
  const done = await a!.warm(
    { volume: VOLUME, key: OBJECT.key, nodes: 'all' },
    {
      onProgress: ({ nodes = [] }) => {
        const here = nodes.find(({ node }) => node === 'victim')?.bytesDone ?? 0;
        if (here > OBJECT.sizeBytes / 4) killed ??= victim!.kill();
      },
    },
  );
  assert.ok(killed, 'the victim was killed midway');
  await killed;
  assert.deepEqual(
    done.failed.map(({ message }) => message.startsWith('node victim:')),
    [true],
    'the victim is named, and nobody else failed',
  );
  for (const node of survivors) {
    assert.equal((await node.check(VOLUME, OBJECT.key)).state, 'whole', `${node.name} has it whole`);
    await node.expectWhole(VOLUME, OBJECT);
  }
  const { twiceBytes, neverBytes } = coverage(origin.requests, OBJECT.key, OBJECT.sizeBytes);
  const refilled = await total(survivors, 'forebay_origin_refill_bytes_total');
  t.diagnostic(`${twiceBytes} bytes were read twice, ${refilled} counted as refills`);
  assert.equal(neverBytes, 0);
  assert.ok(twiceBytes <= OBJECT.sizeBytes * 0.25, `${twiceBytes} bytes more than once`);
  assert.ok(twiceBytes <= refilled, 'what was read twice is counted with its reason');
});

test('the owner of chunks killed while hundreds of reads wait for them: all end right', async (t) => {
  const { origin, startAll } = await fixture(t, { generated: [OBJECT], bytesPerS: 16 * MiB });
  const nodes = await startAll(['a', 'b', 'c', 'd']);
  const owners = await chunkOwners(nodes[0]!, VOLUME, OBJECT, CHUNK_BYTES);
  const [owner] = [...owners].sort((one, other) => other[1] - one[1])[0] as [string, number];
  const victim = nodes.find(({ name }) => name === owner);
  assert.ok(victim);
  const others = nodes.filter((node) => node !== victim);
  const reads = others.flatMap((node, index) =>
    Array.from({ length: 80 }, (_, i) => {
      const start = ((i * 7 + index) * 797_003) % (OBJECT.sizeBytes - MiB);
      return node.expectRange(VOLUME, OBJECT, { start, end: start + MiB });
    }),
  );
  const all = Promise.all(reads);
  all.catch(() => undefined);
  await eventually('the origin is being read', () => origin.requests.some(({ method }) => method === 'GET'));
  const from = performance.now();
  await victim.kill();
  await all;
  const tookMs = performance.now() - from;
  t.diagnostic(
    `${owner} owned ${owners.get(owner)} chunks; ${reads.length} reads ended ${Math.round(tookMs)} ms after its death`,
  );
  assert.ok(tookMs < 60_000, 'they do not wait for a lease to end, and for nothing else long');
  const { neverBytes, twiceBytes } = coverage(origin.requests, OBJECT.key, OBJECT.sizeBytes);
  const refilled = await total(others, 'forebay_origin_refill_bytes_total');
  t.diagnostic(`${twiceBytes} bytes were read twice, ${neverBytes} never, ${refilled} counted as refills`);
  assert.ok(twiceBytes <= refilled + CHUNK_BYTES, 'what was read twice is counted with its reason');
  await expectMembers(
    others,
    others.map(({ name }) => name),
  );
  for (const node of others) await node.expectWhole(VOLUME, OBJECT);
});
