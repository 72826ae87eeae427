/** Tasks of notes, and the queries over them that a note may carry in a fenced `tasks` block (a subset of Obsidian Tasks). */
import { plainTag } from './front-matter.ts';

export interface Task {
  /** The note's path. */
  readonly path: string;
  /** Nearest heading above it; empty without. */
  readonly heading: string;
  /** Anchor of that heading. */
  readonly anchor: string;
  /** Markdown after the box. */
  readonly text: string;
  readonly isDone: boolean;
  readonly tags: readonly string[];
  /** `YYYY-MM-DD`. */
  readonly due: string | undefined;
}

/** A task of a list item's text (`[ ] …`, `[x] …`); undefined for any other text. */
export function taskOf(text: string, where: { path: string; heading: string; anchor: string }): Task | undefined {
  const match = /^\[([ xX/-])\]\s+(.*)$/s.exec(text);
  if (!match) return undefined;
  const rest = match[2] as string;
  return {
    ...where,
    text: rest,
    isDone: /[xX-]/.test(match[1] as string),
    tags: tagsIn(rest),
    due: /(?:📅|due::?)\s*(\d{4}-\d{2}-\d{2})/iu.exec(rest)?.[1],
  };
}

/** `#tags` in running text; a number alone is an issue's, not a tag. */
export function tagsIn(text: string): string[] {
  const tags = Array.from(text.matchAll(/(?:^|[\s(])#([\p{L}\p{N}_/-]*[\p{L}_][\p{L}\p{N}_/-]*)/gu), (match) =>
    plainTag(match[1] as string),
  );
  return Array.from(new Set(tags));
}

type Test = (task: Task) => boolean;

export interface TaskQuery {
  readonly tests: readonly Test[];
  readonly order: ((a: Task, b: Task) => number) | undefined;
  readonly limit: number;
  /** One per line that is not understood, with the line. */
  readonly errors: readonly string[];
}

export const UNDERSTOOD =
  'done · not done · path|heading|description includes X · … does not include X · tag includes #x · has tags · no tags · ' +
  'due before|after|on YYYY-MM-DD · has due date · no due date · sort by path|heading|description|due [reverse] · limit N';

const FIELDS: Readonly<Record<string, (task: Task) => string>> = {
  path: ({ path }) => path,
  heading: ({ heading }) => heading,
  description: ({ text }) => text,
  due: ({ due }) => due ?? '9999-99-99',
};

const isIn = (whole: string, part: string) => whole.toLowerCase().includes(part.toLowerCase());

/** A tag counts with all below it: `#a` finds `#a/b`. */
const hasTag = (tags: readonly string[], wanted: string) =>
  tags.some((tag) => tag === wanted || tag.startsWith(`${wanted}/`));

function testOf(line: string): Test | undefined {
  if (/^not done$/i.test(line)) return ({ isDone }) => !isDone;
  if (/^done$/i.test(line)) return ({ isDone }) => isDone;
  const has = /^(has|no) (due date|tags)$/i.exec(line);
  if (has) {
    const wanted = /^has$/i.test(has[1] as string);
    return /tags/i.test(has[2] as string)
      ? ({ tags }) => tags.length > 0 === wanted
      : ({ due }) => (due !== undefined) === wanted;
  }
  const due = /^due (before|after|on) (\d{4}-\d{2}-\d{2})$/i.exec(line);
  if (due) {
    const [, how, day] = due as unknown as [string, string, string];
    const holds = { before: (is: string) => is < day, after: (is: string) => is > day, on: (is: string) => is === day };
    return (task) => task.due !== undefined && holds[how.toLowerCase() as 'before' | 'after' | 'on'](task.due);
  }
  return includesOf(line);
}

function includesOf(line: string): Test | undefined {
  const match = /^(path|heading|description|tags?) (includes?|do(?:es)? not include) (.+)$/i.exec(line);
  if (!match) return undefined;
  const [, name, how, wanted] = match as unknown as [string, string, string, string];
  const isWanted = !/not/i.test(how);
  if (/^tag/i.test(name)) return ({ tags }) => hasTag(tags, plainTag(wanted)) === isWanted;
  const field = FIELDS[name.toLowerCase()] as (task: Task) => string;
  return (task) => isIn(field(task), wanted) === isWanted;
}

/** Reads a query; what it does not understand is an error that says what it does. */
export function parseTaskQuery(source: string): TaskQuery {
  const tests: Test[] = [];
  const errors: string[] = [];
  let order: TaskQuery['order'];
  let limit = Number.POSITIVE_INFINITY;
  for (const line of source.split('\n').map((each) => each.trim())) {
    if (line === '' || line.startsWith('#')) continue;
    const limited = /^limit(?: to)? (\d{1,6})(?: tasks?)?$/i.exec(line);
    const sorted = /^sort by (path|heading|description|due)( reverse)?$/i.exec(line);
    const test = testOf(line);
    if (limited) limit = Number(limited[1]);
    else if (sorted) order = orderOf((sorted[1] as string).toLowerCase(), sorted[2] !== undefined);
    else if (test) tests.push(test);
    else errors.push(line);
  }
  return { tests, order, limit, errors };
}

function orderOf(name: string, isReversed: boolean): NonNullable<TaskQuery['order']> {
  const field = FIELDS[name] as (task: Task) => string;
  const sign = isReversed ? -1 : 1;
  return (a, b) => sign * (field(a) < field(b) ? -1 : field(a) > field(b) ? 1 : 0);
}

export function tasksOf(query: TaskQuery, tasks: readonly Task[]): { found: readonly Task[]; total: number } {
  const found = tasks.filter((task) => query.tests.every((test) => test(task)));
  if (query.order) found.sort(query.order);
  return { found: found.slice(0, query.limit), total: found.length };
}
