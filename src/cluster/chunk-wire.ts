/** Chunks, and what the directory says of them, as they travel in messages; what comes from a peer is checked. */
import { ForebayError } from '../core/errors.ts';
import { parseContentId } from '../core/ids.ts';
import type { Json, PeerMessage } from '../io/peers.ts';
import type { ChunkRef } from './chunk-ref.ts';
import type { FailureReason, Located, Outcome, RefillReason } from './directory.ts';

export type Fields = { readonly [name: string]: Json | undefined };

export function malformed(what: string): ForebayError {
  return new ForebayError('invalidRequest', `a peer sent a malformed message: ${what}`);
}

export function fieldsOf(value: Json | undefined): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed('an object is missing');
  return value as Fields;
}

export function listOf(value: Json | undefined): readonly Json[] {
  if (!Array.isArray(value)) throw malformed('a list is missing');
  return value as readonly Json[];
}

export function itemsOf(message: PeerMessage): readonly Json[] {
  return listOf(message['items']);
}

export function textOf(value: Json | undefined): string {
  if (typeof value !== 'string') throw malformed('a text is missing');
  return value;
}

/** A whole number from 0 on. */
export function countOf(value: Json | undefined): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw malformed('a number is missing');
  return value;
}

/** `content/chunk`. */
export function refFromWire(value: Json | undefined): ChunkRef {
  const text = textOf(value);
  const [id, chunk] = text.split('/');
  const content = parseContentId(id ?? '');
  if (content === undefined || !/^\d{1,7}$/.test(chunk ?? '')) throw malformed(`no chunk: ${text}`);
  return { content, chunk: Number(chunk) };
}

export const REFILL_REASONS = {
  fillFailed: 'fill-failed',
  fillTimedOut: 'fill-timed-out',
  fillerLeft: 'filler-left',
  holdersLeft: 'holders-left',
  holdersFailed: 'holders-failed',
  dropped: 'dropped',
} as const satisfies Record<RefillReason, string>;

/** `notOwner`: the asked node is not, or no longer, the owner of the chunk's slot, or may not act. */
export type WireAnswer = Located | { readonly kind: 'notOwner' };

export function answerToWire(answer: WireAnswer): Json {
  return { ...answer };
}

export function answerFromWire(value: Json | undefined): WireAnswer {
  const fields = fieldsOf(value);
  switch (fields['kind']) {
    case 'pull':
      return { kind: 'pull', from: textOf(fields['from']) };
    case 'fill': {
      const refill = fields['refill'];
      return typeof refill === 'string' && refill in REFILL_REASONS
        ? { kind: 'fill', refill: refill as RefillReason }
        : { kind: 'fill' };
    }
    case 'wait':
      return { kind: 'wait', ms: countOf(fields['ms']) };
    case 'notOwner':
      return { kind: 'notOwner' };
    default:
      throw malformed('no answer of a directory');
  }
}

const FAILURES: ReadonlySet<string> = new Set<FailureReason>([
  'unreachable',
  'timeout',
  'corrupt',
  'notHeld',
  'overloaded',
  'origin',
  'cancelled',
]);

export function outcomeFromWire(value: Json): Outcome {
  const fields = fieldsOf(value);
  const ref = refFromWire(fields['ref']);
  if (fields['kind'] === 'done' || fields['kind'] === 'going') return { ref, kind: fields['kind'] };
  const reason = textOf(fields['reason']);
  if (!FAILURES.has(reason)) throw malformed(`no reason: ${reason}`);
  const { source } = fields;
  return {
    ref,
    kind: 'failed',
    reason: reason as FailureReason,
    ...(typeof source === 'string' && { source }),
  };
}
