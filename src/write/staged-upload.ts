/** One upload of a staged volume: its parts as they come, and the version that they make in the end. */
import { hash } from 'node:crypto';
import { BLOCK_SIZE_BYTES } from '../core/chunk.ts';
import { ForebayError } from '../core/errors.ts';
import { MiB, partMinBytes } from '../core/limits.ts';
import type { Range } from '../core/range.ts';
import { DiskError, type File } from '../io/io.ts';
import type { Reservation } from '../store/space.ts';
import { type BodyStager, fileTarget } from './body-stager.ts';
import type { StagedParts, StagedVolume } from './staged-parts.ts';
import type { CommitUpload } from './staged-uploads.ts';
import { StagedVersion } from './staged-version.ts';
import { assemble, placeOf } from './upload-grid.ts';
import type { CompletedLine, PartLine, UploadHead, UploadLog } from './upload-log.ts';
import type { PartInfo, WriteBody, WriteCondition, Written } from './writer.ts';

/** The content that parts of one size are written into. */
interface Grid {
  readonly version: StagedVersion;
  readonly partBytes: number;
  /** A hard link to its file: a restart finds the bytes there. */
  readonly file: string;
  /** What parts are being written to, and what they have filled. */
  readonly busy: Set<Range>;
  readonly taken: Range[];
}

interface Part extends PartLine {
  /** Its place in the grid of this life; `undefined`: it is read from its file. */
  readonly gridAt: number | undefined;
  readonly reservation: Reservation | undefined;
}

export interface StagedUploadOptions {
  readonly parts: StagedParts;
  readonly volume: StagedVolume;
  readonly log: UploadLog;
  readonly stager: BodyStager;
  readonly head: UploadHead;
  readonly name: string;
  readonly loaded?: { readonly parts: readonly PartLine[]; readonly completed: CompletedLine | undefined };
}

export class StagedUpload {
  readonly head: UploadHead;
  touchedMs: number;
  completed: CompletedLine | undefined;
  completing: { readonly parts: string; readonly outcome: Promise<Written> } | undefined;
  readonly #options: StagedUploadOptions;
  readonly #parts = new Map<number, Part>();
  readonly #stop = new AbortController();
  #grid: Promise<Grid> | undefined;
  #writing = 0;
  #files: number;

  constructor(options: StagedUploadOptions) {
    this.#options = options;
    this.head = options.head;
    this.touchedMs = options.parts.clock.boottimeMs();
    this.completed = options.loaded?.completed;
    this.#files = Math.floor(options.parts.clock.wallMs());
    for (const part of options.loaded?.parts ?? [])
      this.#parts.set(part.number, { ...part, gridAt: undefined, reservation: undefined });
  }

  get isBusy(): boolean {
    return this.#writing > 0 || this.completing !== undefined;
  }

  list(): readonly PartInfo[] {
    return Array.from(this.#parts.values(), infoOf).sort((a, b) => a.number - b.number);
  }

  async put(number: number, body: WriteBody, signal: AbortSignal): Promise<PartInfo> {
    this.#writing += 1;
    try {
      const part = await this.#take(number, body, AbortSignal.any([signal, this.#stop.signal]));
      this.#stop.signal.throwIfAborted();
      const { gridAt: _place, reservation: _space, ...line } = part;
      await this.#options.log.part(this.#options.name, line);
      const before = this.#parts.get(number);
      this.#parts.set(number, part);
      if (before !== undefined) await this.#dropFile(before);
      return infoOf(part);
    } finally {
      this.#writing -= 1;
    }
  }

  async complete(
    named: readonly { number: number; doorEtag: string }[],
    options: { condition?: WriteCondition; signal: AbortSignal },
    commit: CommitUpload,
  ): Promise<Written> {
    const parts = this.#match(named);
    const grid = await this.#grid;
    const plan = assemble(
      parts.map((part) => ({ ...part, at: part.gridAt, file: part })),
      grid?.taken ?? [],
    );
    const { headers, metadata } = this.head;
    let version = grid?.version;
    if (plan.kind === 'anew' || version === undefined) {
      const patient = options.condition !== undefined;
      const { sizeBytes: lengthBytes } = plan;
      version = await StagedVersion.begin(this.#options.parts, this.#options.volume, this.head, {
        lengthBytes,
        patient,
        signal: options.signal,
      });
    }
    const isGrid = version === grid?.version;
    try {
      for (const { part, to } of plan.copies) await this.#copy(part.file, version, to);
    } catch (error) {
      if (!isGrid) version.abandon();
      throw error;
    }
    try {
      return await commit(version, plan.sizeBytes, { headers, metadata });
    } finally {
      // the version has ended, well or not: what a client tries again is assembled from the files
      if (isGrid) this.#leaveGrid();
    }
  }

  /** The object is made. */
  async finished(completed: CompletedLine): Promise<void> {
    this.completed = completed;
    const parts = Array.from(this.#parts.values());
    this.#parts.clear();
    await this.#endGrid();
    // the object is there whatever the disk says now; a log that stays only means a repeated answer may be lost
    await this.#options.log.completed(this.#options.name, completed).catch(ignoreDisk);
    for (const part of parts) await this.#dropFile(part, true).catch(ignoreDisk);
  }

  async abort(): Promise<void> {
    this.#stop.abort(new ForebayError('noSuchUpload', `the upload of "${this.head.key}" was aborted`));
    await this.#endGrid();
    for (const { reservation } of this.#parts.values()) reservation?.release();
    this.#parts.clear();
    await this.#options.log.remove(this.#options.name);
  }

  /** Nothing more is written; what is there stays for the next life. */
  close(): void {
    this.#stop.abort(new ForebayError('shuttingDown', 'the node is stopping'));
  }

  #match(named: readonly { number: number; doorEtag: string }[]): Part[] {
    return named.map(({ number, doorEtag }, index) => {
      const part = this.#parts.get(number);
      if (part?.doorEtag !== doorEtag)
        throw new ForebayError('invalidPart', `part ${number} with the ETag ${doorEtag} is not here`);
      if (index < named.length - 1 && part.sizeBytes < partMinBytes)
        throw new ForebayError('tooSmall', `part ${number} has ${part.sizeBytes} bytes, the least is ${partMinBytes}`);
      return part;
    });
  }

  async #take(number: number, body: WriteBody, signal: AbortSignal): Promise<Part> {
    const { stager } = this.#options;
    const sizeBytes = body.lengthBytes;
    // a part that may only be the last says nothing of the size of the others
    if (this.#grid === undefined && sizeBytes >= partMinBytes) this.#grid = this.#beginGrid(sizeBytes);
    const grid = await this.#grid;
    const isBusy = (range: Range) =>
      grid !== undefined &&
      [...grid.busy, ...grid.taken].some(({ start, end }) => start < range.end && range.start < end);
    const at = grid && placeOf({ number, sizeBytes }, { partBytes: grid.partBytes, isBusy });
    if (grid === undefined || at === undefined) return this.#takeApart(number, body, signal);
    const range = { start: at, end: at + sizeBytes };
    grid.busy.add(range);
    try {
      await stager.stage(body, grid.version.staging, at, signal);
      grid.taken.push(range);
      grid.version.release(range);
      if (!(await this.#link(grid))) throw new ForebayError('diskUnavailable', `part ${number} cannot be kept`);
    } finally {
      grid.busy.delete(range);
    }
    return { ...this.#lineOf(number, sizeBytes, { file: grid.file, at }), gridAt: at, reservation: undefined };
  }

  /** Into a file of its own. */
  async #takeApart(number: number, body: WriteBody, signal: AbortSignal): Promise<Part> {
    const { parts, log, name, stager } = this.#options;
    const { lengthBytes } = body;
    const reservation = await parts.store.reserve(lengthBytes);
    if (reservation === undefined) throw new ForebayError('diskFull', `no room for a part of ${lengthBytes} bytes`);
    const file = `${name}.${this.#files++}`;
    try {
      await withFile(await parts.store.disk.open(log.path(file), { write: true, create: true }), async (opened) => {
        await stager.stage(body, fileTarget(opened), 0, signal);
      });
    } catch (error) {
      reservation.release();
      await log.unlink(file);
      throw error;
    }
    return { ...this.#lineOf(number, lengthBytes, { file, at: 0 }), gridAt: undefined, reservation };
  }

  #lineOf(number: number, sizeBytes: number, place: { file: string; at: number }): PartLine {
    const { clock, random } = this.#options.parts;
    const doorEtag = `"${hash('sha256', random.bytes(16), 'hex').slice(0, 32)}-p"`;
    return { number, doorEtag, sizeBytes, modifiedMs: Math.floor(clock.wallMs()), ...place };
  }

  async #beginGrid(partBytes: number): Promise<Grid> {
    const { parts, volume, name } = this.#options;
    try {
      const version = await StagedVersion.begin(parts, volume, this.head, {
        patient: false,
        isReleased: true,
        signal: this.#stop.signal,
      });
      const file = `${name}.${this.#files++}`;
      return { version, partBytes, file, busy: new Set(), taken: [] };
    } catch (error) {
      this.#grid = undefined;
      throw error;
    }
  }

  /** True once the grid's file has its second name. */
  async #link(grid: Grid): Promise<boolean> {
    const { parts, log } = this.#options;
    const { disk } = parts.store;
    const path = log.path(grid.file);
    try {
      await disk.link(parts.store.dataPath(grid.version.id), path);
      return true;
    } catch (error) {
      return error instanceof DiskError && error.code === 'EEXIST';
    }
  }

  async #copy(part: PartLine, version: StagedVersion, to: number): Promise<void> {
    const { parts, log } = this.#options;
    await withFile(await parts.store.disk.open(log.path(part.file)), async (file) => {
      for (let done = 0; done < part.sizeBytes; ) {
        // up to the next boundary of a block of the target, so that each of its blocks is written once
        const room = BLOCK_SIZE_BYTES - ((to + done) % BLOCK_SIZE_BYTES);
        const bytes = await file.read(part.at + done, Math.min(room, part.sizeBytes - done, MiB));
        if (bytes.length === 0) throw new ForebayError('diskUnavailable', `the file of part ${part.number} is cut off`);
        await version.staging.write(to + done, bytes);
        done += bytes.length;
      }
    });
  }

  /** The grid's version has ended; its parts are read from the second name of its file. */
  #leaveGrid(): void {
    this.#grid = undefined;
    for (const [number, part] of this.#parts) this.#parts.set(number, { ...part, gridAt: undefined });
  }

  async #endGrid(): Promise<void> {
    const grid = await this.#grid?.catch(() => undefined);
    this.#grid = undefined;
    if (grid === undefined) return;
    grid.version.abandon();
    await this.#options.log.unlink(grid.file);
  }

  async #dropFile(part: Part, isOver = false): Promise<void> {
    part.reservation?.release();
    // the grid's file has other parts
    const isShared = Array.from(this.#parts.values()).some(({ file }) => file === part.file);
    if (isOver || (!isShared && part.gridAt === undefined)) await this.#options.log.unlink(part.file);
  }
}

function infoOf({ number, doorEtag, sizeBytes, modifiedMs }: PartLine): PartInfo {
  return { number, doorEtag, sizeBytes, modifiedMs };
}

async function withFile(file: File, act: (file: File) => Promise<void>): Promise<void> {
  try {
    await act(file);
  } finally {
    await file.close();
  }
}

function ignoreDisk(error: unknown): void {
  if (!(error instanceof DiskError)) throw error;
}
