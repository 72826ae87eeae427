/** One at a time per key: what checks a condition and then acts on it, in this process. */
export class KeyLock {
  readonly #tails = new Map<string, Promise<unknown>>();

  /** Runs `act` after every earlier act on `key` has settled. */
  async hold<T>(key: string, act: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key);
    const mine = before === undefined ? act() : before.then(act, act);
    const tail = mine.then(
      () => undefined,
      () => undefined,
    );
    this.#tails.set(key, tail);
    try {
      return await mine;
    } finally {
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    }
  }
}
