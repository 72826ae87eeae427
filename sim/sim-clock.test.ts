import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Life, SimClock, SimMachineClock, StuckError } from './sim-clock.ts';
import { SimRandom } from './sim-random.ts';
import { Trace } from './trace.ts';

function makeClock(seed = 1): { clock: SimClock; trace: Trace } {
  const trace = new Trace();
  return { clock: new SimClock(new SimRandom(seed), trace), trace };
}

test('virtual time moves on only when every promise continuation has run', async () => {
  const { clock } = makeClock();
  const seen: string[] = [];
  const work = async (name: string, ms: number) => {
    await clock.sleep(ms);
    for (let i = 0; i < 50; i++) await Promise.resolve();
    seen.push(`${name}@${clock.nowMs}`);
  };
  await clock.settle(Promise.all([work('b', 2), work('a', 1), work('c', 2.5)]));
  assert.deepEqual(seen, ['a@1', 'b@2', 'c@2.5']);
});

test('an aborted sleep rejects at once with the reason, and its event never happens', async () => {
  const { clock } = makeClock();
  const controller = new AbortController();
  const sleeping = clock.sleep(1000, { signal: controller.signal });
  clock.schedule(5, () => controller.abort(new Error('enough')));
  await assert.rejects(clock.settle(sleeping), /enough/);
  assert.equal(clock.nowMs, 5);
});

test('what a dead life waits for never happens, what a paused one waits for happens late', async () => {
  const { clock } = makeClock();
  const [dead, paused] = [new Life('dead'), new Life('paused')];
  const seen: string[] = [];
  clock.schedule(10, () => seen.push('dead'), dead);
  clock.schedule(10, () => seen.push(`paused@${clock.nowMs}`), paused);
  dead.alive = false;
  paused.pausedUntilMs = 70;
  await assert.rejects(
    clock.run(() => false),
    StuckError,
  );
  assert.deepEqual(seen, ['paused@70']);
});

test('a wait that nothing can end is an error, not a hang', async () => {
  const { clock } = makeClock();
  await assert.rejects(clock.settle(new Promise(() => {})), /no event is left/);
  const sleeping = clock.sleep(100);
  await assert.rejects(clock.settle(sleeping, 50), /until 50 ms/);
});

test('a reboot changes the boot id and sets boottime back, a wall jump changes neither', () => {
  const { clock } = makeClock();
  const machine = new SimMachineClock(clock, new SimRandom(3));
  const first = machine.attach(new Life('first'));
  const [wall, boottime] = [first.wallMs(), first.boottimeMs()];
  machine.jumpWall(-3_600_000);
  assert.equal(first.wallMs(), wall - 3_600_000);
  assert.equal(first.boottimeMs(), boottime);
  machine.reboot();
  assert.notEqual(machine.attach(new Life('second')).bootId, first.bootId);
});

test('forked streams do not depend on what was drawn before, and differ by name and seed', () => {
  const early = new SimRandom(7).fork('disk');
  const used = new SimRandom(7);
  for (let i = 0; i < 10; i++) used.word();
  assert.deepEqual([...used.fork('disk').bytes(16)], [...early.bytes(16)]);
  assert.notDeepEqual([...new SimRandom(7).fork('net').bytes(16)], [...new SimRandom(7).fork('disk').bytes(16)]);
  assert.notDeepEqual([...new SimRandom(8).fork('disk').bytes(16)], [...new SimRandom(7).fork('disk').bytes(16)]);
  const draws = Array.from({ length: 10_000 }, () => used.integer(10));
  for (let value = 0; value < 10; value++) {
    const count = draws.filter((draw) => draw === value).length;
    assert.ok(count > 850 && count < 1150, `${value} came ${count} times of 10,000`);
  }
});
