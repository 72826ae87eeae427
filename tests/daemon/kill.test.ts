import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { firstWrong } from '../../bench/pattern.ts';
import { expectWhole, fixture, get, MiB, originGets } from './fixture.ts';

const TRIALS = 5;

test('S-13, S-14: killed at random instants during fills and restarted with the origin away, what was cached is served and nothing wrong ever', async (t) => {
  const objects = Array.from({ length: TRIALS + 1 }, (_, i) => ({ key: `k/${i}`, sizeBytes: 48 * MiB, seed: i + 1 }));
  const { origin, start } = await fixture(t, { generated: objects, bytesPerS: 128 * MiB });
  let served = 0;
  for (let trial = 1; trial <= TRIALS; trial++) {
    const whole = objects[trial - 1]!;
    const partial = objects[trial]!;
    const daemon = await start({ volume: { revalidate: '1h' } });
    await expectWhole(daemon, whole);
    const read = get(daemon, partial.key).catch(() => undefined);
    const instantMs = Math.random() * 400;
    t.diagnostic(`trial ${trial}: killed ${instantMs.toFixed(1)} ms into a fill of ${partial.key}`);
    await sleep(instantMs);
    await daemon.kill();
    const seen = await read;
    if (seen?.status === 200) assert.equal(firstWrong(partial.seed, 0, seen.bytes), undefined);

    origin.fail({ kind: 'status', status: 503 });
    const restarted = await start({ volume: { revalidate: '1h' } });
    const gets = originGets(origin);
    for (const object of objects.slice(0, trial)) await expectWhole(restarted, object);
    assert.equal(originGets(origin), gets, 'whole objects are served without the origin');
    served += await blocksServed(restarted, partial);
    await restarted.kill();
    origin.reset();
  }
  t.diagnostic(`${served} blocks of partly filled objects were served after the kills`);
});

/** Blocks of a partly filled object that are served with the origin away; each must be right. Stops at the first that is not there. */
async function blocksServed(
  daemon: Parameters<typeof get>[0],
  object: { key: string; sizeBytes: number; seed: number },
): Promise<number> {
  for (let at = 0; at < object.sizeBytes; at += MiB) {
    const answer = await get(daemon, object.key, { start: at, end: at + MiB });
    assert.equal(firstWrong(object.seed, at, answer.status === 206 ? answer.bytes : Buffer.alloc(0)), undefined);
    if (answer.status !== 206 || answer.cut) return at / MiB;
  }
  return object.sizeBytes / MiB;
}
