/** Trials on disk as they end, so that an evaluation that was interrupted goes on where it was. */
import { createHash } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Environment } from '../environment.ts';
import { WrongUse } from '../scenario.ts';
import type { Trial } from './results.ts';

const FILE = 'trials.ndjson';

/** What trials must have in common to be compared. */
interface Head {
  readonly format: 1;
  readonly evaluation: string;
  readonly environment: Omit<Environment, 'date'>;
}

const keyOf = ({ candidate, scenario, round }: Pick<Trial, 'candidate' | 'scenario' | 'round'>) =>
  JSON.stringify([candidate, scenario, round]);

export class TrialJournal {
  readonly #file: number;
  readonly #trials: Map<string, Trial>;

  private constructor(file: number, trials: readonly Trial[]) {
    this.#file = file;
    this.#trials = new Map(trials.map((trial) => [keyOf(trial), trial]));
  }

  /**
   * `resume`: goes on with what is there. Throws WrongUse where there is something and it does not, or where that is of
   * another evaluation or was measured elsewhere.
   */
  static open(
    directory: string,
    options: { evaluation: string; environment: Environment; resume: boolean },
  ): TrialJournal {
    const { date: _, ...environment } = options.environment;
    const evaluation = createHash('sha256').update(options.evaluation).digest('hex');
    const head: Head = { format: 1, evaluation, environment };
    mkdirSync(directory, { recursive: true });
    const path = join(directory, FILE);
    const isThere = existsSync(path);
    const journal = new TrialJournal(openSync(path, 'a'), isThere ? readTrials(path, head, options.resume) : []);
    // ends a line that was cut in half
    if (isThere) journal.#write('');
    else journal.#write(JSON.stringify(head));
    return journal;
  }

  get trials(): readonly Trial[] {
    return Array.from(this.#trials.values());
  }

  has(trial: Pick<Trial, 'candidate' | 'scenario' | 'round'>): boolean {
    return this.#trials.has(keyOf(trial));
  }

  add(trial: Trial): void {
    this.#trials.set(keyOf(trial), trial);
    this.#write(JSON.stringify(trial));
  }

  close(): void {
    closeSync(this.#file);
  }

  #write(line: string): void {
    writeSync(this.#file, `${line}\n`);
    fsyncSync(this.#file);
  }
}

function readTrials(path: string, head: Head, resume: boolean): Trial[] {
  if (!resume) throw new WrongUse(`${path} has trials already: go on with --resume, or name another folder with --out`);
  const [first = '', ...lines] = readFileSync(path, 'utf8').split('\n');
  const there = parsed<Head>(first);
  if (there?.evaluation !== head.evaluation)
    throw new WrongUse(
      `${path} is of another evaluation, or of this one before it was changed: name another folder with --out`,
    );
  for (const [name, value] of Object.entries(head.environment))
    if (JSON.stringify(there.environment[name as keyof Head['environment']]) !== JSON.stringify(value))
      throw new WrongUse(
        `${path} was measured in another environment (${name} is ${JSON.stringify(value)} here): results are not compared across environments; name another folder with --out`,
      );
  // the last line may have been cut in half
  return lines.map((line) => parsed<Trial>(line)).filter((trial) => trial !== undefined);
}

function parsed<T>(line: string): T | undefined {
  try {
    return JSON.parse(line) as T;
  } catch {
    return undefined;
  }
}
