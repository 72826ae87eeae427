/**
 * Clients that ask for prefixes of chains of values, take what was promised, and store the rest, at a cache that is far too small: what a
 * lookup promised must be there, whatever others store meanwhile, until its lease ends.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { seededFraction } from '../statistics.ts';
import { KvClient, type Value } from './kv-client.ts';
import type { NodeDoors, Press, Pressed } from './kv-command.ts';

/** How much more often the first chain is asked for than the others (Zipf's exponent): few are hot, most are cold. */
const ZIPF = 0.8;
/** Which clients take their time between the lookup and the read, and how long at most, of the lease. */
const PAUSES = [
  { share: 0.02, most: 0.8 },
  { share: 0.25, most: 0.1 },
] as const;
const NOTE_EVERY = 250;
const MISSES_TOLD = 20;

/** Values of every other chain are larger than what the store packs in a share of that size. */
const LARGE = 3;

/** Of all values, when the others have `sizeBytes`. */
export const meanValueBytes = (sizeBytes: number): number => ((1 + LARGE) * sizeBytes) / 2;

/** Draws chains, the first ones more often. */
function chainsOf(chains: number, next: () => number): () => number {
  const sums: number[] = [];
  let sum = 0;
  for (let i = 1; i <= chains; i++) sums.push((sum += 1 / i ** ZIPF));
  return () => {
    const at = next() * sum;
    let [low, high] = [0, chains - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] as number) < at) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}

class Crowd {
  readonly #press: Press;
  readonly #note: (note: unknown) => void;
  readonly lookupMs: number[] = [];
  readonly getMs: number[] = [];
  begun = 0;
  asked = 0;
  promised = 0;
  missed = 0;
  readonly misses: Pressed['misses'][number][] = [];
  stored = 0;
  refused = 0;

  constructor(press: Press, note: (note: unknown) => void) {
    this.#press = press;
    this.#note = note;
  }

  #chain(chain: number, length: number): Value[] {
    const { chainValues, sizeBytes } = this.#press;
    return Array.from({ length }, (_, i) => ({
      key: `chain:${chain}:${i}`,
      seed: 1 + chain * chainValues + i,
      sizeBytes: chain % 2 === 0 ? sizeBytes : LARGE * sizeBytes,
    }));
  }

  async client(doors: NodeDoors, index: number): Promise<void> {
    const { volume, chains, chainValues, lookups, leaseMs, seed } = this.#press;
    const next = seededFraction(seed * 1000 + index);
    const draw = chainsOf(chains, next);
    const client = await KvClient.connect(doors, volume);
    try {
      while (this.begun < lookups) {
        this.begun += 1;
        if (this.begun % NOTE_EVERY === 0) this.#note(this.begun);
        const values = this.#chain(draw(), 1 + Math.floor(next() * chainValues));
        const pause = PAUSES.find(({ share }) => next() < share);
        await this.#request(client, values, next() * (pause?.most ?? 0) * leaseMs);
      }
    } finally {
      client.close();
    }
  }

  #miss(key: string, times: { askedMs: number; answeredMs: number }): void {
    this.missed += 1;
    if (this.misses.length < MISSES_TOLD) this.misses.push({ key, ...times });
  }

  async #request(client: KvClient, values: readonly Value[], pauseMs: number): Promise<void> {
    const { leaseMs } = this.#press;
    const from = performance.now();
    const leading = await client.lookup(
      values.map(({ key }) => key),
      leaseMs,
    );
    // The lease began before the answer came, and not before the question.
    this.lookupMs.push(performance.now() - from);
    this.asked += values.length;
    if (pauseMs > 0) await sleep(pauseMs);
    const begun = performance.now();
    if (leading > 0 && begun - from < leaseMs) {
      const there = await client.get(values.slice(0, leading));
      const toMs = performance.now();
      this.getMs.push(toMs - begun);
      this.promised += leading;
      // An answer that comes after the lease may say what it likes.
      if (toMs - from < leaseMs)
        for (const [i, isThere] of there.entries())
          if (!isThere) this.#miss((values[i] as Value).key, { askedMs: begun - from, answeredMs: toMs - from });
    }
    const rest = values.slice(leading);
    const refused = await client.put(rest);
    this.refused += refused;
    this.stored += rest.length - refused;
  }
}

export async function press(what: Press, note: (note: unknown) => void): Promise<Pressed> {
  const crowd = new Crowd(what, note);
  const clients = what.nodes.flatMap((doors) => Array.from({ length: what.clientsPerNode }, () => doors));
  await Promise.all(clients.map((doors, index) => crowd.client(doors, index)));
  const { lookupMs, getMs, asked, promised, missed, misses, stored, refused } = crowd;
  return { lookups: crowd.begun, lookupMs, getMs, asked, promised, missed, misses, stored, refused };
}
