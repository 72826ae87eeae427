/** How a simulation is run and told, whatever it simulates. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { environmentOf } from '../environment.ts';
import { Progress } from '../progress.ts';
import { type Figure, resultTable, writeResult } from '../result.ts';
import { type OptionValues, WrongUse } from '../scenario.ts';

export interface Simulated {
  readonly figures: Readonly<Record<string, Figure>>;
  readonly trials: Readonly<Record<string, readonly unknown[]>>;
  readonly plot: string;
  readonly table?: string;
}

/** What a command line asks for. */
interface Asked {
  /** `json` and `plot` name files. */
  readonly values: OptionValues;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly run: (progress: Progress) => Simulated;
}

function writeText(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

/** Runs what `ask` makes of the command line; the exit code. */
export function reportSimulation(name: string, usage: string, ask: () => Asked | 'help'): number {
  const progress = new Progress();
  try {
    const asked = ask();
    if (asked === 'help') {
      process.stdout.write(usage);
      return 0;
    }
    const { values, parameters } = asked;
    const { figures, trials, plot, table } = asked.run(progress);
    const scenario = `simulate ${name}`;
    const result = { scenario, environment: environmentOf(process.cwd()), parameters, figures, trials };
    if (table !== undefined) process.stdout.write(`${table}\n`);
    process.stdout.write(resultTable(result, process.stdout.isTTY));
    if (typeof values['json'] === 'string') writeResult(result, values['json']);
    if (typeof values['plot'] === 'string') writeText(values['plot'], plot);
    return Object.values(figures).some(({ verdict }) => verdict === 'missed') ? 1 : 0;
  } catch (error) {
    const { message } = error as Error;
    const wrong = error instanceof WrongUse;
    process.stderr.write(wrong ? `forebay simulate: ${message}\n\n${usage}` : `forebay simulate: ${message}\n`);
    return wrong ? 2 : 1;
  }
}
