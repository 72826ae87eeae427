/**
 * Packs: files of many small contents one after the other, each behind a header that says whose bytes follow
 * (`docs/formats/store.md`). A pack is appended to in one life of one daemon only. Space comes back a pack at a time, when
 * `eviction.ts` empties it.
 *
 * Appends that gather while a write is under way share the next one.
 */
import type { ContentId } from '../core/ids.ts';
import { MiB } from '../core/limits.ts';
import { type Disk, DiskError, type File } from '../io/io.ts';
import type { OpenFiles } from './open-files.ts';
import { SharedSync } from './shared-sync.ts';
import { PACK_HEADER_BYTES } from './store-index.ts';

const MAGIC = 0x31534246;
const appendBatchBytes = MiB;

/** The packs of what is cached; each kv volume has packs of its own, so that they empty by themselves. */
const CACHE_LANE = '';

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

/** Packs that are filled one after the other. */
interface Lane {
  readonly name: string;
  current: { readonly number: number; readonly file: File; offset: number } | undefined;
  waiting: Waiting[];
  running: boolean;
  packMaxBytes: number;
  /** Appends not settled yet, by the lowest pack that they can lie in. */
  readonly unsettled: Map<number, number>;
}

export class Packs {
  readonly #disk: Disk;
  readonly #files: OpenFiles;
  readonly #directory: string;
  readonly #packMaxBytes: number;
  /** File length of each pack. */
  readonly #lengths = new Map<number, number>();
  readonly #lanes = new Map<string, Lane>();
  /** The lane of each pack that is not the cache's. */
  readonly #laneOf = new Map<number, string>();
  /** File lengths of the lanes that are not the cache's. */
  readonly #laneBytes = new Map<string, number>();
  #next: number;
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
    const lane = this.#lane(this.#laneOf.get(pack) ?? CACHE_LANE);
    if (lane.current?.number === pack) seal(lane);
    for (const floor of lane.unsettled.keys()) if (floor <= pack) return false;
    return true;
  }

  /** Whether the pack is the one that its lane is filling. */
  isFilled(pack: number): boolean {
    return this.#lane(this.#laneOf.get(pack) ?? CACHE_LANE).current?.number === pack;
  }

  /** File lengths of a lane's packs. */
  laneBytes(lane: string): number {
    return this.#laneBytes.get(lane) ?? 0;
  }

  /** The packs of a lane with their file lengths, oldest first. */
  *packsOf(lane: string): Generator<readonly [pack: number, lengthBytes: number]> {
    for (const [pack, name] of this.#laneOf) if (name === lane) yield [pack, this.#lengths.get(pack) ?? 0];
  }

  /** A pack of an earlier life belongs to a lane. */
  assign(pack: number, lane: string): void {
    if (this.#laneOf.has(pack)) return;
    this.#laneOf.set(pack, lane);
    this.#laneBytes.set(lane, this.laneBytes(lane) + (this.#lengths.get(pack) ?? 0));
  }

  /** Bounds the length of a lane's packs. */
  bound(lane: string, packMaxBytes: number): void {
    this.#lane(lane).packMaxBytes = Math.min(this.#packMaxBytes, packMaxBytes);
  }

  append(id: ContentId, bytes: Uint8Array, checksum: number, lane: string = CACHE_LANE): Promise<Appended> {
    const header = Buffer.allocUnsafe(PACK_HEADER_BYTES);
    writePackHeader(header, 0, { id, sizeBytes: bytes.length, checksum });
    return this.#enqueue(lane, header, bytes);
  }

  /** Appends contents that are joined already, each behind its header (`writePackHeader`); the place is the first header's. */
  appendJoined(joined: Uint8Array, lane: string): Promise<Appended> {
    return this.#enqueue(lane, Buffer.alloc(0), joined);
  }

  #enqueue(name: string, header: Buffer, bytes: Uint8Array): Promise<Appended> {
    const lane = this.#lane(name);
    const floor = lane.current?.number ?? this.#next;
    lane.unsettled.set(floor, (lane.unsettled.get(floor) ?? 0) + 1);
    return new Promise((resolve, reject) => {
      lane.waiting.push({ header, bytes, floor, resolve, reject });
      if (!lane.running) {
        lane.running = true;
        void this.#run(lane).finally(() => {
          lane.running = false;
        });
      }
    });
  }

  #lane(name: string): Lane {
    let lane = this.#lanes.get(name);
    if (lane === undefined) {
      const packMaxBytes = this.#packMaxBytes;
      lane = { name, current: undefined, waiting: [], running: false, packMaxBytes, unsettled: new Map() };
      this.#lanes.set(name, lane);
    }
    return lane;
  }

  /** The bytes at a place; `undefined` where the pack does not hold them with this checksum. */
  async read(place: PackPlace, expected: { sizeBytes: number; checksum: number }): Promise<Uint8Array | undefined> {
    const opened = await this.#files.acquire(this.path(place.pack), 'read');
    try {
      const bytes = await opened.file.read(place.offset + PACK_HEADER_BYTES, expected.sizeBytes);
      return bytes.length === expected.sizeBytes && this.#disk.checksum(bytes) === expected.checksum
        ? bytes
        : undefined;
    } finally {
      opened.release();
    }
  }

  /** Bytes of a pack from `at` on, at most `lengthBytes`. */
  async slice(pack: number, at: number, lengthBytes: number): Promise<Uint8Array> {
    const opened = await this.#files.acquire(this.path(pack), 'read');
    try {
      return await opened.file.read(at, Math.min(lengthBytes, (this.#lengths.get(pack) ?? 0) - at));
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
    await this.#disk.unlink(path).catch(ignoreMissing);
    const length = this.#lengths.get(pack) ?? 0;
    this.#lengths.delete(pack);
    const lane = this.#laneOf.get(pack);
    if (lane !== undefined) this.#laneBytes.set(lane, this.laneBytes(lane) - length);
    this.#laneOf.delete(pack);
    return length;
  }

  path(pack: number): string {
    return `${this.#directory}/${pack.toString().padStart(12, '0')}.pack`;
  }

  async close(): Promise<void> {
    for (const lane of this.#lanes.values()) await lane.current?.file.close().catch(() => undefined);
  }

  async #run(lane: Lane): Promise<void> {
    while (lane.waiting.length > 0) {
      const batch = this.#takeBatch(lane);
      try {
        await this.#write(lane, batch);
      } catch (error) {
        // What a failed write left behind is not given out: the next append begins a new pack.
        seal(lane);
        for (const { floor, reject } of batch) {
          settle(lane, floor);
          reject(error);
        }
      }
    }
  }

  #takeBatch(lane: Lane): Waiting[] {
    let bytes = 0;
    let count = 0;
    for (const each of lane.waiting) {
      bytes += PACK_HEADER_BYTES + each.bytes.length;
      if (count > 0 && bytes > appendBatchBytes) break;
      count += 1;
    }
    return lane.waiting.splice(0, count);
  }

  async #write(lane: Lane, batch: readonly Waiting[]): Promise<void> {
    if (lane.current !== undefined && lane.current.offset >= lane.packMaxBytes) seal(lane);
    lane.current ??= await this.#begin(lane);
    const { number, file, offset } = lane.current;
    const joined = joinedBytes(batch);
    await file.write(offset, joined);
    this.#lengths.set(number, offset + joined.length);
    if (lane.name !== CACHE_LANE) this.#laneBytes.set(lane.name, this.laneBytes(lane.name) + joined.length);
    if (lane.current?.number === number) lane.current.offset = offset + joined.length;
    let at = offset;
    for (const { header, bytes, floor, resolve } of batch) {
      resolve({ pack: number, offset: at, settle: () => settle(lane, floor) });
      at += header.length + bytes.length;
    }
  }

  async #begin(lane: Lane): Promise<{ number: number; file: File; offset: number }> {
    const number = this.#next;
    this.#next += 1;
    const file = await this.#disk.open(this.path(number), { write: true, create: true, exclusive: true });
    this.#lengths.set(number, 0);
    if (lane.name !== CACHE_LANE) this.#laneOf.set(number, lane.name);
    return { number, file, offset: 0 };
  }
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof DiskError) || error.code !== 'ENOENT') throw error;
}

function joinedBytes(batch: readonly Waiting[]): Uint8Array {
  const [first] = batch;
  if (first !== undefined && batch.length === 1 && first.header.length === 0) return first.bytes;
  return Buffer.concat(batch.flatMap(({ header, bytes }) => [header, bytes]));
}

/** The next append begins a new pack. */
function seal(lane: Lane): void {
  const { current } = lane;
  lane.current = undefined;
  current?.file.close().catch(() => undefined);
}

function settle(lane: Lane, floor: number): void {
  const left = (lane.unsettled.get(floor) ?? 0) - 1;
  if (left > 0) lane.unsettled.set(floor, left);
  else lane.unsettled.delete(floor);
}

/** What stands in front of a content in its pack, at `at`; `PACK_HEADER_BYTES` long. */
export function writePackHeader(
  into: Buffer,
  at: number,
  content: { id: ContentId; sizeBytes: number; checksum: number },
): void {
  into.writeUInt32LE(MAGIC, at);
  into.writeUInt32LE(content.sizeBytes, at + 4);
  into.writeUInt32LE(content.checksum, at + 8);
  into.write(content.id, at + 12, 16, 'hex');
}

/** `undefined` where there is none at `at`. */
export function readPackHeader(
  from: Buffer,
  at: number,
): { id: ContentId; sizeBytes: number; checksum: number } | undefined {
  if (from.readUInt32LE(at) !== MAGIC) return undefined;
  const id = from.toString('hex', at + 12, at + PACK_HEADER_BYTES) as ContentId;
  return { id, sizeBytes: from.readUInt32LE(at + 4), checksum: from.readUInt32LE(at + 8) };
}

/** The number in a pack's file name; NaN for other names. */
export function packNumber(name: string): number {
  return /^\d{12}\.pack$/.test(name) ? Number.parseInt(name.slice(0, 12), 10) : Number.NaN;
}
