/**
 * How an object is cut into parts at the origin: they grow (DESIGN.md section 8), so that 6 TiB fit the 10,000 parts of S3 and the 50,000
 * blocks of Azure, and small objects still drain from several nodes. All are whole chunks and blocks.
 */
import { GiB, MiB } from '../core/limits.ts';
import type { Range } from '../core/range.ts';

const STEPS: readonly { readonly bytes: number; readonly count: number }[] = [
  { bytes: 16 * MiB, count: 4000 },
  { bytes: 256 * MiB, count: 3000 },
  { bytes: 2 * GiB, count: 3000 },
];

export interface Unit extends Range {
  /** The part's number at the origin, from 1 on. */
  readonly number: number;
}

/** The parts of an object, in order. What passes the last step's parts is in the last. */
export function unitsOf(sizeBytes: number): Unit[] {
  const units: Unit[] = [];
  let start = 0;
  for (const { bytes, count } of STEPS)
    for (let n = 0; n < count && start < sizeBytes; n++) {
      const end = Math.min(start + bytes, sizeBytes);
      units.push({ number: units.length + 1, start, end });
      start = end;
    }
  const last = units.at(-1);
  if (start < sizeBytes && last !== undefined) units[units.length - 1] = { ...last, end: sizeBytes };
  return units;
}
