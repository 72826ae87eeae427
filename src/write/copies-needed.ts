/**
 * How many copies of a version a node has to make (DESIGN.md section 8): pure. The first of its replicas that lives does it, for copies that were
 * never made at once, for those that were lost with a node after a while, in which the node may come back; at once
 * where only one is left.
 */
import { repairAfterMs } from '../core/limits.ts';

export interface CopiesView {
  readonly self: string;
  /** Whether a node is in the cluster. */
  readonly isMember: (node: string) => boolean;
  /** For how long it has not been. */
  readonly goneMs: (node: string) => number;
  /** Copies pursued, all counted. */
  readonly wanted: number;
}

export interface CopiesNeeded {
  readonly count: number;
  /** Copies that live. */
  readonly left: number;
  /** Some were lost: what they take is bounded by the budget for repairs. */
  readonly isRepair: boolean;
}

const NONE: CopiesNeeded = { count: 0, left: 0, isRepair: false };

export function copiesNeeded(replicas: readonly string[], view: CopiesView): CopiesNeeded {
  const live = replicas.filter((node) => view.isMember(node));
  if (live[0] !== view.self) return NONE;
  const never = Math.max(0, view.wanted - replicas.length);
  const isUrgent = live.length === 1;
  const lost = replicas.filter((node) => !view.isMember(node) && (isUrgent || view.goneMs(node) >= repairAfterMs));
  const count = Math.min(view.wanted - live.length, never + lost.length);
  return count <= 0 ? NONE : { count, left: live.length, isRepair: lost.length > 0 };
}
