/** Messages between a writer and its replicas; what comes from a peer is checked. */
import { countOf, type Fields, fieldsOf, malformed, textOf } from '../cluster/chunk-wire.ts';
import { BLOCK_SIZE_BYTES } from '../core/chunk.ts';
import { type ContentId, parseContentId } from '../core/ids.ts';
import { stageInlineMaxBytes } from '../core/limits.ts';
import type { Compare } from '../io/coordinator.ts';
import type { Clock } from '../io/io.ts';
import type { Json, PeerMessage } from '../io/peers.ts';
import type { DirtyNote, Sealed } from '../store/staging.ts';

export interface StagedContent {
  readonly content: ContentId;
  readonly chunkSizeBytes: number;
  /** The exact size, where it is known from the start. */
  readonly lengthBytes: number | undefined;
  /** This life of the writer's daemon. */
  readonly session: string;
}

/** "Please pull these blocks of me": whole MiB of a content that is still being written. */
export interface StagePull extends StagedContent {
  readonly first: number;
  readonly count: number;
}

/** "All of it is there: pull the rest, compare, sync, keep." Its answer is the fence that a commit relies on. */
export interface StageSeal extends StagedContent, Sealed {
  readonly note: DirtyNote;
  /** When it was asked, by the writer's clock of its life, µs: what was taken back before that does not count. */
  readonly atUs: number;
  /** All bytes, of a small content. */
  readonly bytes: Uint8Array | undefined;
}

function stagedToWire({ content, chunkSizeBytes, lengthBytes, session }: StagedContent) {
  return { content, chunkSizeBytes, lengthBytes, session };
}

function stagedFromWire(fields: Fields): StagedContent {
  const chunkSizeBytes = countOf(fields['chunkSizeBytes']);
  if (chunkSizeBytes === 0 || chunkSizeBytes % BLOCK_SIZE_BYTES !== 0) throw malformed('no size of chunks');
  const { lengthBytes } = fields;
  return {
    content: contentFromWire(fields),
    chunkSizeBytes,
    lengthBytes: lengthBytes === undefined ? undefined : countOf(lengthBytes),
    session: textOf(fields['session']),
  };
}

function contentFromWire(fields: Fields): ContentId {
  const content = parseContentId(textOf(fields['content']));
  if (content === undefined) throw malformed('no content id');
  return content;
}

export function pullToWire(pull: StagePull): PeerMessage {
  return { type: 'stage.pull', ...stagedToWire(pull), first: pull.first, count: pull.count };
}

export function pullFromWire(message: PeerMessage): StagePull {
  const count = countOf(message['count']);
  if (count === 0) throw malformed('no blocks');
  return { ...stagedFromWire(message), first: countOf(message['first']), count };
}

export function sealToWire(seal: StageSeal): PeerMessage {
  const { volume, key, record } = seal.note;
  return {
    type: 'stage.seal',
    ...stagedToWire(seal),
    sizeBytes: seal.sizeBytes,
    table: seal.table,
    at: seal.atUs,
    volume,
    key,
    record: Buffer.from(record).toString('utf8'),
    bytes: seal.bytes && Buffer.from(seal.bytes).toString('base64'),
  };
}

export function sealFromWire(message: PeerMessage): StageSeal {
  const { bytes } = message;
  const inline = bytes === undefined ? undefined : Buffer.from(textOf(bytes), 'base64');
  if (inline !== undefined && inline.length > stageInlineMaxBytes) throw malformed('too many bytes');
  return {
    ...stagedFromWire(message),
    sizeBytes: countOf(message['sizeBytes']),
    table: textOf(message['table']),
    atUs: message['at'] === undefined ? 0 : countOf(message['at']),
    note: {
      volume: textOf(message['volume']),
      key: textOf(message['key']),
      record: Buffer.from(textOf(message['record']), 'utf8'),
    },
    bytes: inline,
  };
}

/** "Nobody counts on what you keep of it": of what was asked until then. */
export interface StageDrop {
  readonly content: ContentId;
  readonly session: string;
  readonly atUs: number;
}

export function dropToWire({ content, session, atUs }: StageDrop): PeerMessage {
  return { type: 'stage.drop', content, session, at: atUs };
}

export function dropFromWire(message: PeerMessage): StageDrop {
  const { at } = message;
  return {
    content: contentFromWire(fieldsOf(message)),
    session: textOf(message['session']),
    atUs: at === undefined ? Number.MAX_SAFE_INTEGER : countOf(at),
  };
}

/** As messages between a writer and its replicas carry it: later ones are larger, within one life. */
export function writerTimeUs(clock: Pick<Clock, 'boottimeMs'>): number {
  return Math.floor(clock.boottimeMs() * 1000);
}

export function fenceToWire(fence: Compare): Json {
  return fence.target === 'value' ? null : { key: fence.key, target: fence.target, equals: fence.equals };
}

export function fenceFromWire(answer: Json): Compare {
  const fields = fieldsOf(answer);
  const { target } = fields;
  if (target !== 'createRevision' && target !== 'modifyRevision') throw malformed('no fence');
  return { key: textOf(fields['key']), target, equals: countOf(fields['equals']) };
}
