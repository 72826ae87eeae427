/** The YAML at the head of a note. What is wrong with it is said; the note is shown all the same. */
import { parseDocument } from 'yaml';

export interface FrontMatter {
  readonly title: string | undefined;
  readonly tags: readonly string[];
  readonly aliases: readonly string[];
  /** `YYYY-MM-DD`, the first of `date`, `decided`, `updated`, `created`. */
  readonly date: string | undefined;
  readonly status: string | undefined;
  /** Everything else, as text. */
  readonly properties: readonly (readonly [name: string, value: string])[];
}

export interface SplitNote {
  readonly matter: FrontMatter;
  /** The Markdown after the front matter. */
  readonly body: string;
  /** Lines of the file before `body`. */
  readonly bodyLine: number;
  readonly errors: readonly string[];
}

const FRONT_MATTER_CHARACTERS_MAX = 65_536;
const DATE_NAMES = ['date', 'decided', 'updated', 'created'] as const;
const NAMED = new Set<string>(['title', 'tags', 'tag', 'aliases', 'alias', 'status', ...DATE_NAMES]);

const NOTHING: FrontMatter = {
  title: undefined,
  tags: [],
  aliases: [],
  date: undefined,
  status: undefined,
  properties: [],
};

function text(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (Array.isArray(value)) return value.map(text).join(', ');
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** `a, b`, `[a, b]`, or one name. */
function names(value: unknown, separator: RegExp): string[] {
  if (value === null || value === undefined) return [];
  const parts = Array.isArray(value) ? value.flatMap((part) => text(part)) : text(value).split(separator);
  return parts.map((part) => part.trim()).filter((part) => part !== '');
}

export const plainTag = (tag: string): string => tag.replace(/^#/, '').toLowerCase();

/** The date in front of a text that begins with one; undefined when there is no such day. */
function dayOf(value: string): string | undefined {
  const day = /^(\d{4}-\d{2}-\d{2})(?:$|[T ])/.exec(value.trim())?.[1];
  if (day === undefined) return undefined;
  const at = new Date(`${day}T00:00:00Z`);
  return !Number.isNaN(at.getTime()) && at.toISOString().startsWith(day) ? day : undefined;
}

function matterOf(values: Readonly<Record<string, unknown>>, errors: string[]): FrontMatter {
  const own = (name: string): unknown => (Object.hasOwn(values, name) ? values[name] : undefined);
  let date: string | undefined;
  for (const name of DATE_NAMES) {
    const value = own(name);
    if (value === undefined || value === null) continue;
    const day = dayOf(text(value));
    if (day === undefined) errors.push(`front matter: ${name} is "${text(value)}"; write it like 2026-01-31`);
    date ??= day;
  }
  return {
    title: text(own('title')).trim() || undefined,
    tags: [...names(own('tags'), /[\s,]+/), ...names(own('tag'), /[\s,]+/)].map(plainTag),
    aliases: [...names(own('aliases'), /,/), ...names(own('alias'), /,/)],
    date,
    status: text(own('status')).trim() || undefined,
    properties: Object.entries(values)
      .filter(([name]) => !NAMED.has(name))
      .map(([name, value]) => [name, text(value)] as const),
  };
}

export function splitNote(source: string): SplitNote {
  const whole = source.replace(/^\uFEFF/, '').replace(/\r\n?/g, '\n');
  const head = /^---[ \t]*\n/.exec(whole);
  if (!head) return { matter: NOTHING, body: whole, bodyLine: 0, errors: [] };
  const end = /^(?:---|\.\.\.)[ \t]*$/m.exec(whole.slice(head[0].length));
  // A rule at the head of a note looks the same: only what is like `name:` or empty counts as front matter that was not ended.
  if (!end) {
    const isMeant = /^(\s*[\w-]+\s*:|\s*$)/.test(whole.slice(head[0].length).split('\n')[0] ?? '');
    const errors = isMeant ? ['front matter: it begins with --- and no line with --- ends it'] : [];
    return { matter: NOTHING, body: whole, bodyLine: 0, errors };
  }
  const yaml = whole.slice(head[0].length, head[0].length + end.index);
  const body = whole.slice(head[0].length + end.index + end[0].length);
  const bodyLine = whole.slice(0, whole.length - body.length).split('\n').length - 1;
  const errors: string[] = [];
  return { matter: parseMatter(yaml, errors), body, bodyLine, errors };
}

function parseMatter(yaml: string, errors: string[]): FrontMatter {
  if (yaml.length > FRONT_MATTER_CHARACTERS_MAX) {
    errors.push(`front matter: longer than ${FRONT_MATTER_CHARACTERS_MAX} characters`);
    return NOTHING;
  }
  try {
    const document = parseDocument(yaml, { prettyErrors: false, logLevel: 'silent' });
    for (const { message, pos } of document.errors)
      errors.push(`front matter, line ${yaml.slice(0, pos[0]).split('\n').length + 1}: ${message}`);
    if (document.errors.length > 0) return NOTHING;
    const values: unknown = document.toJS({ maxAliasCount: 100 });
    if (values === null || values === undefined) return NOTHING;
    if (typeof values !== 'object' || Array.isArray(values)) {
      errors.push('front matter: expected lines like "title: …"');
      return NOTHING;
    }
    return matterOf(values as Record<string, unknown>, errors);
  } catch (error) {
    errors.push(`front matter: ${(error as Error).message}`);
    return NOTHING;
  }
}
