/**
 * The network between simulated nodes: latency, fair shares of bandwidth, partitions of both or one direction, lost,
 * late, duplicated and reordered control messages, hosts that are slow, that accept and never answer, that send wrong
 * bytes, that crash. Everything is drawn from the seed.
 *
 * A node's end of it is `ListenPeers` of src/io/peers.ts (`sim-peers.ts`); bytes move by `sim-pull.ts`, at the pace of
 * `sim-links.ts`.
 */
import { assert } from '../src/core/assert.ts';
import type { Json, ListenPeers, PeerOptions } from '../src/io/peers.ts';
import type { Life, SimClock } from './sim-clock.ts';
import { type LinkEnd, SimLinks } from './sim-links.ts';
import { listenSimulated } from './sim-peers.ts';
import type { SimRandom } from './sim-random.ts';
import type { Trace } from './trace.ts';

/** How messages fare; may change at any time. */
export interface NetworkFaults {
  /** Mean time of a message, one way. */
  latencyMs: number;
  /** Chances per control message and direction: lost; delivered `lateMs` later than others, which reorders. */
  lossChance: number;
  lateChance: number;
  lateMs: number;
  /** Chance that a call reaches the service twice. */
  duplicateChance: number;
}

const CALM_NETWORK: NetworkFaults = {
  latencyMs: 0.5,
  lossChance: 0,
  lateChance: 0,
  lateMs: 0,
  duplicateChance: 0,
};

/** A machine as the network knows it; its daemon comes and goes. */
export interface SimHost extends LinkEnd {
  readonly name: string;
  upBytesPerMs: number;
  downBytesPerMs: number;
  /** Added to each message from and to it. */
  slowMs: number;
  /** It takes connections and never answers. */
  isSilent: boolean;
  /** Chance per block sent that a bit of it is wrong. */
  corruptChance: number;
  /** Without power nothing answers; with power and no daemon, connections are refused. */
  hasPower: boolean;
}

export interface Listener {
  readonly host: SimHost;
  readonly port: number;
  readonly life: Life;
  readonly options: PeerOptions;
  isOpen: boolean;
}

/** Something between two ends of the network that breaks when one of them goes. */
export interface Exchange {
  has(end: Listener): boolean;
  /** One end is gone: its machine says so (`told`), or nothing comes from it any more. */
  broken(end: Listener, told: boolean): void;
}

/** One control message, as observers see it: a call that was delivered, and what the service answered. */
export interface MessageSeen {
  readonly from: string;
  readonly to: string;
  readonly type: string;
  readonly message: string;
  readonly answer: string;
}

/** A message that meets a cut is sent again after about this long, as TCP does, or lost. */
const RESEND_MS = 300;
const RESENDS_MAX = 20;
const PORT_FIRST = 40_000;

export class SimNetwork {
  readonly clock: SimClock;
  readonly random: SimRandom;
  readonly trace: Trace;
  readonly faults: NetworkFaults;
  readonly links: SimLinks;
  /** Told of every call that a service has answered. */
  onAnswer: ((seen: MessageSeen) => void) | undefined;
  /** For the canary: checksums of what comes are not looked at; answers are changed on their way. */
  trustsBytes = false;
  tamper: ((type: string, answer: Json) => Json) | undefined;
  /** Calls delivered, blocks and bytes sent, so far. */
  calls = 0;
  bytesSent = 0;
  readonly #hosts = new Map<string, SimHost>();
  readonly #listeners = new Map<string, Listener>();
  readonly #cuts = new Set<string>();
  readonly #exchanges = new Set<Exchange>();
  #ports = PORT_FIRST;

  constructor(options: { clock: SimClock; random: SimRandom; trace: Trace; faults?: NetworkFaults }) {
    this.clock = options.clock;
    this.random = options.random;
    this.trace = options.trace;
    this.faults = { ...(options.faults ?? CALM_NETWORK) };
    this.links = new SimLinks(options.clock, (from, to) => this.isCut(from.name, to.name));
  }

  /** Adds a machine; `name` is what its addresses have as host. */
  addHost(name: string, bandwidth: { upBytesPerMs: number; downBytesPerMs: number }): SimHost {
    assert(!this.#hosts.has(name), `one host has the name ${name}`);
    const host = { name, ...bandwidth, slowMs: 0, isSilent: false, corruptChance: 0, hasPower: true };
    this.#hosts.set(name, host);
    return host;
  }

  host(name: string): SimHost | undefined {
    return this.#hosts.get(name);
  }

  /** The network as a process of this life on `host` has it. */
  attach(host: SimHost, life: Life): ListenPeers {
    return (options) => listenSimulated(this, { host, life }, options);
  }

  /** Messages and bytes from one host no longer reach the other, until `mend`. */
  cut(from: string, to: string): void {
    this.#cuts.add(`${from}>${to}`);
    this.trace.note(`net cut ${from} ${to}`);
    this.links.changed();
  }

  mend(from: string, to: string): void {
    if (!this.#cuts.delete(`${from}>${to}`)) return;
    this.trace.note(`net mend ${from} ${to}`);
    this.links.changed();
  }

  mendAll(): void {
    this.#cuts.clear();
    this.links.changed();
  }

  isCut(from: string, to: string): boolean {
    return this.#cuts.has(`${from}>${to}`);
  }

  /** Takes an address; `undefined` when a live process has it. */
  listen(owner: { host: SimHost; life: Life }, options: PeerOptions): Listener | undefined {
    const port = options.address.port === 0 ? this.#ports++ : options.address.port;
    const name = `${owner.host.name}:${port}`;
    const before = this.#listeners.get(name);
    if (before?.isOpen && before.life.alive) return undefined;
    const listener = { ...owner, port, options, isOpen: true };
    this.#listeners.set(name, listener);
    return listener;
  }

  /** Who takes connections there; `undefined`: they are refused. */
  listenerAt(address: { host: string; port: number }): Listener | undefined {
    const listener = this.#listeners.get(`${address.host}:${address.port}`);
    return listener?.isOpen && listener.life.alive ? listener : undefined;
  }

  begin(exchange: Exchange): void {
    this.#exchanges.add(exchange);
  }

  end(exchange: Exchange): void {
    this.#exchanges.delete(exchange);
  }

  /** Calls and pulls that a life has made or serves and that have not ended. */
  openExchanges(life: Life): number {
    const ends = [...this.#listeners.values()].filter((listener) => listener.life === life);
    return [...this.#exchanges].filter((exchange) => ends.some((end) => exchange.has(end))).length;
  }

  /** A life has ended. A killed process's connections are reset by its machine; one without power says nothing. */
  crash(life: Life, kind: 'process' | 'machine'): void {
    for (const listener of this.#listeners.values()) {
      if (listener.life === life) this.breakOff(listener, kind === 'process');
    }
  }

  /** Ends what is under way at one end of the network. */
  breakOff(end: Listener, told: boolean): void {
    for (const exchange of Array.from(this.#exchanges)) if (exchange.has(end)) exchange.broken(end, told);
  }

  latency(from: SimHost, to: SimHost): number {
    const { random, faults } = this;
    const lateMs = random.chance(faults.lateChance) ? random.exponential(faults.lateMs) : 0;
    return faults.latencyMs / 2 + random.exponential(faults.latencyMs / 2) + from.slowMs + to.slowMs + lateMs;
  }

  /**
   * Carries a control message from one host to another. `arrive` is called when and if it gets there, for a `duplicable`
   * one perhaps twice; `lost` when it did not and the sender's machine notices.
   */
  carry(
    path: { from: SimHost; to: SimHost },
    message: { arrive: () => void; lost?: () => void; duplicable?: boolean },
  ): void {
    const { random, clock, faults } = this;
    const { from, to } = path;
    let resends = 0;
    const attempt = (): void => {
      if (from.hasPower && to.hasPower && !this.isCut(from.name, to.name)) message.arrive();
      else if (resends++ < RESENDS_MAX && random.chance(0.7)) clock.schedule(random.exponential(RESEND_MS), attempt);
    };
    const ms = this.latency(from, to);
    if (message.duplicable && random.chance(faults.duplicateChance)) {
      clock.schedule(ms + random.exponential(faults.latencyMs * 4 + faults.lateMs), attempt);
    }
    if (!random.chance(faults.lossChance)) {
      clock.schedule(ms, attempt);
      return;
    }
    this.trace.note(`net lost ${from.name} ${to.name}`);
    if (message.lost && random.chance(0.5)) clock.schedule(ms * 2, message.lost);
  }
}
