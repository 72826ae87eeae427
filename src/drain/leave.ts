/**
 * Leaving a cluster in order (DESIGN.md section 8): what only this node has drains, or is copied, before it goes. Meanwhile it takes no new writes
 * and no copies of others'; what was begun before is waited for. Whoever gives the leave up has a node that takes them again.
 */
import type { Cluster } from '../cluster/cluster.ts';
import type { ContentId } from '../core/ids.ts';
import { leaveLookMs } from '../core/limits.ts';
import type { Clock } from '../io/io.ts';
import type { KeptContent } from '../write/kept-places.ts';

export interface LeaveProgress {
  /** Versions that the origin does not have, and no other node of the cluster. */
  readonly objects: number;
  readonly bytes: number;
  /** One of them, for people. */
  readonly example?: string;
}

/** What a node keeps that the origin does not have; `write/dirty-keeping.ts` is one. */
export interface KeptContents {
  contents(): Iterable<KeptContent>;
  /** What is noted of it, of a life of the records that is lost, is older than its record: it goes in its time. */
  judged(content: ContentId): void;
  takeNoMore(): () => void;
}

export interface LeaveOptions {
  readonly cluster: Pick<Cluster, 'self' | 'member'>;
  readonly keeping: KeptContents;
  readonly clock: Clock;
  readonly hurry: () => Promise<unknown>;
  readonly signal: AbortSignal;
}

/** Ends when nothing is only here; until then tells how much is. */
export async function* untilNothingIsOnlyHere(options: LeaveOptions): AsyncGenerator<LeaveProgress> {
  for (;;) {
    options.signal.throwIfAborted();
    const progress = onlyHere(options);
    yield progress;
    if (progress.objects === 0) return;
    await options.hurry();
    await options.clock.sleep(leaveLookMs, options.signal);
  }
}

export function onlyHere({ keeping, cluster }: Pick<LeaveOptions, 'keeping' | 'cluster'>): LeaveProgress {
  let objects = 0;
  let bytes = 0;
  let example: string | undefined;
  for (const { noted, content, sizeBytes, volume, key, isReplaced } of keeping.contents()) {
    if (isReplaced) continue;
    const dirty = noted?.record.current;
    const replicas = dirty?.kind === 'dirty' && dirty.content === content ? dirty.replicas : [];
    if (replicas.some((node) => node !== cluster.self && cluster.member(node) !== undefined)) continue;
    // Its record names other nodes.
    if (noted?.revision !== undefined && replicas.length === 0) continue;
    objects++;
    bytes += sizeBytes;
    example ??= `${volume}/${key}`;
  }
  return { objects, bytes, ...(example !== undefined && { example }) };
}
