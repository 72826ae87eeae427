/** What nodes say to each other about keys, as it travels (docs/formats/peer.md); what comes from a peer is checked. */
import { countOf, type Fields, fieldsOf, listOf, malformed, textOf } from '../cluster/chunk-wire.ts';
import { type ContentId, parseContentId } from '../core/ids.ts';
import type { Json } from '../io/peers.ts';
import type { ValueFact } from './kv.ts';

/** A key is bytes, one character each. */
export function keyOf(value: Json | undefined): string {
  const key = textOf(value);
  if (key.length === 0 || key.length > 1024 || !isBytes(key)) throw malformed('no key of a value');
  return key;
}

function isBytes(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) > 0xff) return false;
  return true;
}

export function keysOf(value: Json | undefined): string[] {
  return listOf(value).map(keyOf);
}

export function contentOf(value: Json | undefined): ContentId {
  const content = parseContentId(textOf(value));
  if (content === undefined) throw malformed('no content id');
  return content;
}

/** Milliseconds from now; null: for ever. */
export function msToWire(ms: number): number | null {
  return Number.isFinite(ms) ? Math.max(0, Math.floor(ms)) : null;
}

export function msOf(value: Json | undefined): number {
  return value === null || value === undefined ? Number.POSITIVE_INFINITY : countOf(value);
}

/** What a holder says of a value, and its bytes where they were asked for and are few. */
export interface HeldFact {
  readonly fact: ValueFact;
  readonly isLeased: boolean;
  readonly bytes: Uint8Array | undefined;
}

export function factToWire({ fact, isLeased, bytes }: HeldFact): Json {
  return {
    content: fact.content,
    size: fact.sizeBytes,
    ms: msToWire(fact.remainingMs),
    modified: Math.floor(fact.modifiedMs),
    ...(fact.contentType !== undefined && { contentType: fact.contentType }),
    ...(isLeased && { leased: true }),
    ...(bytes !== undefined && {
      bytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64'),
    }),
  };
}

export function factFromWire(value: Json | undefined): HeldFact | undefined {
  if (value === null || value === undefined) return undefined;
  const fields: Fields = fieldsOf(value);
  const { contentType, bytes } = fields;
  const sizeBytes = countOf(fields['size']);
  const whole = typeof bytes === 'string' ? Buffer.from(bytes, 'base64') : undefined;
  if (whole !== undefined && whole.length !== sizeBytes) throw malformed('a value is cut short');
  return {
    fact: {
      content: contentOf(fields['content']),
      sizeBytes,
      remainingMs: msOf(fields['ms']),
      modifiedMs: countOf(fields['modified']),
      ...(typeof contentType === 'string' && { contentType }),
    },
    isLeased: fields['leased'] === true,
    bytes: whole,
  };
}

/** Cuts keys into what fits into one message each. */
export function* batchesOf<T>(
  items: readonly T[],
  keyOfItem: (item: T) => string,
  { keysMax, bytesMax }: { keysMax: number; bytesMax: number },
): Generator<T[]> {
  let batch: T[] = [];
  let bytes = 0;
  for (const item of items) {
    const { length } = keyOfItem(item);
    if (batch.length > 0 && (batch.length >= keysMax || bytes + length > bytesMax)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(item);
    bytes += length;
  }
  if (batch.length > 0) yield batch;
}
