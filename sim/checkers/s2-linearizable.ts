/**
 * S-2 and S-5 for what is written through the cluster: what clients were told of a key, and that their writes were
 * acknowledged, fits an order in which each operation takes effect at one instant between its call and its answer.
 * Writes without a clear answer may have happened, may yet, or never. An object that nobody had begun to commit when it
 * was seen breaks S-5. The objects of a checkpoint are one step each, and once one of them was seen all have happened (S-6).
 */
import type { KeyHistory, Observation, WriteHistory, WriteOperation } from '../write-history.ts';
import type { Findings } from './checker.ts';
import { type KeyState, linearize, type Step } from './linearize.ts';

export class Linearizable {
  readonly #history: WriteHistory;
  readonly #findings: Findings;
  /** Keys that nobody but the cluster writes. */
  readonly #isOwn: (key: string) => boolean;
  /** Searches given up. */
  undecided = 0;

  constructor(history: WriteHistory, findings: Findings, isOwn: (key: string) => boolean) {
    this.#history = history;
    this.#findings = findings;
    this.#isOwn = isOwn;
  }

  /** To be called when a read of a content was answered. */
  seen(observation: Observation): void {
    const { saw, volume, key, answeredMs } = observation;
    if (typeof saw !== 'object' || !('number' in saw) || !this.#isOwn(key)) return;
    const writes = this.#history.writesOf(volume, key, saw.number);
    for (const { group = [] } of writes) {
      // S-6: what was committed at once is there at once: from now on all of it must be seen
      for (const each of group) {
        if (each.outcome === 'done' || each.outcome === 'refused') continue;
        each.outcome = 'done';
        each.endedMs = answeredMs;
      }
    }
    if (writes.length === 0) {
      this.#findings.add('S-5', `${key} shows content ${saw.number}, which nobody committed under it`);
    } else if (writes.every((write) => write.askedMs > answeredMs || !isPossible(write))) {
      this.#findings.add('S-5', `${key} shows content ${saw.number} though ${textOf(writes[0] as WriteOperation)}`);
    }
  }

  /** Checks all keys; what each may hold at the end, where that could be found out. */
  check(): Map<KeyHistory, ReadonlySet<KeyState>> {
    const ends = new Map<KeyHistory, ReadonlySet<KeyState>>();
    for (const history of this.#history.keys()) {
      if (!this.#isOwn(history.key)) continue;
      const found = linearize(stepsOf(history, (number) => this.#history.sizeOf(number)));
      if (found.kind === 'yes') ends.set(history, found.ends);
      else if (found.kind === 'unknown') this.undecided++;
      else this.#broken(history, found.state, found.stuck);
    }
    return ends;
  }

  #broken({ volume, key, writes }: KeyHistory, state: KeyState, stuck: Step | undefined): void {
    const near = writes.filter((write) => stuck === undefined || write.askedMs <= stuck.toMs).slice(-6);
    const holds = state === 0 ? 'nothing' : `content ${state}`;
    this.#findings.add(
      'S-2',
      `no order explains what was seen of ${volume}/${key}: it holds ${holds}, then ${stuck?.text ?? 'nothing fits'}; ` +
        `writes: ${near.map(textOf).join('; ')}`,
    );
  }
}

const isPossible = (write: WriteOperation): boolean => write.outcome !== 'refused';

export function textOf(write: WriteOperation): string {
  const { how, number, node, askedMs, endedMs, outcome, level } = write;
  const what = number === 0 ? how : `${how} of ${number}`;
  return `${what} on ${node}${level ? ` at ${level}` : ''} ${askedMs.toFixed(1)}–${endedMs.toFixed(1)} ms ${outcome}`;
}

function stepsOf(history: KeyHistory, sizeOf: (number: number) => number | undefined): Step[] {
  const isSeen = seenBy(history, sizeOf);
  const writes = history.writes
    .filter((write) => write.outcome === 'done' || (isPossible(write) && isSeen(write)))
    .map(writeStep);
  const refused = history.writes.flatMap((write) => (write.outcome === 'refused' ? [refusedStep(write)] : []));
  return [...writes, ...refused, ...history.observations.map((seen) => observationStep(seen, sizeOf))];
}

/** Whether what came of a write whose outcome nobody knows may have been seen: if not it needs no place in the order. */
function seenBy(
  history: KeyHistory,
  sizeOf: (number: number) => number | undefined,
): (write: WriteOperation) => boolean {
  const numbers = new Set<number>();
  const sizes = new Set<number>();
  let isAbsent = false;
  for (const { saw } of history.observations) {
    if (saw === 'absent') isAbsent = true;
    else if ('number' in saw) numbers.add(saw.number);
    else sizes.add(saw.sizeBytes);
  }
  for (const { condition, outcome } of history.writes) {
    if (outcome === 'done' && condition === 'absent') isAbsent = true;
    if (outcome === 'done' && typeof condition === 'number') numbers.add(condition);
  }
  const isAnyRefused = history.writes.some(({ outcome }) => outcome === 'refused');
  return ({ kind, number }) =>
    isAnyRefused || (kind === 'delete' ? isAbsent : numbers.has(number) || sizes.has(sizeOf(number) ?? -1));
}

function writeStep(write: WriteOperation): Step {
  const { condition, number, outcome } = write;
  return {
    fromMs: write.askedMs,
    toMs: outcome === 'done' ? write.endedMs : Number.POSITIVE_INFINITY,
    isOptional: outcome !== 'done',
    isRead: false,
    text: textOf(write),
    next: (state) => {
      if (condition === 'absent' && state !== 0) return undefined;
      if (typeof condition === 'number' && state !== condition) return undefined;
      return number;
    },
  };
}

/** Its condition did not hold at some instant. */
function refusedStep(write: WriteOperation): Step {
  const { condition } = write;
  return {
    fromMs: write.askedMs,
    toMs: write.endedMs,
    isOptional: false,
    isRead: true,
    text: textOf(write),
    next: (state) => ((condition === 'absent' ? state !== 0 : state !== condition) ? state : undefined),
  };
}

function observationStep(seen: Observation, sizeOf: (number: number) => number | undefined): Step {
  const { saw, node, askedMs, answeredMs } = seen;
  const what =
    saw === 'absent' ? 'nothing' : 'number' in saw ? `content ${saw.number}` : `${saw.sizeBytes} bytes listed`;
  return {
    fromMs: askedMs,
    toMs: answeredMs,
    isOptional: false,
    isRead: true,
    text: `${node} saw ${what} ${askedMs.toFixed(1)}–${answeredMs.toFixed(1)} ms`,
    next: (state) => {
      if (saw === 'absent') return state === 0 ? state : undefined;
      if ('number' in saw) return state === saw.number ? state : undefined;
      return state !== 0 && sizeOf(state) === saw.sizeBytes ? state : undefined;
    },
  };
}
