import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { request } from '../../../tests/resp/fixture.ts';
import { respArgumentMaxBytes, respRequestMaxBytes, respWholeMaxBytes } from '../../core/kv-limits.ts';
import { findCommand } from './commands.ts';
import { RequestParser } from './request-parser.ts';

function parser(trusted = true): RequestParser {
  const made = new RequestParser({ isValue: (name, index) => findCommand(name)?.isValue?.(index) ?? false });
  made.trusted = trusted;
  return made;
}

/** All that the parser says of these pieces, values that are not collected joined. */
function readAll(pieces: readonly Uint8Array[], made = parser()): string[] {
  const said: string[] = [];
  let body: string | undefined;
  for (const piece of pieces) {
    made.feed(Buffer.from(piece));
    for (;;) {
      if (body !== undefined && made.bodyLeft > 0) {
        const bytes = made.takeBody();
        if (bytes === undefined) break;
        body += bytes.toString('latin1');
        continue;
      }
      if (body !== undefined) said.push(`body ${body.length} ${body}`);
      body = undefined;
      const step = made.next();
      if (step === 'incomplete') break;
      if (step === 'body') body = '';
      else if (step === 'error') return [...said, made.problem];
      else
        said.push(
          `${made.tooLong ? 'too long ' : ''}${JSON.stringify(made.args.map((arg) => arg.toString('latin1')))}`,
        );
    }
  }
  return said;
}

const word = fc.string({ minLength: 0, maxLength: 12 });
const key = fc.string({ minLength: 1, maxLength: 12 });
const stream = fc.array(
  fc.oneof(
    fc.array(word, { minLength: 1, maxLength: 5 }).map((words) => request(...words.map((text) => Buffer.from(text)))),
    fc
      .tuple(key, fc.nat(2 * respWholeMaxBytes))
      .map(([name, length]) => request('SET', Buffer.from(name), Buffer.alloc(length, 0x61))),
    fc
      .tuple(key, fc.nat(200_000))
      .map(([name, length]) => request('MSET', Buffer.from(name), Buffer.alloc(length, 0x62), 'k', 'v')),
    fc
      .constantFrom('PING\r\n', 'GET a\n', '\r\n', 'SET k "a b\\x00"\r\n', '*0\r\n', '*-1\r\n')
      .map((text) => Buffer.from(text)),
    fc.nat(3 * respArgumentMaxBytes).map((length) => request('GET', Buffer.alloc(length, 0x63))),
    fc.uint8Array({ maxLength: 24 }).map((bytes) => Buffer.from(bytes)),
  ),
  { maxLength: 6 },
);

test('any split of the bytes gives the same requests and the same error', () => {
  fc.assert(
    fc.property(stream, fc.array(fc.nat(), { maxLength: 12 }), fc.boolean(), (requests, cuts, trusted) => {
      const all = Buffer.concat(requests);
      const at = [...new Set(cuts.map((cut) => (all.length === 0 ? 0 : cut % all.length)))].sort((a, b) => a - b);
      const pieces = at.map((from, index) => all.subarray(from, at[index + 1] ?? all.length));
      const split = [all.subarray(0, at[0] ?? all.length), ...pieces];
      assert.deepEqual(readAll(split, parser(trusted)), readAll([all], parser(trusted)));
    }),
    { numRuns: 300 },
  );
});

test('a request in single bytes is read as one in one piece', () => {
  const bytes = request('SET', 'key', 'value', 'EX', '10');
  const single = Array.from(bytes, (byte) => Uint8Array.of(byte));
  assert.deepEqual(readAll(single), ['["SET","key","value","EX","10"]']);
});

test('values above the bound come as bodies, in order with what is around them', () => {
  const big = Buffer.alloc(respWholeMaxBytes + 1, 0x78);
  const said = readAll([Buffer.concat([request('PING'), request('SET', 'k', big, 'NX'), request('PING')])]);
  assert.deepEqual(said, [
    '["PING"]',
    `body ${big.length} ${big.toString('latin1')}`,
    '["SET","k","","NX"]',
    '["PING"]',
  ]);
});

test('errors are said in the words of Redis', () => {
  const wrong: readonly (readonly [string, string])[] = [
    ['*abc\r\n', 'invalid multibulk length'],
    ['*2147483648\r\n', 'invalid multibulk length'],
    ['*99999999999999999999\r\n', 'invalid multibulk length'],
    ['*01\r\n', 'invalid multibulk length'],
    ['*1\r\n+PING\r\n', "expected '$', got '+'"],
    ['*1\r\n$-1\r\n', 'invalid bulk length'],
    ['*1\r\n$x\r\n', 'invalid bulk length'],
    ['*1\r\n$536870913\r\n', 'invalid bulk length'],
    ['*1\r\n$1073741824\r\n', 'invalid bulk length'],
    ['*1\r\n$4\r\nPINGxx', 'expected CRLF after a bulk string'],
    ['GET "a\r\n', 'unbalanced quotes in request'],
    ["GET 'a'b\r\n", 'unbalanced quotes in request'],
    ['x'.repeat(respArgumentMaxBytes + 1), 'too big inline request'],
  ];
  for (const [sent, problem] of wrong)
    assert.deepEqual(
      readAll([Buffer.from(sent, 'latin1')]),
      [`Protocol error: ${problem}`],
      JSON.stringify(sent.slice(0, 40)),
    );
});

test('a client that has not named itself may send little', () => {
  assert.deepEqual(readAll([Buffer.from('*11\r\n')], parser(false)), [
    'Protocol error: unauthenticated multibulk length',
  ]);
  assert.deepEqual(readAll([Buffer.from('*2\r\n$16385\r\n')], parser(false)), [
    'Protocol error: unauthenticated bulk length',
  ]);
});

test('an argument that is too long costs no memory, and the requests behind it are read', () => {
  const made = parser();
  made.feed(Buffer.from(`*2\r\n$3\r\nGET\r\n$${256 << 20}\r\n`));
  assert.equal(made.next(), 'incomplete');
  const piece = Buffer.alloc(1 << 20, 0x61);
  for (let count = 0; count < 256; count++) {
    made.feed(piece);
    assert.equal(made.next(), 'incomplete');
    assert.ok(made.heldBytes < 100, `${made.heldBytes} bytes are held`);
  }
  made.feed(Buffer.from('\r\nPING\r\n'));
  assert.equal(made.next(), 'request');
  assert.equal(made.tooLong, true);
  assert.equal(made.next(), 'request');
  assert.deepEqual([made.args, made.tooLong], [['PING'], false]);
});

test('S-12: a request of many keys is bounded', () => {
  const keys = Array.from({ length: respRequestMaxBytes / 65_536 + 1 }, () => Buffer.alloc(65_536, 0x61));
  assert.deepEqual(readAll([request('DEL', ...keys)]), ['Protocol error: too big a request']);
  assert.deepEqual(readAll([Buffer.from('*131073\r\n')]), ['Protocol error: invalid multibulk length']);
});

test('lines are split into words as Redis splits them', () => {
  const line = 'SET  "a b\\x41\\n\\"" \'it\\\'s\' plain\r\n';
  assert.deepEqual(readAll([Buffer.from(line)]), ['["SET","a bA\\n\\"","it\'s","plain"]']);
});
