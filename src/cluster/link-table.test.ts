import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SimRandom } from '../../sim/sim-random.ts';
import { LINKS_PER_NODE } from './broadcast.ts';
import { LinkPeer, LinkTable } from './link-table.ts';

const named = (count: number, reads = true) => Array.from({ length: count }, (_, i) => new LinkPeer(`n${i}`, reads));

function tableOf(peers: readonly LinkPeer[], seed: number): LinkTable {
  const table = new LinkTable(new SimRandom(seed));
  for (const peer of peers) table.add(peer);
  table.settle();
  return table;
}

/** Links go both ways in the books, to members only, never to oneself, never twice. */
function checkBooks(table: LinkTable): void {
  const members = new Set<unknown>(table.peers);
  for (const peer of table.peers) {
    assert.ok(!peer.sources.includes(peer));
    assert.equal(new Set(peer.sources).size, peer.sources.length);
    for (const source of peer.sources) assert.ok(members.has(source) && source.readers.includes(peer));
    for (const reader of peer.readers) assert.ok(members.has(reader) && reader.sources.includes(peer));
    if (!peer.serves) assert.equal(peer.readers.length, 0);
  }
}

/** Whether what is at the first is at all who read, sooner or later. */
function reachesAll(table: LinkTable): boolean {
  const first = table.peers[0] as LinkPeer;
  const reached = new Set<unknown>([first]);
  for (const peer of reached) for (const reader of (peer as LinkPeer).readers) reached.add(reader);
  return table.peers.every((peer) => reached.has(peer) || !peer.reads);
}

const seeds = fc.nat();

test('links are exactly regular: each node has d sources and d readers, and what is anywhere reaches everyone', () => {
  fc.assert(
    fc.property(fc.integer({ min: 10, max: 200 }), seeds, (count, seed) => {
      const table = tableOf(named(count), seed);
      for (const { sources, readers } of table.peers) {
        assert.equal(sources.length, LINKS_PER_NODE);
        assert.equal(readers.length, LINKS_PER_NODE);
      }
      checkBooks(table);
      assert.ok(reachesAll(table));
    }),
    { numRuns: 60 },
  );
});

test('up to nine nodes everyone reads from everyone', () => {
  for (let count = 1; count <= 9; count++) {
    const table = tableOf(named(count), 1);
    for (const { sources, readers } of table.peers)
      assert.deepEqual([sources.length, readers.length], [count - 1, count - 1]);
  }
});

test('finished nodes have no sources and take their even share of readers', () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 60 }), fc.integer({ min: 10, max: 60 }), seeds, (reading, finished, seed) => {
      const peers = [...named(reading), ...Array.from({ length: finished }, (_, i) => new LinkPeer(`f${i}`, false))];
      const table = tableOf(peers, seed);
      checkBooks(table);
      const most = Math.max(...peers.map(({ readers }) => readers.length));
      assert.ok(most <= LINKS_PER_NODE, `${most} readers`);
      for (const { reads, sources } of peers) assert.equal(sources.length, reads ? LINKS_PER_NODE : 0);
    }),
    { numRuns: 60 },
  );
});

test('a leaf has one source and no readers, and the others stay regular at the next deal', () => {
  const peers = named(40);
  const table = tableOf(peers, 3);
  const slow = peers[7] as LinkPeer;
  table.setLeaf(slow, true);
  checkBooks(table);
  assert.deepEqual([slow.sources.length, slow.readers.length], [1, 0]);
  table.deal();
  checkBooks(table);
  assert.deepEqual([slow.sources.length, slow.readers.length], [1, 0]);
  for (const peer of peers) if (peer !== slow) assert.equal(peer.sources.length, LINKS_PER_NODE);
  table.setLeaf(slow, false);
  table.settle();
  checkBooks(table);
  assert.equal(slow.sources.length, LINKS_PER_NODE);
  assert.ok(slow.readers.length > 0);
});

test('whoever sent wrong bytes reads on and serves nobody', () => {
  const peers = named(30);
  const table = tableOf(peers, 4);
  const bad = peers[0] as LinkPeer;
  table.shut(bad);
  checkBooks(table);
  table.deal();
  checkBooks(table);
  assert.deepEqual([bad.sources.length, bad.readers.length], [LINKS_PER_NODE, 0]);
});

test('nodes that come and go leave the links in order, with as many sources as before', () => {
  const change = fc.oneof(
    fc.constant({ kind: 'join' as const }),
    fc.record({ kind: fc.constantFrom('leave' as const, 'finish' as const, 'replace' as const), at: fc.nat() }),
  );
  fc.assert(
    fc.property(
      fc.integer({ min: 12, max: 40 }),
      fc.array(change, { maxLength: 40 }),
      seeds,
      (count, changes, seed) => {
        const table = tableOf(named(count), seed);
        let joined = 0;
        for (const one of changes) {
          const peer = table.peers[('at' in one ? one.at : 0) % table.size] as LinkPeer;
          if (one.kind === 'join') table.add(new LinkPeer(`j${joined++}`, true));
          else if (one.kind === 'leave' && table.size > 12) table.remove(peer);
          else if (one.kind === 'finish') peer.reads = false;
          else if (peer.sources.length > 0) table.replace(peer.sources[0] as LinkPeer, peer);
          table.settle();
          checkBooks(table);
          for (const { reads, sources } of table.peers)
            if (reads) assert.ok(sources.length >= LINKS_PER_NODE - 1, `${sources.length} sources`);
        }
        const changed = new Set(table.takeChanged());
        assert.ok([...changed].every((peer) => table.peers.includes(peer)));
        assert.deepEqual(table.takeChanged(), []);
      },
    ),
    { numRuns: 60 },
  );
});

test('a node that joins many is put in without disturbing more than its neighbours', () => {
  const table = tableOf(named(100), 5);
  table.takeChanged();
  const late = new LinkPeer('late', true);
  table.add(late);
  assert.equal(table.settle(), false);
  assert.deepEqual([late.sources.length, late.readers.length], [LINKS_PER_NODE, LINKS_PER_NODE]);
  assert.ok(table.takeChanged().length <= 1 + 2 * LINKS_PER_NODE);
});
