/**
 * Counts and distributions by labels, kept in plain maps: cheap enough for the hot path, and there from the first event,
 * while the metrics library is loaded only when somebody asks (`observe/metrics.ts`).
 */
import { assert } from '../core/assert.ts';
import { metricSeriesMax } from '../core/limits.ts';

export type Labels = Readonly<Record<string, string>>;

export interface CounterSeries {
  readonly labels: Labels;
  value: number;
}

export interface HistogramSeries {
  readonly labels: Labels;
  /** Observations per bucket, not cumulative; the last holds what is above every bound. */
  readonly buckets: Float64Array;
  sum: number;
  count: number;
}

type Level<S> = Map<string, Level<S> | S>;

abstract class Metric<S extends object> {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
  /** By the first label's value, then by the next one's: no text is put together to find a series. */
  readonly #root: Level<S> = new Map();
  readonly #series: S[] = [];

  constructor(name: string, help: string, labelNames: readonly string[]) {
    this.name = name;
    this.help = help;
    this.labelNames = labelNames;
  }

  get series(): Iterable<S> {
    return this.#series;
  }

  /** The series of these label values, in the order of `labelNames`; past the bound, one called "other". */
  protected find(values: readonly string[]): S {
    const depth = this.labelNames.length;
    if (depth === 0) return this.#series[0] ?? this.#add(values);
    let at: Level<S> | S | undefined = this.#root;
    for (let index = 0; index < depth && at !== undefined; index++) at = (at as Level<S>).get(values[index] as string);
    return at === undefined ? this.#add(values) : (at as S);
  }

  #add(values: readonly string[]): S {
    assert(values.length === this.labelNames.length, `${this.name} has a value for each label`);
    const full = this.#series.length >= metricSeriesMax;
    if (full && values.some((value) => value !== 'other')) return this.find(values.map(() => 'other'));
    const made = this.make(Object.fromEntries(this.labelNames.map((name, index) => [name, values[index] as string])));
    this.#series.push(made);
    if (values.length === 0) return made;
    let level = this.#root;
    for (const value of values.slice(0, -1)) {
      let next = level.get(value) as Level<S> | undefined;
      if (next === undefined) {
        next = new Map();
        level.set(value, next);
      }
      level = next;
    }
    level.set(values.at(-1) as string, made);
    return made;
  }

  protected abstract make(labels: Labels): S;
}

export class Counter extends Metric<CounterSeries> {
  add(value: number, ...labelValues: readonly string[]): void {
    this.find(labelValues).value += value;
  }

  protected make(labels: Labels): CounterSeries {
    return { labels, value: 0 };
  }
}

/** Upper bounds of the buckets of durations, in seconds: from a hit in memory to a slow origin. */
const DURATION_BOUNDS_S = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

export class Histogram extends Metric<HistogramSeries> {
  readonly bounds = DURATION_BOUNDS_S;

  observe(value: number, ...labelValues: readonly string[]): void {
    const series = this.find(labelValues);
    let bucket = 0;
    while (bucket < this.bounds.length && value > (this.bounds[bucket] as number)) bucket++;
    series.buckets[bucket] = (series.buckets[bucket] as number) + 1;
    series.sum += value;
    series.count++;
  }

  protected make(labels: Labels): HistogramSeries {
    return { labels, buckets: new Float64Array(this.bounds.length + 1), sum: 0, count: 0 };
  }
}
