/**
 * A client of one life of one node that writes, reads and lists, and keeps the history of what it asked for and was told.
 * A write whose answer says nothing of its outcome may have happened, may yet, or never.
 */
import { type ErrorCode, ForebayError, isForebayError } from '../../src/core/errors.ts';
import type { Level } from '../../src/core/volume.ts';
import { DiskError } from '../../src/io/io.ts';
import type { OpenObject, Piece } from '../../src/read/reader.ts';
import type { Checkpoints } from '../../src/write/checkpoints.ts';
import type { Target, WriteBody, WriteCondition, Writer, Written } from '../../src/write/writer.ts';
import type { Findings } from '../checkers/checker.ts';
import type { Latest } from '../checkers/s6-latest.ts';
import type { Life, SimClock } from '../sim-clock.ts';
import { contentSlice, firstWrong } from '../sim-content.ts';
import type { SimNode } from '../sim-node.ts';
import type { SimRandom } from '../sim-random.ts';
import { NUMBER_METADATA, type Observation, type WriteHistory, type WriteOperation } from '../write-history.ts';

/** Errors that nothing explains: a fault of ours, or of the scenario. */
const UNEXPECTED: ReadonlySet<ErrorCode> = new Set([
  'internal',
  'invalidRequest',
  'invalidArgument',
  'accessDenied',
  'noSuchBucket',
  'recordUnreadable' as ErrorCode,
]);

/** What an object is, as a client sees it: the number of a write, or of a version of someone else. */
export interface Seen {
  readonly number: number;
  readonly isForeign: boolean;
  readonly doorEtag: string;
  readonly stale: boolean;
}

export interface WriteClientPlace {
  readonly clock: SimClock;
  readonly random: SimRandom;
  readonly life: Life;
  readonly name: string;
  readonly node: SimNode;
  readonly history: WriteHistory;
  readonly findings: Findings;
  readonly latest: Latest;
  /** False once the node is being closed or was killed: nothing is acknowledged any more. */
  readonly isServed: () => boolean;
  readonly seen: (observation: Observation) => void;
  readonly acknowledged: (write: WriteOperation, written: Written | undefined) => void;
}

/** How a write is asked for. `expects`: what the key must hold. */
export interface WriteHow {
  readonly level?: Level | undefined;
  readonly expects?: 'absent' | Seen | undefined;
  /** Told how much of the body has been sent. */
  readonly sent?: (bytes: number) => void;
}

export class WriteClient {
  readonly place: WriteClientPlace;

  constructor(place: WriteClientPlace) {
    this.place = place;
  }

  get #writer(): Writer {
    return this.place.node.writer as Writer;
  }

  #operation(target: Target, what: { how: string; number: number; sizeBytes: number } & WriteHow): WriteOperation {
    const { history, name, clock } = this.place;
    const { how, number, sizeBytes, level, expects } = what;
    const kind = number === 0 ? 'delete' : 'put';
    const condition = expects === 'absent' ? expects : expects?.number;
    const asked = { ...target, kind, number, sizeBytes, node: name, how, level, condition } as const;
    return history.asked({ ...asked, askedMs: clock.nowMs });
  }

  /** Does a write and notes what came of it: whether it was acknowledged. */
  async #write(writes: readonly WriteOperation[], work: () => Promise<Written | undefined>): Promise<boolean> {
    const { clock, isServed } = this.place;
    const end = (outcome: WriteOperation['outcome']): void => {
      for (const write of writes) {
        // seen by others before it was answered
        if (write.outcome === 'done') continue;
        write.outcome = outcome;
        if (outcome === 'done' || outcome === 'refused') write.endedMs = clock.nowMs;
      }
    };
    try {
      const written = await work();
      if (!isServed()) {
        end('unknown');
        return false;
      }
      end('done');
      for (const write of writes) this.place.acknowledged(write, written);
      return true;
    } catch (error) {
      const isRefusal = isForebayError(error, 'preconditionFailed') && isServed();
      end(isRefusal && writes.some(({ condition }) => condition !== undefined) ? 'refused' : 'unknown');
      this.#explain(writes[0] as WriteOperation, error);
      return false;
    }
  }

  #explain({ how, key }: Pick<WriteOperation, 'how' | 'key'>, error: unknown): void {
    const { findings, clock } = this.place;
    if (error instanceof ForebayError && !UNEXPECTED.has(error.code)) return;
    if (error instanceof DiskError || error instanceof WrongBytes) return;
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    findings.add('errors', `${how} of ${key} at ${clock.nowMs} ms: ${text}`);
  }

  async put(target: Target, sizeBytes: number, how: WriteHow = {}): Promise<number | undefined> {
    const number = this.place.history.number(sizeBytes, this.place.clock.nowMs);
    const write = this.#operation(target, { how: 'put', number, sizeBytes, ...how });
    const isDone = await this.#write([write], () =>
      this.#writer.put(target, this.#body(number, 0, sizeBytes, how.sent), {
        ...attributesOf(number),
        ...optionsOf(how),
      }),
    );
    return isDone ? number : undefined;
  }

  async delete(target: Target, how: WriteHow = {}): Promise<boolean> {
    const write = this.#operation(target, { how: 'delete', number: 0, sizeBytes: 0, ...how });
    const { condition, ack } = optionsOf(how);
    const ifMatch = condition?.ifMatch;
    return await this.#write([write], async () => {
      await this.#writer.delete(target, { ...(ifMatch !== undefined && { ifMatch }), ...(ack && { ack }) });
      return undefined;
    });
  }

  /** Copies an object that holds `number`, and with `isRename` deletes it, as tools do that rename by the S3 door. */
  async copy(source: Target, target: Target, number: number, how: WriteHow & { isRename?: boolean }): Promise<boolean> {
    const sizeBytes = this.place.history.sizeOf(number) ?? 0;
    const write = this.#operation(target, { how: 'copy', number, sizeBytes, ...how });
    const isCopied = await this.#write([write], () => this.#writer.copy(source, target, optionsOf(how)));
    if (!isCopied || !how.isRename) return isCopied;
    return await this.delete(source, { level: how.level });
  }

  /** Gives an object that holds `number` another key, over whatever is there. */
  async rename(source: Target, target: Target, number: number, level?: Level): Promise<boolean> {
    const sizeBytes = this.place.history.sizeOf(number) ?? 0;
    const writes = [
      this.#operation(target, { how: 'rename', number, sizeBytes, level }),
      this.#operation(source, { how: 'rename away', number: 0, sizeBytes: 0, level }),
    ];
    const { signal } = new AbortController();
    return await this.#write(writes, () =>
      this.#writer.rename(source, target, { ...(level && { ack: level }), signal }),
    );
  }

  /** Writes an object in parts of the given sizes, in a drawn order; some clients give up midway. */
  async multipart(target: Target, partBytes: readonly number[], how: WriteHow & { gaveUp?: boolean }): Promise<void> {
    const { random, history } = this.place;
    const sizeBytes = partBytes.reduce((sum, bytes) => sum + bytes, 0);
    const number = history.number(sizeBytes, this.place.clock.nowMs);
    const { signal } = new AbortController();
    // a client that is gone before the end leaves it
    history.leftUploads++;
    try {
      const { uploadId } = await this.#writer.beginUpload(target, attributesOf(number));
      const starts = partBytes.map((_, index) => partBytes.slice(0, index).reduce((sum, bytes) => sum + bytes, 0));
      const order = partBytes.map((_, index) => index);
      if (random.chance(0.5)) order.reverse();
      const parts = await Promise.all(
        order.map(async (index) => {
          const body = this.#body(number, starts[index] as number, partBytes[index] as number);
          const { doorEtag } = await this.#writer.putPart(target, uploadId, index + 1, body, signal);
          return { number: index + 1, doorEtag };
        }),
      );
      if (how.gaveUp) {
        if (random.chance(0.5)) return;
        await this.#writer.abortUpload(target, uploadId);
        history.leftUploads--;
        return;
      }
      parts.sort((a, b) => a.number - b.number);
      const write = this.#operation(target, { how: 'multipart', number, sizeBytes, ...how });
      await this.#write([write], () => this.#writer.completeUpload(target, uploadId, parts, optionsOf(how)));
      history.leftUploads--;
    } catch (error) {
      this.#explain({ how: 'multipart', key: target.key }, error);
    }
  }

  /**
   * Objects by several clients that are committed as one; some attempts are given up. `name` is a directory, the objects are
   * directly in it.
   */
  async checkpoint(
    volume: string,
    name: string,
    puts: readonly { readonly key: string; readonly sizeBytes: number; readonly by: WriteClient }[],
    isGivenUp: boolean,
  ): Promise<void> {
    const { history, clock } = this.place;
    const { latest } = this.place;
    const checkpoints = this.#checkpoints;
    history.leftUploads++;
    const begun = latest.begun({ volume, name, askedMs: clock.nowMs, endedMs: Number.POSITIVE_INFINITY });
    try {
      const { attempt } = await checkpoints.begin(volume, name);
      begun.begun.endedMs = clock.nowMs;
      const checkpoint = { checkpoint: name, attempt };
      const numbers = await Promise.all(
        puts.map(async ({ key, sizeBytes, by }) => {
          const number = history.number(sizeBytes, clock.nowMs);
          const attributes = { ...attributesOf(number), ...optionsOf({}), checkpoint };
          await by.#writer.put({ volume, key }, by.#body(number, 0, sizeBytes), attributes);
          return number;
        }),
      );
      if (isGivenUp) {
        await checkpoints.abort(volume, checkpoint);
        history.leftUploads--;
        return;
      }
      const group = puts.map(({ key, sizeBytes }, index) =>
        this.#operation({ volume, key }, { how: 'checkpoint', number: numbers[index] as number, sizeBytes }),
      );
      for (const each of group) each.group = group;
      const { findings } = this.place;
      const commit = { volume, name, askedMs: clock.nowMs, endedMs: Number.POSITIVE_INFINITY };
      begun.commit = commit;
      const isDone = await this.#write(group, async () => {
        const { objects } = await checkpoints.commit(volume, checkpoint, { count: puts.length });
        if (objects !== puts.length)
          findings.add('S-6', `${name} was committed with ${objects} of ${puts.length} objects`);
        return undefined;
      });
      if (isDone) commit.endedMs = clock.nowMs;
      history.leftUploads--;
    } catch (error) {
      this.#explain({ how: 'checkpoint', key: name }, error);
    }
  }

  get #checkpoints(): Checkpoints {
    return this.place.node.checkpoints as Checkpoints;
  }

  /** Asks which committed checkpoint is the latest. */
  async latest(volume: string): Promise<void> {
    const { clock, name: node, latest, isServed } = this.place;
    const askedMs = clock.nowMs;
    try {
      const found = await this.#checkpoints.latest(volume);
      if (isServed()) latest.saw(node, volume, found?.name, { askedMs, answeredMs: clock.nowMs });
    } catch (error) {
      this.#explain({ how: 'latest', key: volume }, error);
    }
  }

  /** Makes a checkpoint that was committed the latest. */
  async rollback(volume: string): Promise<void> {
    const { clock, random, latest, isServed } = this.place;
    const names = latest.committed(volume);
    if (names.length === 0) return;
    const name = random.pick(names);
    const asked = latest.rollback({ volume, name, askedMs: clock.nowMs, endedMs: Number.POSITIVE_INFINITY });
    try {
      await this.#checkpoints.rollback(volume, name);
      if (isServed()) asked.endedMs = clock.nowMs;
    } catch (error) {
      this.#explain({ how: 'rollback', key: name }, error);
    }
  }

  /** Bytes of a write as a client sends them, in pieces with pauses between. */
  #body(number: number, start: number, lengthBytes: number, sent?: (bytes: number) => void): WriteBody {
    const { clock, random, life } = this.place;
    return {
      lengthBytes,
      async *stream() {
        const most = random.pick([16 << 10, 256 << 10, 1 << 20]);
        for (let at = 0; at < lengthBytes; ) {
          const bytes = contentSlice(number, start + at, Math.min(most, lengthBytes - at));
          if (random.chance(0.2)) await clock.sleep(random.exponential(20), { life });
          yield bytes;
          at += bytes.length;
          sent?.(at);
        }
      },
    };
  }

  /** Reads an object whole and checks its bytes; `undefined`: it is not there. Throws what the read path throws. */
  async read(target: Target): Promise<Seen | undefined> {
    const { clock, node, name, findings, random } = this.place;
    const askedMs = clock.nowMs;
    let object: OpenObject;
    try {
      // as doors do: what is in memory is served at once, where that is right
      const hot = random.chance(0.5) ? node.reader.openHot(target.volume, target.key) : undefined;
      object = hot ?? (await node.reader.open(target.volume, target.key));
    } catch (error) {
      if (!isForebayError(error, 'noSuchKey')) throw error;
      this.place.seen({ ...target, node: name, askedMs, answeredMs: clock.nowMs, saw: 'absent' });
      return undefined;
    }
    const seen = seenIn(object);
    try {
      if (!seen.stale && !seen.isForeign) {
        const { number } = seen;
        this.place.seen({ ...target, node: name, askedMs, answeredMs: clock.nowMs, saw: { number } });
      }
      await this.#bytes(target, object, seen);
    } catch (error) {
      if (error instanceof WrongBytes) findings.add('S-9', error.message);
      throw error;
    } finally {
      object.close();
    }
    return seen;
  }

  async #bytes({ key }: Target, object: OpenObject, { number, isForeign }: Seen): Promise<void> {
    const { sizeBytes } = object.fact;
    const expected = isForeign ? sizeBytes : this.place.history.sizeOf(number);
    if (sizeBytes !== expected)
      throw new WrongBytes(`${key} shows content ${number} with ${sizeBytes} bytes, it has ${expected}`);
    const check = (at: number, bytes: Uint8Array): void => {
      const wrong = firstWrong(number, at, bytes);
      if (wrong >= 0) throw new WrongBytes(`${key}, content ${number} (${object.fact.content}), is wrong at ${wrong}`);
    };
    if (object.hot) return check(0, object.hot);
    let at = 0;
    const { signal } = new AbortController();
    for await (const piece of object.pieces({ start: 0, end: sizeBytes }, signal)) {
      let isDamaged = true;
      try {
        at = await this.#piece(piece, at, check);
        isDamaged = false;
      } finally {
        piece.release(isDamaged);
      }
    }
    if (at !== sizeBytes) throw new WrongBytes(`${key}, content ${number}: a read ended at ${at} of ${sizeBytes}`);
  }

  async #piece(piece: Piece, at: number, check: (at: number, bytes: Uint8Array) => void): Promise<number> {
    if (piece.kind === 'bytes') {
      check(at, piece.bytes);
      return at + piece.bytes.length;
    }
    const { file, range } = piece;
    for (let from = range.start; from < range.end; ) {
      const bytes = await file.read(from, Math.min(1 << 20, range.end - from));
      if (bytes.length === 0) throw new WrongBytes(`the file of a piece ends at ${from}, before ${range.end}`);
      check(at + from - range.start, bytes);
      from += bytes.length;
    }
    return at + range.end - range.start;
  }

  /** A read that may fail; what explains nothing becomes a finding. */
  async tryRead(target: Target): Promise<Seen | undefined> {
    try {
      return await this.read(target);
    } catch (error) {
      this.#explain({ how: 'read', key: target.key }, error);
      return undefined;
    }
  }

  /** Lists all below a prefix; every known key there was seen or was not. */
  async list(volume: string, prefix: string): Promise<void> {
    const { clock, node, name, history } = this.place;
    const askedMs = clock.nowMs;
    try {
      const listing = await node.reader.list({ volume, prefix, limit: 1000 });
      if (listing.stale || listing.next !== undefined) return;
      const sizes = new Map(listing.objects.map(({ key, sizeBytes }) => [key, sizeBytes]));
      const answeredMs = clock.nowMs;
      for (const { key, volume: where } of history.keys()) {
        if (where !== volume || !key.startsWith(prefix)) continue;
        const sizeBytes = sizes.get(key);
        const saw = sizeBytes === undefined ? 'absent' : { sizeBytes };
        this.place.seen({ volume, key, node: name, askedMs, answeredMs, saw });
      }
    } catch (error) {
      this.#explain({ how: 'list', key: prefix }, error);
    }
  }

  /** Asks the node to free what it may: what is dirty it may not. */
  async evict(target: Target): Promise<void> {
    const { node, random } = this.place;
    const everything = { volume: target.volume, prefix: '' };
    try {
      await node.reader.evict(random.chance(0.5) ? target : everything);
    } catch (error) {
      this.#explain({ how: 'evict', key: target.key }, error);
    }
  }
}

class WrongBytes extends Error {
  override name = 'WrongBytes';
}

function seenIn({ fact, stale }: OpenObject): Seen {
  const written = fact.metadata[NUMBER_METADATA];
  const number = Number(written ?? fact.metadata['number']);
  return { number, isForeign: written === undefined, doorEtag: fact.doorEtag, stale };
}

function attributesOf(number: number): { headers: Record<string, never>; metadata: Record<string, string> } {
  return { headers: {}, metadata: { [NUMBER_METADATA]: String(number) } };
}

function optionsOf({ level, expects }: WriteHow): { condition?: WriteCondition; ack?: Level; signal: AbortSignal } {
  const condition: WriteCondition | undefined =
    expects === undefined ? undefined : expects === 'absent' ? { ifNoneMatch: '*' } : { ifMatch: expects.doorEtag };
  return { ...(condition && { condition }), ...(level && { ack: level }), signal: new AbortController().signal };
}
