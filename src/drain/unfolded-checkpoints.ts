/**
 * Checkpoints that are committed, but whose objects are not the versions of their keys yet, for that is done in the background: what was begun after
 * such a commit, a `latest` above all, waits until they are (S-7), and then for the objects themselves.
 */
import { isForebayError } from '../core/errors.ts';
import { keeperLookMs } from '../core/limits.ts';
import type { Change, Coordinator, WatchEvent } from '../io/coordinator.ts';
import type { Clock } from '../io/io.ts';
import { checkpointKey, committedAt, decodeCheckpoint } from '../write/checkpoint-record.ts';
import { directoryOf, type OrderEntry } from './drain-directory.ts';

export class UnfoldedCheckpoints {
  readonly #prefix: string;
  /** Name → the revision of its commit. */
  readonly #unfolded = new Map<string, number>();

  constructor(volume: string) {
    this.#prefix = checkpointKey(volume, '');
  }

  /** Until `signal` aborts; `onChange` after each change. */
  async follow(options: {
    coordinator: Coordinator;
    clock: Clock;
    signal: AbortSignal;
    onChange: () => void;
  }): Promise<void> {
    const { coordinator, clock, signal, onChange } = options;
    while (!signal.aborted) {
      try {
        const { revision, entries } = await coordinator.range(this.#prefix, { signal });
        this.apply({ kind: 'snapshot', revision, changes: entries });
        for await (const event of coordinator.watch(this.#prefix, { afterRevision: revision, signal })) {
          this.apply(event);
          onChange();
        }
      } catch (error) {
        if (signal.aborted) return;
        if (!isForebayError(error)) throw error;
      }
      await clock.sleep(keeperLookMs, signal).catch(() => undefined);
    }
  }

  apply({ kind, changes }: WatchEvent): void {
    if (kind === 'snapshot') this.#unfolded.clear();
    for (const change of changes) this.#set(change);
  }

  /** Whether something of the entry's directory or below was committed before it was begun and cannot be seen yet. */
  holdsBack({ key, begun }: OrderEntry): boolean {
    if (this.#unfolded.size === 0) return false;
    const own = directoryOf(key);
    for (const [name, committed] of this.#unfolded) {
      const below = `${name}/`;
      if (committed <= begun && (below.startsWith(own) || own.startsWith(below))) return true;
    }
    return false;
  }

  #set(change: Change): void {
    const name = change.key.slice(this.#prefix.length);
    this.#unfolded.delete(name);
    if ('deleted' in change) return;
    try {
      const { committed } = decodeCheckpoint(change.value);
      if (committed?.folded === false) this.#unfolded.set(name, committedAt(committed, change.modifyRevision));
    } catch (error) {
      // Of a later version: whoever wrote it folds it.
      if (!isForebayError(error)) throw error;
    }
  }
}
