/**
 * The log: one line per event worth a person's time, to stderr. JSON by pino, or one line of text on a terminal. A kind
 * of event that floods is cut to `logLinesPerSecondMax` lines per second, and the next line says how many are missing.
 */
import pino from 'pino';
import { logBacklogMaxBytes, logLinesPerSecondMax } from '../core/limits.ts';
import type { Event } from './events.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

const LEVELS: Readonly<Record<Event['kind'], LogLevel>> = {
  'node.ready': 'info',
  'node.warning': 'warn',
  'cluster.changed': 'info',
  'directory.deputy': 'info',
  'cluster.frozen': 'warn',
  'cluster.thawed': 'info',
  'session.lost': 'warn',
  'session.begun': 'info',
  'node.stopping': 'info',
  'node.stopped': 'info',
  'object.opened': 'debug',
  'object.changed': 'info',
  'read.done': 'debug',
  'fill.begun': 'debug',
  'fill.done': 'debug',
  'fill.failed': 'warn',
  'pull.done': 'debug',
  'pull.failed': 'info',
  'peer.refused': 'warn',
  'kv.missed': 'warn',
  'peer.estranged': 'error',
  'peer.reconciled': 'info',
  'origin.refill': 'debug',
  'origin.request': 'debug',
  'origin.retry': 'debug',
  'origin.detour': 'debug',
  'origin.away': 'warn',
  'origin.back': 'info',
  'store.opened': 'info',
  'store.dropped': 'debug',
  'store.corrupt': 'error',
  'store.orphan': 'warn',
  'journal.damaged': 'warn',
  'disk.ejected': 'error',
  'disk.readmitted': 'info',
  'disk.full': 'warn',
  'write.done': 'debug',
  'write.replicated': 'debug',
  'write.degraded': 'warn',
  'write.deleted': 'debug',
  'keeper.begun': 'info',
  'keeper.ended': 'info',
  'drain.done': 'debug',
  'drain.failed': 'warn',
  'drain.trouble': 'error',
  'door.request': 'debug',
  'door.refused': 'warn',
  'door.broken': 'warn',
};
const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

export interface LogOptions {
  /** Each line is written before the next statement runs; a daemon does not wait for its reader. */
  readonly sync?: boolean;
  readonly level: LogLevel;
  readonly format: 'json' | 'text';
  /** A file descriptor. */
  readonly descriptor: number;
  /** CLOCK_BOOTTIME milliseconds, for the rate. */
  readonly nowMs: () => number;
}

export class Log {
  readonly #logger: pino.Logger;
  readonly #destination: ReturnType<typeof pino.destination>;
  readonly #rank: number;
  readonly #rates = new Map<string, { second: number; lines: number; missing: number }>();
  readonly #nowMs: () => number;

  constructor(options: LogOptions) {
    this.#rank = RANK[options.level];
    this.#nowMs = options.nowMs;
    this.#destination = pino.destination({
      dest: options.descriptor,
      sync: options.sync ?? false,
      maxLength: logBacklogMaxBytes,
    });
    // A reader of stderr that went away is no reason to stop serving.
    this.#destination.on('error', () => undefined);
    const destination = this.#destination;
    const target =
      options.format === 'json' ? destination : { write: (line: string) => void destination.write(textLine(line)) };
    this.#logger = pino(
      {
        level: options.level,
        base: null,
        messageKey: 'message',
        timestamp: pino.stdTimeFunctions.isoTime,
        formatters: { level: (label) => ({ level: label }) },
      },
      target,
    );
  }

  write(event: Event): void {
    const level = LEVELS[event.kind];
    if (RANK[level] < this.#rank) return;
    const missing = this.#admit(event.kind);
    if (missing === undefined) return;
    this.#logger[level](missing > 0 ? { ...event, suppressed: missing } : event);
  }

  /** Puts everything written so far on its way; for the end of the process. */
  flush(): void {
    try {
      this.#destination.flushSync();
    } catch {
      // Nobody reads any more.
    }
  }

  /** How many lines of this kind were suppressed before this one; `undefined` when this one is too. */
  #admit(kind: string): number | undefined {
    const second = Math.floor(this.#nowMs() / 1000);
    let rate = this.#rates.get(kind);
    if (!rate) this.#rates.set(kind, (rate = { second, lines: 0, missing: 0 }));
    if (rate.second !== second) {
      rate.second = second;
      rate.lines = 0;
    }
    if (rate.lines >= logLinesPerSecondMax) {
      rate.missing++;
      return undefined;
    }
    rate.lines++;
    const missing = rate.missing;
    rate.missing = 0;
    return missing;
  }
}

/** One JSON line of the log as text for people: `16:01:02 warn  origin.away volume=models message="…"`. */
export function textLine(json: string): string {
  const { level, time, kind, ...rest } = JSON.parse(json) as { level: string; time: string; kind: string };
  const fields = Object.entries(rest).map(([name, value]) => `${name}=${textValue(value)}`);
  return `${[time.slice(11, 19), level.padEnd(5), kind, ...fields].join(' ')}\n`;
}

function textValue(value: unknown): string {
  if (typeof value === 'number') return Number.isInteger(value) ? String(value) : value.toFixed(1);
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return /^[\w./:@+-]+$/.test(text) ? text : JSON.stringify(text);
}
