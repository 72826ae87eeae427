/** The words of a broadcast as they travel in messages; what comes from a peer is checked. */
import type { DealerOrder, FillFailure, LinkFailure, MemberReport } from '../cluster/broadcast.ts';
import type { ChunkRange } from '../cluster/chunk-set.ts';
import { countOf, type Fields, fieldsOf, listOf, malformed, textOf } from '../cluster/chunk-wire.ts';
import { type ContentId, parseContentId } from '../core/ids.ts';
import type { Json } from '../io/peers.ts';

/** A content of 48.8 TiB in chunks of 1 MiB. */
const CHUNKS_MAX = 52_000_000;

function rangesOf(value: Json | undefined): readonly ChunkRange[] {
  return listOf(value).map((range) => {
    const [start, end] = listOf(range);
    const read = [countOf(start), countOf(end)] as const;
    if (read[1] < read[0]) throw malformed('a range ends before it begins');
    return read;
  });
}

function wordOf<const T extends string>(value: Json | undefined, words: readonly T[]): T {
  const hit = words.find((word) => word === value);
  if (hit === undefined) throw malformed(`expected ${words.join(' or ')}`);
  return hit;
}

const LINK_FAILURES = ['unreachable', 'timeout', 'corrupt', 'notHeld'] as const satisfies readonly LinkFailure[];
const FILL_FAILURES = ['origin', 'changed'] as const satisfies readonly FillFailure[];

export function reportFromWire(fields: Fields): { report: MemberReport; chunks: number; chunkBytes: number } {
  const chunks = countOf(fields['chunks']);
  const chunkBytes = countOf(fields['chunkBytes']);
  if (chunks === 0 || chunks > CHUNKS_MAX || chunkBytes === 0) throw malformed('no size of a content');
  return { chunks, chunkBytes, report: reportOf(fieldsOf(fields['report'])) };
}

function reportOf(report: Fields): MemberReport {
  const speed = report['bytesPerS'];
  switch (report['kind']) {
    case 'join':
      return {
        kind: 'join',
        have: rangesOf(report['have']),
        ...(speed !== undefined && { bytesPerS: countOf(Math.round(Number(speed))) }),
      };
    case 'leave':
    case 'finished':
      return { kind: report['kind'] };
    case 'speed':
      return { kind: 'speed', bytesPerS: countOf(Math.round(Number(speed))), atLeast: report['atLeast'] === true };
    case 'filled':
      return { kind: 'filled', chunk: countOf(report['chunk']) };
    case 'copied':
      return { kind: 'copied', chunk: countOf(report['chunk']), by: textOf(report['by']) };
    case 'fillFailed':
      return { kind: 'fillFailed', chunk: countOf(report['chunk']), reason: wordOf(report['reason'], FILL_FAILURES) };
    case 'badSource':
      return { kind: 'badSource', source: textOf(report['source']), reason: wordOf(report['reason'], LINK_FAILURES) };
    case 'starved':
      return { kind: 'starved', lacks: rangesOf(report['lacks']) };
    default:
      throw malformed('no report of a broadcast');
  }
}

export function orderFromWire(value: Json | undefined): DealerOrder {
  const order = fieldsOf(value);
  switch (order['kind']) {
    case 'links':
      return {
        kind: 'links',
        version: countOf(order['version']),
        sources: listOf(order['sources']).map(textOf),
        readers: listOf(order['readers']).map(textOf),
      };
    case 'fill':
    case 'stopFill':
      return { kind: order['kind'], chunk: countOf(order['chunk']) };
    case 'dismissed':
      return { kind: 'dismissed' };
    default:
      throw malformed('no order of a broadcast');
  }
}

export function announcementFromWire(value: Json): { content: ContentId; have: readonly ChunkRange[]; all: boolean } {
  const { content, have, all } = fieldsOf(value);
  const id = parseContentId(textOf(content));
  if (id === undefined) throw malformed('no content id');
  return { content: id, have: rangesOf(have), all: all === true };
}
