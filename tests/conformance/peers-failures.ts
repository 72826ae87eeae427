/** Pulls of what is still coming, and holders and askers that fail. */
import assert from 'node:assert/strict';
import { ForebayError } from '../../src/core/errors.ts';
import type { PeerService } from '../../src/io/peers.ts';
import {
  BLOCK,
  CONTENT,
  caller,
  checksumsOf,
  fails,
  holderOf,
  IDLE_MS,
  noCalls,
  type On,
  type Pulled,
  pullFrom,
  Releases,
  ramp,
} from './peers-fixture.ts';

const nothing = (): Pulled => ({ blocks: [], bytes: [] });

export function waitingCases(on: On): void {
  on('blocks that are still arriving at the holder are waited for, and each is sent as it comes', async (under) => {
    const { start, fileOf } = under;
    const sizeBytes = 4 * BLOCK + 9;
    const bytes = ramp(sizeBytes);
    const seen: PromiseWithResolvers<void>[] = Array.from({ length: 6 }, () => Promise.withResolvers<void>());
    // Block n is there only once the asker has reported block n − 1.
    const before = (block: number) => (block === 0 ? undefined : seen[block - 1]?.promise);
    const into = await fileOf(new Uint8Array(0));
    const asker = await start('left', caller());
    const transport = await start('right', holderOf(bytes, { file: await fileOf(bytes), runBlocks: 1, before }));
    const onBlock = (block: number) => seen[block]?.resolve();
    await pullFrom(asker, { node: 'right', transport }, { sizeBytes, into, onBlock });
    assert.ok(bytes.equals(await into.read(0, sizeBytes)));
  });

  on('the next block is reported when the report before has settled', async ({ start, fileOf }) => {
    const sizeBytes = 40 * BLOCK;
    const bytes = ramp(sizeBytes);
    const into = await fileOf(new Uint8Array(0));
    const asker = await start('left', caller());
    const transport = await start('right', holderOf(bytes, { file: await fileOf(bytes) }));
    let reporting = 0;
    const blocks: number[] = [];
    const onBlock = async (block: number) => {
      assert.equal(++reporting, 1);
      for (let turn = 0; turn < 5; turn++) await Promise.resolve();
      reporting--;
      blocks.push(block);
    };
    await pullFrom(asker, { node: 'right', transport }, { sizeBytes, into, onBlock });
    assert.deepEqual(blocks, [...Array(40).keys()]);
  });

  on('an asker that does not take its blocks does not time out, and the holder waits for it', async (under) => {
    const { start, fileOf } = under;
    const sizeBytes = 64 * BLOCK;
    const bytes = ramp(sizeBytes);
    const holder = holderOf(bytes, { file: await fileOf(bytes), runBlocks: 1 });
    const asker = await start('left', caller());
    const transport = await start('right', holder);
    const go = Promise.withResolvers<void>();
    const first = Promise.withResolvers<void>();
    const got = nothing();
    const pull = pullFrom(
      asker,
      { node: 'right', transport },
      {
        sizeBytes,
        onBlock: async (block) => {
          got.blocks.push(block);
          first.resolve();
          await go.promise;
        },
      },
    );
    await first.promise;
    assert.deepEqual(got.blocks, [0]);
    go.resolve();
    await pull;
    assert.equal(got.blocks.length, 64);
  });
}

export function failureCases(on: On): void {
  for (const code of ['notHeld', 'overloaded'] as const)
    on(`a holder that answers ${code} is heard, and asked again over the same connection`, async ({ start }) => {
      const bytes = ramp(BLOCK);
      let refusing = true;
      const before = () => {
        if (refusing) throw new ForebayError(code, 'not now', { retryAfterMs: 7 });
      };
      const asker = await start('left', caller());
      const transport = await start('right', holderOf(bytes, { before }));
      const pull = () => pullFrom(asker, { node: 'right', transport }, { sizeBytes: BLOCK });
      await assert.rejects(pull(), (error) => {
        fails(code, /right.*not now/)(error);
        return (error as ForebayError).retryAfterMs === 7;
      });
      refusing = false;
      assert.deepEqual((await pull()).blocks, [0]);
    });

  on('an error midway keeps the blocks before it', async ({ start, fileOf }) => {
    const bytes = ramp(6 * BLOCK);
    const before = (block: number) => {
      if (block === 4) throw new ForebayError('notHeld', 'evicted');
    };
    const holder = holderOf(bytes, { file: await fileOf(bytes), runBlocks: 2, before });
    const asker = await start('left', caller());
    const transport = await start('right', holder);
    const got = nothing();
    const pull = pullFrom(asker, { node: 'right', transport }, { sizeBytes: bytes.length }, got);
    await assert.rejects(pull, fails('notHeld', /evicted/));
    assert.deepEqual(got.blocks, [0, 1, 2, 3]);
    await holder.releases.all();
  });

  for (const into of ['a file', 'memory'] as const)
    on(`S-9: a wrong checksum on the way into ${into} ends the pull; the blocks before it count`, async (under) => {
      const { start, fileOf } = under;
      const bytes = ramp(5 * BLOCK);
      const wrong = Buffer.from(bytes);
      wrong[3 * BLOCK + 17] = 255;
      const releases = new Releases();
      const file = await fileOf(wrong);
      const service: PeerService = {
        call: noCalls,
        async *blocks() {
          const checksums = checksumsOf(bytes, { first: 0, count: 5, sizeBytes: bytes.length });
          yield releases.run({ first: 0, checksums, source: { kind: 'file', file } });
        },
      };
      const target = into === 'a file' ? await fileOf(new Uint8Array(0)) : undefined;
      const asker = await start('left', caller());
      const transport = await start('right', service);
      const got = nothing();
      const pull = pullFrom(asker, { node: 'right', transport }, { sizeBytes: bytes.length, into: target }, got);
      await assert.rejects(pull, fails('peerCorrupt', /right.*block 3/));
      assert.deepEqual(got.blocks, [0, 1, 2]);
      if (target)
        assert.ok(
          (await target.read(3 * BLOCK, BLOCK)).every((byte) => byte === 0),
          'never written',
        );
    });

  on('a holder that accepts and never sends fails the pull after idleMs', async ({ start }) => {
    const stopped = Promise.withResolvers<void>();
    const before = (_: number, signal: AbortSignal) => {
      signal.addEventListener('abort', () => stopped.resolve());
      return new Promise<void>(() => {});
    };
    const asker = await start('left', caller());
    const transport = await start('right', holderOf(ramp(BLOCK), { before }));
    const pull = pullFrom(asker, { node: 'right', transport }, { sizeBytes: BLOCK, idleMs: 400 });
    await assert.rejects(pull, fails('peerTimeout', /right.*400 ms/));
    await stopped.promise;
  });

  on('a holder that stops midway fails its pull after idleMs, and no other', async ({ start, fileOf }) => {
    const bytes = ramp(4 * BLOCK);
    const before = (block: number) => (block === 2 ? new Promise<void>(() => {}) : undefined);
    const file = await fileOf(bytes);
    const asker = await start('left', caller());
    const hanging = await start('right', holderOf(bytes, { file, runBlocks: 1, before }));
    const sound = await start('middle', holderOf(bytes, { file }));
    const got = nothing();
    const ask = { sizeBytes: bytes.length, into: await fileOf(new Uint8Array(0)) };
    const pull = pullFrom(asker, { node: 'right', transport: hanging }, { ...ask, idleMs: 3000 }, got);
    let ended = false;
    const rejected = assert.rejects(pull, fails('peerTimeout')).then(() => {
      ended = true;
    });
    for (let round = 0; round < 3; round++)
      assert.equal((await pullFrom(asker, { node: 'middle', transport: sound }, ask)).blocks.length, 4);
    assert.ok(!ended, 'the sound holder is not held up');
    await rejected;
    assert.deepEqual(got.blocks, [0, 1]);
  });

  on('a holder that goes away midway fails the pull; the blocks before it count', async ({ start, fileOf }) => {
    const bytes = ramp(4 * BLOCK);
    const before = (block: number) => (block === 2 ? new Promise<void>(() => {}) : undefined);
    const asker = await start('left', caller());
    const transport = await start('right', holderOf(bytes, { file: await fileOf(bytes), runBlocks: 2, before }));
    const got = nothing();
    const onBlock = (block: number) => {
      got.blocks.push(block);
      if (block === 1) void transport.close();
    };
    const pull = pullFrom(asker, { node: 'right', transport }, { sizeBytes: bytes.length, onBlock });
    await assert.rejects(pull, fails('peerUnreachable'));
    assert.deepEqual(got.blocks, [0, 1]);
  });

  on('an asker that aborts midway ends at once with its reason, and the holder lets go', async ({ start, fileOf }) => {
    const bytes = ramp(4 * BLOCK);
    const let_go = Promise.withResolvers<void>();
    const before = (block: number, signal: AbortSignal) => {
      if (block < 2) return;
      signal.addEventListener('abort', () => let_go.resolve());
      return new Promise<void>((_, reject) => signal.addEventListener('abort', () => reject(new Error('gone'))));
    };
    const holder = holderOf(bytes, { file: await fileOf(bytes), runBlocks: 1, before });
    const asker = await start('left', caller());
    const transport = await start('right', holder);
    const stop = new AbortController();
    const reason = new Error('enough');
    const onBlock = (block: number) => {
      if (block === 1) stop.abort(reason);
    };
    const into = await fileOf(new Uint8Array(0));
    const ask = { sizeBytes: bytes.length, into, onBlock, signal: stop.signal };
    await assert.rejects(pullFrom(asker, { node: 'right', transport }, ask), (error) => error === reason);
    await let_go.promise;
    await holder.releases.all();
    const again = { sizeBytes: bytes.length, into, signal: stop.signal };
    await assert.rejects(pullFrom(asker, { node: 'right', transport }, again), (error) => error === reason);
  });

  on('a report that fails ends the pull with its error', async ({ start, fileOf }) => {
    const bytes = ramp(40 * BLOCK);
    const asker = await start('left', caller());
    const transport = await start('right', holderOf(bytes, { file: await fileOf(bytes) }));
    const error = new Error('the journal is full');
    const got = nothing();
    const onBlock = async (block: number) => {
      if (block === 3) throw error;
      got.blocks.push(block);
    };
    const ask = { sizeBytes: bytes.length, into: await fileOf(new Uint8Array(0)), onBlock };
    await assert.rejects(pullFrom(asker, { node: 'right', transport }, ask), (thrown) => thrown === error);
    assert.deepEqual(got.blocks, [0, 1, 2]);
  });

  on('a service that gives other blocks than it was asked for is a fault of the holder', async ({ start }) => {
    const releases = new Releases();
    const bytes = ramp(3 * BLOCK);
    const service: PeerService = {
      call: noCalls,
      async *blocks(_from, request) {
        const run = { first: request.first + 1, count: 1, sizeBytes: request.sizeBytes };
        yield releases.run({ first: run.first, checksums: checksumsOf(bytes, run), source: { kind: 'bytes', bytes } });
      },
    };
    const asker = await start('left', caller());
    const transport = await start('right', service);
    const pull = pullFrom(asker, { node: 'right', transport }, { sizeBytes: bytes.length });
    await assert.rejects(pull, fails('internal', /right/));
    await releases.all();
    assert.equal(releases.released, 1);
  });

  on('a transport that closes ends its pulls and calls', async ({ start }) => {
    const begun = Promise.withResolvers<void>();
    const before = () => {
      begun.resolve();
      return new Promise<void>(() => {});
    };
    const asker = await start('left', caller());
    const transport = await start('right', holderOf(ramp(BLOCK), { before }));
    const pull = assert.rejects(
      pullFrom(asker, { node: 'right', transport }, { sizeBytes: BLOCK }),
      fails('shuttingDown'),
    );
    await begun.promise;
    await asker.close();
    await pull;
    const from = { node: 'right', address: transport.address };
    const late = asker.call(from, { type: 'any' }, { deadlineMs: IDLE_MS });
    await assert.rejects(late, fails('shuttingDown'));
    await assert.rejects(
      pullFrom(asker, { node: 'right', transport }, { sizeBytes: BLOCK, content: CONTENT }),
      fails('shuttingDown'),
    );
  });
}
