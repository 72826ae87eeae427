/** Sizes ("7TiB") and durations ("60s") as people write and read them. */

const SIZE_UNITS: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1e3,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  PB: 1e15,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
  PiB: 2 ** 50,
};

const DURATION_UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

function parseQuantity(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const match = /^(\d{1,15}(?:\.\d{1,6})?) ?([A-Za-z]+)$/.exec(text);
  if (!match) return undefined;
  const unit = Object.hasOwn(units, match[2] as string) ? units[match[2] as string] : undefined;
  if (unit === undefined) return undefined;
  const value = Math.round(Number(match[1]) * unit);
  return Number.isSafeInteger(value) ? value : undefined;
}

/** Bytes; `undefined` where the text is not a number with a unit, or beyond 2^53. */
export function parseSize(text: string): number | undefined {
  return parseQuantity(text, SIZE_UNITS);
}

/** Milliseconds; `undefined` where the text is not a number with a unit. Words such as "never" are the caller's. */
export function parseDuration(text: string): number | undefined {
  return parseQuantity(text, DURATION_UNITS_MS);
}

function trimmed(value: number): string {
  return value >= 100
    ? value.toFixed(0)
    : value >= 10
      ? value.toFixed(1).replace(/\.0$/, '')
      : value.toFixed(2).replace(/\.?0+$/, '');
}

/** For people: three significant digits at most, so not exact. */
export function formatSize(bytes: number): string {
  for (const unit of ['PiB', 'TiB', 'GiB', 'MiB', 'KiB']) {
    const size = SIZE_UNITS[unit] as number;
    if (bytes >= size) return `${trimmed(bytes / size)} ${unit}`;
  }
  return `${Math.round(bytes)} B`;
}

/** For people: the largest unit that gives at least 1. */
export function formatDuration(ms: number): string {
  if (ms === Infinity) return 'never';
  for (const unit of ['d', 'h', 'm', 's']) {
    const size = DURATION_UNITS_MS[unit] as number;
    if (ms >= size) return `${trimmed(ms / size)} ${unit}`;
  }
  return `${trimmed(ms)} ms`;
}
