import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { expectMembers, type Fixture, fixture } from './fixture.ts';
import type { ClusterNode } from './node.ts';
import { metadataOwner } from './owners.ts';

const VOLUME = 'work';
const text = (what: string) => `${what} `.repeat(500);

/** Nodes with one writable volume, a directory that all of them reach. */
async function writers(t: TestContext, names: readonly string[]): Promise<{ fix: Fixture; nodes: ClusterNode[] }> {
  const fix = await fixture(t);
  const lake = join(fix.directory, 'origin');
  mkdirSync(lake);
  const nodes = await fix.startAll(names, {
    volumes: { [VOLUME]: { origin: `file://${lake}`, write: true, revalidate: '1h', chunkSize: '4MiB' } },
  });
  return { fix, nodes };
}

async function put(node: ClusterNode, key: string, body: string): Promise<void> {
  const response = await fetch(node.url(`${VOLUME}/${key}`), { method: 'PUT', body });
  assert.equal(response.status, 200, `${node.name}: PUT ${key}: ${await response.text()}`);
}

async function expectBody(node: ClusterNode, key: string, body: string): Promise<void> {
  const { status, bytes } = await node.get(`${VOLUME}/${key}`);
  assert.equal(status, 200, `${node.name}: GET ${key}: ${bytes.toString('utf8', 0, 300)}`);
  assert.equal(bytes.toString().slice(0, 40), body.slice(0, 40), `${node.name}: GET ${key} is what was written last`);
  assert.equal(bytes.toString(), body);
}

async function listed(node: ClusterNode): Promise<string[]> {
  const { status, bytes } = await node.get(VOLUME);
  assert.equal(status, 200);
  return Array.from(bytes.toString().matchAll(/<Key>([^<]*)<\/Key>/g), ([, key]) => key as string).sort();
}

test('S-2: what is written through one node is what every other one reads, heads and lists from then on', async (t) => {
  const { nodes } = await writers(t, ['a', 'b', 'c']);
  const keys = Array.from({ length: 12 }, (_, i) => `dir-${i % 4}/key-${i}`);
  for (const round of [1, 2, 3]) {
    for (const [i, key] of keys.entries()) {
      const body = text(`version ${round} of ${key}`).slice(0, 4000 + 10 * round + i);
      await put(nodes[(i + round) % 3]!, key, body);
      for (const node of nodes) await expectBody(node, key, body);
      const { headers } = await nodes[(i + 2 * round) % 3]!.get(`${VOLUME}/${key}`, { method: 'HEAD' });
      assert.equal(headers.get('content-length'), String(body.length));
    }
    for (const node of nodes) assert.deepEqual(await listed(node), [...keys].sort());
  }
  const [first, ...rest] = keys as [string, ...string[]];
  const gone = await fetch(nodes[0]!.url(`${VOLUME}/${first}`), { method: 'DELETE' });
  assert.equal(gone.status, 204);
  for (const node of nodes) {
    assert.equal((await node.get(`${VOLUME}/${first}`)).status, 404, `${node.name} has it no more`);
    assert.deepEqual(await listed(node), [...rest].sort());
  }
});

test('S-2: a write is seen by the next read elsewhere also when the owner of its metadata is killed just before it, or just after', async (t) => {
  const { nodes } = await writers(t, ['a', 'b', 'c', 'd']);
  let alive = nodes;
  for (const when of ['before', 'after'] as const) {
    const key = `${when}/key`;
    for (const node of alive) await put(node, key, text(`old, by ${node.name}`));
    for (const node of alive) await expectBody(node, key, text(`old, by ${alive.at(-1)!.name}`));
    const owner = await metadataOwner(alive[0]!, VOLUME, key);
    const victim = alive.find(({ name }) => name === owner);
    assert.ok(victim, owner);
    alive = alive.filter((node) => node !== victim);
    const [writer, ...readers] = alive as [ClusterNode, ...ClusterNode[]];
    if (when === 'before') await victim.kill();
    const from = performance.now();
    await put(writer, key, text('new'));
    t.diagnostic(`the write took ${Math.round(performance.now() - from)} ms with its owner killed ${when}`);
    if (when === 'after') await victim.kill();
    for (const node of [...readers, writer]) await expectBody(node, key, text('new'));
    assert.deepEqual(
      await Promise.all(alive.map(listed)).then((all) => all.map((keys) => keys.includes(key))),
      alive.map(() => true),
    );
    await expectMembers(
      alive,
      alive.map(({ name }) => name),
    );
    for (const node of alive) await expectBody(node, key, text('new'));
  }
});

test('S-2: a write through one node while others read the key: each read after its end sees it, and none sees a mixture', async (t) => {
  const { nodes } = await writers(t, ['a', 'b', 'c']);
  const [writer, ...readers] = nodes as [ClusterNode, ...ClusterNode[]];
  const key = 'one/key';
  const body = (version: number) => `${String(version).padStart(6, '0')}\n`.repeat(7000 + version);
  let committed = 0;
  let isOver = false;
  await put(writer, key, body(0));
  const reading = readers.map(async (node) => {
    let reads = 0;
    for (; !isOver; reads++) {
      const least = committed;
      const { status, bytes, cut } = await node.get(`${VOLUME}/${key}`);
      if (status !== 200 || cut) continue;
      const seen = Number(bytes.toString('latin1', 0, 6));
      assert.ok(seen >= least, `${node.name} read version ${seen} after ${least} was acknowledged`);
      assert.equal(bytes.toString('latin1'), body(seen), `${node.name} read one version`);
    }
    return reads;
  });
  for (let version = 1; version <= 25; version++) {
    await put(writer, key, body(version));
    committed = version;
  }
  isOver = true;
  const reads = await Promise.all(reading);
  assert.ok(
    reads.every((count) => count > 0),
    reads.join(),
  );
});
