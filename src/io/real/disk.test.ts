import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ramp, runDiskConformance } from '../../../tests/conformance/disk.ts';
import { DiskError } from '../io.ts';
import { createRealDisk, type RealDiskOptions } from './disk.ts';
import { loadLibc } from './libc.ts';

function directoryOf(t: TestContext): string {
  const directory = fs.mkdtempSync(join(tmpdir(), 'forebay-disk-'));
  t.after(() => fs.rmSync(directory, { recursive: true, force: true }));
  return directory;
}

const direct = (options: RealDiskOptions) => async (t: TestContext) => {
  const directory = directoryOf(t);
  const disk = createRealDisk(options);
  return { disk, at: (name: string) => (name === '' ? directory : `${directory}/${name}`), close: () => disk.close() };
};

const rooted = (options: RealDiskOptions) => async (t: TestContext) => {
  const disk = createRealDisk({ ...options, root: directoryOf(t) });
  return { disk, at: (name: string) => name, close: () => disk.close() };
};

runDiskConformance('real disk', direct({}));
runDiskConformance('real disk, one thread', direct({ workers: 1 }));
runDiskConformance('real disk without FFI', direct({ ffi: 'off' }));
runDiskConformance('rooted real disk', rooted({}));
runDiskConformance('rooted real disk without FFI', rooted({ ffi: 'off' }));

const fails =
  (...codes: string[]) =>
  (error: unknown) => {
    assert.ok(error instanceof DiskError && codes.includes(error.code), String(error));
    return true;
  };

for (const ffi of ['auto', 'off'] as const) {
  test(`a rooted disk refuses names that could leave it (ffi ${ffi})`, async (t) => {
    const disk = createRealDisk({ root: directoryOf(t), ffi });
    t.after(() => disk.close());
    for (const name of ['/etc/passwd', '..', '../x', 'a/../b', './a', 'a/.', 'a//b', 'a/', '/', 'a\0b'])
      for (const attempt of [
        disk.open(name, { write: true, create: true }),
        disk.stat(name),
        disk.list(name),
        disk.rename('a', name),
        disk.link(name, 'b'),
        disk.unlink(name),
        disk.makeDirectory(name),
        disk.lock(name),
      ])
        await assert.rejects(attempt, fails('EINVAL'), JSON.stringify(name));
  });

  test(`a rooted disk follows no symbolic link, at the end or on the way (ffi ${ffi})`, async (t) => {
    const root = directoryOf(t);
    const outside = directoryOf(t);
    fs.writeFileSync(join(outside, 'secret'), 'secret');
    fs.mkdirSync(join(root, 'inside'));
    fs.writeFileSync(join(root, 'inside/file'), 'fine');
    fs.symlinkSync(outside, join(root, 'way'));
    fs.symlinkSync(join(outside, 'secret'), join(root, 'end'));
    fs.symlinkSync('inside/file', join(root, 'within'));
    fs.symlinkSync(join(outside, 'made'), join(root, 'dangling'));
    const disk = createRealDisk({ root, ffi });
    t.after(() => disk.close());
    const refused = fails('ELOOP', 'EXDEV', 'ENOTDIR');
    for (const name of ['way/secret', 'end', 'within']) await assert.rejects(disk.open(name), refused, name);
    await assert.rejects(disk.open('dangling', { write: true, create: true }), refused);
    await assert.rejects(disk.open('way/new', { write: true, create: true }), refused);
    await assert.rejects(disk.list('way'), refused);
    await assert.rejects(disk.unlink('way/secret'), refused);
    await assert.rejects(disk.makeDirectory('way/new'), refused);
    await assert.rejects(disk.rename('inside/file', 'way/file'), refused);
    await assert.rejects(disk.link('inside/file', 'way/file'), refused);
    await assert.rejects(disk.clone('end', 'copy'), refused);
    assert.equal((await disk.stat('end'))?.kind, 'link');
    assert.deepEqual(fs.readdirSync(outside), ['secret']);
  });

  test(`a rooted disk opens regular files only (ffi ${ffi})`, async (t) => {
    const root = directoryOf(t);
    const pipe = spawn('mkfifo', [join(root, 'pipe')]);
    await once(pipe, 'close');
    fs.mkdirSync(join(root, 'directory'));
    const disk = createRealDisk({ root, ffi });
    t.after(() => disk.close());
    await assert.rejects(disk.open('pipe'), fails('EINVAL'));
    await assert.rejects(disk.open('directory'), fails('EISDIR'));
  });
}

test('S-12: requests that wait for a disk are bounded', async (t) => {
  const root = directoryOf(t);
  const disk = createRealDisk({ workers: 1 });
  t.after(() => disk.close());
  const all = await Promise.allSettled(Array.from({ length: 6000 }, () => disk.stat(root)));
  const refused = all.filter((one) => one.status === 'rejected');
  assert.equal(refused.length, 6000 - 4096 - 1);
  for (const one of refused) assert.equal((one.reason as DiskError).code, 'EAGAIN');
  assert.equal((await disk.stat(root))?.kind, 'directory', 'it serves on');
});

test('closing refuses what comes later and cancels what waits', async (t) => {
  const directory = directoryOf(t);
  const disk = createRealDisk({ workers: 1 });
  const file = await disk.open(join(directory, 'a'), { write: true, create: true });
  const first = file.write(0, ramp(1 << 20));
  const waiting = assert.rejects(disk.stat(directory), fails('ECANCELED'));
  await disk.close();
  await Promise.all([first, waiting]);
  await assert.rejects(disk.stat(directory), fails('ECANCELED'));
  await disk.close();
});

test('a file that is in use is closed only afterwards', async (t) => {
  const directory = directoryOf(t);
  const disk = createRealDisk({ workers: 4 });
  t.after(() => disk.close());
  const file = await disk.open(join(directory, 'a'), { write: true, create: true });
  const writes = Array.from({ length: 50 }, (_, n) => file.write(n * 1000, ramp(1000, n * 1000)));
  const closed = file.close();
  const other = disk.open(join(directory, 'b'), { write: true, create: true });
  await Promise.all([...writes, closed]);
  assert.equal(fs.statSync(join(directory, 'a')).size, 50_000);
  await (await other).close();
  assert.equal(fs.statSync(join(directory, 'b')).size, 0);
});

test('a process ends by itself although a disk is open', async (t) => {
  const directory = directoryOf(t);
  const code = `
    import { createRealDisk } from ${JSON.stringify(new URL('./disk.ts', import.meta.url).href)};
    const disk = createRealDisk();
    await disk.lock(${JSON.stringify(join(directory, 'LOCK'))});
    await disk.stat('/');
    console.log('held');`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [status] = await once(child, 'close');
  assert.equal(status, 0);
});

test('a lock refuses a second process, and kill -9 of the holder frees it', async (t) => {
  const path = join(directoryOf(t), 'LOCK');
  const code = `
    import { createRealDisk } from ${JSON.stringify(new URL('./disk.ts', import.meta.url).href)};
    const held = await createRealDisk().lock(${JSON.stringify(path)});
    process.stdout.write(held ? 'held' : 'refused');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const [said] = await Promise.race([once(child.stdout, 'data'), once(child, 'exit')]);
  assert.equal(String(said), 'held');
  const disk = createRealDisk();
  t.after(() => disk.close());
  assert.equal(await disk.lock(path), undefined);
  child.kill('SIGKILL');
  await once(child, 'exit');
  const lock = await disk.lock(path);
  assert.ok(lock);
  await lock.release();
  await disk.close();
  await lock.release();
});

test('canPunch says whether FFI is there', () => {
  assert.equal(createRealDisk().canPunch, loadLibc().available);
  assert.equal(createRealDisk({ ffi: 'off' }).canPunch, false);
});
