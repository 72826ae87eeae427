import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pullsActiveMax } from '../../core/limits.ts';
import { type RingWrite, WRITES_MAX, WriteRing } from './write-ring.ts';

const write = (number: number): RingWrite => ({
  slot: number % pullsActiveMax,
  fileFd: number + 3,
  pointer: BigInt(number) * 4096n,
  length: number + 1,
  position: number * 2 ** 32,
});

test('blocks come out as they went in, results in the same order, many times round', () => {
  const puller = new WriteRing();
  const writer = new WriteRing(puller.memory);
  const most = WRITES_MAX + pullsActiveMax;
  let number = 0;
  for (let round = 0; round < 50; round++) {
    const batch = 1 + ((round * 7) % most);
    for (let index = 0; index < batch; index++) puller.give(write(number + index));
    assert.equal(puller.collect(), undefined);
    assert.equal(puller.await(true), true);
    for (let index = 0; index < batch; index++) {
      assert.deepEqual(writer.take(), write(number + index));
      assert.equal(writer.finish(index - 5), true, 'the puller waits for it');
    }
    assert.equal(puller.await(false), false, 'results are there');
    for (let index = 0; index < batch; index++) assert.equal(puller.collect(), index - 5);
    number += batch;
  }
  puller.stop();
  assert.equal(writer.take(), undefined);
});
