/** A request's body as bytes to be kept. */
import type { IncomingMessage } from 'node:http';
import { ForebayError } from '../../core/errors.ts';
import type { WriteBody } from '../../write/writer.ts';

/** Throws missingLength, tooLarge; reads nothing yet. */
export function sentBody(request: IncomingMessage, maxBytes: number): WriteBody {
  const length = request.headers['content-length'];
  if (length === undefined || !/^\d{1,15}$/.test(length))
    throw new ForebayError('missingLength', 'the bytes come with Content-Length');
  const lengthBytes = Number(length);
  if (lengthBytes > maxBytes) throw new ForebayError('tooLarge', `one request brings at most ${maxBytes} bytes`);
  return {
    lengthBytes,
    async *stream() {
      let sent = 0;
      for await (const piece of request as AsyncIterable<Buffer>) {
        sent += piece.length;
        yield piece;
      }
      if (sent < lengthBytes) throw new ForebayError('incompleteBody', `${sent} of ${lengthBytes} bytes came`);
    },
  };
}
