/**
 * Keys as paths below the root of a `file:` origin. Keys come from strangers: what could leave the root, name two
 * things, or touch the origin's own folder is refused here; that no link is followed is the rooted disk's promise.
 */
import { ForebayError } from '../core/errors.ts';

/** The origin's own folder in its root: never listed, never a key. */
export const RESERVED = '.forebay';
/** In it, the objects that the drain parks: keys as others are. */
const PARKED = 'parked';
/** How a rooted disk names its root. */
export const ROOT = '';
/** What file systems of Linux allow in one name. */
const SEGMENT_MAX_BYTES = 255;

/** Why `key` cannot be held in a directory tree; `undefined` when it can. A last `/` marks a directory. */
export function keyProblem(key: string): string | undefined {
  if (key === '') return 'is empty';
  if (key.includes('\0')) return 'contains NUL';
  if (!key.isWellFormed()) return 'is not well-formed Unicode';
  const segments = key.split('/');
  if (segments.at(-1) === '') segments.pop();
  if (segments.length === 0) return 'has an empty segment';
  const isParked = segments[1] === PARKED && segments.length > 2;
  if (segments[0] === RESERVED && !isParked) return `is in ${RESERVED}, which belongs to Forebay`;
  for (const segment of segments) {
    if (segment === '') return 'has an empty segment';
    if (segment === '.' || segment === '..') return `has the segment "${segment}"`;
    if (Buffer.byteLength(segment) > SEGMENT_MAX_BYTES) return `has a segment of more than ${SEGMENT_MAX_BYTES} bytes`;
  }
  return undefined;
}

/** Throws invalidArgument, with the reason, for a key that a directory tree cannot hold. */
export function checkKey(key: string): void {
  const problem = keyProblem(key);
  if (problem !== undefined)
    throw new ForebayError(
      'invalidArgument',
      `a file origin cannot hold the key ${JSON.stringify(key)}: it ${problem}`,
    );
}

export function isMarker(key: string): boolean {
  return key.endsWith('/');
}

/** The path of the file, or for a marker of the directory, that `key` names. */
export function pathOf(key: string): string {
  return isMarker(key) ? key.slice(0, -1) : key;
}

export function parentOf(path: string): string {
  const at = path.lastIndexOf('/');
  return at < 0 ? ROOT : path.slice(0, at);
}

export function join(directory: string, name: string): string {
  return directory === ROOT ? name : `${directory}/${name}`;
}
