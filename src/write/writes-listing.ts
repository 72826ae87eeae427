/** What of a volume is on its way to the origin, straight from the records: for people and tools that wait for it. */
import type { DirtyRecord, ObjectRecord, Trouble } from './object-record.ts';
import type { Records } from './records.ts';

export interface WrittenObject {
  readonly key: string;
  /** `stub`: the origin has it since a short while. */
  readonly kind: 'dirty' | 'tombstone' | 'stub';
  readonly content?: string;
  readonly sizeBytes?: number;
  readonly level?: DirtyRecord['level'];
  readonly replicas?: readonly string[];
  /** Of a tombstone: the origin has deleted it. */
  readonly drained?: boolean;
  readonly trouble?: Trouble;
}

export interface WritesRequest {
  readonly volume: string;
  readonly prefix: string;
  readonly after?: string;
  readonly limit: number;
}

/** In the order of keys, after `after`; `next` where there may be more. Rejects as `Records`. */
export async function listWrites(
  records: Records,
  { volume, ...request }: WritesRequest,
  signal: AbortSignal,
): Promise<{ readonly objects: readonly WrittenObject[]; readonly next?: string }> {
  const found = await records.list(volume, { ...request, signal });
  const objects = found.flatMap(({ key, record }) => writtenOf(key, record));
  const last = found.length < request.limit ? undefined : found.at(-1);
  return { objects, ...(last && { next: last.key }) };
}

function writtenOf(key: string, { current }: ObjectRecord): WrittenObject[] {
  if (current === undefined) return [];
  const { kind } = current;
  if (kind === 'tombstone') {
    const { drained, trouble } = current;
    return [{ key, kind, drained, ...(trouble && { trouble }) }];
  }
  const { content, sizeBytes } = current;
  if (kind === 'stub') return [{ key, kind, content, sizeBytes }];
  const { level, replicas, trouble } = current;
  return [{ key, kind, content, sizeBytes, level, replicas, ...(trouble && { trouble }) }];
}
