import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ContentId } from '../core/ids.ts';
import type { Member } from './member.ts';
import { Placement } from './placement.ts';
import { SLOTS, type Slot, slotOfChunk, slotOfDirectory } from './slot.ts';

const TiB = 2 ** 40;

function member(node: string, capacityBytes = TiB, zone = 'rack-1'): Member {
  return {
    node,
    session: 's',
    zone,
    capacityBytes,
    address: { host: '127.0.0.1', port: 7074 },
    protocol: 1,
  };
}

const named = (count: number) => Array.from({ length: count }, (_, i) => member(`node-${i}`));

function table(placement: Placement): (string | undefined)[] {
  return Array.from({ length: SLOTS }, (_, slot) => placement.owner(slot as Slot)?.node);
}

test('a node owns slots in proportion to its capacity', () => {
  const placement = new Placement();
  placement.update({ epoch: 1, members: [...named(8), member('double', 2 * TiB)] });
  const counts = new Map<string, number>();
  for (const owner of table(placement)) counts.set(owner as string, (counts.get(owner as string) ?? 0) + 1);
  for (const [node, count] of counts) {
    const share = (SLOTS * (node === 'double' ? 2 : 1)) / 10;
    assert.ok(Math.abs(count - share) < 5 * Math.sqrt(share), `${node} owns ${count}, its share is ${share}`);
  }
});

test('the table depends on the members alone, not on the memberships before', () => {
  const step = fc.array(fc.tuple(fc.integer({ min: 0, max: 11 }), fc.integer({ min: 1, max: 3 })), { maxLength: 12 });
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 4 }), (steps) => {
      const incremental = new Placement();
      let members: Member[] = [];
      for (const [epoch, entries] of steps.entries()) {
        members = [...new Map(entries.map(([i, tib]) => [i, member(`node-${i}`, tib * TiB)])).values()];
        incremental.update({ epoch, members });
      }
      const fresh = new Placement();
      fresh.update({ epoch: 1, members: members.toReversed() });
      assert.deepEqual(table(incremental), table(fresh));
    }),
    { numRuns: 30 },
  );
});

test('a join takes slots only for the one who joins, a leave moves only those of the leaver', () => {
  const placement = new Placement();
  const nodes = named(20);
  const first = placement.update({ epoch: 1, members: nodes });
  assert.equal(first.length, SLOTS);
  assert.ok(first.every(({ from, to }) => from === undefined && to !== undefined));

  const joined = placement.update({ epoch: 2, members: [...nodes, member('new')] });
  assert.ok(joined.length > 600 && joined.length < 960, `${joined.length} moved`);
  assert.ok(joined.every(({ from, to }) => to === 'new' && from !== undefined));

  const left = placement.update({ epoch: 3, members: nodes });
  assert.deepEqual(
    left.map(({ slot, from, to }) => ({ slot, from: to, to: from })),
    joined,
  );
  assert.equal(placement.epoch, 3);
});

test('a new session of an owner moves nothing, and its new address counts', () => {
  const placement = new Placement();
  placement.update({ epoch: 1, members: [member('a')] });
  const moves = placement.update({
    epoch: 2,
    members: [{ ...member('a'), session: 't', address: { host: '127.0.0.1', port: 9 } }],
  });
  assert.deepEqual(moves, []);
  assert.equal(placement.owner(7 as Slot)?.session, 't');
  assert.equal(placement.owner(7 as Slot)?.address.port, 9);
});

test('without members nobody owns anything', () => {
  const placement = new Placement();
  placement.update({ epoch: 1, members: named(2) });
  const moves = placement.update({ epoch: 2, members: [] });
  assert.equal(moves.length, SLOTS);
  assert.equal(placement.owner(0 as Slot), undefined);
  assert.deepEqual(placement.candidates(0 as Slot, 3), []);
});

test('candidates begin with the owner, and with other zones where asked', () => {
  const placement = new Placement();
  const members = named(12).map((node, i) => ({ ...node, zone: `rack-${i % 3}` }));
  placement.update({ epoch: 1, members });
  for (const slot of [0, 4711, SLOTS - 1] as Slot[]) {
    const all = placement.candidates(slot, 99);
    assert.equal(all.length, 12);
    assert.equal(all[0], placement.owner(slot));
    assert.deepEqual(placement.candidates(slot, 3), all.slice(0, 3));
    const away = placement.candidates(slot, 12, { awayFrom: 'rack-1' });
    assert.deepEqual(away, [
      ...all.filter(({ zone }) => zone !== 'rack-1'),
      ...all.filter(({ zone }) => zone === 'rack-1'),
    ]);
  }
});

test('chunks of one content spread over all slots, and their slots never change', () => {
  const content = '01918a5b3c4d7e8f9a0b1c2d3e4f5a6b' as ContentId;
  const counts = new Uint32Array(64);
  for (let chunk = 0; chunk < 64_000; chunk++) {
    const at = slotOfChunk({ content, chunk }) >> 8;
    counts[at] = (counts[at] as number) + 1;
  }
  for (const count of counts) assert.ok(Math.abs(count - 1000) < 160, `${count} of 1,000`);
  assert.deepEqual(
    [0, 1, 1_000_000].map((chunk) => slotOfChunk({ content, chunk })),
    [8028, 6168, 7518],
  );
  assert.equal(slotOfDirectory('models', 'llama/7b/weights.bin'), 13_464);
});

test('objects of one directory have one owner, those of others their own', () => {
  const slot = slotOfDirectory('models', 'llama/7b/weights.bin');
  assert.equal(slotOfDirectory('models', 'llama/7b/config.json'), slot);
  assert.notEqual(slotOfDirectory('models', 'llama/70b/config.json'), slot);
  assert.notEqual(slotOfDirectory('other', 'llama/7b/config.json'), slot);
  assert.equal(slotOfDirectory('models', 'a'), slotOfDirectory('models', 'b'));
});

test('the deputy of a slot is who owns it when its owner has left', () => {
  const nodes = named(20);
  const placement = new Placement();
  placement.update({ epoch: 1, members: nodes });
  const gone = nodes[3]?.node as string;
  const deputies = new Map(
    Array.from({ length: SLOTS }, (_, slot) => slot as Slot)
      .filter((slot) => placement.owner(slot)?.node === gone)
      .map((slot) => [slot, placement.deputy(slot)?.node]),
  );
  const [deputy] = deputies.values();
  const theirs = [...deputies].filter(([, node]) => node === deputy).map(([slot]) => slot);
  assert.deepEqual(placement.slotsOf(gone, deputy as string), theirs);
  placement.update({ epoch: 2, members: nodes.filter(({ node }) => node !== gone) });
  assert.ok(deputies.size > SLOTS / 40);
  for (const [slot, node] of deputies) assert.equal(placement.owner(slot)?.node, node);
});

test('a node alone has no deputy', () => {
  const placement = new Placement();
  placement.update({ epoch: 1, members: named(1) });
  assert.equal(placement.deputy(0 as Slot), undefined);
});

test('1,000 nodes are placed within a second from nothing, and a join costs next to nothing', () => {
  const nodes = named(1000);
  const placement = new Placement();
  const from = performance.now();
  placement.update({ epoch: 1, members: nodes });
  const built = performance.now();
  placement.update({ epoch: 2, members: nodes.slice(1) });
  const left = performance.now();
  placement.update({ epoch: 3, members: nodes });
  const joined = performance.now();
  assert.ok(built - from < 1000, `built in ${built - from} ms`);
  assert.ok(left - built < 100, `left in ${left - built} ms`);
  assert.ok(joined - left < 100, `joined in ${joined - left} ms`);
});
