/** Randomness from the operating system. */
import { randomBytes, randomInt } from 'node:crypto';
import type { Random } from '../io.ts';

/** `crypto.randomInt` draws from 48 bits. */
const INTEGER_BOUND_MAX = 2 ** 48 - 1;

export function createRealRandom(): Random {
  const fraction = () => {
    const drawn = randomBytes(8).readBigUInt64LE() >> 11n;
    return Number(drawn) / 2 ** 53;
  };
  return {
    bytes: (length) => randomBytes(length),
    integer: (bound) => (bound <= INTEGER_BOUND_MAX ? randomInt(bound) : Math.floor(fraction() * bound)),
    fraction,
  };
}
