/** A disk that really hangs: an ext4 image on a loop device, frozen by the kernel. Needs root. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ramp } from '../../../tests/conformance/disk.ts';
import { mountFreezable } from '../../../tests/freezable-disk.ts';
import type { Event } from '../../observe/events.ts';
import { withDeadline } from '../deadline-disk.ts';
import { DiskError } from '../io.ts';
import { createRealClock } from './clock.ts';
import { createRealDisk } from './disk.ts';

test('S-12: a frozen disk fails within its deadline, holds up nothing else, and is readmitted when it thaws', async (t) => {
  const mounted = mountFreezable(t);
  if (typeof mounted === 'string') {
    assert.notEqual(process.env['FOREBAY_REQUIRE_ALL'], '1', mounted);
    return t.skip(mounted);
  }
  const clock = createRealClock();
  const events: Event['kind'][] = [];
  const readmitted = Promise.withResolvers<void>();
  const emit = (event: Event) => {
    events.push(event.kind);
    if (event.kind === 'disk.readmitted') readmitted.resolve();
  };
  const deadlineMs = 800;
  const inner = createRealDisk();
  // Threads that are still starting are no part of this.
  await inner.stat(mounted.directory);
  const disk = withDeadline(inner, { clock, deadlineMs, path: mounted.directory, emit });
  const other = createRealDisk();
  const elsewhere = fs.mkdtempSync(join(tmpdir(), 'forebay-other-'));
  const file = await disk.open(join(mounted.directory, 'a'), { write: true, create: true });
  await file.write(0, ramp(100_000));
  await file.sync();

  mounted.freeze();
  const from = clock.boottimeMs();
  const hung = Array.from({ length: 8 }, (_, n) =>
    assert.rejects(file.write(n * 1000, ramp(1000, n * 1000)), (error: unknown) => {
      return error instanceof DiskError && error.code === 'ETIMEDOUT';
    }),
  );
  let slowestMs = 0;
  let writes = 0;
  const busy = await other.open(join(elsewhere, 'b'), { write: true, create: true });
  while (!disk.ejected) {
    const sent = clock.boottimeMs();
    await busy.write(0, ramp(4096));
    writes++;
    slowestMs = Math.max(slowestMs, clock.boottimeMs() - sent);
  }
  await Promise.all(hung);
  const tookMs = clock.boottimeMs() - from;
  assert.ok(tookMs >= deadlineMs - 10 && tookMs < deadlineMs + 1000, `failed after ${tookMs} ms`);
  assert.ok(writes > 10 && slowestMs < deadlineMs, `${writes} writes elsewhere, the slowest ${slowestMs} ms`);
  await assert.rejects(disk.stat(mounted.directory));

  mounted.thaw();
  await readmitted.promise;
  assert.deepEqual(events, ['disk.ejected', 'disk.readmitted']);
  await file.write(0, ramp(100_000));
  assert.deepEqual(Buffer.from(await file.read(0, 100_000)), Buffer.from(ramp(100_000)));
  await file.close();
  await busy.close();
  disk.close();
  await inner.close();
  await other.close();
  fs.rmSync(elsewhere, { recursive: true });
});
