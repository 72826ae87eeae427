/** `forebay room DIR`: a folder of notes, decisions and runs as one set of pages that need no server and no network. */
import { existsSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { Progress } from '../bench/progress.ts';
import { WrongUse } from '../bench/scenario.ts';
import { isBelow } from './folder.ts';
import { readRoom } from './room.ts';
import { isReplaceable, writeSite } from './site.ts';
import { counted } from './text.ts';

const USAGE = `forebay room DIR [--out OUT] [--runs RUNS] [--name NAME] [--json]

  Makes pages of the Markdown notes below DIR: [[wikilinks]] with backlinks, tasks and \`tasks\` queries, decisions
  (tagged "decision" or below decisions/), runs and their figures over time, search, documents still missing.

  --out OUT      where to (default: ./out/room); replaced when it is a room, refused when it is something else
  --runs RUNS    another folder with results of \`forebay bench … --json FILE\`, or a history.ndjson
  --name NAME    the room's name (default: the name of DIR)
  --json         print one line of JSON with what was found
`;

const OPTIONS = {
  out: { type: 'string' },
  runs: { type: 'string' },
  name: { type: 'string' },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

function directoryOf(path: string, what: string): string {
  if (!existsSync(path)) throw new WrongUse(`${what} ${path}: there is no such directory`);
  if (!statSync(path).isDirectory()) throw new WrongUse(`${what} ${path} is not a directory`);
  return realpathSync(path);
}

/** As a real path, also when its last part is not there yet. */
function outOf(path: string): string {
  const whole = resolve(path);
  if (existsSync(whole)) return realpathSync(whole);
  const parent = dirname(whole);
  return parent === whole ? whole : join(outOf(parent), basename(whole));
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], allowPositionals: true, options: OPTIONS });
  } catch (error) {
    throw new WrongUse((error as Error).message);
  }
}

function run(argv: readonly string[], progress: Progress): number {
  const { values, positionals } = parse(argv);
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  if (positionals.length !== 1) throw new WrongUse('name one folder of notes');
  const directory = directoryOf(positionals[0] as string, 'the folder');
  const runs = values.runs === undefined ? undefined : directoryOf(values.runs, '--runs');
  const out = outOf(values.out ?? join('out', 'room'));
  for (const folder of runs === undefined ? [directory] : [directory, runs])
    if (isBelow(folder, out))
      throw new WrongUse(`--out ${out} holds ${folder}, which it would replace; name another place`);
  if (existsSync(out) && !statSync(out).isDirectory()) throw new WrongUse(`--out ${out} is not a directory`);
  if (!isReplaceable(out)) throw new WrongUse(`--out ${out} holds something that is not a room; name an empty place`);
  const say = (text: string, done: number, total: number) => progress.say(text, done, total);
  const room = readRoom(
    { name: values.name ?? (basename(directory) || 'Room'), directory, runs, leaveOut: [out] },
    say,
  );
  writeSite(room, out, say);
  progress.clear();
  const found = {
    notes: room.notes.length,
    decisions: room.decisions.length,
    openTasks: room.tasks.filter(({ isDone }) => !isDone).length,
    runs: room.runGroups.reduce((sum, { runs: of }) => sum + of.length, 0),
    missing: room.missing.length,
    problems: room.problems.length,
  };
  if (values.json) process.stdout.write(`${JSON.stringify({ out, ...found })}\n`);
  else
    process.stdout.write(
      `${join(out, 'index.html')}: ${counted(found.notes, 'note')}, ${counted(found.decisions, 'decision')}, ${counted(found.openTasks, 'open task')}, ${counted(found.runs, 'run')}, ${counted(found.missing, 'document')} still missing, ${counted(found.problems, 'problem')}\n`,
    );
  return 0;
}

/** Exit code 0: the pages are there; 1: they could not be written; 2: wrong use. */
export function roomMain(argv: readonly string[]): number {
  const progress = new Progress();
  try {
    return run(argv, progress);
  } catch (error) {
    progress.clear();
    const isWrongUse = error instanceof WrongUse;
    process.stderr.write(`forebay room: ${(error as Error).message}\n${isWrongUse ? `\n${USAGE}` : ''}`);
    return isWrongUse ? 2 : 1;
  }
}
