/**
 * Traces of KV-cache blocks: requests at a time, each a list of block ids, where equal ids share a prefix. Two forms are read: Mooncake's
 * rows (`{"timestamp": ms, "hash_ids": [...]}` a line), and the packed form in which the conversation trace is kept here, a line
 * `<ms> <first>[+<count>],…` of runs of consecutive ids, compressed by Brotli (`conversation-trace.md`).
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliDecompressSync } from 'node:zlib';

export interface TraceRequest {
  readonly atMs: number;
  /** From the beginning of the prompt on; no id twice. */
  readonly blocks: readonly number[];
}

/** The conversation trace of Mooncake (FAST'25). */
export const CONVERSATION_TRACE = join(import.meta.dirname, 'conversation-trace.txt.br');

const PACKED_MAX_BYTES = 64 * 2 ** 20;
const IDS_MAX = 2 ** 31;

/** Requests in the order of their time. Throws an error that names the file and the line. */
export function readTrace(file: string): TraceRequest[] {
  const packed = file.endsWith('.br');
  const bytes = readFileSync(file);
  const text = (packed ? brotliDecompressSync(bytes, { maxOutputLength: PACKED_MAX_BYTES }) : bytes).toString('utf8');
  const requests = text.split('\n').flatMap((line, i) => {
    if (line.trim() === '') return [];
    try {
      return [packed ? unpackLine(line) : parseRow(line)];
    } catch (error) {
      throw new Error(`${file}:${i + 1}: ${(error as Error).message}`, { cause: error });
    }
  });
  if (requests.length === 0) throw new Error(`${file}: the trace has no requests`);
  return requests.sort((a, b) => a.atMs - b.atMs);
}

function checked(atMs: unknown, blocks: unknown): TraceRequest {
  if (typeof atMs !== 'number' || !(atMs >= 0)) throw new Error('expected a timestamp in milliseconds');
  const isId = (id: unknown) => Number.isInteger(id) && (id as number) >= 0 && (id as number) < IDS_MAX;
  if (!Array.isArray(blocks) || !blocks.every(isId)) throw new Error('expected hash_ids, a list of whole numbers');
  return { atMs, blocks: Array.from(new Set(blocks as number[])) };
}

function parseRow(line: string): TraceRequest {
  const row = JSON.parse(line) as { timestamp?: unknown; hash_ids?: unknown } | null;
  return checked(row?.timestamp, row?.hash_ids);
}

function unpackLine(line: string): TraceRequest {
  const [at = '', runs = ''] = line.split(' ');
  const blocks = runs.split(',').flatMap((run) => {
    const [first, count = '1'] = run.split('+');
    return Array.from({ length: Number(count) }, (_, i) => Number(first) + i);
  });
  return checked(Number(at), runs === '' ? [] : blocks);
}

/** The text of the packed form, before compression. */
export function packTrace(requests: readonly TraceRequest[]): string {
  return requests
    .map(({ atMs, blocks }) => {
      const runs: string[] = [];
      for (let from = 0, to = 1; from < blocks.length; from = to++) {
        while (to < blocks.length && blocks[to] === (blocks[to - 1] as number) + 1) to += 1;
        runs.push(to - from === 1 ? `${blocks[from]}` : `${blocks[from]}+${to - from}`);
      }
      return `${atMs} ${runs.join(',')}\n`;
    })
    .join('');
}
