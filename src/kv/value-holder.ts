/**
 * This node as a holder of values: leases them to those who ask, hands over small ones, takes parts in that belong to an entry
 * here, and drops what an owner says was deleted or replaced. Large values leave as blocks of their content (`cluster/holder.ts`).
 */

import { countOf, fieldsOf, listOf, textOf } from '../cluster/chunk-wire.ts';
import { kvInlineAnswerMaxBytes, kvInlineMaxBytes, kvLeaseMaxMs, kvMessageKeysMax } from '../core/kv-limits.ts';
import type { Json, PeerMessage } from '../io/peers.ts';
import { bytesOfPiece } from '../store/piece.ts';
import type { DroppedKeys } from './dropped-keys.ts';
import type { KvStatus, ValueBody } from './kv.ts';
import { contentOf, factToWire, keyOf, keysOf, msOf } from './kv-wire.ts';
import { leaseHere, openHere } from './prepared.ts';
import type { Scope } from './scope.ts';
import type { LocalOutcome } from './values.ts';

export interface ValueHolderOptions {
  readonly scope: Scope;
  readonly dropped: DroppedKeys;
  readonly status: () => KvStatus;
  /** An owner thinks that a key is here, and it is not. */
  readonly onMissed: (key: string) => void;
  /** As a client's put here. */
  readonly put: (
    key: string,
    body: ValueBody,
    options: { ttlMs?: number; contentType?: string; signal: AbortSignal },
  ) => Promise<LocalOutcome>;
  readonly expire: (key: string, ttlMs: number) => boolean;
}

export class ValueHolder {
  readonly #options: ValueHolderOptions;

  constructor(options: ValueHolderOptions) {
    this.#options = options;
  }

  answers: Readonly<Record<string, (from: string, message: PeerMessage, signal: AbortSignal) => Promise<Json> | Json>> =
    {
      'kv.lease': (_from, message, signal) => this.#lease(message, signal),
      'kv.drop': (_from, message) => this.#drop(message),
      'kv.put': (_from, message, signal) => this.#put(message, signal),
      'kv.expire': (_from, message) => this.#options.expire(keyOf(message['key']), msOf(message['ms'])),
      'kv.page': (_from, message) => this.#page(message),
      'kv.count': () => this.#options.status().values,
    };

  /** Per key what is here; null: nothing, 'dropped': nothing, for a client wanted it so. */
  async #lease(message: PeerMessage, signal: AbortSignal): Promise<Json> {
    const { scope, dropped, onMissed } = this.#options;
    const { local } = scope;
    const ms = Math.min(countOf(message['ms']), kvLeaseMaxMs);
    let inlineBytes = message['inline'] === true ? kvInlineAnswerMaxBytes : 0;
    const answers: Json[] = [];
    for (const key of keysOf(message['keys'])) {
      signal.throwIfAborted();
      const isLeased = ms > 0 && (await leaseHere(local, key, ms));
      const fact = local.find(key);
      if (fact === undefined) {
        onMissed(key);
        answers.push(dropped.has(scope.nowMs, key) ? 'dropped' : null);
        continue;
      }
      const isInline = fact.sizeBytes <= kvInlineMaxBytes && fact.sizeBytes <= inlineBytes;
      const bytes = isInline ? await this.#bytes(key, fact.content, signal) : undefined;
      inlineBytes -= bytes?.length ?? 0;
      answers.push(factToWire({ fact, isLeased, bytes }));
    }
    return answers;
  }

  /** Of this version, where it can be read at once. */
  async #bytes(key: string, content: string, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const value = await openHere(this.#options.scope.local, key);
    if (value === undefined) return undefined;
    try {
      const { fact } = value;
      if (fact.content !== content) return undefined;
      return value.hot ?? (await wholeOf(value.pieces({ start: 0, end: fact.sizeBytes }, signal), fact.sizeBytes));
    } catch {
      // whoever asks gets its blocks, and their trouble with them
      return undefined;
    } finally {
      value.close();
    }
  }

  async #drop(message: PeerMessage): Promise<null> {
    const { scope, dropped } = this.#options;
    for (const item of listOf(message['items'])) {
      const [name, content] = listOf(item);
      const key = keyOf(name);
      if (scope.local.drop(key, contentOf(content))) dropped.add(scope.nowMs, key);
    }
    await scope.local.written();
    return null;
  }

  async #put(message: PeerMessage, signal: AbortSignal): Promise<Json> {
    const { contentType } = message;
    const bytes = Buffer.from(textOf(message['bytes']), 'base64');
    const ttlMs = msOf(message['ms']);
    const { outcome, fact } = await this.#options.put(keyOf(message['key']), bodyOf(bytes), {
      ...(message['ms'] !== undefined && { ttlMs }),
      ...(typeof contentType === 'string' && { contentType }),
      signal,
    });
    return { outcome, fact: factToWire({ fact, isLeased: false, bytes: undefined }) };
  }

  #page(message: PeerMessage): Json {
    const { after } = message;
    const page = this.#options.scope.local.page({
      prefix: textOf(message['prefix']),
      ...(typeof after === 'string' && { after }),
      limit: Math.min(countOf(message['limit']), kvMessageKeysMax),
    });
    return page.map(({ key, fact }) => ({
      ...fieldsOf(factToWire({ fact, isLeased: false, bytes: undefined })),
      key,
    }));
  }
}

/** Bytes that are here, as the body of a put. */
export function bodyOf(bytes: Uint8Array): ValueBody {
  return {
    lengthBytes: bytes.length,
    whole: bytes,
    async *stream() {
      if (bytes.length > 0) yield bytes;
    },
  };
}

type Pieces = ReturnType<import('./kv.ts').OpenValue['pieces']>;

/** All bytes of a small value, in one. */
async function wholeOf(pieces: Pieces, sizeBytes: number): Promise<Uint8Array> {
  const whole = Buffer.allocUnsafe(sizeBytes);
  let at = 0;
  for await (const piece of pieces) {
    try {
      const bytes = await bytesOfPiece(piece);
      whole.set(bytes, at);
      at += bytes.length;
    } finally {
      piece.release();
    }
  }
  if (at !== sizeBytes) throw new Error(`${at} of ${sizeBytes} bytes came`);
  return whole;
}
