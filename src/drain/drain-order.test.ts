import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ContentId } from '../core/ids.ts';
import type { DirtyRecord, ObjectRecord, Tombstone } from '../write/object-record.ts';
import { restated, succeeding } from '../write/version-order.ts';
import { directoryOf } from './drain-directory.ts';
import { DrainOrder, type DrainOrderOptions, type PendingVersion } from './drain-order.ts';

const SETTLE_MS = 2000;

/** The coordinator's side: records with revisions, as writers and the drain make them. */
class Volume {
  readonly order: DrainOrder;
  readonly records = new Map<string, { record: ObjectRecord; revision: number }>();
  revision = 10;
  nowMs = 0;
  #contents = 0;

  constructor(options: Partial<DrainOrderOptions> = {}) {
    this.order = new DrainOrder({ settleMs: SETTLE_MS, onConflict: 'hold', drainOrder: 'directory', ...options });
  }

  /** The revision that a write begun now carries. */
  begin(): number {
    return this.revision;
  }

  commit(key: string, begunRevision = this.revision, { urgent = false } = {}): void {
    const before = this.records.get(key);
    const content = (this.#contents++).toString(16).padStart(32, '0') as ContentId;
    const current: DirtyRecord = {
      kind: 'dirty',
      level: 'local',
      replicas: ['n1'],
      table: '',
      content,
      sizeBytes: 1,
      chunkSizeBytes: 1 << 24,
      modifiedMs: 0,
      headers: {},
      metadata: {},
      base: { origin: 'absent', own: [] },
      begunRevision,
      urgent,
      ...succeeding(before?.record, before?.revision ?? 0),
    };
    this.put(key, { current });
  }

  /** Puts objects one after the other, and commits them as one. */
  checkpoint(keys: readonly string[], { together = false } = {}): void {
    const begunTogether = this.revision;
    const puts = keys.map((key) => ({ key, begun: together ? begunTogether : this.revision, put: ++this.revision }));
    const committed = ++this.revision;
    for (const { key, begun, put } of puts) {
      const before = this.records.get(key);
      this.commit(key, begun);
      const { record } = this.records.get(key) as { record: ObjectRecord };
      const since = Math.min(put, succeeding(before?.record, before?.revision ?? 0).dirtySince ?? put);
      this.records.set(key, before ?? { record: {}, revision: 0 });
      const current = { ...(record.current as DirtyRecord), committedRevision: committed, dirtySince: since };
      this.put(key, { current });
    }
  }

  delete(key: string, begunRevision = this.revision): void {
    const before = this.records.get(key);
    const base = { origin: 'unknown', own: [] } as const;
    const order = { begunRevision, ...succeeding(before?.record, before?.revision ?? 0) };
    this.put(key, { current: { kind: 'tombstone', modifiedMs: 0, base, drained: false, ...order } });
  }

  restate(key: string, changes: Partial<DirtyRecord | Tombstone>): void {
    const { record, revision } = this.records.get(key) as { record: ObjectRecord; revision: number };
    const current = record.current as DirtyRecord;
    this.put(key, { current: restated(current, revision, changes as Partial<DirtyRecord>) });
  }

  drained(key: string): void {
    this.records.delete(key);
    this.order.apply({ kind: 'change', key, record: undefined, revision: ++this.revision }, this.nowMs);
  }

  put(key: string, record: ObjectRecord): void {
    const revision = ++this.revision;
    this.records.set(key, { record, revision });
    this.order.apply({ kind: 'change', key, record, revision }, this.nowMs);
  }

  now(options?: { urgent?: boolean }): string {
    return Array.from(this.order.finalisable(this.nowMs, options), ({ key }) => key).join(' ');
  }
}

test('S-7: neither .metadata nor a latest above it goes before its shards', () => {
  const volume = new Volume();
  const said: string[] = [];
  const say = (what: string) => said.push(`${what}: ${volume.now() || '-'}`);
  volume.commit('run/s1/a');
  volume.commit('run/s1/b');
  volume.commit('run/s1/.metadata');
  volume.commit('run/latest');
  say('committed');
  volume.nowMs += SETTLE_MS;
  say('settled');
  volume.drained('run/s1/a');
  say('a');
  volume.drained('run/s1/b');
  say('b');
  volume.drained('run/s1/.metadata');
  say('.metadata');
  volume.drained('run/latest');
  say('latest');
  assert.deepEqual(said, [
    'committed: -',
    'settled: run/s1/a',
    'a: run/s1/b',
    'b: run/s1/.metadata',
    '.metadata: run/latest',
    'latest: -',
  ]);
});

test('S-7: within a checkpoint, too, .metadata that was put after the shards goes after them', () => {
  const volume = new Volume();
  volume.checkpoint(['s/a', 's/b', 's/.metadata']);
  volume.nowMs += SETTLE_MS;
  const went: string[] = [];
  for (let next = volume.now(); next !== ''; next = volume.now()) {
    went.push(next);
    for (const key of next.split(' ')) volume.drained(key);
  }
  assert.deepEqual(went, ['s/a', 's/b', 's/.metadata']);
  volume.checkpoint(['s/a', 's/b', 's/c'], { together: true });
  volume.nowMs += SETTLE_MS;
  assert.equal(volume.now(), 's/a s/b s/c', 'what was put at the same time goes at the same time');
});

test('writes that were under way together go in any order, and other directories do not matter', () => {
  const volume = new Volume();
  const begun = volume.begin();
  volume.commit('s1/a', begun);
  volume.commit('s1/b', begun);
  volume.commit('s2/c');
  volume.commit('s1/.metadata');
  volume.nowMs += SETTLE_MS;
  assert.equal(volume.now(), 's1/a s1/b s2/c');
  assert.equal(volume.order.blockerOf('s1/.metadata')?.key, 's1/b');
});

test('S-7: a record that is rewritten keeps its place', () => {
  const volume = new Volume();
  volume.commit('s/shard');
  volume.commit('s/.metadata');
  volume.restate('s/shard', { upload: 'u1' });
  volume.restate('s/shard', { level: 'replicated' });
  volume.nowMs += SETTLE_MS;
  assert.equal(volume.now(), 's/shard');
});

test('S-7: a deeper object that was replaced before it had drained is still waited for', () => {
  const volume = new Volume();
  volume.commit('run/s1/shard');
  volume.commit('run/latest');
  volume.commit('run/s1/shard');
  volume.nowMs += SETTLE_MS;
  assert.equal(volume.now(), 'run/s1/shard');
  volume.delete('run/s1/shard');
  volume.nowMs += SETTLE_MS;
  assert.equal(volume.now(), 'run/s1/shard');
  volume.drained('run/s1/shard');
  assert.equal(volume.now(), 'run/latest');
});

test('a checkpoint overwritten in place goes shards first, in no circle', () => {
  const volume = new Volume();
  for (let save = 0; save < 2; save++) for (const name of ['a', 'b', '.metadata']) volume.commit(`s/${name}`);
  volume.nowMs += SETTLE_MS;
  const went: string[] = [];
  for (let next = volume.now(); next !== ''; next = volume.now()) {
    went.push(next);
    volume.drained(next);
  }
  assert.deepEqual(went, ['s/a', 's/b', 's/.metadata']);
});

test('what is urgent does not settle, nor what it waits for', () => {
  const volume = new Volume();
  const begun = volume.begin();
  for (const name of ['a', 'b', 'c']) volume.commit(`s/${name}`, begun);
  volume.commit('other');
  assert.equal(volume.now(), '');
  assert.equal(volume.order.nextMs(0), SETTLE_MS);
  volume.commit('s/.done', volume.begin(), { urgent: true });
  assert.equal(volume.now(), 's/a s/b s/c');
  for (const name of ['a', 'b', 'c']) volume.drained(`s/${name}`);
  assert.equal(volume.now(), 's/.done');
  assert.equal(volume.now({ urgent: true }), 's/.done other');
});

test('what cannot go holds back what waits for it, unless the volume lets followers through', () => {
  for (const [onConflict, expected] of [
    ['hold', 't/c'],
    ['skip', 't/c s/b'],
  ] as const) {
    const volume = new Volume({ onConflict });
    volume.commit('s/a');
    volume.commit('s/b');
    volume.commit('t/c');
    volume.restate('s/a', { trouble: { kind: 'conflict', message: 'changed' } });
    volume.nowMs += SETTLE_MS;
    assert.deepEqual(volume.now().split(' ').sort(), expected.split(' ').sort(), onConflict);
    volume.restate('s/a', { trouble: undefined as never });
    volume.nowMs += SETTLE_MS;
    assert.deepEqual(volume.now().split(' ').sort(), ['s/a', 't/c'], 'resolved');
  }
});

test('without an order everything goes at once', () => {
  const volume = new Volume({ drainOrder: 'none' });
  volume.commit('s/a');
  volume.commit('s/b');
  volume.nowMs += SETTLE_MS;
  assert.equal(volume.now(), 's/a s/b');
});

test('a watch that begins anew loses what is gone and keeps how long the rest is known', () => {
  const volume = new Volume();
  volume.commit('a/x');
  volume.commit('b/y');
  volume.nowMs += SETTLE_MS;
  const kept = volume.records.get('b/y') as { record: ObjectRecord; revision: number };
  volume.order.apply({ kind: 'all', revision: 99, records: [{ key: 'b/y', ...kept }] }, volume.nowMs);
  assert.equal(volume.now(), 'b/y');
  assert.equal(volume.order.size, 1);
});

/** S-7 by looking at every pair. */
function naive(pending: readonly PendingVersion[], onConflict: 'hold' | 'skip'): string[] {
  const goesFirst = (other: PendingVersion, entry: PendingVersion) => {
    const own = directoryOf(entry.key);
    if (other === entry || !other.key.startsWith(own) || other.since > entry.begun) return false;
    if (other.version.trouble && onConflict === 'skip') return false;
    if (directoryOf(other.key) !== own || other.committed < entry.committed) return true;
    return other.committed === entry.committed && other.begun < entry.begun;
  };
  const free = pending.filter((entry) => !entry.version.trouble && !pending.some((other) => goesFirst(other, entry)));
  return free.map(({ key }) => key).sort();
}

const KEYS = ['a', 'b', 'd/a', 'd/b', 'd/.m', 'd/e/a', 'd/e/b', 'f/a', '/', 'd//x'];
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('begin' as const), key: fc.constantFrom(...KEYS) }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('commit' as const), key: fc.constantFrom(...KEYS) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete' as const), key: fc.constantFrom(...KEYS) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('restate' as const), key: fc.constantFrom(...KEYS) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('trouble' as const), key: fc.constantFrom(...KEYS) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('drain' as const), nth: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('anew' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('checkpoint' as const),
      keys: fc.uniqueArray(fc.constantFrom(...KEYS), { minLength: 1, maxLength: 4 }),
      together: fc.boolean(),
    }),
  },
);

test('S-7: what may go is what comparing every pair gives, and everything goes in the end', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.constantFrom('hold', 'skip'), (steps, onConflict) => {
      const volume = new Volume({ onConflict });
      const begun = new Map<string, number>();
      const check = () => {
        volume.nowMs += SETTLE_MS;
        const free = Array.from(volume.order.finalisable(volume.nowMs), ({ key }) => key).sort();
        assert.deepEqual(free, naive(Array.from(volume.order.all()), onConflict));
        return free;
      };
      for (const action of steps) {
        if (action.kind === 'begin') begun.set(action.key, volume.begin());
        else if (action.kind === 'commit') volume.commit(action.key, begun.get(action.key));
        else if (action.kind === 'delete') volume.delete(action.key, begun.get(action.key));
        else if (action.kind === 'restate' && volume.records.has(action.key))
          volume.restate(action.key, { upload: 'u' });
        else if (action.kind === 'trouble' && volume.records.has(action.key))
          volume.restate(action.key, { trouble: { kind: 'refused', message: '' } });
        else if (action.kind === 'drain') {
          const free = check();
          if (free.length > 0) volume.drained(free[action.nth % free.length] as string);
        } else if (action.kind === 'checkpoint') volume.checkpoint(action.keys, action);
        else if (action.kind === 'anew') {
          const records = Array.from(volume.records, ([key, recorded]) => ({ key, ...recorded }));
          volume.order.apply({ kind: 'all', revision: ++volume.revision, records }, volume.nowMs);
        }
        if ('key' in action && action.kind !== 'begin' && action.kind !== 'restate') begun.delete(action.key);
        check();
      }
      for (const [key, { record }] of Array.from(volume.records))
        if (record.current?.kind !== 'stub' && record.current?.trouble)
          volume.restate(key, { trouble: undefined as never });
      for (let free = check(); free.length > 0; free = check()) volume.drained(free[0] as string);
      assert.equal(volume.order.size, 0);
    }),
    { numRuns: 400 },
  );
});

test('tens of thousands of pending records are decided in seconds', () => {
  const volume = new Volume();
  const count = 30_000;
  for (let i = 0; i < count; i++) volume.commit(`run/s${i % 10}/${i}`);
  volume.commit('run/latest');
  volume.nowMs += SETTLE_MS;
  let rounds = 0;
  for (let free = volume.now(); free !== ''; free = volume.now(), rounds++)
    for (const key of free.split(' ')) volume.drained(key);
  assert.equal(rounds, count / 10 + 1);
  assert.equal(volume.order.size, 0);
});

test('S-7: of three of a directory that by the letter wait for each other in a circle all go, by their commits', () => {
  const volume = new Volume();
  volume.commit('d/x');
  const zBegun = volume.begin();
  volume.commit('d/y');
  const xBegun = volume.begin();
  volume.commit('d/z', zBegun);
  volume.commit('d/y');
  volume.commit('d/x', xBegun);
  const went: string[] = [];
  volume.nowMs += SETTLE_MS;
  for (let next = volume.now(); next !== ''; next = volume.now()) {
    went.push(next);
    for (const key of next.split(' ')) volume.drained(key);
  }
  assert.deepEqual(went, ['d/z', 'd/y', 'd/x']);
});
