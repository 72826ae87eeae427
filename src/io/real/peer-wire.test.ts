/** What travels between peers, against itself and against damage: requests, answers, JSON. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { checksumsOf, ramp } from '../../../tests/conformance/peers-fixture.ts';
import { BLOCK_SIZE_BYTES, blockCount } from '../../core/chunk.ts';
import { ForebayError } from '../../core/errors.ts';
import { type ContentId, parseContentId } from '../../core/ids.ts';
import { peerMessageDepthMax } from '../../core/limits.ts';
import { AnswerReader } from './peer-answer.ts';
import {
  ANSWER_END,
  CHUNK_END,
  CHUNK_LINE_BYTES,
  checksumsPayload,
  FRAME_BLOCKS,
  FRAME_END,
  FRAME_ERROR,
  FRAME_HEAD_BYTES,
  FRAME_MAC_BYTES,
  type FrameKey,
  frameOf,
} from './peer-frame.ts';
import { arrived, parseBounded, travelling, writeBounded } from './peer-json.ts';
import { askOf, isSignedWith, parseDataRequest } from './peer-request.ts';

const KEY = { id: 'ab'.repeat(16), key: Buffer.alloc(32, 7) };
const hex = fc.stringMatching(/^[0-9a-f]{32}$/);
const request = fc
  .record({ content: hex, sizeBytes: fc.integer({ min: 1, max: 2 ** 46 }), at: fc.nat(), length: fc.nat() })
  .map(({ content, sizeBytes, at, length }) => {
    const blocks = blockCount(sizeBytes);
    const first = at % blocks;
    return { content: parseContentId(content) as ContentId, sizeBytes, first, count: 1 + (length % (blocks - first)) };
  });
const name = fc.string({ minLength: 1, maxLength: 30, unit: 'grapheme' });
const asked = fc.record({ blocks: request, node: name, cluster: name, counter: fc.nat({ max: 2 ** 40 }) });

test('a request is read as it was made, and its signature holds for nothing else', () => {
  fc.assert(
    fc.property(asked, fc.nat(), fc.nat(), ({ blocks, node, cluster, counter }, at, how) => {
      const { head, mac } = askOf(blocks, { key: KEY, counter, node, cluster, host: '127.0.0.1:1' });
      const text = head.toString('latin1').slice(0, -4);
      const read = parseDataRequest(text);
      assert.ok(!('malformed' in read), JSON.stringify(read));
      assert.deepEqual([read.blocks, read.node, read.cluster, read.signed.counter], [blocks, node, cluster, counter]);
      assert.ok(isSignedWith(read, KEY.key) && mac.equals(read.signed.mac));
      assert.ok(!isSignedWith(read, Buffer.alloc(32, 8)));
      // One byte changed: malformed, or read as the same, or not signed.
      const place = at % text.length;
      const damaged = text.slice(0, place) + String.fromCharCode(how % 256) + text.slice(place + 1);
      const other = parseDataRequest(damaged);
      if ('malformed' in other || !isSignedWith(other, KEY.key)) return;
      assert.deepEqual([other.blocks, other.node, other.cluster, other.signed], [blocks, node, cluster, read.signed]);
    }),
  );
});

test('any text is a request or malformed', () => {
  const line = fc.constantFrom(
    'GET /v1/blocks/',
    '\r\n',
    'Range: bytes=0-',
    ' HTTP/1.1',
    '?size=',
    '9'.repeat(16),
    '%',
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(line, fc.string({ unit: 'binary' })), { maxLength: 8 }), (parts) => {
      const read = parseDataRequest(parts.join(''));
      assert.ok('malformed' in read || read.blocks.count > 0);
    }),
  );
});

const SIZE = 3 * BLOCK_SIZE_BYTES + 100;
const BYTES = ramp(SIZE);
const FRAME_KEY: FrameKey = { key: KEY.key, request: Buffer.alloc(32, 1) };
const ASKED = { first: 0, count: 4, sizeBytes: SIZE };

const HEAD = Buffer.from('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
/** The last frame, from the line of its chunk, and what ends the answer. */
const END_BYTES = CHUNK_LINE_BYTES + FRAME_HEAD_BYTES + FRAME_MAC_BYTES + ANSWER_END.length;

/** An answer of two frames, or of one and an error. */
function answerOf(key: FrameKey, failing = false): Buffer {
  const sums = checksumsOf(BYTES, ASKED);
  const two = 2 * BLOCK_SIZE_BYTES;
  const blocks = (number: number, first: number) => {
    const bytes = BYTES.subarray(first * BLOCK_SIZE_BYTES, Math.min(SIZE, first * BLOCK_SIZE_BYTES + two));
    const head = { type: FRAME_BLOCKS, number, first, count: 2 };
    return [frameOf(key, head, checksumsPayload(sums.slice(first, first + 2)), bytes.length), bytes];
  };
  const error = Buffer.from(JSON.stringify({ error: { code: 'notHeld', message: 'gone' } }));
  const failed = frameOf(key, { type: FRAME_ERROR, number: 1, first: 2, count: error.length }, error, 0);
  const end = frameOf(key, { type: FRAME_END, number: 2, first: 4, count: 0 }, Buffer.alloc(0), 0);
  const crlf = Buffer.from(CHUNK_END);
  const rest = failing ? [failed] : [...blocks(1, 2), crlf, end];
  return Buffer.concat([HEAD, ...blocks(0, 0), crlf, ...rest, Buffer.from(ANSWER_END)]);
}

/** Feeds an answer; what the reader says at its end, and how much of the bytes it took. */
function feed(bytes: Buffer) {
  const reader = new AnswerReader(ASKED, FRAME_KEY);
  let at = 0;
  for (let need = reader.need; need.kind !== 'done'; need = reader.need) {
    const end = need.kind === 'head' ? bytes.indexOf('\r\n\r\n') + 4 : at + need.length;
    if (end > bytes.length || end < 4) return { done: undefined, blocks: reader.blocks, at };
    const taken = bytes.subarray(at, end);
    at = end;
    if (need.kind === 'head') reader.takeHead(taken.toString('latin1'));
    else if (need.kind === 'bytes') reader.takeBytes(taken);
    else reader.takeBlock(crc32(taken));
  }
  return { done: reader.need as Extract<typeof reader.need, { kind: 'done' }>, blocks: reader.blocks, at };
}

test('an answer is read to its last byte', () => {
  const bytes = answerOf(FRAME_KEY);
  assert.deepEqual(feed(bytes), {
    done: { kind: 'done', reusable: true, failed: undefined },
    blocks: 4,
    at: bytes.length,
  });
  const failing = answerOf(FRAME_KEY, true);
  const { done, blocks, at } = feed(failing);
  assert.deepEqual([done?.failed?.kind, done?.reusable, blocks, at], ['error', true, 2, failing.length]);
});

test('S-9: a byte changed anywhere in an answer never counts as a block', () => {
  const whole = answerOf(FRAME_KEY);
  const second = HEAD.length + 2 * BLOCK_SIZE_BYTES;
  const edges = [0, 9, 40, 47, 52, 60, 80, 100, 120, second + 66, second + 80, whole.length - 60, whole.length - 3];
  const place = fc.oneof(fc.constantFrom(...edges), fc.nat({ max: whole.length - 1 }));
  fc.assert(
    fc.property(place, fc.integer({ min: 1, max: 255 }), (at, change) => {
      const damaged = Buffer.from(whole);
      damaged[at] = (damaged[at] as number) ^ change;
      const { done, blocks } = feed(damaged);
      // What is wrong is found, or waited for in vain; blocks before it count, and none after it.
      if (at < HEAD.length) return;
      assert.ok(done === undefined || done.failed, `byte ${at}`);
      if (at < whole.length - END_BYTES) assert.ok(blocks * BLOCK_SIZE_BYTES <= at, `${blocks} blocks, byte ${at}`);
    }),
    { numRuns: 300 },
  );
});

test('an answer to another request, or with another key, is not authentic', () => {
  for (const key of [
    { ...FRAME_KEY, request: Buffer.alloc(32, 2) },
    { ...FRAME_KEY, key: Buffer.alloc(32, 9) },
  ]) {
    const { done, blocks } = feed(answerOf(key));
    assert.deepEqual([done?.failed, blocks], [{ kind: 'corrupt', message: 'a frame is not authentic' }, 0]);
  }
});

test('any bytes are an answer, a failure or incomplete', () => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 60 }),
    fc.constantFrom(...[1, 2, 3].map((n) => new Uint8Array([n, 0, 0, 0]))),
  );
  fc.assert(
    fc.property(fc.array(piece), fc.boolean(), (pieces, ok) => {
      const head = ok ? 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n00000040\r\n' : '';
      const { blocks, done } = feed(Buffer.concat([Buffer.from(head), ...pieces]));
      assert.equal(blocks, 0);
      if (done) assert.ok(done.failed);
    }),
  );
});

test('JSON travels whole within its bounds, and is refused beyond them', () => {
  fc.assert(
    fc.property(fc.jsonValue({ depthSize: 'small' }), (value) => {
      const text = JSON.stringify(value);
      const read = parseBounded(writeBounded(JSON.parse(text)).toString());
      assert.deepEqual(read, JSON.parse(text));
    }),
  );
  const deep = (depth: number) => `${'['.repeat(depth)}"]]]${'\\"'}"${']'.repeat(depth)}`;
  assert.ok(parseBounded(deep(peerMessageDepthMax)));
  for (const wrong of [deep(peerMessageDepthMax + 1), '{', '', 'undefined', '"\\'])
    assert.throws(() => parseBounded(wrong), ForebayError);
});

test('errors travel with what the asker may know, and strange ones are internal', () => {
  const error = new ForebayError('overloaded', 'no slot', { retryAfterMs: 5 });
  assert.deepEqual(arrived(JSON.parse(JSON.stringify(travelling(error)))), travelling(error));
  assert.equal(travelling(new Error('/secret/path')).message.includes('secret'), false);
  for (const strange of [null, 5, {}, { code: 'toString' }, { code: 'fromTheFuture', message: 1 }])
    assert.equal(arrived(strange).code, 'internal');
});
