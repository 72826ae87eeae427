/**
 * Copies one committed version to the origin.
 *
 * It is already safe where `replicas` nodes hold it, synced, and its record says so. Draining frees space and survives the
 * loss of the cluster, so it may be slow but is all or nothing: parts first, in any order and from any holder; the finalising call
 * last, in the order of S-7, conditional on the base version (S-8).
 *
 * Bounds:  those of `part-uploads.ts`.
 * Crash:   the upload is in the record before its first part; parts that the origin lists are not sent again. A finalise that
 *          was applied and not answered, or not recorded, shows by the content id that the object carries.
 */
import { ForebayError, isForebayError } from '../core/errors.ts';
import { drainPutMaxBytes } from '../core/limits.ts';
import { OWN_ID } from '../core/object.ts';
import type { Condition, Origin, PutOptions, TakenPart } from '../origin/origin.ts';
import type { DirtyRecord } from '../write/object-record.ts';
import { type Unit, unitsOf } from './drain-units.ts';
import { blindCondition, judgePut, resolvedBase } from './origin-verdict.ts';
import type { PartUploads } from './part-uploads.ts';

export interface DrainedObject {
  readonly volume: string;
  readonly key: string;
  /** The key at the origin, where that is another: of what is parked. */
  readonly at?: string;
  readonly version: DirtyRecord;
  /** Somebody waits for it. */
  readonly isUrgent: boolean;
}

export interface DrainObjectParts {
  readonly origin: Origin;
  readonly uploads: PartUploads;
  readonly signal: AbortSignal;
  /**
   * Ends the wait for an answer to what cannot be taken back: not because another version took over, whose own attempt comes
   * after this one's outcome is known, but only with the keeper's right.
   */
  readonly lost: AbortSignal;
  /** Whether the origin keeps conditions of puts, and of finalised uploads; where not, it is looked at before. */
  readonly keepsConditions: boolean;
  /** Told of parts, for the progress. */
  readonly onSent: (bytes: number) => void;
  /** Asked right before what cannot be taken back; throws when this node may no longer do that. */
  readonly checkRight: () => void;
}

export type DrainOutcome =
  | { readonly kind: 'drained'; readonly etag: string }
  | { readonly kind: 'conflict'; readonly message: string };

/** An upload with the parts that the origin has. */
export interface UploadState {
  readonly id: string;
  readonly parts: readonly TakenPart[];
}

export function needsUpload(version: DirtyRecord): boolean {
  return version.sizeBytes > drainPutMaxBytes;
}

/** Begins an upload; its id goes into the record before anything is sent. */
export async function beginUpload({ key, at = key, version }: DrainedObject, parts: DrainObjectParts): Promise<string> {
  return await parts.origin.begin(at, putOptions(version, parts));
}

/**
 * Sends what the origin does not have of the upload yet. Throws noSuchUpload where the origin has forgotten it, replicasUnavailable where
 * nobody who holds it is there, the origin's errors. `isNew`: it was begun just now, so that the origin has nothing of it.
 */
export async function uploadParts(
  object: DrainedObject,
  { id, isNew }: { readonly id: string; readonly isNew: boolean },
  { origin, uploads, signal, onSent }: DrainObjectParts,
): Promise<UploadState> {
  const { volume, key, at = key, version, isUrgent } = object;
  const { content, sizeBytes, chunkSizeBytes, replicas } = version;
  const units = unitsOf(sizeBytes);
  const taken = matching(units, isNew ? [] : await origin.parts({ key: at, id }));
  const missing = units.filter(({ number }) => !taken.has(number));
  const part = { volume, key: at, content, sizeBytes, chunkSizeBytes, isUrgent, upload: id };
  const onTaken = (sent: TakenPart) => {
    taken.set(sent.number, sent);
    onSent(sent.sizeBytes);
  };
  await uploads.send(missing, part, { nodes: replicas, signal, onTaken });
  return { id, parts: units.map(({ number }) => taken.get(number) as TakenPart) };
}

/** Of parts in two sizes under one number, that of this cut. */
function matching(units: readonly Unit[], listed: readonly TakenPart[]): Map<number, TakenPart> {
  const wanted = new Map(units.map((unit) => [unit.number, unit.end - unit.start]));
  return new Map(
    listed.filter(({ number, sizeBytes }) => wanted.get(number) === sizeBytes).map((part) => [part.number, part]),
  );
}

/**
 * Makes the version the object at the origin, where that has what the version was written over. An answer that is not clean is
 * settled by looking, once; when the origin cannot be looked at, its error is thrown, and the same call comes again later.
 */
export async function finalise(
  object: DrainedObject,
  upload: UploadState | undefined,
  parts: DrainObjectParts,
): Promise<DrainOutcome> {
  const { version, key, at = key } = object;
  const { origin, signal } = parts;
  let condition = parts.keepsConditions ? blindCondition(version) : undefined;
  for (let looks = 0; ; looks++) {
    if (condition === undefined) {
      const verdict = judgePut(version, await origin.head(at, { signal }));
      if (verdict.kind === 'there') return { kind: 'drained', etag: verdict.etag };
      if (verdict.kind === 'conflict') return verdict;
      condition = verdict.condition;
    }
    parts.checkRight();
    try {
      return { kind: 'drained', etag: await send(object, upload, condition, parts) };
    } catch (error) {
      if (!isSettledByLooking(error) || looks > 0) throw error;
      condition = undefined;
      const verdict = judgePut(version, await origin.head(at, { signal }));
      if (verdict.kind === 'there') return { kind: 'drained', etag: verdict.etag };
      if (verdict.kind === 'conflict') return verdict;
      if (!isForebayError(error, 'preconditionFailed', 'conflict')) throw error;
    }
  }
}

/** Base of a version that was written while the origin was away: what the first look finds. */
export async function firstLook(
  { version, key, at = key }: DrainedObject,
  { origin, signal }: DrainObjectParts,
): Promise<DirtyRecord['base'] | undefined> {
  if (version.base.origin !== 'unknown') return undefined;
  const now = await origin.head(at, { signal });
  return now?.metadata[OWN_ID] === version.content ? undefined : resolvedBase(version.base, now);
}

async function send(
  { volume, key, at = key, version, isUrgent }: DrainedObject,
  upload: UploadState | undefined,
  condition: Condition,
  parts: DrainObjectParts,
): Promise<string> {
  const { origin, uploads, lost, onSent } = parts;
  const options = putOptions(version, { signal: lost });
  const kept = parts.keepsConditions ? { condition } : {};
  if (upload !== undefined)
    return (await origin.finalise({ key: at, id: upload.id }, upload.parts, { ...options, ...kept })).etag;
  const { content, sizeBytes, chunkSizeBytes, replicas } = version;
  const { headers, metadata } = options;
  const held = { volume, key: at, content, sizeBytes, chunkSizeBytes, isUrgent };
  const put = { ...held, headers, metadata, condition: kept.condition };
  const { etag } = await uploads.put(put, replicas, lost);
  onSent(sizeBytes);
  return etag;
}

function putOptions(version: DirtyRecord, { signal }: { signal: AbortSignal }): PutOptions {
  const { headers, metadata, content } = version;
  return { headers, metadata: { ...metadata, [OWN_ID]: content }, signal };
}

/** After these nothing was written. */
const SURELY_NOTHING = [
  'replicasUnavailable',
  'notHeld',
  'originDenied',
  'originThrottled',
  'keyTooLong',
  'invalidArgument',
] as const;

/** Whatever does not say for certain that nothing was written. */
function isSettledByLooking(error: unknown): boolean {
  return error instanceof ForebayError && !isForebayError(error, ...SURELY_NOTHING);
}
