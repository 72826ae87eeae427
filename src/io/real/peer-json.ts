/** JSON between nodes, within bounds, and errors that travel in it. */
import { ERRORS, type ErrorCode, ForebayError } from '../../core/errors.ts';
import { peerMessageDepthMax, peerMessageMaxBytes } from '../../core/limits.ts';
import { DiskError } from '../io.ts';
import type { Json } from '../peers.ts';

const MESSAGE_MAX_CHARACTERS = 2000;

/** Why `text` nests deeper than may be; parsing itself does not care, but who walks the result may recurse. */
function isTooDeep(text: string): boolean {
  let depth = 0;
  let inString = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (inString) {
      if (code === 0x5c) at++;
      else if (code === 0x22) inString = false;
    } else if (code === 0x22) inString = true;
    else if (code === 0x7b || code === 0x5b) {
      if (++depth > peerMessageDepthMax) return true;
    } else if (code === 0x7d || code === 0x5d) depth--;
  }
  return false;
}

/** Reads a message; throws `invalidRequest` on what is not JSON, too large or too deep. */
export function parseBounded(text: string): Json {
  if (text.length > peerMessageMaxBytes)
    throw new ForebayError('invalidRequest', `a message of more than ${peerMessageMaxBytes} bytes`);
  if (isTooDeep(text)) throw new ForebayError('invalidRequest', `a message nested deeper than ${peerMessageDepthMax}`);
  try {
    return JSON.parse(text) as Json;
  } catch (cause) {
    throw new ForebayError('invalidRequest', 'a message that is not JSON', { cause });
  }
}

/** Writes a message; throws `invalidRequest` when the other side would not read it. */
export function writeBounded(value: Json): Buffer {
  const text = JSON.stringify(value) as string | undefined;
  if (text === undefined) throw new ForebayError('invalidRequest', 'a message without a value');
  const bytes = Buffer.from(text);
  if (bytes.length > peerMessageMaxBytes)
    throw new ForebayError(
      'invalidRequest',
      `a message of ${bytes.length} bytes, and ${peerMessageMaxBytes} are allowed`,
    );
  if (isTooDeep(text)) throw new ForebayError('invalidRequest', `a message nested deeper than ${peerMessageDepthMax}`);
  return bytes;
}

/** An error as it travels: `refused` says why a peer was turned away, else `code` is of the table of errors. */
export interface TravellingError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryAfterMs?: number;
  readonly refused?: string;
}

/** What the asker may know of an error. Faults keep their details here: the log has them. */
export function travelling(error: unknown): TravellingError {
  if (error instanceof ForebayError) {
    const { code, retryAfterMs } = error;
    const message = error.message.slice(0, MESSAGE_MAX_CHARACTERS);
    return { code, message, ...(retryAfterMs !== undefined && { retryAfterMs }) };
  }
  if (error instanceof DiskError) return { code: 'diskUnavailable', message: `its disk fails: ${error.code}` };
  return { code: 'internal', message: 'it failed; its log has the details' };
}

/** Reads an error that came from `node`; one that we do not know is `internal`. */
export function arrived(value: unknown): TravellingError {
  const { code, message, retryAfterMs, refused } = (value ?? {}) as Record<string, unknown>;
  const known = typeof code === 'string' && Object.hasOwn(ERRORS, code);
  return {
    code: known ? (code as ErrorCode) : 'internal',
    message: typeof message === 'string' ? message.slice(0, MESSAGE_MAX_CHARACTERS) : 'it failed and did not say how',
    ...(typeof retryAfterMs === 'number' && retryAfterMs >= 0 && { retryAfterMs }),
    ...(typeof refused === 'string' && { refused }),
  };
}

export function peerError(node: string, { code, message, retryAfterMs, refused }: TravellingError): ForebayError {
  const options = retryAfterMs === undefined ? {} : { retryAfterMs };
  return refused === undefined
    ? new ForebayError(code, `${node}: ${message}`, options)
    : new ForebayError('peerRefused', `${node} refuses this node: ${message}`, options);
}
