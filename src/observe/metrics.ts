/**
 * Metrics of events, named `forebay_…`. Labels are volumes, doors, operations, reasons and codes, never keys. The text
 * that Prometheus reads is made by prom-client, loaded at the first scrape.
 */
import type { Metric as PromMetric } from 'prom-client';
import type { Event } from './events.ts';
import { Counter, Histogram } from './tally.ts';

/** A value read when somebody asks. */
export interface Gauge {
  readonly name: string;
  readonly help: string;
  read(): Iterable<{ readonly labels: Readonly<Record<string, string>>; readonly value: number }>;
}

export class Metrics {
  readonly #opens = new Counter('forebay_opens_total', 'Objects opened, by where the fact came from', [
    'volume',
    'source',
  ]);
  readonly #changes = new Counter('forebay_object_changes_total', 'Objects found replaced at the origin', ['volume']);
  readonly #readBytes = new Counter('forebay_read_bytes_total', 'Bytes read by clients', ['volume']);
  readonly #hitBytes = new Counter('forebay_read_hit_bytes_total', 'Bytes read by clients that were here', ['volume']);
  readonly #readSeconds = new Histogram('forebay_read_seconds', 'Duration of reads', ['volume']);
  readonly #fills = new Counter('forebay_fills_total', 'Fills from the origin, by result', ['volume', 'result']);
  readonly #fillBytes = new Counter('forebay_fill_bytes_total', 'Bytes filled from the origin', ['volume']);
  readonly #fillSeconds = new Histogram('forebay_fill_seconds', 'Duration of fills', ['volume']);
  readonly #refills = new Counter('forebay_origin_refills_total', 'Chunks read from the origin again, by reason', [
    'volume',
    'reason',
  ]);
  readonly #refillBytes = new Counter(
    'forebay_origin_refill_bytes_total',
    'Bytes read from the origin again, by reason',
    ['volume', 'reason'],
  );
  readonly #originRequests = new Counter('forebay_origin_requests_total', 'Requests to origins', [
    'origin',
    'operation',
    'code',
  ]);
  readonly #originBytes = new Counter('forebay_origin_bytes_total', 'Bytes exchanged with origins', [
    'origin',
    'operation',
  ]);
  readonly #originSeconds = new Histogram('forebay_origin_request_seconds', 'Duration of requests to origins', [
    'origin',
    'operation',
  ]);
  readonly #originRetries = new Counter('forebay_origin_retries_total', 'Requests to origins tried again', [
    'origin',
    'operation',
    'code',
  ]);
  readonly #originAway = new Counter('forebay_origin_away_total', 'Times an origin went away', ['volume']);
  readonly #detours = new Counter(
    'forebay_origin_detours_total',
    'Times that another node was asked to reach an origin for this one, by what and result',
    ['volume', 'what', 'code'],
  );
  readonly #dropped = new Counter('forebay_store_dropped_bytes_total', 'Bytes removed from the store, by reason', [
    'reason',
  ]);
  readonly #corrupt = new Counter('forebay_store_corrupt_blocks_total', 'Blocks found wrong, by where', ['found']);
  readonly #disk = new Counter(
    'forebay_disk_events_total',
    'Disk ejected, readmitted, full; journal damaged; orphans',
    ['event'],
  );
  readonly #degraded = new Counter(
    'forebay_writes_degraded_total',
    'Acknowledgements for which too few nodes were found',
    ['volume', 'instead'],
  );
  readonly #replicatedSeconds = new Histogram(
    'forebay_write_replicated_seconds',
    'From the commit of a version until as many nodes have it as the volume wants',
    ['volume'],
  );
  readonly #writes = new Counter('forebay_writes_total', 'Objects written or deleted', ['volume', 'operation']);
  readonly #writeBytes = new Counter('forebay_write_bytes_total', 'Bytes written by clients', ['volume']);
  readonly #writeSeconds = new Histogram('forebay_write_seconds', 'Duration of writes', ['volume']);
  readonly #drained = new Counter('forebay_drained_total', 'Objects and deletes brought to the origin', [
    'volume',
    'what',
  ]);
  readonly #drainedBytes = new Counter('forebay_drained_bytes_total', 'Bytes brought to the origin', ['volume']);
  readonly #drainFailures = new Counter('forebay_drain_failures_total', 'Attempts to drain that failed', [
    'volume',
    'code',
  ]);
  readonly #troubles = new Counter('forebay_drain_troubles_total', 'Objects that do not drain by themselves', [
    'volume',
    'trouble',
  ]);
  readonly #requests = new Counter('forebay_door_requests_total', 'Requests at doors', ['door', 'operation', 'status']);
  readonly #requestBytes = new Counter('forebay_door_bytes_total', 'Bytes sent by doors', ['door', 'operation']);
  readonly #requestSeconds = new Histogram('forebay_door_request_seconds', 'Duration of requests at doors', [
    'door',
    'operation',
  ]);
  readonly #refused = new Counter('forebay_door_refusals_total', 'Requests refused before they were understood', [
    'door',
    'reason',
  ]);
  readonly #pulls = new Counter('forebay_pulls_total', 'Pulls from peers, by result', ['peer', 'result']);
  readonly #pullBytes = new Counter('forebay_pull_bytes_total', 'Bytes pulled from peers', ['peer']);
  readonly #pullSeconds = new Histogram('forebay_pull_seconds', 'Duration of pulls', ['peer']);
  readonly #peerRefused = new Counter('forebay_peer_refusals_total', 'Peers and strangers turned away', ['reason']);
  readonly #kvMissed = new Counter(
    'forebay_kv_promised_then_missed_total',
    'Values that a holder had promised and did not have',
    ['volume'],
  );
  readonly #gauges: Gauge[] = [];
  #text: (() => Promise<string>) | undefined;

  get #counters(): readonly Counter[] {
    return [
      this.#opens,
      this.#changes,
      this.#readBytes,
      this.#hitBytes,
      this.#fills,
      this.#fillBytes,
      this.#refills,
      this.#refillBytes,
      this.#originRequests,
      this.#originBytes,
      this.#originRetries,
      this.#originAway,
      this.#detours,
      this.#dropped,
      this.#corrupt,
      this.#disk,
      this.#writes,
      this.#degraded,
      this.#writeBytes,
      this.#drained,
      this.#drainedBytes,
      this.#drainFailures,
      this.#troubles,
      this.#requests,
      this.#requestBytes,
      this.#refused,
      this.#pulls,
      this.#pullBytes,
      this.#peerRefused,
      this.#kvMissed,
    ];
  }

  get #histograms(): readonly Histogram[] {
    return [
      this.#readSeconds,
      this.#pullSeconds,
      this.#fillSeconds,
      this.#originSeconds,
      this.#writeSeconds,
      this.#replicatedSeconds,
      this.#requestSeconds,
    ];
  }

  /** Adds values that are read at each scrape; before the first one. */
  addGauges(gauges: readonly Gauge[]): void {
    this.#gauges.push(...gauges);
  }

  count(event: Event): void {
    switch (event.kind) {
      case 'object.opened':
        this.#opens.add(1, event.volume, event.source);
        break;
      case 'object.changed':
        this.#changes.add(1, event.volume);
        break;
      case 'read.done':
        this.#readBytes.add(event.bytes, event.volume);
        this.#hitBytes.add(event.hitBytes, event.volume);
        this.#readSeconds.observe(event.ms / 1000, event.volume);
        break;
      case 'fill.done':
        this.#fills.add(1, event.volume, 'ok');
        this.#fillBytes.add(event.bytes, event.volume);
        this.#fillSeconds.observe(event.ms / 1000, event.volume);
        break;
      case 'fill.failed':
        this.#fills.add(1, event.volume, event.code);
        break;
      case 'pull.done':
        this.#pulls.add(1, event.peer, 'ok');
        this.#pullBytes.add(event.bytes, event.peer);
        this.#pullSeconds.observe(event.ms / 1000, event.peer);
        break;
      case 'door.request':
        this.#requests.add(1, event.door, event.operation, String(event.status));
        this.#requestBytes.add(event.bytes, event.door, event.operation);
        this.#requestSeconds.observe(event.ms / 1000, event.door, event.operation);
        break;
      case 'door.refused':
        this.#refused.add(1, event.door, event.reason);
        break;
      case 'write.done':
        this.#writes.add(1, event.volume, 'put');
        this.#writeBytes.add(event.bytes, event.volume);
        this.#writeSeconds.observe(event.ms / 1000, event.volume);
        break;
      case 'write.deleted':
        this.#writes.add(1, event.volume, 'delete');
        break;
      default:
        this.#countRare(event);
    }
  }

  #countRare(event: Event): void {
    switch (event.kind) {
      case 'write.degraded':
        this.#degraded.add(1, event.volume, event.instead);
        break;
      case 'write.replicated':
        this.#replicatedSeconds.observe(event.ms / 1000, event.volume);
        break;
      case 'origin.refill':
        this.#refills.add(1, event.volume, event.reason);
        this.#refillBytes.add(event.bytes, event.volume, event.reason);
        break;
      case 'origin.request':
        this.#originRequests.add(1, event.origin, event.operation, event.code);
        this.#originBytes.add(event.bytes, event.origin, event.operation);
        this.#originSeconds.observe(event.ms / 1000, event.origin, event.operation);
        break;
      case 'pull.failed':
        this.#pulls.add(1, event.peer, event.code);
        break;
      case 'peer.refused':
        this.#peerRefused.add(1, event.reason);
        break;
      case 'kv.missed':
        this.#kvMissed.add(1, event.volume);
        break;
      case 'origin.retry':
        this.#originRetries.add(1, event.origin, event.operation, event.code);
        break;
      case 'origin.away':
        this.#originAway.add(1, event.volume);
        break;
      case 'origin.detour':
        this.#detours.add(1, event.volume, event.what, event.code);
        break;
      case 'drain.done':
        this.#drained.add(1, event.volume, event.what);
        this.#drainedBytes.add(event.bytes, event.volume);
        break;
      case 'drain.failed':
        this.#drainFailures.add(1, event.volume, event.code);
        break;
      case 'drain.trouble':
        this.#troubles.add(1, event.volume, event.trouble);
        break;
      case 'store.dropped':
        this.#dropped.add(event.bytes, event.reason);
        break;
      case 'store.corrupt':
        this.#corrupt.add(1, event.found);
        break;
      case 'store.orphan':
      case 'journal.damaged':
      case 'disk.ejected':
      case 'disk.readmitted':
      case 'disk.full':
        this.#disk.add(1, event.kind);
        break;
      default:
        break;
    }
  }

  /** What `/metrics` answers, in Prometheus's text format 0.0.4. */
  async text(): Promise<string> {
    this.#text ??= await this.#load();
    return this.#text();
  }

  async #load(): Promise<() => Promise<string>> {
    const { Registry, collectDefaultMetrics } = await import('prom-client');
    const registry = new Registry();
    // Registry asks a metric only for name and get(), so that values kept elsewhere need no second copy in the library.
    const register = (metric: { name: string; help: string; type: string }, values: () => unknown[]): void =>
      registry.registerMetric({
        ...metric,
        get: async () => ({ ...metric, aggregator: 'sum', values: values() }),
      } as unknown as PromMetric);
    for (const counter of this.#counters)
      register({ name: counter.name, help: counter.help, type: 'counter' }, () => [...counter.series]);
    for (const histogram of this.#histograms)
      register({ name: histogram.name, help: histogram.help, type: 'histogram' }, () => histogramValues(histogram));
    for (const gauge of this.#gauges)
      register({ name: gauge.name, help: gauge.help, type: 'gauge' }, () => [...gauge.read()]);
    collectDefaultMetrics({ register: registry });
    return () => registry.metrics();
  }
}

function histogramValues(histogram: Histogram): unknown[] {
  const values: unknown[] = [];
  for (const { labels, buckets, sum, count } of histogram.series) {
    let below = 0;
    for (const [index, bound] of histogram.bounds.entries()) {
      below += buckets[index] as number;
      values.push({ metricName: `${histogram.name}_bucket`, labels: { le: bound, ...labels }, value: below });
    }
    values.push({ metricName: `${histogram.name}_bucket`, labels: { le: '+Inf', ...labels }, value: count });
    values.push({ metricName: `${histogram.name}_sum`, labels, value: sum });
    values.push({ metricName: `${histogram.name}_count`, labels, value: count });
  }
  return values;
}
