/**
 * Waits until what must be at the origin before an object is there (S-7), for a write that goes round the drain: everything of
 * its directory and below that was committed when it was begun, or a later version of that.
 */
import { ForebayError } from '../core/errors.ts';
import { recordsPerWindowMax, stagedRetryMs, stagedWaitMs } from '../core/limits.ts';
import type { WritePolicy } from '../core/volume.ts';
import type { Clock } from '../io/io.ts';
import type { Recorded, Records } from './records.ts';
import { dirtySince, pendingOf } from './version-order.ts';
import type { Target } from './writer.ts';

export interface DrainedBelowOptions {
  readonly records: Pick<Records, 'read' | 'list'>;
  readonly clock: Clock;
  readonly policy: Pick<WritePolicy, 'drainOrder' | 'onConflict'>;
  /** The coordinator's revision when the write was begun. */
  readonly begunRevision: number;
  readonly signal: AbortSignal;
}

/** Rejects with diskFull after `stagedWaitMs`, or at once where something is held back that it would have to follow. */
export async function drainedBelow({ volume, key }: Target, options: DrainedBelowOptions): Promise<void> {
  const { records, clock, policy, signal } = options;
  if (policy.drainOrder === 'none') return;
  const untilMs = clock.boottimeMs() + stagedWaitMs;
  const prefix = key.slice(0, key.lastIndexOf('/') + 1);
  let after: string | undefined;
  for (;;) {
    const limit = recordsPerWindowMax;
    const page = await records.list(volume, { prefix, limit, signal, ...(after !== undefined && { after }) });
    for (const { key: other, ...found } of page) {
      for (let now: Recorded = found; goesFirst(now, options); now = await records.read(volume, other, signal)) {
        const { trouble } = pendingOf(now.record) ?? {};
        if (trouble !== undefined) throw full(key, other, `cannot be drained: ${trouble.message}`);
        if (clock.boottimeMs() >= untilMs) throw full(key, other, 'has yet to reach the origin');
        await clock.sleep(stagedRetryMs, signal);
      }
    }
    if (page.length < limit) return;
    after = page.at(-1)?.key;
  }
}

function goesFirst({ record, revision }: Recorded, { policy, begunRevision }: DrainedBelowOptions): boolean {
  const pending = pendingOf(record);
  if (pending === undefined || dirtySince(pending, revision) > begunRevision) return false;
  return pending.trouble === undefined || policy.onConflict !== 'skip';
}

function full(key: string, other: string, why: string): ForebayError {
  const text = `there is no room for "${key}" here, and the origin must not have it before "${other}", which ${why}`;
  return new ForebayError('diskFull', text);
}
