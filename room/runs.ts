/**
 * Results of benches (`bench … --json FILE`, and the history with one result a line) as figures over time. Figures of other
 * scenarios, machines or parameters are never put into one line.
 */
import { readFileSync } from 'node:fs';
import type { Environment } from '../bench/environment.ts';
import type { Figure, Result } from '../bench/result.ts';
import type { Problem, RoomFile } from './folder.ts';

export type Run = Omit<Result, 'trials'> & { readonly path: string };

export interface RunGroup {
  readonly scenario: string;
  /** The machine, in words. */
  readonly machine: string;
  /** The parameters as `name value, …`. */
  readonly parameters: string;
  /** Oldest first. */
  readonly runs: readonly Run[];
}

const RESULT_BYTES_MAX = 256 * 2 ** 20;
const VERDICTS: readonly unknown[] = ['met', 'missed', 'inconclusive', 'shown'];

type Fields = Readonly<Record<string, unknown>>;
const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);

function isFigure(value: unknown): value is Figure {
  return (
    isFields(value) &&
    isNumber(value['median']) &&
    isNumber(value['low']) &&
    isNumber(value['high']) &&
    typeof value['unit'] === 'string' &&
    VERDICTS.includes(value['verdict'])
  );
}

/** Whether it means to be a result: other JSON is nobody's business here. */
const looksLikeResult = (value: unknown): value is Fields =>
  isFields(value) && typeof value['scenario'] === 'string' && isFields(value['figures']) && 'environment' in value;

/** A result, or what is wrong with it. */
function runOf(value: Fields, path: string): Run | string {
  const { scenario, environment, figures, parameters } = value;
  if (
    !isFields(environment) ||
    typeof environment['date'] !== 'string' ||
    Number.isNaN(Date.parse(environment['date']))
  )
    return 'is a result without environment.date, so it has no place in time';
  const wrong = Object.entries(figures as Fields).filter(([, figure]) => !isFigure(figure));
  if (wrong.length > 0) return `is a result whose ${wrong[0]?.[0]} is not {median, low, high, unit, verdict}`;
  return {
    path,
    scenario: scenario as string,
    environment: environment as unknown as Environment,
    parameters: isFields(parameters) ? parameters : {},
    figures: figures as Run['figures'],
  };
}

/** Looks at every `.json` and `.ndjson` of the room. */
export function readRuns(files: readonly RoomFile[]): { runs: Run[]; problems: Problem[] } {
  const runs: Run[] = [];
  const problems: Problem[] = [];
  const take = (value: unknown, path: string) => {
    if (!looksLikeResult(value)) return;
    const run = runOf(value, path);
    if (typeof run === 'string') problems.push({ path, text: run });
    else runs.push(run);
  };
  for (const { path, absolute, sizeBytes } of files) {
    const isLines = path.endsWith('.ndjson');
    if (!isLines && !path.endsWith('.json')) continue;
    if (sizeBytes > RESULT_BYTES_MAX) {
      problems.push({ path, text: 'is larger than 256 MiB and was not looked at for results' });
      continue;
    }
    try {
      const text = readFileSync(absolute, 'utf8');
      if (isLines)
        for (const line of text.split('\n').filter((each) => each.trim() !== '')) take(JSON.parse(line), path);
      else if (text.includes('"figures"')) take(JSON.parse(text), path);
    } catch (error) {
      problems.push({ path, text: `cannot be read as JSON: ${(error as Error).message}` });
    }
  }
  return { runs, problems };
}

function machineOf(environment: Environment): string {
  const { cores, cpu, memoryGiB, kernel, fileSystem } = environment;
  return `${cores} cores (${cpu}), ${memoryGiB} GiB, Linux ${kernel}, ${fileSystem}`;
}

function parametersOf(parameters: Fields): string {
  return Object.entries(parameters)
    .filter(([, value]) => value !== undefined && value !== null)
    .map(([name, value]) => `${name} ${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .sort()
    .join(', ');
}

const byDate = (a: Run, b: Run) => Date.parse(a.environment.date) - Date.parse(b.environment.date);

/** Groups whose newest run is youngest come first. A run that is in a file of its own and in a history counts once. */
export function groupRuns(runs: readonly Run[]): RunGroup[] {
  const groups = new Map<string, RunGroup & { runs: Run[] }>();
  const seen = new Set<string>();
  for (const run of runs) {
    const machine = machineOf(run.environment);
    const parameters = parametersOf(run.parameters);
    const key = JSON.stringify([run.scenario, machine, parameters]);
    const once = `${key} ${run.environment.date}`;
    if (seen.has(once)) continue;
    seen.add(once);
    const group = groups.get(key);
    if (group) group.runs.push(run);
    else groups.set(key, { scenario: run.scenario, machine, parameters, runs: [run] });
  }
  const newest = ({ runs: of }: RunGroup) => Date.parse(of.at(-1)?.environment.date as string);
  for (const group of groups.values()) group.runs.sort(byDate);
  return Array.from(groups.values()).sort((a, b) => newest(b) - newest(a) || (a.scenario < b.scenario ? -1 : 1));
}
