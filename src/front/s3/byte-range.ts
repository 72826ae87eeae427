/** The Range header: one range of bytes. Anything else is ignored, as HTTP allows and S3 does. */
import type { Range } from '../../core/range.ts';

/** `undefined`: answer the whole object. `unsatisfiable`: 416. */
export function parseRange(header: string | undefined, sizeBytes: number): Range | 'unsatisfiable' | undefined {
  if (header === undefined) return undefined;
  const match = /^bytes=\s*(\d*)-(\d*)\s*$/.exec(header);
  if (match === null || (match[1] === '' && match[2] === '')) return undefined;
  if (match[1] === '') {
    const length = Math.min(Number(match[2]), sizeBytes);
    return length === 0 ? 'unsatisfiable' : { start: sizeBytes - length, end: sizeBytes };
  }
  const start = Number(match[1]);
  const last = match[2] === '' ? Number.POSITIVE_INFINITY : Number(match[2]);
  if (last < start) return undefined;
  return start >= sizeBytes ? 'unsatisfiable' : { start, end: Math.min(last + 1, sizeBytes) };
}

/** `bytes=first-last` of x-amz-copy-source-range, which must lie in the object. `undefined` where it does not or is malformed. */
export function parseCopyRange(header: string, sizeBytes: number): Range | undefined {
  const match = /^bytes=(\d{1,15})-(\d{1,15})$/.exec(header);
  if (match === null) return undefined;
  const start = Number(match[1]);
  const end = Number(match[2]) + 1;
  return end <= start || end > sizeBytes ? undefined : { start, end };
}
