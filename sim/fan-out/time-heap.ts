/** A priority queue of small integers by time: four children per node, and each item's place known, so that its time can change. */
export class TimeHeap {
  #items = new Int32Array(1024);
  #times = new Float64Array(1024);
  /** Item → place + 1 in the heap; 0: not in it. */
  #places = new Int32Array(1024);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The earliest time; infinity when empty. */
  get time(): number {
    return this.#size === 0 ? Number.POSITIVE_INFINITY : (this.#times[0] as number);
  }

  get item(): number {
    return this.#items[0] as number;
  }

  /** Adds an item, or gives it another time. */
  set(item: number, time: number): void {
    if (item >= this.#places.length) this.#growItems(item);
    let place = (this.#places[item] as number) - 1;
    if (place < 0) {
      if (this.#size >= this.#items.length) this.#growHeap();
      place = this.#size++;
      this.#up(place, item, time);
      return;
    }
    if (time < (this.#times[place] as number)) this.#up(place, item, time);
    else this.#down(place, item, time);
  }

  remove(item: number): void {
    const place = item < this.#places.length ? (this.#places[item] as number) - 1 : -1;
    if (place < 0) return;
    this.#places[item] = 0;
    this.#size -= 1;
    if (place === this.#size) return;
    const last = this.#items[this.#size] as number;
    const time = this.#times[this.#size] as number;
    if (place > 0 && time < (this.#times[(place - 1) >> 2] as number)) this.#up(place, last, time);
    else this.#down(place, last, time);
  }

  #up(from: number, item: number, time: number): void {
    let place = from;
    while (place > 0) {
      const parent = (place - 1) >> 2;
      if ((this.#times[parent] as number) <= time) break;
      this.#put(place, this.#items[parent] as number, this.#times[parent] as number);
      place = parent;
    }
    this.#put(place, item, time);
  }

  #down(from: number, item: number, time: number): void {
    let place = from;
    for (;;) {
      const first = place * 4 + 1;
      if (first >= this.#size) break;
      let best = first;
      const end = Math.min(first + 4, this.#size);
      for (let child = first + 1; child < end; child++)
        if ((this.#times[child] as number) < (this.#times[best] as number)) best = child;
      if ((this.#times[best] as number) >= time) break;
      this.#put(place, this.#items[best] as number, this.#times[best] as number);
      place = best;
    }
    this.#put(place, item, time);
  }

  #put(place: number, item: number, time: number): void {
    this.#items[place] = item;
    this.#times[place] = time;
    this.#places[item] = place + 1;
  }

  #growHeap(): void {
    const items = new Int32Array(this.#items.length * 2);
    items.set(this.#items);
    this.#items = items;
    const times = new Float64Array(this.#times.length * 2);
    times.set(this.#times);
    this.#times = times;
  }

  #growItems(item: number): void {
    const places = new Int32Array(Math.max(this.#places.length * 2, item + 1));
    places.set(this.#places);
    this.#places = places;
  }
}
