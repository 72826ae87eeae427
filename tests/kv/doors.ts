/** The S3 and the admin door of a node over kv volumes for tests (`tests/kv-volume.ts`) beside volumes in memory. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import type { AccessKey } from '../../src/front/credentials.ts';
import type { Io } from '../../src/io/io.ts';
import { createRealClock } from '../../src/io/real/clock.ts';
import { createRealDisk } from '../../src/io/real/disk.ts';
import { createRealNetwork } from '../../src/io/real/network.ts';
import { createRealRandom } from '../../src/io/real/random.ts';
import { parseConfig } from '../../src/node/config.ts';
import { credentialsOf } from '../../src/node/credentials-file.ts';
import { openDoors } from '../../src/node/doors.ts';
import { createNode } from '../../src/node/node.ts';
import { gaugesOf } from '../../src/node/node-report.ts';
import { originOpener } from '../../src/node/origin-opener.ts';
import { createSinks } from '../../src/node/sinks.ts';
import { createTestKv, type TestKvVolume } from '../kv-volume.ts';

export const KEY: AccessKey = {
  id: 'FOREBAYTEST',
  secret: 'a-secret/of+tests',
  volumes: ['*'],
  rights: ['read', 'write', 'admin'],
};
/** May read `cache` and nothing else. */
export const GUEST: AccessKey = { id: 'GUEST', secret: 'another-secret-1', volumes: ['cache'], rights: ['read'] };

export interface Doors {
  readonly s3Port: number;
  readonly adminPort: number;
  /** The kv volume `cache`; `frozen` is one without `write`. `data` and `other` have origins in memory. */
  readonly cache: TestKvVolume;
  readonly frozen: TestKvVolume;
}

const TEXT = `
[doors]
s3 = "127.0.0.1:0"
admin = "127.0.0.1:0"
resp = false
domain = "s3.example.test"
[log]
level = "error"
[volumes.data]
origin = "memory:"
write = true
[volumes.cache]
kind = "kv"
[volumes.frozen]
kind = "kv"
write = false
`;

/** Closed when the test ends. */
export async function openKvDoors(t: TestContext): Promise<Doors> {
  const directory = mkdtempSync(join(tmpdir(), 'forebay-kv-'));
  const config = parseConfig(
    { text: `[node]\ncacheDir = "${directory}/cache"\ncapacity = "64MiB"\n${TEXT}` },
    { hostName: 'here', homeDirectory: directory, workingDirectory: directory, environment: {} },
  );
  const sinks = createSinks(config, { format: 'text' });
  const { emit } = sinks;
  // Without the deadline of a node's disk: a machine that runs many tests is slow, and these are of doors.
  const clock = createRealClock();
  const disk = createRealDisk();
  const network = createRealNetwork({ clock });
  const io: Io = { clock, random: createRealRandom(), disk, network };
  const openOrigin = originOpener({ io, emit, environment: {}, ffi: 'auto' });
  const real = await createNode({ config, io, emit, openOrigin });
  const kv = createTestKv({ directory: join(directory, 'values'), clock, disk, volumes: ['cache', 'frozen'] });
  const node = Object.defineProperty(real, 'kv', { value: kv });
  sinks.metrics.addGauges(gaugesOf(node, sinks.health, 'test'));
  const credentials = credentialsOf([KEY, GUEST], { anonymous: false });
  const doors = await openDoors({ config, io, node, credentials, sinks });
  t.after(async () => {
    await doors.close();
    await node.close();
    await network.close();
    await disk.close();
    rmSync(directory, { recursive: true, force: true });
  });
  const portOf = (door: string): number => Number(doors.addresses[door]?.split(':').at(-1));
  return {
    s3Port: portOf('s3'),
    adminPort: portOf('admin'),
    cache: kv.volumes.get('cache') as TestKvVolume,
    frozen: kv.volumes.get('frozen') as TestKvVolume,
  };
}

/** Waits until all that was opened is given back: an answer's last byte may arrive before its sender knows that it has left. */
export async function settled(volume: TestKvVolume): Promise<void> {
  const untilMs = performance.now() + 5000;
  while ((volume.opened > 0 || volume.piecesOut > 0) && performance.now() < untilMs) await setImmediate();
  assert.deepEqual([volume.opened, volume.piecesOut], [0, 0], 'values and pieces are given back');
}
