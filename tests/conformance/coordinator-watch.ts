/** What the watches of every Coordinator do. */
import assert from 'node:assert/strict';
import type { WatchEvent } from '../../src/io/coordinator.ts';
import { bytes, fails, names, type On, put, text, watchUntil } from './coordinator.ts';

/** What a reader of all events would have: key → value. */
export function fold(events: readonly WatchEvent[], onto = new Map<string, string>()): Map<string, string> {
  let state = onto;
  for (const { kind, changes } of events) {
    if (kind === 'snapshot') state = new Map();
    for (const change of changes) {
      if ('deleted' in change) state.delete(change.key);
      else state.set(change.key, text(change.value));
    }
  }
  return state;
}

export function coordinatorWatchCases(on: On): void {
  on('a watch tells all changes below its prefix beyond a revision, in order', async ({ open }) => {
    const [writer, reader] = [await open(), await open()];
    const before = await put(writer, 'w/a', 'before');
    await put(writer, 'other', '');
    const first = await put(writer, 'w/a', 'first');
    const both = await writer.transaction({
      compares: [],
      apply: [{ put: 'w/b', value: bytes('with a') }, { delete: 'w/a' }, { put: 'x', value: bytes('') }],
    });
    const watching = watchUntil(reader, 'w/', { afterRevision: before, last: names('w/end') });
    await put(writer, 'w/c', 'live');
    await put(writer, 'w/end', '');
    const events = await watching;
    assert.deepEqual(events.map(({ kind, revision }) => [kind, revision]).slice(0, 2), [
      ['changes', first],
      ['changes', both.revision],
    ]);
    const second = events[1]?.changes.toSorted((a, b) => (a.key < b.key ? -1 : 1));
    assert.deepEqual(second?.[0], { key: 'w/a', deleted: true });
    assert.deepEqual(second?.[1], {
      key: 'w/b',
      value: bytes('with a'),
      createRevision: both.revision,
      modifyRevision: both.revision,
    });
    assert.equal(events.length, 4);
    for (const [index, event] of events.entries())
      assert.ok(event.revision > (events[index - 1]?.revision ?? before), 'revisions rise');
  });

  on('a watch and a range of its revision make a copy without gaps under load', async ({ open }) => {
    const [writer, reader] = [await open(), await open()];
    const writing = (async () => {
      for (let turn = 0; turn < 15; turn++) {
        await Promise.all(
          Array.from({ length: 20 }, (_, at) =>
            (turn + at) % 5 === 0
              ? writer.transaction({ compares: [], apply: [{ delete: `g/${at}` }] })
              : put(writer, `g/${at}`, `${turn}`),
          ),
        );
      }
      await put(writer, 'g/end', '');
    })();
    const { revision, entries } = await reader.range('g/');
    const start = new Map(entries.map(({ key, value }) => [key, text(value)]));
    const events = await watchUntil(reader, 'g/', { afterRevision: revision, last: names('g/end') });
    await writing;
    const now = await reader.range('g/');
    const expected = new Map(now.entries.map(({ key, value }) => [key, text(value)]));
    assert.deepEqual(fold(events, start), new Map([...fold(events, start)].filter(([key]) => expected.has(key))));
    for (const [key, value] of expected) assert.equal(fold(events, start).get(key), value);
  });

  on(
    'a watch whose history was forgotten begins with a snapshot, and goes on from there',
    async ({ open, compact }) => {
      const [writer, reader] = [await open(), await open()];
      const old = await put(writer, 'h/gone', '');
      await put(writer, 'h/kept', 'kept');
      await writer.transaction({ compares: [], apply: [{ delete: 'h/gone' }] });
      await put(writer, 'elsewhere', '');
      await compact();
      const watching = watchUntil(reader, 'h/', { afterRevision: old, last: names('h/end') });
      const last = await put(writer, 'h/end', '');
      const events = await watching;
      assert.equal(events[0]?.kind, 'snapshot');
      assert.deepEqual([...fold(events).keys()].sort(), ['h/end', 'h/kept']);
      assert.equal(events.at(-1)?.revision, last);
      for (const event of events.slice(1)) assert.equal(event.kind, 'changes');
    },
  );

  on(
    'a watch of everything that is quiet ends when it is told to, and when its coordinator closes',
    async ({ open }) => {
      const [first, second] = [await open(), await open()];
      const stop = new AbortController();
      const quiet = (async () => {
        for await (const _ of first.watch('', { afterRevision: 0, signal: stop.signal }))
          assert.fail('nothing happens');
      })();
      const other = (async () => {
        for await (const _ of second.watch('x', { afterRevision: 0, signal: new AbortController().signal }));
      })();
      stop.abort();
      await quiet;
      await second.close();
      await other;
    },
  );

  on('a slow reader of a watch loses nothing', async ({ open, clock }) => {
    const [writer, reader] = [await open(), await open()];
    const count = 300;
    const stop = new AbortController();
    let seen = 0;
    const { revision } = await reader.range('');
    const reading = (async () => {
      for await (const { changes } of reader.watch('n/', { afterRevision: revision, signal: stop.signal })) {
        if (seen === 0) await clock.sleep(100);
        seen += changes.length;
        if (seen === count) stop.abort();
      }
    })();
    await Promise.all(Array.from({ length: count }, (_, index) => put(writer, `n/${index}`, 'x'.repeat(2000))));
    await reading;
    assert.equal(seen, count);
  });

  on('two watches with different prefixes do not disturb each other', async ({ open }) => {
    const coordinator = await open();
    const { revision } = await coordinator.range('');
    const one = watchUntil(coordinator, 'one/', { afterRevision: revision, last: names('one/end') });
    const two = watchUntil(coordinator, 'two/', { afterRevision: revision, last: names('two/end') });
    await put(coordinator, 'one/a', '');
    await put(coordinator, 'two/end', '');
    await put(coordinator, 'one/end', '');
    assert.equal((await two).length, 1);
    assert.equal((await one).length, 2);
  });

  on('a watch of a prefix that is no text is refused', async ({ open }) => {
    const coordinator = await open();
    const signal = new AbortController().signal;
    const watch = coordinator.watch('\ud800', { afterRevision: 0, signal })[Symbol.asyncIterator]();
    await assert.rejects(Promise.resolve(watch.next()), fails('invalidArgument'));
  });
}
