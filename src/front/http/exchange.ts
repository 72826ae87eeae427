/**
 * One request and its answer, whichever parser read it: `raw-exchange.ts` for the heads that the fast path takes,
 * `node-exchange.ts` for all that node:http parses. Handlers are written once, against this.
 *
 * A handler ends each exchange in one of three ways: `answer`, `begin` … `end`, or `abort`. Until then the connection
 * takes no further request.
 */

import type { Network } from '../../io/io.ts';
import type { Piece } from '../../read/reader.ts';
import type { BodyPlace } from './raw-body.ts';

export interface Exchange {
  readonly method: string;
  /** The request target as sent: one character per byte. */
  readonly target: string;
  /** Name, value, name, value … in the order sent; names in lower case, values trimmed, one character per byte. */
  readonly headers: readonly string[];
  /** The value of a header (name in lower case); those of repeated ones joined by a comma. */
  header(name: string): string | undefined;
  /** Aborts when the client goes away before the answer is complete. */
  readonly signal: AbortSignal;
  /** Declared length of the body as it comes over the wire: 0 without a body, `undefined` when it is chunked. */
  readonly bodyLengthBytes: number | undefined;
  /**
   * The body as it comes, once; asks for it first where the client waits for `100 Continue`. Throws incompleteBody when
   * it ends early.
   */
  body(): AsyncIterable<Uint8Array>;
  /**
   * In place of `body`: all of the body into a file, as `Network.receiveInto`. Absent where the body comes through Node only: then it is
   * gone round by `body`.
   */
  readonly receiveBody?: ((network: Network, place: BodyPlace) => Promise<readonly Uint8Array[]>) | undefined;
  /** Whether the head of the answer has left, so that the status cannot change any more. */
  readonly begun: boolean;
  /** Status and bytes of the body that were sent. */
  readonly status: number;
  readonly sentBytes: number;
  /** A whole answer at once. `headers` holds name, value …; Content-Length and Date are added. HEAD leaves out the body. */
  answer(status: number, headers: readonly string[], body?: Uint8Array): void;
  /** The head of an answer of `lengthBytes`, or of unknown length. */
  begin(status: number, headers: readonly string[], lengthBytes: number | undefined): void;
  /** Resolves when more may be sent. Rejects when the client is gone. */
  sendBytes(bytes: Uint8Array): Promise<void>;
  /** As `sendBytes`, for a piece of an object; a file's bytes leave by `network.sendFile`. Does not release the piece. */
  sendPiece(network: Network, piece: Piece): Promise<void>;
  /** The answer is complete; the connection may take the next request. Throws when fewer bytes than declared were sent. */
  end(): void;
  /** Destroys the connection: the only honest end of a body that cannot be completed. */
  abort(): void;
  /** Runs once, when the exchange is over in whatever way. */
  onDone: (() => void) | undefined;
}

export type Handler = (exchange: Exchange) => void;

/** Joins the values of the headers of one name, `undefined` when there is none. */
export function headerOf(headers: readonly string[], name: string): string | undefined {
  let found: string | undefined;
  for (let index = 0; index < headers.length; index += 2)
    if (headers[index] === name) found = found === undefined ? headers[index + 1] : `${found},${headers[index + 1]}`;
  return found;
}

/** Without the blanks around it; only those that HTTP counts as such. */
export function trimBlanks(text: string): string {
  return text.replace(/^[ \t]+|[ \t]+$/g, '');
}
