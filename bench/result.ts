/** The outcome of a bench: `--json` (DESIGN.md section 12), the history, and a table for people. */
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Environment } from './environment.ts';
import { type Interval, judge, type Target, type Verdict } from './statistics.ts';

export interface Figure extends Interval {
  readonly unit: string;
  readonly verdict: Verdict;
  readonly target?: Target;
  /** What it is compared with, or what it was predicted to be, in words. */
  readonly beside?: string;
}

export interface Result {
  readonly scenario: string;
  readonly environment: Environment;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly figures: Readonly<Record<string, Figure>>;
  /** What was measured, trial by trial, by the name of the measurement. */
  readonly trials: Readonly<Record<string, readonly unknown[]>>;
}

/** A figure of an interval; its verdict follows from the target, unless the conditions made it inconclusive. */
export function figure(
  interval: Interval,
  unit: string,
  options: { target?: Target; beside?: string; inconclusive?: boolean } = {},
): Figure {
  const verdict = judge(interval, options.target);
  return {
    median: interval.median,
    low: interval.low,
    high: interval.high,
    unit,
    verdict: options.inconclusive && verdict !== 'shown' ? 'inconclusive' : verdict,
    ...(options.target && { target: options.target }),
    ...(options.beside !== undefined && { beside: options.beside }),
  };
}

/** A figure that was counted or measured once. */
export function single(value: number, unit: string, options: { target?: Target; beside?: string } = {}): Figure {
  return figure({ median: value, low: value, high: value }, unit, options);
}

const HISTORY = join(import.meta.dirname, 'history.ndjson');

/** Appends the figures, without the trials, to the history of this clone (not in git). */
export function appendHistory(result: Result, file: string = HISTORY): void {
  const { trials: _, ...kept } = result;
  appendFileSync(file, `${JSON.stringify(kept)}\n`);
}

export function writeResult(result: Result, file: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(result, undefined, 2)}\n`);
}

/** A number as people read it: three digits that count. */
export function shown(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return String(value);
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en-US');
  return String(Number(value.toPrecision(3)));
}

const targetText = (target: Target | undefined) => {
  if (target === undefined) return '';
  return 'atLeast' in target ? `≥ ${shown(target.atLeast)}` : `≤ ${shown(target.atMost)}`;
};

const characters = (cell: string) => Array.from(cell).length;

/** Rows of cells as aligned lines; the first row is the head. */
export function alignedTable(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => characters(row[column] ?? ''))));
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => cell + ' '.repeat((widths[column] as number) - characters(cell)))
      .join('  ')
      .trimEnd();
  const [head = [], ...body] = rows;
  return [line(head), widths.map((width) => '─'.repeat(width)).join('──'), ...body.map(line)].join('\n');
}

/** The table of a result; one row per figure, verdicts in colour on a terminal. */
export function resultTable(result: Result, colour: boolean): string {
  const paint = (verdict: Verdict) => {
    const code = { met: 32, missed: 31, inconclusive: 33, shown: 0 }[verdict];
    return colour && code !== 0 ? `\u001b[${code}m${verdict}\u001b[0m` : verdict;
  };
  const rows = Object.entries(result.figures).map(([name, f]) => [
    name,
    `${shown(f.median)}${f.unit === '' ? '' : ` ${f.unit}`}`,
    f.low === f.high ? '' : `${shown(f.low)}–${shown(f.high)}`,
    targetText(f.target),
    f.verdict,
    f.beside ?? '',
  ]);
  const text = alignedTable([['figure', 'median', 'interval', 'target', 'verdict', 'beside'], ...rows]);
  const { environment: e } = result;
  const where = `${e.cores} cores, Linux ${e.kernel}, Node ${e.node}, ${e.fileSystem}, commit ${e.commit}`;
  const painted = text.replace(/\b(met|missed|inconclusive)\b(?=\s|$)/gm, (verdict) => paint(verdict as Verdict));
  return `${result.scenario} · ${where}\n\n${painted}\n`;
}
