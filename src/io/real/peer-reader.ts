/**
 * Reads a peer's connection by exact lengths. What comes while nobody reads waits here up to a bound, then in the
 * kernel. After the connection's end every read gives `undefined`.
 */
import type { Connection } from '../io.ts';

const HELD_MAX_BYTES = 256 << 10;
const HEAD_END = Buffer.from('\r\n\r\n');

export class PeerReader {
  readonly #connection: Connection;
  #chunks: Buffer[] = [];
  #heldBytes = 0;
  #ended = false;
  #wake: (() => void) | undefined;
  readonly #detach: () => void;

  /** `first`: bytes that were read before. */
  constructor(connection: Connection, first?: Buffer) {
    this.#connection = connection;
    if (first && first.length > 0) this.#hold(first);
    const onData = (bytes: Buffer) => this.#hold(bytes);
    const onEnd = () => {
      this.#ended = true;
      this.#wake?.();
    };
    connection.on('data', onData).on('end', onEnd).on('close', onEnd).on('error', onEnd);
    this.#detach = () => {
      // the listener for errors stays: an error of an idle connection concerns nobody
      connection.off('data', onData).off('end', onEnd).off('close', onEnd).pause();
    };
    connection.resume();
  }

  /** Bytes that came and were not read. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  #hold(bytes: Buffer): void {
    this.#chunks.push(bytes);
    this.#heldBytes += bytes.length;
    if (this.#heldBytes >= HELD_MAX_BYTES) this.#connection.pause();
    this.#wake?.();
  }

  async #more(): Promise<boolean> {
    if (this.#ended) return false;
    this.#connection.resume();
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = undefined;
    return true;
  }

  /** A head with the empty line that ends it, one character per byte; empty where it is longer than `maxBytes`. */
  async head(maxBytes: number): Promise<string | undefined> {
    for (let held = -1; ; ) {
      if (this.#heldBytes !== held) {
        held = this.#heldBytes;
        const joined = this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks);
        const end = joined.indexOf(HEAD_END);
        if (end >= 0 && end <= maxBytes) {
          const length = end + HEAD_END.length;
          this.#keep(joined.subarray(length));
          return joined.toString('latin1', 0, length);
        }
        if (joined.length > maxBytes) return '';
        this.#keep(joined);
      }
      if (!(await this.#more()) && this.#heldBytes === held) return undefined;
    }
  }

  #keep(rest: Buffer): void {
    this.#chunks = rest.length > 0 ? [rest] : [];
    this.#heldBytes = rest.length;
  }

  async exactly(length: number): Promise<Buffer | undefined> {
    const bytes = Buffer.allocUnsafe(length);
    return (await this.into(bytes)) ? bytes : undefined;
  }

  /** Fills `target`; false when the connection ends before. */
  async into(target: Buffer): Promise<boolean> {
    for (let got = 0; got < target.length; ) {
      const chunk = this.#chunks[0];
      if (chunk === undefined) {
        if (!(await this.#more()) && this.#chunks.length === 0) return false;
        continue;
      }
      const taken = Math.min(chunk.length, target.length - got);
      chunk.copy(target, got, 0, taken);
      got += taken;
      this.#heldBytes -= taken;
      if (taken === chunk.length) this.#chunks.shift();
      else this.#chunks[0] = chunk.subarray(taken);
    }
    return true;
  }

  /** Stops reading; the connection goes on to whoever takes it. */
  detach(): void {
    this.#detach();
  }
}
