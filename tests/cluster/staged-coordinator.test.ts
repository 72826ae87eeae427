import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startEtcd } from '../servers/etcd.ts';
import { eventually } from './node.ts';
import { expectBytes, put, ramp, STAGED, stagedCluster, untilReplicated } from './staged.ts';

test('S-15: with etcd stopped writes fail clearly, what was acknowledged stays readable, and writes go on when it is back', async (t) => {
  const [etcd] = (await startEtcd(t)) ?? [];
  if (!etcd) return;
  const { nodes } = await stagedCluster(t, ['a', 'b'], { coordinator: `etcd://127.0.0.1:${etcd.port}` });
  const [a, b] = nodes;
  const body = ramp(2_000_000, 5);
  await put(a!, 'dir/before', body);
  await untilReplicated(a!, 'dir/before');
  await etcd.stop();
  const refused = await fetch(a!.url(`${STAGED}/dir/during`), { method: 'PUT', body: new Uint8Array(body) });
  assert.equal(refused.status, 503);
  assert.match(await refused.text(), /coordinator/);
  await expectBytes(a!, 'dir/before', body);
  await etcd.restart();
  await eventually('a node takes writes again', async () => {
    const answer = await fetch(a!.url(`${STAGED}/dir/after`), { method: 'PUT', body: 'after' });
    return answer.status === 200;
  });
  await expectBytes(b!, 'dir/after', 'after');
  await expectBytes(b!, 'dir/before', body);
  assert.equal((await b!.get(`${STAGED}/dir/during`)).status, 404, 'what was refused is not there');
  await eventually('nothing is left of it', async () =>
    (await Promise.all(nodes.map(async (node) => (await node.status()).store.stagedBytes))).every(
      (bytes) => bytes === 0,
    ),
  );
});
