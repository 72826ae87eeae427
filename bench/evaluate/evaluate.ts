/** `forebay evaluate …`: runs an evaluation, and writes what follows from it. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ForebayError } from '../../src/core/errors.ts';
import { environmentOf } from '../environment.ts';
import { isInterrupted } from '../interrupt.ts';
import { Progress } from '../progress.ts';
import { alignedTable, shown } from '../result.ts';
import { WrongUse } from '../scenario.ts';
import { type Conclusion, conclude } from './conclusion.ts';
import { type Evaluation, parseEvaluation } from './evaluation.ts';
import { parseFacts } from './facts.ts';
import { TrialJournal } from './journal.ts';
import { reportFiles } from './report/report.ts';
import { parseRequirements } from './requirements.ts';
import { MEASURES, type Results } from './results.ts';
import { resultsOf, runTrials } from './run.ts';

const USAGE = `forebay evaluate EVALUATION.toml [--out DIR] [--resume] [--rounds N] [--shaping kernel|user]
forebay evaluate [EVALUATION.toml] --results RESULTS.json [--out DIR]

  Runs every candidate over every scenario, and ends in one recommendation or says what is missing. As root links are shaped by the kernel, and
  candidates may mount.

  --out DIR            where the report goes: index.html, briefs, report.md, results.json, trials (default: ./evaluation-NAME)
  --resume             go on with the trials that DIR has
  --rounds N           in place of the evaluation's
  --shaping WAY        how links are shaped (default: by the kernel where that can be)
  --results FILE       measures nothing: writes the report of results that are there, by the evaluation's requirements and facts
`;

interface Asked {
  readonly file: string | undefined;
  readonly out: string | undefined;
  readonly resume: boolean;
  readonly rounds: number | undefined;
  readonly shaping: 'kernel' | 'user' | undefined;
  readonly results: string | undefined;
}

function parseLine(argv: readonly string[]): Asked | 'help' {
  const options = {
    out: { type: 'string' },
    resume: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    shaping: { type: 'string' },
    results: { type: 'string' },
    help: { type: 'boolean', default: false },
  } as const;
  let parsed: ReturnType<typeof parseArgs<{ options: typeof options; allowPositionals: true }>>;
  try {
    parsed = parseArgs({ args: [...argv], options, allowPositionals: true });
  } catch (error) {
    throw new WrongUse((error as Error).message);
  }
  const { values, positionals } = parsed;
  if (values.help) return 'help';
  const [file] = positionals;
  if (file === undefined && values.results === undefined)
    throw new WrongUse('name an evaluation, such as evaluations/quick.toml');
  if (positionals.length > 1) throw new WrongUse('one evaluation at a time');
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
  if (rounds !== undefined && !(Number.isInteger(rounds) && rounds >= 1 && rounds <= 100))
    throw new WrongUse(`--rounds ${values.rounds}: expected a whole number from 1 to 100`);
  const { shaping } = values;
  if (shaping !== undefined && shaping !== 'kernel' && shaping !== 'user')
    throw new WrongUse(`--shaping ${shaping}: expected kernel or user`);
  return { file, out: values.out, resume: values.resume, rounds, shaping, results: values.results };
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new WrongUse(`${file} cannot be read: ${(error as Error).message}`);
  }
}

/** What an evaluation names beside itself; checked before anything is measured. */
function besides({ requirements, facts }: Evaluation, file: string) {
  const beside = (name: string) => resolve(dirname(file), name);
  return {
    ...(requirements !== undefined && {
      requirements: parseRequirements(requirements, textOf(beside(requirements))),
    }),
    ...(facts !== undefined && { facts: parseFacts(facts, textOf(beside(facts))) }),
  };
}

async function measured(
  file: string,
  asked: Asked,
  progress: Progress,
): Promise<{ conclusion: Conclusion; out: string }> {
  const { resume, rounds, shaping } = asked;
  const text = textOf(file);
  const parsed = parseEvaluation(file, text);
  const evaluation = { ...parsed, rounds: rounds ?? parsed.rounds };
  const given = besides(evaluation, file);
  const out = asked.out ?? `evaluation-${evaluation.name.replaceAll(/[^A-Za-z0-9_-]/g, '_')}`;
  mkdirSync(out, { recursive: true });
  const journal = TrialJournal.open(out, { evaluation: text, environment: environmentOf(out), resume });
  try {
    const how = await runTrials({ evaluation, journal, ...(shaping && { shaping }) }, progress);
    const command = ['forebay', 'evaluate', file, ...(rounds === undefined ? [] : ['--rounds', rounds])].join(' ');
    const results = resultsOf(evaluation, journal.trials, { command, shaping: how, directory: out });
    return { conclusion: conclude(results, given), out };
  } finally {
    journal.close();
  }
}

function told(from: string, { file, out }: Asked): { conclusion: Conclusion; out: string } {
  const given = file === undefined ? {} : besides(parseEvaluation(file, textOf(file)), file);
  return { conclusion: conclude(resultsIn(from), given), out: out ?? dirname(from) };
}

function resultsIn(file: string): Results {
  try {
    const results = JSON.parse(textOf(file)) as Results;
    if (results.format === 1) return results;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new WrongUse(`${file} is no results.json of an evaluation by this version`);
}

function table({ results }: Conclusion): string {
  const rows = results.cells.map(({ candidate, scenario, status, reason }) => {
    const figures = MEASURES[scenario].flatMap((measure) => {
      const found = results.figures.find(
        (figure) => figure.candidate === candidate && figure.scenario === scenario && figure.measure === measure,
      );
      return found === undefined ? [] : [`${measure} ${shown(found.median)}`];
    });
    return [scenario, candidate, status, figures.length > 0 ? figures.join('  ') : (reason ?? '').slice(0, 100)];
  });
  return alignedTable([
    ['scenario', 'candidate', 'status', ''],
    ...rows.sort(([a = ''], [b = '']) => (a < b ? -1 : 1)),
  ]);
}

function writeReport(conclusion: Conclusion, out: string): void {
  mkdirSync(out, { recursive: true });
  for (const [name, content] of Object.entries(reportFiles(conclusion))) writeFileSync(join(out, name), content);
  writeFileSync(join(out, 'results.json'), `${JSON.stringify(conclusion.results, undefined, 2)}\n`);
}

/** Exit code 0: there is a report, whatever it says; 1: measuring failed; 2: wrong use. */
export async function evaluateMain(argv: readonly string[]): Promise<number> {
  const progress = new Progress();
  try {
    const asked = parseLine(argv);
    if (asked === 'help') {
      process.stdout.write(USAGE);
      return 0;
    }
    const { conclusion, out } =
      asked.results === undefined ? await measured(asked.file as string, asked, progress) : told(asked.results, asked);
    progress.clear();
    writeReport(conclusion, out);
    process.stdout.write(`${table(conclusion)}\n\n${conclusion.recommendation.answer}\n\n${join(out, 'index.html')}\n`);
    return 0;
  } catch (error) {
    progress.clear();
    if (isInterrupted()) return new Promise(() => undefined); // ends when all is cleaned up
    const isWrongUse = error instanceof WrongUse || (error instanceof ForebayError && error.code === 'config');
    process.stderr.write(
      `forebay evaluate: ${(error as Error).message}\n${error instanceof WrongUse ? `\n${USAGE}` : ''}`,
    );
    return isWrongUse ? 2 : 1;
  }
}
