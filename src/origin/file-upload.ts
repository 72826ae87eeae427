/**
 * Uploads in parts to a `file:` origin: `.forebay/uploads/<id>/` with `upload.json` and one file per part. Parts appear
 * by rename, so a part is whole or not there; its token is its file's ETag.
 *
 * Crash: an upload stays until someone finishes or aborts it; a half-written part stays in `.forebay/tmp/`.
 */
import { ForebayError } from '../core/errors.ts';
import type { Disk, File, Random } from '../io/io.ts';
import { heldBack } from './body.ts';
import {
  ensureDirectory,
  etagOf,
  isDiskError,
  listOf,
  readSmall,
  statOf,
  temporaryPath,
  unlinkIfThere,
  writeAll,
  writeSmall,
} from './file-disk.ts';
import { parentOf, RESERVED } from './file-path.ts';
import type { Body, TakenPart } from './origin.ts';

interface UploadName {
  readonly key: string;
  readonly id: string;
}

const ID = /^[0-9a-f]{32}$/;
const PART = /^part-(\d{5})$/;

export function hexName(random: Random, bytes: number): string {
  return Buffer.from(random.bytes(bytes)).toString('hex');
}

export class FileUploads {
  readonly #disk: Disk;
  readonly #random: Random;

  constructor(io: { disk: Disk; random: Random }) {
    this.#disk = io.disk;
    this.#random = io.random;
  }

  async begin(key: string): Promise<string> {
    const id = hexName(this.#random, 16);
    await writeSmall(this.#disk, {
      temporary: temporaryPath(`${id}.upload`),
      path: `${directoryOf(id)}/upload.json`,
      bytes: Buffer.from(JSON.stringify({ key })),
    });
    return id;
  }

  async part(upload: UploadName, number: number, body: Body, signal: AbortSignal | undefined): Promise<TakenPart> {
    const directory = await this.#open(upload);
    const staged = await stage(this.#disk, this.#random, heldBack(body), signal);
    try {
      await this.#disk.rename(staged.path, `${directory}/${partName(number)}`);
      await this.#disk.syncDirectory(directory);
      return { number, token: etagOf(await staged.file.stat()), sizeBytes: staged.sizeBytes };
    } catch (error) {
      await unlinkIfThere(this.#disk, staged.path);
      throw isDiskError(error, 'ENOENT') ? noSuchUpload(upload) : error;
    } finally {
      await staged.file.close();
    }
  }

  async parts(upload: UploadName): Promise<readonly TakenPart[]> {
    const directory = await this.#open(upload);
    const names = (await listOf(this.#disk, directory)).map(({ name }) => name).filter((name) => PART.test(name));
    const parts: TakenPart[] = [];
    for (const name of names.sort()) {
      const stat = await statOf(this.#disk, `${directory}/${name}`);
      const number = Number(PART.exec(name)?.[1]);
      if (stat?.kind === 'file') parts.push({ number, token: etagOf(stat), sizeBytes: stat.sizeBytes });
    }
    return parts;
  }

  /** Checks that each named part is there as named; the bytes of all of them, in order. */
  async joined(upload: UploadName, parts: readonly TakenPart[]): Promise<Body> {
    const directory = await this.#open(upload);
    const disk = this.#disk;
    for (const part of parts) {
      const stat = await statOf(disk, `${directory}/${partName(part.number)}`);
      if (stat === undefined || etagOf(stat) !== part.token)
        throw new ForebayError('invalidPart', `part ${part.number} of the upload of "${upload.key}" is not there`);
    }
    return {
      lengthBytes: parts.reduce((sum, part) => sum + part.sizeBytes, 0),
      replayable: true,
      async *stream() {
        for (const part of parts) yield* readWhole(disk, `${directory}/${partName(part.number)}`, part);
      },
    };
  }

  async abort(upload: UploadName): Promise<void> {
    if (!ID.test(upload.id)) return;
    const directory = directoryOf(upload.id);
    // the upload ends with its description, so that a removal that was cut short is no upload with parts missing
    await unlinkIfThere(this.#disk, `${directory}/upload.json`);
    for (const { name } of await listOf(this.#disk, directory)) await unlinkIfThere(this.#disk, `${directory}/${name}`);
    try {
      await this.#disk.removeDirectory(directory);
    } catch (error) {
      if (!isDiskError(error, 'ENOENT', 'ENOTEMPTY')) throw error;
    }
  }

  async #open(upload: UploadName): Promise<string> {
    if (!ID.test(upload.id)) throw noSuchUpload(upload);
    const directory = directoryOf(upload.id);
    const bytes = await readSmall(this.#disk, `${directory}/upload.json`, 64 * 1024);
    if (bytes === undefined || Buffer.from(bytes).toString('utf8') !== JSON.stringify({ key: upload.key }))
      throw noSuchUpload(upload);
    return directory;
  }
}

function directoryOf(id: string): string {
  return `${RESERVED}/uploads/${id}`;
}

function partName(number: number): string {
  return `part-${number.toString().padStart(5, '0')}`;
}

function noSuchUpload(upload: UploadName): ForebayError {
  return new ForebayError('noSuchUpload', `no upload ${upload.id} of "${upload.key}"`);
}

/** A file in `.forebay/tmp/` with everything that `pieces` yields, synced and still open; nothing stays of a failure. */
export async function stage(
  disk: Disk,
  random: Random,
  pieces: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<{ readonly path: string; readonly file: File; readonly sizeBytes: number }> {
  const path = temporaryPath(hexName(random, 12));
  await ensureDirectory(disk, parentOf(path));
  const file = await disk.open(path, { write: true, create: true, exclusive: true });
  try {
    const sizeBytes = await writeAll(file, pieces, signal);
    signal?.throwIfAborted();
    await file.sync();
    return { path, file, sizeBytes };
  } catch (error) {
    await file.close();
    await unlinkIfThere(disk, path);
    throw error;
  }
}

const READ_BYTES = 1 << 20;

async function* readWhole(disk: Disk, path: string, part: TakenPart): AsyncGenerator<Uint8Array, void, undefined> {
  const file = await disk.open(path);
  try {
    for (let at = 0; at < part.sizeBytes; at += READ_BYTES)
      yield await file.read(at, Math.min(READ_BYTES, part.sizeBytes - at));
    if (etagOf(await file.stat()) !== part.token)
      throw new ForebayError('invalidPart', `part ${part.number} was replaced while the object was made`);
  } finally {
    await file.close();
  }
}
