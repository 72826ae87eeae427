import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatAddress, isLoopback, parseAddress } from './address.ts';

test('an address is a name or an IP literal with a port', () => {
  assert.deepEqual(parseAddress('127.0.0.1:7070'), { host: '127.0.0.1', port: 7070 });
  assert.deepEqual(parseAddress('[::1]:0'), { host: '::1', port: 0 });
  assert.deepEqual(parseAddress('node-1.rack:65535'), { host: 'node-1.rack', port: 65_535 });
  for (const text of [
    '7070',
    ':7070',
    '127.0.0.1',
    '127.0.0.1:',
    '127.0.0.1:65536',
    '127.0.0.999:1',
    '::1:70',
    '[::g]:1',
    'a b:1',
    '-x:1',
    '',
  ])
    assert.equal(parseAddress(text), undefined, text);
});

test('a printed address is read back', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.ipV4(),
        fc.ipV6().filter((ip) => !ip.includes('.')),
        fc.domain(),
      ),
      fc.nat(65_535),
      (host, port) => {
        assert.deepEqual(parseAddress(formatAddress({ host, port })), { host, port });
      },
    ),
  );
});

test('loopback is 127.0.0.0/8, ::1 and localhost, and nothing that only looks like it', () => {
  for (const host of ['127.0.0.1', '127.9.9.9', '::1', 'localhost', 'LocalHost']) assert.ok(isLoopback(host), host);
  for (const host of ['0.0.0.0', '::', '10.0.0.1', '127.0.0.1.example.com', 'localhost.example.com'])
    assert.ok(!isLoopback(host), host);
});
