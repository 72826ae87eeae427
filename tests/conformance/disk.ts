/**
 * What every Disk does, real or simulated. `factory` gives an empty directory on a disk; names are made with `at`, so
 * that rooted disks take part. Data is a ramp modulo a prime: a misplaced byte shows.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { crc32 } from 'node:zlib';
import { type Disk, DiskError, type File } from '../../src/io/io.ts';

export interface DiskUnderTest {
  readonly disk: Disk;
  /** The path, on this disk, of a name in the empty directory. `at('')` is the directory itself. */
  readonly at: (name: string) => string;
  close(): Promise<void>;
}

export type DiskFactory = (t: TestContext) => Promise<DiskUnderTest>;

const PRIME = 251;
const MiB = 1 << 20;

/** Byte `n` of a file is `(first + n) mod 251`. */
export function ramp(length: number, first = 0): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let index = 0; index < length; index++) bytes[index] = (first + index) % PRIME;
  return bytes;
}

function isRamp(bytes: Uint8Array, first: number): boolean {
  return bytes.every((byte, index) => byte === (first + index) % PRIME);
}

const fails = (code: string) => (error: unknown) => {
  assert.ok(error instanceof DiskError, `a DiskError, not ${String(error)}`);
  assert.equal(error.code, code);
  return true;
};

async function fileOf(disk: Disk, path: string, bytes: Uint8Array): Promise<File> {
  const file = await disk.open(path, { write: true, create: true });
  await file.write(0, bytes);
  return file;
}

export function runDiskConformance(name: string, factory: DiskFactory): void {
  const on: On = (title, body) =>
    void test(`${name}: ${title}`, async (t) => {
      const under = await factory(t);
      try {
        await body(under);
      } finally {
        await under.close();
      }
    });
  fileCases(on);
  spaceCases(on);
  nameCases(on);
  lockCases(on);
}

type On = (title: string, body: (under: DiskUnderTest) => Promise<void>) => void;

function fileCases(on: On): void {
  on(
    'a summed write writes, and says the sum of what it wrote, whatever memory the bytes are in',
    async ({ disk, at }) => {
      const file = await fileOf(disk, at('summed'), ramp(10));
      for (const [place, length] of [
        [0, MiB],
        [MiB, 100],
        [2 * MiB, 3 * MiB + 7],
      ] as const) {
        const bytes = ramp(length, 5);
        const shared = disk.allocate(length);
        shared.set(bytes);
        for (const given of [bytes, shared, Buffer.from(bytes)]) {
          assert.equal(await file.writeSummed(place, given), crc32(bytes));
          assert.ok(isRamp(await file.read(place, length), 5));
        }
      }
      await file.writeback({ start: 0, end: MiB });
      await file.close();
      const unwritable = await disk.open(at('summed'));
      await assert.rejects(unwritable.writeSummed(0, ramp(10)), DiskError);
      await unwritable.close();
    },
  );

  on('bytes come back as they were written, at any position and length', async ({ disk, at }) => {
    const file = await fileOf(disk, at('a'), ramp(3 * MiB + 17));
    for (const [start, length] of [
      [0, 1],
      [1, 4096],
      [65_535, 2],
      [70_001, 65_536],
      [MiB - 1, MiB + 2],
      [0, 3 * MiB + 17],
    ] as const) {
      const bytes = await file.read(start, length);
      assert.equal(bytes.length, length);
      assert.ok(isRamp(bytes, start), `range at ${start} of ${length}`);
    }
    await file.close();
  });

  on('a buffer of allocate is written whole, and a view in the middle of one too', async ({ disk, at }) => {
    const file = await disk.open(at('a'), { write: true, create: true });
    const buffer = disk.allocate(2 * MiB);
    buffer.set(ramp(2 * MiB));
    await file.write(5, buffer.subarray(1000, MiB + 1000));
    assert.ok(isRamp(await file.read(5, MiB), 1000));
    assert.equal((await file.stat()).sizeBytes, MiB + 5);
    await file.write(0, buffer.subarray(0, 0));
    assert.equal((await file.stat()).sizeBytes, MiB + 5);
    await file.close();
  });

  on('reads are shorter only at the end of the file', async ({ disk, at }) => {
    const file = await fileOf(disk, at('a'), ramp(100_000));
    assert.equal((await file.read(99_990, 4096)).length, 10);
    assert.equal((await file.read(20_000, 200_000)).length, 80_000);
    assert.equal((await file.read(100_000, 10)).length, 0);
    assert.equal((await file.read(500_000, 10)).length, 0);
    await file.close();
  });

  on('reads and writes under way together do not mix', async ({ disk, at }) => {
    const file = await disk.open(at('a'), { write: true, create: true });
    const size = 50_000;
    await Promise.all(Array.from({ length: 64 }, (_, n) => file.write(n * size, ramp(size, n * size))));
    const read = await Promise.all(Array.from({ length: 64 }, (_, n) => file.read(n * size, size)));
    read.forEach((bytes, n) => {
      assert.ok(isRamp(bytes, n * size), `piece ${n}`);
    });
    await file.close();
  });

  on('bytes between two writes are zeros', async ({ disk, at }) => {
    const file = await disk.open(at('a'), { write: true, create: true });
    await file.write(10_000, ramp(10));
    assert.ok((await file.read(0, 10_000)).every((byte) => byte === 0));
    await file.close();
  });

  on('checksums are CRC32 of each slice, the last one shorter, and stop at the end of the file', async (under) => {
    const { disk, at } = under;
    const bytes = ramp(20 * MiB + 5);
    const file = await fileOf(disk, at('a'), bytes);
    const expected = (start: number, end: number, slice: number) => {
      const sums: number[] = [];
      for (let from = start; from < end; from += slice)
        sums.push(crc32(bytes.subarray(from, Math.min(from + slice, end))));
      return sums;
    };
    for (const [start, end, slice] of [
      [0, bytes.length, MiB],
      [MiB, 3 * MiB, MiB],
      [7, 100_000, 1000],
      [3, 20 * MiB, 17 * MiB],
      [5, 5, MiB],
    ] as const)
      assert.deepEqual(await file.checksums({ start, end }, slice), expected(start, end, slice));
    const beyond = await file.checksums({ start: 19 * MiB, end: 40 * MiB }, MiB);
    assert.deepEqual(beyond, expected(19 * MiB, 20 * MiB, MiB));
    await file.close();
  });

  on('truncate cuts and extends', async ({ disk, at }) => {
    const file = await fileOf(disk, at('a'), ramp(10_000));
    await file.truncate(100);
    assert.equal((await file.stat()).sizeBytes, 100);
    await file.truncate(5000);
    const bytes = await file.read(0, 10_000);
    assert.equal(bytes.length, 5000);
    assert.ok(isRamp(bytes.subarray(0, 100), 0));
    assert.ok(bytes.subarray(100).every((byte) => byte === 0));
    await file.close();
  });

  on('sync of a file and of its directory succeed', async ({ disk, at }) => {
    const file = await fileOf(disk, at('a'), ramp(10));
    await file.sync();
    await disk.syncDirectory(at(''));
    await file.close();
  });

  on('a file opened for reading refuses writes, a closed one everything', async ({ disk, at }) => {
    await (await fileOf(disk, at('a'), ramp(10))).close();
    const file = await disk.open(at('a'));
    await assert.rejects(file.write(0, ramp(1)), fails('EBADF'));
    await file.close();
    await file.close();
    await assert.rejects(file.read(0, 1), fails('EBADF'));
    await assert.rejects(file.stat(), fails('EBADF'));
  });

  on('open files survive rename and unlink', async ({ disk, at }) => {
    const file = await fileOf(disk, at('a'), ramp(1000));
    await disk.rename(at('a'), at('b'));
    await disk.unlink(at('b'));
    assert.equal(await disk.stat(at('b')), undefined);
    assert.ok(isRamp(await file.read(0, 1000), 0));
    await file.close();
  });
}

function spaceCases(on: On): void {
  on('punching frees space, keeps the size and leaves zeros', async ({ disk, at }) => {
    const file = await fileOf(disk, at('a'), ramp(4 * MiB));
    await file.sync();
    const before = await file.stat();
    if (!disk.canPunch) {
      await assert.rejects(file.punch({ start: 0, end: MiB }), fails('ENOTSUP'));
    } else {
      await file.punch({ start: MiB, end: 3 * MiB });
      const after = await file.stat();
      assert.equal(after.sizeBytes, before.sizeBytes);
      assert.ok(after.allocatedBytes <= before.allocatedBytes - 2 * MiB, 'two MiB less are allocated');
      assert.ok((await file.read(MiB, 2 * MiB)).every((byte) => byte === 0));
      assert.ok(isRamp(await file.read(0, MiB), 0));
      assert.ok(isRamp(await file.read(3 * MiB, MiB), 3 * MiB));
    }
    await file.close();
  });

  on('space says what the disk has', async ({ disk, at }) => {
    const space = await disk.space(at(''));
    assert.ok(space.totalBytes > 0 && space.freeBytes > 0 && space.freeBytes <= space.totalBytes);
  });

  on('a clone has the bytes of its source and a life of its own, where the disk makes any', async ({ disk, at }) => {
    const source = await fileOf(disk, at('a'), ramp(100_000));
    if (await disk.clone(at('a'), at('b'))) {
      await source.write(0, new Uint8Array(10));
      const copy = await disk.open(at('b'));
      assert.ok(isRamp(await copy.read(0, 100_000), 0));
      await copy.close();
    } else {
      assert.equal(await disk.stat(at('b')), undefined, 'a failed clone leaves nothing');
    }
    await source.close();
  });
}

function nameCases(on: On): void {
  on('a missing name is ENOENT, and undefined for stat', async ({ disk, at }) => {
    await assert.rejects(disk.open(at('none')), fails('ENOENT'));
    await assert.rejects(disk.open(at('none/deeper'), { write: true, create: true }), fails('ENOENT'));
    await assert.rejects(disk.unlink(at('none')), fails('ENOENT'));
    await assert.rejects(disk.rename(at('none'), at('b')), fails('ENOENT'));
    await assert.rejects(disk.link(at('none'), at('b')), fails('ENOENT'));
    await assert.rejects(disk.list(at('none')), fails('ENOENT'));
    await assert.rejects(disk.removeDirectory(at('none')), fails('ENOENT'));
    await assert.rejects(disk.makeDirectory(at('none/deeper')), fails('ENOENT'));
    await assert.rejects(disk.syncDirectory(at('none')), fails('ENOENT'));
    assert.equal(await disk.stat(at('none')), undefined);
    assert.equal(await disk.stat(at('none/deeper')), undefined);
    await (await fileOf(disk, at('file'), ramp(1))).close();
    assert.equal(await disk.stat(at('file/below')), undefined, 'below a file there is nothing');
  });

  on('exclusive creation fails on a name that is taken', async ({ disk, at }) => {
    const file = await disk.open(at('a'), { write: true, create: true, exclusive: true });
    await file.write(0, ramp(5));
    await assert.rejects(disk.open(at('a'), { write: true, create: true, exclusive: true }), fails('EEXIST'));
    const again = await disk.open(at('a'), { write: true, create: true });
    assert.equal((await again.stat()).sizeBytes, 5, 'opening an existing file keeps its bytes');
    await again.close();
    await file.close();
  });

  on('rename replaces, link does not', async ({ disk, at }) => {
    await (await fileOf(disk, at('a'), ramp(1))).close();
    await (await fileOf(disk, at('b'), ramp(2))).close();
    await assert.rejects(disk.link(at('a'), at('b')), fails('EEXIST'));
    await disk.link(at('a'), at('c'));
    const [first, second] = [await disk.stat(at('a')), await disk.stat(at('c'))];
    assert.equal(first?.inode, second?.inode);
    await disk.rename(at('a'), at('b'));
    assert.equal(await disk.stat(at('a')), undefined);
    assert.equal((await disk.stat(at('b')))?.sizeBytes, 1);
  });

  on('directories are made, listed and removed when empty', async ({ disk, at }) => {
    await disk.makeDirectory(at('d'));
    await assert.rejects(disk.makeDirectory(at('d')), fails('EEXIST'));
    await disk.makeDirectory(at('d/e'), { mode: 0o700 });
    await (await fileOf(disk, at('d/f'), ramp(3))).close();
    const names = (await disk.list(at('d'))).toSorted((a, b) => (a.name < b.name ? -1 : 1));
    assert.deepEqual(
      names.map(({ name, kind }) => [name, kind]),
      [
        ['e', 'directory'],
        ['f', 'file'],
      ],
    );
    await assert.rejects(disk.removeDirectory(at('d')), fails('ENOTEMPTY'));
    await disk.unlink(at('d/f'));
    await disk.removeDirectory(at('d/e'));
    await disk.removeDirectory(at('d'));
    assert.deepEqual(await disk.list(at('')), []);
  });

  on('stat tells kinds, sizes and identity', async ({ disk, at }) => {
    const file = await fileOf(disk, at('a'), ramp(12_345));
    const byName = await disk.stat(at('a'));
    const byFile = await file.stat();
    assert.equal(byName?.kind, 'file');
    assert.equal(byName?.sizeBytes, 12_345);
    assert.equal(byName?.inode, byFile.inode);
    assert.equal(byName?.device, byFile.device);
    assert.equal((await disk.stat(at('')))?.kind, 'directory');
    await file.write(0, ramp(1));
    const changed = await file.stat();
    assert.ok(changed.modifiedNs >= byFile.modifiedNs && changed.changedNs >= byFile.changedNs);
    await file.close();
  });

  on('names are any text but NUL', async ({ disk, at }) => {
    const names = ['space here', 'ünïcödé ✓', '100%', 'a+b', '-rf', 'x'.repeat(200), '…', 'new\nline'];
    for (const name of names) await (await fileOf(disk, at(name), ramp(1))).close();
    assert.deepEqual((await disk.list(at(''))).map(({ name }) => name).toSorted(), names.toSorted());
    await assert.rejects(disk.open(at('a\0b')), fails('EINVAL'));
    await assert.rejects(disk.stat(at('a\0b')), fails('EINVAL'));
    await assert.rejects(disk.open(at('x'.repeat(300))), fails('ENAMETOOLONG'));
  });
}

function lockCases(on: On): void {
  on('a lock has one holder, until it is released', async ({ disk, at }) => {
    const first = await disk.lock(at('LOCK'));
    assert.ok(first);
    assert.equal(await disk.lock(at('LOCK')), undefined);
    const other = await disk.lock(at('OTHER'));
    assert.ok(other, 'locks of other names are free');
    await other.release();
    await first.release();
    const again = await disk.lock(at('LOCK'));
    assert.ok(again);
    await again.release();
  });
}
