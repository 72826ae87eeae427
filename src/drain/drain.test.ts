import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type DrainNode, DrainWorld, MiB, ramp, VOLUME } from '../../tests/drain/fixture.ts';
import { OWN_ID } from '../core/object.ts';
import { type Fault, type FaultyCall, faulty } from '../origin/faulty.ts';
import { createMemoryOrigin } from '../origin/memory.ts';

type Options = ConstructorParameters<typeof DrainWorld>[0];

function world(options: Partial<Options> & { decide?: (call: FaultyCall) => Fault | undefined } = {}): DrainWorld {
  const { decide, ...rest } = options;
  return new DrainWorld({
    origin: (io) => {
      const memory = createMemoryOrigin(io);
      return decide === undefined ? memory : faulty(memory, decide);
    },
    ...rest,
  });
}

const isStub = (w: DrainWorld, key: string) => async () => (await w.current(key))?.kind === 'stub';

test('a small object drains in one request, and its record becomes a stub', async () => {
  const w = world();
  await w.start('a');
  const version = await w.put('k', ramp(1000));
  await w.until('k is drained', isStub(w, 'k'));
  const found = await w.at('k');
  assert.deepEqual(found?.bytes, Buffer.from(ramp(1000)));
  assert.deepEqual(found?.metadata, { who: 'me', [OWN_ID]: version.content });
  const stub = await w.current('k');
  assert.equal(stub?.kind === 'stub' && stub.etag, found?.etag);
  assert.deepEqual(w.nodes.get('a')?.written, ['k'], 'the owner of the metadata was told before');
});

test('a large object drains in parts from the nodes that hold it', async () => {
  const w = world();
  await w.start('a');
  await w.start('b');
  await w.start('c');
  const senders = new Map<string, number>();
  w.onMessage = (to, { type }) => {
    if (type === 'drain.part') senders.set(to, (senders.get(to) ?? 0) + 1);
  };
  const bytes = ramp(50 * MiB + 5);
  await w.put('k', bytes, { on: ['b', 'c'] });
  await w.until('k is drained', isStub(w, 'k'));
  assert.deepEqual((await w.at('k'))?.bytes, Buffer.from(bytes));
  assert.deepEqual(Array.from(senders.keys()).sort(), ['b', 'c']);
  assert.equal(
    Array.from(senders.values()).reduce((sum, count) => sum + count),
    4,
  );
});

test('what one holder lacks another sends', async () => {
  const w = world();
  await w.start('a');
  const b = await w.start('b');
  const bytes = ramp(40 * MiB);
  const small = ramp(10, 3);
  const large = await w.put('large', bytes);
  const little = await w.put('small', small);
  b.contents.delete(large.content);
  b.contents.delete(little.content);
  await w.until('large is drained', isStub(w, 'large'));
  await w.until('small is drained', isStub(w, 'small'));
  assert.deepEqual((await w.at('large'))?.bytes, Buffer.from(bytes));
  assert.deepEqual((await w.at('small'))?.bytes, Buffer.from(small));
});

test('finalising settles: what is replaced within that time never reaches the origin', async () => {
  const puts: string[] = [];
  const w = world({
    decide: ({ operation, key }) => {
      if (operation === 'put' && !key.startsWith('.forebay/')) puts.push(key);
      return undefined;
    },
  });
  await w.start('a');
  await w.pass(3000);
  await w.put('k', ramp(10));
  await w.pass(1500);
  await w.put('k', ramp(20));
  await w.pass(1500);
  assert.deepEqual(puts, []);
  await w.until('k is drained', isStub(w, 'k'));
  assert.deepEqual(puts, ['k']);
  assert.equal((await w.at('k'))?.bytes.length, 20);
});

test('an urgent version does not settle', async () => {
  const w = world();
  await w.start('a');
  await w.pass(3000);
  const fromMs = w.clock.nowMs;
  await w.put('k', ramp(10), { urgent: true });
  await w.until('k is drained', isStub(w, 'k'));
  assert.ok(w.clock.nowMs - fromMs < 1000, `${w.clock.nowMs - fromMs} ms`);
});

test('S-7: the origin never shows .metadata before its shards nor latest before its step', async () => {
  const w = world();
  await w.start('a');
  await w.start('b');
  const keys = ['run/s1/0', 'run/s1/1', 'run/s1/2', 'run/s1/.metadata', 'run/latest'];
  for (const key of keys) await w.put(key, ramp(key.endsWith('1') ? 20 * MiB : 100));
  const seen: string[] = [];
  for (let polls = 0; seen.length < keys.length && polls < 2000; polls++) {
    for (const key of keys) if (!seen.includes(key) && (await w.at(key)) !== undefined) seen.push(key);
    await w.pass(50);
  }
  assert.deepEqual([...seen].sort(), [...keys].sort());
  assert.deepEqual(seen.slice(3), ['run/s1/.metadata', 'run/latest']);
});

for (const isLarge of [false, true])
  test(`S-8: a finalise that was applied and not answered is settled by looking (${isLarge ? 'parts' : 'one request'})`, async () => {
    let unanswered = 0;
    const w = world({
      decide: ({ operation, key }) =>
        key === 'k' && (operation === 'put' || operation === 'finalise') && unanswered++ === 0
          ? { kind: 'unanswered' }
          : undefined,
    });
    await w.start('a');
    const bytes = ramp(isLarge ? 33 * MiB : 33);
    const version = await w.put('k', bytes);
    await w.until('k is drained', isStub(w, 'k'));
    assert.equal(unanswered, 1, 'it was not sent again');
    assert.equal((await w.at('k'))?.metadata[OWN_ID], version.content);
  });

test('S-8: what somebody else wrote meanwhile is kept, ours is parked, and what waits for it is held back', async () => {
  const w = world();
  await w.start('a');
  await w.put('s/k', ramp(100));
  await w.put('s/.metadata', ramp(5));
  const theirs = new TextEncoder().encode('theirs');
  const options = { headers: {}, metadata: {} };
  const body = {
    lengthBytes: 6,
    replayable: true,
    async *stream() {
      yield theirs;
    },
  };
  await w.run(w.origin.put('s/k', body, options));
  await w.until('the conflict shows', async () => {
    const current = await w.current('s/k');
    return current?.kind === 'dirty' && current.trouble?.kind === 'conflict';
  });
  await w.pass(10_000);
  assert.equal((await w.at('s/k'))?.bytes.toString(), 'theirs');
  assert.equal(await w.at('s/.metadata'), undefined, 'what waits for it is held back');
  const { drain } = w.nodes.get('a') as DrainNode;
  const conflicts = await w.run(drain.conflicts(VOLUME));
  assert.equal(conflicts.length, 1);
  assert.deepEqual((await w.at(conflicts[0]?.parked as string))?.bytes, Buffer.from(ramp(100)));
  await w.run(drain.resolve({ volume: VOLUME, key: 's/k', keep: 'ours' }));
  await w.until('.metadata is drained', isStub(w, 's/.metadata'));
  assert.deepEqual((await w.at('s/k'))?.bytes, Buffer.from(ramp(100)));
  assert.equal(await w.at(conflicts[0]?.parked as string), undefined);
});

test('a conflict that is decided for theirs frees ours, and shows theirs as the version', async () => {
  const w = world();
  await w.start('a');
  await w.put('k', ramp(100), { base: { etag: '"gone"' } });
  await w.until('the conflict shows', async () => {
    const current = await w.current('k');
    return current?.kind === 'dirty' && current.trouble?.kind === 'conflict';
  });
  const { drain } = w.nodes.get('a') as DrainNode;
  await w.run(drain.resolve({ volume: VOLUME, key: 'k', keep: 'theirs' }));
  const current = await w.current('k');
  assert.equal(current?.kind === 'tombstone' && current.drained, true, 'they had deleted it');
  await assert.rejects(w.run(drain.resolve({ volume: VOLUME, key: 'k', keep: 'theirs' })), /nothing is in trouble/);
});

test('S-8: an earlier version of ours that reached the origin is no conflict', async () => {
  let isLost = true;
  const w = world({
    decide: ({ operation, key }) => {
      if (!isLost || key !== 'k') return undefined;
      return operation === 'put' ? { kind: 'unanswered' } : { kind: 'refuse', code: 'originUnavailable' };
    },
  });
  await w.start('a');
  await w.put('k', ramp(10), { base: 'absent' });
  await w.pass(5000);
  await w.put('k', ramp(20));
  isLost = false;
  assert.equal((await w.at('k'))?.bytes.length, 10);
  await w.until('k is drained', isStub(w, 'k'));
  assert.equal((await w.at('k'))?.bytes.length, 20);
});

test('S-13: an origin that is away for minutes is not stormed, and the drain goes on by itself', async () => {
  let isAway = true;
  let asked = 0;
  const w = world({
    decide: () => {
      if (!isAway) return undefined;
      asked++;
      return { kind: 'refuse', code: 'originUnavailable' };
    },
  });
  await w.start('a');
  for (let i = 0; i < 100; i++) await w.put(`k${i}`, ramp(10), { base: 'absent' });
  await w.pass(300_000);
  assert.ok(asked < 60, `${asked} requests in five minutes`);
  isAway = false;
  await w.until('all is drained', async () => (await isStub(w, 'k0')()) && (await isStub(w, 'k99')()), 60_000);
});

test('a key that the origin refuses for good is kept and shown, and the rest goes on', async () => {
  const w = world({
    decide: ({ key, operation }) =>
      key === 's/bad' && operation === 'put' ? { kind: 'refuse', code: 'keyTooLong' } : undefined,
  });
  await w.start('a');
  await w.put('s/bad', ramp(10));
  await w.put('t/good', ramp(10));
  await w.put('s/after', ramp(10));
  await w.until('the rest is drained', isStub(w, 't/good'));
  await w.pass(20_000);
  const bad = await w.current('s/bad');
  assert.equal(bad?.kind === 'dirty' && bad.trouble?.kind, 'refused');
  assert.equal((await w.current('s/after'))?.kind, 'dirty', 'what waits for it is held back');
});

test('S-13: credentials that were revoked and restored stop nothing for good', async () => {
  let isDenied = false;
  const w = world({ decide: () => (isDenied ? { kind: 'refuse', code: 'originDenied' } : undefined) });
  await w.start('a');
  await w.put('first', ramp(10));
  await w.until('first is drained', isStub(w, 'first'));
  isDenied = true;
  await w.put('k', ramp(10));
  await w.pass(120_000);
  const current = await w.current('k');
  assert.equal(current?.kind === 'dirty' && current.trouble, undefined);
  isDenied = false;
  await w.until('k is drained', isStub(w, 'k'));
});

test('a key that alone is denied counts as refused, and one is enough to show it', async () => {
  const w = world({
    decide: ({ key, operation }) =>
      key === 'bad' && operation === 'put' ? { kind: 'refuse', code: 'originDenied' } : undefined,
  });
  await w.start('a');
  const begun = await w.put('bad', ramp(10));
  assert.equal(begun.kind, 'dirty');
  for (let i = 0; i < 20; i++) {
    await w.put(`good/${i}`, ramp(10));
    await w.pass(10_000);
  }
  const bad = await w.current('bad');
  assert.equal(bad?.kind === 'dirty' && bad.trouble?.kind, 'refused');
  assert.equal((await w.current('good/19'))?.kind, 'stub');
});

test('what no node has any more is shown as lost, and drains when a node comes back with it', async () => {
  const w = world();
  const a = await w.start('a');
  const version = await w.put('s/k', ramp(10));
  await w.put('s/after', ramp(10));
  a.contents.delete(version.content);
  await w.pass(150_000);
  const lost = await w.current('s/k');
  assert.equal(lost?.kind === 'dirty' && lost.trouble?.kind, 'lost');
  assert.equal((await w.current('s/after'))?.kind, 'dirty', 'it holds back like a conflict');
  a.contents.set(version.content, ramp(10));
  await w.until('both are drained', isStub(w, 's/after'));
});

test('a delete goes to the origin, conditional on what was deleted', async () => {
  const w = world();
  await w.start('a');
  await w.put('k', ramp(10));
  await w.until('k is drained', isStub(w, 'k'));
  await w.delete('k');
  await w.until('the delete is drained', async () => {
    const current = await w.current('k');
    return current?.kind === 'tombstone' && current.drained;
  });
  assert.equal(await w.at('k'), undefined);
  await w.pass(2 * 3600_000);
  assert.equal(await w.current('k'), undefined, 'and is forgotten after an hour');
});

test('an older version that comes late at the origin is deleted again', async () => {
  const w = world();
  await w.start('a');
  await w.pass(2000);
  const version = await w.put('k', ramp(10));
  await w.delete('k');
  await w.until('the delete is drained', async () => {
    const current = await w.current('k');
    return current?.kind === 'tombstone' && current.drained;
  });
  const body = {
    lengthBytes: 10,
    replayable: true,
    async *stream() {
      yield ramp(10);
    },
  };
  await w.run(w.origin.put('k', body, { headers: {}, metadata: { [OWN_ID]: version.content } }));
  await w.until('it is gone', async () => (await w.origin.head('k')) === undefined);
});

test('a keeper that dies between the last part and the finalise is followed by one that sends no part again', async () => {
  const w = world();
  await w.start('a');
  await w.start('b');
  await w.pass(3000);
  const keeper = Array.from(w.nodes.values()).find(({ isKeeper }) => isKeeper);
  assert.ok(keeper);
  let sent = 0;
  w.onMessage = (_to, { type }) => {
    if (type === 'drain.part') sent++;
  };
  const bytes = ramp(40 * MiB);
  await w.put('k', bytes);
  await w.until('all parts are sent', () => sent === 3);
  await w.pass(500);
  assert.equal(await w.at('k'), undefined, 'it has not settled');
  await w.kill(keeper.self);
  await w.until('k is drained', isStub(w, 'k'));
  assert.equal(sent, 3);
  assert.deepEqual((await w.at('k'))?.bytes, Buffer.from(bytes));
});

test('S-16: a keeper that slept beyond its lease and wakes does no harm', async () => {
  const w = world();
  await w.start('a');
  await w.start('b');
  await w.pass(3000);
  const keeper = Array.from(w.nodes.values()).find(({ isKeeper }) => isKeeper);
  assert.ok(keeper);
  await w.put('k', ramp(10));
  await w.pass(1000);
  keeper.life.pausedUntilMs = w.clock.nowMs + 60_000;
  await w.until('k is drained by the other', isStub(w, 'k'), 40_000);
  await w.put('k', ramp(20));
  await w.until('k is drained again', async () => (await w.at('k'))?.bytes.length === 20, 20_000);
  await w.pass(60_000);
  assert.equal((await w.at('k'))?.bytes.length, 20);
  assert.equal((await w.current('k'))?.kind, 'stub');
  assert.equal(
    w.events.some(({ kind }) => kind === 'drain.trouble'),
    false,
  );
});

test('S-15: with the coordinator away nothing is finalised', async () => {
  const w = world();
  await w.start('a');
  await w.pass(3000);
  await w.put('k', ramp(10));
  w.coordinator.goAway(60_000);
  await w.pass(8000);
  const atEightS = await w.at('k');
  await w.pass(40_000);
  assert.deepEqual(await w.at('k'), atEightS);
});
