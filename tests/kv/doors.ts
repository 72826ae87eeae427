/** The S3 and the admin door of a node over kv volumes for tests (`tests/kv-volume.ts`) beside volumes in memory. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { AccessKey } from '../../src/front/credentials.ts';
import { createRealIo } from '../../src/io/real/real-io.ts';
import { parseConfig } from '../../src/node/config.ts';
import { credentialsOf } from '../../src/node/credentials-file.ts';
import { openDoors } from '../../src/node/doors.ts';
import { createNode } from '../../src/node/node.ts';
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
  const io = createRealIo({ cacheDirectory: config.node.cacheDir, emit });
  const openOrigin = originOpener({ io, emit, environment: {}, ffi: 'auto' });
  const real = await createNode({ config, io, emit, openOrigin });
  const { clock, disk } = io;
  const kv = createTestKv({ directory: join(directory, 'values'), clock, disk, volumes: ['cache', 'frozen'] });
  const node = Object.defineProperty(real, 'kv', { value: kv });
  const credentials = credentialsOf([KEY, GUEST], { anonymous: false });
  const doors = await openDoors({ config, io, node, credentials, sinks });
  t.after(async () => {
    await doors.close();
    await node.close();
    await io.close();
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
