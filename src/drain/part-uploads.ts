/**
 * A keeper's way to the bytes of a version: the nodes that hold it send them to the origin themselves, several parts each, and what
 * one cannot send another does. Nothing here has an effect at the origin before somebody finalises.
 *
 * Bounds:  `drainPartsPerHolderMax` parts at each holder, over all objects of this keeper.
 */

import { fieldsOf, textOf } from '../cluster/chunk-wire.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { ForebayError, isForebayError } from '../core/errors.ts';
import { drainBytesPerSMin, drainCallMs, drainPartsPerHolderMax } from '../core/limits.ts';
import type { Json, PeerMessage } from '../io/peers.ts';
import type { TakenPart } from '../origin/origin.ts';
import type { Unit } from './drain-units.ts';
import { type DrainPart, type DrainPut, partToWire, putToWire, takenFromWire } from './drain-wire.ts';

/** Of the holder, not of the origin: another one is asked. */
const HOLDER_ERRORS = [
  'peerUnreachable',
  'peerTimeout',
  'peerRefused',
  'notHeld',
  'corrupt',
  'overloaded',
  'shuttingDown',
  'diskUnavailable',
  'noSuchBucket',
  'incompleteBody',
] as const;

/** It does not have the bytes, whatever the record says. */
const MISSING = ['notHeld', 'corrupt', 'replicasUnavailable'] as const;

export type DrainCluster = Pick<Cluster, 'self' | 'members' | 'call' | 'onMembers' | 'member'>;

export class PartUploads {
  readonly #cluster: DrainCluster;
  readonly #inFlight = new Map<string, number>();
  readonly #puts = new Map<string, number>();
  /** Who of equally busy ones comes first: each in turn, so that no node's link carries more than its share. */
  #turn = 0;
  readonly #freed = new Set<() => void>();

  constructor(cluster: DrainCluster) {
    this.#cluster = cluster;
  }

  #live(nodes: readonly string[]): string[] {
    return nodes.filter((node) => this.#cluster.member(node) !== undefined);
  }

  /** The other members. One that was away while copies were made anew has what its record no longer says. */
  #others(nodes: readonly string[]): string[] {
    return this.#cluster.members.members.map(({ node }) => node).filter((node) => !nodes.includes(node));
  }

  /** Puts the whole in one request, from the first holder that can. Throws replicasUnavailable where nobody who holds it is there. */
  async put(put: DrainPut, nodes: readonly string[], signal: AbortSignal): Promise<{ etag: string }> {
    const named = this.#live(nodes);
    const others = new Set(this.#others(nodes));
    let last: unknown = noneThere(nodes);
    let isMissing = true;
    for (const node of [...this.#leastPutting(named), ...others]) {
      if (others.has(node) && !isMissing) break;
      this.#puts.set(node, (this.#puts.get(node) ?? 0) + 1);
      try {
        const answer = await this.#call(node, putToWire(put), put.sizeBytes, signal);
        return { etag: textOf(fieldsOf(answer)['etag']) };
      } catch (error) {
        // A holder that does not answer may have put it: the caller looks.
        if (!isForebayError(error, ...HOLDER_ERRORS) || isForebayError(error, 'peerTimeout', 'peerUnreachable'))
          throw error;
        if (!isForebayError(error, ...MISSING)) isMissing = false;
        if (!others.has(node)) last = error;
      } finally {
        const count = (this.#puts.get(node) as number) - 1;
        if (count === 0) this.#puts.delete(node);
        else this.#puts.set(node, count);
      }
    }
    throw last;
  }

  /** Sends the parts, and tells of each; resolves when all are at the origin. */
  async send(
    units: readonly Unit[],
    part: Omit<DrainPart, 'number' | 'range'>,
    options: { nodes: readonly string[]; signal: AbortSignal; onTaken: (taken: TakenPart) => void },
  ): Promise<void> {
    const failed = new AbortController();
    const signal = AbortSignal.any([options.signal, failed.signal]);
    const left = [...units].reverse();
    const holders = new Set(this.#live(options.nodes));
    const underWay = new Set<Promise<void>>();
    let others = this.#others(options.nodes);
    let lastError: unknown = noneThere(options.nodes);
    try {
      while (left.length > 0 || underWay.size > 0) {
        signal.throwIfAborted();
        if (holders.size === 0 && isForebayError(lastError, ...MISSING)) {
          for (const node of others) holders.add(node);
          others = [];
        }
        if (holders.size === 0) throw lastError;
        const node = left.length === 0 ? undefined : this.#leastBusy(holders);
        if (node === undefined) {
          await Promise.race([...underWay, this.#untilFreed(signal)]);
          continue;
        }
        const unit = left.pop() as Unit;
        const sending: Promise<void> = this.#part(node, unit, part, signal)
          .then(options.onTaken, (error: unknown) => {
            if (!isForebayError(error, ...HOLDER_ERRORS)) {
              failed.abort(error);
              return;
            }
            lastError = error;
            holders.delete(node);
            left.push(unit);
          })
          .finally(() => underWay.delete(sending));
        underWay.add(sending);
      }
    } finally {
      failed.abort(new ForebayError('shuttingDown', 'the upload is over'));
      await Promise.allSettled(underWay);
    }
    options.signal.throwIfAborted();
  }

  async #part(
    node: string,
    unit: Unit,
    part: Omit<DrainPart, 'number' | 'range'>,
    signal: AbortSignal,
  ): Promise<TakenPart> {
    this.#inFlight.set(node, (this.#inFlight.get(node) ?? 0) + 1);
    try {
      const range = { start: unit.start, end: unit.end };
      const message = partToWire({ ...part, number: unit.number, range });
      return takenFromWire(await this.#call(node, message, unit.end - unit.start, signal));
    } finally {
      const count = (this.#inFlight.get(node) as number) - 1;
      if (count === 0) this.#inFlight.delete(node);
      else this.#inFlight.set(node, count);
      for (const freed of Array.from(this.#freed)) freed();
    }
  }

  /** Given up as soon as the node is no longer a member, for a dead one does not answer. */
  async #call(node: string, message: PeerMessage, bytes: number, signal: AbortSignal): Promise<Json> {
    const deadlineMs = drainCallMs + (bytes / drainBytesPerSMin) * 1000;
    const gone = new AbortController();
    const session = this.#cluster.member(node)?.session;
    const stop = this.#cluster.onMembers(() => {
      if (this.#cluster.member(node)?.session !== session)
        gone.abort(new ForebayError('peerUnreachable', `${node} left the cluster`));
    });
    try {
      return await this.#cluster.call(node, message, { deadlineMs, signal: AbortSignal.any([signal, gone.signal]) });
    } finally {
      stop();
    }
  }

  #leastPutting(holders: readonly string[]): readonly string[] {
    if (holders.length === 0) return holders;
    const turn = this.#turn++ % holders.length;
    const turned = [...holders.slice(turn), ...holders.slice(0, turn)];
    const load = (node: string) => (this.#puts.get(node) ?? 0) + (this.#inFlight.get(node) ?? 0);
    return turned.sort((a, b) => load(a) - load(b));
  }

  #leastBusy(holders: ReadonlySet<string>): string | undefined {
    let found: { node: string; count: number } | undefined;
    for (const node of holders) {
      const count = this.#inFlight.get(node) ?? 0;
      if (count < drainPartsPerHolderMax && (found === undefined || count < found.count)) found = { node, count };
    }
    return found?.node;
  }

  #untilFreed(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#freed.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.#freed.add(done);
      signal.addEventListener('abort', done, { once: true });
    });
  }
}

const noneThere = (nodes: readonly string[]): ForebayError =>
  new ForebayError('replicasUnavailable', `none of ${nodes.join(', ')} is in the cluster`);
