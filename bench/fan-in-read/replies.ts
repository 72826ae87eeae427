/** Reads RESP2 replies as their bytes come, in whatever pieces. Large bulks can be handed on piecewise, so that nothing is held whole. */

/** A bulk is its bytes, or their number where a sink took them; `null` is a miss. */
export type Reply = string | number | Buffer | null | readonly Reply[];

/** Takes the bytes of the bulks of a reply: of the `index`th one (misses counted), from `at` on. A piece is good until it returns. */
export type BulkSink = (index: number, at: number, piece: Buffer) => void;

/** The server's `-…`. */
export class RespError extends Error {
  override name = 'RespError';
}

const LINE_MAX_BYTES = 64 * 1024;
const CRLF_BYTES = 2;

interface Nest {
  readonly count: number;
  readonly items: Reply[];
}

interface Bulk {
  readonly length: number;
  /** Counts the line's end. */
  receivedBytes: number;
  readonly held: Buffer | undefined;
}

export class ReplyReader {
  readonly #onReply: (reply: Reply | RespError) => void;
  readonly #sinkOf: () => BulkSink | undefined;
  #line = '';
  #bulk: Bulk | undefined;
  #bulks = 0;
  #nests: Nest[] = [];

  /** `sinkOf`: asked at each bulk of the reply that is coming. */
  constructor(onReply: (reply: Reply | RespError) => void, sinkOf: () => BulkSink | undefined = () => undefined) {
    this.#onReply = onReply;
    this.#sinkOf = sinkOf;
  }

  /** Throws when the bytes are no RESP. */
  feed(piece: Buffer): void {
    for (let at = 0; at < piece.length; )
      at += this.#bulk ? this.#takeBulk(this.#bulk, piece, at) : this.#takeLine(piece, at);
  }

  #takeLine(piece: Buffer, at: number): number {
    const end = piece.indexOf(10, at);
    this.#line += piece.toString('latin1', at, end < 0 ? piece.length : end + 1);
    if (this.#line.length > LINE_MAX_BYTES) throw new Error('a line of a reply has no end');
    if (end < 0) return piece.length - at;
    const line = this.#line.slice(0, -CRLF_BYTES);
    this.#line = '';
    this.#begin(line);
    return end + 1 - at;
  }

  #begin(line: string): void {
    const rest = line.slice(1);
    const count = Number(rest);
    const isNone = line[0] === '_' || ((line[0] === '$' || line[0] === '*') && count < 0);
    if (isNone) {
      if (line[0] === '$') this.#bulks += 1;
      this.#add(null);
    } else if (line[0] === '+') this.#add(rest);
    else if (line[0] === '-') this.#add(new RespError(rest));
    else if (line[0] === ':') this.#add(count);
    else if (line[0] === '$')
      this.#bulk = { length: count, receivedBytes: 0, held: this.#sinkOf() ? undefined : Buffer.allocUnsafe(count) };
    else if (line[0] === '*' && count > 0) this.#nests.push({ count, items: [] });
    else if (line[0] === '*') this.#add([]);
    else throw new Error(`not a reply: ${JSON.stringify(line.slice(0, 80))}`);
  }

  #takeBulk(bulk: Bulk, piece: Buffer, from: number): number {
    const length = Math.min(piece.length - from, bulk.length + CRLF_BYTES - bulk.receivedBytes);
    const at = bulk.receivedBytes;
    const ofBody = piece.subarray(from, from + Math.max(0, Math.min(length, bulk.length - at)));
    if (ofBody.length > 0) {
      if (bulk.held) ofBody.copy(bulk.held, at);
      else this.#sinkOf()?.(this.#bulks, at, ofBody);
    }
    bulk.receivedBytes += length;
    if (bulk.receivedBytes === bulk.length + CRLF_BYTES) {
      this.#bulk = undefined;
      this.#bulks += 1;
      this.#add(bulk.held ?? bulk.length);
    }
    return length;
  }

  #add(reply: Reply | RespError): void {
    let done: Reply | RespError = reply;
    for (;;) {
      const nest = this.#nests.at(-1);
      if (nest === undefined) break;
      // An error within an array is told as the whole reply: no command of the bench has such.
      if (done instanceof RespError) throw done;
      nest.items.push(done);
      if (nest.items.length < nest.count) return;
      this.#nests.pop();
      done = nest.items;
    }
    this.#bulks = 0;
    this.#onReply(done);
  }
}
