/** What records are over every coordinator. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type ErrorCode, isForebayError } from '../../src/core/errors.ts';
import { recordReadsMax, recordsPerCommitMax } from '../../src/core/limits.ts';
import { createRecords, recordKey } from '../../src/write/coordinator-records.ts';
import type { KeyedRecord, RecordChange, Records } from '../../src/write/records.ts';
import { dirty, stub, tombstone } from '../write/samples.ts';
import type { CoordinatorFactory, CoordinatorUnderTest } from './coordinator.ts';

const VOLUME = 'models';
const fails = (code: ErrorCode) => (error: unknown) => isForebayError(error, code);

type On = (title: string, body: (under: CoordinatorUnderTest) => Promise<void>) => void;

const opened = async (under: CoordinatorUnderTest): Promise<Records> =>
  createRecords({ coordinator: await under.open(), clock: under.clock });

const at = (key: string, expected: number, n: number) => ({
  volume: VOLUME,
  key,
  expected,
  record: { current: dirty(n) },
});

const contentsOf = (records: readonly KeyedRecord[]): string[] =>
  records.map(
    ({ key, record }) => `${key}=${record.current?.kind === 'dirty' ? record.current.sizeBytes - 1000 : '-'}`,
  );

export function runRecordsConformance(name: string, factory: CoordinatorFactory): void {
  const on: On = (title, body) =>
    void test(`${name}: ${title}`, async (t: TestContext) => {
      const under = await factory(t);
      if (!under) return;
      try {
        await body(under);
      } finally {
        await under.close();
      }
    });
  commitCases(on);
  readCases(on);
  watchCases(on);
}

function commitCases(on: On): void {
  on('a commit replaces what was read, and only that', async (under) => {
    const records = await opened(under);
    const none = await records.read(VOLUME, 'k');
    assert.deepEqual([none.record, none.revision], [undefined, 0]);
    const first = await records.commit(at('k', 0, 1));
    assert.ok(first > none.asOf);
    await assert.rejects(records.commit(at('k', 0, 2)), fails('recordChanged'));
    await assert.rejects(records.commit(at('k', first + 1000, 2)), fails('recordChanged'));
    const second = await records.commit(at('k', first, 2));
    const found = await records.read(VOLUME, 'k');
    assert.deepEqual([found.record, found.revision], [{ current: dirty(2) }, second]);
    assert.ok(found.asOf >= second);
    await records.commit({ volume: VOLUME, key: 'k', expected: second, record: undefined });
    assert.equal((await records.read(VOLUME, 'k')).record, undefined);
    await assert.rejects(records.commit(at('k', second, 3)), fails('recordChanged'));
  });

  on('S-16: a commit whose session or lease has ended changes nothing', async (under) => {
    const coordinator = await under.open();
    const records = createRecords({ coordinator, clock: under.clock });
    const session = await coordinator.session({ ttlMs: under.ttlMs });
    const { revision } = await coordinator.transaction({
      compares: [],
      apply: [{ put: 'members/a', value: new Uint8Array(1), session: session.id }],
    });
    const fences = [{ key: 'members/a', target: 'createRevision', equals: revision }] as const;
    const first = await records.commit({ ...at('k', 0, 1), fences });
    await session.close();
    await assert.rejects(records.commit({ ...at('k', first, 2), fences }), fails('recordChanged'));
    assert.deepEqual((await records.read(VOLUME, 'k')).record, { current: dirty(1) });
  });

  on('of two writers of one key each commit has one winner, and the loser decides again', async (under) => {
    const [one, other] = [await opened(under), await opened(under)];
    let lost = 0;
    const write = async (records: Records, n: number): Promise<void> => {
      for (;;) {
        const { revision } = await records.read(VOLUME, 'k');
        try {
          await records.commit(at('k', revision, n));
          return;
        } catch (error) {
          if (!isForebayError(error, 'recordChanged')) throw error;
          lost += 1;
        }
      }
    };
    const count = 6;
    for (let n = 0; n < count; n += 1) await Promise.all([write(one, 2 * n), write(other, 2 * n + 1)]);
    const found = await one.read(VOLUME, 'k');
    assert.ok(
      [2 * count - 2, 2 * count - 1].some((n) => contentsOf([{ key: 'k', ...found } as KeyedRecord])[0] === `k=${n}`),
    );
    assert.ok(lost <= count, `${lost} lost`);
  });

  on('several records are committed all or none', async (under) => {
    const records = await opened(under);
    const many = Array.from({ length: recordsPerCommitMax }, (_, n) => at(`many/${n}`, 0, n));
    await records.commit(at('many/7', 0, 100));
    await assert.rejects(records.commitAll(many), fails('recordChanged'));
    assert.equal((await records.list(VOLUME, { prefix: 'many/', limit: 1000 })).length, 1);
    const rest = many.filter(({ key }) => key !== 'many/7');
    const revision = await records.commitAll(rest);
    const listed = await records.list(VOLUME, { prefix: 'many/', limit: 1000 });
    assert.equal(listed.length, recordsPerCommitMax);
    assert.equal(listed.filter((entry) => entry.revision === revision).length, rest.length);
    await assert.rejects(records.commitAll([...many, at('more', 0, 1)]), fails('invalidArgument'));
    await assert.rejects(records.commitAll([]), fails('invalidArgument'));
  });
}

function readCases(on: On): void {
  on('reads that come at once share transactions, and each finds its own key', async (under) => {
    const coordinator = await under.open();
    let transactions = 0;
    const counting = {
      ...coordinator,
      range: coordinator.range.bind(coordinator),
      transaction: (transaction: Parameters<typeof coordinator.transaction>[0]) => {
        transactions += 1;
        return coordinator.transaction(transaction);
      },
    };
    const records = createRecords({ coordinator: counting as typeof coordinator, clock: under.clock });
    await records.commitAll(Array.from({ length: 10 }, (_, n) => at(`k${n}`, 0, n)));
    transactions = 0;
    const keys = Array.from({ length: 3 * recordReadsMax }, (_, n) => `k${n % (2 * recordReadsMax)}`);
    const found = await Promise.all(keys.map((key) => records.read(VOLUME, key)));
    assert.equal(transactions, 2, 'a key asked for twice is asked once');
    for (const [index, { record }] of found.entries()) {
      const n = Number(keys[index]?.slice(1));
      assert.deepEqual(record, n < 10 ? { current: dirty(n) } : undefined, String(keys[index]));
    }
  });

  on('a read sees every commit that was acknowledged before it, on another node', async (under) => {
    const [writer, reader] = [await opened(under), await opened(under)];
    let revision = 0;
    for (let n = 0; n < 10; n += 1) {
      revision = await writer.commit(at('k', revision, n));
      const found = await reader.read(VOLUME, 'k');
      assert.deepEqual([found.record, found.revision], [{ current: dirty(n) }, revision]);
    }
  });

  on("a list has a volume's keys below a prefix in order, page by page, and no other volume's", async (under) => {
    const records = await opened(under);
    const keys = ['a', 'b/1', 'b/2', 'b/é', 'b/\u{FFFD}', 'b/\u{10000}', 'c'];
    for (const [n, key] of keys.entries()) await records.commit(at(key, 0, n));
    await records.commit({ ...at('b/x', 0, 1), volume: 'models2' });
    const listed: string[] = [];
    let after: string | undefined;
    for (;;) {
      const page = await records.list(VOLUME, { prefix: 'b/', limit: 2, ...(after !== undefined && { after }) });
      listed.push(...page.map(({ key }) => key));
      if (page.length < 2) break;
      after = page.at(-1)?.key;
    }
    assert.deepEqual(listed, keys.slice(1, 6));
    assert.equal((await records.list(VOLUME, { prefix: '', limit: 1000 })).length, keys.length);
  });

  on('a value that is no record is refused when read, and told of and empty when listed', async (under) => {
    const coordinator = await under.open();
    const told: string[] = [];
    const records = createRecords({ coordinator, clock: under.clock, onUnreadable: (key) => void told.push(key) });
    await records.commit(at('good', 0, 1));
    const value = new TextEncoder().encode('{"form":2}');
    await coordinator.transaction({ compares: [], apply: [{ put: recordKey(VOLUME, 'bad'), value }] });
    await assert.rejects(records.read(VOLUME, 'bad'), fails('recordUnreadable'));
    assert.deepEqual(contentsOf(await records.list(VOLUME, { prefix: '', limit: 10 })), ['bad=-', 'good=1']);
    assert.deepEqual(told, [`${VOLUME}/bad`]);
    await assert.rejects(records.commit(at('bad', 0, 1)), fails('recordChanged'));
  });
}

function watchCases(on: On): void {
  on('a watch begins with all records and tells every change', async (under) => {
    const [writer, watcher] = [await opened(under), await opened(under)];
    const first = await writer.commit(at('a', 0, 1));
    const stop = new AbortController();
    const seen: RecordChange[] = [];
    const begun = Promise.withResolvers<void>();
    const watching = (async () => {
      for await (const change of watcher.watch(VOLUME, stop.signal)) {
        seen.push(change);
        begun.resolve();
        if (change.kind === 'change' && change.key === 'end') return;
      }
    })();
    await begun.promise;
    const second = await writer.commit({ volume: VOLUME, key: 'a', expected: first, record: { current: stub(1) } });
    const third = await writer.commit({ volume: VOLUME, key: 'b', expected: 0, record: { current: tombstone() } });
    const fourth = await writer.commit({ volume: VOLUME, key: 'a', expected: second, record: undefined });
    const fifth = await writer.commit(at('end', 0, 5));
    await watching;
    stop.abort();
    const [all, ...changes] = seen;
    assert.ok(all?.kind === 'all' && all.revision >= first);
    assert.deepEqual(all.records, [{ key: 'a', record: { current: dirty(1) }, revision: first }]);
    assert.deepEqual(changes, [
      { kind: 'change', key: 'a', record: { current: stub(1) }, revision: second },
      { kind: 'change', key: 'b', record: { current: tombstone() }, revision: third },
      { kind: 'change', key: 'a', record: undefined, revision: fourth },
      { kind: 'change', key: 'end', record: { current: dirty(5) }, revision: fifth },
    ]);
  });

  on(
    'a commit over a line whose answers are lost takes effect once, and says so or that it does not know',
    async (under) => {
      if (!under.openOverLine) return;
      const { coordinator, line } = await under.openOverLine();
      const records = createRecords({ coordinator, clock: under.clock });
      const other = await opened(under);
      const first = await records.commit(at('k', 0, 1));
      line.loseAnswers();
      const [outcome] = await Promise.allSettled([records.commit(at('k', first, 2))]);
      line.heal();
      const found = await other.read(VOLUME, 'k');
      if (outcome?.status === 'fulfilled')
        assert.deepEqual([found.record, found.revision], [{ current: dirty(2) }, outcome.value]);
      else
        assert.ok(
          isForebayError(outcome?.reason, 'coordinatorUncertain', 'coordinatorUnavailable'),
          String(outcome?.reason),
        );
      const { revision } = await records.read(VOLUME, 'k');
      await records.commit(at('k', revision, 3));
      assert.deepEqual((await other.read(VOLUME, 'k')).record, { current: dirty(3) });
    },
  );
}
