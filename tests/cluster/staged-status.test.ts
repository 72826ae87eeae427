import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from './node.ts';
import { put, ramp, stagedCluster, untilReplicated } from './staged.ts';

test('status and metrics say what is held, what only this node has, and what an acknowledged write survives', async (t) => {
  const { nodes } = await stagedCluster(t, ['a', 'b']);
  const [a, b] = nodes;
  await put(a!, 'dir/x', ramp(300_000));
  await untilReplicated(a!, 'dir/x');
  const [volume] = (await b!.status()).volumes;
  assert.equal(volume?.writes?.isDegraded, false);
  assert.match(
    volume?.writes?.safeAgainst ?? '',
    /killed daemon at once, the loss of any node or disk once replicated/,
  );
  assert.equal(await a!.metric('forebay_writes_degraded'), 0);
  assert.ok((await a!.metric('forebay_write_replicated_seconds_count')) >= 1);
  await b!.kill();
  await eventually(
    'a sees that too few nodes are there',
    async () => (await a!.metric('forebay_writes_degraded')) === 1,
  );
  await put(a!, 'dir/y', ramp(200_000));
  assert.equal(await a!.metric('forebay_exposed_objects'), 1, 'what nobody else has is exposed until it is drained');
  assert.equal(await a!.metric('forebay_exposed_bytes'), 200_000);
  assert.match((await a!.status()).volumes[0]?.writes?.safeAgainst ?? '', /the loss of the node only once drained/);
  await eventually('it is drained', async () => (await a!.metric('forebay_exposed_objects')) === 0);
});
