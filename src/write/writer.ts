/**
 * What doors ask of the write path. Until fan-out writes exist, `write/write-through.ts` implements it: a write is
 * acknowledged when the origin has it.
 */
import type { ObjectHeaders } from '../core/object.ts';
import type { Range } from '../core/range.ts';

export interface Target {
  readonly volume: string;
  readonly key: string;
}

/** Conditions as doors receive them: ETags with quotes, in either name (DESIGN.md section 8, clean). */
export interface WriteCondition {
  readonly ifMatch?: string;
  readonly ifNoneMatch?: '*';
}

export interface WriteBody {
  /** Decoded length in bytes. */
  readonly lengthBytes: number;
  /** Yields exactly `lengthBytes`, then ends; throws (incompleteBody, badDigest, contentMismatch…) before it ends when the body is not what was declared, so that nothing is committed. */
  stream(): AsyncIterable<Uint8Array>;
}

export interface WriteAttributes {
  readonly headers: ObjectHeaders;
  readonly metadata: Readonly<Record<string, string>>;
}

export interface Written {
  readonly doorEtag: string;
  readonly modifiedMs: number;
}

export interface UploadInfo extends Target {
  readonly uploadId: string;
  readonly begunMs: number;
}

export interface PartInfo {
  readonly number: number;
  readonly doorEtag: string;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
}

/** Every method throws accessDenied for volumes without `write = true`, noSuchBucket for unknown ones. */
export interface Writer {
  put(
    target: Target,
    body: WriteBody,
    options: WriteAttributes & { condition?: WriteCondition; signal: AbortSignal },
  ): Promise<Written>;
  delete(target: Target, options?: { ifMatch?: string }): Promise<void>;
  /** `attributes` absent: the source's are kept. `sourceIf…`: conditions on the source, already evaluated by the door. */
  copy(
    source: Target,
    target: Target,
    options: { attributes?: WriteAttributes; condition?: WriteCondition; signal: AbortSignal },
  ): Promise<Written>;
  beginUpload(target: Target, attributes: WriteAttributes): Promise<{ uploadId: string }>;
  putPart(target: Target, uploadId: string, number: number, body: WriteBody, signal: AbortSignal): Promise<PartInfo>;
  copyPart(
    source: Target & { range?: Range },
    target: Target,
    uploadId: string,
    number: number,
    signal: AbortSignal,
  ): Promise<PartInfo>;
  listParts(target: Target, uploadId: string): Promise<readonly PartInfo[]>;
  listUploads(volume: string, prefix: string): Promise<readonly UploadInfo[]>;
  /** Parts by number and the ETag that `putPart` gave. invalidPart, invalidPartOrder, tooSmall, noSuchUpload. */
  completeUpload(
    target: Target,
    uploadId: string,
    parts: readonly { number: number; doorEtag: string }[],
    options: { condition?: WriteCondition; signal: AbortSignal },
  ): Promise<Written>;
  abortUpload(target: Target, uploadId: string): Promise<void>;
}
