/**
 * What a node remembers of the uploads that clients began through it: one small JSON file each in `<cache
 * directory>/uploads/`, so that they outlive the daemon. The parts themselves are at the origin, which lists them.
 *
 * Crash: a record is written whole (temporary file, sync, rename, sync of the directory) before its upload id is given
 * out, so an id that a client has is known after a restart.
 */
import { hash } from 'node:crypto';
import type { ObjectHeaders } from '../core/object.ts';
import { type Disk, DiskError } from '../io/io.ts';

export interface UploadRecord {
  readonly uploadId: string;
  readonly volume: string;
  readonly key: string;
  /** The origin's own id. */
  readonly originId: string;
  readonly headers: ObjectHeaders;
  readonly metadata: Readonly<Record<string, string>>;
  readonly begunMs: number;
  readonly completed?: Completion;
}

export interface Completion {
  /** Which parts were named, so that only the same completion is answered again. */
  readonly parts: string;
  readonly doorEtag: string;
  readonly modifiedMs: number;
}

const RECORD_MAX_BYTES = 256 * 1024;

export class UploadRecords {
  readonly #disk: Disk;
  readonly #directory: string;

  constructor(disk: Disk, directory: string) {
    this.#disk = disk;
    this.#directory = `${directory}/uploads`;
  }

  async load(): Promise<UploadRecord[]> {
    await this.#ensureDirectory();
    const records: UploadRecord[] = [];
    for (const { name, kind } of await this.#disk.list(this.#directory)) {
      if (kind !== 'file') continue;
      const path = `${this.#directory}/${name}`;
      if (name.endsWith('.json')) {
        const record = parseRecord(await this.#read(path));
        if (record !== undefined) records.push(record);
      } else if (name.endsWith('.new')) {
        await this.#disk.unlink(path);
      }
    }
    return records;
  }

  async save(record: UploadRecord): Promise<void> {
    await this.#ensureDirectory();
    const path = this.#pathOf(record.uploadId);
    const temporary = `${path}.new`;
    const file = await this.#disk.open(temporary, { write: true, create: true });
    try {
      const bytes = Buffer.from(JSON.stringify(record));
      await file.truncate(0);
      await file.write(0, bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await this.#disk.rename(temporary, path);
    await this.#disk.syncDirectory(this.#directory);
  }

  async remove(uploadId: string): Promise<void> {
    try {
      await this.#disk.unlink(this.#pathOf(uploadId));
    } catch (error) {
      if (!(error instanceof DiskError && error.code === 'ENOENT')) throw error;
    }
  }

  /** Upload ids may be longer than file names. */
  #pathOf(uploadId: string): string {
    return `${this.#directory}/${hash('sha256', uploadId, 'hex').slice(0, 32)}.json`;
  }

  async #ensureDirectory(): Promise<void> {
    if ((await this.#disk.stat(this.#directory)) !== undefined) return;
    try {
      await this.#disk.makeDirectory(this.#directory, { mode: 0o700 });
    } catch (error) {
      if (!(error instanceof DiskError && error.code === 'EEXIST')) throw error;
    }
  }

  async #read(path: string): Promise<Uint8Array> {
    const file = await this.#disk.open(path);
    try {
      return await file.read(0, RECORD_MAX_BYTES);
    } finally {
      await file.close();
    }
  }
}

/** A record that is not one counts as none: its upload is then unknown, and the origin expires it. */
function parseRecord(bytes: Uint8Array): UploadRecord | undefined {
  try {
    const value = JSON.parse(Buffer.from(bytes).toString('utf8')) as Partial<UploadRecord> | null;
    const texts = [value?.uploadId, value?.volume, value?.key, value?.originId];
    if (value === null || !texts.every((text) => typeof text === 'string')) return undefined;
    if (typeof value.begunMs !== 'number' || typeof value.headers !== 'object' || typeof value.metadata !== 'object')
      return undefined;
    return value as UploadRecord;
  } catch {
    return undefined;
  }
}
