/**
 * Objects that do not drain by themselves, and what a person decides about them: keep ours, which then replaces what the origin has now, or
 * theirs, which gives our version up. Both are commits that compare the record, and what was seen at the origin is the new base: when
 * somebody changes it once more, it is a conflict once more (S-8).
 */
import type { Cluster } from '../cluster/cluster.ts';
import { ForebayError, isForebayError } from '../core/errors.ts';
import { type ContentId, originContentId } from '../core/ids.ts';
import { baseOwnMax, conflictLooksMax, listKeysMax } from '../core/limits.ts';
import type { ObjectVersion } from '../core/object.ts';
import type { Volume } from '../core/volume.ts';
import type { Origin } from '../origin/origin.ts';
import type { Base, DirtyRecord, ObjectRecord, Tombstone, Trouble } from '../write/object-record.ts';
import { lateOf } from '../write/record-decisions.ts';
import type { Records } from '../write/records.ts';
import { pendingOf, restated } from '../write/version-order.ts';

export interface Conflict {
  readonly volume: string;
  readonly key: string;
  readonly kind: Trouble['kind'];
  readonly message: string;
  readonly what: 'object' | 'delete';
  readonly sizeBytes?: number;
  /** Where our version lies at the origin meanwhile. */
  readonly parked?: string;
  /** What the origin has under the key now; absent where it could not be asked. */
  readonly theirs?: 'nothing' | { readonly etag: string; readonly sizeBytes: number; readonly modifiedMs: number };
}

export interface Resolution {
  readonly volume: string;
  readonly key: string;
  readonly keep: 'ours' | 'theirs';
}

export interface ConflictsOptions {
  readonly cluster: Pick<Cluster, 'fence'>;
  readonly records: Records;
  readonly volumes: ReadonlyMap<string, { readonly volume: Volume; readonly origin: Origin }>;
  readonly onWritten: (volume: string, key: string) => Promise<void>;
}

export class Conflicts {
  readonly #options: ConflictsOptions;

  constructor(options: ConflictsOptions) {
    this.#options = options;
  }

  async list(volume: string): Promise<readonly Conflict[]> {
    const found: Conflict[] = [];
    for (let after: string | undefined; ; ) {
      const page = await this.#options.records.list(volume, {
        prefix: '',
        limit: listKeysMax,
        ...(after !== undefined && { after }),
      });
      const troubled: Conflict[] = [];
      for (const { key, record } of page) {
        const version = pendingOf(record);
        if (version?.trouble === undefined) continue;
        const { kind, message, parked } = version.trouble;
        const object =
          version.kind === 'dirty'
            ? { what: 'object' as const, sizeBytes: version.sizeBytes }
            : { what: 'delete' as const };
        troubled.push({ volume, key, kind, message, ...object, ...(parked && { parked: parked.key }) });
      }
      for (let at = 0; at < troubled.length; at += conflictLooksMax) {
        const some = troubled.slice(at, at + conflictLooksMax);
        found.push(...(await Promise.all(some.map(async (each) => ({ ...each, ...(await this.#theirs(each)) })))));
      }
      after = page.at(-1)?.key;
      if (page.length < listKeysMax) return found;
    }
  }

  async #theirs({ volume, key }: Conflict): Promise<Pick<Conflict, 'theirs'>> {
    try {
      const now = await this.#options.volumes.get(volume)?.origin.head(key);
      if (now === undefined) return { theirs: 'nothing' };
      const { etag, sizeBytes, modifiedMs } = now;
      return { theirs: { etag, sizeBytes, modifiedMs } };
    } catch (error) {
      if (!isForebayError(error)) throw error;
      return {};
    }
  }

  async resolve({ volume: name, key, keep }: Resolution): Promise<void> {
    const { records, cluster, volumes, onWritten } = this.#options;
    const { volume, origin } = volumes.get(name) as { volume: Volume; origin: Origin };
    const { record, revision } = await records.read(name, key);
    const version = pendingOf(record);
    if (record === undefined || version?.trouble === undefined)
      throw new ForebayError('noSuchKey', `nothing is in trouble under "${key}" in ${name}; see forebay conflicts ls`);
    const now = await origin.head(key);
    const current = keep === 'ours' ? ours(version, revision, now) : theirs({ volume, key }, version, now);
    if (keep === 'theirs') await onWritten(name, key);
    await records.commit({
      volume: name,
      key,
      expected: revision,
      record: { ...record, current },
      fences: [cluster.fence()],
    });
    await onWritten(name, key);
    const { parked } = version.trouble;
    // of what is kept the parked copy stays until the origin has it: its keeper sees to that
    if (keep === 'theirs' && parked !== undefined)
      await origin.delete(parked.key, { ifMatch: parked.etag }).catch((error: unknown) => {
        if (!isForebayError(error)) throw error;
      });
  }
}

function ours(
  version: DirtyRecord | Tombstone,
  revision: number,
  now: ObjectVersion | undefined,
): DirtyRecord | Tombstone {
  const { own, late } = version.base;
  const base: Base = {
    origin: now === undefined ? 'absent' : { etag: now.etag },
    own,
    ...(late !== undefined && { late }),
  };
  if (version.kind === 'dirty') {
    const { trouble: _, upload: _upload, ...rest } = restated(version, revision, { base, urgent: true });
    return rest;
  }
  const { trouble: _, ...rest } = restated(version, revision, { base, urgent: true });
  return rest;
}

/** Says explicitly that our version is given up: its holders may free it. A request of it that comes late is known for what it is. */
function theirs(
  { volume, key }: { volume: Volume; key: string },
  version: DirtyRecord | Tombstone,
  now: ObjectVersion | undefined,
): NonNullable<ObjectRecord['current']> {
  const { begunRevision } = version;
  const late =
    version.kind === 'dirty'
      ? lateOf({ ...version, base: { ...version.base, ownDelete: true } })
      : tombstoneLate(version);
  if (now === undefined) {
    const base: Base = { origin: 'absent', own: [], ...late };
    return { kind: 'tombstone', modifiedMs: 0, base, begunRevision, drained: true };
  }
  const { sizeBytes, modifiedMs, headers, metadata, etag } = now;
  const content = originContentId({ volume: volume.name, key, etag });
  return {
    kind: 'stub',
    content,
    sizeBytes,
    chunkSizeBytes: volume.chunkSizeBytes,
    modifiedMs,
    headers,
    metadata,
    etag,
    ...late,
  };
}

function tombstoneLate({ base: { own, late = [] } }: Tombstone): { late?: readonly ContentId[] } {
  const all = [...late, ...own];
  return all.length === 0 ? {} : { late: all.slice(-baseOwnMax) };
}
