import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import type { DiskError } from '../src/io/io.ts';
import { Life, SimClock, SimMachineClock } from './sim-clock.ts';
import { SimDisk, type SimDiskOptions } from './sim-disk.ts';
import { SimRandom } from './sim-random.ts';
import { Trace } from './trace.ts';

interface Rig {
  readonly clock: SimClock;
  readonly disk: SimDisk;
  readonly run: <T>(work: Promise<T>) => Promise<T>;
}

function makeRig(seed = 1, options: Partial<SimDiskOptions> = {}): Rig {
  const random = new SimRandom(seed);
  const trace = new Trace();
  const clock = new SimClock(random.fork('clock'), trace);
  const disk = new SimDisk({
    clock,
    machine: new SimMachineClock(clock, random.fork('machine')),
    random: random.fork('disk'),
    trace,
    capacityBytes: 64 << 20,
    canPunch: true,
    canClone: true,
    deadlineMs: 3000,
    faults: { latencyMs: 1, bytesPerMs: 1 << 20, slowChance: 0, slowMs: 0, errorChance: 0 },
    ...options,
  });
  return { clock, disk, run: (work) => clock.settle(work) };
}

const ramp = (length: number, from = 1): Uint8Array => Uint8Array.from({ length }, (_, i) => ((i + from) % 251) + 1);
const code = (expected: string) => (error: DiskError) => error.code === expected;

test('bytes written are read back, across pages, past holes, cut at the end', async () => {
  const { disk, run } = makeRig();
  const io = disk.attach(new Life('one'));
  const file = await run(io.open('/f', { write: true, create: true }));
  const bytes = ramp(200_000);
  await run(file.write(100_001, bytes));
  assert.deepEqual(await run(file.read(100_001, 200_000)), Buffer.from(bytes));
  assert.deepEqual(await run(file.read(0, 5)), Buffer.alloc(5));
  assert.equal((await run(file.read(300_000, 500))).length, 1);
  assert.equal((await run(file.read(400_000, 500))).length, 0);
  const [sum] = await run(file.checksums({ start: 100_001, end: 300_001 }, 1 << 20));
  assert.equal(sum, crc32(bytes));
  assert.deepEqual(await run(file.checksums({ start: 0, end: 400_000 }, 300_000)), [
    crc32(Buffer.concat([Buffer.alloc(100_001), bytes.subarray(0, 199_999)])),
  ]);
  const stat = await run(file.stat());
  assert.equal(stat.sizeBytes, 300_001);
  assert.ok(stat.allocatedBytes < 210_000, `the hole takes no space: ${stat.allocatedBytes}`);
});

test('a punched range reads as zeros and gives its space back, and no neighbour changes', async () => {
  const { disk, run } = makeRig();
  const io = disk.attach(new Life('one'));
  const file = await run(io.open('/f', { write: true, create: true }));
  const bytes = ramp(300_000);
  await run(file.write(0, bytes));
  const used = disk.usedBytes;
  await run(file.punch({ start: 5000, end: 200_000 }));
  bytes.fill(0, 5000, 200_000);
  assert.deepEqual(await run(file.read(0, 300_000)), Buffer.from(bytes));
  assert.ok(used - disk.usedBytes > 185_000);
  assert.equal((await run(file.stat())).sizeBytes, 300_000);
});

test('an open handle keeps its bytes and their space through unlink and rename', async () => {
  const { disk, run } = makeRig();
  const io = disk.attach(new Life('one'));
  const old = await run(io.open('/old', { write: true, create: true }));
  await run(old.write(0, ramp(50_000)));
  const next = await run(io.open('/next', { write: true, create: true }));
  await run(next.write(0, ramp(10, 100)));
  await run(io.rename('/next', '/old'));
  assert.deepEqual(await run(old.read(0, 50_000)), Buffer.from(ramp(50_000)));
  assert.ok(disk.usedBytes > 50_000);
  await run(old.close());
  assert.ok(disk.usedBytes < 50_000);
  await run(io.unlink('/old'));
  assert.deepEqual(await run(next.read(0, 10)), Buffer.from(ramp(10, 100)));
  await run(next.close());
  assert.equal(disk.usedBytes, 0);
  assert.equal(await run(io.stat('/old')), undefined);
});

test('names behave: exclusive creation, links, clones, directories', async () => {
  const { disk, run } = makeRig();
  const io = disk.attach(new Life('one'));
  await run(io.makeDirectory('/d'));
  const file = await run(io.open('/d/f', { write: true, create: true, exclusive: true }));
  await assert.rejects(run(io.open('/d/f', { create: true, exclusive: true })), code('EEXIST'));
  await assert.rejects(run(io.open('/d/none')), code('ENOENT'));
  await assert.rejects(run(io.open('/d', { write: true })), code('EISDIR'));
  await assert.rejects(run(io.removeDirectory('/d')), code('ENOTEMPTY'));
  await run(io.link('/d/f', '/d/g'));
  await assert.rejects(run(io.link('/d/f', '/d/g')), code('EEXIST'));
  await run(file.write(0, ramp(100)));
  assert.equal(await run(io.clone('/d/f', '/d/h')), true);
  await run(file.write(0, ramp(100, 50)));
  const [linked, cloned] = [await run(io.open('/d/g')), await run(io.open('/d/h'))];
  assert.deepEqual(await run(linked.read(0, 100)), Buffer.from(ramp(100, 50)));
  assert.deepEqual(await run(cloned.read(0, 100)), Buffer.from(ramp(100)));
  await assert.rejects(run(linked.write(0, ramp(1))), code('EBADF'));
  await run(linked.close());
  await assert.rejects(run(linked.read(0, 1)), code('EBADF'));
  const names = (await run(io.list('/d'))).map(({ name }) => name).sort();
  assert.deepEqual(names, ['f', 'g', 'h']);
});

test('a lock is held by one life and freed by its death', async () => {
  const { disk, run } = makeRig();
  const [one, two] = [new Life('one'), new Life('two')];
  assert.ok(await run(disk.attach(one).lock('/LOCK')));
  assert.equal(await run(disk.attach(two).lock('/LOCK')), undefined);
  disk.crash(one, 'process');
  const held = await run(disk.attach(two).lock('/LOCK'));
  await run(held?.release() ?? Promise.resolve());
  assert.ok(await run(disk.attach(new Life('three')).lock('/LOCK')));
});

test('a killed process loses nothing that was answered; what was under way may happen whole, in part or not at all', async () => {
  const fates = new Set<string>();
  for (let seed = 0; seed < 60; seed++) {
    const { disk, run } = makeRig(seed);
    const life = new Life('one');
    const io = disk.attach(life);
    const file = await run(io.open('/f', { write: true, create: true }));
    await run(file.write(0, ramp(3000)));
    let isAnswered = false;
    file.write(3000, ramp(3000)).then(
      () => {
        isAnswered = true;
      },
      () => {
        isAnswered = true;
      },
    );
    disk.crash(life, 'process');
    const after = disk.attach(new Life('two'));
    const again = await run(after.open('/f'));
    const bytes = await run(again.read(0, 10_000));
    assert.deepEqual(bytes.subarray(0, 3000), Buffer.from(ramp(3000)));
    assert.deepEqual(bytes.subarray(3000), Buffer.from(ramp(3000)).subarray(0, bytes.length - 3000));
    assert.equal(isAnswered, false);
    fates.add(bytes.length === 3000 ? 'none' : bytes.length === 6000 ? 'all' : 'part');
  }
  assert.deepEqual([...fates].sort(), ['all', 'none', 'part']);
});

test('a machine crash keeps what was synced and tears what was not at sectors', async () => {
  let [torn, lost, kept] = [0, 0, 0];
  for (let seed = 0; seed < 60; seed++) {
    const { disk, run } = makeRig(seed);
    const life = new Life('one');
    const io = disk.attach(life);
    const file = await run(io.open('/f', { write: true, create: true }));
    await run(file.write(0, new Uint8Array(8192).fill(1)));
    await run(file.sync());
    await run(io.syncDirectory('/'));
    await run(file.write(2048, new Uint8Array(4096).fill(2)));
    disk.crash(life, 'machine');
    const again = await run(disk.attach(new Life('two')).open('/f'));
    const bytes = await run(again.read(0, 8192));
    assert.equal(bytes.length, 8192);
    const sectors = Array.from({ length: 16 }, (_, i) => new Set(bytes.subarray(i * 512, (i + 1) * 512)));
    assert.ok(
      sectors.every((values) => values.size === 1),
      'a sector is whole',
    );
    const values = sectors.map((set) => [...set][0] as number);
    assert.ok([...values.slice(0, 4), ...values.slice(12)].every((value) => value === 1));
    const changed = values.slice(4, 12).filter((value) => value === 2).length;
    if (changed === 0) lost++;
    else if (changed === 8) kept++;
    else torn++;
  }
  assert.ok(torn > 5 && lost > 5 && kept > 5, `torn ${torn}, lost ${lost}, kept ${kept}`);
});

test('a machine crash undoes unsynced names from the end, in each directory for itself', async () => {
  const outcomes = new Set<string>();
  for (let seed = 0; seed < 80; seed++) {
    const { disk, run } = makeRig(seed);
    const life = new Life('one');
    const io = disk.attach(life);
    await run(io.makeDirectory('/a'));
    await run(io.makeDirectory('/b'));
    await run(io.syncDirectory('/'));
    await run(io.open('/a/synced', { create: true }));
    await run(io.syncDirectory('/a'));
    for (const name of ['1', '2']) await run(io.open(`/a/${name}`, { create: true }));
    await run(io.unlink('/a/synced'));
    await run(io.rename('/a/2', '/b/2'));
    disk.crash(life, 'machine');
    const after = disk.attach(new Life('two'));
    const names = async (path: string) => (await run(after.list(path))).map(({ name }) => name).sort();
    outcomes.add(`${(await names('/a')).join()}|${(await names('/b')).join()}`);
  }
  assert.deepEqual([...outcomes].sort(), ['1,2,synced|', '1,2|', '1,synced|', '1|2', 'synced|']);
});

test('a file whose creation and bytes were synced survives, also after the crash of a later life', async () => {
  for (let seed = 0; seed < 20; seed++) {
    const { disk, run } = makeRig(seed);
    let life = new Life('one');
    const io = disk.attach(life);
    const file = await run(io.open('/f', { write: true, create: true }));
    await run(file.write(0, ramp(70_000)));
    await run(file.sync());
    await run(io.syncDirectory('/'));
    for (let crash = 0; crash < 3; crash++) {
      disk.crash(life, 'machine');
      life = new Life(`after ${crash}`);
      const again = await run(disk.attach(life).open('/f', { write: true }));
      assert.deepEqual(await run(again.read(0, 70_000)), Buffer.from(ramp(70_000)));
      await run(again.write(70_000, ramp(100)));
    }
  }
});

test('a full disk takes the part that fits and says ENOSPC; freed space is usable again', async () => {
  const { disk, run } = makeRig(1, { capacityBytes: 256 << 10 });
  const io = disk.attach(new Life('one'));
  const file = await run(io.open('/f', { write: true, create: true }));
  await assert.rejects(run(file.write(0, ramp(300_000))), code('ENOSPC'));
  assert.ok(disk.usedBytes <= 256 << 10);
  await run(io.unlink('/f'));
  await run(file.close());
  const next = await run(io.open('/g', { write: true, create: true }));
  await run(next.write(0, ramp(256 << 10)));
  assert.equal((await run(io.space('/'))).freeBytes, 0);
});

test('errors are EIO, a disk that hangs answers ETIMEDOUT at the deadline and may still do the work', async () => {
  const { clock, disk, run } = makeRig();
  const io = disk.attach(new Life('one'));
  const file = await run(io.open('/f', { write: true, create: true }));
  disk.faults.errorChance = 1;
  await assert.rejects(run(file.write(0, ramp(10))), code('EIO'));
  disk.faults.errorChance = 0;
  const bytes = ramp(10);
  const writing = file.write(0, bytes);
  disk.hang(10_000);
  await assert.rejects(run(writing), code('ETIMEDOUT'));
  assert.ok(clock.nowMs >= 3000 && clock.nowMs < 3100);
  bytes.fill(99);
  await assert.rejects(run(file.read(0, 10)), code('ETIMEDOUT'));
  await run(clock.sleep(10_000));
  assert.deepEqual(await run(file.read(0, 10)), Buffer.from(ramp(10)));
});

test('bit rot flips one bit of one file', async () => {
  const { disk, run } = makeRig();
  const life = new Life('one');
  const io = disk.attach(life);
  const file = await run(io.open('/f', { write: true, create: true }));
  await run(file.write(0, ramp(5000)));
  assert.equal(
    disk.rot(() => false),
    undefined,
  );
  const rotten = disk.rot((path) => path === '/f');
  const bytes = await run(file.read(0, 5000));
  const wrong = [...ramp(5000)].flatMap((value, at) => (bytes[at] === value ? [] : [at]));
  assert.deepEqual(wrong, [rotten?.at]);
});

test('the same seed gives the same trace, another seed another', async () => {
  const hash = async (seed: number) => {
    const trace = new Trace();
    const random = new SimRandom(seed);
    const clock = new SimClock(random.fork('clock'), trace);
    const machine = new SimMachineClock(clock, random.fork('machine'));
    const faults = { latencyMs: 1, bytesPerMs: 1 << 10, slowChance: 0.2, slowMs: 50, errorChance: 0.1 };
    const base = { capacityBytes: 1 << 20, canPunch: true, canClone: false, deadlineMs: 3000 };
    const disk = new SimDisk({ ...base, clock, machine, random: random.fork('disk'), trace, faults });
    const life = new Life('one');
    const io = disk.attach(life);
    const work = async (name: string) => {
      const file = await io.open(`/${name}`, { write: true, create: true });
      for (let at = 0; at < 20; at++) await file.write(at * 1000, ramp(1000));
    };
    await clock.settle(Promise.allSettled(['a', 'b', 'c', 'd'].map(work)));
    return trace.hash();
  };
  assert.equal(await hash(5), await hash(5));
  assert.notEqual(await hash(5), await hash(6));
});
