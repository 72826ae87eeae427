import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ForebayError } from '../core/errors.ts';
import type { Volume } from '../core/volume.ts';
import { parseConfig } from './config.ts';

const HERE = { hostName: 'host-1', homeDirectory: '/home/u', workingDirectory: '/srv', environment: {} };

interface Given {
  readonly text?: string;
  readonly set?: readonly string[];
  readonly volume?: readonly string[];
}

const volumesOf = (given: Given): Volume[] => parseConfig(given, HERE).volumes.map(({ volume }) => volume);

function complaint(given: Given): string {
  try {
    parseConfig(given, HERE);
  } catch (error) {
    assert.ok(error instanceof ForebayError && error.code === 'config', String(error));
    return error.message;
  }
  return 'no complaint';
}

const kv = (rest = '', name = 'cache'): string => `[volumes.${name}]\nkind = "kv"\n${rest}\n`;

test('a kv volume has no origin, is written to, never forgets by time, and takes three tenths of the cache', () => {
  const expected: Volume = {
    name: 'cache',
    origin: 'none',
    write: true,
    revalidateMs: Infinity,
    staleIfErrorMs: Infinity,
    chunkSizeBytes: 16 << 20,
    verify: 'arrival',
    kv: { ttlMs: Infinity, share: 0.3, suffixes: ['metadata', 'kv_bytes'], respDb: 0 },
  };
  assert.deepEqual(volumesOf({ text: kv() }), [expected]);
  assert.deepEqual(volumesOf({ text: kv('origin = "none"') }), [expected]);
  assert.deepEqual(volumesOf({ volume: ['cache=none'] }), [expected], 'an origin of none says that it is one');
});

test('every key of a kv volume is taken, from the file and from options', () => {
  const text = kv('ttl = "24h"\nshare = 0.5\nrespDb = 7\nsuffixes = [".meta", ".bytes"]\nwrite = false');
  assert.deepEqual(volumesOf({ text })[0]?.kv, {
    ttlMs: 86_400_000,
    share: 0.5,
    suffixes: ['.meta', '.bytes'],
    respDb: 7,
  });
  assert.equal(volumesOf({ text })[0]?.write, false);
  const set = ['ttl=never', 'share=0.25', 'respDb=3', 'suffixes=[]'].map((one) => `volumes.cache.${one}`);
  assert.deepEqual(volumesOf({ text, set })[0]?.kv, { ttlMs: Infinity, share: 0.25, suffixes: [], respDb: 3 });
});

test('kv volumes are numbered for SELECT in their order, round the numbers that were given', () => {
  const text = kv('share = 0.1', 'aaa') + kv('share = 0.1\nrespDb = 0', 'bbb') + kv('share = 0.1', 'ccc');
  assert.deepEqual(
    volumesOf({ text: `[volumes.models]\norigin = "memory:"\n${text}` }).map(({ kv }) => kv?.respDb),
    [undefined, 1, 0, 2],
  );
});

test('keys of the other kind of volume are refused by name', () => {
  const objects = (rest: string) => `[volumes.models]\norigin = "memory:"\n${rest}`;
  for (const key of ['ttl = "24h"', 'share = 0.3', 'respDb = 1', 'suffixes = []'])
    assert.match(
      complaint({ text: objects(key) }),
      /^forebay\.toml:3: volumes\.models\.\w+: \w+ is for kv volumes/,
      key,
    );
  for (const key of [
    'endpoint = "http://127.0.0.1:9"',
    'region = "eu-west-1"',
    'ack = "local"',
    'replicas = 2',
    'revalidate = "60s"',
    'staleIfError = "24h"',
    'onFull = "block"',
    'onPartition = "stale"',
    'onDegraded = "wait"',
    'onConflict = "hold"',
    'conflicts = "unchecked"',
    'drainOrder = "none"',
    'verify = "always"',
    'chunkSize = "4MiB"',
  ])
    assert.match(complaint({ text: kv(key) }), /is for volumes with an origin, and volumes\.cache is a kv volume/, key);
});

test('a kind and an origin that contradict one another are refused', () => {
  assert.match(complaint({ text: kv('origin = "memory:"') }), /a kv volume has no origin, got "memory:"/);
  assert.match(complaint({ text: '[volumes.abc]\nkind = "objects"\norigin = "none"' }), /"none" is for kv volumes/);
  assert.match(
    complaint({ text: '[volumes.abc]\nkind = "objects"' }),
    /volumes\.abc\.origin: expected an origin: .*missing/,
  );
  assert.match(complaint({ text: '[volumes.abc]\nkind = "values"' }), /expected "objects" or "kv", got "values"/);
});

test('shares, times, numbers and suffixes that cannot be are refused with what to write', () => {
  const wrong: readonly (readonly [string, RegExp])[] = [
    ['share = 0', /expected a part of the cache from 0\.001 to 0\.9, got the number 0; write it like share = 0\.3/],
    ['share = 1', /expected a part of the cache/],
    ['share = "30%"', /expected a part of the cache .*, got "30%"/],
    ['ttl = 60', /expected a duration or "never", got the number 60/],
    ['ttl = "0s"', /a ttl of 0 would forget every value at once/],
    ['respDb = -1', /expected a whole number from 0 to 1023/],
    ['respDb = 1.5', /expected a whole number from 0 to 1023/],
    ['suffixes = ["metadata"]', /expected no suffix, or two/],
    ['suffixes = ["a", "b", "c"]', /expected no suffix, or two/],
    ['suffixes = ["bytes", "kv_bytes"]', /neither ends with the other/],
    ['suffixes = ["", "x"]', /expected a list of endings of keys/],
  ];
  for (const [rest, expected] of wrong) assert.match(complaint({ text: kv(rest) }), expected, rest);
});

test('kv volumes leave a tenth of the cache to objects, and each has its own number', () => {
  const three = ['aaa', 'bbb', 'ccc'].map((name) => kv('', name)).join('');
  assert.equal(volumesOf({ text: three }).length, 3, 'nine tenths are the most');
  assert.match(
    complaint({ text: three + kv('share = 0.01', 'ddd') }),
    /volumes\.ddd\.share: the shares of the kv volumes \(aaa 0\.3, bbb 0\.3, ccc 0\.3, ddd 0\.01\) are 0\.91 of the cache/,
  );
  const same = kv('respDb = 1', 'aaa') + kv('respDb = 1', 'bbb');
  assert.match(complaint({ text: same }), /volumes\.bbb\.respDb: 1 is the number of volumes\.aaa already/);
});
