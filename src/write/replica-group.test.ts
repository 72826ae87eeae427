import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MiB } from '../core/limits.ts';
import { ReplicaRing } from './replica-group.ts';

const member = (node: string, zone: string, capacityBytes = 1 << 30) => ({ node, zone, capacityBytes });
const unladen = () => 0;

/** Every node writes files of these sizes; how much each gets. */
function givenBy(members: readonly ReturnType<typeof member>[], sizes: readonly number[]): Map<string, number> {
  const got = new Map(members.map(({ node }) => [node, 0]));
  for (const self of members) {
    const ring = new ReplicaRing(members, self);
    const given = new Map<string, number>();
    for (const size of sizes) {
      const [first] = ring.group(size, (node) => given.get(node) ?? 0);
      given.set(first!, (given.get(first!) ?? 0) + size);
      got.set(first!, got.get(first!)! + size);
    }
  }
  return got;
}

test('copies go to other zones first, and to each zone in turn', () => {
  const members = ['x', 'y', 'z'].flatMap((zone) => [1, 2, 3].map((index) => member(`${zone}${index}`, zone)));
  const group = new ReplicaRing(members, { node: 'x1', zone: 'x' }).group(MiB, unladen);
  assert.equal(group.length, 4, 'the writer and up to four others');
  assert.deepEqual(
    new Set(group.slice(0, 2).map((node) => node[0])),
    new Set(['y', 'z']),
    'the first two are in the two other zones',
  );
  assert.ok(!group.includes('x1'));
  assert.equal(new Set(group).size, 4);
});

test('nodes that write alike are given alike, from the first file on', () => {
  for (const zones of [['a'], ['a', 'b'], ['a', 'b', 'c', 'd']])
    for (const perZone of [2, 3]) {
      const members = zones.flatMap((zone) => Array.from({ length: perZone }, (_, i) => member(`${zone}${i}`, zone)));
      for (let files = 1; files <= 4; files++) {
        const sizes = Array.from({ length: files }, () => 90 * MiB);
        const got = Array.from(givenBy(members, sizes).values());
        assert.deepEqual(new Set(got), new Set([files * 90 * MiB]), `${members.length} nodes, ${files} files`);
      }
    }
});

test('where zones are not of one size nobody gets more than its share, as far as other zones can give it', () => {
  const members = [member('n1', 'a'), member('n2', 'b'), member('n3', 'c'), member('n4', 'a')];
  const got = givenBy(members, [90 * MiB, 90 * MiB, 15 * MiB, 15 * MiB]);
  assert.deepEqual(new Set(got.values()), new Set([210 * MiB]));
});

test('more room takes more, and whoever was given much is not first again', () => {
  const members = [member('n1', 'a'), member('n2', 'b', 1 << 30), member('n3', 'c', 1.5 * (1 << 30))];
  const got = new Map<string, number>();
  const ring = new ReplicaRing(members, members[0]!);
  for (let i = 0; i < 40; i++) {
    const [first] = ring.group(64 * MiB, (node) => 64 * MiB * (got.get(node) ?? 0));
    got.set(first!, (got.get(first!) ?? 0) + 1);
  }
  assert.ok(got.get('n3')! > 1.5 * got.get('n2')!, JSON.stringify(Object.fromEntries(got)));
  assert.deepEqual(
    new ReplicaRing([members[0]!], members[0]!).group(MiB, unladen),
    [],
    'a node alone has none to give',
  );
  const near = new ReplicaRing([member('n1', 'a'), member('n2', 'a')], { node: 'n1', zone: 'a' });
  assert.deepEqual(
    near.group(MiB, (node) => (node === 'n2' ? 64 * MiB : 0)),
    ['n2'],
    'without other zones the own one',
  );
});
