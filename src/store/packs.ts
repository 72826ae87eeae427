/**
 * Packs: files of many small contents one after the other, each behind a header that says whose bytes follow
 * (`docs/formats/store.md`). A pack is appended to in one life of one daemon only. Space comes back a pack at a time, when
 * `eviction.ts` empties it.
 *
 * Appends that gather while a write is under way share the next one.
 */
import { crc32 } from 'node:zlib';
import type { ContentId } from '../core/ids.ts';
import { MiB } from '../core/limits.ts';
import type { Disk, File } from '../io/io.ts';
import type { OpenFiles } from './open-files.ts';
import { SharedSync } from './shared-sync.ts';
import { PACK_HEADER_BYTES } from './store-index.ts';

const MAGIC = 0x31534246;
const appendBatchBytes = MiB;

export interface PackPlace {
  readonly pack: number;
  readonly offset: number;
}

export interface Appended extends PackPlace {
  /** Call once the place is in the index (or given up): until then the pack is not removed. */
  settle(): void;
}

interface Waiting {
  readonly header: Buffer;
  readonly bytes: Uint8Array;
  readonly resolve: (place: Appended) => void;
  readonly floor: number;
  readonly reject: (error: unknown) => void;
}

export class Packs {
  readonly #disk: Disk;
  readonly #files: OpenFiles;
  readonly #directory: string;
  readonly #packMaxBytes: number;
  /** File length of each pack. */
  readonly #lengths = new Map<number, number>();
  #current: { readonly number: number; readonly file: File; offset: number } | undefined;
  #next: number;
  #waiting: Waiting[] = [];
  /** Appends not settled yet, by the lowest pack that they can lie in. */
  readonly #unsettled = new Map<number, number>();
  #running = false;
  readonly #syncs = new Map<number, SharedSync>();
  /** Packs whose names survive a power cut. */
  readonly #named = new Set<number>();

  constructor(options: {
    disk: Disk;
    files: OpenFiles;
    directory: string;
    packMaxBytes: number;
    lengths: ReadonlyMap<number, number>;
  }) {
    this.#disk = options.disk;
    this.#files = options.files;
    this.#directory = options.directory;
    this.#packMaxBytes = options.packMaxBytes;
    for (const [number, length] of options.lengths) this.#lengths.set(number, length);
    this.#next = Math.max(0, ...this.#lengths.keys()) + 1;
  }

  /** Packs with their file lengths, oldest first. */
  get lengths(): ReadonlyMap<number, number> {
    return this.#lengths;
  }

  /** Whether everything in a pack is in the index, and nothing more comes; a pack that is appended to is sealed for it. */
  mayRemove(pack: number): boolean {
    if (this.#current?.number === pack) this.seal();
    for (const floor of this.#unsettled.keys()) if (floor <= pack) return false;
    return true;
  }

  /** The next append begins a new pack. */
  seal(): void {
    const current = this.#current;
    this.#current = undefined;
    current?.file.close().catch(() => undefined);
  }

  append(id: ContentId, bytes: Uint8Array, checksum: number): Promise<Appended> {
    const header = Buffer.alloc(PACK_HEADER_BYTES);
    header.writeUInt32LE(MAGIC, 0);
    header.writeUInt32LE(bytes.length, 4);
    header.writeUInt32LE(checksum, 8);
    header.write(id, 12, 'hex');
    const floor = this.#current?.number ?? this.#next;
    this.#unsettled.set(floor, (this.#unsettled.get(floor) ?? 0) + 1);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ header, bytes, floor, resolve, reject });
      if (!this.#running) {
        this.#running = true;
        void this.#run().finally(() => {
          this.#running = false;
        });
      }
    });
  }

  /** The bytes at a place; `undefined` where the pack does not hold them with this checksum. */
  async read(place: PackPlace, expected: { sizeBytes: number; checksum: number }): Promise<Uint8Array | undefined> {
    const opened = await this.#files.acquire(this.path(place.pack), 'read');
    try {
      const bytes = await opened.file.read(place.offset + PACK_HEADER_BYTES, expected.sizeBytes);
      return bytes.length === expected.sizeBytes && crc32(bytes) === expected.checksum ? bytes : undefined;
    } finally {
      opened.release();
    }
  }

  /** What was appended to a pack so far survives a power cut; those who wait share a sync. */
  sync(pack: number): Promise<void> {
    let sync = this.#syncs.get(pack);
    if (sync === undefined) {
      sync = new SharedSync(() => this.#sync(pack));
      this.#syncs.set(pack, sync);
    }
    return sync.run();
  }

  async #sync(pack: number): Promise<void> {
    const opened = await this.#files.acquire(this.path(pack), 'write');
    try {
      await opened.file.sync();
    } finally {
      opened.release();
    }
    if (this.#named.has(pack)) return;
    await this.#disk.syncDirectory(this.#directory);
    this.#named.add(pack);
  }

  /** Deletes a pack; returns its length. */
  async remove(pack: number): Promise<number> {
    const path = this.path(pack);
    this.#syncs.delete(pack);
    this.#named.delete(pack);
    this.#files.forget(path);
    await this.#disk.unlink(path);
    const length = this.#lengths.get(pack) ?? 0;
    this.#lengths.delete(pack);
    return length;
  }

  path(pack: number): string {
    return `${this.#directory}/${pack.toString().padStart(12, '0')}.pack`;
  }

  async close(): Promise<void> {
    await this.#current?.file.close().catch(() => undefined);
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#takeBatch();
      try {
        await this.#write(batch);
      } catch (error) {
        // What a failed write left behind is not given out: the next append begins a new pack.
        this.seal();
        for (const { floor, reject } of batch) {
          this.#settle(floor);
          reject(error);
        }
      }
    }
  }

  #settle(floor: number): void {
    const left = (this.#unsettled.get(floor) ?? 0) - 1;
    if (left > 0) this.#unsettled.set(floor, left);
    else this.#unsettled.delete(floor);
  }

  #takeBatch(): Waiting[] {
    let bytes = 0;
    let count = 0;
    for (const each of this.#waiting) {
      bytes += PACK_HEADER_BYTES + each.bytes.length;
      if (count > 0 && bytes > appendBatchBytes) break;
      count += 1;
    }
    return this.#waiting.splice(0, count);
  }

  async #write(batch: readonly Waiting[]): Promise<void> {
    if (this.#current !== undefined && this.#current.offset >= this.#packMaxBytes) this.seal();
    this.#current ??= await this.#begin();
    const { number, file, offset } = this.#current;
    const joined = Buffer.concat(batch.flatMap(({ header, bytes }) => [header, bytes]));
    await file.write(offset, joined);
    this.#lengths.set(number, offset + joined.length);
    if (this.#current?.number === number) this.#current.offset = offset + joined.length;
    let at = offset;
    for (const { bytes, floor, resolve } of batch) {
      resolve({ pack: number, offset: at, settle: () => this.#settle(floor) });
      at += PACK_HEADER_BYTES + bytes.length;
    }
  }

  async #begin(): Promise<{ number: number; file: File; offset: number }> {
    const number = this.#next;
    this.#next += 1;
    const file = await this.#disk.open(this.path(number), { write: true, create: true, exclusive: true });
    this.#lengths.set(number, 0);
    return { number, file, offset: 0 };
  }
}

/** The number in a pack's file name; NaN for other names. */
export function packNumber(name: string): number {
  return /^\d{12}\.pack$/.test(name) ? Number.parseInt(name.slice(0, 12), 10) : Number.NaN;
}
