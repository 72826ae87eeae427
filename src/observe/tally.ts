/**
 * Counts and distributions by labels, kept in plain maps: cheap enough for the hot path, and there from the first event,
 * while the metrics library is loaded only when somebody asks (`observe/metrics.ts`).
 */
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

abstract class Metric<S> {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
  readonly #series = new Map<string, S>();

  constructor(name: string, help: string, labelNames: readonly string[]) {
    this.name = name;
    this.help = help;
    this.labelNames = labelNames;
  }

  get series(): Iterable<S> {
    return this.#series.values();
  }

  /** The series of these label values, in the order of `labelNames`; past the bound, one called "other". */
  protected find(values: readonly string[]): S {
    const key = values.length === 1 ? (values[0] as string) : values.join('\u001f');
    const found = this.#series.get(key);
    if (found) return found;
    const full = this.#series.size >= metricSeriesMax;
    if (full && values.some((value) => value !== 'other')) return this.find(values.map(() => 'other'));
    const labels = Object.fromEntries(this.labelNames.map((name, index) => [name, values[index] ?? '']));
    const made = this.make(labels);
    this.#series.set(key, made);
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
