/** Every checker must object: each is shown what breaks its promise. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { originContentId } from '../../src/core/ids.ts';
import type { StoreStatus } from '../../src/core/store-status.ts';
import type { Volume } from '../../src/core/volume.ts';
import { Life, SimClock, SimMachineClock } from '../sim-clock.ts';
import { contentSlice } from '../sim-content.ts';
import { SimOrigin, type SimVersion } from '../sim-origin.ts';
import { SimRandom } from '../sim-random.ts';
import { Trace } from '../trace.ts';
import { Findings, type OpenSeen } from './checker.ts';
import { checkIdle } from './leaks.ts';
import { OneVersion } from './s1-one-version.ts';
import { Freshness } from './s2-freshness.ts';
import { VerifiedBytes } from './s9-verified-bytes.ts';
import { OriginOnce } from './s11-origin-once.ts';
import { Bounds } from './s12-bounds.ts';
import { CrashRestart } from './s14-crash-restart.ts';

const VOLUME: Volume = {
  name: 'models',
  origin: 'memory:',
  write: true,
  revalidateMs: 100,
  staleIfErrorMs: 1000,
  chunkSizeBytes: 1 << 20,
  verify: 'arrival',
};
const CALM = { latencyMs: 1, bytesPerMs: 1 << 20, throttleChance: 0, failChance: 0, silentChance: 0 };
const WHOLE = { resetChance: 0, truncateChance: 0, stallChance: 0 };

function makeWorld() {
  const random = new SimRandom(1);
  const trace = new Trace();
  const clock = new SimClock(random.fork('clock'), trace);
  const machine = new SimMachineClock(clock, random.fork('machine'));
  const origin = new SimOrigin({ clock, machine, random: random.fork('origin'), trace, faults: { ...CALM, ...WHOLE } });
  const findings = new Findings(() => clock.nowMs);
  const life = new Life('life 1');
  const open = (version: SimVersion, times: Partial<OpenSeen> = {}): OpenSeen => {
    const content = originContentId({ volume: VOLUME.name, key: version.key, etag: version.etag });
    const fact = { ...version, volume: VOLUME.name, content, doorEtag: version.etag, checkedMs: 0 };
    return { life, key: version.key, fact, stale: false, askedMs: clock.nowMs, answeredMs: clock.nowMs, ...times };
  };
  const pass = (ms: number) => clock.settle(clock.sleep(ms));
  return { clock, origin, findings, life, open, pass };
}

const promises = (findings: Findings): string[] => findings.all.map(({ promise }) => promise);

test('S-1: zeros, bytes of another version and a version that never was are objected to, right bytes are not', () => {
  const { origin, findings, open } = makeWorld();
  const checker = new OneVersion(origin, findings);
  const old = origin.replace('a', { sizeBytes: 5000 });
  const now = origin.replace('a', { sizeBytes: 5000 });
  checker.opened(open(now));
  checker.bytes(open(now), 100, contentSlice(now.number, 100, 1000));
  assert.equal(findings.all.length, 0);
  checker.bytes(
    open(now),
    100,
    Buffer.concat([contentSlice(now.number, 100, 500), contentSlice(old.number, 600, 500)]),
  );
  assert.match(findings.all.at(-1)?.message ?? '', /at byte 600: bytes of "v1-/);
  checker.bytes(open(now), 0, Buffer.alloc(50));
  assert.match(findings.all.at(-1)?.message ?? '', /at byte 0: zeros/);
  checker.opened(open({ ...now, etag: '"never"' }));
  checker.opened(open({ ...now, sizeBytes: 5001 }));
  assert.deepEqual(promises(findings), ['S-1', 'S-1', 'S-1', 'S-1']);
});

test('S-2: a version too old, a write not seen and a wrong absence are objected to, within their times they are not', async () => {
  const { origin, findings, open, pass } = makeWorld();
  const checker = new Freshness(origin, findings, VOLUME);
  const old = origin.replace('a', { sizeBytes: 10 });
  await pass(50);
  const now = origin.replace('a', { sizeBytes: 10 });
  await pass(90);
  checker.opened(open(old));
  checker.opened(open(now));
  checker.absent({ key: 'b', askedMs: 0, answeredMs: 1 });
  assert.equal(findings.all.length, 0);
  await pass(20);
  checker.opened(open(old));
  assert.match(findings.all.at(-1)?.message ?? '', /opened as fresh/);
  checker.opened(open(old, { stale: true }));
  assert.equal(findings.all.length, 1);
  await pass(1000);
  checker.opened(open(old, { stale: true }));
  assert.match(findings.all.at(-1)?.message ?? '', /opened as stale/);
  checker.absent({ key: 'a', askedMs: 1160, answeredMs: 1160 });
  origin.replace('a', { sizeBytes: 11 });
  checker.written('a', origin.clock.nowMs);
  await pass(1);
  checker.opened(open(now));
  assert.match(findings.all.at(-1)?.message ?? '', /after a write of/);
  assert.equal(findings.all.length, 4);
});

test('S-2: a listing that leaves out or invents a key is objected to', async () => {
  const { origin, findings, pass } = makeWorld();
  const checker = new Freshness(origin, findings, VOLUME);
  origin.replace('a/1', { sizeBytes: 1 });
  origin.replace('a/2', { sizeBytes: 2 });
  await pass(500);
  const entry = (key: string, sizeBytes: number) => ({ key, sizeBytes, doorEtag: '', modifiedMs: 0 });
  const listed = (objects: ReturnType<typeof entry>[], next?: string) =>
    checker.listed({
      request: { volume: VOLUME.name, prefix: 'a/', limit: 10 },
      listing: { objects, prefixes: [], stale: false, ...(next === undefined ? {} : { next }) },
      askedMs: 500,
      answeredMs: 500,
    });
  listed([entry('a/1', 1), entry('a/2', 2)]);
  listed([entry('a/1', 1)], 'a/1');
  assert.equal(findings.all.length, 0);
  listed([entry('a/1', 1)]);
  listed([entry('a/1', 1), entry('a/2', 99)]);
  assert.deepEqual(promises(findings), ['S-2', 'S-2']);
});

test('S-9: a flipped bit is objected to, and a file range where everything is to be verified', () => {
  const { origin, findings, open } = makeWorld();
  const version = origin.replace('a', { sizeBytes: 5000 });
  const bytes = contentSlice(version.number, 0, 5000).slice();
  const checker = new VerifiedBytes(origin, findings, VOLUME);
  checker.bytes(open(version), 0, bytes, 'file');
  assert.equal(findings.all.length, 0);
  bytes[777] = (bytes[777] as number) ^ 4;
  checker.bytes(open(version), 0, bytes, 'file');
  assert.match(findings.all.at(-1)?.message ?? '', /at byte 777: one wrong byte/);
  new VerifiedBytes(origin, findings, { ...VOLUME, verify: 'always' }).bytes(
    open(version),
    0,
    bytes.subarray(0, 5),
    'file',
  );
  assert.deepEqual(promises(findings), ['S-9', 'S-9']);
});

test('S-11: a block read twice is objected to, unless it was dropped or counted in between', async () => {
  const { clock, origin, findings, life, open } = makeWorld();
  const version = origin.replace('a', { sizeBytes: 3000 });
  const { content } = open(version).fact;
  const io = origin.attach(life);
  const checker = new OriginOnce(origin, findings, VOLUME.name);
  const read = async (end: number) => {
    const body = await io.get('a', { etag: version.etag, range: { start: 0, end } });
    for await (const _ of body);
  };
  await clock.settle(read(3000));
  await clock.settle(read(100));
  checker.check(life);
  assert.equal(findings.all.length, 0, 'a part of a block counts as none');
  await clock.settle(read(3000));
  checker.check(life);
  assert.deepEqual(promises(findings), ['S-11']);
  checker.event(life, { kind: 'store.dropped', content, bytes: 3000, reason: 'evict' });
  checker.check(life);
  await clock.settle(read(3000));
  checker.event(life, { kind: 'origin.refill', volume: VOLUME.name, reason: 'disk-full', bytes: 3000 });
  checker.check(life);
  assert.deepEqual(promises(findings), ['S-11']);
});

test('S-12: too many bytes on the disk and too many requests are objected to', () => {
  const { findings } = makeWorld();
  const bounds = new Bounds(findings, { capacityBytes: 10 << 20, clients: 2 });
  bounds.disk({ usedMaxBytes: 14 << 20 });
  bounds.requests(18);
  assert.equal(findings.all.length, 0);
  bounds.disk({ usedMaxBytes: (14 << 20) + 1 });
  bounds.requests(19);
  assert.deepEqual(promises(findings), ['S-12', 'S-12']);
});

test('S-14: what was read whole and not dropped is expected after a kill, not after a power cut or a failing disk', async () => {
  const { clock, origin, findings, life, open, pass } = makeWorld();
  const seen = open(origin.replace('a', { sizeBytes: 3000 }));
  const read = async (checker: CrashRestart, ms: number) => {
    checker.readDone({ ...seen, askedMs: clock.nowMs }, { start: 0, end: 3000 });
    await pass(ms);
  };
  const expectedAfter = async (happens: (checker: CrashRestart) => unknown) => {
    const checker = new CrashRestart(clock, findings);
    await happens(checker);
    checker.crashed(life, 'process');
    return checker.expected.length;
  };
  assert.equal(await expectedAfter((checker) => read(checker, 1000)), 1);
  assert.equal(await expectedAfter((checker) => read(checker, 10)), 0, 'the journal may be behind');
  const { content } = seen.fact;
  const dropped = { kind: 'store.dropped', content, bytes: 1, reason: 'evict' } as const;
  const after = (then: (checker: CrashRestart) => void) => async (checker: CrashRestart) => {
    await read(checker, 1000);
    then(checker);
  };
  assert.equal(await expectedAfter(after((checker) => checker.event(life, dropped))), 0);
  assert.equal(await expectedAfter(after((checker) => checker.crashed(life, 'machine'))), 0);
  assert.equal(await expectedAfter(after((checker) => checker.diskFailed(0))), 0);
  const failing = new CrashRestart(clock, findings);
  failing.lost({ key: 'a', etag: seen.fact.etag }, 'why');
  assert.deepEqual(promises(findings), ['S-14']);
});

test('leaks: reserved bytes and bytes that cannot be evicted are objected to', () => {
  const { findings } = makeWorld();
  const status = { reservedBytes: 0, presentBytes: 0 } as StoreStatus;
  checkIdle(findings, { status, keptBytes: 0, wasKilled: false });
  assert.equal(findings.all.length, 0);
  checkIdle(findings, { status: { ...status, reservedBytes: 1 }, keptBytes: 0, wasKilled: false });
  checkIdle(findings, { status, keptBytes: 1, wasKilled: false });
  checkIdle(findings, { status: { ...status, presentBytes: 1 }, keptBytes: 0, wasKilled: false });
  assert.equal(findings.all.length, 3);
});
