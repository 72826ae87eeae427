/** Pulls into a disk that really hangs: an ext4 image on a loop device, frozen by the kernel. Needs root. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { caller, holderOf, pullFrom, ramp } from '../../../tests/conformance/peers-fixture.ts';
import { mountFreezable } from '../../../tests/freezable-disk.ts';
import { skipOrFail } from '../../../tests/tools.ts';
import type { Event } from '../../observe/events.ts';
import { withDeadline } from '../deadline-disk.ts';
import { DiskError } from '../io.ts';
import { createRealClock } from './clock.ts';
import { createRealDisk } from './disk.ts';
import { createRealNetwork } from './network.ts';
import { createRealPeers } from './peers.ts';
import { createRealRandom } from './random.ts';

test('S-12: a frozen disk fails its pulls within its deadline and is ejected; pulls to other disks go on; it comes back', async (t) => {
  const mounted = mountFreezable(t);
  if (typeof mounted === 'string') return skipOrFail(t, mounted);
  const clock = createRealClock();
  const diskDeadlineMs = 800;
  const readmitted = Promise.withResolvers<void>();
  const events: Event['kind'][] = [];
  const emit = (event: Event) => {
    events.push(event.kind);
    if (event.kind === 'disk.readmitted') readmitted.resolve();
  };
  const inner = createRealDisk();
  const disk = withDeadline(inner, { clock, deadlineMs: diskDeadlineMs, path: mounted.directory, emit });
  const other = createRealDisk();
  const elsewhere = fs.mkdtempSync(join(tmpdir(), 'forebay-other-'));
  const network = createRealNetwork({ clock });
  const peers = createRealPeers({ network, clock, random: createRealRandom(), diskDeadlineMs });
  const listen = (node: string, service = caller()) =>
    peers.listen({
      node,
      service,
      cluster: 'test',
      address: { host: '127.0.0.1', port: 0 },
      secrets: () => [Buffer.from('the secret of this test')],
      transport: 'plain',
      onRefused: () => {},
    });
  const bytes = ramp(8 << 20);
  const asker = await listen('left');
  const holder = { node: 'right', transport: await listen('right', holderOf(bytes, { runBlocks: 1 })) };
  const into = await disk.open(join(mounted.directory, 'a'), { write: true, create: true });
  const sound = await other.open(join(elsewhere, 'b'), { write: true, create: true });
  const pull = (file: typeof into) => pullFrom(asker, holder, { sizeBytes: bytes.length, into: file, idleMs: 20_000 });
  await pull(into);
  await pull(sound);

  mounted.freeze();
  const fromMs = clock.boottimeMs();
  const hung = Array.from({ length: 3 }, () =>
    assert.rejects(pull(into), (error: unknown) => error instanceof DiskError && error.code === 'ETIMEDOUT'),
  );
  for (let round = 0; round < 5; round++) await pull(sound);
  await pullFrom(asker, holder, { sizeBytes: bytes.length });
  await Promise.all(hung);
  const tookMs = clock.boottimeMs() - fromMs;
  assert.ok(tookMs >= diskDeadlineMs - 50 && tookMs < diskDeadlineMs + 3000, `failed after ${tookMs} ms`);
  assert.ok(disk.ejected);
  await assert.rejects(pull(into), (error: unknown) => error instanceof DiskError && error.code === 'ETIMEDOUT');

  mounted.thaw();
  await readmitted.promise;
  await pull(into);
  assert.ok(bytes.equals(await into.read(0, bytes.length)));
  assert.deepEqual(events, ['disk.ejected', 'disk.readmitted']);
  await into.close();
  await sound.close();
  await peers.close();
  await network.close();
  disk.close();
  await inner.close();
  await other.close();
  fs.rmSync(elsewhere, { recursive: true });
});
