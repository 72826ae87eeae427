/** Where a daemon's events go: the log, the metrics, those who watch, and what is known of the origins. */
import { EventFeed } from '../observe/event-feed.ts';
import type { Emit } from '../observe/events.ts';
import { Log } from '../observe/log.ts';
import { Metrics } from '../observe/metrics.ts';
import type { Config } from './config.ts';
import { NodeHealth } from './node-health.ts';

const STDERR = 2;

export interface Sinks {
  readonly emit: Emit;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly feed: EventFeed;
  readonly health: NodeHealth;
}

export function createSinks(config: Config, options: { format: 'json' | 'text' }): Sinks {
  const log = new Log({
    level: config.log.level,
    format: options.format,
    descriptor: STDERR,
    nowMs: () => performance.now(),
  });
  const metrics = new Metrics();
  const feed = new EventFeed();
  const health = new NodeHealth();
  const emit: Emit = (event) => {
    log.write(event);
    metrics.count(event);
    feed.emit(event);
    health.note(event);
  };
  return { emit, log, metrics, feed, health };
}
