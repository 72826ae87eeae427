/**
 * This node as one of those that hold what drains: reads its own blocks, checks them (S-9) and sends them to the origin when a
 * keeper asks. What it sends has no effect before the keeper finalises, or is conditional, so that a late request does no harm.
 *
 * Bounds:  `drainSendsMax` at once, each a part in memory where it is small; `bandwidth.origin`. Bytes that only one node has leave
 *          first (`write/copy-traffic.ts`), unless somebody waits for what drains.
 * Errors:  notHeld where bytes are missing or wrong here, else the origin's.
 */

import type { Cluster } from '../cluster/cluster.ts';
import { ForebayError } from '../core/errors.ts';
import { drainSendsMax, drainSendsWaitingMax } from '../core/limits.ts';
import { Places } from '../core/places.ts';
import type { Range } from '../core/range.ts';
import { DiskError } from '../io/io.ts';
import type { Json } from '../io/peers.ts';
import type { Budget } from '../mover/budget.ts';
import type { Body, Origin } from '../origin/origin.ts';
import { bytesOfPiece } from '../store/piece.ts';
import type { ContentShape, Store } from '../store/store.ts';
import type { CopyTraffic } from '../write/copy-traffic.ts';
import { type DrainPart, type DrainPut, partFromWire, putFromWire } from './drain-wire.ts';

export interface PartSenderOptions {
  readonly cluster: Pick<Cluster, 'handle'>;
  readonly store: Pick<Store, 'holdKnown' | 'acquire'>;
  readonly originOf: (volume: string) => Origin | undefined;
  readonly budget: Budget;
  readonly traffic: Pick<CopyTraffic, 'turn'>;
}

export class PartSender {
  readonly #options: PartSenderOptions;
  readonly #sends = new Places(drainSendsMax, {
    max: drainSendsWaitingMax,
    full: `${drainSendsWaitingMax} parts wait to be sent from here`,
  });

  constructor(options: PartSenderOptions) {
    this.#options = options;
    options.cluster.handle('drain.part', (_from, message, signal) => this.#part(partFromWire(message), signal));
    options.cluster.handle('drain.put', (_from, message, signal) => this.#put(putFromWire(message), signal));
  }

  async #part(want: DrainPart, signal: AbortSignal): Promise<Json> {
    const upload = { key: want.key, id: want.upload };
    const origin = this.#origin(want.volume);
    return await this.#sending(want, want.range, signal, async (body) => {
      const { number, token, sizeBytes } = await origin.part(upload, want.number, body, { signal });
      return { number, token, sizeBytes };
    });
  }

  async #put(want: DrainPut, signal: AbortSignal): Promise<Json> {
    const { headers, metadata, condition } = want;
    const origin = this.#origin(want.volume);
    return await this.#sending(want, { start: 0, end: want.sizeBytes }, signal, async (body) => {
      const options = { headers, metadata, signal, ...(condition && { condition }) };
      return { etag: (await origin.put(want.key, body, options)).etag };
    });
  }

  #origin(volume: string): Origin {
    const origin = this.#options.originOf(volume);
    if (origin === undefined) throw new ForebayError('noSuchBucket', `this node has no volume ${volume}`);
    return origin;
  }

  async #sending<T>(
    content: Pick<DrainPart, 'content' | 'sizeBytes' | 'isUrgent'>,
    range: Range,
    signal: AbortSignal,
    send: (body: Body) => Promise<T>,
  ): Promise<T> {
    const { store, budget, traffic } = this.#options;
    if (!content.isUrgent) await traffic.turn(signal);
    await this.#sends.take(signal);
    try {
      const hold = store.holdKnown(content.content, content.sizeBytes);
      // nothing needs no holder: the record says all of an empty object
      if (hold === undefined && content.sizeBytes > 0)
        throw new ForebayError('notHeld', `nothing of ${content.content} is here`);
      try {
        await budget.take(range.end - range.start, signal);
        const stream = () => this.#bytes(content.content, range);
        return await send({ lengthBytes: range.end - range.start, replayable: true, stream });
      } finally {
        hold?.release();
      }
    } finally {
      this.#sends.release();
    }
  }

  async *#bytes(id: ContentShape['id'], range: Range): AsyncGenerator<Uint8Array, void, undefined> {
    for (let at = range.start; at < range.end; ) {
      const part = { start: at, end: range.end };
      const piece = await this.#options.store.acquire(id, part, { verify: true }).catch(diskFailed);
      if (piece === undefined)
        throw new ForebayError('notHeld', `byte ${at} of ${id} is not here, or was wrong here and is dropped`);
      try {
        const bytes = await Promise.resolve(bytesOfPiece(piece)).catch(diskFailed);
        at += bytes.length;
        yield bytes;
      } finally {
        piece.release();
      }
    }
  }
}

/** Another holder is asked, or this one later. */
function diskFailed(error: unknown): never {
  if (!(error instanceof DiskError)) throw error;
  throw new ForebayError('diskUnavailable', `the cache disk failed: ${error.message}`, { cause: error });
}
