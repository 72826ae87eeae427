/**
 * What the origin has under a key before a version that is written here: asked while the version is being staged, so that a
 * write does not wait for it. An origin that takes long is not waited for: a conflict is then found out when it is asked later.
 */
import { isForebayError } from '../core/errors.ts';
import { baseAwayMs, baseHeadMs } from '../core/limits.ts';
import type { Clock } from '../io/io.ts';
import type { Origin } from '../origin/origin.ts';
import { doorEtagOf } from './door-etag.ts';
import type { OriginKnowledge } from './record-decisions.ts';
import type { Target } from './writer.ts';

const UNKNOWN: OriginKnowledge = { has: 'unknown' };

export class OriginBase {
  readonly #clock: Clock;
  /** Volume → until when its origin is not waited for. */
  readonly #away = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Asks at once. `patient`: a condition depends on it, so an origin that fails makes the write fail, not unknown. */
  ask(origin: Origin, target: Target, options: { patient: boolean; signal: AbortSignal }): AskedBase {
    const { patient, signal } = options;
    const over = new AbortController();
    const asked = origin
      .head(target.key, { signal: AbortSignal.any([signal, over.signal]) })
      .then((version): OriginKnowledge => {
        this.#away.delete(target.volume);
        if (version === undefined) return { has: 'absent' };
        const { etag } = version;
        return { has: { etag }, doorEtag: doorEtagOf({ ...target, origin }, etag) };
      })
      .catch((error: unknown) => {
        if (patient || !isForebayError(error)) throw error;
        this.#isAway(target.volume);
        return UNKNOWN;
      });
    asked.catch(() => undefined);
    return {
      settle: async () => {
        if (patient) return asked;
        const waitMs = this.#clock.boottimeMs() < (this.#away.get(target.volume) ?? 0) ? 0 : baseHeadMs;
        const late = this.#clock.sleep(waitMs, over.signal).then(
          () => {
            if (waitMs > 0) this.#isAway(target.volume);
            return UNKNOWN;
          },
          () => UNKNOWN,
        );
        return Promise.race([asked, late]).finally(() => over.abort(new Error('the origin is not waited for')));
      },
    };
  }

  #isAway(volume: string): void {
    this.#away.set(volume, this.#clock.boottimeMs() + baseAwayMs);
  }
}

export interface AskedBase {
  /** What it said by now, or within `baseHeadMs`. Rejects only where it was asked patiently. */
  settle(): Promise<OriginKnowledge>;
}
