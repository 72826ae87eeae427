/** Who is in the cluster. */

import type { Coordinator } from '../io/coordinator.ts';
import type { Clock } from '../io/io.ts';
import type { Emit } from '../observe/events.ts';
import type { Member, Members } from './member.ts';

export interface JoinOptions {
  readonly coordinator: Coordinator;
  readonly clock: Clock;
  readonly emit: Emit;
  readonly self: Omit<Member, 'session'>;
  readonly ttlMs: number;
  /**
   * Names what only one daemon at a time can have, such as a locked cache directory: a session of this node's name with
   * the same instance is a former life, which is over, and is not waited for.
   */
  readonly instance?: string;
  readonly signal?: AbortSignal;
}

export interface Membership {
  /** Those of the newest membership epoch; this node is among them. Frozen while the coordinator is away. */
  readonly current: Members;
  readonly self: Member;
  /** False once this node's session may have ended: what needs it must not be done (S-16). */
  mayAct(): boolean;
  /** Whether the coordinator answers; else the membership is frozen. */
  readonly isFrozen: boolean;
  /** Called after `current` changed. Returns what ends it. */
  onChange(listener: (members: Members) => void): () => void;
  /** Ends this node's session at once. */
  leave(): Promise<void>;
}

export type JoinCluster = (options: JoinOptions) => Promise<Membership>;
