import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { TimeHeap } from './time-heap.ts';

const step = fc.record({
  item: fc.integer({ min: 0, max: 60 }),
  time: fc.option(fc.integer({ min: 0, max: 50 }), { nil: undefined }),
});

test('the heap always shows the earliest of its items, whose times change and which go away', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const heap = new TimeHeap();
      const times = new Map<number, number>();
      for (const { item, time } of steps) {
        if (time === undefined) {
          heap.remove(item);
          times.delete(item);
        } else {
          heap.set(item, time);
          times.set(item, time);
        }
        const earliest = Math.min(...times.values(), Number.POSITIVE_INFINITY);
        assert.equal(heap.size, times.size);
        assert.equal(heap.time, earliest);
        if (times.size > 0) assert.equal(times.get(heap.item), earliest);
      }
    }),
  );
});

test('it grows beyond what it began with', () => {
  const heap = new TimeHeap();
  for (let item = 0; item < 5000; item++) heap.set(item, (item * 7919) % 5000);
  const times: number[] = [];
  while (heap.size > 0) {
    times.push(heap.time);
    heap.remove(heap.item);
  }
  assert.deepEqual(times, [...Array(5000).keys()]);
});
