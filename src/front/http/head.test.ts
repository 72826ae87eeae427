/** The fast path's parser against node:http: whatever it takes, both read in the same way. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { requestHeadMaxBytes } from '../../core/limits.ts';
import { isClean, parseHead } from './head.ts';

function parse(text: string, at = 0) {
  return parseHead(text, at, isClean(Buffer.from(text, 'latin1')));
}

const head = (lines: readonly string[]) => `${lines.join('\r\n')}\r\n\r\n`;

test('a plain head is taken, with its names in lower case and its values trimmed', () => {
  const text = head([
    'GET /a/b?c=d HTTP/1.1',
    'Host: door:1',
    'X-Amz-Date:  2026\t ',
    'Connection: Keep-Alive',
    'Empty:',
  ]);
  assert.deepEqual(parse(text), {
    method: 'GET',
    target: '/a/b?c=d',
    headers: ['host', 'door:1', 'x-amz-date', '2026', 'connection', 'Keep-Alive', 'empty', ''],
    keepAlive: true,
    bodyLengthBytes: 0,
    expectsContinue: false,
    end: text.length,
  });
});

test('a head with a declared body is taken, with its length and whether the client waits', () => {
  const of = (lines: readonly string[]) => {
    const taken = parse(head(lines));
    return typeof taken === 'string' ? taken : [taken.method, taken.bodyLengthBytes, taken.expectsContinue];
  };
  const host = 'Host: door';
  assert.deepEqual(of(['PUT /a HTTP/1.1', host, 'Content-Length: 5']), ['PUT', 5, false]);
  assert.deepEqual(of(['PUT /a HTTP/1.1', host, 'Expect: 100-Continue', 'Content-Length: 0']), ['PUT', 0, true]);
  assert.deepEqual(of(['POST /a HTTP/1.1', host, 'Content-Length: 007']), ['POST', 7, false]);
  assert.deepEqual(of(['DELETE /a HTTP/1.1', host]), ['DELETE', 0, false]);
  assert.deepEqual(of(['DELETE /a HTTP/1.1', host, 'Content-Length: 3']), ['DELETE', 3, false]);
  for (const lines of [
    ['Content-Length: 5', 'Content-Length: 5'],
    ['Content-Length: 5, 5'],
    ['Content-Length: 5', 'Transfer-Encoding: chunked'],
    ['Content-Length: 5 5'],
    ['Content-Length: +5'],
    ['Content-Length: 0x5'],
    ['Content-Length: 5', 'Expect: 200-ok'],
    ['Content-Length: 1234567890123456'],
    ['Content-Length:'],
    ['X: none'],
  ])
    for (const method of ['PUT', 'POST'])
      assert.equal(of([`${method} /a HTTP/1.1`, host, ...lines]), 'odd', lines.join());
});

test('a head is incomplete until its last byte, and never past the bound', () => {
  const text = head(['HEAD /models/a HTTP/1.1', 'Host: door', 'Connection: close']);
  for (let length = 0; length < text.length; length++) assert.equal(parse(text.slice(0, length)), 'incomplete');
  const taken = parse(text);
  assert.ok(typeof taken === 'object' && !taken.keepAlive && taken.method === 'HEAD');
  assert.equal(parse(`GET / HTTP/1.1\r\nX: ${'x'.repeat(requestHeadMaxBytes)}`), 'odd');
  assert.equal(parse(head(['GET / HTTP/1.1', 'Host: a', `X: ${'x'.repeat(requestHeadMaxBytes)}`])), 'odd');
});

test('whatever is unusual is odd', () => {
  const host = 'Host: door';
  for (const lines of [
    ['PUT / HTTP/1.1', host],
    ['get / HTTP/1.1', host],
    ['GET http://door/ HTTP/1.1', host],
    ['GET  / HTTP/1.1', host],
    ['GET / HTTP/1.0', host],
    ['GET / HTTP/1.1 ', host],
    ['GET /a b HTTP/1.1', host],
    ['GET /a#b HTTP/1.1', host],
    ['GET /\xe9 HTTP/1.1', host],
    ['GET / HTTP/1.1'],
    ['GET / HTTP/1.1', 'Host:'],
    ['GET / HTTP/1.1', host, host],
    ['GET / HTTP/1.1', host, 'Content-Length: 0'],
    ['GET / HTTP/1.1', host, 'CONTENT-length: 5'],
    ['GET / HTTP/1.1', host, 'Transfer-Encoding: chunked'],
    ['GET / HTTP/1.1', host, 'Expect: 100-continue'],
    ['GET / HTTP/1.1', host, 'Upgrade: h2c'],
    ['GET / HTTP/1.1', host, 'Connection: upgrade'],
    ['GET / HTTP/1.1', host, 'Connection: close, x'],
    ['GET / HTTP/1.1', host, 'X : a'],
    ['GET / HTTP/1.1', host, ': a'],
    ['GET / HTTP/1.1', host, 'X'],
    ['GET / HTTP/1.1', host, ' folded'],
    ['GET / HTTP/1.1', host, 'X: a\0'],
    ['GET / HTTP/1.1', host, 'X: a\x7f'],
    ['GET / HTTP/1.1', host, 'X: \xe9'],
    ['GET / HTTP/1.1', host, 'X: a\rb'],
    ['GET / HTTP/1.1', host, 'X: a\nY: b'],
  ])
    assert.equal(parse(head(lines)), 'odd', JSON.stringify(lines));
  assert.equal(parse('GET / HTTP/1.1\nHost: a\n\n'), 'odd');
  assert.equal(parse('\x16\x03\x01'), 'odd');
});

test('what follows a head does not change how it is read', () => {
  const first = head(['GET /a HTTP/1.1', 'Host: door']);
  for (const rest of ['GET /b HT', 'PUT / HTTP/1.1\r\n', '\0\0\xff', '\r\n\r\n']) {
    const taken = parse(first + rest);
    assert.ok(typeof taken === 'object' && taken.target === '/a' && taken.end === first.length);
  }
  assert.equal(parse(`${first}PATCH / HTTP/1.1\r\n`, first.length), 'odd');
});

/** Lines as they come, and as nobody should send them. */
const odd = fc.constantFrom(' ', '\t', '\r', '\n', '\r\n', '\0', ':', '\x7f', '\xe9', ',', '"', '#', '%', '  ');
const name = fc.oneof(
  fc.constantFrom('Host', 'host', 'Connection', 'Range', 'X-Amz-Date', 'Content-Length', 'Transfer-Encoding', 'Expect'),
  fc.stringMatching(/^[!#$%&'*+.^_`|~0-9a-zA-Z-]{1,12}$/),
);
const value = fc.oneof(
  fc.constantFrom('100-continue', 'door', 'close', 'keep-alive', '0', '5', 'chunked', '', 'a  b', 'x\ty'),
  fc.stringMatching(/^[\x20-\x7e]{0,20}$/),
);
const line = fc
  .tuple(name, fc.constantFrom(': ', ':', ':\t ', ' : '), value, fc.constantFrom('', ' ', '\t'))
  .map((parts) => parts.join(''));
const target = fc.stringMatching(/^\/[!-~]{0,20}$/);
const heads = fc
  .record({
    start: fc.oneof(
      { weight: 8, arbitrary: target.map((path) => `GET ${path} HTTP/1.1`) },
      target.map((path) => `HEAD ${path} HTTP/1.1`),
      target.map((path) => `GET ${path} HTTP/1.0`),
      target.map((path) => `PUT ${path} HTTP/1.1`),
      target.map((path) => `POST ${path} HTTP/1.1`),
      target.map((path) => `DELETE ${path} HTTP/1.1`),
    ),
    lines: fc.array(line, { maxLength: 5 }),
    host: fc.constantFrom(['Host: door'], ['Host: door', 'Content-Length: 3'], ['HOST:door'], []),
    damage: fc.oneof({ weight: 2, arbitrary: fc.constant(null) }, fc.tuple(fc.nat(), odd)),
  })
  .map(({ start, lines, host, damage }) => {
    const text = head([start, ...host, ...lines]);
    if (damage === null) return text;
    const at = damage[0] % text.length;
    return text.slice(0, at) + damage[1] + text.slice(at);
  });

test('node:http reads every head that is taken, and reads it in the same way', async () => {
  const seen: { method: string; url: string; headers: string[]; lengthBytes: number; expectsContinue: boolean }[] = [];
  const see = (request: IncomingMessage, expectsContinue: boolean) => {
    const headers = request.rawHeaders.map((text, index) => (index % 2 === 0 ? text.toLowerCase() : text));
    const lengthBytes = Number(request.headers['content-length'] ?? 0);
    seen.push({ method: request.method ?? '', url: request.url ?? '', headers, lengthBytes, expectsContinue });
  };
  const server = createServer({ requireHostHeader: false }, (request, response) => {
    see(request, false);
    response.end();
  });
  server.on('checkContinue', (request, response) => {
    see(request, true);
    response.end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  let taken = 0;
  await fc.assert(
    fc.asyncProperty(heads, async (text) => {
      const fast = parse(text);
      const careful = parseHead(text, 0, false);
      assert.deepEqual(fast, careful);
      if (typeof fast === 'string' || fast.end !== text.length) return;
      taken++;
      seen.length = 0;
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => {});
      socket.end(Buffer.from(text, 'latin1'));
      socket.resume();
      await once(socket, 'close');
      assert.equal(seen.length, 1, JSON.stringify(text));
      const { method, target: url, headers, bodyLengthBytes: lengthBytes, expectsContinue } = fast;
      assert.deepEqual(seen[0], { method, url, headers, lengthBytes, expectsContinue });
    }),
    { numRuns: 3000 },
  );
  server.close();
  await once(server, 'close');
  assert.ok(taken > 150, `only ${taken} were taken`);
});

test('any bytes at all are taken, odd or incomplete, and never throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, startsWell) => {
      const text = (startsWell ? 'GET / HTTP/1.1\r\nHost: a\r\n' : '') + Buffer.from(bytes).toString('latin1');
      assert.deepEqual(parse(text), parseHead(text, 0, false));
    }),
    { numRuns: 5000 },
  );
});
