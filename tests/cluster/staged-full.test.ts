import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MiB } from './fixture.ts';
import { type ClusterNode, eventually } from './node.ts';
import { expectBytes, put, ramp, SlowPut, STAGED, stagedCluster } from './staged.ts';

const FULL = { node: { capacity: '64MiB' } };

/** What is there and what is promised: space that a body comes into directly counts as taken from the first byte on. */
async function takenBytes(node: ClusterNode): Promise<number> {
  const { usedBytes, reservedBytes } = (await node.status()).store;
  return usedBytes + reservedBytes;
}

test('S-12: onFull = "fail": what does not fit beside what is being written is refused at once, and nothing is left of it', async (t) => {
  const { nodes } = await stagedCluster(t, ['a'], { volume: { replicas: 1, onFull: 'fail' }, ...FULL });
  const [a] = nodes;
  const first = new SlowPut(a!, 'dir/first', 40 * MiB);
  await first.send(ramp(MiB));
  await eventually('the first has its space', async () => (await takenBytes(a!)) > 30 * MiB);
  const refused = await fetch(a!.url(`${STAGED}/dir/second`), { method: 'PUT', body: new Uint8Array(40 * MiB) });
  assert.equal(refused.status, 503);
  assert.match(await refused.text(), /disk is full/);
  assert.equal((await a!.get(`${STAGED}/dir/second`)).status, 404);
  first.destroy();
  await eventually('its space is given back', async () => (await takenBytes(a!)) < MiB);
  await put(a!, 'dir/second', ramp(40 * MiB));
  await expectBytes(a!, 'dir/second', ramp(40 * MiB));
});

test('S-12: onFull = "block": a write waits until what is in its way was drained', async (t) => {
  const { nodes, atOrigin } = await stagedCluster(t, ['a'], { volume: { replicas: 1, onFull: 'block' }, ...FULL });
  const [a] = nodes;
  const body = ramp(40 * MiB, 1);
  const first = new SlowPut(a!, 'dir/first', body.length);
  await first.send(body.subarray(0, MiB));
  await eventually('the first has its space', async () => (await takenBytes(a!)) > 30 * MiB);
  let isOver = false;
  const second = put(a!, 'dir/second', ramp(40 * MiB, 2)).finally(() => {
    isOver = true;
  });
  await first.send(body.subarray(MiB));
  assert.equal(isOver, false, 'the second waits');
  first.end();
  assert.equal((await first.answer).status, 200);
  await second;
  assert.ok(atOrigin('dir/first')?.equals(body), 'the first made room by going to the origin');
  await expectBytes(a!, 'dir/second', ramp(40 * MiB, 2));
});

test('S-12: onFull = "write-through": a write goes to the origin at once, and is what everyone reads from then on', async (t) => {
  const { nodes, atOrigin } = await stagedCluster(t, ['a', 'b'], {
    volume: { replicas: 1, onFull: 'write-through' },
    ...FULL,
  });
  const [a, b] = nodes;
  await put(b!, 'dir/second', 'what was there before');
  await eventually('it is drained', () => atOrigin('dir/second') !== undefined);
  const first = new SlowPut(a!, 'dir/first', 40 * MiB);
  await first.send(ramp(MiB));
  await eventually('the first has its space', async () => (await takenBytes(a!)) > 30 * MiB);
  const answer = await put(a!, 'dir/second', ramp(30 * MiB, 2));
  assert.equal(answer.headers.get('x-forebay-ack'), 'origin');
  assert.ok(atOrigin('dir/second')?.equals(ramp(30 * MiB, 2)));
  await expectBytes(b!, 'dir/second', ramp(30 * MiB, 2));
  first.destroy();
});
