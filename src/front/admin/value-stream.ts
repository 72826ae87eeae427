/**
 * Many values as one answer, in the order asked for (docs/formats/kv-http.md): before each its length, 8 bytes little-endian, all ones for
 * a miss. An answer that ends early was cut off: there is no other way to say it once bytes have left.
 */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { isForebayError } from '../../core/errors.ts';
import type { OpenValue } from '../../kv/kv.ts';
import type { Piece } from '../../read/reader.ts';
import { written } from '../http/socket-write.ts';
import { piecesOrMiss } from '../kv/value-object.ts';
import { SAFE_HEADERS } from './answer.ts';

const TYPE = 'application/vnd.forebay.values';
const MISS = Buffer.alloc(8, 0xff);
/** Values up to this leave with their length in one write. */
const JOINED_MAX_BYTES = 64 * 1024;
const READ_BYTES = 1 << 20;

/** Ends the answer and returns its bytes. What fails before the first value still gets its status. */
export async function sendValues(
  response: ServerResponse,
  values: AsyncIterable<OpenValue | undefined>,
  signal: AbortSignal,
): Promise<number> {
  const stream = new ValueStream(response, signal);
  for await (const value of values) {
    try {
      await (value === undefined ? stream.write(MISS) : stream.value(value));
    } finally {
      value?.close();
    }
  }
  stream.begin();
  response.end();
  return stream.bytes;
}

class ValueStream {
  bytes = 0;
  readonly #response: ServerResponse;
  readonly #signal: AbortSignal;

  constructor(response: ServerResponse, signal: AbortSignal) {
    this.#response = response;
    this.#signal = signal;
  }

  begin(): void {
    if (!this.#response.headersSent) this.#response.writeHead(200, { ...SAFE_HEADERS, 'content-type': TYPE });
  }

  /** For bytes that stay as they are. */
  async write(bytes: Uint8Array): Promise<void> {
    this.#signal.throwIfAborted();
    this.begin();
    this.bytes += bytes.length;
    if (!this.#response.write(bytes)) await once(this.#response, 'drain', { signal: this.#signal });
  }

  async value(value: OpenValue): Promise<void> {
    const { sizeBytes } = value.fact;
    const { hot } = value;
    if (hot !== undefined || sizeBytes === 0) {
      if (sizeBytes <= JOINED_MAX_BYTES) return await this.write(Buffer.concat([lengthOf(sizeBytes), hot ?? EMPTY]));
      await this.write(lengthOf(sizeBytes));
      return await this.write(hot as Uint8Array);
    }
    const pieces = piecesOrMiss(value, { start: 0, end: sizeBytes }, this.#signal);
    try {
      let next = await pieces.next().catch((error: unknown) => {
        if (isForebayError(error, 'noSuchKey')) return undefined;
        throw error;
      });
      if (next === undefined) return await this.write(MISS);
      await this.write(lengthOf(sizeBytes));
      for (; next.done !== true; next = await pieces.next()) {
        try {
          await this.#piece(next.value);
        } finally {
          next.value.release();
        }
      }
    } finally {
      await pieces.return(undefined);
    }
  }

  /** Resolves when the kernel has the bytes: the piece may go then. */
  async #piece(piece: Piece): Promise<void> {
    if (piece.kind === 'bytes') return await this.#out(piece.bytes);
    const { start, end } = piece.range;
    for (let at = start; at < end; at += READ_BYTES)
      await this.#out(await piece.file.read(at, Math.min(READ_BYTES, end - at)));
  }

  async #out(bytes: Uint8Array): Promise<void> {
    this.#signal.throwIfAborted();
    await written(this.#response, bytes);
    this.bytes += bytes.length;
  }
}

const EMPTY = new Uint8Array(0);

function lengthOf(bytes: number): Buffer {
  const length = Buffer.allocUnsafe(8);
  length.writeBigUInt64LE(BigInt(bytes));
  return length;
}
