/**
 * S-15 for writes: with the coordinator away, or set back to an older state, no write is acknowledged that was begun then,
 * nothing that waits for the origin is let go, and, once every session is over, nothing is finalised at the origin.
 */
import type { SimCoordinator } from '../sim-coordinator.ts';
import type { WriteOperation } from '../write-history.ts';
import type { Findings } from './checker.ts';
import { textOf } from './s2-linearizable.ts';

/** Sessions last 10 s, and a call that was sent before may take as long. */
const GRACE_MS = 30_000;

export class CommitsWait {
  readonly #findings: Findings;
  readonly #coordinator: SimCoordinator;

  constructor(findings: Findings, coordinator: SimCoordinator) {
    this.#findings = findings;
    this.#coordinator = coordinator;
  }

  /** For how long nobody could have committed anything; 0 while somebody can. */
  get #awayMs(): number {
    const { unusableSinceMs, clock } = this.#coordinator;
    return unusableSinceMs === undefined ? 0 : clock.nowMs - unusableSinceMs;
  }

  acknowledged(write: WriteOperation): void {
    const { unusableSinceMs } = this.#coordinator;
    if (unusableSinceMs === undefined || write.askedMs < unusableSinceMs) return;
    const text = `${textOf(write)} of ${write.key} was acknowledged, and the coordinator is away since ${unusableSinceMs} ms`;
    this.#findings.add('S-15', text);
  }

  /** A content was dropped because of what a record says. */
  dropped(node: string, content: string): void {
    if (this.#awayMs > GRACE_MS)
      this.#findings.add('S-15', `${node} let ${content} go, ${this.#awayMs} ms after the coordinator went away`);
  }

  /** An object of ours came to be at the origin, or went. */
  finalised(key: string): void {
    if (this.#awayMs > GRACE_MS)
      this.#findings.add('S-15', `${key} was finalised ${this.#awayMs} ms after the coordinator went away`);
  }
}
