/** `forebay bench …`: runs a scenario, prints its table, keeps its result. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, parse } from 'node:path';
import { parseArgs } from 'node:util';
import { fanInReadScenario } from './fan-in-read/fan-in-read-scenario.ts';
import { fanOutReadScenario } from './fan-out-read/fan-out-read-scenario.ts';
import { fanOutWriteScenario } from './fan-out-write/fan-out-write-scenario.ts';
import { isInterrupted } from './interrupt.ts';
import { localScenario } from './local/local-scenario.ts';
import { Progress } from './progress.ts';
import { appendHistory, resultTable, writeResult } from './result.ts';
import { type OptionValues, type Scenario, WrongUse } from './scenario.ts';

const SCENARIOS: readonly Scenario[] = [localScenario, fanOutReadScenario, fanOutWriteScenario, fanInReadScenario];

const COMMON = {
  json: { type: 'string' },
  full: { type: 'boolean', default: false },
  self: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

const USAGE = `forebay bench SCENARIO [--json FILE] [--full] [--self] …

  --json FILE          write the result with its trials to FILE, and plots beside it
  --full               more trials, and the sweeps
  --self               compare Forebay with itself: must come out as "no difference"

${SCENARIOS.map(({ synopsis, help }) => `forebay bench ${synopsis}\n\n  ${help}\n`).join('\n')}`;

function scenarioOf(name: string | undefined): Scenario {
  const found = SCENARIOS.find((scenario) => scenario.name === name);
  if (found === undefined) throw new WrongUse(name === undefined ? 'name a scenario' : `unknown scenario: ${name}`);
  return found;
}

/** The scenario's name comes first; options before it are looked at by name only. */
function parseLine(argv: readonly string[]): { scenario: Scenario; values: OptionValues } | 'help' {
  if (argv.includes('--help')) return 'help';
  const scenario = scenarioOf(argv.find((argument) => !argument.startsWith('-')));
  try {
    const options = { ...COMMON, ...scenario.options };
    const { values, positionals } = parseArgs({ args: [...argv], allowPositionals: true, options });
    if (positionals.length > 1) throw new WrongUse(`one scenario at a time: ${positionals.join(' ')}`);
    return { scenario, values: values as OptionValues };
  } catch (error) {
    throw error instanceof WrongUse ? error : new WrongUse((error as Error).message);
  }
}

/** Exit code 0: measured, and nothing was missed; 1: a target was missed, or measuring failed; 2: wrong use. */
export async function benchMain(argv: readonly string[]): Promise<number> {
  const progress = new Progress();
  try {
    const parsed = parseLine(argv);
    if (parsed === 'help') {
      process.stdout.write(USAGE);
      return 0;
    }
    const { scenario, values } = parsed;
    const { result, plots } = await scenario.run(values, progress);
    progress.clear();
    process.stdout.write(`${resultTable(result, process.stdout.isTTY)}`);
    appendHistory(result);
    const json = values['json'] as string | undefined;
    if (json !== undefined) {
      writeResult(result, json);
      writePlots(plots, json);
    }
    const figures = Object.values(result.figures);
    const told = values['self'] === true && figures.some(({ beside }) => !beside?.startsWith('no difference'));
    return told || figures.some(({ verdict }) => verdict === 'missed') ? 1 : 0;
  } catch (error) {
    progress.clear();
    if (isInterrupted()) return new Promise(() => undefined); // ends when all is cleaned up
    const { message } = error as Error;
    process.stderr.write(
      error instanceof WrongUse ? `forebay bench: ${message}\n\n${USAGE}` : `forebay bench: ${message}\n`,
    );
    return error instanceof WrongUse ? 2 : 1;
  }
}

/** `result.json` gets `result-hit-speed.svg` and so on beside it. */
function writePlots(plots: Readonly<Record<string, string>>, resultFile: string): void {
  mkdirSync(dirname(resultFile), { recursive: true });
  for (const [name, svg] of Object.entries(plots))
    writeFileSync(join(dirname(resultFile), `${parse(resultFile).name}-${name}.svg`), svg);
}
