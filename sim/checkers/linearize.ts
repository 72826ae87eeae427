/**
 * Whether the operations on one key could have happened one after another, each at an instant between its call and its
 * answer (Wing and Gong, "Testing and verifying concurrent objects", with Lowe's memory of configurations seen).
 */

/** What the key holds: the number of a content; 0: no object. */
export type KeyState = number;

export interface Step {
  readonly fromMs: number;
  /** Infinity: no answer came; it may happen at any time after, or never (`isOptional`). */
  readonly toMs: number;
  readonly isOptional: boolean;
  /** Changes nothing: where it fits it can be taken at once. */
  readonly isRead: boolean;
  readonly text: string;
  /** What the key holds after it; `undefined` where it cannot have happened in this state. */
  next(state: KeyState): KeyState | undefined;
}

export type Linearized =
  | { readonly kind: 'yes'; readonly ends: ReadonlySet<KeyState> }
  /** The farthest that any order came: what was left and could not be next. */
  | { readonly kind: 'no'; readonly done: number; readonly state: KeyState; readonly stuck: Step | undefined }
  /** The search was given up. */
  | { readonly kind: 'unknown' };

const CONFIGURATIONS_MAX = 200_000;

/** All orders are tried: `ends` are the states that the key can be in at the end. */
export function linearize(steps: readonly Step[], initial: KeyState = 0): Linearized {
  return new Search(steps, initial).run();
}

interface Configuration {
  /** All steps before this one are done. */
  readonly from: number;
  /** Done steps at or beyond `from`. */
  readonly done: readonly number[];
  readonly state: KeyState;
  readonly count: number;
}

class Search {
  readonly #steps: readonly Step[];
  readonly #initial: KeyState;
  readonly #seen = new Set<string>();
  readonly #ends = new Set<KeyState>();
  #farthest: Configuration;

  constructor(steps: readonly Step[], initial: KeyState) {
    this.#steps = steps.toSorted((a, b) => a.fromMs - b.fromMs || a.toMs - b.toMs);
    this.#initial = initial;
    this.#farthest = { from: 0, done: [], state: initial, count: 0 };
  }

  run(): Linearized {
    const open: Configuration[] = [{ from: 0, done: [], state: this.#initial, count: 0 }];
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      if (this.#seen.size > CONFIGURATIONS_MAX) return { kind: 'unknown' };
      if (at.count > this.#farthest.count) this.#farthest = at;
      open.push(...this.#after(at));
    }
    if (this.#ends.size > 0) return { kind: 'yes', ends: this.#ends };
    const { count, state } = this.#farthest;
    const stuck = this.#candidates(this.#farthest).find(({ step }) => !step.isOptional);
    return { kind: 'no', done: count, state, stuck: stuck?.step };
  }

  /** Steps that may be next: nothing that is not done was answered before they were asked. */
  #candidates({ from, done }: Configuration): { readonly index: number; readonly step: Step }[] {
    const isDone = new Set(done);
    let firstAnswerMs = Number.POSITIVE_INFINITY;
    const found: { index: number; step: Step }[] = [];
    for (let index = from; index < this.#steps.length; index++) {
      const step = this.#steps[index] as Step;
      if (step.fromMs > firstAnswerMs) break;
      if (isDone.has(index)) continue;
      found.push({ index, step });
      if (!step.isOptional) firstAnswerMs = Math.min(firstAnswerMs, step.toMs);
    }
    return found.filter(({ step }) => step.fromMs <= firstAnswerMs);
  }

  #after(at: Configuration): Configuration[] {
    const candidates = this.#candidates(at);
    if (candidates.every(({ step }) => step.isOptional)) this.#ends.add(at.state);
    const read = candidates.find(({ step }) => step.isRead && step.next(at.state) !== undefined);
    const tried = read ? [read] : candidates;
    const next: Configuration[] = [];
    for (const { index, step } of tried) {
      const state = step.next(at.state);
      if (state === undefined) continue;
      const configuration = this.#with(at, index, state);
      const name = `${configuration.from} ${configuration.done.join(',')} ${state}`;
      if (this.#seen.has(name)) continue;
      this.#seen.add(name);
      next.push(configuration);
    }
    return next;
  }

  #with(at: Configuration, index: number, state: KeyState): Configuration {
    const done = [...at.done, index].sort((a, b) => a - b);
    let { from } = at;
    while (done[0] === from) {
      done.shift();
      from++;
    }
    return { from, done, state, count: at.count + 1 };
  }
}
