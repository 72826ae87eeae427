/**
 * Which members do not answer. A node that lets a question wait may have reason to: it asks the origin, or is busy. One that
 * does not even say hello is not waited for, and counts as silent until it does: it is asked again every `helloEveryMs`, as
 * long as somebody has a question for it. When nobody had one for `helloMemoryMs` it is taken for well again.
 */
import { ForebayError, isForebayError } from '../core/errors.ts';
import { helloAfterMs, helloAgainMs, helloEveryMs, helloMemoryMs } from '../core/limits.ts';
import type { Clock } from '../io/io.ts';

export interface HellosOptions {
  readonly clock: Clock;
  /** Settles when the node has answered. */
  readonly hello: (node: string) => Promise<unknown>;
  /** The life of a member; `undefined` for who is none. */
  readonly sessionOf: (node: string) => string | undefined;
}

interface Silence {
  readonly session: string | undefined;
  askedMs: number;
}

export class Hellos {
  readonly #options: HellosOptions;
  readonly #silent = new Map<string, Silence>();
  readonly #asking = new Map<string, Promise<boolean>>();

  constructor(options: HellosOptions) {
    this.#options = options;
  }

  /** It did not say hello when it was last asked to. */
  isSilent(node: string): boolean {
    const silence = this.#silent.get(node);
    if (silence === undefined) return false;
    const nowMs = this.#options.clock.boottimeMs();
    if (silence.session !== this.#options.sessionOf(node) || nowMs - silence.askedMs > helloMemoryMs) {
      this.#silent.delete(node);
      return false;
    }
    if (nowMs - silence.askedMs >= helloEveryMs) {
      silence.askedMs = nowMs;
      void this.isThere(node);
    }
    return true;
  }

  /** Asks it, together with whoever is asking it already. */
  isThere(node: string): Promise<boolean> {
    const known = this.#asking.get(node);
    if (known !== undefined) return known;
    const asking = this.#ask(node).finally(() => this.#asking.delete(node));
    this.#asking.set(node, asking);
    return asking;
  }

  /** It said something. */
  answered(node: string): void {
    this.#silent.delete(node);
  }

  /**
   * What `ask` resolves with; a node that takes longer than `helloAfterMs` is asked for a hello meanwhile. Rejects as `ask`
   * does, or with peerTimeout when there is no hello; the signal given to `ask` aborts then.
   */
  async unlessSilent<T>(node: string, ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const over = new AbortController();
    const asked = ask(over.signal);
    try {
      return await Promise.race([asked, this.#untilSilent(node, over.signal)]);
    } finally {
      over.abort(new ForebayError('peerTimeout', `${node} is not waited for any longer`));
      asked.catch(() => undefined);
    }
  }

  async #untilSilent(node: string, signal: AbortSignal): Promise<never> {
    for (let waitMs = helloAfterMs; ; waitMs = helloAgainMs) {
      await this.#options.clock.sleep(waitMs, signal);
      if (!(await this.isThere(node))) throw new ForebayError('peerTimeout', `${node} does not even say hello`);
    }
  }

  async #ask(node: string): Promise<boolean> {
    const { clock, hello, sessionOf } = this.#options;
    const session = sessionOf(node);
    try {
      await hello(node);
      this.#silent.delete(node);
      return true;
    } catch (error) {
      if (!isForebayError(error)) throw error;
      // whatever else it says, or this node says itself, it is not silence
      if (!isForebayError(error, 'peerTimeout', 'peerUnreachable')) return true;
      this.#silent.set(node, { session, askedMs: clock.boottimeMs() });
      return false;
    }
  }
}
