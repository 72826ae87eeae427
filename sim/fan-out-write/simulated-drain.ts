/**
 * The drain of a simulated checkpoint by the shipped policies: the order is decided by `drain/drain-order.ts`, objects are cut by
 * `drain/drain-units.ts`, parts are given to the least busy of the nodes that hold the object (as `drain/part-uploads.ts` does),
 * within the shipped limits.
 */
import {
  drainFinalisesMax,
  drainPartsPerHolderMax,
  drainPutMaxBytes,
  drainSettleMs,
  drainUploadsMax,
} from '../../src/core/limits.ts';
import { DrainOrder, type PendingVersion } from '../../src/drain/drain-order.ts';
import { unitsOf } from '../../src/drain/drain-units.ts';
import type { DirtyRecord, ObjectRecord } from '../../src/write/object-record.ts';
import type { FlowCoordinator } from './flow-coordinator.ts';
import type { FlowLoop } from './flow-loop.ts';
import { type FanOutWriteParameters, pieceBytes } from './parameters.ts';
import type { SavedFile } from './simulated-save.ts';

const CHUNK_BYTES = 16 * 2 ** 20;

interface Sending {
  readonly file: SavedFile;
  /** Sizes of parts that nobody was given yet. */
  readonly parts: number[];
  /** Parts that are not at the origin. */
  left: number;
}

export class SimulatedDrain {
  readonly #parameters: FanOutWriteParameters;
  readonly #loop: FlowLoop;
  readonly #coordinator: FlowCoordinator;
  readonly #onDurable: (file: SavedFile) => void;
  readonly #order = new DrainOrder({ settleMs: drainSettleMs, onConflict: 'hold', drainOrder: 'directory' });
  readonly #files = new Map<string, { readonly file: SavedFile; readonly committedRevision: number }>();
  /** Large files that no upload has begun of, in the order of their commits. */
  readonly #toUpload = new Set<SavedFile>();
  readonly #uploaded = new Set<string>();
  readonly #busy = new Set<string>();
  readonly #inFlight = new Map<number, number>();
  /** Uploads under way that have parts left to give out. */
  readonly #sending: Sending[] = [];
  /** The node whose commits the keeper's are. */
  readonly #keeper = 0;
  #uploads = 0;
  #finalises = 0;

  constructor(
    parameters: FanOutWriteParameters,
    parts: { loop: FlowLoop; coordinator: FlowCoordinator; onDurable: (file: SavedFile) => void },
  ) {
    this.#parameters = parameters;
    this.#loop = parts.loop;
    this.#coordinator = parts.coordinator;
    this.#onDurable = parts.onDurable;
  }

  /** The origin, behind all nodes. */
  get #origin(): number {
    return this.#parameters.nodes.length;
  }

  /** A record was committed; the checkpoint's commit makes all of them urgent. */
  committed(file: SavedFile, revision: number, urgent: boolean): void {
    const known = this.#files.get(file.key);
    if (known === undefined && file.sizeBytes > drainPutMaxBytes) this.#toUpload.add(file);
    const { committedRevision } = known ?? { committedRevision: revision };
    this.#files.set(file.key, { file, committedRevision });
    this.#apply(file.key, { current: dirtyOf(file, { committedRevision, urgent }) }, revision);
    this.#begin();
  }

  #apply(key: string, record: ObjectRecord | undefined, revision: number): void {
    this.#order.apply({ kind: 'change', key, record, revision }, this.#loop.nowMs);
  }

  #begin(): void {
    for (const entry of this.#order.finalisable(this.#loop.nowMs)) {
      if (this.#finalises >= drainFinalisesMax) break;
      const { file } = this.#files.get(entry.key) as { file: SavedFile };
      const isHere = file.sizeBytes <= drainPutMaxBytes || this.#uploaded.has(file.key);
      if (isHere && !this.#busy.has(file.key)) this.#finalise(file, entry);
    }
    for (const file of this.#toUpload) {
      if (this.#uploads >= drainUploadsMax) break;
      this.#toUpload.delete(file);
      this.#upload(file);
    }
    this.#give();
    const next = this.#order.nextMs(this.#loop.nowMs);
    if (next < Number.POSITIVE_INFINITY) this.#loop.after(next - this.#loop.nowMs, () => this.#begin());
  }

  /** The upload's id is in the record before its first part. */
  #upload(file: SavedFile): void {
    this.#uploads += 1;
    const units = unitsOf(file.sizeBytes).map(({ start, end }) => end - start);
    this.#loop.after(this.#parameters.originMs, () =>
      this.#coordinator.commit(this.#keeper, () => {
        const parts = grouped(units, pieceBytes(this.#parameters));
        this.#sending.push({ file, parts: parts.reverse(), left: parts.length });
        this.#give();
      }),
    );
  }

  /** Parts to the least busy holder of each upload, while one of them may take more. */
  #give(): void {
    for (const upload of this.#sending) {
      while (upload.parts.length > 0) {
        const holder = this.#leastBusy(upload.file.holders);
        if (holder === undefined) break;
        const bytes = upload.parts.pop() as number;
        this.#inFlight.set(holder, (this.#inFlight.get(holder) ?? 0) + 1);
        this.#loop.after(this.#parameters.latencyMs + this.#parameters.originMs / 2, () =>
          this.#loop.transfer({ source: holder, reader: this.#origin, bytes }, () => this.#sent(upload, holder)),
        );
      }
    }
  }

  #leastBusy(holders: readonly number[]): number | undefined {
    let found: number | undefined;
    let least = drainPartsPerHolderMax;
    for (const holder of holders) {
      const count = this.#inFlight.get(holder) ?? 0;
      if (count < least) [found, least] = [holder, count];
    }
    return found;
  }

  #sent(upload: Sending, holder: number): void {
    this.#inFlight.set(holder, (this.#inFlight.get(holder) as number) - 1);
    upload.left -= 1;
    if (upload.left === 0) {
      const at = this.#sending.indexOf(upload);
      this.#sending.splice(at, 1);
      this.#uploads -= 1;
      this.#uploaded.add(upload.file.key);
      this.#begin();
    } else this.#give();
  }

  #finalise(file: SavedFile, entry: PendingVersion): void {
    this.#finalises += 1;
    this.#busy.add(file.key);
    const done = () => {
      this.#onDurable(file);
      this.#coordinator.commit(this.#keeper, (revision) => {
        this.#finalises -= 1;
        this.#busy.delete(file.key);
        this.#apply(entry.key, undefined, revision);
        this.#begin();
      });
    };
    const { originMs, latencyMs } = this.#parameters;
    const [source] = file.holders as [number];
    if (file.sizeBytes > drainPutMaxBytes) this.#loop.after(originMs, done);
    else
      this.#loop.after(latencyMs + originMs, () =>
        this.#loop.transfer({ source, reader: this.#origin, bytes: file.sizeBytes }, done),
      );
  }
}

/** Neighbouring units together, so that there are not too many. */
function grouped(units: readonly number[], bytes: number): number[] {
  const groups: number[] = [];
  let sum = 0;
  for (const unit of units) {
    sum += unit;
    if (sum < bytes) continue;
    groups.push(sum);
    sum = 0;
  }
  if (sum > 0) groups.push(sum);
  return groups;
}

function dirtyOf(file: SavedFile, more: { committedRevision: number; urgent: boolean }): DirtyRecord {
  return {
    kind: 'dirty',
    content: file.content,
    sizeBytes: file.sizeBytes,
    chunkSizeBytes: CHUNK_BYTES,
    modifiedMs: 0,
    headers: {},
    metadata: {},
    level: file.holders.length > 1 ? 'replicated' : 'local',
    replicas: file.holders.map((node) => `node-${node}`),
    table: '',
    base: { origin: 'absent', own: [] },
    begunRevision: file.begunRevision,
    ...more,
  };
}
