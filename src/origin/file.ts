/**
 * The `file:` origin: objects are plain files below a root that others may read and change as well.
 *
 * An object appears by rename of a synced temporary file, so it is whole or not there (S-5). Its ETag is made of
 * device, inode, size, mtime and ctime, compared before the first and after each read, so a change by anyone shows as versionChanged as far as
 * the file system's clock can tell two changes apart. Conditions hold against everyone for "not there" (`link(2)`) and
 * against this process for "still this version". What a tree cannot hold is refused: see `file-path.ts`; an object `a` beside
 * objects below `a/` is an error that names both.
 *
 * Crash: temporary files stay in `.forebay/tmp/`, uploads in `.forebay/uploads/`; objects are as before or as after.
 */
import { ForebayError } from '../core/errors.ts';
import type { ObjectVersion } from '../core/object.ts';
import { type Range, rangeLength } from '../core/range.ts';
import type { Disk, File, FileStat, Random } from '../io/io.ts';
import { heldBack } from './body.ts';
import { checkCondition } from './condition.ts';
import {
  ensureDirectory,
  etagOf,
  isDiskError,
  listOf,
  modifiedMs,
  originError,
  statOf,
  temporaryPath,
  unlinkIfThere,
} from './file-disk.ts';
import { findMarker, headMarker, putMarker } from './file-marker.ts';
import { checkKey, isMarker, keyProblem, parentOf, pathOf, ROOT } from './file-path.ts';
import { readSidecar, removeSidecar, writeSidecar } from './file-sidecar.ts';
import { listTree } from './file-tree.ts';
import { FileUploads, hexName, stage } from './file-upload.ts';
import { KeyLock } from './key-lock.ts';
import type { Body, ListOptions, ListPage, Origin, PutOptions, TakenPart } from './origin.ts';

const READ_BYTES = 1 << 20;
/** Tries of a commit whose directory is removed under it by a delete of its last other object. */
const COMMITS_MAX = 5;

/** `disk` is rooted at the directory of the URL (see io.ts): it takes relative paths and follows no links. */
export function createFileOrigin(options: { disk: Disk; random: Random; url: string }): Origin {
  return new FileOrigin(options);
}

interface Staged {
  readonly path: string;
  readonly file: File;
}

class FileOrigin implements Origin {
  readonly kind = 'file';
  readonly url: string;
  readonly #disk: Disk;
  readonly #random: Random;
  readonly #uploads: FileUploads;
  readonly #locks = new KeyLock();

  constructor(options: { disk: Disk; random: Random; url: string }) {
    this.url = options.url;
    this.#disk = options.disk;
    this.#random = options.random;
    this.#uploads = new FileUploads(options);
  }

  async head(key: string, options: { signal?: AbortSignal } = {}): Promise<ObjectVersion | undefined> {
    options.signal?.throwIfAborted();
    if (keyProblem(key) !== undefined) return undefined;
    return await this.#trying(`head of "${key}"`, async () => {
      if (isMarker(key)) return await headMarker(this.#disk, key);
      const stat = await statOf(this.#disk, key);
      if (stat?.kind !== 'file') return undefined;
      const attributes = await readSidecar(this.#disk, key, stat);
      return { key, sizeBytes: stat.sizeBytes, etag: etagOf(stat), modifiedMs: modifiedMs(stat), ...attributes };
    });
  }

  async get(
    key: string,
    options: { etag: string; range: Range; signal?: AbortSignal },
  ): Promise<AsyncIterable<Uint8Array>> {
    options.signal?.throwIfAborted();
    const now = await this.#trying(`get of "${key}"`, () => this.#stat(key));
    if (now === undefined || etagOf(now) !== options.etag) throw changed(key, options.etag);
    return this.#read(key, options);
  }

  async list(options: ListOptions): Promise<ListPage> {
    options.signal?.throwIfAborted();
    return await this.#trying(`listing of "${options.prefix}"`, () => listTree(this.#disk, options));
  }

  async put(key: string, body: Body, options: PutOptions): Promise<{ etag: string }> {
    checkKey(key);
    options.signal?.throwIfAborted();
    return await this.#trying(`put of "${key}"`, async () => {
      if (isMarker(key)) return await this.#putMarker(key, body, options);
      const staged = await stage(this.#disk, this.#random, heldBack(body), options.signal);
      return await this.#commit(key, staged, options);
    });
  }

  async begin(key: string, options: PutOptions): Promise<string> {
    checkKey(key);
    options.signal?.throwIfAborted();
    return await this.#trying(`begin of an upload of "${key}"`, () => this.#uploads.begin(key));
  }

  async part(
    upload: { key: string; id: string },
    number: number,
    body: Body,
    options: { signal?: AbortSignal } = {},
  ): Promise<TakenPart> {
    options.signal?.throwIfAborted();
    const what = `part ${number} of "${upload.key}"`;
    return await this.#trying(what, () => this.#uploads.part(upload, number, body, options.signal));
  }

  async parts(upload: { key: string; id: string }): Promise<readonly TakenPart[]> {
    return await this.#trying(`parts of "${upload.key}"`, () => this.#uploads.parts(upload));
  }

  async finalise(
    upload: { key: string; id: string },
    parts: readonly TakenPart[],
    options: PutOptions,
  ): Promise<{ etag: string }> {
    options.signal?.throwIfAborted();
    return await this.#trying(`completion of "${upload.key}"`, async () => {
      const body = await this.#uploads.joined(upload, parts);
      const staged = await stage(this.#disk, this.#random, body.stream(), options.signal);
      const written = await this.#commit(upload.key, staged, options);
      await this.#uploads.abort(upload);
      return written;
    });
  }

  async abort(upload: { key: string; id: string }): Promise<void> {
    await this.#trying(`abort of "${upload.key}"`, () => this.#uploads.abort(upload));
  }

  async delete(key: string, options: { ifMatch?: string; signal?: AbortSignal } = {}): Promise<void> {
    options.signal?.throwIfAborted();
    if (keyProblem(key) !== undefined) return;
    await this.#trying(`delete of "${key}"`, () => this.#locks.hold(key, () => this.#remove(key, options.ifMatch)));
  }

  async copy(
    from: { key: string; etag: string },
    to: string,
    options: PutOptions,
  ): Promise<{ etag: string } | undefined> {
    checkKey(to);
    options.signal?.throwIfAborted();
    if (isMarker(from.key) || isMarker(to)) return undefined;
    return await this.#trying(`copy of "${from.key}"`, async () => {
      const stat = await this.#stat(from.key);
      if (stat === undefined || etagOf(stat) !== from.etag) throw changed(from.key, from.etag);
      const range = { start: 0, end: stat.sizeBytes };
      const staged =
        (await this.#clone(from)) ??
        (await stage(
          this.#disk,
          this.#random,
          this.#read(from.key, { ...options, etag: from.etag, range }),
          undefined,
        ));
      return await this.#commit(to, staged, options);
    });
  }

  async probe(options: { signal?: AbortSignal } = {}): Promise<void> {
    options.signal?.throwIfAborted();
    const root = await this.#trying('probe', () => statOf(this.#disk, ROOT));
    if (root?.kind !== 'directory') throw new ForebayError('noSuchBucket', `${this.url} is not a directory`);
  }

  async close(): Promise<void> {}

  async #trying<T>(what: string, act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      throw originError(error, `${what} at ${this.url}`);
    }
  }

  async #stat(key: string): Promise<FileStat | undefined> {
    if (keyProblem(key) !== undefined) return undefined;
    const stat = isMarker(key) ? (await findMarker(this.#disk, key))?.stat : await statOf(this.#disk, key);
    return stat?.kind === 'file' ? stat : undefined;
  }

  /** The bytes of `range`, read one piece ahead; each piece is given only after the file was found unchanged behind it. */
  async *#read(
    key: string,
    options: { etag: string; range: Range; signal?: AbortSignal },
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const { range, etag, signal } = options;
    if (rangeLength(range) === 0) return;
    signal?.throwIfAborted();
    const file = await this.#trying(`get of "${key}"`, () => this.#disk.open(pathOf(key))).catch((error: unknown) => {
      throw error instanceof ForebayError && isDiskError(error.cause, 'ENOENT') ? changed(key, etag) : error;
    });
    const readAt = (at: number) => file.read(at, Math.min(READ_BYTES, range.end - at));
    let ahead: Promise<Uint8Array> | undefined = readAt(range.start);
    try {
      for (let at = range.start; at < range.end && ahead !== undefined; ) {
        const bytes: Uint8Array = await ahead;
        ahead = undefined;
        if (bytes.length === 0 || etagOf(await file.stat()) !== etag) throw changed(key, etag);
        signal?.throwIfAborted();
        at += bytes.length;
        if (at < range.end) ahead = readAt(at);
        yield bytes;
      }
    } catch (error) {
      throw originError(error, `get of "${key}" at ${this.url}`);
    } finally {
      await ahead?.catch(() => undefined);
      await file.close();
    }
  }

  /** Makes the staged file the object, under the key's lock; of a failure nothing stays. */
  async #commit(key: string, staged: Staged, options: PutOptions): Promise<{ etag: string }> {
    try {
      return await this.#locks.hold(key, async () => {
        options.signal?.throwIfAborted();
        for (let tries = 1; ; tries++) {
          try {
            return await this.#swap(key, staged, options);
          } catch (error) {
            if (tries < COMMITS_MAX && isDiskError(error, 'ENOENT')) continue;
            throw isDiskError(error, 'ENOTDIR', 'EISDIR', 'ELOOP', 'EXDEV', 'ENOTEMPTY') ? inTheWay(key, error) : error;
          }
        }
      });
    } finally {
      await staged.file.close();
      await unlinkIfThere(this.#disk, staged.path);
    }
  }

  async #swap(key: string, staged: Staged, options: PutOptions): Promise<{ etag: string }> {
    await ensureDirectory(this.#disk, parentOf(key));
    const before = await statOf(this.#disk, key);
    if (before !== undefined && before.kind !== 'file') throw inTheWay(key, undefined);
    checkCondition(key, before && { etag: etagOf(before) }, options.condition);
    await writeSidecar({ disk: this.#disk, random: this.#random }, key, await staged.file.stat(), options);
    if (options.condition?.ifNoneMatch === undefined) await this.#disk.rename(staged.path, key);
    else await this.#linkNew(key, staged);
    await this.#disk.syncDirectory(parentOf(key));
    if (before !== undefined) await removeSidecar(this.#disk, key, before);
    return { etag: etagOf(await staged.file.stat()) };
  }

  async #linkNew(key: string, staged: Staged): Promise<void> {
    try {
      await this.#disk.link(staged.path, key);
    } catch (error) {
      throw isDiskError(error, 'EEXIST') ? new ForebayError('preconditionFailed', `"${key}" exists`) : error;
    }
    await this.#disk.unlink(staged.path);
  }

  async #putMarker(key: string, body: Body, options: PutOptions): Promise<{ etag: string }> {
    if (body.lengthBytes > 0)
      throw new ForebayError(
        'invalidArgument',
        `a file origin holds no bytes under "${key}": its "/" makes it a directory`,
      );
    for await (const _ of heldBack(body));
    return await this.#locks.hold(key, async () => {
      const before = await findMarker(this.#disk, key);
      checkCondition(key, before && { etag: etagOf(before.stat) }, options.condition);
      try {
        return await putMarker({ disk: this.#disk, random: this.#random }, key, options);
      } catch (error) {
        throw isDiskError(error, 'ENOTDIR', 'ELOOP', 'EXDEV') ? inTheWay(key, error) : error;
      }
    });
  }

  async #remove(key: string, ifMatch: string | undefined): Promise<void> {
    const stat = await this.#stat(key);
    if (stat === undefined) return;
    if (ifMatch !== undefined) checkCondition(key, { etag: etagOf(stat) }, { ifMatch });
    if (isMarker(key)) {
      const marker = await findMarker(this.#disk, key);
      if (marker !== undefined) await unlinkIfThere(this.#disk, marker.path);
      await this.#prune(pathOf(key));
    } else {
      await unlinkIfThere(this.#disk, key);
      await this.#disk.syncDirectory(parentOf(key)).catch((error: unknown) => {
        // another delete was faster and removed the directory with it
        if (!isDiskError(error, 'ENOENT')) throw error;
      });
      await removeSidecar(this.#disk, key, stat);
      await this.#prune(parentOf(key));
    }
  }

  /** Removes directories that hold nothing any more, upwards: at an object store a prefix ends with its last object. */
  async #prune(directory: string): Promise<void> {
    for (let path = directory; path !== ROOT; path = parentOf(path)) {
      if ((await listOf(this.#disk, path)).length > 0 || (await findMarker(this.#disk, `${path}/`)) !== undefined)
        return;
      try {
        await this.#disk.removeDirectory(path);
      } catch (error) {
        // someone put something, or was faster
        if (isDiskError(error, 'ENOTEMPTY', 'EEXIST', 'ENOENT', 'EACCES', 'EPERM', 'EBUSY')) return;
        throw error;
      }
    }
  }

  /** A reflink of exactly the version `etag` as a staged file; `undefined` where the file system has none. */
  async #clone(from: { key: string; etag: string }): Promise<Staged | undefined> {
    const path = temporaryPath(hexName(this.#random, 12));
    await ensureDirectory(this.#disk, parentOf(path));
    if (!(await this.#disk.clone(from.key, path))) return undefined;
    const after = await statOf(this.#disk, from.key);
    if (after === undefined || etagOf(after) !== from.etag) {
      await unlinkIfThere(this.#disk, path);
      throw changed(from.key, from.etag);
    }
    const file = await this.#disk.open(path, { write: true });
    await file.sync();
    return { path, file };
  }
}

function changed(key: string, etag: string): ForebayError {
  return new ForebayError('versionChanged', `"${key}" is no longer the version ${etag}`);
}

function inTheWay(key: string, cause: unknown): ForebayError {
  const text = `a file origin cannot hold "${key}": a directory, or a file where its directory would be, has that name; delete it or use another key`;
  return new ForebayError('invalidRequest', text, { cause });
}
