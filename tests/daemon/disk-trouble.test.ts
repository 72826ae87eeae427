import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, ftruncateSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { requireRoot, requireTool } from '../tools.ts';
import { eventually, expectWhole, fixture, get, isHealthy, MiB, originGets } from './fixture.ts';

const command = (name: string, ...args: string[]) => execFileSync(name, args, { stdio: ['ignore', 'ignore', 'pipe'] });

/** A file system of its own at `directory`/disk; unmounted when the test ends. */
function mountDisk(t: TestContext, directory: string, kind: 'ext4' | 'tmpfs', sizeBytes: number): string | undefined {
  if (!requireRoot(t)) return undefined;
  const point = join(directory, 'disk');
  mkdirSync(point);
  if (kind === 'tmpfs') command('mount', '-t', 'tmpfs', '-o', `size=${sizeBytes}`, 'forebay-test', point);
  else {
    if (!requireTool(t, 'mkfs.ext4') || !requireTool(t, 'fsfreeze')) return undefined;
    const image = join(directory, 'image');
    const file = openSync(image, 'w');
    ftruncateSync(file, sizeBytes);
    closeSync(file);
    command('mkfs.ext4', '-q', '-F', image);
    command('mount', '-o', 'loop', image, point);
  }
  t.after(() => {
    if (kind === 'ext4') {
      try {
        command('fsfreeze', '-u', point);
      } catch {
        // it was not frozen
      }
    }
    command('umount', '-l', point);
  });
  return join(point, 'cache');
}

test('a cache disk that hangs stalls nobody: health within a second, reads from the origin, recovery when it thaws', async (t) => {
  const objects = Array.from({ length: 4 }, (_, i) => ({ key: `k${i}`, sizeBytes: 8 * MiB, seed: i + 1 }));
  const { origin, start, directory } = await fixture(t, { generated: objects });
  const cacheDirectory = mountDisk(t, directory, 'ext4', 512 * MiB);
  if (cacheDirectory === undefined) return;
  const point = join(directory, 'disk');
  const daemon = await start({ cacheDirectory, node: { capacity: '256MiB' } });
  await expectWhole(daemon, objects[0]!);
  command('fsfreeze', '-f', point);
  let unhealthy = 0;
  let watching = true;
  const watch = (async () => {
    while (watching) if (!(await isHealthy(daemon, 1000))) unhealthy += 1;
  })();
  const from = performance.now();
  await expectWhole(daemon, objects[1]!);
  t.diagnostic(`first cold read with a hung disk took ${Math.round(performance.now() - from)} ms`);
  assert.ok(performance.now() - from < 15_000, 'a cold read does not wait for the disk');
  await expectWhole(daemon, objects[2]!);
  await expectWhole(daemon, objects[0]!);
  assert.equal(unhealthy, 0, '/healthz answered within a second all the time');
  command('fsfreeze', '-u', point);
  await eventually('a read is kept on the disk again', async () => {
    await expectWhole(daemon, objects[3]!);
    const gets = originGets(origin);
    await expectWhole(daemon, objects[3]!);
    return originGets(origin) === gets;
  });
  watching = false;
  await watch;
  assert.equal(unhealthy, 0);
});

test('S-12: a cache disk smaller than its capacity fills up, and reads go on', async (t) => {
  const objects = Array.from({ length: 6 }, (_, i) => ({ key: `k${i}`, sizeBytes: 24 * MiB, seed: i + 1 }));
  const { start, directory } = await fixture(t, { generated: objects });
  const cacheDirectory = mountDisk(t, directory, 'tmpfs', 64 * MiB);
  if (cacheDirectory === undefined) return;
  const daemon = await start({ cacheDirectory, node: { capacity: '1GiB' } });
  for (const object of [...objects, ...objects]) await expectWhole(daemon, object);
  await Promise.all(objects.map((object) => expectWhole(daemon, object)));
  assert.ok(await isHealthy(daemon));
  assert.equal((await get(daemon, 'k0', { start: MiB, end: 2 * MiB })).status, 206);
});
