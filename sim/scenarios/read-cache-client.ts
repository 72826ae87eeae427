/** A client of the read-cache scenario: opens, reads, lists, warms, evicts, pins, and tells the checkers all it sees. */
import { type ErrorCode, ForebayError, isForebayError } from '../../src/core/errors.ts';
import type { Range } from '../../src/core/range.ts';
import { DiskError } from '../../src/io/io.ts';
import type { OpenObject, Piece, Selection } from '../../src/read/reader.ts';
import type { Writer } from '../../src/write/writer.ts';
import type { Checkers, Findings, OpenSeen } from '../checkers/checker.ts';
import type { Life, SimClock } from '../sim-clock.ts';
import { contentSlice } from '../sim-content.ts';
import type { SimNode } from '../sim-node.ts';
import type { SimOrigin } from '../sim-origin.ts';
import type { SimRandom } from '../sim-random.ts';
import { drawSize, keyOf, type ReadCacheOptions, VOLUME_NAME } from './read-cache-options.ts';

/** Errors that a client may get while things fail. Any other error is a finding. */
const EXPECTED: ReadonlySet<ErrorCode> = new Set([
  'originUnavailable',
  'originThrottled',
  'originTruncated',
  'versionChanged',
  'diskFull',
  'diskUnavailable',
  'corrupt',
  'overloaded',
]);

/** The client went away in the middle; not an error of anybody. */
class Gone extends Error {
  override name = 'Gone';
}

export interface ClientPlace {
  readonly clock: SimClock;
  readonly random: SimRandom;
  readonly life: Life;
  readonly node: SimNode;
  readonly origin: SimOrigin;
  readonly checkers: Checkers;
  readonly findings: Findings;
  readonly options: Pick<ReadCacheOptions, 'objects' | 'write' | 'sizeMaxMiB' | 'chunkMiB'>;
  /** False once the node is being closed: its doors are gone, and nothing is acknowledged any more. Absent: always true. */
  readonly isServed?: () => boolean;
  /** Errors besides `EXPECTED` that this place explains. */
  readonly alsoExpected?: readonly ErrorCode[];
}

export class ReadCacheClient {
  readonly #place: ClientPlace;

  constructor(place: ClientPlace) {
    this.#place = place;
  }

  /** One operation, drawn at random. Errors that faults explain are told to the checkers; others become findings. */
  async operation(): Promise<void> {
    const { random } = this.#place;
    const key = keyOf(random.integer(this.#place.options.objects));
    const draw = random.integer(100);
    if (draw < 35) await this.#attempt(key, () => this.readWhole(key));
    else if (draw < 60) await this.#attempt(key, () => this.#readSome(key));
    else if (draw < 68) await this.#attempt(key, () => this.#leaveMidway(key));
    else if (draw < 73) await this.#readHot(key);
    else if (draw < 79) await this.#attempt(key, () => this.list());
    else if (draw < 83) await this.#attempt(key, () => this.#warm(this.#selection(key)));
    else if (draw < 86) await this.#attempt(key, () => this.#check(this.#selection(key)));
    else if (draw < 91) await this.#attempt(key, () => this.#evict(this.#selection(key)));
    else if (draw < 95) await this.#attempt(key, () => this.#pin({ volume: VOLUME_NAME, key }, random.chance(0.5)));
    else if (draw < 97) await this.#attempt(key, () => this.#explain(key));
    else if (this.#place.options.write) await this.#attempt(key, () => this.#write(key));
  }

  /** One of many nodes that want an object at once. */
  async crowd(key: string, warms: boolean): Promise<void> {
    await this.#attempt(key, () => (warms ? this.#warm({ volume: VOLUME_NAME, key }) : this.readWhole(key)));
  }

  async #attempt(key: string, work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (error instanceof Gone) return;
      this.#place.checkers.tell('readFailed', key, error);
      const also = this.#place.alsoExpected ?? [];
      if (error instanceof ForebayError && (EXPECTED.has(error.code) || error.code === 'noSuchKey')) return;
      if (isForebayError(error, ...also) && also.length > 0) return;
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.#place.findings.add('errors', `${key}: ${text}`);
    }
  }

  #selection(key: string): Selection {
    const { random } = this.#place;
    if (random.chance(0.6)) return { volume: VOLUME_NAME, key };
    return { volume: VOLUME_NAME, prefix: random.pick(['', 'a/', 'a/b/', 'none/']) };
  }

  /** Opens, and tells the checkers; absence is told too and thrown. */
  async #open(key: string, signal?: AbortSignal): Promise<{ object: OpenObject; seen: OpenSeen }> {
    const { clock, node, life, checkers } = this.#place;
    const askedMs = clock.nowMs;
    try {
      const object = await node.reader.open(VOLUME_NAME, key, signal);
      const { fact, stale } = object;
      const seen = { life, key, fact, stale, askedMs, answeredMs: clock.nowMs };
      checkers.tell('opened', seen);
      return { object, seen };
    } catch (error) {
      if (error instanceof ForebayError && error.code === 'noSuchKey') {
        checkers.tell('absent', { key, askedMs, answeredMs: clock.nowMs });
      }
      throw error;
    }
  }

  /**
   * Reads all of an object; throws what the read path throws. A version that is no longer to be had is given up for the
   * next one up to `reopens` times, as doors do that have sent nothing yet and clients that read again.
   */
  async readWhole(key: string, reopens = 0): Promise<OpenSeen> {
    for (let left = reopens; ; left--) {
      try {
        return await this.#readOnce(key);
      } catch (error) {
        if (left === 0 || !isForebayError(error, 'versionChanged')) throw error;
      }
    }
  }

  async #readOnce(key: string): Promise<OpenSeen> {
    const { object, seen } = await this.#open(key);
    try {
      const range = { start: 0, end: object.fact.sizeBytes };
      await this.#read(object, seen, range);
      return seen;
    } finally {
      object.close();
    }
  }

  async #readSome(key: string): Promise<void> {
    const { random } = this.#place;
    const { object, seen } = await this.#open(key);
    try {
      for (let reads = random.between(1, 3); reads > 0; reads--) {
        const size = object.fact.sizeBytes;
        if (size === 0) return;
        const start = random.integer(size);
        const end = random.chance(0.5)
          ? Math.min(size, start + random.between(1, 70_000))
          : random.between(start + 1, size);
        await this.#read(object, seen, { start, end });
      }
    } finally {
      object.close();
    }
  }

  /** A client that vanishes: it stops asking, or its signal aborts. */
  async #leaveMidway(key: string): Promise<void> {
    const { clock, random, life } = this.#place;
    const controller = new AbortController();
    const timer = clock.schedule(random.exponential(30), () => controller.abort(new Gone('the client left')), life);
    try {
      const { object, seen } = await this.#open(key, controller.signal);
      try {
        const range = { start: 0, end: object.fact.sizeBytes };
        const piecesMax = random.between(0, 3);
        await this.#read(object, seen, range, { signal: controller.signal, piecesMax });
      } finally {
        object.close();
      }
    } finally {
      timer.run = undefined;
    }
  }

  async #readHot(key: string): Promise<void> {
    const { clock, node, life, checkers } = this.#place;
    const object = node.reader.openHot(VOLUME_NAME, key);
    if (!object) return;
    const nowMs = clock.nowMs;
    const seen = { life, key, fact: object.fact, stale: object.stale, askedMs: nowMs, answeredMs: nowMs };
    checkers.tell('opened', seen);
    if (object.hot) this.#tellAll(seen, object.hot);
    object.close();
  }

  #tellAll(seen: OpenSeen, bytes: Uint8Array): void {
    const { checkers, findings } = this.#place;
    if (bytes.length !== seen.fact.sizeBytes) {
      findings.add('S-1', `${seen.key} is ${bytes.length} bytes in memory, ${seen.fact.sizeBytes} stated`);
    }
    checkers.tell('bytes', seen, 0, bytes, 'memory');
    checkers.tell('readDone', seen, { start: 0, end: bytes.length });
  }

  async #read(
    object: OpenObject,
    seen: OpenSeen,
    range: Range,
    until: { signal?: AbortSignal; piecesMax?: number } = {},
  ): Promise<void> {
    const { checkers, findings } = this.#place;
    if (object.hot) return this.#tellAll(seen, object.hot);
    let at = range.start;
    let pieces = 0;
    for await (const piece of object.pieces(range, until.signal ?? new AbortController().signal)) {
      let damaged = true;
      try {
        if (pieces++ === until.piecesMax) {
          damaged = false;
          return;
        }
        const length = piece.kind === 'file' ? piece.range.end - piece.range.start : piece.bytes.length;
        const isInPlace = piece.kind === 'bytes' || piece.range.end > piece.range.start;
        if (!isInPlace || at + length > range.end || length === 0) {
          findings.add('S-1', `${seen.key}: a piece of ${length} bytes at ${at} of ${range.start}-${range.end}`);
        }
        await this.#consume(seen, at, piece);
        at += length;
        damaged = false;
      } finally {
        piece.release(damaged);
      }
    }
    if (at !== range.end) findings.add('S-1', `${seen.key}: ${range.start}-${range.end} ended at ${at}`);
    checkers.tell('readDone', seen, range);
  }

  /** Takes a piece as a slow client does: the file is read while the piece is held. */
  async #consume(seen: OpenSeen, at: number, piece: Piece): Promise<void> {
    const { clock, random, life, checkers, findings } = this.#place;
    if (piece.kind === 'bytes') {
      if (random.chance(0.1)) await clock.sleep(random.exponential(50), { life });
      checkers.tell('bytes', seen, at, piece.bytes, 'memory');
      return;
    }
    const { file, range } = piece;
    for (let from = range.start; from < range.end; ) {
      const length = Math.min(random.pick([64 << 10, 1 << 20]), range.end - from);
      if (random.chance(0.1)) await clock.sleep(random.exponential(50), { life });
      const bytes = await file.read(from, length).catch((error: unknown) => {
        // the door cuts the connection: the client sees a reset, which it may when the disk fails
        if (error instanceof DiskError && (error.code === 'EIO' || error.code === 'ETIMEDOUT')) throw new Gone('reset');
        throw error;
      });
      if (bytes.length < length) {
        findings.add('S-9', `${seen.key}: the file of a piece ends ${length - bytes.length} bytes before it`);
        throw new Gone('the file is too short');
      }
      checkers.tell('bytes', seen, at + from - range.start, bytes, 'file');
      from += length;
    }
  }

  async list(): Promise<void> {
    const { clock, node, random, checkers } = this.#place;
    const request = {
      volume: VOLUME_NAME,
      prefix: random.pick(['', 'a', 'a/', 'a/b/', 'ü/', 'none']),
      limit: random.pick([1, 3, 1000]),
      ...(random.chance(0.5) ? { delimiter: '/' } : {}),
      ...(random.chance(0.3) ? { after: keyOf(random.integer(8)) } : {}),
    };
    const askedMs = clock.nowMs;
    const listing = await node.reader.list(request);
    checkers.tell('listed', { request, listing, askedMs, answeredMs: clock.nowMs });
  }

  async #warm(selection: Selection): Promise<void> {
    const { node, random, findings } = this.#place;
    const controller = new AbortController();
    let last: { objects: number; objectsDone: number; bytes: number; bytesDone: number } | undefined;
    for await (const progress of node.reader.warm(selection, { signal: controller.signal })) {
      last = progress;
      if (random.chance(0.05)) return;
    }
    if (!last) findings.add('errors', 'a warm yielded no progress');
    else if (last.bytesDone > last.bytes || last.objectsDone > last.objects) {
      findings.add('errors', `a warm has done more than there is: ${JSON.stringify(last)}`);
    }
  }

  async #check(selection: Selection): Promise<void> {
    const { node, random } = this.#place;
    const signal = new AbortController().signal;
    for await (const state of node.reader.check(selection, { verify: random.chance(0.5), signal })) {
      const isWhole = state.presentBytes === state.sizeBytes;
      if (state.presentBytes > state.sizeBytes || (state.state === 'whole' && !isWhole)) {
        this.#place.findings.add('errors', `${state.key} is ${state.state} with ${state.presentBytes} bytes`);
      }
    }
  }

  async #evict(selection: Selection): Promise<void> {
    await this.#place.node.reader.evict(selection);
  }

  async #pin(selection: Selection, pinned: boolean): Promise<void> {
    await this.#place.node.reader.pin(selection, pinned);
  }

  async #explain(key: string): Promise<void> {
    await this.#place.node.reader.explain(VOLUME_NAME, key);
  }

  /** A write through this node. */
  async #write(key: string): Promise<void> {
    const { node, origin, random, options, checkers } = this.#place;
    if (node.writer) {
      await this.#writeThrough(node.writer, key);
      return;
    }
    // acknowledged now
    if (random.chance(0.2)) origin.remove(key);
    else origin.replace(key, { sizeBytes: drawSize(random, options) });
    void node.written(VOLUME_NAME, key);
    checkers.tell('written', key, origin.clock.nowMs);
  }

  /** What opens see from the acknowledgement on is what was written, or what came after it took effect at the origin. */
  async #writeThrough(writer: Writer, key: string): Promise<void> {
    const { clock, origin, random, options, checkers, isServed = () => true } = this.#place;
    const target = { volume: VOLUME_NAME, key };
    const askedMs = clock.nowMs;
    if (random.chance(0.2)) {
      await writer.delete(target);
      if (!isServed()) return;
      const replaced = origin.versions(key).find(({ untilMs }) => untilMs >= askedMs && untilMs <= clock.nowMs);
      if (replaced) checkers.tell('written', key, replaced.untilMs);
      return;
    }
    const bytes = contentSlice(random.integer(1 << 30), 0, Math.min(drawSize(random, options), 200_000));
    const metadata = { write: String(random.word()) };
    const body = { lengthBytes: bytes.length, stream: () => streamOf(bytes) };
    await writer.put(target, body, { headers: {}, metadata, signal: new AbortController().signal });
    if (!isServed()) return;
    const written = origin.versions(key).find((version) => version.metadata['write'] === metadata.write);
    if (written) checkers.tell('written', key, written.fromMs);
    else this.#place.findings.add('errors', `a write of ${key} was acknowledged and never reached the origin`);
  }
}

async function* streamOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes;
}
