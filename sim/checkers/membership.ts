/**
 * Membership across nodes (S-16): an owner whose session has ended at the coordinator answers nothing that needs it, and
 * once nothing is wrong all nodes have the same members, those that live, at the same membership epoch.
 */
import type { Event } from '../../src/observe/events.ts';
import type { Life } from '../sim-clock.ts';
import type { SimCoordinator } from '../sim-coordinator.ts';
import type { MessageSeen } from '../sim-network.ts';
import type { Checker, Findings } from './checker.ts';

/** What a life says of the membership. */
interface View {
  epoch: number;
  readonly members: Set<string>;
  isFrozen: boolean;
}

/** Messages that only the owner of a slot may answer, and what one answers that is none. */
const OWNERS_TYPES: ReadonlySet<string> = new Set(['directory.locate']);
const NOT_OWNER = 'notOwner';

const namesIn = (text: string): string[] => text.split(' ').filter((name) => name !== '');

export class Membership implements Checker {
  readonly #findings: Findings;
  readonly #coordinator: SimCoordinator;
  readonly #views = new Map<Life, View>();

  constructor(findings: Findings, coordinator: SimCoordinator) {
    this.#findings = findings;
    this.#coordinator = coordinator;
  }

  event(life: Life, event: Event): void {
    if (event.kind !== 'cluster.changed' && event.kind !== 'cluster.frozen' && event.kind !== 'cluster.thawed') return;
    const view = this.#views.get(life) ?? { epoch: 0, members: new Set<string>(), isFrozen: false };
    this.#views.set(life, view);
    if (event.kind !== 'cluster.changed') {
      view.isFrozen = event.kind === 'cluster.frozen';
      return;
    }
    if (event.epoch < view.epoch) {
      this.#findings.add('S-16', `${life.name} went from membership epoch ${view.epoch} back to ${event.epoch}`);
    }
    view.epoch = event.epoch;
    for (const name of namesIn(event.left)) view.members.delete(name);
    for (const name of namesIn(event.joined)) view.members.add(name);
  }

  /** A call was answered by a service. */
  answered(seen: MessageSeen): void {
    if (!OWNERS_TYPES.has(seen.type)) return;
    const answers = JSON.parse(seen.answer) as readonly { readonly kind?: string }[];
    if (answers.every(({ kind }) => kind === NOT_OWNER) || this.#hasSession(seen.to)) return;
    this.#findings.add('S-16', `${seen.to} answers ${seen.message} as an owner after its session has ended`);
  }

  #hasSession(node: string): boolean {
    const mark = JSON.stringify(node);
    const entries = this.#coordinator.serve((state) => state.range(''));
    return entries.some(({ value }) => Buffer.from(value).toString().includes(mark));
  }

  /** Nothing has been wrong for longer than sessions and changes take. */
  agree(live: readonly { readonly name: string; readonly life: Life }[]): void {
    const names = live.map(({ name }) => name).sort();
    const epochs = new Map<number, string[]>();
    for (const { name, life } of live) {
      const view = this.#views.get(life);
      const members = [...(view?.members ?? [])].sort();
      if (members.join() !== names.join()) {
        this.#findings.add('membership', `${name} has the members ${members.join(' ')}, there are ${names.join(' ')}`);
        return;
      }
      if (view?.isFrozen) this.#findings.add('membership', `${name} is frozen though the coordinator answers`);
      const epoch = view?.epoch ?? 0;
      epochs.set(epoch, [...(epochs.get(epoch) ?? []), name]);
    }
    if (epochs.size <= 1) return;
    const text = [...epochs].map(([epoch, at]) => `${at.join(' ')} at ${epoch}`).join(', ');
    this.#findings.add('membership', `nodes are at different membership epochs: ${text}`);
  }
}
