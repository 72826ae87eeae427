import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MiB, total } from './fixture.ts';
import { type ClusterNode, eventually } from './node.ts';
import { expectBytes, put, ramp, SlowPut, STAGED, stagedCluster, untilReplicated, writes } from './staged.ts';

test('S-3: a PUT at `local` is replicated soon after, and read elsewhere once its writer was killed', async (t) => {
  const { nodes } = await stagedCluster(t, ['a', 'b', 'c']);
  const [a, b, c] = nodes;
  const sizes = { small: 1000, middle: 100_000, large: 9 * MiB + 12_345, empty: 0 };
  for (const [key, size] of Object.entries(sizes)) {
    const answer = await put(a!, `dir/${key}`, ramp(size, size));
    assert.match(answer.headers.get('etag') ?? '', /^"[0-9a-f]{32}-1"$/);
    assert.match(answer.headers.get('x-forebay-ack') ?? '', /^(local|replicated)$/);
    for (const node of nodes) await expectBytes(node, `dir/${key}`, ramp(size, size));
  }
  for (const key of Object.keys(sizes)) {
    const { replicas = [] } = await untilReplicated(b!, `dir/${key}`);
    assert.ok(replicas.length === 0 || (replicas.length === 2 && replicas[0] === 'a'), replicas.join());
  }
  await a!.kill();
  for (const [key, size] of Object.entries(sizes))
    for (const node of [b!, c!]) await expectBytes(node, `dir/${key}`, ramp(size, size));
});

test('S-3: at `replicated` two nodes have it when the answer comes; a writer killed then loses nothing', async (t) => {
  const { nodes } = await stagedCluster(t, ['a', 'b', 'c'], { volume: { ack: 'replicated' } });
  const [a, b, c] = nodes;
  const keys = Array.from({ length: 8 }, (_, index) => `step/shard-${index}`);
  const bodyOf = (key: string) => ramp(3 * MiB + key.length + Number(key.at(-1)) * 1000, Number(key.at(-1)));
  await Promise.all(
    keys.map(async (key) => {
      const answer = await put(a!, key, bodyOf(key));
      assert.equal(answer.headers.get('x-forebay-ack'), 'replicated');
    }),
  );
  await a!.kill();
  for (const key of keys) for (const node of [b!, c!]) await expectBytes(node, key, bodyOf(key));
});

test('S-3, S-14: what was acknowledged at `local` is there when its killed writer starts again, and gets its copies then', async (t) => {
  const { nodes, start } = await stagedCluster(t, ['a'], {});
  const [a] = nodes;
  const body = ramp(5 * MiB + 77, 3);
  const answer = await put(a!, 'dir/alone', body);
  assert.equal(answer.headers.get('x-forebay-ack'), 'local');
  await put(a!, 'dir/tiny', 'tiny');
  await a!.kill();
  const b = await start('b');
  const again = await start('a', { directory: a!.directory });
  await expectBytes(again, 'dir/alone', body);
  const { replicas } = await untilReplicated(again, 'dir/alone');
  await untilReplicated(again, 'dir/tiny');
  assert.ok(replicas === undefined || replicas.includes('b'), (replicas ?? []).join());
  await again.kill();
  await expectBytes(b, 'dir/alone', body);
  await expectBytes(b, 'dir/tiny', 'tiny');
});

test('S-5: a writer killed before its commit leaves nothing that anybody sees, and its replicas give the space back', async (t) => {
  const { nodes } = await stagedCluster(t, ['a', 'b', 'c'], { volume: { replicas: 3 } });
  const [a, b, c] = nodes;
  const key = 'dir/half';
  await put(b!, key, 'what was there before');
  const half = new SlowPut(a!, key, 16 * MiB);
  await half.send(ramp(12 * MiB));
  const stagedAt = async (node: ClusterNode) => (await node.status()).store.stagedBytes;
  await eventually('both replicas pull while it is written', async () =>
    (await Promise.all([b!, c!].map(stagedAt))).every((bytes) => bytes >= 8 * MiB),
  );
  for (const node of nodes) await expectBytes(node, key, 'what was there before');
  await a!.kill();
  for (const node of [b!, c!]) {
    await eventually(`${node.name} drops its copy`, async () => (await stagedAt(node)) === 0);
    await expectBytes(node, key, 'what was there before');
  }
});

test('a replica killed in the middle of its pull is replaced by another, and the writer does not notice', async (t) => {
  const { nodes } = await stagedCluster(t, ['a', 'b', 'c', 'd'], { volume: { ack: 'replicated' } });
  const [a, ...others] = nodes;
  const body = ramp(12 * MiB + 5, 9);
  const writing = new SlowPut(a!, 'dir/large', body.length);
  await writing.send(body.subarray(0, 8 * MiB));
  let victim: ClusterNode | undefined;
  await eventually('a replica pulls', async () => {
    for (const node of others) if ((await node.status()).store.stagedBytes > 4 * MiB) victim = node;
    return victim !== undefined;
  });
  await victim!.kill();
  await writing.send(body.subarray(8 * MiB));
  writing.end();
  const { status, text, headers } = await writing.answer;
  assert.equal(status, 200, text);
  assert.equal(headers['x-forebay-ack'], 'replicated');
  const { replicas = [] } = await untilReplicated(a!, 'dir/large');
  assert.ok(!replicas.includes(victim!.name), replicas.join());
  await a!.kill();
  for (const node of others) if (node !== victim) await expectBytes(node, 'dir/large', body);
});

test('S-5: writers of one key through several nodes at once: the last commit wins, whole, for everyone', async (t) => {
  const { nodes } = await stagedCluster(t, ['a', 'b', 'c']);
  const key = 'one/key';
  const bodyOf = (writer: number, round: number) => ramp(200_000 + writer * 10 + round, writer * 100 + round);
  for (let round = 0; round < 6; round += 1) {
    await Promise.all(nodes.map((node, writer) => put(node, key, bodyOf(writer, round))));
    const answers = await Promise.all(nodes.map((node) => node.get(`${STAGED}/${key}`)));
    const [first] = answers;
    assert.ok(
      nodes.some((_, writer) => (first as { bytes: Buffer }).bytes.equals(bodyOf(writer, round))),
      'it is what one of them wrote in this round',
    );
    for (const { bytes } of answers) assert.ok(bytes.equals(first!.bytes), 'all nodes have the same');
  }
});

test('too few nodes for `replicated`: the volume waits and says so, or takes what there is, as it is told', async (t) => {
  const { nodes, start } = await stagedCluster(t, ['a'], { volume: { ack: 'replicated' } });
  const [a] = nodes;
  const waiting = put(a!, 'dir/waits', 'for another node');
  const b = await start('b');
  assert.equal((await waiting).headers.get('x-forebay-ack'), 'replicated', 'the node that came took a copy');
  await expectBytes(b, 'dir/waits', 'for another node');
  await b.kill();
  const refused = await fetch(a!.url(`${STAGED}/dir/refused`), { method: 'PUT', body: 'nobody else holds this' });
  assert.equal(refused.status, 503);
  assert.match(await refused.text(), /Only 1 of 2 nodes hold .*onDegraded.*x-forebay-ack/);
  assert.equal((await a!.get(`${STAGED}/dir/refused`)).status, 404, 'what was refused is not there');
  const answer = await put(a!, 'dir/local', 'here at least', { 'x-forebay-ack': 'local' });
  assert.equal(answer.headers.get('x-forebay-ack'), 'local');
  const unknown = await fetch(a!.url(`${STAGED}/dir/x`), {
    method: 'PUT',
    body: 'x',
    headers: { 'x-forebay-ack': 'soon' },
  });
  assert.equal(unknown.status, 400);
  assert.match(await unknown.text(), /x-forebay-ack must be local, replicated, origin, not .*soon/i);
});

test('S-11: what nodes hold since it was written is not read from the origin after the drain either', async (t) => {
  const { nodes, atOrigin } = await stagedCluster(t, ['a', 'b', 'c']);
  const [a, b, c] = nodes;
  const body = ramp(9 * MiB + 5, 4);
  await put(a!, 'dir/drained', body);
  await untilReplicated(a!, 'dir/drained');
  await eventually('it is drained', async () => {
    const [found] = await writes(b!, 'dir/drained');
    return found?.kind === 'stub' && atOrigin('dir/drained') !== undefined;
  });
  for (const node of [b!, c!]) await expectBytes(node, 'dir/drained', body);
  assert.equal(await total(nodes, 'forebay_fill_bytes_total'), 0, 'no node filled anything from the origin');
});
