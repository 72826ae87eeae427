/**
 * What every Coordinator does: etcd, embedded and simulated. `factory` gives an empty one; `open` makes a client of it,
 * as another node would have.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type ErrorCode, isForebayError } from '../../src/core/errors.ts';
import type { Coordinator, KeyValue, WatchEvent } from '../../src/io/coordinator.ts';
import type { Clock } from '../../src/io/io.ts';
import { coordinatorFaultCases } from './coordinator-faults.ts';
import { coordinatorWatchCases } from './coordinator-watch.ts';

/** A client's way to the coordinator, where it can be disturbed. */
export interface Line {
  /** Nothing comes through; connections are gone. */
  cut(): void;
  /** Requests come through, answers do not. */
  loseAnswers(): void;
  heal(): void;
}

export interface CoordinatorUnderTest {
  readonly clock: Clock;
  /** A short term that the coordinator keeps. */
  readonly ttlMs: number;
  readonly open: () => Promise<Coordinator>;
  /** A client over a line that can be disturbed; absent where there is no line. */
  readonly openOverLine?: () => Promise<{ readonly coordinator: Coordinator; readonly line: Line }>;
  /** Forgets the history up to now. */
  readonly compact: () => Promise<void>;
  /** Puts back the state that was `save`d; absent where only a restart can do that. */
  readonly setBack?: () => Promise<void>;
  close(): Promise<void>;
}

export type CoordinatorFactory = (t: TestContext) => Promise<CoordinatorUnderTest | undefined>;
export type On = (title: string, body: (under: CoordinatorUnderTest, t: TestContext) => Promise<void>) => void;

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
export const text = (value: Uint8Array): string => new TextDecoder().decode(value);

export const fails = (...codes: ErrorCode[]) => {
  return (error: unknown) => {
    assert.ok(isForebayError(error, ...codes), `${codes.join(' or ')}, not ${String(error)}`);
    return true;
  };
};

export async function put(coordinator: Coordinator, key: string, value: string, session?: string): Promise<number> {
  const operation = { put: key, value: bytes(value), ...(session !== undefined && { session }) };
  return (await coordinator.transaction({ compares: [], apply: [operation] })).revision;
}

export async function get(coordinator: Coordinator, key: string): Promise<KeyValue | undefined> {
  return (await coordinator.transaction({ compares: [], apply: [{ read: key }] })).reads[0];
}

/** Adds one to a counter by compare-and-swap until it succeeds; rejects like the coordinator where that is uncertain. */
export async function increment(coordinator: Coordinator, key: string): Promise<void> {
  for (;;) {
    const before = await get(coordinator, key);
    const next = before === undefined ? 1 : Number(text(before.value)) + 1;
    const { succeeded } = await coordinator.transaction({
      compares: [{ key, target: 'modifyRevision', equals: before?.modifyRevision ?? 0 }],
      apply: [{ put: key, value: bytes(String(next)) }],
    });
    if (succeeded) return;
  }
}

/** Events of a watch as they come, until one of them satisfies `last`. */
export async function watchUntil(
  coordinator: Coordinator,
  prefix: string,
  options: { afterRevision: number; last: (event: WatchEvent) => boolean },
): Promise<WatchEvent[]> {
  const stop = new AbortController();
  const events: WatchEvent[] = [];
  for await (const event of coordinator.watch(prefix, { ...options, signal: stop.signal })) {
    events.push(event);
    if (options.last(event)) stop.abort();
  }
  return events;
}

export const names = (key: string) => (event: WatchEvent) => event.changes.some((change) => change.key === key);

export function runCoordinatorConformance(name: string, factory: CoordinatorFactory): void {
  const on: On = (title, body) =>
    void test(`${name}: ${title}`, async (t) => {
      const under = await factory(t);
      if (!under) return;
      try {
        await body(under, t);
      } finally {
        await under.close();
      }
    });
  transactionCases(on);
  boundCases(on);
  rangeCases(on);
  sessionCases(on);
  concurrencyCases(on);
  coordinatorWatchCases(on);
  coordinatorFaultCases(on);
}

function transactionCases(on: On): void {
  on('a key has the revisions of its creation and of its last change', async ({ open }) => {
    const coordinator = await open();
    const first = await put(coordinator, 'a', 'one');
    const second = await put(coordinator, 'a', 'two');
    assert.ok(second > first);
    const found = await get(coordinator, 'a');
    assert.deepEqual(found && [found.createRevision, found.modifyRevision, text(found.value)], [first, second, 'two']);
    await coordinator.transaction({ compares: [], apply: [{ delete: 'a' }] });
    assert.equal(await get(coordinator, 'a'), undefined);
    const third = await put(coordinator, 'a', 'three');
    assert.equal((await get(coordinator, 'a'))?.createRevision, third, 'a new life has a new creation');
  });

  on('a transaction that changes nothing has a revision that is not before the last change', async ({ open }) => {
    const coordinator = await open();
    const revision = await put(coordinator, 'a', '');
    const none = await coordinator.transaction({ compares: [], apply: [{ delete: 'absent' }] });
    assert.ok(none.succeeded && none.revision >= revision);
    assert.ok((await coordinator.transaction({ compares: [], apply: [] })).revision >= revision);
    assert.equal((await coordinator.range('')).entries[0]?.modifyRevision, revision);
  });

  on('compares choose the branch, by creation, change and value, present and absent', async ({ open }) => {
    const coordinator = await open();
    const created = await put(coordinator, 'a', 'old');
    const modified = await put(coordinator, 'a', 'new');
    const branch = async (compares: Parameters<Coordinator['transaction']>[0]['compares']) =>
      (await coordinator.transaction({ compares, apply: [], otherwise: [] })).succeeded;
    assert.ok(await branch([{ key: 'a', target: 'createRevision', equals: created }]));
    assert.ok(await branch([{ key: 'a', target: 'modifyRevision', equals: modified }]));
    assert.ok(await branch([{ key: 'a', target: 'value', equals: bytes('new') }]));
    assert.ok(await branch([{ key: 'none', target: 'createRevision', equals: 0 }]));
    assert.ok(await branch([{ key: 'none', target: 'modifyRevision', equals: 0 }]));
    assert.ok(!(await branch([{ key: 'a', target: 'createRevision', equals: modified }])));
    assert.ok(!(await branch([{ key: 'a', target: 'modifyRevision', equals: created }])));
    assert.ok(!(await branch([{ key: 'a', target: 'value', equals: bytes('old') }])));
    assert.ok(!(await branch([{ key: 'none', target: 'value', equals: bytes('') }])), 'an absent key has no value');
    assert.ok(!(await branch([{ key: 'a', target: 'createRevision', equals: 0 }])));
    assert.ok(
      !(await branch([
        { key: 'a', target: 'createRevision', equals: created },
        { key: 'none', target: 'createRevision', equals: 1 },
      ])),
      'every compare must hold',
    );
  });

  on('both branches put, delete and read; reads come in their order without absent keys', async ({ open }) => {
    const coordinator = await open();
    await put(coordinator, 'a', '1');
    await put(coordinator, 'b', '2');
    const took = (equals: number) =>
      coordinator.transaction({
        compares: [{ key: 'c', target: 'createRevision', equals }],
        apply: [{ put: 'c', value: bytes('3') }, { read: 'b' }, { read: 'none' }, { read: 'a' }],
        otherwise: [{ delete: 'a' }, { read: 'c' }, { put: 'd', value: bytes('') }],
      });
    const then = await took(0);
    assert.ok(then.succeeded);
    assert.deepEqual(
      then.reads.map(({ key, value }) => [key, text(value)]),
      [
        ['b', '2'],
        ['a', '1'],
      ],
    );
    const otherwise = await took(0);
    assert.ok(!otherwise.succeeded);
    assert.deepEqual(
      otherwise.reads.map(({ key }) => key),
      ['c'],
    );
    const all = await coordinator.range('');
    assert.deepEqual(
      all.entries.map(({ key, value }) => [key, text(value)]),
      [
        ['b', '2'],
        ['c', '3'],
        ['d', ''],
      ],
    );
    assert.equal(all.entries[2]?.createRevision, otherwise.revision);
  });

  on('many transactions at once each have their own outcome', async ({ open }) => {
    const coordinator = await open();
    const results = await Promise.all(
      Array.from({ length: 200 }, (_, index) =>
        coordinator.transaction({
          compares: [{ key: `k${index % 100}`, target: 'createRevision', equals: 0 }],
          apply: [{ put: `k${index % 100}`, value: bytes(`by ${index}`) }],
          otherwise: [{ read: `k${index % 100}` }],
        }),
      ),
    );
    assert.equal(results.filter(({ succeeded }) => succeeded).length, 100, 'each key is created once');
    const { entries } = await coordinator.range('k');
    assert.equal(entries.length, 100);
    for (const [index, result] of results.entries()) {
      const entry = entries.find(({ key }) => key === `k${index % 100}`);
      if (result.succeeded) assert.equal(text(entry?.value ?? bytes('')), `by ${index}`);
      else assert.deepEqual(result.reads, [entry]);
      if (result.succeeded) assert.equal(entry?.createRevision, result.revision);
    }
  });
}

function boundCases(on: On): void {
  on('what is too large or ambiguous is refused by name, what is just within bounds is taken', async ({ open }) => {
    const coordinator = await open();
    const apply = (operations: Parameters<Coordinator['transaction']>[0]['apply']) =>
      coordinator.transaction({ compares: [], apply: operations });
    const many = (count: number) => Array.from({ length: count }, (_, index) => ({ read: `k${index}` }));
    const puts = Array.from({ length: 120 }, (_, index) => ({ put: `p${index}`, value: bytes('x') }));
    await assert.rejects(apply([{ put: '', value: bytes('') }]), fails('invalidArgument'));
    await assert.rejects(apply([{ put: 'k'.repeat(2049), value: bytes('') }]), fails('invalidArgument'));
    await assert.rejects(apply([{ put: 'a\ud800', value: bytes('') }]), fails('invalidArgument'));
    await assert.rejects(apply([{ put: 'a', value: new Uint8Array((1 << 20) + 1) }]), fails('invalidArgument'));
    await assert.rejects(apply([{ put: 'a', value: bytes('') }, { delete: 'a' }]), fails('invalidArgument'));
    await assert.rejects(apply([{ put: 'a', value: bytes('') }, { read: 'a' }]), fails('invalidArgument'));
    await assert.rejects(apply(many(121)), fails('invalidArgument'));
    const large = new Uint8Array(1 << 20).fill(7);
    await apply([{ put: 'k'.repeat(2048), value: large }]);
    assert.equal((await get(coordinator, 'k'.repeat(2048)))?.value.length, 1 << 20);
    const compares = puts.map(({ put }) => ({ key: put, target: 'createRevision' as const, equals: 0 }));
    const widest = await coordinator.transaction({ compares, apply: puts, otherwise: many(120) });
    assert.ok(widest.succeeded);
    assert.equal((await coordinator.range('p')).entries.length, 120);
  });

  on('many large transactions at once are all applied', async ({ open }) => {
    const coordinator = await open();
    const value = new Uint8Array(300 << 10).fill(1);
    await Promise.all(
      Array.from({ length: 12 }, (_, index) =>
        coordinator.transaction({ compares: [], apply: [{ put: `v${index}`, value }] }),
      ),
    );
    assert.equal((await coordinator.range('v')).entries.length, 12);
  });

  on('a coordinator that was closed says so', async ({ open }) => {
    const coordinator = await open();
    const session = await coordinator.session({ ttlMs: 10_000 });
    await coordinator.close();
    await coordinator.close();
    assert.ok(session.lost.aborted, 'its sessions are over');
    await assert.rejects(put(coordinator, 'a', ''), fails('shuttingDown'));
    await assert.rejects(coordinator.range(''), fails('shuttingDown'));
    await assert.rejects(coordinator.session({ ttlMs: 1000 }), fails('shuttingDown'));
  });
}

function rangeCases(on: On): void {
  on('a range is ordered by bytes, of its prefix only, and can be paged', async ({ open }) => {
    const coordinator = await open();
    const keys = [
      'p/',
      'p/\u{ffff}',
      'p/\u{10000}',
      'p/a',
      'p/a/b',
      'p/ab',
      'p/b',
      'p/é',
      'p0',
      'o',
      'p',
      'q',
      'p/\u0001',
    ];
    await Promise.all(keys.map((key) => put(coordinator, key, key)));
    const expected = keys
      .filter((key) => key.startsWith('p/'))
      .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    const whole = await coordinator.range('p/');
    assert.deepEqual(
      whole.entries.map(({ key }) => key),
      expected,
    );
    assert.deepEqual(
      whole.entries.map(({ value }) => text(value)),
      expected,
    );
    assert.equal(whole.more, false);
    const paged: string[] = [];
    for (let after: string | undefined; ; ) {
      const page = await coordinator.range('p/', { limit: 2, ...(after !== undefined && { after }) });
      paged.push(...page.entries.map(({ key }) => key));
      after = page.entries.at(-1)?.key;
      if (!page.more) break;
      assert.equal(page.entries.length, 2);
    }
    assert.deepEqual(paged, expected);
    assert.equal((await coordinator.range('p/', { limit: expected.length })).more, false);
    assert.deepEqual((await coordinator.range('none')).entries, []);
    assert.equal((await coordinator.range('')).entries.length, keys.length);
  });

  on('a large range is of one revision', async ({ open }) => {
    const [writer, reader] = [await open(), await open()];
    // every transaction keeps the sum of all values at zero
    const count = 2400;
    for (let first = 0; first < count; first += 120) {
      const apply = Array.from({ length: 120 }, (_, at) => ({ put: `n/${first + at}`, value: bytes('0') }));
      await writer.transaction({ compares: [], apply });
    }
    let isDone = false;
    const writing = (async () => {
      for (let turn = 1; !isDone; turn++) {
        await writer.transaction({
          compares: [],
          apply: [
            { put: 'n/0', value: bytes(`${turn}`) },
            { put: `n/${count - 1}`, value: bytes(`${-turn}`) },
          ],
        });
      }
    })();
    for (let look = 0; look < 10; look++) {
      const { entries } = await reader.range('n/');
      assert.equal(entries.length, count);
      const sum = entries.reduce((total, { value }) => total + Number(text(value)), 0);
      assert.equal(sum, 0);
    }
    isDone = true;
    await writing;
  });
}

function sessionCases(on: On): void {
  on('keys of a session vanish with it, in one revision, and others stay', async ({ open, ttlMs }) => {
    const [holder, other] = [await open(), await open()];
    const session = await holder.session({ ttlMs });
    await put(holder, 's/one', '1', session.id);
    await put(other, 's/two', '2', session.id);
    const revision = await put(holder, 's/three', '3');
    await session.close();
    assert.ok(session.lost.aborted);
    const events = await watchUntil(other, 's/', { afterRevision: revision, last: names('s/one') });
    assert.deepEqual(
      events.flatMap(({ changes }) => changes),
      [
        { key: 's/one', deleted: true },
        { key: 's/two', deleted: true },
      ],
    );
    assert.equal(events.length, 1, 'one revision');
    assert.deepEqual(
      (await other.range('s/')).entries.map(({ key }) => key),
      ['s/three'],
    );
    await session.close();
  });

  on('a key put anew without its session, or with another, stays when the session ends', async ({ open, ttlMs }) => {
    const coordinator = await open();
    const [first, second] = [await coordinator.session({ ttlMs }), await coordinator.session({ ttlMs })];
    assert.notEqual(first.id, second.id);
    await put(coordinator, 'a', '', first.id);
    await put(coordinator, 'a', '');
    await put(coordinator, 'b', '', first.id);
    await put(coordinator, 'b', '', second.id);
    await first.close();
    assert.equal((await coordinator.range('')).entries.length, 2);
    await second.close();
    assert.deepEqual(
      (await coordinator.range('')).entries.map(({ key }) => key),
      ['a'],
    );
  });

  on(
    'a session is renewed while its holder lives, and acts for 70 % of a term at most',
    async ({ open, ttlMs, clock }) => {
      const coordinator = await open();
      const fromMs = clock.boottimeMs();
      const session = await coordinator.session({ ttlMs });
      await put(coordinator, 'a', '', session.id);
      while (clock.boottimeMs() < fromMs + 2.5 * ttlMs) {
        const nowMs = clock.boottimeMs();
        assert.ok(session.actUntilMs <= nowMs + 0.7 * ttlMs, 'no right is longer than 70 % of a term');
        assert.ok(session.actUntilMs > nowMs, 'the right is renewed before it ends');
        await clock.sleep(ttlMs / 16);
      }
      assert.ok(!session.lost.aborted);
      assert.ok(await get(coordinator, 'a'));
    },
  );

  on(
    'S-16: a put under a session that has ended changes nothing, and does not harm others',
    async ({ open, ttlMs }) => {
      const coordinator = await open();
      const [dead, alive] = [await coordinator.session({ ttlMs }), await coordinator.session({ ttlMs })];
      await dead.close();
      const outcomes = await Promise.allSettled([
        put(coordinator, 'a', '', alive.id),
        put(coordinator, 'b', '', dead.id),
        put(coordinator, 'c', ''),
        put(coordinator, 'd', '', 'no session at all'),
      ]);
      assert.deepEqual(
        outcomes.map(({ status }) => status),
        ['fulfilled', 'rejected', 'fulfilled', 'rejected'],
      );
      for (const outcome of outcomes) if (outcome.status === 'rejected') fails('sessionLost')(outcome.reason);
      assert.deepEqual(
        (await coordinator.range('')).entries.map(({ key }) => key),
        ['a', 'c'],
      );
    },
  );

  on('S-16: a compare of the holder’s key fences what it does after its session ended', async ({ open, ttlMs }) => {
    const [holder, other] = [await open(), await open()];
    const session = await holder.session({ ttlMs });
    const created = await put(holder, 'holder', 'me', session.id);
    const act = (value: string) =>
      holder.transaction({
        compares: [{ key: 'holder', target: 'createRevision', equals: created }],
        apply: [{ put: 'work', value: bytes(value) }],
      });
    assert.ok((await act('first')).succeeded);
    await session.close();
    const next = await other.session({ ttlMs });
    await put(other, 'holder', 'other', next.id);
    assert.ok(!(await act('late')).succeeded);
    assert.equal(text((await get(other, 'work'))?.value ?? bytes('')), 'first');
  });
}

function concurrencyCases(on: On): void {
  on('no increment of several clients is lost', async ({ open }) => {
    const clients = await Promise.all([open(), open(), open()]);
    await Promise.all(
      clients.flatMap((client) =>
        Array.from({ length: 4 }, async () => {
          for (let count = 0; count < 10; count++) await increment(client, 'counter');
        }),
      ),
    );
    assert.equal(text((await get(clients[0] as Coordinator, 'counter'))?.value ?? bytes('')), '120');
  });

  on('of many that want one key, one gets it', async ({ open }) => {
    const clients = await Promise.all([open(), open(), open()]);
    const wins = await Promise.all(
      Array.from({ length: 60 }, async (_, index) => {
        const { succeeded } = await (clients[index % 3] as Coordinator).transaction({
          compares: [{ key: 'lock', target: 'createRevision', equals: 0 }],
          apply: [{ put: 'lock', value: bytes(`${index}`) }],
        });
        return succeeded;
      }),
    );
    assert.equal(wins.filter(Boolean).length, 1);
  });
}
