/** What stands behind the value of SET, and times to live as Redis reads them. */
import { notInteger, Refusal, syntaxError } from './reply.ts';

export interface SetOptions {
  readonly condition: 'none' | 'NX' | 'XX';
  /** The old value is the answer. */
  readonly get: boolean;
  readonly keepTtl: boolean;
  /** From now; absent: the volume's. 0 or less: over already. */
  readonly ttlMs: number | undefined;
}

const TIMES: Readonly<Record<string, { unitMs: number; isPoint: boolean }>> = {
  EX: { unitMs: 1000, isPoint: false },
  PX: { unitMs: 1, isPoint: false },
  EXAT: { unitMs: 1000, isPoint: true },
  PXAT: { unitMs: 1, isPoint: true },
};

/** `words` are the arguments behind the value. Throws Redis's syntax errors. */
export function parseSetOptions(words: readonly string[], wallMs: number): SetOptions {
  let condition: SetOptions['condition'] = 'none';
  let get = false;
  let keepTtl = false;
  let ttlMs: number | undefined;
  for (let index = 0; index < words.length; index++) {
    const word = (words[index] as string).toUpperCase();
    const time = Object.hasOwn(TIMES, word) ? TIMES[word] : undefined;
    if ((word === 'NX' || word === 'XX') && (condition === 'none' || condition === word)) condition = word;
    else if (word === 'GET') get = true;
    else if (word === 'KEEPTTL' && ttlMs === undefined) keepTtl = true;
    else if (time !== undefined && ttlMs === undefined && !keepTtl && index + 1 < words.length) {
      const value = parseTtl(words[++index] as string, time.unitMs, 'set');
      ttlMs = time.isPoint ? value - wallMs : value;
    } else throw syntaxError();
  }
  return { condition, get, keepTtl, ttlMs };
}

/** A positive count of seconds or milliseconds, in milliseconds. */
export function parseTtl(text: string, unitMs: number, command: string): number {
  const value = parseInteger(text);
  if (value <= 0n || value > INT64_MAX / BigInt(unitMs)) throw invalidExpire(command);
  return Number(value) * unitMs;
}

const INT64_MAX = 2n ** 63n - 1n;
const INTEGER = /^(0|-?[1-9]\d{0,18})$/;

/** A 64-bit integer as Redis reads it: no sign but a minus, no leading zero. */
export function parseInteger(text: string): bigint {
  const value = INTEGER.test(text) ? BigInt(text) : undefined;
  if (value === undefined || value > INT64_MAX || value < -INT64_MAX - 1n) throw notInteger();
  return value;
}

export function invalidExpire(command: string): Refusal {
  return new Refusal(`ERR invalid expire time in '${command}' command`);
}
