/**
 * Finds out what a batch of transactions found, of which it is known that it was applied, and at which revision: reads
 * from etcd's history what there was just before, and takes the transactions through their compares again.
 */
import { ForebayError } from '../../core/errors.ts';
import type { KeyValue, Transaction, TransactionResult } from '../coordinator.ts';
import { holds, keyOf } from '../transaction.ts';
import type { EtcdClient } from './etcd-client.ts';
import { EtcdError } from './etcd-gateway.ts';
import type { EtcdKeys, EtcdTransaction } from './etcd-wire.ts';

/** Keys read by one request. */
const KEYS_MAX = 100;

/** Rejects with `coordinatorUncertain` when the history is gone or etcd does not answer in time. */
export async function settle(
  batch: readonly Transaction[],
  at: { client: EtcdClient; keys: EtcdKeys; revision: number },
): Promise<readonly TransactionResult[]> {
  const names = new Set<string>();
  for (const { compares, apply, otherwise = [] } of batch) {
    for (const { key } of compares) names.add(key);
    for (const operation of [...apply, ...otherwise]) if ('read' in operation) names.add(keyOf(operation));
  }
  let before: ReadonlyMap<string, KeyValue>;
  try {
    before = await history([...names], at);
  } catch (error) {
    if (!(error instanceof EtcdError) && !(error instanceof ForebayError && error.row.retry)) throw error;
    const { message } = error;
    throw new ForebayError('coordinatorUncertain', `it was applied, but what it found is not known: ${message}`, {
      cause: error,
    });
  }
  return batch.map(({ compares, apply, otherwise = [] }) => {
    const succeeded = compares.every((compare) => holds(compare, before.get(compare.key)));
    const reads = (succeeded ? apply : otherwise).flatMap((operation) => {
      const found = 'read' in operation ? before.get(operation.read) : undefined;
      return found ? [found] : [];
    });
    return { succeeded, revision: at.revision, reads };
  });
}

/** What keys were just before a revision. */
async function history(
  names: readonly string[],
  { client, keys, revision }: { client: EtcdClient; keys: EtcdKeys; revision: number },
): Promise<ReadonlyMap<string, KeyValue>> {
  const found = new Map<string, KeyValue>();
  for (let first = 0; first < names.length; first += KEYS_MAX) {
    const success = names
      .slice(first, first + KEYS_MAX)
      .map((name) => ({ request_range: { key: keys.key(name), revision: String(revision - 1) } }));
    const answer = await client.ask<EtcdTransaction>('/v3/kv/txn', { compare: [], success });
    for (const entry of keys.reads(answer)) found.set(entry.key, entry);
  }
  return found;
}
