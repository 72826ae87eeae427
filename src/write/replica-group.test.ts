import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Member } from '../cluster/member.ts';
import { Placement } from '../cluster/placement.ts';
import { newContentId } from '../core/ids.ts';
import { replicaGroup } from './replica-group.ts';

const member = (node: string, zone: string): Member => ({
  node,
  zone,
  session: `life of ${node}`,
  capacityBytes: 1 << 30,
  address: { host: '127.0.0.1', port: 1 },
  protocol: 1,
});

const idOf = (index: number) => newContentId({ wallMs: 1_000_000 + index, random: Buffer.alloc(10, index) });

function placementOf(members: readonly Member[]): Placement {
  const placement = new Placement();
  placement.update({ epoch: 1, members });
  return placement;
}

test('copies go to other zones first, and to each zone in turn', () => {
  const members = ['x', 'y', 'z'].flatMap((zone) => [1, 2, 3].map((index) => member(`${zone}${index}`, zone)));
  const placement = placementOf(members);
  for (let index = 0; index < 50; index++) {
    const group = replicaGroup(placement, { node: 'x1', zone: 'x' }, idOf(index));
    const zones = group.map(({ zone }) => zone);
    assert.equal(group.length, 4, 'the writer and up to four others');
    assert.deepEqual(zones.slice(0, 2).sort(), ['y', 'z'], 'the first two copies are in the two other zones');
    assert.ok(!group.some(({ node }) => node === 'x1'));
    assert.equal(new Set(group.map(({ node }) => node)).size, 4);
  }
});

test('every node gets its share of copies, and a node alone has none to give', () => {
  const members = Array.from({ length: 8 }, (_, index) => member(`n${index}`, 'zone'));
  const placement = placementOf(members);
  const counts = new Map<string, number>();
  for (let index = 0; index < 700; index++) {
    const [first] = replicaGroup(placement, { node: 'n0', zone: 'zone' }, idOf(index));
    counts.set(first!.node, (counts.get(first!.node) ?? 0) + 1);
  }
  assert.equal(counts.size, 7);
  for (const [node, count] of counts) assert.ok(count > 50 && count < 150, `${node} gets ${count} of 700`);
  assert.deepEqual(replicaGroup(placementOf([members[0]!]), { node: 'n0', zone: 'zone' }, idOf(1)), []);
});
