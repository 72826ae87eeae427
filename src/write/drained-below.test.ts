import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dirty, stub, tombstone } from '../../tests/write/samples.ts';
import { SimNodes, VOLUME } from '../../tests/write/sim-nodes.ts';
import { isForebayError } from '../core/errors.ts';
import { stagedWaitMs } from '../core/limits.ts';
import type { WritePolicy } from '../core/volume.ts';
import { drainedBelow } from './drained-below.ts';
import type { ObjectRecord } from './object-record.ts';

const HOLD = { drainOrder: 'directory', onConflict: 'hold' } as const;
type Policy = Pick<WritePolicy, 'drainOrder' | 'onConflict'>;

async function bench() {
  const sim = new SimNodes();
  const { records, cluster } = await sim.start('a');
  const { clock } = cluster;
  const commit = async (key: string, record: ObjectRecord) => {
    const { revision } = await sim.run(records.read(VOLUME, key));
    await sim.run(records.commit({ volume: VOLUME, key, expected: revision, record }));
  };
  const begin = async () => (await sim.run(records.read(VOLUME, 's/.metadata'))).asOf;
  /** What became of the wait for `s/.metadata`, and after how long. */
  const wait = (begunRevision: number, policy: Policy = HOLD, meanwhile: () => Promise<void> = async () => {}) => {
    const fromMs = clock.boottimeMs();
    const { signal } = new AbortController();
    const options = { records, clock, policy, begunRevision, signal };
    const waited = drainedBelow({ volume: VOLUME, key: 's/.metadata' }, options).then(
      () => 'free',
      (error: unknown) => {
        assert.ok(isForebayError(error, 'diskFull'), String(error));
        return error.message;
      },
    );
    return sim.run(
      Promise.all([waited, meanwhile()]).then(([outcome]) => ({ outcome, ms: clock.boottimeMs() - fromMs })),
    );
  };
  return { sim, records, clock, commit, begin, wait };
}

test('S-7: a write that goes round the drain waits for what was committed in its directory and below before it', async () => {
  const { records, clock, commit, begin, wait } = await bench();
  await commit('s/deep/shard', { current: dirty(1) });
  await commit('s/old', { current: tombstone() });
  await commit('s/there', { current: stub(3) });
  await commit('elsewhere', { current: dirty(4) });
  const begun = await begin();
  await commit('s/later', { current: dirty(5) });
  const drained = async () => {
    for (const [key, current] of [
      ['s/deep/shard', stub(1)],
      ['s/old', tombstone({ drained: true })],
    ] as const) {
      await clock.sleep(2000);
      const { revision } = await records.read(VOLUME, key);
      await records.commit({ volume: VOLUME, key, expected: revision, record: { current } });
    }
  };
  const { outcome, ms } = await wait(begun, HOLD, drained);
  assert.equal(outcome, 'free');
  assert.ok(ms >= 4000 && ms < 6000, `${ms}`);
});

test('S-7: a write that goes round the drain fails where what goes first is late or cannot be drained', async () => {
  const { commit, begin, wait } = await bench();
  await commit('s/shard', { current: dirty(1) });
  const begun = await begin();
  const late = await wait(begun);
  assert.match(late.outcome, /no room for "s\/.metadata" here.*before "s\/shard", which has yet to reach the origin/);
  assert.ok(late.ms >= stagedWaitMs);
  await commit('s/shard', {
    current: dirty(1, { committedRevision: begun, trouble: { kind: 'conflict', message: 'x' } }),
  });
  assert.match((await wait(begun)).outcome, /before "s\/shard", which cannot be drained: x/);
  assert.equal((await wait(begun, { ...HOLD, onConflict: 'skip' })).outcome, 'free');
  assert.equal((await wait(begun, { ...HOLD, drainOrder: 'none' })).outcome, 'free');
});
