import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { brotliCompressSync } from 'node:zlib';
import { distinctBlocks, hitRatio, replayIdeal } from './ideal-cache.ts';
import { CONVERSATION_TRACE, packTrace, readTrace, type TraceRequest } from './trace.ts';

function fileOf(t: TestContext, name: string, content: string | Uint8Array): string {
  const directory = mkdtempSync(join(tmpdir(), 'forebay-trace-test-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const file = join(directory, name);
  writeFileSync(file, content);
  return file;
}

const request = (atMs: number, ...blocks: number[]): TraceRequest => ({ atMs, blocks });

test('a small trace has the hits that were counted by hand', () => {
  const trace = [request(0, 1, 2, 3), request(1, 1, 2, 4), request(2, 5), request(3, 1, 2, 3)];
  const hits = (blocksMax: number) => replayIdeal(trace, blocksMax).map((count) => count.hits);
  assert.deepEqual(hits(Infinity), [0, 2, 0, 3]);
  // After the second request 3, 1, 2, 4 are there in the order of use; the 5 pushes 3 out.
  assert.deepEqual(hits(4), [0, 2, 0, 2]);
  // Three places: 1, 2, 4, then 2, 4, 5: the prefix is broken at its beginning.
  assert.deepEqual(hits(3), [0, 2, 0, 0]);
  assert.equal(hitRatio(replayIdeal(trace, Infinity)), 5 / 10);
  assert.equal(distinctBlocks(trace), 5);
});

test('the conversation trace has the hit ratios that are known of it', () => {
  const trace = readTrace(CONVERSATION_TRACE);
  const references = trace.reduce((sum, { blocks }) => sum + blocks.length, 0);
  assert.deepEqual([trace.length, references, distinctBlocks(trace)], [12_031, 288_500, 182_790]);
  for (const [blocksMax, percent] of [
    [Infinity, 36.6],
    [1000, 4.45],
    [5000, 11],
    [10_000, 21.1],
    [30_000, 32.6],
    [50_000, 35.5],
  ] as const)
    assert.ok(Math.abs(100 * hitRatio(replayIdeal(trace, blocksMax)) - percent) < 0.06, `LRU of ${blocksMax} blocks`);
});

test('both forms of a trace read the same, in the order of time', (t) => {
  const trace = [request(0, 7), request(10, 0, 1, 2, 9, 4, 5), request(20)];
  const rows = trace.map(({ atMs, blocks }) => JSON.stringify({ timestamp: atMs, input_length: 1, hash_ids: blocks }));
  assert.deepEqual(readTrace(fileOf(t, 'rows.jsonl', `${rows.toReversed().join('\n')}\n`)), trace);
  assert.deepEqual(readTrace(fileOf(t, 'packed.br', brotliCompressSync(packTrace(trace)))), trace);
});

test('a trace that is none is refused with the line', (t) => {
  const refused = (content: string, says: RegExp) =>
    assert.throws(() => readTrace(fileOf(t, 'bad.jsonl', content)), says);
  refused('', /bad\.jsonl: the trace has no requests/);
  refused('{"timestamp": 1, "hash_ids": [1]}\n{"hash_ids": [1]}\n', /bad\.jsonl:2: expected a timestamp/);
  refused('{"timestamp": 1, "hash_ids": [-1]}\n', /bad\.jsonl:1: expected hash_ids/);
  refused('null\n', /bad\.jsonl:1: expected a timestamp/);
  refused('nothing\n', /bad\.jsonl:1: /);
});
