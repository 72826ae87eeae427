/** `forebay bench …`: runs a scenario, prints its table, keeps its result. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, parse } from 'node:path';
import { parseArgs } from 'node:util';
import { LOCAL_FIGURES, runLocal } from './local/local.ts';
import { Progress } from './progress.ts';
import { appendHistory, resultTable, writeResult } from './result.ts';
import { findTool } from './tool.ts';

const USAGE = `forebay bench local [--json FILE] [--full] [--self] [--only FIGURE]… [--directory DIR]

  local            one node against nginx on this machine, within 10 minutes

  --json FILE      write the result with its trials to FILE, and plots beside it
  --full           more trials
  --self           compare Forebay with itself: must come out as "no difference"
  --only FIGURE    measure only this one; may be repeated:
                   ${LOCAL_FIGURES.join('\n                   ')}
  --directory DIR  where caches lie meanwhile (default: the temporary directory)
`;

const BASELINE_TOOLS = ['nginx', 'wrk'] as const;

class WrongUse extends Error {
  override name = 'WrongUse';
}

function argumentsOf(argv: readonly string[]) {
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        json: { type: 'string' },
        full: { type: 'boolean', default: false },
        self: { type: 'boolean', default: false },
        only: { type: 'string', multiple: true, default: [] },
        directory: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    });
    return { ...values, positionals };
  } catch (error) {
    throw new WrongUse((error as Error).message);
  }
}

function checkUse(options: ReturnType<typeof argumentsOf>): void {
  const [scenario, ...more] = options.positionals;
  if (scenario !== 'local' || more.length > 0)
    throw new WrongUse(
      scenario === undefined ? 'name a scenario' : `unknown scenario: ${options.positionals.join(' ')}`,
    );
  const unknown = options.only.find((name) => !LOCAL_FIGURES.includes(name));
  if (unknown !== undefined) throw new WrongUse(`unknown figure: ${unknown}`);
  const missing = BASELINE_TOOLS.filter((name) => findTool(name) === undefined);
  if (missing.length > 0) throw new WrongUse(`install ${missing.join(' and ')} first: a bench needs its baseline`);
}

/** Exit code 0: measured, and nothing was missed; 1: a target was missed, or measuring failed; 2: wrong use. */
export async function benchMain(argv: readonly string[]): Promise<number> {
  const progress = new Progress();
  try {
    const options = argumentsOf(argv);
    if (options.help) {
      process.stdout.write(USAGE);
      return 0;
    }
    checkUse(options);
    const { full, self, only, directory } = options;
    const { result, plots } = await runLocal({ full, self, only, ...(directory && { directory }) }, progress);
    progress.clear();
    process.stdout.write(`${resultTable(result, process.stdout.isTTY)}`);
    appendHistory(result);
    if (options.json !== undefined) {
      writeResult(result, options.json);
      writePlots(plots, options.json);
    }
    const figures = Object.values(result.figures);
    const told = self && figures.some(({ beside }) => !beside?.startsWith('no difference'));
    return told || figures.some(({ verdict }) => verdict === 'missed') ? 1 : 0;
  } catch (error) {
    progress.clear();
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
