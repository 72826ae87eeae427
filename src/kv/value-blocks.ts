/** A body in blocks of 1 MiB, each in memory that is used again: a whole value is never in memory. */
import { BLOCK_SIZE_BYTES, blockCount, blockRange } from '../core/chunk.ts';
import { ForebayError } from '../core/errors.ts';
import type { Disk } from '../io/io.ts';
import type { ValueBody } from './kv.ts';

/** Memory of one block each; `countMax` are out at a time, who wants more waits. */
export class BlockMemory {
  readonly #disk: Pick<Disk, 'allocate'>;
  readonly #countMax: number;
  readonly #kept: Uint8Array[] = [];
  readonly #waiters: (() => void)[] = [];
  #out = 0;

  constructor(disk: Pick<Disk, 'allocate'>, countMax: number) {
    this.#disk = disk;
    this.#countMax = countMax;
  }

  async take(): Promise<Uint8Array> {
    if (this.#out >= this.#countMax) await new Promise<void>((resolve) => this.#waiters.push(resolve));
    else this.#out += 1;
    return this.#kept.pop() ?? this.#disk.allocate(BLOCK_SIZE_BYTES);
  }

  /** `reusable`: nobody reads or writes it any more, not even a write that failed late. */
  give(block: Uint8Array, reusable: boolean): void {
    if (reusable) this.#kept.push(block);
    const next = this.#waiters.shift();
    if (next === undefined) this.#out -= 1;
    else next();
  }
}

export interface Block {
  readonly index: number;
  /** Of `memory`, which the consumer gives back. */
  readonly bytes: Buffer;
  readonly memory: Uint8Array;
}

/** The blocks in order. Rejects with the body's errors, and invalidArgument where it has another length than it says. */
export async function* blocksOf(body: ValueBody, memory: BlockMemory, signal: AbortSignal): AsyncGenerator<Block> {
  const count = blockCount(body.lengthBytes);
  let index = 0;
  let block: Uint8Array | undefined;
  let filled = 0;
  try {
    for await (const slice of body.stream()) {
      signal.throwIfAborted();
      for (let at = 0; at < slice.length; ) {
        if (index >= count) throw wrongLength(body);
        block ??= await memory.take();
        const { start, end } = blockRange(index, body.lengthBytes);
        const target = bufferOf(block, end - start);
        const taken = Math.min(target.length - filled, slice.length - at);
        bufferOf(slice, slice.length).copy(target, filled, at, at + taken);
        at += taken;
        filled += taken;
        if (filled < target.length) continue;
        const whole = { index, bytes: target, memory: block };
        block = undefined;
        filled = 0;
        index += 1;
        yield whole;
      }
    }
    if (index < count) throw wrongLength(body);
  } finally {
    if (block !== undefined) memory.give(block, true);
  }
}

function wrongLength(body: ValueBody): ForebayError {
  return new ForebayError('invalidArgument', `the value is not of the ${body.lengthBytes} bytes that were declared`);
}

function bufferOf(bytes: Uint8Array, lengthBytes: number): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, lengthBytes);
}

/** In memory of its own. */
export function copyOf(bytes: Uint8Array): Uint8Array {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  copy.set(bytes);
  return copy;
}

/** What `putNow` takes of a body that is in hand. */
export function withKeeping<Options extends object>(options: Options, body: ValueBody): Options & { mayKeep: boolean } {
  return { ...options, mayKeep: body.mayKeep === true };
}

/** A packed body, whole, in memory that may be kept. */
export async function wholeOf(body: ValueBody): Promise<Uint8Array> {
  if (body.whole !== undefined) return body.mayKeep === true ? body.whole : copyOf(body.whole);
  const bytes = Buffer.allocUnsafeSlow(body.lengthBytes);
  let at = 0;
  for await (const slice of body.stream()) {
    if (at + slice.length > bytes.length) break;
    bufferOf(slice, slice.length).copy(bytes, at);
    at += slice.length;
  }
  if (at !== bytes.length) throw wrongLength(body);
  return bytes;
}
