import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, ftruncateSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Daemon } from '../../bench/daemon.ts';
import type { GeneratedObject } from '../../bench/origin-server.ts';
import { requireRoot, requireTool } from '../tools.ts';
import { eventually, expectWhole, type Fixture, fixture, get, isHealthy, MiB, originGets } from './fixture.ts';

const command = (name: string, ...args: string[]) => execFileSync(name, args, { stdio: ['ignore', 'ignore', 'pipe'] });

/** A file system of its own at `directory`/disk; unmounted when the test ends. */
function mountDisk(
  t: TestContext,
  { directory, defer }: Fixture,
  kind: 'ext4' | 'tmpfs',
  sizeBytes: number,
): string | undefined {
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
  defer(() => command('umount', '-l', point));
  return join(point, 'cache');
}

/** /healthz, asked again and again until `stop`; `failures` counts the times when there was no answer within a second. */
function watchHealth(daemon: Daemon): { readonly failures: () => number; readonly stop: () => Promise<void> } {
  let failures = 0;
  let watching = true;
  const watched = (async () => {
    for (; watching; await sleep(20)) if (!(await isHealthy(daemon, 1000))) failures += 1;
  })();
  return {
    failures: () => failures,
    stop: () => {
      watching = false;
      return watched;
    },
  };
}

test('a cache disk that hangs stalls nobody: health within a second, reads from the origin, recovery when it thaws', async (t) => {
  const objects = Array.from({ length: 5 }, (_, i) => ({ key: `k${i}`, sizeBytes: 8 * MiB, seed: i + 1 }));
  const fix = await fixture(t, { generated: objects });
  const [hit, ...cold] = objects as [GeneratedObject, ...GeneratedObject[]];
  const after = cold.pop() as GeneratedObject;
  const cacheDirectory = mountDisk(t, fix, 'ext4', 512 * MiB);
  if (cacheDirectory === undefined) return;
  const point = join(fix.directory, 'disk');
  const daemon = await fix.start({ cacheDirectory, node: { capacity: '256MiB' } });
  await expectWhole(daemon, hit);
  const health = watchHealth(daemon);
  command('fsfreeze', '-f', point);
  // thawed before anything else, whatever happens: a daemon cannot even be killed while its disk hangs
  try {
    const from = performance.now();
    for (const object of [...cold, hit]) {
      await expectWhole(daemon, object);
      t.diagnostic(`${object.key} was read ${Math.round(performance.now() - from)} ms after the disk began to hang`);
    }
    assert.ok(performance.now() - from < 20_000, 'reads do not wait for the disk');
  } finally {
    command('fsfreeze', '-u', point);
    await health.stop();
  }
  assert.equal(health.failures(), 0, '/healthz answered within a second all the time');
  await eventually('a read is kept on the disk again', async () => {
    await expectWhole(daemon, after);
    const gets = originGets(fix.origin);
    await expectWhole(daemon, after);
    return originGets(fix.origin) === gets;
  });
});

test('S-12: a cache disk smaller than its capacity fills up, and reads go on', async (t) => {
  const objects = Array.from({ length: 6 }, (_, i) => ({ key: `k${i}`, sizeBytes: 24 * MiB, seed: i + 1 }));
  const fix = await fixture(t, { generated: objects });
  const { start } = fix;
  const cacheDirectory = mountDisk(t, fix, 'tmpfs', 64 * MiB);
  if (cacheDirectory === undefined) return;
  const daemon = await start({ cacheDirectory, node: { capacity: '1GiB' } });
  for (const object of [...objects, ...objects]) await expectWhole(daemon, object);
  await Promise.all(objects.map((object) => expectWhole(daemon, object)));
  assert.ok(await isHealthy(daemon));
  assert.equal((await get(daemon, 'k0', { start: MiB, end: 2 * MiB })).status, 206);
});
