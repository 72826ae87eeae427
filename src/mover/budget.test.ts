import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Budget } from './budget.ts';

/** A clock whose sleeps are noted and take no time. */
function clockAt(startMs: number) {
  const slept: number[] = [];
  let nowMs = startMs;
  return {
    slept,
    boottimeMs: () => nowMs,
    advance(ms: number) {
      nowMs += ms;
    },
    async sleep(ms: number, signal?: AbortSignal) {
      signal?.throwIfAborted();
      slept.push(ms);
    },
  };
}

const never = new AbortController().signal;

test('a second of bytes goes at once, what follows waits its turn', async () => {
  const clock = clockAt(10_000);
  const budget = new Budget(clock, 1000);
  await budget.take(1000, never);
  await budget.take(500, never);
  await budget.take(500, never);
  assert.deepEqual(clock.slept, [500]);
  clock.advance(5000);
  await budget.take(10, never);
  assert.deepEqual(clock.slept, [500]);
});

test('no budget bounds nothing, and one who gives up waits no longer', async () => {
  const clock = clockAt(0);
  await new Budget(clock, Number.POSITIVE_INFINITY).take(1e15, never);
  const budget = new Budget(clock, 1000);
  await budget.take(10_000, never);
  await assert.rejects(budget.take(1, AbortSignal.abort(new Error('given up'))), /given up/);
});
