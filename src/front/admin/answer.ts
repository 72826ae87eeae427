/** How the admin door answers: one JSON document, a stream of JSON lines (NDJSON), or server-sent events. */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { ERRORS, type ErrorCode, isForebayError } from '../../core/errors.ts';
import type { FedEvents } from '../../observe/event-feed.ts';

export const SAFE_HEADERS = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' };

export interface ErrorBody {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string;
}

/** An error as clients see it; what is not ours is `internal` and keeps its details to the log. */
function errorBody(error: unknown): ErrorBody {
  if (isForebayError(error)) return { code: error.code, message: error.message, hint: error.row.hint };
  return { code: 'internal', message: 'the request failed', hint: ERRORS.internal.hint };
}

export function sendJson(response: ServerResponse, status: number, value: unknown): number {
  return sendText(response, status, 'application/json; charset=utf-8', `${JSON.stringify(value)}\n`);
}

export function sendText(response: ServerResponse, status: number, type: string, text: string): number {
  const bytes = Buffer.from(text);
  response.writeHead(status, { ...SAFE_HEADERS, 'content-type': type, 'content-length': bytes.length });
  response.end(bytes);
  return bytes.length;
}

export function sendError(response: ServerResponse, error: unknown): number {
  const body = errorBody(error);
  if (response.headersSent) {
    response.destroy();
    return 0;
  }
  if (body.code === 'unauthenticated') response.setHeader('www-authenticate', 'Bearer realm="forebay"');
  // Part of a refused body may still be on its way: this connection is not used again.
  if (!response.req.complete) response.setHeader('connection', 'close');
  return sendJson(response, ERRORS[body.code].status, body);
}

/**
 * One line per value, then `{"done":true}`; a failure midway is a last line `{"error":…}`, one before the first value an
 * ordinary error answer. Waits for a slow client, stops with the signal.
 */
export async function sendLines(
  response: ServerResponse,
  values: AsyncIterable<unknown>,
  signal: AbortSignal,
): Promise<number> {
  const iterator = values[Symbol.asyncIterator]();
  let bytes = 0;
  const write = async (value: unknown): Promise<void> => {
    const line = `${JSON.stringify(value)}\n`;
    bytes += Buffer.byteLength(line);
    if (!response.write(line)) await once(response, 'drain', { signal });
  };
  try {
    let next = await iterator.next();
    response.writeHead(200, { ...SAFE_HEADERS, 'content-type': 'application/x-ndjson; charset=utf-8' });
    for (; !next.done; next = await iterator.next()) await write(next.value);
    await write({ done: true });
  } catch (error) {
    if (!response.headersSent || signal.aborted) throw error;
    await write({ error: errorBody(error) });
  } finally {
    await iterator.return?.();
  }
  response.end();
  return bytes;
}

/** Server-sent events: one per event, a comment as heartbeat, `event: lost` where the listener was behind. */
export async function sendEvents(
  response: ServerResponse,
  batches: AsyncIterable<FedEvents>,
  signal: AbortSignal,
): Promise<number> {
  response.writeHead(200, { ...SAFE_HEADERS, 'content-type': 'text/event-stream; charset=utf-8' });
  response.write(': forebay\n\n');
  let bytes = 0;
  for await (const { events, lost } of batches) {
    const texts = events.map((event) => `event: ${event.kind}\ndata: ${JSON.stringify(event)}\n\n`);
    if (lost > 0) texts.unshift(`event: lost\ndata: ${JSON.stringify({ lost })}\n\n`);
    const text = texts.length > 0 ? texts.join('') : ': heartbeat\n\n';
    bytes += Buffer.byteLength(text);
    if (!response.write(text)) await once(response, 'drain', { signal });
  }
  response.end();
  return bytes;
}
