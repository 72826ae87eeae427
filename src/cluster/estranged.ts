/**
 * Members that do not take this node for one of theirs: another secret, or a stranger at a member's address. They own nothing
 * here, so that neither side waits for what the other will not say, until they answer again; each is asked every
 * `estrangedProbeMs`.
 *
 * Nodes may see this differently for a while: what an owner knows is soft, and costs refills at most.
 */
import { isForebayError } from '../core/errors.ts';
import { estrangedProbeMs } from '../core/limits.ts';
import type { Clock } from '../io/io.ts';
import type { Emit } from '../observe/events.ts';
import type { Members } from './member.ts';

export interface EstrangedOptions {
  readonly clock: Clock;
  readonly emit: Emit;
  readonly closing: AbortSignal;
  /** Settles when the node has answered this one. */
  readonly probe: (node: string) => Promise<unknown>;
  readonly onChange: () => void;
}

interface Refusal {
  readonly session: string;
  readonly message: string;
}

export class Estranged {
  readonly #options: EstrangedOptions;
  readonly #refusals = new Map<string, Refusal>();
  #probing = false;

  constructor(options: EstrangedOptions) {
    this.#options = options;
  }

  /** What a member said when it refused this node; `undefined` for one that does not. */
  why(node: string): string | undefined {
    return this.#refusals.get(node)?.message;
  }

  /** Those who speak with this node. A new life of one that did not is given a chance. */
  without(members: Members): Members {
    for (const [node, { session }] of this.#refusals)
      if (!members.members.some((member) => member.node === node && member.session === session))
        this.#refusals.delete(node);
    if (this.#refusals.size === 0) return members;
    return { ...members, members: members.members.filter(({ node }) => !this.#refusals.has(node)) };
  }

  refused(node: string, session: string, message: string): void {
    const { emit, onChange } = this.#options;
    if (this.#refusals.get(node)?.session === session) return;
    this.#refusals.set(node, { session, message });
    emit({ kind: 'peer.estranged', peer: node, message });
    onChange();
    if (this.#probing) return;
    this.#probing = true;
    void this.#probe().finally(() => {
      this.#probing = false;
    });
  }

  async #probe(): Promise<void> {
    const { clock, closing, probe, emit, onChange } = this.#options;
    while (this.#refusals.size > 0) {
      await clock.sleep(estrangedProbeMs, closing).catch(() => undefined);
      if (closing.aborted) return;
      for (const [node, refusal] of Array.from(this.#refusals)) {
        try {
          await probe(node);
        } catch (error) {
          if (!isForebayError(error)) throw error;
          continue;
        }
        if (this.#refusals.get(node) !== refusal) continue;
        this.#refusals.delete(node);
        emit({ kind: 'peer.reconciled', peer: node });
        onChange();
      }
    }
  }
}
