/** Conditions on reads, as RFC 9110 section 13.2.2 orders them, and the parsing of those on writes. */
import { ForebayError } from '../../core/errors.ts';
import type { ObjectFact } from '../../core/object.ts';
import type { WriteCondition } from '../../write/writer.ts';

/** The conditional headers of a request, or of a copy's source. */
export interface ReadConditions {
  readonly ifMatch: string | undefined;
  readonly ifNoneMatch: string | undefined;
  readonly ifModifiedSince: string | undefined;
  readonly ifUnmodifiedSince: string | undefined;
}

/** Clients may hold either of an object's two names: the door's ETag and the origin's (DESIGN.md section 8, clean). */
function isTagOf(tag: string, fact: ObjectFact): boolean {
  const strong = tag.startsWith('W/') ? tag.slice(2) : tag;
  const quoted = strong.startsWith('"') ? strong : `"${strong}"`;
  return quoted === fact.doorEtag || quoted === fact.etag;
}

/** `*`, or a list of ETags; some clients leave the quotes out. */
function matches(header: string, fact: ObjectFact): boolean {
  return header.split(',').some((part) => {
    const tag = part.trim();
    return tag === '*' || (tag !== '' && isTagOf(tag, fact));
  });
}

/** Whole seconds, for HTTP dates have no more; `undefined` for what is no date, which is then ignored. */
function secondsOf(header: string | undefined): number | undefined {
  const ms = header === undefined ? Number.NaN : Date.parse(header);
  return Number.isNaN(ms) ? undefined : Math.floor(ms / 1000);
}

export function evaluate(conditions: ReadConditions, fact: ObjectFact): 'proceed' | 'notModified' | 'failed' {
  const { ifMatch, ifNoneMatch } = conditions;
  const modifiedS = Math.floor(fact.modifiedMs / 1000);
  if (ifMatch !== undefined) {
    if (!matches(ifMatch, fact)) return 'failed';
  } else {
    const unmodifiedSince = secondsOf(conditions.ifUnmodifiedSince);
    if (unmodifiedSince !== undefined && modifiedS > unmodifiedSince) return 'failed';
  }
  if (ifNoneMatch !== undefined) return matches(ifNoneMatch, fact) ? 'notModified' : 'proceed';
  const modifiedSince = secondsOf(conditions.ifModifiedSince);
  return modifiedSince !== undefined && modifiedS <= modifiedSince ? 'notModified' : 'proceed';
}

/** Whether the Range header counts: If-Range names this version, strongly. */
export function isRangeValid(ifRange: string | undefined, fact: ObjectFact): boolean {
  if (ifRange === undefined) return true;
  if (ifRange.startsWith('W/')) return false;
  const seconds = ifRange.startsWith('"') ? undefined : secondsOf(ifRange);
  return seconds === undefined ? isTagOf(ifRange, fact) : seconds === Math.floor(fact.modifiedMs / 1000);
}

/** Throws notImplemented for conditions that S3 does not know on writes. */
export function writeCondition(header: (name: string) => string | undefined): { condition?: WriteCondition } {
  const ifMatch = header('if-match');
  const ifNoneMatch = header('if-none-match');
  if (ifMatch === undefined && ifNoneMatch === undefined) return {};
  if (ifMatch !== undefined && ifNoneMatch !== undefined)
    throw new ForebayError('notImplemented', 'If-Match and If-None-Match together are not served');
  if (ifNoneMatch !== undefined) {
    if (ifNoneMatch !== '*') throw new ForebayError('notImplemented', 'If-None-Match on a write must be *');
    return { condition: { ifNoneMatch: '*' } };
  }
  return { condition: { ifMatch: quotedTag(ifMatch as string) } };
}

/** An ETag with its quotes. Throws invalidArgument for a list. */
export function quotedTag(tag: string): string {
  const text = tag.trim();
  if (text.includes(',')) throw new ForebayError('notImplemented', 'If-Match on a write must name one ETag');
  return text.startsWith('"') || text === '*' ? text : `"${text}"`;
}
