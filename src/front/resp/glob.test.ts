import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { literalPrefix, matches } from './glob.ts';

test('patterns match as those of Redis do', () => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ['*', '', true],
    ['*', 'abc', true],
    ['a*c', 'abbc', true],
    ['a*c', 'abbd', false],
    ['h?llo', 'hello', true],
    ['h?llo', 'hllo', false],
    ['h[ae]llo', 'hallo', true],
    ['h[^e]llo', 'hello', false],
    ['h[a-c]llo', 'hbllo', true],
    ['h[c-a]llo', 'hbllo', true],
    ['a\\*c', 'a*c', true],
    ['a\\*c', 'abc', false],
    ['[\\]]', ']', true],
    ['', '', true],
    ['', 'a', false],
    ['*a*b*', 'xxaxxbxx', true],
  ];
  for (const [pattern, text, expected] of cases) assert.equal(matches(pattern, text), expected, `${pattern} ~ ${text}`);
});

test('what a pattern begins with is what all its matches begin with', () => {
  assert.equal(literalPrefix('model@1*'), 'model@1');
  assert.equal(literalPrefix('a\\*b[c]'), 'a*b');
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom('a', 'b', '*', '?', '\\', '[', ']') }),
      fc.string({ unit: fc.constantFrom('a', 'b', '*') }),
      (pattern, text) => {
        if (matches(pattern, text)) assert.ok(text.startsWith(literalPrefix(pattern)));
      },
    ),
  );
});

test('a pattern of many stars is not slow', () => {
  assert.equal(matches('*a'.repeat(500), 'a'.repeat(499) + 'b'.repeat(100_000)), false);
});
