/** The kv volumes of a node, put together over what it holds of each and the cluster that it is in. */

import { textOf } from '../cluster/chunk-wire.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { ForebayError } from '../core/errors.ts';
import { directoryTickMs } from '../core/limits.ts';
import type { Clock, Random } from '../io/io.ts';
import type { Emit } from '../observe/events.ts';
import type { Kv } from './kv.ts';
import { KvVolume } from './kv-volume.ts';
import type { LocalValues } from './values.ts';

export interface KvOptions {
  readonly volumes: readonly {
    readonly name: string;
    readonly suffixes: readonly string[];
    /** Its number for SELECT. */
    readonly number: number;
    readonly local: LocalValues;
  }[];
  readonly clock: Clock;
  readonly random: Random;
  readonly emit: Emit;
  /** Absent for a node alone; not joined yet. */
  readonly cluster: Cluster | undefined;
  /** How long a peer may take for an answer about keys; absent: the named limit. */
  readonly peerMs?: number;
}

const MESSAGES = [
  'kv.tell',
  'kv.locate',
  'kv.claim',
  'kv.unclaim',
  'kv.settle',
  'kv.remove',
  'kv.lease',
  'kv.drop',
  'kv.put',
  'kv.expire',
  'kv.page',
  'kv.count',
] as const;

/** To be called before the cluster is joined. */
export function createKv(options: KvOptions): Kv {
  const { clock, random, emit, cluster, peerMs } = options;
  const volumes = new Map<string, KvVolume>();
  const numbers = new Map<number, KvVolume>();
  for (const each of options.volumes) {
    const volume = new KvVolume({ ...each, clock, random, emit, cluster, peerMs });
    volumes.set(each.name, volume);
    numbers.set(each.number, volume);
  }
  for (const type of MESSAGES)
    cluster?.handle(type, (from, message, signal) => {
      const volume = volumes.get(textOf(message['volume']));
      if (volume === undefined)
        throw new ForebayError('invalidRequest', `there is no kv volume ${JSON.stringify(message['volume'])} here`);
      return volume.answer(from, message, signal);
    });
  const stop = new AbortController();
  void tick(clock, Array.from(volumes.values()), stop.signal);
  return {
    volumes,
    byNumber: (number) => numbers.get(number),
    async close() {
      stop.abort(new ForebayError('shuttingDown', 'this node is stopping'));
      for (const { local } of options.volumes) local.close();
    },
  };
}

async function tick(clock: Clock, volumes: readonly KvVolume[], signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep(directoryTickMs, signal).catch(() => undefined);
    for (const volume of volumes) volume.tick();
  }
}
