/** Bodies on their way to an origin: made of bytes, gathered whole, or streamed with their length held to account. */
import { ForebayError } from '../core/errors.ts';
import type { Body } from './origin.ts';

/** A replayable body of bytes that nobody changes any more. */
export function bodyOf(...pieces: readonly Uint8Array[]): Body {
  return {
    lengthBytes: pieces.reduce((sum, piece) => sum + piece.length, 0),
    replayable: true,
    async *stream() {
      yield* pieces;
    },
  };
}

/** Throws unless exactly the declared bytes came. */
function checkLength(body: Body, cameBytes: number): void {
  if (cameBytes === body.lengthBytes) return;
  const text = `the body has ${cameBytes < body.lengthBytes ? 'only ' : 'at least '}${cameBytes} bytes where ${body.lengthBytes} were declared`;
  throw new ForebayError('incompleteBody', text);
}

/**
 * The pieces of `body`, each held back until the one after it (or the end) is there. So the last byte, with which an
 * origin may commit, is never sent of a body whose end turns out to be an error (a wrong checksum), and never of one
 * that is longer than declared.
 */
export async function* heldBack(body: Body): AsyncGenerator<Uint8Array, void, undefined> {
  let held: Uint8Array | undefined;
  let cameBytes = 0;
  for await (const piece of body.stream()) {
    if (piece.length === 0) continue;
    cameBytes += piece.length;
    if (cameBytes > body.lengthBytes) checkLength(body, cameBytes);
    if (held !== undefined) yield held;
    held = piece;
  }
  checkLength(body, cameBytes);
  if (held !== undefined) yield held;
}

/** All bytes of `body` in one piece; without a copy where they already are, unless `own` asks for bytes of one's own. */
export async function gather(body: Body, options: { own?: boolean } = {}): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of heldBack(body)) pieces.push(piece);
  const only = pieces[0];
  if (pieces.length === 1 && only !== undefined && options.own !== true) return only;
  return Buffer.concat(pieces, body.lengthBytes);
}

/**
 * `body` as consecutive bodies of the given sizes, made from one pass: each must be read to its end before the next is
 * asked for. The last byte of all comes only when `body` has ended well.
 */
export async function* cut(body: Body, sizes: readonly number[]): AsyncGenerator<Body, void, undefined> {
  const pieces = heldBack(body);
  let left: Uint8Array = new Uint8Array(0);
  async function* take(lengthBytes: number): AsyncGenerator<Uint8Array, void, undefined> {
    for (let need = lengthBytes; need > 0; ) {
      if (left.length === 0) {
        const { value, done } = await pieces.next();
        if (done) return;
        left = value;
      }
      const piece = left.subarray(0, need);
      left = left.subarray(piece.length);
      need -= piece.length;
      yield piece;
    }
  }
  try {
    if (sizes.length === 1) yield body;
    else for (const lengthBytes of sizes) yield { lengthBytes, replayable: false, stream: () => take(lengthBytes) };
  } finally {
    await pieces.return();
  }
}
