import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isForebayError } from '../src/core/errors.ts';
import { originIdleMs } from '../src/core/limits.ts';
import type { Body } from '../src/origin/origin.ts';
import { Life, SimClock, SimMachineClock } from './sim-clock.ts';
import { assertContentUntouched, contentSlice, firstWrong } from './sim-content.ts';
import { type OriginFaults, SimOrigin } from './sim-origin.ts';
import { SimRandom } from './sim-random.ts';
import { Trace } from './trace.ts';

const CALM: OriginFaults = {
  latencyMs: 10,
  bytesPerMs: 1 << 20,
  throttleChance: 0,
  failChance: 0,
  silentChance: 0,
  resetChance: 0,
  truncateChance: 0,
  stallChance: 0,
};

function makeRig(faults: Partial<OriginFaults> = {}, seed = 1) {
  const random = new SimRandom(seed);
  const trace = new Trace();
  const clock = new SimClock(random.fork('clock'), trace);
  const machine = new SimMachineClock(clock, random.fork('machine'));
  const origin = new SimOrigin({
    clock,
    machine,
    random: random.fork('origin'),
    trace,
    faults: { ...CALM, ...faults },
  });
  const io = origin.attach(new Life('one'));
  const read = async (key: string, options: { etag: string; start: number; end: number; signal?: AbortSignal }) => {
    const { etag, start, end, signal } = options;
    const pieces: Uint8Array[] = [];
    const body = await io.get(key, { etag, range: { start, end }, ...(signal ? { signal } : {}) });
    for await (const piece of body) pieces.push(piece);
    return Buffer.concat(pieces);
  };
  return { clock, origin, io, read, run: <T>(work: Promise<T>) => clock.settle(work) };
}

const code =
  (...codes: Parameters<typeof isForebayError>[1][]) =>
  (error: unknown) =>
    isForebayError(error, ...codes);

test('bytes follow from version and position, have no zeros, and differ between versions', () => {
  const whole = Buffer.concat([contentSlice(3, 0, 1 << 20), contentSlice(3, 1 << 20, 1 << 20)]);
  assert.equal(firstWrong(3, 0, whole), -1);
  assert.equal(firstWrong(3, 12_345, whole.subarray(12_345, 999_999)), -1);
  assert.equal(whole.includes(0), false);
  assert.equal(firstWrong(4, 0, whole), 0);
  assert.ok(firstWrong(3, 1, whole) >= 0, 'misplaced by one');
  whole[1_500_000] = (whole[1_500_000] as number) ^ 1;
  assert.equal(firstWrong(3, 0, whole), 1_500_000);
  assertContentUntouched();
});

test('a range is served with its version, recorded, and refused once the object is another', async () => {
  const { origin, io, read, run } = makeRig();
  const version = origin.replace('a', { sizeBytes: 3_000_000 });
  assert.equal((await run(io.head('a')))?.etag, version.etag);
  assert.equal(await run(io.head('b')), undefined);
  const bytes = await run(read('a', { etag: version.etag, start: 5, end: 2_500_000 }));
  assert.equal(firstWrong(version.number, 5, bytes), -1);
  assert.equal(bytes.length, 2_499_995);
  const [served] = origin.served;
  assert.deepEqual([served?.start, served?.servedTo, served?.isOpen], [5, 2_500_000, false]);
  origin.replace('a', { sizeBytes: 10 });
  await assert.rejects(run(read('a', { etag: version.etag, start: 0, end: 1 })), code('versionChanged'));
  assert.equal(origin.current('a')?.sizeBytes, 10);
  assert.equal(origin.versions('a')[0]?.untilMs, origin.versions('a')[1]?.fromMs);
});

test('each fault has the error that real origins have, and an abort ends a wait at once', async () => {
  const cases: [Partial<OriginFaults>, Parameters<typeof isForebayError>[1]][] = [
    [{ throttleChance: 1 }, 'originThrottled'],
    [{ failChance: 1 }, 'originUnavailable'],
    [{ resetChance: 1 }, 'originUnavailable'],
    [{ truncateChance: 1 }, 'originTruncated'],
  ];
  for (const [faults, expected] of cases) {
    const { origin, read, run } = makeRig(faults);
    const { etag } = origin.replace('a', { sizeBytes: 2_000_000 });
    await assert.rejects(run(read('a', { etag, start: 0, end: 2_000_000 })), code(expected), JSON.stringify(faults));
  }
  for (const faults of [{ silentChance: 1 }, { stallChance: 1 }]) {
    const { clock, origin, read, run } = makeRig(faults);
    const { etag } = origin.replace('a', { sizeBytes: 2_000_000 });
    await assert.rejects(run(read('a', { etag, start: 0, end: 2_000_000 })), code('originUnavailable'));
    assert.ok(clock.nowMs >= originIdleMs);
    const controller = new AbortController();
    const fromMs = clock.nowMs;
    clock.schedule(500, () => controller.abort(new Error('enough')));
    await assert.rejects(run(read('a', { etag, start: 0, end: 2_000_000, signal: controller.signal })), /enough/);
    assert.equal(clock.nowMs, fromMs + 500);
  }
});

test('while the origin is away everything fails, also what is under way', async () => {
  const { clock, origin, io, read, run } = makeRig({ bytesPerMs: 1000 });
  const { etag } = origin.replace('a', { sizeBytes: 2_000_000 });
  clock.schedule(500, () => {
    origin.awayUntilMs = 100_000;
  });
  await assert.rejects(run(read('a', { etag, start: 0, end: 2_000_000 })), code('originUnavailable'));
  await assert.rejects(run(io.head('a')), code('originUnavailable'));
  await run(clock.sleep(100_000));
  assert.ok(await run(io.head('a')));
});

test('listings page in byte order with common prefixes', async () => {
  const { origin, io, run } = makeRig();
  for (const key of ['b', 'a/2', 'a/1', 'ü', 'a-']) origin.replace(key, { sizeBytes: 1 });
  origin.remove('b');
  const first = await run(io.list({ prefix: '', delimiter: '/', limit: 2 }));
  assert.deepEqual([first.objects.map(({ key }) => key), first.prefixes, first.next], [['a-'], ['a/'], 'a/']);
  const rest = await run(io.list({ prefix: '', delimiter: '/', limit: 2, after: 'a/' }));
  assert.deepEqual([rest.objects.map(({ key }) => key), rest.next], [['ü'], undefined]);
});

test('writes hold their conditions, in one and in parts', async () => {
  const { io, read, run } = makeRig();
  const body = (text: string): Body => ({
    lengthBytes: text.length,
    replayable: true,
    stream: async function* () {
      yield Buffer.from(text);
    },
  });
  const plain = { headers: {}, metadata: {} };
  const { etag } = await run(io.put('a', body('hello'), { ...plain, condition: { ifNoneMatch: '*' } }));
  await assert.rejects(
    run(io.put('a', body('x'), { ...plain, condition: { ifNoneMatch: '*' } })),
    code('preconditionFailed'),
  );
  assert.equal((await run(read('a', { etag, start: 1, end: 4 }))).toString(), 'ell');
  const id = await run(io.begin('b', plain));
  const parts = [
    await run(io.part({ key: 'b', id }, 1, body('one '))),
    await run(io.part({ key: 'b', id }, 2, body('two'))),
  ];
  assert.deepEqual(await run(io.parts({ key: 'b', id })), parts);
  const whole = await run(io.finalise({ key: 'b', id }, parts, plain));
  assert.equal((await run(read('b', { etag: whole.etag, start: 0, end: 7 }))).toString(), 'one two');
  await assert.rejects(run(io.finalise({ key: 'b', id }, parts, plain)), code('noSuchUpload'));
  await assert.rejects(run(io.delete('b', { ifMatch: '"other"' })), code('preconditionFailed'));
  await run(io.delete('b'));
  assert.equal(await run(io.head('b')), undefined);
});
