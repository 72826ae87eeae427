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
  readonly instance?: string;
  readonly signal?: AbortSignal;
}

export interface Membership {
  readonly current: Members;
  readonly self: Member;
  mayAct(): boolean;
  readonly isFrozen: boolean;
  onChange(listener: (members: Members) => void): () => void;
  leave(): Promise<void>;
}

/** Interim: replaced by the real one. */
export async function joinCluster({ coordinator, clock, self, ttlMs }: JoinOptions): Promise<Membership> {
  const session = await coordinator.session({ ttlMs });
  const me: Member = { ...self, session: session.id };
  await coordinator.transaction({
    compares: [],
    apply: [{ put: `members/${self.node}`, value: Buffer.from(JSON.stringify(me)), session: session.id }],
  });
  const listeners = new Set<(members: Members) => void>();
  let current: Members = { epoch: 1, members: [me] };
  const stop = new AbortController();
  const read = async () => {
    const { revision, entries } = await coordinator.range('members/');
    const members = entries.map(({ value }) => JSON.parse(Buffer.from(value).toString()) as Member);
    if (JSON.stringify(members) === JSON.stringify(current.members)) return;
    current = { epoch: revision, members };
    for (const listener of listeners) listener(current);
  };
  await read();
  void (async () => {
    while (!stop.signal.aborted) {
      await clock.sleep(300, stop.signal).catch(() => undefined);
      await read().catch(() => undefined);
    }
  })();
  return {
    get current() {
      return current;
    },
    self: me,
    mayAct: () => clock.boottimeMs() < session.actUntilMs,
    isFrozen: false,
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async leave() {
      stop.abort();
      await session.close();
    },
  };
}

export async function checkVolumes(_coordinator: Coordinator, _volumes: readonly unknown[]): Promise<void> {}
