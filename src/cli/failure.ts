/** How a command fails, and what the shell sees: 1 failed, 2 wrong use. */

import { ERRORS, type ErrorCode, isForebayError } from '../core/errors.ts';
import { DiskError } from '../io/io.ts';

export const DONE = 0;
export const FAILED = 1;
export const WRONG_USE = 2;

/** A failure with a sentence for the person at the keyboard and what to do about it. */
export class Failure extends Error {
  readonly exitCode: number;
  readonly hint: string | undefined;
  readonly code: ErrorCode | undefined;

  constructor(message: string, options: { hint?: string; exitCode?: number; code?: ErrorCode; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.exitCode = options.exitCode ?? FAILED;
    this.hint = options.hint;
    this.code = options.code;
  }
}

export function wrongUse(message: string, hint?: string): Failure {
  return new Failure(message, { exitCode: WRONG_USE, ...(hint !== undefined && { hint }) });
}

/** Any error as a failure; a wrong configuration is wrong use. */
export function failureOf(error: unknown): Failure {
  if (error instanceof Failure) return error;
  if (isForebayError(error))
    return new Failure(error.message, {
      code: error.code,
      hint: ERRORS[error.code].hint,
      exitCode: error.code === 'config' ? WRONG_USE : FAILED,
      cause: error,
    });
  if (error instanceof DiskError)
    return new Failure(`the disk: ${error.message}`, {
      hint: '`forebay doctor` checks the cache directory.',
      cause: error,
    });
  return new Failure(error instanceof Error ? (error.stack ?? error.message) : String(error), { cause: error });
}
