import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkpointOf, largestShareBytes, PROFILE_NAMES } from './checkpoint.ts';

const GiB = 2 ** 30;

test('profiles have the ranks, files and bytes of MLPerf Storage', () => {
  const expected = { '8b': [16, 105], '70b': [128, 911], '405b': [1536, 5288], '1t': [2048, 17_997] } as const;
  for (const profile of PROFILE_NAMES) {
    const { files, sizeBytes } = checkpointOf({ profile, scale: 1, nodes: 8 });
    const [wantedFiles, wantedGiB] = expected[profile];
    assert.equal(files, wantedFiles, profile);
    assert.equal(Math.round(sizeBytes / GiB), wantedGiB, profile);
  }
});

test('ranks are spread over nodes in blocks, and scale divides bytes only', () => {
  const whole = checkpointOf({ profile: '8b', scale: 1, nodes: 4 });
  const small = checkpointOf({ profile: '8b', scale: 1024, nodes: 4 });
  assert.deepEqual(
    small.nodes.map((ranks) => ranks.length),
    [2, 2, 2, 2],
  );
  assert.equal(small.files, whole.files);
  assert.ok(Math.abs(small.sizeBytes - whole.sizeBytes / 1024) < small.files);
  assert.equal(new Set(small.nodes.flat(2).map(({ name }) => name)).size, small.files);
});

test('only the first data-parallel replica writes the model where states are not fully sharded', () => {
  const ranks = checkpointOf({ profile: '405b', scale: 1024, nodes: 64 }).nodes.flat();
  assert.equal(ranks.filter((files) => files.length > 1).length, 256);
  assert.deepEqual(
    [0, 7, 8, 15, 16].map((rank) => ranks[rank]?.length),
    [5, 5, 1, 1, 5],
  );
});

test('uneven: one node writes everything', () => {
  const uneven = checkpointOf({ profile: '8b', scale: 1024, nodes: 4, uneven: true });
  assert.equal(largestShareBytes(uneven), uneven.sizeBytes);
  assert.equal(largestShareBytes(checkpointOf({ profile: '8b', scale: 1024, nodes: 4 })) * 4, uneven.sizeBytes);
});
