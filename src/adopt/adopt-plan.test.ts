import assert from 'node:assert/strict';
import { test } from 'node:test';
import { adoptQuietMs, adoptSettleMs } from '../core/limits.ts';
import { AdoptPlan, type AdoptStep } from './adopt-plan.ts';

const file = (version: string, isQuiet = false) => ({ version, sizeBytes: 10, ripeInMs: isQuiet ? 0 : adoptQuietMs });
const done = (version: string | undefined) => ({ kind: 'done', version, sizeBytes: 10 }) as const;
const told = (steps: readonly AdoptStep[]) =>
  steps.map((step) => (step.kind === 'rename' ? `${step.from} → ${step.path}` : `${step.kind} ${step.path}`));

/** Takes over what is ripe, with these versions. */
function take(plan: AdoptPlan, nowMs: number, version: string): string[] {
  const steps = plan.begin(nowMs, 8);
  for (const step of steps) plan.settled(step, done(version), nowMs);
  return told(steps);
}

test('a file that is closed and renamed at once is taken over once, under its final name', () => {
  const plan = new AdoptPlan({ deletes: false });
  plan.finished('x.tmp', 0);
  plan.moved('x.tmp', 'x', 5);
  assert.deepEqual(plan.begin(5, 8), []);
  assert.deepEqual(take(plan, 5 + adoptSettleMs, '1'), ['adopt x']);
  assert.ok(plan.isIdle);
  assert.deepEqual(plan.totals(9), { files: 1, filesDone: 1, bytes: 10, bytesDone: 10, failed: [] });
});

test('a version that was taken over is renamed in the volume, with its directory too, and also when that comes in between', () => {
  const plan = new AdoptPlan({ deletes: false });
  for (const path of ['d/x', 'd/y', 'dd']) plan.finished(path, 0);
  assert.deepEqual(take(plan, 100, '1'), ['adopt d/x', 'adopt d/y', 'adopt dd']);
  assert.equal(plan.moved('d', 'e', 200), false);
  const steps = plan.begin(200, 8);
  assert.deepEqual(told(steps), ['d/x → e/x', 'd/y → e/y']);
  plan.moved('e', 'f', 210);
  assert.deepEqual(plan.begin(210, 8), [], 'one step of a file at a time');
  for (const step of steps) plan.settled(step, done(undefined), 220);
  assert.deepEqual(take(plan, 220, '1'), ['e/x → f/x', 'e/y → f/y']);
  assert.ok(plan.isIdle);
  assert.equal(plan.moved('unknown', 'g', 300), true);
});

test('renamed while it is taken over, a file ends under its last name', () => {
  const plan = new AdoptPlan({ deletes: false });
  plan.finished('x.tmp', 0);
  const [step] = plan.begin(100, 8) as [AdoptStep];
  plan.moved('x.tmp', 'x', 110);
  plan.settled(step, done('1'), 120);
  assert.deepEqual(take(plan, 1000, '1'), ['x.tmp → x']);
  plan.finished('z.tmp', 2000);
  const [late] = plan.begin(2100, 8) as [AdoptStep];
  plan.moved('z.tmp', 'z', 2110);
  plan.settled(late, { kind: 'missing' }, 2120);
  assert.deepEqual(take(plan, 3000, '1'), ['adopt z'], 'the rename came before its bytes were taken');
  assert.ok(plan.isIdle);
});

test('a file that is written again, while it is taken over or later, is taken over again', () => {
  const plan = new AdoptPlan({ deletes: false });
  plan.finished('x', 0);
  const [step] = plan.begin(100, 8) as [AdoptStep];
  plan.finished('x', 110);
  plan.settled(step, done('1'), 120);
  assert.deepEqual(take(plan, 1000, '2'), ['adopt x']);
  plan.seen('x', file('2'), plan.heard, 2000);
  assert.ok(plan.isIdle, 'what was seen again is the same');
  plan.seen('x', file('3'), plan.heard, 3000);
  assert.deepEqual(plan.begin(3000, 8), [], 'nobody was seen to close it: it may be in the making');
  assert.deepEqual(take(plan, 3000 + adoptQuietMs, '3'), ['adopt x']);
  plan.finished('x', 9000);
  assert.deepEqual(take(plan, 9100, '3'), ['adopt x'], 'the step says what is known, so that nothing is done');
});

test('a file that changed while it was taken over is taken over again when it is quiet', () => {
  const plan = new AdoptPlan({ deletes: false });
  plan.finished('x', 0);
  assert.deepEqual(take(plan, 100, '1'), ['adopt x']);
  plan.finished('x', 200);
  const [step] = plan.begin(300, 8) as [AdoptStep];
  plan.settled(step, done(undefined), 310);
  assert.equal(plan.totals(9).filesDone, 0);
  assert.deepEqual(take(plan, 310 + adoptQuietMs, '2'), ['adopt x']);
});

test('found files wait until they are quiet, unless they are old', () => {
  const plan = new AdoptPlan({ deletes: false });
  plan.seen('old', file('1', true), plan.heard, 0);
  plan.seen('new', file('1'), plan.heard, 0);
  assert.deepEqual(take(plan, 0, '1'), ['adopt old']);
  plan.seen('new', file('2'), plan.heard, 1000);
  assert.deepEqual(plan.begin(adoptQuietMs, 8), []);
  assert.deepEqual(take(plan, 1000 + adoptQuietMs, '2'), ['adopt new']);
});

test('S-7: a step names what was finished before it in its directory and below, and nothing beside that', () => {
  const plan = new AdoptPlan({ deletes: false });
  for (const path of ['step-1/a', 'step-2/a', 'step-1/sub/b', 'step-1/.metadata', 'latest']) plan.finished(path, 0);
  const steps = plan.begin(100, 8);
  const before = (at: number) =>
    plan.before(steps[at] as AdoptStep).map((order) => steps.find((s) => s.order === order)?.path);
  assert.deepEqual(before(0), []);
  assert.deepEqual(before(1), []);
  assert.deepEqual(before(2), [], 'what is above does not count');
  assert.deepEqual(before(3), ['step-1/a', 'step-1/sub/b']);
  assert.deepEqual(before(4), ['step-1/a', 'step-2/a', 'step-1/sub/b', 'step-1/.metadata']);
  const orders = plan.before(steps[3] as AdoptStep);
  plan.settled(steps[0] as AdoptStep, { kind: 'failed', message: 'the disk is full' }, 200);
  plan.settled(steps[2] as AdoptStep, done('1'), 200);
  assert.equal(plan.isPending(orders), true, 'what failed is tried again first');
  const [again] = plan.begin(10_000, 0) as [AdoptStep];
  assert.equal(again.path, 'step-1/a', 'it does not wait for room, for others wait for it');
  plan.settled(again, done('1'), 10_010);
  assert.equal(plan.isPending(orders), false);
});

test('what fails for good is told of and holds nothing back; what fails for now is tried again, later each time', () => {
  const plan = new AdoptPlan({ deletes: false });
  plan.finished('long', 0);
  const [step] = plan.begin(100, 8) as [AdoptStep];
  plan.settled(step, { kind: 'refused', message: 'the key is too long' }, 110);
  assert.ok(plan.isIdle);
  assert.deepEqual(plan.totals(9).failed, [{ path: 'long', message: 'the key is too long' }]);
  plan.finished('x', 0);
  let nowMs = 1000;
  const waits: number[] = [];
  for (let n = 0; n < 4; n += 1) {
    const [next] = plan.begin(nowMs, 8) as [AdoptStep];
    plan.settled(next, { kind: 'failed', message: 'no room' }, nowMs);
    waits.push(plan.nextMs(nowMs) - nowMs);
    nowMs = plan.nextMs(nowMs);
  }
  assert.deepEqual(waits, [500, 1000, 2000, 4000]);
});

test('deletes are followed only where that is wanted, and a file that comes again is a new one', () => {
  for (const deletes of [false, true]) {
    const plan = new AdoptPlan({ deletes });
    plan.finished('d/x', 0);
    take(plan, 100, '1');
    plan.gone('d', 200);
    assert.deepEqual(take(plan, 200, ''), deletes ? ['delete d/x'] : []);
    assert.ok(plan.isIdle);
    assert.equal(plan.totals(9).files, 0);
    plan.finished('d/x', 300);
    assert.deepEqual(take(plan, 400, '1'), ['adopt d/x']);
    plan.onlySeen('', new Set(), plan.heard, 500);
    assert.deepEqual(take(plan, 500, ''), deletes ? ['delete d/x'] : []);
  }
});

test('a file renamed over another replaces it, and waits for what is under way with either name', () => {
  const plan = new AdoptPlan({ deletes: true });
  plan.finished('x', 0);
  take(plan, 100, '1');
  plan.finished('x', 200);
  plan.finished('y', 200);
  const [x, y] = plan.begin(300, 8) as [AdoptStep, AdoptStep];
  plan.settled(y, done('2'), 310);
  plan.moved('y', 'x', 320);
  assert.deepEqual(plan.begin(400, 8), [], 'the old x is still on its way');
  plan.settled(x, done('3'), 410);
  assert.deepEqual(take(plan, 420, '2'), ['y → x']);
  assert.ok(plan.isIdle);
});

test('a file that is begun while closing is heard of waits for that, however long nothing is written', () => {
  const plan = new AdoptPlan({ deletes: false });
  plan.seen('x', { version: '1', sizeBytes: 0, ripeInMs: Infinity }, plan.heard, 0);
  assert.deepEqual(plan.begin(1_000_000, 8), []);
  assert.equal(plan.totals(9).filesDone, 0);
  plan.finished('x', 1_000_000);
  plan.seen('x', { version: '2', sizeBytes: 5, ripeInMs: Infinity }, plan.heard, 1_000_001);
  assert.deepEqual(take(plan, 1_000_100, '2'), ['adopt x']);
  assert.ok(plan.isIdle);
});

test('what is told of while a directory is looked at is newer than what the look saw', () => {
  const plan = new AdoptPlan({ deletes: true });
  for (const path of ['d/renamed', 'd/deleted']) plan.finished(path, 0);
  take(plan, 100, '1');
  const since = plan.heard;
  plan.finished('d/new.tmp', 200);
  plan.moved('d/new.tmp', 'd/new', 201);
  plan.moved('d/renamed', 'd/other', 202);
  plan.gone('d/deleted', 203);
  const seen = ['d/renamed', 'd/deleted', 'd/new.tmp'];
  for (const path of seen) plan.seen(path, file('1'), since, 300);
  plan.onlySeen('d', new Set(seen), since, 300);
  assert.deepEqual(take(plan, 400, '1'), ['adopt d/new', 'd/renamed → d/other', 'delete d/deleted']);
});

test('a file that is still being written when it seemed quiet is looked at later', () => {
  const plan = new AdoptPlan({ deletes: false });
  plan.seen('x', file('1'), plan.heard, 0);
  const [step] = plan.begin(adoptQuietMs, 8) as [AdoptStep];
  plan.settled(step, { kind: 'later' }, adoptQuietMs);
  assert.equal(plan.isIdle, false);
  assert.deepEqual(take(plan, 2 * adoptQuietMs, '1'), ['adopt x']);
});

test('a hundred thousand files cost no more each than a few', () => {
  const plan = new AdoptPlan({ deletes: false });
  for (let n = 0; n < 100_000; n += 1) plan.seen(`d/${n}`, file('1', true), plan.heard, 0);
  let looked = 0;
  const begunMs = performance.now();
  for (let steps = plan.begin(1, 8); steps.length > 0; steps = plan.begin(1, 8)) {
    for (const step of steps) {
      plan.before(step);
      plan.settled(step, done('1'), 1);
    }
    looked += steps.length;
    assert.ok(plan.nextMs(1) >= 1);
  }
  assert.equal(looked, 100_000);
  assert.ok(plan.isIdle);
  assert.ok(performance.now() - begunMs < 20_000, 'it would take minutes if each looked at all');
});
