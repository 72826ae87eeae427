/** One call at the admin door, and what its key must be allowed to do. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ForebayError } from '../../core/errors.ts';
import { type AccessKey, mayAccess, type Right } from '../credentials.ts';

export interface Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly url: URL;
  readonly key: AccessKey;
  readonly isKv: (volume: string) => boolean;
  /** Aborts when the client goes away. */
  readonly signal: AbortSignal;
}

/** Answers the call and returns the bytes sent. */
export type Operation = (call: Call) => Promise<number> | number;

export interface NamedOperation {
  readonly method: string;
  readonly name: string;
  readonly run: Operation;
}

/** Throws accessDenied. `*` stands for every volume. */
export function demand(key: AccessKey, volume: string, right: Right): void {
  if (mayAccess(key, volume, right)) return;
  const where = volume === '*' ? 'every volume' : `the volume ${volume}`;
  throw new ForebayError('accessDenied', `the key ${key.id} lacks the right "${right}" on ${where}`);
}

/** As `demand`, for what only volumes with an origin have. Throws invalidArgument for kv volumes. */
export function demandObjects({ key, isKv }: Pick<Call, 'key' | 'isKv'>, volume: string, right: Right): void {
  demand(key, volume, right);
  if (isKv(volume))
    throw new ForebayError(
      'invalidArgument',
      `${volume} is a kv volume, without an origin: nothing of it drains, is adopted, or is part of a checkpoint`,
    );
}
