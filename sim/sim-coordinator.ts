/**
 * A coordinator on virtual time, shared by simulated nodes. Each node reaches it over a connection of its own, which can
 * be cut; requests and answers take time, get lost, and arrive late; sessions expire by its own clock; its history can
 * be compacted, and it can be set back to an earlier state, as by a restore from a backup.
 */
import type { Coordinator } from '../src/io/coordinator.ts';
import type { Clock } from '../src/io/io.ts';
import type { Life, SimClock } from './sim-clock.ts';
import { AttachedCoordinator } from './sim-coordinator-attached.ts';
import { CoordinatorState } from './sim-coordinator-state.ts';
import type { SimRandom } from './sim-random.ts';
import type { Trace } from './trace.ts';

export interface CoordinatorFaults {
  /** Mean of a round trip. */
  latencyMs: number;
  /** Chances per attempt: it is late by `slowMs`, it never arrives, it is applied but its answer never comes. */
  slowChance: number;
  slowMs: number;
  lostRequestChance: number;
  lostAnswerChance: number;
}

export const NO_COORDINATOR_FAULTS: CoordinatorFaults = {
  latencyMs: 2,
  slowChance: 0,
  slowMs: 0,
  lostRequestChance: 0,
  lostAnswerChance: 0,
};

export interface SimCoordinatorOptions {
  readonly clock: SimClock;
  readonly random: SimRandom;
  readonly trace: Trace;
  readonly faults: CoordinatorFaults;
}

/** So many revisions are not made up for by those who write to an older state before they find out. */
const OLDER_LEAST = 40;

export class SimCoordinator {
  readonly clock: SimClock;
  readonly random: SimRandom;
  readonly trace: Trace;
  readonly faults: CoordinatorFaults;
  /** Another one while it is set back for a while. */
  state = new CoordinatorState();
  /** Called when a node is about to send a transaction that writes: it may be paused there. */
  beforeSend: ((life: Life) => void) | undefined;
  /** Before this time nobody reaches it; its sessions live on at least that long plus their term, as with etcd. */
  #awayUntilMs = 0;
  readonly #cutUntilMs = new Map<string, number>();
  readonly #deaf = new Set<string>();
  readonly #watchers = new Set<() => void>();
  /** Since when nobody reaches it, and since when it shows an older state. */
  #awaySinceMs = 0;
  #older: { readonly real: CoordinatorState; readonly sinceMs: number } | undefined;
  readonly #attached: { readonly life: Life; readonly coordinator: AttachedCoordinator }[] = [];

  constructor(options: SimCoordinatorOptions) {
    this.clock = options.clock;
    this.random = options.random;
    this.trace = options.trace;
    this.faults = { ...options.faults };
  }

  /** The coordinator as one life of a node sees it. `clock` is the one of the node's machine, `node` names its connection. */
  attach({ life, clock, node = life.name }: { life: Life; clock: Clock; node?: string }): Coordinator {
    const coordinator = new AttachedCoordinator(this, { life, clock, node });
    this.#attached.push({ life, coordinator });
    return coordinator;
  }

  /** Nobody reaches it for `ms`. */
  goAway(ms: number): void {
    this.trace.note('coordinator away', ms);
    const untilMs = this.clock.nowMs + ms;
    if (this.#awayUntilMs <= this.clock.nowMs) this.#awaySinceMs = this.clock.nowMs;
    this.#awayUntilMs = Math.max(this.#awayUntilMs, untilMs);
    for (const session of this.state.sessions.values())
      session.expiresMs = Math.max(session.expiresMs, untilMs + session.ttlMs);
    this.#wakeAt(untilMs);
  }

  /** One node does not reach it for `ms`; its session may expire meanwhile. */
  cut(node: string, ms: number): void {
    this.trace.note(`coordinator cut ${node}`, ms);
    const untilMs = this.clock.nowMs + ms;
    this.#cutUntilMs.set(node, Math.max(this.#cutUntilMs.get(node) ?? 0, untilMs));
    this.#wakeAt(untilMs);
  }

  /** Requests of a node come through, answers to it do not. */
  loseAnswers(node: string, isLost: boolean): void {
    if (isLost) this.#deaf.add(node);
    else this.#deaf.delete(node);
    this.changed();
  }

  hears(node: string): boolean {
    return this.reaches(node) && !this.#deaf.has(node);
  }

  /** Every connection works again. */
  heal(): void {
    this.#deaf.clear();
    this.#awayUntilMs = 0;
    this.#cutUntilMs.clear();
    this.changed();
  }

  /** Forgets history up to now: watches that are behind get snapshots. */
  compact(): void {
    this.state.compacted = this.state.revision;
  }

  /** All of its data is gone, and an empty one takes its place. */
  loseData(): void {
    this.trace.note('coordinator loses its data');
    const { onChange } = this.state;
    this.state = new CoordinatorState();
    this.state.onChange = onChange;
    this.changed();
  }

  /** Restores the state of so many revisions ago. Whoever saw a later one refuses it from now on. */
  setBack(revisions: number): void {
    this.trace.note('coordinator set back', revisions);
    this.state.setBack(revisions, { nowMs: this.clock.nowMs, ttlMs: 10_000 });
    this.changed();
  }

  /**
   * Shows an older state than every node that lives has seen, as when it was restored from the wrong backup, until the function
   * that is returned brings the right one back. `undefined`: there is none that is old enough.
   */
  showOlder(share: number): (() => void) | undefined {
    const seen = this.#attached.flatMap(({ life, coordinator }) => (life.alive ? [coordinator.seenRevision] : []));
    const revision = Math.floor(Math.min(...seen) * share);
    if (this.#older || revision < 1 || this.state.revision - revision < OLDER_LEAST) return undefined;
    const { state: real } = this;
    this.trace.note('coordinator shows an older state', revision);
    this.#older = { real, sinceMs: this.clock.nowMs };
    this.state = real.copy();
    this.setBack(real.revision - revision);
    return () => {
      this.trace.note('coordinator shows the right state again', real.revision);
      this.#older = undefined;
      this.state = real;
      this.changed();
    };
  }

  /** Since when nobody can use it. */
  get unusableSinceMs(): number | undefined {
    const isAway = this.clock.nowMs < this.#awayUntilMs;
    if (!isAway && !this.#older) return undefined;
    return Math.min(
      isAway ? this.#awaySinceMs : Number.POSITIVE_INFINITY,
      this.#older?.sinceMs ?? Number.POSITIVE_INFINITY,
    );
  }

  reaches(node: string): boolean {
    return this.clock.nowMs >= this.#awayUntilMs && this.clock.nowMs >= (this.#cutUntilMs.get(node) ?? 0);
  }

  /** Runs `act` at the coordinator, now. */
  serve<T>(act: (state: CoordinatorState, nowMs: number) => T): T {
    const { state, clock } = this;
    const revision = state.revision;
    state.expire(clock.nowMs);
    try {
      return act(state, clock.nowMs);
    } finally {
      if (state.revision !== revision) this.changed();
      this.#watchExpiry();
    }
  }

  /** `wake` is called when there may be something new; returns what ends it. */
  onChange(wake: () => void): () => void {
    this.#watchers.add(wake);
    return () => this.#watchers.delete(wake);
  }

  changed(): void {
    for (const wake of Array.from(this.#watchers)) wake();
  }

  #wakeAt(atMs: number): void {
    this.clock.schedule(atMs - this.clock.nowMs, () => this.changed());
  }

  /** Sessions end when their term does, whether or not somebody asks. */
  #expiryMs = Number.POSITIVE_INFINITY;
  #watchExpiry(): void {
    const nextMs = Math.min(...[...this.state.sessions.values()].map(({ expiresMs }) => expiresMs));
    if (nextMs >= this.#expiryMs || !Number.isFinite(nextMs)) return;
    this.#expiryMs = nextMs;
    this.clock.schedule(nextMs - this.clock.nowMs, () => {
      if (this.#expiryMs === nextMs) this.#expiryMs = Number.POSITIVE_INFINITY;
      this.serve(() => undefined);
    });
  }
}
