/**
 * The bandwidth of simulated hosts. Bytes on their way are flows; at every moment each has its max-min fair share of its
 * sender's uplink and its receiver's downlink, as many TCP streams have in the mean. A flow whose path is cut gets nothing
 * and goes on when the path is back.
 */
import type { SimClock } from './sim-clock.ts';

/** One end of a link. */
export interface LinkEnd {
  readonly name: string;
  upBytesPerMs: number;
  downBytesPerMs: number;
}

export interface Flow {
  readonly from: LinkEnd;
  readonly to: LinkEnd;
  leftBytes: number;
  /** Bytes per millisecond now. */
  rate: number;
  /** Until when bytes have come, at the latest rate. */
  progressMs: number;
  readonly done: () => void;
}

/** Less than this is left by rounding alone. */
const ROUNDING_BYTES = 0.5;

interface Share {
  capacity: number;
  flows: Flow[];
}

export class SimLinks {
  readonly #clock: SimClock;
  readonly #isCut: (from: LinkEnd, to: LinkEnd) => boolean;
  readonly #flows = new Set<Flow>();
  #atMs = 0;
  #timer: { run: (() => void) | undefined } | undefined;

  constructor(clock: SimClock, isCut: (from: LinkEnd, to: LinkEnd) => boolean) {
    this.#clock = clock;
    this.#isCut = isCut;
  }

  /** Sends `bytes`; `done` is called when the last has arrived. */
  start(path: { from: LinkEnd; to: LinkEnd }, bytes: number, done: () => void): Flow {
    const flow: Flow = { ...path, leftBytes: bytes, rate: 0, progressMs: this.#clock.nowMs, done };
    this.#advance();
    this.#flows.add(flow);
    this.#share();
    return flow;
  }

  /** Takes a flow away before it is done; its `done` is never called. */
  stop(flow: Flow): void {
    if (!this.#flows.has(flow)) return;
    this.#advance();
    this.#flows.delete(flow);
    this.#share();
  }

  /** To be called after a bandwidth or a cut has changed. */
  changed(): void {
    this.#advance();
    this.#share();
  }

  /** When the last byte of a flow that is under way came, in virtual time. */
  lastByteMs(flow: Flow): number {
    return flow.rate > 0 && this.#flows.has(flow) ? this.#clock.nowMs : flow.progressMs;
  }

  #advance(): void {
    const nowMs = this.#clock.nowMs;
    for (const flow of this.#flows) {
      if (flow.rate === 0) continue;
      flow.leftBytes -= flow.rate * (nowMs - this.#atMs);
      flow.progressMs = nowMs;
    }
    this.#atMs = nowMs;
  }

  /** Water-filling: the tightest link gives its flows equal parts, what they leave elsewhere is the others'. */
  #share(): void {
    const shares = new Map<string, Share>();
    const open = new Set<Flow>();
    for (const flow of this.#flows) {
      flow.rate = 0;
      if (this.#isCut(flow.from, flow.to)) continue;
      open.add(flow);
      this.#join(shares, `up ${flow.from.name}`, flow.from.upBytesPerMs, flow);
      this.#join(shares, `down ${flow.to.name}`, flow.to.downBytesPerMs, flow);
    }
    while (open.size > 0) {
      let tightest: Share | undefined;
      for (const share of shares.values()) {
        if (share.flows.length === 0) continue;
        if (!tightest || share.capacity / share.flows.length < tightest.capacity / tightest.flows.length)
          tightest = share;
      }
      if (!tightest) break;
      const rate = Math.max(0, tightest.capacity / tightest.flows.length);
      for (const flow of Array.from(tightest.flows)) {
        flow.rate = rate;
        open.delete(flow);
        for (const share of [
          shares.get(`up ${flow.from.name}`) as Share,
          shares.get(`down ${flow.to.name}`) as Share,
        ]) {
          share.capacity -= rate;
          share.flows.splice(share.flows.indexOf(flow), 1);
        }
      }
    }
    this.#wait();
  }

  #join(shares: Map<string, Share>, name: string, capacity: number, flow: Flow): void {
    const share = shares.get(name);
    if (share) share.flows.push(flow);
    else shares.set(name, { capacity, flows: [flow] });
  }

  #wait(): void {
    if (this.#timer) this.#timer.run = undefined;
    this.#timer = undefined;
    let soonestMs = Number.POSITIVE_INFINITY;
    for (const { leftBytes, rate } of this.#flows) if (rate > 0) soonestMs = Math.min(soonestMs, leftBytes / rate);
    if (!Number.isFinite(soonestMs)) return;
    this.#timer = this.#clock.schedule(soonestMs, () => this.#finish());
  }

  #finish(): void {
    this.#advance();
    const done = [...this.#flows].filter(({ leftBytes }) => leftBytes < ROUNDING_BYTES);
    for (const flow of done) this.#flows.delete(flow);
    this.#share();
    for (const flow of done) flow.done();
  }
}
