import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { requireTool } from '../../tests/tools.ts';
import { RedisServer } from './redis-server.ts';
import { RespError } from './replies.ts';
import { RespClient } from './resp-client.ts';
import { type Load, runLoad } from './resp-load.ts';

async function redis(t: TestContext): Promise<string | undefined> {
  if (requireTool(t, 'redis-server') === undefined) return undefined;
  const directory = mkdtempSync(join(tmpdir(), 'forebay-resp-test-'));
  const server = await RedisServer.start(directory);
  t.after(async () => {
    await server.stop();
    rmSync(directory, { recursive: true, force: true });
  });
  return server.host;
}

const MiB = 2 ** 20;

test('a load stores and reads back values of any size, and every byte is right', async (t) => {
  const host = await redis(t);
  if (host === undefined) return;
  for (const sizeBytes of [1, 1024, 100_000, 3 * MiB + 7]) {
    const load = { host, connections: 4, prefix: `size ${sizeBytes}:`, keys: 8, sizeBytes, verify: true } as const;
    runLoad({ ...load, op: 'set', requests: 24, firstSeed: 1 });
    // Each key has what was set last.
    const done = runLoad({ ...load, op: 'get', requests: 20, firstSeed: 17 });
    assert.ok(done.seconds > 0 && done.clientCpuS >= 0);
  }
});

test('a load stops at the first answer that is not what was stored', async (t) => {
  const host = await redis(t);
  if (host === undefined) return;
  const load: Load = {
    host,
    op: 'get',
    connections: 2,
    requests: 4,
    prefix: 'k',
    keys: 2,
    sizeBytes: 70_000,
    firstSeed: 1,
  };
  assert.throws(() => runLoad(load), /get k0: another head, answered "\$-1/);
  runLoad({ ...load, op: 'set' });
  assert.throws(() => runLoad({ ...load, firstSeed: 2 }), /a wrong byte at 0/);
  assert.throws(() => runLoad({ ...load, sizeBytes: 70_001 }), /another head/);
  assert.throws(() => runLoad({ ...load, host: '127.0.0.1:1' }), /takes no connection/);
});

test('a client gets its replies in order, errors among them', async (t) => {
  const host = await redis(t);
  if (host === undefined) return;
  const client = await RespClient.connect(host);
  t.after(() => client.close());
  const replies = [
    client.do(['SET', 'a', Buffer.alloc(200_000, 'x')]),
    client.do(['NOSUCH']),
    client.do(['MGET', 'a', 'b']),
  ];
  assert.equal(await replies[0], 'OK');
  await assert.rejects(replies[1] as Promise<unknown>, RespError);
  assert.deepEqual(await replies[2], [Buffer.alloc(200_000, 'x'), null]);
});
