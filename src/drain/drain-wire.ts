/** Messages from a keeper to the nodes that hold a content; what comes from a peer is checked. */
import { countOf, type Fields, fieldsOf, malformed, textOf } from '../cluster/chunk-wire.ts';
import { type ContentId, parseContentId } from '../core/ids.ts';
import type { ObjectHeaders } from '../core/object.ts';
import type { Range } from '../core/range.ts';
import type { Json, PeerMessage } from '../io/peers.ts';
import type { Condition, TakenPart } from '../origin/origin.ts';

interface HeldContent {
  readonly volume: string;
  readonly content: ContentId;
  readonly sizeBytes: number;
  readonly chunkSizeBytes: number;
  /** The key at the origin. */
  readonly key: string;
  /** Somebody waits for it: it makes way for nothing. */
  readonly isUrgent: boolean;
}

/** "Send this range of what you hold as part `number` of the upload." Answered with the part as the origin took it. */
export interface DrainPart extends HeldContent {
  readonly upload: string;
  readonly number: number;
  readonly range: Range;
}

/** "Put what you hold to the origin in one request." Answered with its ETag. */
export interface DrainPut extends HeldContent {
  readonly headers: ObjectHeaders;
  readonly metadata: Readonly<Record<string, string>>;
  readonly condition: Condition | undefined;
}

function heldFromWire(message: PeerMessage): HeldContent {
  const content = parseContentId(textOf(message['content']));
  if (content === undefined) throw malformed('no content id');
  return {
    volume: textOf(message['volume']),
    key: textOf(message['key']),
    content,
    sizeBytes: countOf(message['sizeBytes']),
    chunkSizeBytes: countOf(message['chunkSizeBytes']),
    isUrgent: message['isUrgent'] === true,
  };
}

export function partToWire({ range, ...part }: DrainPart): PeerMessage {
  return { type: 'drain.part', ...part, start: range.start, end: range.end };
}

export function partFromWire(message: PeerMessage): DrainPart {
  const held = heldFromWire(message);
  const range = { start: countOf(message['start']), end: countOf(message['end']) };
  if (range.start >= range.end || range.end > held.sizeBytes) throw malformed('no range of the content');
  return { ...held, upload: textOf(message['upload']), number: countOf(message['number']), range };
}

export function takenFromWire(answer: Json): TakenPart {
  const fields = fieldsOf(answer);
  return {
    number: countOf(fields['number']),
    token: textOf(fields['token']),
    sizeBytes: countOf(fields['sizeBytes']),
  };
}

export function putToWire({ condition, headers, ...put }: DrainPut): PeerMessage {
  return {
    type: 'drain.put',
    ...put,
    headers: { ...headers },
    ...(condition && { condition: { ...condition } }),
  };
}

export function putFromWire(message: PeerMessage): DrainPut {
  const { condition } = message;
  return {
    ...heldFromWire(message),
    headers: textsOf(fieldsOf(message['headers'])),
    metadata: textsOf(fieldsOf(message['metadata'])),
    condition: condition === undefined ? undefined : (textsOf(fieldsOf(condition)) as Condition),
  };
}

function textsOf(fields: Fields): Record<string, string> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, textOf(value)]));
}
