/** Writers that wait until the origin has what they wrote. */
import { abortable } from '../core/abortable.ts';
import { ForebayError } from '../core/errors.ts';
import type { ContentId } from '../core/ids.ts';
import { originAckMaxMs } from '../core/limits.ts';
import type { Clock } from '../io/io.ts';
import type { ObjectRecord } from './object-record.ts';
import type { RecordFeed } from './record-feed.ts';
import { dirtySince, pendingOf } from './version-order.ts';
import type { Target } from './writer.ts';

/** What was committed: a version, or (without a content) a delete; at this revision of the record. */
export interface Awaited extends Target {
  readonly content: ContentId | undefined;
  readonly revision: number;
}

export class DrainWaits {
  readonly #feed: RecordFeed;
  readonly #clock: Clock;

  constructor(options: { feed: RecordFeed; clock: Clock }) {
    this.#feed = options.feed;
    this.#clock = options.clock;
  }

  /**
   * Begin before the commit; `of` after it. Rejects with `conflict` where somebody else changed the object at the origin, with
   * originDenied where the origin refuses it, originUnavailable after `originAckMaxMs`, or with the signal's reason.
   */
  begin(target: Target): { of(awaited: Awaited, signal: AbortSignal): Promise<void>; end(): void } {
    let seen: Seen | undefined;
    let news = Promise.withResolvers<void>();
    const end = this.#feed.listen((volume, change) => {
      if (volume !== target.volume) return;
      if (change.kind === 'all') {
        const found = change.records.find(({ key }) => key === target.key);
        seen = { record: found?.record, revision: found?.revision ?? 0, asOf: change.revision };
      } else if (change.key === target.key) {
        seen = { record: change.record, revision: change.revision, asOf: change.revision };
      } else return;
      news.resolve();
      news = Promise.withResolvers<void>();
    });
    return {
      end,
      of: async (awaited, signal) => {
        const untilMs = this.#clock.boottimeMs() + originAckMaxMs;
        for (;;) {
          if (seen !== undefined && seen.asOf >= awaited.revision && isDrained(awaited, seen)) return;
          const leftMs = untilMs - this.#clock.boottimeMs();
          if (leftMs <= 0) {
            const text = `the origin does not have "${awaited.key}" yet: it is committed, and will be drained`;
            throw new ForebayError('originUnavailable', text);
          }
          const over = new AbortController();
          const late = this.#clock.sleep(leftMs, over.signal).catch(() => undefined);
          await abortable(Promise.race([news.promise, late]), signal).finally(() => over.abort());
        }
      },
    };
  }
}

interface Seen {
  readonly record: ObjectRecord | undefined;
  /** The record's. */
  readonly revision: number;
  /** The coordinator's. */
  readonly asOf: number;
}

/** A later version counts once the origin has it: until then the cluster's loss would bring back what was before ours. */
function isDrained({ key, content, revision }: Awaited, seen: Seen): boolean {
  const pending = pendingOf(seen.record);
  if (pending === undefined || dirtySince(pending, seen.revision) > revision) return true;
  const isOurs =
    content === undefined ? pending.kind === 'tombstone' : 'content' in pending && pending.content === content;
  const { trouble } = pending;
  if (trouble === undefined || !isOurs) return false;
  const code = trouble.kind === 'conflict' ? 'preconditionFailed' : 'originDenied';
  throw new ForebayError(code, `"${key}" is committed but cannot be drained: ${trouble.message}`);
}
