import assert from 'node:assert/strict';
import { test } from 'node:test';
import { copyLingerMs, copyMemoryMs, drainYieldMs, MiB } from '../core/limits.ts';
import { CopyTraffic } from './copy-traffic.ts';

/** Time that passes when the test says so. */
class Time {
  nowMs = 1000;
  readonly #sleepers = new Set<{ dueMs: number; wake: () => void }>();

  boottimeMs(): number {
    return this.nowMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const sleeper = { dueMs: this.nowMs + ms, wake: resolve };
      this.#sleepers.add(sleeper);
      signal?.addEventListener('abort', () => {
        this.#sleepers.delete(sleeper);
        reject(signal.reason as Error);
      });
    });
  }

  async pass(ms: number): Promise<void> {
    await settled();
    for (const untilMs = this.nowMs + ms; ; ) {
      const next = Math.min(untilMs, ...Array.from(this.#sleepers, ({ dueMs }) => dueMs));
      this.nowMs = Math.max(this.nowMs, next);
      for (const sleeper of Array.from(this.#sleepers)) {
        if (sleeper.dueMs > this.nowMs) continue;
        this.#sleepers.delete(sleeper);
        sleeper.wake();
      }
      await settled();
      if (next >= untilMs) return;
    }
  }
}

const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

function world(options: { isShortOfRoom?: () => boolean } = {}) {
  const time = new Time();
  const traffic = new CopyTraffic({ clock: time, isShortOfRoom: options.isShortOfRoom ?? (() => false) });
  const over = new AbortController();
  return { time, traffic, over, ...turnOf(traffic, over.signal) };
}

function turnOf(traffic: CopyTraffic, signal: AbortSignal) {
  const state = { had: 0 };
  const ask = () =>
    traffic.turn(signal).then(
      () => void (state.had += 1),
      () => void (state.had -= 1),
    );
  return { state, ask };
}

test('what is safe waits for what is not, and goes as soon as that has left', async () => {
  const { time, traffic, state, ask } = world();
  await ask();
  assert.equal(state.had, 1, 'nothing is in its way');
  const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const copies = [traffic.during(first.promise), traffic.during(second.promise)];
  void ask();
  await time.pass(5000);
  first.resolve();
  await time.pass(5000);
  assert.equal(state.had, 1, 'the other is still on its way');
  second.resolve();
  await Promise.all(copies);
  await time.pass(copyLingerMs + 1);
  assert.equal(state.had, 2);
});

test('a short pause between two messages is none', async () => {
  const { time, traffic, state, ask } = world();
  const first = Promise.withResolvers<void>();
  const copying = traffic.during(first.promise);
  void ask();
  first.resolve();
  await copying;
  await time.pass(copyLingerMs / 2);
  const second = Promise.withResolvers<void>();
  const next = traffic.during(second.promise);
  await time.pass(10 * copyLingerMs);
  assert.equal(state.had, 0);
  second.reject(new Error('the replica died'));
  await assert.rejects(next);
  await time.pass(copyLingerMs + 1);
  assert.equal(state.had, 1, 'a message that failed is over, too');
});

test('a job that never stops writing, or a replica that hangs, holds nothing for ever', async () => {
  const { time, traffic, state, ask } = world();
  void traffic.during(new Promise<void>(() => undefined));
  void ask();
  await time.pass(drainYieldMs - 1);
  assert.equal(state.had, 0);
  await time.pass(2);
  assert.equal(state.had, 1);
  await ask();
  assert.equal(state.had, 2, 'and not again within the same stretch');
});

test('on a disk short of room nothing waits, for only the drain makes room', async () => {
  let isShort = false;
  const { time, traffic, state, ask } = world({ isShortOfRoom: () => isShort });
  void traffic.during(new Promise<void>(() => undefined));
  void ask();
  await time.pass(3000);
  assert.equal(state.had, 0);
  isShort = true;
  await time.pass(1000);
  assert.equal(state.had, 1);
});

test('who waits no more leaves with its reason', async () => {
  const { time, traffic, over, state, ask } = world();
  void traffic.during(new Promise<void>(() => undefined));
  void ask();
  await time.pass(10);
  over.abort(new Error('given up'));
  await time.pass(10);
  assert.equal(state.had, -1);
});

test('what a node was given counts, more as long as it does not have it, and fades', () => {
  const { time, traffic } = world();
  const paid = traffic.owed('a', 100 * MiB);
  assert.equal(traffic.loadOf('a'), 200 * MiB);
  assert.equal(traffic.loadOf('b'), 0);
  paid();
  paid();
  assert.equal(traffic.loadOf('a'), 100 * MiB, 'paid once');
  time.nowMs += copyMemoryMs;
  assert.equal(traffic.loadOf('a'), 50 * MiB);
  traffic.keepOnly(() => false);
  assert.equal(traffic.loadOf('a'), 0);
});
