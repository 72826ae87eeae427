import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runOriginConformance } from '../../tests/conformance/origin.ts';
import { collect, fails, onceOf, options, put, ramp } from '../../tests/conformance/origin-bytes.ts';
import { MiB, originAttemptsMax } from '../core/limits.ts';
import type { Clock } from '../io/io.ts';
import { createRealClock } from '../io/real/clock.ts';
import { createRealRandom } from '../io/real/random.ts';
import type { Event } from '../observe/events.ts';
import { bodyOf } from './body.ts';
import { type Fault, type FaultyCall, faulty } from './faulty.ts';
import { createMemoryOrigin } from './memory.ts';
import { observed } from './observed.ts';
import { retry } from './retry.ts';
import { throttle } from './throttle.ts';

const random = createRealRandom();

/** A clock that jumps to the end of every sleep, and remembers how long they were. */
function jumpingClock() {
  const sleeps: number[] = [];
  let nowMs = 0;
  const clock: Clock = {
    boottimeMs: () => nowMs,
    wallMs: () => 1_800_000_000_000 + nowMs,
    bootId: 'test',
    async sleep(ms, signal) {
      signal?.throwIfAborted();
      sleeps.push(ms);
      nowMs += ms;
      await new Promise<void>((resolve) => setImmediate(resolve));
      signal?.throwIfAborted();
    },
  };
  return { clock, sleeps };
}

function setUp(decide: (call: FaultyCall) => Fault | undefined) {
  const { clock, sleeps } = jumpingClock();
  const events: Event[] = [];
  const calls: string[] = [];
  const emit = (event: Event) => events.push(event);
  const memory = createMemoryOrigin({ clock, random });
  const failing = faulty(memory, (call) => {
    calls.push(call.operation);
    return decide(call);
  });
  return { origin: retry(failing, { clock, random, emit }), memory, sleeps, events, calls };
}

const refuse = (code: 'originThrottled' | 'originUnavailable' | 'originDenied', retryAfterMs?: number): Fault =>
  retryAfterMs === undefined ? { kind: 'refuse', code } : { kind: 'refuse', code, retryAfterMs };

test('a failure that can pass is tried again, at most originAttemptsMax times, with growing pauses', async () => {
  const { origin, sleeps, events, calls } = setUp(() => refuse('originUnavailable'));
  await assert.rejects(origin.head('k'), fails('originUnavailable'));
  assert.equal(calls.length, originAttemptsMax);
  assert.equal(sleeps.length, originAttemptsMax - 1);
  for (const [i, ms] of sleeps.entries()) assert.ok(ms <= 100 * 2 ** i, `pause ${i} was ${ms} ms`);
  const attempts = events.map((event) => event.kind === 'origin.retry' && event.attempt);
  assert.deepEqual(attempts, [2, 3, 4, 5, 6]);
});

test('what cannot pass is not tried again', async () => {
  const { origin, calls } = setUp(() => refuse('originDenied'));
  await assert.rejects(origin.list({ prefix: '', limit: 1 }), fails('originDenied'));
  assert.equal(calls.length, 1);
});

test('the pause that an origin asks for is kept, unless it is too long to wait', async () => {
  const kept = setUp(({ count }) => (count === 0 ? refuse('originThrottled', 5000) : undefined));
  assert.equal(await kept.origin.head('k'), undefined);
  assert.ok((kept.sleeps[0] ?? 0) >= 5000);
  const long = setUp(() => refuse('originThrottled', 3_600_000));
  await assert.rejects(long.origin.head('k'), fails('originThrottled'));
  assert.equal(long.calls.length, 1);
});

test('an abort ends the pauses', async () => {
  const stop = new AbortController();
  const { origin, calls } = setUp(() => {
    stop.abort(new Error('enough'));
    return refuse('originUnavailable');
  });
  await assert.rejects(origin.head('k', { signal: stop.signal }), fails('originUnavailable'));
  assert.equal(calls.length, 1);
});

test('writes are tried again where their body can be sent again, and not else', async () => {
  const first = ({ count }: FaultyCall) => (count === 0 ? refuse('originUnavailable') : undefined);
  const again = setUp(first);
  await put(again.origin, 'k', ramp(10));
  assert.equal(again.calls.length, 2);
  const once = setUp(first);
  await assert.rejects(once.origin.put('k', onceOf(ramp(10)), options()), fails('originUnavailable'));
  assert.equal(once.calls.length, 1);
});

test('S-8: a conditional write of unclear fate is not tried again, one that was surely refused is', async () => {
  const unclear = setUp(() => ({ kind: 'unanswered' }));
  await assert.rejects(put(unclear.origin, 'k', ramp(10), { ifNoneMatch: '*' }), fails('originUnavailable'));
  assert.equal(unclear.calls.length, 1);
  assert.ok(await unclear.memory.head('k'), 'it had taken effect');
  const refused = setUp(({ count }) => (count === 0 ? refuse('originThrottled') : undefined));
  await put(refused.origin, 'k', ramp(10), { ifNoneMatch: '*' });
  assert.equal(refused.calls.length, 2);
});

test('S-11: a get goes on where it broke off, as long as it makes progress', async () => {
  const size = 20 * MiB;
  const cuts = ({ operation, count }: FaultyCall): Fault | undefined =>
    operation === 'get' && count < 12 ? { kind: 'cut', afterBytes: 1_300_000 } : undefined;
  const { origin, memory, events } = setUp(cuts);
  const { etag } = await put(memory, 'k', ramp(size));
  const bytes = await collect(await origin.get('k', { etag, range: { start: 0, end: size } }));
  assert.deepEqual(bytes, ramp(size));
  assert.equal(events.length, 12);
});

test('S-1: a get whose version is gone when it goes on fails with versionChanged', async () => {
  const { origin, memory } = setUp(({ count }) => (count === 0 ? { kind: 'cut', afterBytes: 1000 } : undefined));
  const { etag } = await put(memory, 'k', ramp(5000));
  const pieces = await origin.get('k', { etag, range: { start: 0, end: 5000 } });
  await put(memory, 'k', ramp(5000, 1));
  await assert.rejects(collect(pieces), fails('versionChanged'));
});

test('a get that makes no progress ends after its attempts', async () => {
  const { origin, memory, calls } = setUp(() => ({ kind: 'cut', afterBytes: 10 }));
  const { etag } = await put(memory, 'k', ramp(5000));
  await assert.rejects(
    collect(await origin.get('k', { etag, range: { start: 0, end: 5000 } })),
    fails('originTruncated'),
  );
  assert.equal(calls.length, originAttemptsMax);
});

test('bandwidth is bounded for reads and writes together', async () => {
  const { clock, sleeps } = jumpingClock();
  const memory = createMemoryOrigin({ clock, random });
  const origin = throttle(memory, { clock, bytesPerS: 1_000_000 });
  await origin.put('k', bodyOf(...Array.from({ length: 30 }, () => ramp(100_000))), options());
  assert.ok(Math.abs(clock.boottimeMs() - 3000) < 100, `${clock.boottimeMs()} ms for 3 MB at 1 MB/s`);
  const version = await memory.head('k');
  const before = clock.boottimeMs();
  const range = { start: 0, end: 2_000_000 };
  const read = async () => collect(await origin.get('k', { etag: version?.etag ?? '', range }));
  await Promise.all([read(), read()]);
  assert.ok(sleeps.length > 0);
  assert.ok(clock.boottimeMs() - before >= 3900, 'two readers share one bound');
});

test('requests at once are bounded, and places come back from answers that were stopped, aborted or failed', async () => {
  const clock = createRealClock();
  const memory = createMemoryOrigin({ clock, random });
  const { etag } = await put(memory, 'k', ramp(3 * MiB));
  const origin = throttle(memory, { clock, requestsMax: 2 });
  const range = { start: 0, end: 3 * MiB };
  const stop = new AbortController();
  const first = await origin.get('k', { etag, range });
  await origin.get('k', { etag, range, signal: stop.signal });
  let isThrough = false;
  const third = origin.head('k').then(() => {
    isThrough = true;
  });
  const impatient = new AbortController();
  const fourth = origin.head('k', { signal: impatient.signal });
  impatient.abort(new Error('not that long'));
  await assert.rejects(fourth, { message: 'not that long' });
  assert.equal(isThrough, false);
  stop.abort(new Error('unread'));
  await third;
  for await (const _ of first) break;
  await assert.rejects(origin.get('k', { etag: '"no"', range }), fails('versionChanged'));
  await Promise.all([collect(await origin.get('k', { etag, range })), collect(await origin.get('k', { etag, range }))]);
});

test('every request is told of once, with its bytes and how it ended', async () => {
  const { clock } = jumpingClock();
  const told: (string | number)[][] = [];
  const memory = createMemoryOrigin({ clock, random });
  const emit = (event: Event) => {
    if (event.kind === 'origin.request') told.push([event.operation, event.bytes, event.code]);
  };
  const origin = observed(memory, { clock, emit });
  const { etag } = await put(origin, 'k', ramp(3 * MiB));
  await collect(await origin.get('k', { etag, range: { start: 5, end: 1005 } }));
  for await (const _ of await origin.get('k', { etag, range: { start: 0, end: 3 * MiB } })) break;
  await assert.rejects(origin.get('k', { etag: '"no"', range: { start: 0, end: 1 } }));
  const stop = new AbortController();
  await origin.get('k', { etag, range: { start: 0, end: 9 }, signal: stop.signal });
  stop.abort(new Error('unread'));
  await origin.head('nothing');
  assert.deepEqual(told, [
    ['put', 3 * MiB, 'ok'],
    ['get', 1000, 'ok'],
    ['get', MiB, 'ok'],
    ['get', 0, 'versionChanged'],
    ['get', 0, 'aborted'],
    ['head', 0, 'ok'],
  ]);
});

runOriginConformance('memory behind every wrapper', async () => {
  const clock = createRealClock();
  // the clock's sleeps keep no process alive, and here is nothing else that would
  const alive = setInterval(() => undefined, 1000);
  const memory = createMemoryOrigin({ clock, random });
  const emit = () => undefined;
  const often = ({ operation, count }: FaultyCall): Fault | undefined => {
    if (operation === 'get' && count % 5 === 2) return { kind: 'cut', afterBytes: 500 };
    return count % 50 === 7 && operation !== 'put' ? refuse('originThrottled') : undefined;
  };
  const bounded = throttle(observed(faulty(memory, often), { clock, emit }), {
    clock,
    requestsMax: 8,
    bytesPerS: 1e10,
  });
  const close = async () => clearInterval(alive);
  return { origin: retry(bounded, { clock, random, emit }), close };
});
