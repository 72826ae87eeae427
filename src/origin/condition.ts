/** Conditions of writes, for origins that decide them themselves. */
import { ForebayError } from '../core/errors.ts';
import type { Condition } from './origin.ts';

/** Throws preconditionFailed unless `condition` holds for the version that is there now. */
export function checkCondition(key: string, now: { etag: string } | undefined, condition: Condition | undefined): void {
  if (condition?.ifNoneMatch !== undefined && now !== undefined)
    throw new ForebayError('preconditionFailed', `"${key}" exists`);
  if (condition?.ifMatch !== undefined && now?.etag !== condition.ifMatch)
    throw new ForebayError('preconditionFailed', `"${key}" is ${now === undefined ? 'not there' : now.etag}`);
}
