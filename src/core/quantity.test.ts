import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatDuration, formatSize, parseDuration, parseSize } from './quantity.ts';

test('sizes take binary and decimal units', () => {
  const table: Readonly<Record<string, number | undefined>> = {
    '7TiB': 7 * 2 ** 40,
    '16 MiB': 16 * 2 ** 20,
    '1.5GiB': 1.5 * 2 ** 30,
    '500GB': 500e9,
    '0B': 0,
    '10kB': 10_000,
    '7': undefined,
    '7tib': undefined,
    '-1GiB': undefined,
    '1e3MiB': undefined,
    '': undefined,
    MiB: undefined,
    '1constructor': undefined,
    '9000000PiB': undefined,
    '1 GiB ': undefined,
  };
  for (const [text, bytes] of Object.entries(table)) assert.equal(parseSize(text), bytes, text);
});

test('durations take units from milliseconds to days', () => {
  const table: Readonly<Record<string, number | undefined>> = {
    '60s': 60_000,
    '250ms': 250,
    '1.5h': 5_400_000,
    '24h': 86_400_000,
    '7d': 604_800_000,
    '5m': 300_000,
    '60': undefined,
    '60S': undefined,
    never: undefined,
    '-5s': undefined,
  };
  for (const [text, ms] of Object.entries(table)) assert.equal(parseDuration(text), ms, text);
});

test('any whole number with any unit is read back exactly, and any text is either refused or a safe integer', () => {
  const units = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40, kB: 1e3, MB: 1e6 };
  fc.assert(
    fc.property(fc.nat(1_000_000), fc.constantFrom(...Object.entries(units)), (count, [unit, bytes]) => {
      const product = count * bytes;
      assert.equal(parseSize(`${count}${unit}`), Number.isSafeInteger(product) ? product : undefined);
    }),
  );
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[\d.]{0,20} ?[a-zA-Z]{0,4}$/)), (text) => {
      for (const value of [parseSize(text), parseDuration(text)])
        assert.ok(value === undefined || (Number.isSafeInteger(value) && value >= 0));
    }),
  );
});

test('what is printed is within half a percent of what it stands for', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 52 }), (value) => {
      const size = parseSize(formatSize(value)) as number;
      const duration = parseDuration(formatDuration(value)) as number;
      assert.ok(Math.abs(size - value) <= value * 0.0051, `${value} B printed as ${formatSize(value)}`);
      assert.ok(Math.abs(duration - value) <= value * 0.0051, `${value} ms printed as ${formatDuration(value)}`);
    }),
  );
  assert.equal(formatDuration(Infinity), 'never');
});
