/**
 * What every peer transport does, real or simulated. `factory` runs each case with nodes of its own: it may drive a
 * virtual clock meanwhile.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blockCount } from '../../src/core/chunk.ts';
import { ForebayError } from '../../src/core/errors.ts';
import { peerCallsInFlightMax } from '../../src/core/limits.ts';
import type { Json, PeerMessage } from '../../src/io/peers.ts';
import { failureCases, waitingCases } from './peers-failures.ts';
import {
  BLOCK,
  caller,
  checksumsOf,
  fails,
  holderOf,
  IDLE_MS,
  type On,
  type PeersFactory,
  pullFrom,
  ramp,
} from './peers-fixture.ts';

export function runPeersConformance(name: string, factory: PeersFactory): void {
  const on: On = (title, body) => void test(`${name}: ${title}`, (t) => factory(t, (under) => body(under, t)));
  callCases(on);
  pullCases(on);
  waitingCases(on);
  failureCases(on);
}

function callCases(on: On): void {
  on('a call gets its answer, and the service hears who called', async ({ start }) => {
    const heard: { from: string; message: PeerMessage }[] = [];
    const answers = caller(async (from, message) => {
      heard.push({ from, message });
      return { echoed: message['value'] ?? null, list: [1, 'zwei', null, true] };
    });
    const asker = await start('left', caller());
    const { address } = await start('right', answers);
    const message = { type: 'echo', value: { deep: ['é', 1.5, false] } };
    const answer = await asker.call({ node: 'right', address }, message, { deadlineMs: IDLE_MS });
    assert.deepEqual(answer, { echoed: { deep: ['é', 1.5, false] }, list: [1, 'zwei', null, true] });
    assert.deepEqual(heard, [{ from: 'left', message }]);
  });

  on('a probe is answered though more calls to the peer wait than are let run at once', async ({ start }) => {
    const held = Promise.withResolvers<Json>();
    const service = caller(async (_from, { type }) => (type === 'hold' ? held.promise : 'here'));
    const asker = await start('left', caller());
    const { address } = await start('right', service);
    const to = { node: 'right', address };
    const holds = Array.from({ length: 2 * peerCallsInFlightMax }, () =>
      asker.call(to, { type: 'hold' }, { deadlineMs: 60_000 }),
    );
    assert.equal(await asker.call(to, { type: 'hello' }, { deadlineMs: IDLE_MS, isProbe: true }), 'here');
    held.resolve('late');
    assert.deepEqual(new Set(await Promise.all(holds)), new Set(['late']));
  });

  on("a service's error reaches the caller with its code, message and patience", async ({ start }) => {
    const refusing = caller(async () => {
      throw new ForebayError('overloaded', 'no room', { retryAfterMs: 250 });
    });
    const asker = await start('left', caller());
    const { address } = await start('right', refusing);
    const call = asker.call({ node: 'right', address }, { type: 'any' }, { deadlineMs: IDLE_MS });
    await assert.rejects(call, (error) => {
      fails('overloaded', /right.*no room/)(error);
      assert.equal((error as ForebayError).retryAfterMs, 250);
      return true;
    });
  });

  on('a call that is not answered by its deadline fails, and the service hears of it', async ({ start }) => {
    const aborted = Promise.withResolvers<void>();
    const silent = caller(async (_from, _message, signal) => {
      signal.addEventListener('abort', () => aborted.resolve());
      return await new Promise<Json>(() => {});
    });
    const asker = await start('left', caller());
    const { address } = await start('right', silent);
    const call = asker.call({ node: 'right', address }, { type: 'any' }, { deadlineMs: 300 });
    await assert.rejects(call, fails('peerTimeout'));
    await aborted.promise;
  });

  on('a call ends with the reason of its signal', async ({ start }) => {
    const begun = Promise.withResolvers<void>();
    const silent = caller(async () => {
      begun.resolve();
      return await new Promise<Json>(() => {});
    });
    const asker = await start('left', caller());
    const { address } = await start('right', silent);
    const stop = new AbortController();
    const reason = new Error('never mind');
    const call = asker.call({ node: 'right', address }, { type: 'any' }, { deadlineMs: IDLE_MS, signal: stop.signal });
    void begun.promise.then(() => stop.abort(reason));
    await assert.rejects(call, (error) => error === reason);
  });

  on('a node that is gone cannot be reached', async ({ start }) => {
    const asker = await start('left', caller());
    const gone = await start('right', caller());
    await gone.close();
    const call = asker.call({ node: 'right', address: gone.address }, { type: 'any' }, { deadlineMs: IDLE_MS });
    await assert.rejects(call, fails('peerUnreachable'));
    await assert.rejects(
      pullFrom(asker, { node: 'right', transport: gone }, { sizeBytes: 1 }),
      fails('peerUnreachable'),
    );
  });

  on('300 calls at once are all answered, whatever order they are answered in', async ({ start }) => {
    const waiting: (() => void)[] = [];
    const answers = caller(async (_from, message) => {
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
        // The later ones first, as soon as a few wait.
        if (waiting.length >= 4) for (const next of waiting.splice(0).reverse()) next();
      });
      return message['number'] as number;
    });
    const asker = await start('left', caller());
    const { address } = await start('right', answers);
    const numbers = Array.from({ length: 300 }, (_, number) => number);
    const ask = (number: number) =>
      asker.call({ node: 'right', address }, { type: 'n', number }, { deadlineMs: 30_000 });
    assert.deepEqual(await Promise.all(numbers.map(ask)), numbers);
  });

  on('a node that came back under its address is called again', async ({ start }) => {
    const asker = await start('left', caller());
    const first = await start(
      'right',
      caller(async () => 1),
    );
    const { address } = first;
    const call = () => asker.call({ node: 'right', address }, { type: 'any' }, { deadlineMs: IDLE_MS });
    assert.equal(await call(), 1);
    await first.close();
    await start(
      'right',
      caller(async () => 2),
      { address },
    );
    assert.equal(await call(), 2);
  });

  on('a message larger than may be is refused before it is sent', async ({ start }) => {
    const asker = await start('left', caller());
    const { address } = await start('right', caller());
    const value = 'x'.repeat(5 << 20);
    const call = asker.call({ node: 'right', address }, { type: 'any', value }, { deadlineMs: IDLE_MS });
    await assert.rejects(call, fails('invalidRequest', /bytes/));
    let deep: Json = 1;
    for (let depth = 0; depth < 40; depth++) deep = [deep];
    const nested = asker.call({ node: 'right', address }, { type: 'any', deep }, { deadlineMs: IDLE_MS });
    await assert.rejects(nested, fails('invalidRequest', /deeper/));
  });

  on('messages go both ways between two nodes at once', async ({ start }) => {
    const left = await start(
      'left',
      caller(async (from) => `left to ${from}`),
    );
    const right = await start(
      'right',
      caller(async (from) => `right to ${from}`),
    );
    const [a, b] = await Promise.all([
      left.call({ node: 'right', address: right.address }, { type: 'any' }, { deadlineMs: IDLE_MS }),
      right.call({ node: 'left', address: left.address }, { type: 'any' }, { deadlineMs: IDLE_MS }),
    ]);
    assert.deepEqual([a, b], ['right to left', 'left to right']);
  });
}

const SIZES = { 'one byte': 1, 'one block': BLOCK, 'five blocks and a bit': 5 * BLOCK + 12_345 } as const;

function pullCases(on: On): void {
  for (const [what, sizeBytes] of Object.entries(SIZES)) {
    for (const from of ['a file', 'memory'] as const) {
      on(`${what} from ${from} into a file`, async ({ start, fileOf }) => {
        const bytes = ramp(sizeBytes);
        const into = await fileOf(new Uint8Array(0));
        const service = holderOf(bytes, { ...(from === 'a file' && { file: await fileOf(bytes) }), runBlocks: 2 });
        const asker = await start('left', caller());
        const transport = await start('right', service);
        const { blocks, bytes: none } = await pullFrom(asker, { node: 'right', transport }, { sizeBytes, into });
        assert.deepEqual(blocks, [...blocks.keys()]);
        assert.equal(blocks.length, blockCount(sizeBytes));
        assert.deepEqual(none, []);
        assert.ok(bytes.equals(await into.read(0, sizeBytes + 1)));
        assert.equal(service.asked[0]?.from, 'left');
        await service.releases.all();
      });

      on(`${what} from ${from} into memory`, async ({ start, fileOf }) => {
        const bytes = ramp(sizeBytes);
        const service = holderOf(bytes, from === 'a file' ? { file: await fileOf(bytes) } : {});
        const asker = await start('left', caller());
        const transport = await start('right', service);
        const got = await pullFrom(asker, { node: 'right', transport }, { sizeBytes });
        assert.ok(Buffer.concat(got.bytes).equals(bytes));
      });
    }
  }

  on('some blocks of a content come to their own place, with their checksums', async ({ start, fileOf }) => {
    const sizeBytes = 9 * BLOCK + 77;
    const bytes = ramp(sizeBytes);
    const into = await fileOf(new Uint8Array(0));
    const asker = await start('left', caller());
    const transport = await start('right', holderOf(bytes, { file: await fileOf(bytes), runBlocks: 3 }));
    const sums = new Map<number, number>();
    const onBlock = (block: number, checksum: number) => void sums.set(block, checksum);
    await pullFrom(asker, { node: 'right', transport }, { sizeBytes, into, first: 2, count: 5, onBlock });
    assert.deepEqual([...sums.keys()], [2, 3, 4, 5, 6]);
    assert.deepEqual([...sums.values()], checksumsOf(bytes, { first: 2, count: 5, sizeBytes }));
    assert.ok(
      (await into.read(0, 2 * BLOCK)).every((byte) => byte === 0),
      'nothing before them is touched',
    );
    assert.ok(bytes.subarray(2 * BLOCK, 7 * BLOCK).equals(await into.read(2 * BLOCK, 8 * BLOCK)));
    const last = await pullFrom(asker, { node: 'right', transport }, { sizeBytes, first: 9, count: 1 });
    assert.ok(bytes.subarray(9 * BLOCK).equals(last.bytes[0] as Uint8Array));
  });

  on('a pull of what the content does not have is refused', async ({ start }) => {
    const asker = await start('left', caller());
    const transport = await start('right', holderOf(ramp(BLOCK)));
    for (const wrong of [
      { first: 1, count: 1 },
      { first: 0, count: 2 },
      { first: 0, count: 0 },
      { first: -1, count: 1 },
    ])
      await assert.rejects(
        pullFrom(asker, { node: 'right', transport }, { sizeBytes: BLOCK, ...wrong }),
        fails('invalidRequest'),
      );
  });

  on('200 pulls at once all end, each with its own bytes', async ({ start, fileOf }) => {
    const sizeBytes = 3 * BLOCK + 5;
    const bytes = ramp(sizeBytes);
    const service = holderOf(bytes, { file: await fileOf(bytes), runBlocks: 1 });
    const asker = await start('left', caller());
    const transport = await start('right', service);
    const pulls = Array.from({ length: 200 }, async (_, index) => {
      const first = index % 3;
      const into = index % 2 === 0 ? await fileOf(new Uint8Array(0)) : undefined;
      const ask = { sizeBytes, first, count: 4 - first, into, idleMs: 60_000 };
      const got = await pullFrom(asker, { node: 'right', transport }, ask);
      assert.equal(got.blocks.length, 4 - first);
      const found = into ? await into.read(first * BLOCK, sizeBytes) : Buffer.concat(got.bytes);
      assert.ok(bytes.subarray(first * BLOCK).equals(found));
    });
    await Promise.all(pulls);
    await service.releases.all();
  });

  on('a holder that came back under its address is pulled from again', async ({ start }) => {
    const bytes = ramp(BLOCK + 1);
    const asker = await start('left', caller());
    const first = await start('right', holderOf(bytes));
    await pullFrom(asker, { node: 'right', transport: first }, { sizeBytes: bytes.length });
    await first.close();
    const second = await start('right', holderOf(bytes), { address: first.address });
    const got = await pullFrom(asker, { node: 'right', transport: second }, { sizeBytes: bytes.length });
    assert.ok(Buffer.concat(got.bytes).equals(bytes));
  });
}
