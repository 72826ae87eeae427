/**
 * What doors ask of the write path. `write/staged-writer.ts` implements it for volumes with `writes`, `write/write-through.ts`,
 * which acknowledges when the origin has it, for the others; `write/routed-writer.ts` sends each call to one of them.
 */
import type { ObjectHeaders } from '../core/object.ts';
import type { Range } from '../core/range.ts';
import type { Level } from '../core/volume.ts';
import type { ReceiveInto } from '../io/io.ts';
import type { AttemptName } from './checkpoint-decisions.ts';

export interface Target {
  readonly volume: string;
  readonly key: string;
}

/** Conditions as doors receive them: ETags with quotes, in either name (DESIGN.md section 8, clean). */
export interface WriteCondition {
  readonly ifMatch?: string;
  readonly ifNoneMatch?: '*';
}

/** Where a body goes that does not pass through Node: a file, from a position on, reported in slices up to multiples of `sliceBytes`. */
export type BodyPlace = Pick<ReceiveInto, 'file' | 'position' | 'sliceBytes' | 'onSlice' | 'signal'>;

export interface WriteBody {
  /** Decoded length in bytes. */
  readonly lengthBytes: number;
  /** Yields exactly `lengthBytes`, then ends; throws (incompleteBody, badDigest, contentMismatch…) before it ends when the body is not what was declared, so that nothing is committed. */
  stream(): AsyncIterable<Uint8Array>;
  /** In place of `stream`, where it can be: resolves once all of it is in the file and is what was declared; rejects as `stream` throws, or with what the disk or `onSlice` says. */
  readonly receiveInto?: ((place: BodyPlace) => Promise<void>) | undefined;
}

export interface WriteAttributes {
  readonly headers: ObjectHeaders;
  readonly metadata: Readonly<Record<string, string>>;
}

export interface Written {
  readonly doorEtag: string;
  readonly modifiedMs: number;
  /** Who has it now. */
  readonly level: Level;
}

/** `ack`: what this request waits for, in place of the volume's own; a stronger level may be given than was asked for. */
export interface WriteOptions {
  /** The object is one of a checkpoint in the making: nobody sees it before the checkpoint is committed. Staged volumes only. */
  readonly checkpoint?: AttemptName;
  readonly condition?: WriteCondition;
  readonly ack?: Level;
  readonly signal: AbortSignal;
}

export interface AdoptedFile {
  /** Absolute. */
  readonly path: string;
  /** It is committed after what has been committed by then, here and at the origin (S-7); its bytes are taken meanwhile. */
  readonly after?: Promise<void>;
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
  put(target: Target, body: WriteBody, options: WriteAttributes & WriteOptions): Promise<Written>;
  delete(target: Target, options?: { ifMatch?: string; ack?: Level }): Promise<void>;
  /** `attributes` absent: the source's are kept. `sourceIf…`: conditions on the source, already evaluated by the door. */
  copy(source: Target, target: Target, options: WriteOptions & { attributes?: WriteAttributes }): Promise<Written>;
  /**
   * Gives an object another key, over whatever is there, for everyone at once (S-5). Only within a volume; where its writes go
   * straight to the origin throws notImplemented.
   */
  rename(source: Target, target: Target, options: { ack?: Level; signal: AbortSignal }): Promise<Written>;
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
    options: WriteOptions,
  ): Promise<Written>;
  abortUpload(target: Target, uploadId: string): Promise<void>;
}

/** Of volumes that are staged. */
export interface Adopter {
  /**
   * Takes over a finished file of this machine, by a link where that can be; the file stays where it is. As `Writer.put`, and
   * throws versionChanged when the file changes meanwhile, noSuchKey when it is gone.
   */
  adopt(
    target: Target,
    file: AdoptedFile,
    options: WriteAttributes & WriteOptions,
  ): Promise<Written & { sizeBytes: number }>;
}
