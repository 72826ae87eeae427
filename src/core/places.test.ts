import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { Places } from './places.ts';

/** Takes a place, and notes when it has it. */
function taker(places: Places) {
  const order: string[] = [];
  const take = (name: string, signal?: AbortSignal) => {
    const taken = places.take(signal).then(() => void order.push(name));
    taken.catch(() => {});
    return taken;
  };
  return { order, take };
}

test('more than there are places wait, and come first come, first served', async () => {
  const places = new Places(2);
  const { order, take } = taker(places);
  for (const name of ['a', 'b', 'c', 'd']) void take(name);
  await setImmediate();
  assert.deepEqual(order, ['a', 'b']);
  places.release();
  await setImmediate();
  assert.deepEqual(order, ['a', 'b', 'c']);
  for (let held = 3; held > 0; held--) places.release();
  await setImmediate();
  assert.deepEqual([order, places.taken], [['a', 'b', 'c', 'd'], 0]);
});

test('who comes while a place is handed over does not slip in before who waited for it', async () => {
  const places = new Places(1);
  const { order, take } = taker(places);
  await take('first');
  void take('waits');
  places.release();
  void take('late');
  await setImmediate();
  assert.deepEqual([order, places.taken], [['first', 'waits'], 1]);
});

test('who goes away leaves the line, and takes no place', async () => {
  const places = new Places(1);
  const { order, take } = taker(places);
  await take('first');
  const gone = new AbortController();
  const left = take('left', gone.signal);
  void take('second');
  const reason = new Error('went away');
  gone.abort(reason);
  await assert.rejects(left, reason);
  places.release();
  await setImmediate();
  assert.deepEqual(order, ['first', 'second']);
  await assert.rejects(places.take(gone.signal), reason);
  places.release();
  assert.equal(places.taken, 0);
});

test('a full line refuses, and says so', async () => {
  const places = new Places(1, { max: 1, full: '1 of them waits for others' });
  await places.take();
  const waits = places.take();
  await assert.rejects(places.take(), { code: 'overloaded', message: '1 of them waits for others' });
  places.release();
  await waits;
});
