/** What the parts of `bench fan-in-read` get and give. */
import type { Progress } from '../progress.ts';
import type { Figure } from '../result.ts';

export interface LoadSize {
  readonly name: string;
  readonly sizeBytes: number;
  readonly keys: number;
  /** Of a trial. */
  readonly gets: number;
  /** Of a trial; a multiple of the keys. */
  readonly sets: number;
}

export interface FanInReadOptions {
  /** That hold values; the reader is one more. */
  readonly nodes: number;
  readonly linkMbit: number;
  readonly shaping: 'kernel' | 'user';
  readonly blocks: number;
  readonly blockBytes: number;
  /** Of what links bound; and of what they do not. */
  readonly pairs: number;
  readonly shortPairs: number;
  /** Loads that redis is compared at. */
  readonly loads: readonly LoadSize[];
  /** Small values that are looked up and read one at a time over the links. */
  readonly probeLookups: number;
  /** Of the cache that is too small. */
  readonly pressLookups: number;
  readonly pressNodes: number;
  readonly traceFile: string;
  readonly traceRequestsMax: number;
  readonly speed: number;
  /** Sizes of the cache in the trace's blocks. */
  readonly cacheBlocks: readonly number[];
  readonly slow: boolean;
  readonly dead: boolean;
  readonly self: boolean;
  readonly full: boolean;
  /** Figures to measure; empty: all. */
  readonly only: readonly string[];
  readonly directory?: string;
}

/** What a part adds to the result. */
export interface Measured {
  readonly figures: Readonly<Record<string, Figure>>;
  readonly trials: Readonly<Record<string, readonly unknown[]>>;
  readonly plots?: Readonly<Record<string, string>>;
}

export interface Part {
  /** The figures that it gives, by the beginning of their names, for `--only`. */
  readonly figures: readonly string[];
  /** Only where it is asked for: by its figure, or with `full`. */
  readonly isExtra?: boolean;
  run(options: FanInReadOptions, progress: Progress): Promise<Measured>;
}
