/** Least value first, with entries that left taken out only when they come up: for thousands of entries that come and go. */
export class SinceHeap<E extends { readonly since: number; readonly isLive: boolean }> {
  #entries: E[] = [];
  #liveGuess = 0;

  add(entry: E): void {
    this.#liveGuess++;
    // Entries that died deep inside would stay for as long as something older lives.
    if (this.#entries.length > 64 && this.#entries.length > 4 * this.#liveGuess) this.#sweep();
    const heap = this.#entries;
    heap.push(entry);
    for (let at = heap.length - 1; at > 0; ) {
      const up = (at - 1) >> 1;
      if ((heap[up] as E).since <= entry.since) break;
      heap[at] = heap[up] as E;
      heap[up] = entry;
      at = up;
    }
  }

  /** To be called when an entry of this heap died. */
  died(): void {
    this.#liveGuess--;
  }

  /** A live entry of the least value. */
  first(): E | undefined {
    for (;;) {
      const top = this.#entries[0];
      if (top === undefined || top.isLive) return top;
      this.#removeFirst();
    }
  }

  /** The live entries up to a bound, in no order. */
  *upTo(bound: number): Generator<E> {
    for (const entry of this.#entries) if (entry.isLive && entry.since <= bound) yield entry;
  }

  #removeFirst(): void {
    const heap = this.#entries;
    const last = heap.pop() as E;
    if (heap.length === 0) return;
    heap[0] = last;
    for (let at = 0; ; ) {
      const left = 2 * at + 1;
      const right = left + 1;
      let least = at;
      if (left < heap.length && (heap[left] as E).since < (heap[least] as E).since) least = left;
      if (right < heap.length && (heap[right] as E).since < (heap[least] as E).since) least = right;
      if (least === at) return;
      const moved = heap[at] as E;
      heap[at] = heap[least] as E;
      heap[least] = moved;
      at = least;
    }
  }

  #sweep(): void {
    // A sorted array is a heap.
    this.#entries = this.#entries.filter(({ isLive }) => isLive).sort((a, b) => a.since - b.since);
    this.#liveGuess = this.#entries.length;
  }
}
