/** A bounded number of slots; those who need one now come before those who read ahead, else first come first served. */
export class Slots {
  #free: number;
  readonly #urgent: (() => void)[] = [];
  readonly #patient: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  get free(): number {
    return this.#free;
  }

  async acquire(urgent: boolean): Promise<void> {
    if (this.#free > 0) {
      this.#free -= 1;
      return;
    }
    await new Promise<void>((resolve) => (urgent ? this.#urgent : this.#patient).push(resolve));
  }

  release(): void {
    const next = this.#urgent.shift() ?? this.#patient.shift();
    if (next === undefined) this.#free += 1;
    else next();
  }
}
