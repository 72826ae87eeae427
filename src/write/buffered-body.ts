/** Bodies of clients, gathered in memory so that their requests can be repeated. */
import { ForebayError } from '../core/errors.ts';
import { bodyOf } from '../origin/body.ts';
import type { Body } from '../origin/origin.ts';
import type { BufferBudget, HeldBuffer } from './buffer-budget.ts';
import type { WriteBody } from './writer.ts';

/** Fills buffers one after the other from one pass over a body. */
export class BodyReader {
  readonly #pieces: AsyncIterator<Uint8Array>;
  readonly #lengthBytes: number;
  #left: Uint8Array = new Uint8Array(0);
  #readBytes = 0;

  constructor(body: WriteBody) {
    this.#pieces = body.stream()[Symbol.asyncIterator]();
    this.#lengthBytes = body.lengthBytes;
  }

  /** Fills `buffer` to its end. Throws the body's own error, or incompleteBody when it ends too early. */
  async fill(buffer: Uint8Array): Promise<void> {
    for (let at = 0; at < buffer.length; ) {
      if (this.#left.length === 0) await this.#next();
      const taken = this.#left.subarray(0, buffer.length - at);
      buffer.set(taken, at);
      at += taken.length;
      this.#left = this.#left.subarray(taken.length);
    }
  }

  /** Waits for the body's end, which is where it says whether it was what was declared. */
  async finish(): Promise<void> {
    const more = this.#left.length > 0 || !(await this.#pieces.next()).done;
    if (more)
      throw new ForebayError('incompleteBody', `the body is longer than the declared ${this.#lengthBytes} bytes`);
  }

  /** Tells the body that nobody reads on. */
  async stop(): Promise<void> {
    await this.#pieces.return?.();
  }

  async #next(): Promise<void> {
    const { value, done } = await this.#pieces.next();
    if (done) {
      const text = `the body ended after ${this.#readBytes} of ${this.#lengthBytes} bytes`;
      throw new ForebayError('incompleteBody', text);
    }
    this.#left = value;
    this.#readBytes += value.length;
  }
}

/** Gives `act` the whole body, replayable; the memory is held until `act` settles. */
export async function withWholeBody<T>(
  body: WriteBody,
  budget: BufferBudget,
  signal: AbortSignal,
  act: (body: Body) => Promise<T>,
): Promise<T> {
  const held: HeldBuffer = await budget.take(body.lengthBytes, signal);
  let isClean = false;
  try {
    const reader = new BodyReader(body);
    try {
      await reader.fill(held.bytes);
      await reader.finish();
    } catch (error) {
      await reader.stop();
      throw error;
    }
    signal.throwIfAborted();
    const result = await act(bodyOf(held.bytes));
    isClean = true;
    return result;
  } finally {
    held.release(isClean);
  }
}
