/** Values between real daemons: found, promised, gathered; and what becomes of a promise when its holder dies or stands still. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { expectMembers, fixture, total } from './fixture.ts';
import { type ClusterNode, eventually } from './node.ts';

const VOLUMES = { values: { kind: 'kv', share: 0.5 } } as const;
const LEASE_MS = 300_000;
/** A miss takes a hello that nobody answers, on a busy machine. */
const MISS_MS = 10_000;

const bytesOf = (seed: number, length: number): Buffer =>
  Buffer.from(Uint8Array.from({ length }, (_, at) => (at * 31 + seed * 97) % 251));

const target = (node: ClusterNode, rest: string) => `http://${node.doors.admin}/v1/kv/values/${rest}`;

async function put(node: ClusterNode, key: string, bytes: Buffer): Promise<void> {
  const response = await fetch(target(node, `value/${key}`), { method: 'PUT', body: new Uint8Array(bytes) });
  assert.equal(response.status, 200, `${node.name} puts ${key}: ${await response.text()}`);
}

/** `undefined`: a miss. */
async function get(node: ClusterNode, key: string): Promise<Buffer | undefined> {
  const response = await fetch(target(node, `value/${key}`));
  const bytes = Buffer.from(await response.arrayBuffer());
  if (response.status === 404) return undefined;
  assert.equal(response.status, 200, `${node.name} gets ${key}: ${bytes.toString()}`);
  return bytes;
}

async function lookup(node: ClusterNode, keys: readonly string[]): Promise<number> {
  const body = JSON.stringify({ keys, leaseMs: LEASE_MS });
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(target(node, 'lookup'), { method: 'POST', headers, body });
  assert.equal(response.status, 200, `${node.name} looks up`);
  return ((await response.json()) as { leading: number }).leading;
}

/** Each value in order; `undefined`: a miss. */
async function gather(node: ClusterNode, keys: readonly string[]): Promise<(Buffer | undefined)[]> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(target(node, 'get'), { method: 'POST', headers, body: JSON.stringify({ keys }) });
  assert.equal(response.status, 200, `${node.name} gathers`);
  const all = Buffer.from(await response.arrayBuffer());
  const values: (Buffer | undefined)[] = [];
  for (let at = 0; at < all.length; ) {
    const length = all.readBigUInt64LE(at);
    at += 8;
    if (length === 0xffff_ffff_ffff_ffffn) values.push(undefined);
    else values.push(all.subarray(at, (at += Number(length))));
  }
  return values;
}

test('S-10: what any node has is found, promised and gathered by all; a holder killed or paused between lookup and get costs a bounded miss', async (t) => {
  const { startAll } = await fixture(t);
  const nodes = await startAll(['a', 'b', 'c'], { volumes: VOLUMES });
  const [a, b, c] = nodes as [ClusterNode, ClusterNode, ClusterNode];
  const keys = Array.from({ length: 12 }, (_, index) => `block-${index}`);
  const sizes = [10, 40_000, 1_500_000, 9_500_000];
  const values = keys.map((_, index) => bytesOf(index, sizes[index % sizes.length] as number));
  for (const [index, key] of keys.entries()) await put(nodes[index % 3] as ClusterNode, key, values[index] as Buffer);
  for (const node of nodes)
    await eventually('all keys are found', async () => (await lookup(node, keys)) === keys.length);
  for (const node of nodes) {
    const got = await gather(node, [...keys, 'nothing']);
    assert.equal(got.length, keys.length + 1);
    for (const [index, value] of values.entries())
      assert.ok(value.equals(got[index] as Buffer), `${keys[index]} is right`);
    assert.equal(got.at(-1), undefined);
  }
  assert.equal(await lookup(a, [keys[0] as string, 'nothing', keys[1] as string]), 1);

  await put(b, keys[0] as string, Buffer.from('another'));
  for (const node of nodes)
    await eventually(
      'the replaced value is seen',
      async () => (await get(node, keys[0] as string))?.toString() === 'another',
    );
  assert.equal((await fetch(target(c, `value/${keys[1]}`), { method: 'DELETE' })).status, 200);
  for (const node of nodes)
    assert.equal(await get(node, keys[1] as string), undefined, `${node.name} has what was deleted`);

  // promised by b: block-4 (small) and block-7 (large); by c: block-5 and block-11
  const ofC = ['block-5', 'block-11'];
  const ofB = ['block-4', 'block-7'];
  assert.equal(await lookup(a, [...ofB, ...ofC]), 4);
  b.signal('SIGSTOP');
  const pausedMs = performance.now();
  for (const value of await gather(a, ofB)) assert.equal(value, undefined, 'nobody waits for a node that stands still');
  for (const key of ofB) assert.equal(await get(a, key), undefined);
  assert.ok(performance.now() - pausedMs < MISS_MS, 'the misses are bounded');
  for (const [at, value] of (await gather(a, ofC)).entries())
    assert.ok(values[keys.indexOf(ofC[at] as string)]?.equals(value as Buffer), 'what others hold is served meanwhile');
  b.signal('SIGCONT');
  for (const key of ofB)
    await eventually('what the paused node holds is back', async () =>
      Boolean(values[keys.indexOf(key)]?.equals((await get(a, key)) ?? Buffer.alloc(0))),
    );

  await c.kill();
  const killedMs = performance.now();
  for (const key of ofC) assert.equal(await get(a, key), undefined);
  assert.equal(await lookup(a, ofC), 0);
  assert.ok(performance.now() - killedMs < MISS_MS, 'the misses are bounded');
  await expectMembers([a, b], ['a', 'b']);
  // keys that c owned have another owner now, who is told of them
  const left = keys.filter((_, index) => index % 3 !== 2 && index !== 1);
  for (const node of [a, b])
    await eventually('what is left is found', async () => (await lookup(node, left)) === left.length);
  assert.equal(await total([a, b], 'forebay_kv_promised_then_missed_total'), 0);
});

test('one of many that put where nothing is wins, whichever node they ask', async (t) => {
  const { startAll } = await fixture(t);
  const nodes = await startAll(['a', 'b'], { volumes: VOLUMES });
  for (let round = 0; round < 3; round++) {
    const puts = Array.from({ length: 8 }, (_, index) =>
      fetch(target(nodes[index % 2] as ClusterNode, `value/lock-${round}`), {
        method: 'PUT',
        headers: { 'if-none-match': '*' },
        body: `client ${index}`,
      }),
    );
    const statuses = (await Promise.all(puts)).map(({ status }) => status);
    assert.deepEqual(
      statuses.toSorted((x, y) => x - y),
      [200, ...Array.from({ length: 7 }, () => 412)],
      `round ${round}`,
    );
  }
});
