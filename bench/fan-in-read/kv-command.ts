/** What a process of `bench fan-in-read` on a host is told, and what it answers. */
import type { HitCount } from './ideal-cache.ts';
import type { Load } from './resp-load.ts';

/** Values under `<prefix><index>`, `count` of them; the seed of the first value's bytes, one more for each next. */
export interface Values {
  readonly prefix: string;
  readonly count: number;
  readonly sizeBytes: number;
  readonly firstSeed: number;
}

export type KvCommand =
  /** Answers with LoadDone. */
  | ({ readonly do: 'load' } & Load)
  /** Stores every `step`th of the values, from the `from`th on. */
  | { readonly do: 'put'; readonly host: string; readonly values: Values; readonly from: number; readonly step: number }
  /** All values in one go, each byte compared; answers with Gathered. */
  | { readonly do: 'gather'; readonly host: string; readonly values: Values; readonly lookup: boolean }
  /** Asks for a few values at a time; answers with Probed. */
  | ({ readonly do: 'probe' } & Probe)
  /** Answers with Pressed; notes its progress. */
  | ({ readonly do: 'press' } & Press)
  /** Answers with Replayed; notes its progress. */
  | ({ readonly do: 'replay' } & Replay);

export interface Gathered {
  /** From the question to the last byte. */
  readonly seconds: number;
  readonly lookupS: number;
  /** Of the values that were asked for. */
  readonly misses: number;
}

export interface Probe {
  /** The RESP door. */
  readonly host: string;
  readonly values: Values;
  /** Keys of each lookup; all that it promises are then asked for, one at a time. */
  readonly keysPerLookup: number;
  readonly lookups: number;
}

export interface Probed {
  readonly lookupMs: readonly number[];
  readonly getMs: readonly number[];
  readonly promised: number;
  /** Of those. */
  readonly missed: number;
}

/** One node as a client of the bench sees it. */
export interface NodeDoors {
  readonly resp: string;
  readonly admin: string;
}

export interface Press {
  readonly nodes: readonly NodeDoors[];
  readonly volume: string;
  readonly clientsPerNode: number;
  /** Of all clients together. */
  readonly lookups: number;
  readonly leaseMs: number;
  /** Chains of values that share nothing with others, asked for as prefixes; some much more often than others. */
  readonly chains: number;
  readonly chainValues: number;
  readonly sizeBytes: number;
  readonly seed: number;
}

export interface Pressed extends Probed {
  readonly lookups: number;
  readonly asked: number;
  readonly stored: number;
  /** Puts that were refused, for want of room mostly. */
  readonly refused: number;
  /** Some of those promised and not there: when they were asked for and answered, since the lookup was begun. */
  readonly misses: readonly { readonly key: string; readonly askedMs: number; readonly answeredMs: number }[];
}

export interface Replay {
  readonly node: NodeDoors;
  readonly volume: string;
  readonly traceFile: string;
  /** Of the trace's requests, from the first on. */
  readonly requestsMax: number;
  /** Trace time ÷ time. */
  readonly speed: number;
  /** In trace time. */
  readonly leaseMs: number;
  readonly sizeBytes: number;
}

export interface Replayed extends Omit<Probed, 'lookupMs' | 'getMs'> {
  readonly counts: readonly HitCount[];
  readonly lookupMs: readonly number[];
  /** Of all values that a lookup promised together. */
  readonly getMs: readonly number[];
  readonly refused: number;
  readonly seconds: number;
}
