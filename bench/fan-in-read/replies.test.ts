import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Reply, ReplyReader, RespError } from './replies.ts';

const STREAM = '+OK\r\n:42\r\n$5\r\nab\r\nc\r\n$-1\r\n-ERR no\r\n*3\r\n$2\r\nhi\r\n$-1\r\n:7\r\n*0\r\n$0\r\n\r\n';

test('replies read the same in whatever pieces they come', () => {
  const expected = [
    'OK',
    42,
    Buffer.from('ab\r\nc'),
    null,
    'ERR no',
    [Buffer.from('hi'), null, 7],
    [],
    Buffer.from(''),
  ];
  for (let size = 1; size <= STREAM.length; size++) {
    const replies: unknown[] = [];
    const reader = new ReplyReader((reply) => replies.push(reply instanceof RespError ? reply.message : reply));
    for (let at = 0; at < STREAM.length; at += size) reader.feed(Buffer.from(STREAM.slice(at, at + size)));
    assert.deepEqual(replies, expected, `pieces of ${size}`);
  }
});

test('a sink gets bulks with their places, and the reply their lengths', () => {
  const taken: [number, number, string][] = [];
  const replies: (Reply | RespError)[] = [];
  const reader = new ReplyReader(
    (reply) => replies.push(reply),
    () => (index, at, piece) => taken.push([index, at, piece.toString()]),
  );
  reader.feed(Buffer.from('*3\r\n$4\r\nab'));
  reader.feed(Buffer.from('cd\r\n$-1\r\n$3\r\nxyz\r\n'));
  assert.deepEqual(taken, [
    [0, 0, 'ab'],
    [0, 2, 'cd'],
    [2, 0, 'xyz'],
  ]);
  assert.deepEqual(replies, [[4, null, 3]]);
});

test('what is no reply is refused', () => {
  const reader = new ReplyReader(() => undefined);
  assert.throws(() => reader.feed(Buffer.from('HTTP/1.1 400\r\n')), /not a reply: "HTTP/);
});
