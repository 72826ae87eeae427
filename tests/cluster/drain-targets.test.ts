/** What is written drains to stores of other people's making: Azurite, and moto as S3. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createRealClock } from '../../src/io/real/clock.ts';
import { createRealRandom } from '../../src/io/real/random.ts';
import { createAzureOrigin } from '../../src/origin/azure.ts';
import { openContainer } from '../../src/origin/azure-client.ts';
import type { Origin } from '../../src/origin/origin.ts';
import { createS3Origin } from '../../src/origin/s3.ts';
import { openS3 } from '../../src/origin/s3-client.ts';
import { AZURITE_ACCOUNT, startAzurite } from '../servers/azurite.ts';
import { startMoto } from '../servers/moto.ts';
import { MiB } from './fixture.ts';
import type { Settings } from './node.ts';
import { expectBytes, put, ramp, stagedCluster } from './staged.ts';

interface Target {
  readonly origin: Origin;
  readonly volume: Settings;
  readonly environment: Readonly<Record<string, string>>;
}

const io = { clock: createRealClock(), random: createRealRandom() };

async function azure(t: TestContext): Promise<Target> {
  const azurite = await startAzurite();
  t.after(() => azurite.stop());
  const { endpoint, connectionString } = azurite;
  const access = { endpoint, account: AZURITE_ACCOUNT, container: 'lake', credentials: { connectionString } };
  await (await openContainer(access)).create();
  const url = `az://${AZURITE_ACCOUNT}/lake`;
  return {
    origin: createAzureOrigin({ ...io, ...access, prefix: '', url }),
    volume: { origin: url, endpoint },
    environment: { AZURE_STORAGE_CONNECTION_STRING: connectionString },
  };
}

async function s3(t: TestContext): Promise<Target | string> {
  const moto = await startMoto();
  if (typeof moto === 'string') return moto;
  t.after(() => moto.stop());
  const access = { endpoint: moto.endpoint, credentials: moto.credentials, bucket: 'lake' };
  const { sdk, client } = await openS3(access);
  await client.send(new sdk.CreateBucketCommand({ Bucket: access.bucket }));
  client.destroy();
  return {
    origin: createS3Origin({ ...access, clock: io.clock, prefix: '', url: 's3://lake' }),
    // moto does not know If-Match of uploads in parts
    volume: { origin: 's3://lake', endpoint: moto.endpoint, region: 'us-east-1', conflicts: 'unchecked' },
    environment: {},
  };
}

async function bytesAt(origin: Origin, key: string): Promise<Buffer | undefined> {
  const version = await origin.head(key);
  if (version === undefined) return undefined;
  const range = { start: 0, end: version.sizeBytes };
  const pieces: Uint8Array[] = [];
  for await (const piece of await origin.get(key, { etag: version.etag, range })) pieces.push(piece);
  return Buffer.concat(pieces);
}

for (const [name, make] of [
  ['Azure (Azurite)', azure],
  ['S3 (moto)', s3],
] as const)
  test(`S-7: looked at every 50 ms, ${name} never shows part of an object, .metadata before its shards or latest before its step`, async (t) => {
    const target = await make(t);
    if (typeof target === 'string') {
      assert.notEqual(process.env['FOREBAY_REQUIRE_ALL'], '1', target);
      t.skip(target);
      return;
    }
    const { origin, volume, environment } = target;
    t.after(() => origin.close());
    const { nodes } = await stagedCluster(t, ['a', 'b'], { volume, environment });
    const objects = new Map([
      ['run/s1/0.distcp', ramp(40 * MiB + 17, 1)],
      ['run/s1/1.distcp', ramp(100_000, 2)],
      ['run/s1/.metadata', ramp(1000, 3)],
      ['run/latest', ramp(2, 4)],
    ]);
    for (const [key, bytes] of objects) await put(nodes[0]!, key, bytes);
    const seen: string[] = [];
    for (const untilMs = performance.now() + 120_000; seen.length < objects.size; ) {
      assert.ok(performance.now() < untilMs, `only ${seen.join(', ')} came`);
      for (const [key, bytes] of objects) {
        if (seen.includes(key)) continue;
        const found = await bytesAt(origin, key);
        if (found === undefined) continue;
        assert.ok(found.equals(bytes), `${key} is whole the moment it is there`);
        seen.push(key);
      }
      await sleep(50);
    }
    assert.deepEqual(seen.slice(2), ['run/s1/.metadata', 'run/latest']);
    assert.equal((await origin.head('run/latest'))?.metadata['forebayid']?.length, 32);
    await put(nodes[1]!, 'run/latest', ramp(3, 5));
    await put(nodes[1]!, 'run/s1/0.distcp', ramp(20 * MiB, 6));
    for (
      const untilMs = performance.now() + 60_000;
      !(await bytesAt(origin, 'run/s1/0.distcp'))?.equals(ramp(20 * MiB, 6));
    )
      assert.ok(performance.now() < untilMs, 'what is overwritten drains over what is there');
    assert.ok((await bytesAt(origin, 'run/latest'))?.equals(ramp(3, 5)));
    await expectBytes(nodes[0]!, 'run/s1/0.distcp', ramp(20 * MiB, 6));
    const gone = await fetch(nodes[0]!.url('work/run/latest'), { method: 'DELETE' });
    assert.equal(gone.status, 204);
    for (const untilMs = performance.now() + 60_000; (await origin.head('run/latest')) !== undefined; )
      assert.ok(performance.now() < untilMs, 'a delete drains');
  });
