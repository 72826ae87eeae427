/** How an origin may be told to misbehave, for the tests of bad days. */

export type OriginFault = {
  /** Only requests of this method (`GET`, `HEAD`, `LIST`, `PUT`); absent: all. */
  readonly method?: string;
  readonly key?: string;
  /** How many requests it befalls; absent: all until `reset`. */
  readonly times?: number;
} & (
  | { readonly kind: 'status'; readonly status: number; readonly code?: string; readonly retryAfterS?: number }
  /** Does what was asked, and breaks the connection instead of answering; of writes, named as in the log (`COMPLETE`). */
  | { readonly kind: 'unanswered' }
  /** Takes the request and never answers. */
  | { readonly kind: 'hang' }
  /** Closes the connection after this fraction of the promised body. */
  | { readonly kind: 'cut'; readonly fraction: number }
  /** Answers half of the range asked for, and says so in its headers. */
  | { readonly kind: 'shorter' }
);

export class FaultPlan {
  readonly #faults: { readonly fault: OriginFault; left: number }[] = [];

  add(fault: OriginFault): void {
    this.#faults.push({ fault, left: fault.times ?? Number.POSITIVE_INFINITY });
  }

  clear(): void {
    this.#faults.length = 0;
  }

  /** The fault that befalls this request, used up once. */
  take(method: string, key: string): OriginFault | undefined {
    const found = this.#faults.find(
      ({ fault, left }) => left > 0 && (fault.method ?? method) === method && (fault.key ?? key) === key,
    );
    if (found === undefined) return undefined;
    found.left -= 1;
    return found.fault;
  }
}
