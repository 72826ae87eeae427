/** What is known of the cache disk, from its own events, and of each volume's origin: from a first look at start, then from the reads. */
import { isForebayError } from '../core/errors.ts';
import { originProbeMs } from '../core/limits.ts';
import type { VolumeReach } from '../front/admin/node-status.ts';
import type { Clock } from '../io/io.ts';
import type { Event } from '../observe/events.ts';
import type { VolumeSource } from '../read/volume-source.ts';

export interface VolumeState {
  readonly reach: VolumeReach;
  readonly message?: string;
}

export class NodeHealth {
  readonly #states = new Map<string, VolumeState>();
  #diskEjected = false;

  /** The cache disk does not answer; reads go round it. */
  get diskEjected(): boolean {
    return this.#diskEjected;
  }

  of(volume: string): VolumeState {
    return this.#states.get(volume) ?? { reach: 'unknown' };
  }

  /** Takes in what the read path and the disk say. */
  note(event: Event): void {
    if (event.kind === 'origin.away') this.#states.set(event.volume, { reach: 'away', message: event.message });
    else if (event.kind === 'origin.back') this.#states.set(event.volume, { reach: 'reachable' });
    else if (event.kind === 'disk.ejected') this.#diskEjected = true;
    else if (event.kind === 'disk.readmitted') this.#diskEjected = false;
  }

  /** Asks every origin once, at the same time; never throws. What a read has meanwhile found out stands. */
  async probe(sources: Iterable<VolumeSource>, options: { clock: Clock; signal: AbortSignal }): Promise<void> {
    await Promise.all(Array.from(sources, (source) => this.#probe(source, options)));
  }

  async #probe(
    { volume, origin }: VolumeSource,
    { clock, signal }: { clock: Clock; signal: AbortSignal },
  ): Promise<void> {
    const late = new AbortController();
    const deadline = clock.sleep(originProbeMs, late.signal).then(
      () => late.abort(new Error(`no answer within ${originProbeMs / 1000} s`)),
      () => undefined,
    );
    try {
      await origin.probe({ signal: AbortSignal.any([signal, late.signal]) });
      this.#settle(volume.name, { reach: 'reachable' });
    } catch (error) {
      const denied = isForebayError(error, 'originDenied', 'noSuchBucket', 'config');
      const message = error instanceof Error ? error.message : String(error);
      if (!signal.aborted) this.#settle(volume.name, { reach: denied ? 'denied' : 'away', message });
    } finally {
      late.abort();
      await deadline;
    }
  }

  #settle(volume: string, state: VolumeState): void {
    if (!this.#states.has(volume)) this.#states.set(volume, state);
  }
}
