import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type CheckpointRecord, checkpointKey, encodeCheckpoint } from '../write/checkpoint-record.ts';
import type { OrderEntry } from './drain-directory.ts';
import { UnfoldedCheckpoints } from './unfolded-checkpoints.ts';

const begun = (key: string, revision: number) => ({ key, begun: revision }) as OrderEntry;

function checkpoint(name: string, record: CheckpointRecord, revision: number) {
  const key = checkpointKey('v', name);
  return { key, value: encodeCheckpoint(record), createRevision: revision, modifyRevision: revision };
}

const committed = (folded: boolean, at?: number): CheckpointRecord => ({
  committed: {
    ...(at !== undefined && { committedRevision: at }),
    attempt: 'a',
    begunRevision: 1,
    committedMs: 0,
    objects: 1,
    bytes: 1,
    folded,
    marked: false,
  },
});

test('S-7: a latest that was begun after a commit waits until what was committed can be seen', () => {
  const unfolded = new UnfoldedCheckpoints('v');
  unfolded.apply({ kind: 'changes', revision: 10, changes: [checkpoint('run/s1', committed(false), 10)] });
  assert.equal(unfolded.holdsBack(begun('run/latest', 10)), true);
  assert.equal(unfolded.holdsBack(begun('latest', 12)), true);
  assert.equal(unfolded.holdsBack(begun('run/s1/more', 12)), true);
  assert.equal(unfolded.holdsBack(begun('run/latest', 9)), false, 'it was begun before');
  assert.equal(unfolded.holdsBack(begun('run/s2/0', 12)), false, 'it is another directory');
  assert.equal(unfolded.holdsBack(begun('other/latest', 12)), false);
  unfolded.apply({ kind: 'changes', revision: 11, changes: [checkpoint('run/s1', committed(true, 10), 11)] });
  assert.equal(unfolded.holdsBack(begun('run/latest', 12)), false);
});

test('a watch that begins anew forgets what is gone', () => {
  const unfolded = new UnfoldedCheckpoints('v');
  unfolded.apply({ kind: 'changes', revision: 10, changes: [checkpoint('a', committed(false), 10)] });
  unfolded.apply({ kind: 'snapshot', revision: 20, changes: [] });
  assert.equal(unfolded.holdsBack(begun('latest', 30)), false);
});
