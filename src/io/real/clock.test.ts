import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { createRealClock } from './clock.ts';
import { createRealRandom } from './random.ts';

for (const ffi of ['auto', 'off'] as const) {
  test(`the clock tells the time since boot and never goes back (ffi ${ffi})`, () => {
    const clock = createRealClock({ ffi });
    const uptimeMs = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]) * 1000;
    assert.ok(Math.abs(clock.boottimeMs() - uptimeMs) < 200);
    let last = 0;
    for (let n = 0; n < 10_000; n++) {
      const now = clock.boottimeMs();
      assert.ok(now >= last);
      last = now;
    }
  });

  test(`sleep takes its time, and an abort ends it at once with the reason (ffi ${ffi})`, async () => {
    const clock = createRealClock({ ffi });
    const keepAlive = setTimeout(() => {}, 60_000);
    const from = clock.boottimeMs();
    await clock.sleep(30);
    assert.ok(clock.boottimeMs() - from >= 28);
    const reason = new Error('enough');
    const abort = new AbortController();
    const sleeping = clock.sleep(1e12, abort.signal);
    abort.abort(reason);
    await assert.rejects(sleeping, reason);
    await assert.rejects(clock.sleep(10, abort.signal), reason);
    clearTimeout(keepAlive);
  });
}

test('the boot has a name', () => {
  assert.equal(createRealClock().bootId, readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim());
});

test('random numbers stay in their bounds and differ', () => {
  const random = createRealRandom();
  for (let n = 0; n < 1000; n++) {
    const fraction = random.fraction();
    assert.ok(fraction >= 0 && fraction < 1);
    assert.ok(random.integer(7) < 7);
    assert.ok(random.integer(2 ** 52) < 2 ** 52);
  }
  assert.equal(random.integer(1), 0);
  assert.equal(random.bytes(16).length, 16);
  assert.notDeepEqual(random.bytes(16), random.bytes(16));
});
