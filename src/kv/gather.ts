/**
 * Many values at once, in the order asked for (DESIGN.md section 9): one search for all of them, then the remote ones are brought in
 * parallel, each at most `kvPullBlocksMax` blocks ahead of its turn, as long as `kvPrefetchBlocksMax` of the node allow; one whose turn
 * has come is brought in any case. A holder that does not answer costs one bounded delay, and then its values are misses.
 */
import { blockCount } from '../core/chunk.ts';
import { kvLeaseMs, kvMessageKeysMax, kvPullBlocksMax } from '../core/kv-limits.ts';
import type { Found, KeyFinder } from './key-finder.ts';
import type { OpenValue } from './kv.ts';
import { openHere } from './prepared.ts';
import { RemoteValue } from './remote-value.ts';
import type { Scope } from './scope.ts';

/** Blocks that are brought before their turn, of all gathers of a node. */
export class PrefetchBudget {
  #left: number;

  constructor(blocks: number) {
    this.#left = blocks;
  }

  tryTake(blocks: number): boolean {
    if (blocks > this.#left) return false;
    this.#left -= blocks;
    return true;
  }

  release(blocks: number): void {
    this.#left += blocks;
  }
}

export interface GatherOptions {
  readonly scope: Scope;
  readonly finder: KeyFinder;
  readonly budget: PrefetchBudget;
  /** One value that could not be had as found: searched for anew. */
  readonly open: (key: string, signal: AbortSignal) => Promise<OpenValue | undefined>;
}

export async function* gather(
  options: GatherOptions,
  keys: readonly string[],
  signal: AbortSignal,
): AsyncGenerator<OpenValue | undefined> {
  const find = (from: number) => {
    const some = keys.slice(from, from + kvMessageKeysMax);
    const found = options.finder.find(some, { leaseMs: kvLeaseMs, inline: true, signal });
    found.catch(() => undefined);
    return found;
  };
  let next = find(0);
  for (let from = 0; from < keys.length; from += kvMessageKeysMax) {
    const found = await next;
    if (from + kvMessageKeysMax < keys.length) next = find(from + kvMessageKeysMax);
    yield* inOrder(options, { keys: keys.slice(from, from + kvMessageKeysMax), found, signal });
  }
}

async function* inOrder(
  { scope, budget, open }: GatherOptions,
  { keys, found, signal }: { keys: readonly string[]; found: readonly Found[]; signal: AbortSignal },
): AsyncGenerator<OpenValue | undefined> {
  const begun = new Map<number, RemoteValue>();
  let ahead = 0;
  const begin = (at: number, isItsTurn: boolean): boolean => {
    const each = found[at] as Found;
    if (each.kind !== 'there' || begun.has(at)) return true;
    const blocks = each.bytes === undefined ? Math.min(kvPullBlocksMax, blockCount(each.fact.sizeBytes)) : 0;
    const taken = !isItsTurn && budget.tryTake(blocks) ? blocks : 0;
    if (!isItsTurn && taken < blocks) return false;
    const onClose = () => budget.release(taken);
    begun.set(at, new RemoteValue({ cluster: scope.cluster, remote: each, onClose }));
    return true;
  };
  try {
    for (const [at, key] of keys.entries()) {
      begin(at, true);
      ahead = Math.max(ahead, at + 1);
      while (ahead < keys.length && begin(ahead, false)) ahead += 1;
      const each = found[at] as Found;
      const remote = begun.get(at);
      if (each.kind === 'missing') yield undefined;
      else if (remote === undefined) yield (await openHere(scope.local, key)) ?? (await open(key, signal));
      else if (await remote.arrives(signal)) yield remote;
      else yield await open(key, signal);
      begun.delete(at);
      remote?.close();
    }
  } finally {
    for (const value of begun.values()) value.close();
  }
}
