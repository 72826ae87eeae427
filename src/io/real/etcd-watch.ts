/**
 * A watch over etcd's streaming gateway. A stream that breaks, or is silent for `silentMs` (its connection or its
 * server may be dead), is replaced by one that begins where it left off, at the next endpoint if it failed. Where the
 * history in between was compacted, one event tells everything that is there.
 */
import { ForebayError } from '../../core/errors.ts';
import type { Change, KeyValue, WatchEvent } from '../coordinator.ts';
import type { EtcdClient } from './etcd-client.ts';
import { EtcdError, errorOf, etcdFailure, isTransient } from './etcd-gateway.ts';
import type { EtcdKeys, EtcdWatchResult } from './etcd-wire.ts';

export interface EtcdWatchOptions {
  readonly client: EtcdClient;
  readonly keys: EtcdKeys;
  readonly prefix: string;
  readonly afterRevision: number;
  /** Everything below the prefix, of one revision. */
  readonly range: () => Promise<{ readonly revision: number; readonly entries: readonly KeyValue[] }>;
  readonly silentMs: number;
  readonly signal: AbortSignal;
}

/** The history beyond where a watch is was compacted. */
class Compacted extends Error {}

export async function* watchEtcd(options: EtcdWatchOptions): AsyncGenerator<WatchEvent> {
  const { client, signal } = options;
  let seen = options.afterRevision;
  let failures = 0;
  while (!signal.aborted) {
    const endpoint = client.gateway.endpoint;
    try {
      if (client.refusal) throw client.refusal;
      for await (const event of stream(options, seen)) {
        seen = event.revision;
        failures = 0;
        if (event.changes.length > 0) yield event;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Compacted) {
        const { revision, entries } = await options.range().catch(() => ({ revision: -1, entries: [] }));
        if (revision < 0) continue;
        seen = revision;
        yield { kind: 'snapshot', revision, changes: entries };
        continue;
      }
      const isPassing = isTransient(error) || (error instanceof ForebayError && error.row.retry);
      if (!isPassing) throw etcdFailure(error);
      client.gateway.turnFrom(endpoint);
      await client.pause(failures++, signal);
    }
  }
}

/** The events of one stream; one without changes says how far it got. Ends when it was silent for too long. */
async function* stream(options: EtcdWatchOptions, seen: number): AsyncGenerator<WatchEvent> {
  const { client, keys, prefix, signal } = options;
  const silent = new AbortController();
  const ring = () => silent.abort(new Error('silent'));
  let timer = setTimeout(ring, options.silentMs);
  const body = {
    create_request: { ...keys.range(prefix), start_revision: String(seen + 1), progress_notify: true },
  };
  try {
    for await (const line of client.gateway.stream('/v3/watch', body, AbortSignal.any([signal, silent.signal]))) {
      clearTimeout(timer);
      const { result } = line as { result?: EtcdWatchResult };
      if (!result) throw errorOf(line, 'etcd ended the watch');
      yield* eventsOf(result, options, seen);
      // Only time that is spent waiting for etcd counts.
      timer = setTimeout(ring, options.silentMs);
    }
  } finally {
    clearTimeout(timer);
  }
}

async function* eventsOf(result: EtcdWatchResult, options: EtcdWatchOptions, seen: number): AsyncGenerator<WatchEvent> {
  const { client, keys } = options;
  if (result.compact_revision !== undefined && result.compact_revision !== '0') throw new Compacted();
  if (result.canceled) throw cancelled(result.cancel_reason ?? '');
  const revision = Number(result.header?.revision ?? 0);
  // A server may be behind. A coordinator that went back in time shows in a linearizable answer.
  if (result.created && revision < seen) await options.range();
  if (result.created) return;
  let event: { kind: 'changes'; revision: number; changes: Change[] } | undefined;
  for (const { type, kv } of result.events ?? []) {
    const at = Number(kv.mod_revision ?? 0);
    if (event && event.revision !== at) yield event;
    if (event?.revision !== at) event = { kind: 'changes', revision: at, changes: [] };
    event.changes.push(type === 'DELETE' ? { key: keys.name(kv.key), deleted: true } : keys.keyValue(kv));
  }
  if (event) {
    client.saw(event.revision);
    yield event;
  } else if (revision > seen) {
    // Progress: everything up to here has been told.
    yield { kind: 'changes', revision, changes: [] };
  }
}

const PERMISSION_DENIED = 7;
const UNAVAILABLE = 14;

function cancelled(reason: string): EtcdError {
  const isDenied = /permission denied|PermissionDenied/.test(reason);
  return new EtcdError(isDenied ? PERMISSION_DENIED : UNAVAILABLE, `etcd ended the watch: ${reason}`);
}
