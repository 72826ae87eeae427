import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { peerReplayWindow } from '../../core/limits.ts';
import { ReplayWindow } from './replay-window.ts';

test('a counter is taken once, in any order, and never when it is older than the window', () => {
  const near = fc.integer({ min: 0, max: 3 * peerReplayWindow });
  const far = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
  fc.assert(
    fc.property(fc.array(fc.oneof({ weight: 9, arbitrary: near }, far), { maxLength: 400 }), (counters) => {
      const window = new ReplayWindow();
      const used = new Set<number>();
      let highest = -1;
      for (const counter of counters) {
        const fresh = !used.has(counter) && counter > highest - peerReplayWindow;
        assert.equal(window.use(counter), fresh, `${counter} after ${highest}`);
        if (fresh) used.add(counter);
        highest = Math.max(highest, counter);
      }
    }),
  );
});

test('requests that overtake each other by less than the window are all taken', () => {
  const window = new ReplayWindow();
  for (let base = 0; base < 5 * peerReplayWindow; base += peerReplayWindow)
    for (let back = peerReplayWindow - 1; back >= 0; back--) assert.ok(window.use(base + back));
});
