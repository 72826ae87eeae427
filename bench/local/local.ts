/** `bench local`: one node against what the kernel and nginx give (DESIGN.md section 12). */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { environmentOf } from '../environment.ts';
import type { Progress } from '../progress.ts';
import type { Figure, Result } from '../result.ts';
import { coldReaders, fill } from './cold.ts';
import { hit } from './hit.ts';
import { idle, idleConnections } from './idle.ts';
import type { Measured, Measurement } from './measurement.ts';
import { memory } from './memory.ts';
import { million } from './million.ts';
import { pull } from './pull.ts';
import { small } from './small.ts';

const MEASUREMENTS: readonly Measurement[] = [
  hit,
  small,
  pull,
  fill,
  coldReaders,
  memory,
  idle,
  idleConnections,
  million,
];
/** Those that compare two sides, and can therefore compare Forebay with itself. */
const COMPARED: readonly Measurement[] = [hit, small, pull];

export const LOCAL_FIGURES: readonly string[] = MEASUREMENTS.flatMap((measurement) => measurement.figures);

export interface LocalOptions {
  readonly full: boolean;
  readonly self: boolean;
  /** Figures to measure; empty: all. */
  readonly only: readonly string[];
  /** Where caches and files lie while it runs; absent: the system's temporary directory. */
  readonly directory?: string;
}

/** Measures; a measurement that fails ends the bench with its error, for a figure left out looks like a figure that is fine. */
export async function runLocal(
  options: LocalOptions,
  progress: Progress,
): Promise<{ result: Result; plots: Readonly<Record<string, string>> }> {
  const directory = mkdtempSync(join(options.directory ?? tmpdir(), 'forebay-bench-'));
  const wanted = (options.self ? COMPARED : MEASUREMENTS).filter(
    ({ figures }) => options.only.length === 0 || figures.some((name) => options.only.includes(name)),
  );
  const figures: Record<string, Figure> = {};
  const trials: Record<string, readonly unknown[]> = {};
  const plots: Record<string, string> = {};
  try {
    const environment = environmentOf(directory);
    for (const [i, measurement] of wanted.entries()) {
      progress.say(measurement.figures.join(', '));
      const own = join(directory, String(i));
      mkdirSync(own);
      const measured: Measured = await measurement.run({ ...options, directory: own, progress });
      rmSync(own, { recursive: true, force: true });
      Object.assign(figures, measured.figures);
      Object.assign(trials, measured.trials);
      Object.assign(plots, measured.plots);
    }
    const parameters = { full: options.full, self: options.self, only: options.only };
    return { result: { scenario: 'local', environment, parameters, figures, trials }, plots };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
