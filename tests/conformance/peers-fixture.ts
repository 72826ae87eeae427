/** Holders, askers and bytes for the cases of `peers.ts`. Data is a ramp modulo a prime: a misplaced byte shows. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { crc32 } from 'node:zlib';
import { BLOCK_SIZE_BYTES, blockCount, blockRange, blocksRange } from '../../src/core/chunk.ts';
import { type ErrorCode, ForebayError } from '../../src/core/errors.ts';
import { type ContentId, parseContentId } from '../../src/core/ids.ts';
import type { File } from '../../src/io/io.ts';
import type { BlockRequest, BlockRun, PeerOptions, PeerService, PeerTransport, Pull } from '../../src/io/peers.ts';

export interface PeersUnderTest {
  /** Starts a node of the cluster `test` with one secret; what `options` says comes instead. It is closed after the case. */
  readonly start: (node: string, service: PeerService, options?: Partial<PeerOptions>) => Promise<PeerTransport>;
  /** A file with these bytes at its start. */
  readonly fileOf: (bytes: Uint8Array) => Promise<File>;
}

export type PeersFactory = (t: TestContext, body: (under: PeersUnderTest) => Promise<void>) => Promise<void>;

export const CONTENT = parseContentId('80000000000000000000000000000001') as ContentId;
const PRIME = 251;
export const IDLE_MS = 5000;
export const BLOCK = BLOCK_SIZE_BYTES;

/** Byte `n` is `n mod 251`. */
export function ramp(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  let done = Math.min(length, PRIME * 1024);
  for (let index = 0; index < done; index++) bytes[index] = index % PRIME;
  while (done < length) done += bytes.copy(bytes, done, 0, Math.min(done, length - done));
  return bytes;
}

export const fails = (code: ErrorCode, message?: RegExp) => (error: unknown) => {
  assert.ok(error instanceof ForebayError, `a ForebayError, not ${String(error)}`);
  assert.equal(error.code, code, error.message);
  if (message) assert.match(error.message, message);
  return true;
};

export function checksumsOf(bytes: Uint8Array, { first, count, sizeBytes }: Omit<BlockRequest, 'content'>): number[] {
  return Array.from({ length: count }, (_, index) => {
    const { start, end } = blockRange(first + index, sizeBytes);
    return crc32(bytes.subarray(start, end));
  });
}

/** Counts what was given out and what came back. */
export class Releases {
  given = 0;
  released = 0;
  #released: (() => void) | undefined;

  /** Resolves once all runs are back: a holder may hear later than the asker that the last byte is gone. */
  async all(): Promise<void> {
    while (this.released < this.given)
      await new Promise<void>((resolve) => {
        this.#released = resolve;
      });
  }

  run(run: Omit<BlockRun, 'release'>): BlockRun {
    this.given++;
    let held = true;
    return {
      ...run,
      release: () => {
        assert.ok(held, 'a run is released once');
        held = false;
        this.released++;
        this.#released?.();
      },
    };
  }
}

export interface Holder extends PeerService {
  readonly releases: Releases;
  /** Requests for blocks, as they came. */
  readonly asked: { readonly from: string; readonly request: BlockRequest }[];
}

export const noCalls: PeerService['call'] = async () => {
  throw new ForebayError('invalidRequest', 'this node takes no messages');
};

/** A service that takes calls only. */
export function caller(call: PeerService['call'] = noCalls): PeerService {
  return {
    call,
    blocks: () => ({
      [Symbol.asyncIterator]: () => ({
        next: () => Promise.reject(new ForebayError('notHeld', 'this node holds nothing')),
      }),
    }),
  };
}

/** A node that holds `bytes`, in a file or in memory, and gives them in runs of `runBlocks`; `before` each run may wait or throw. */
export function holderOf(
  bytes: Uint8Array,
  options: {
    file?: File;
    runBlocks?: number;
    before?: (block: number, signal: AbortSignal) => void | Promise<void>;
  } = {},
): Holder {
  const { file, runBlocks = 16, before } = options;
  const releases = new Releases();
  const asked: Holder['asked'] = [];
  return {
    releases,
    asked,
    call: noCalls,
    async *blocks(from, request, signal) {
      asked.push({ from, request });
      const end = request.first + request.count;
      for (let first = request.first; first < end; first += runBlocks) {
        await before?.(first, signal);
        const run = { first, count: Math.min(runBlocks, end - first), sizeBytes: request.sizeBytes };
        const { start, end: stop } = blocksRange(run, request.sizeBytes);
        const source = file
          ? ({ kind: 'file', file } as const)
          : ({ kind: 'bytes', bytes: bytes.subarray(start, stop) } as const);
        yield releases.run({ first, checksums: checksumsOf(bytes, run), source });
      }
    },
  };
}

export interface Pulled {
  readonly blocks: number[];
  /** What came into memory. */
  readonly bytes: Uint8Array[];
}

export type Ask = Partial<Pull> & { readonly sizeBytes: number };

/** Pulls from `holder` and keeps what is reported. Rejects as the pull does; `got` has what came by then. */
export async function pullFrom(
  asker: PeerTransport,
  holder: { node: string; transport: PeerTransport },
  ask: Ask,
  got: Pulled = { blocks: [], bytes: [] },
): Promise<Pulled> {
  await asker.pull({
    from: { node: holder.node, address: holder.transport.address },
    content: CONTENT,
    first: 0,
    count: blockCount(ask.sizeBytes),
    into: undefined,
    idleMs: IDLE_MS,
    signal: new AbortController().signal,
    onBlock: (block, _checksum, bytes) => {
      got.blocks.push(block);
      if (bytes) got.bytes.push(bytes);
    },
    ...ask,
  });
  return got;
}

export type Case = (under: PeersUnderTest, t: TestContext) => Promise<void>;
export type On = (title: string, body: Case) => void;
