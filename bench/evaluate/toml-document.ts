/**
 * A TOML file against a strict schema, for files whose keys the schema alone knows. Every complaint names the file and line and the key,
 * and for a key that is unknown the nearest known one: nothing is ignored silently.
 */
import { z } from 'zod';
import { ForebayError } from '../../src/core/errors.ts';
import { describe } from '../../src/node/config-field.ts';
import { ConfigSource } from '../../src/node/config-source.ts';
import { nearestName } from '../../src/node/nearest-name.ts';

const COMPLAINTS_MAX = 20;

/** `path` is only named in complaints. Throws ForebayError `config` with one line per complaint. */
export function parseToml<S extends z.ZodType>(path: string, text: string, schema: S): z.output<S> {
  const source = new ConfigSource();
  source.addFile(path, text);
  const result = schema.safeParse(source.value);
  if (result.success) return result.data;
  const lines = result.error.issues.flatMap((issue) => complaints(issue, schema, source));
  const more = lines.length - COMPLAINTS_MAX;
  throw new ForebayError(
    'config',
    [...lines.slice(0, COMPLAINTS_MAX), ...(more > 0 ? [`… and ${more} more`] : [])].join('\n'),
  );
}

function complaints(issue: z.core.$ZodIssue, schema: z.ZodType, source: ConfigSource): string[] {
  const at = issue.path.map(String);
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => line(source, [...at, key], unknownKey(key, keysAt(schema, at))));
  return [line(source, at, said(issue, valueAt(source.value, at)))];
}

function said(issue: z.core.$ZodIssue, given: unknown): string {
  if (issue.code === 'invalid_type')
    return given === undefined
      ? `is missing; expected ${issue.expected}`
      : `expected ${issue.expected}, got ${describe(given)}`;
  if (issue.code === 'invalid_value')
    return `expected ${issue.values.map((value) => JSON.stringify(value)).join(' or ')}, got ${describe(given)}`;
  return issue.message;
}

/** A list's entries share the line of their list: the source knows no indexes. */
function line(source: ConfigSource, at: readonly string[], message: string): string {
  const named = at.filter((part) => !/^\d+$/.test(part));
  const key = at
    .map((part) => (/^\d+$/.test(part) ? `[${Number(part) + 1}]` : part))
    .join('.')
    .replaceAll('.[', '[');
  return `${source.placeOf(named)}: ${key === '' ? '' : `${key}: `}${message}`;
}

function unknownKey(key: string, known: readonly string[]): string {
  const nearest = nearestName(key, known);
  return nearest === undefined ? 'unknown key' : `unknown key; did you mean ${nearest}? (all: ${known.join(', ')})`;
}

/** The keys that the schema knows at a place; none where it cannot say. */
function keysAt(schema: z.ZodType, at: readonly string[]): readonly string[] {
  let here: unknown = schema;
  for (const part of at) {
    const bare = unwrapped(here);
    if (bare instanceof z.ZodObject) here = bare.shape[part];
    else if (bare instanceof z.ZodArray) here = bare.element;
    else if (bare instanceof z.ZodRecord) here = bare.valueType;
    else return [];
  }
  return keysOf(unwrapped(here));
}

function keysOf(schema: unknown): readonly string[] {
  if (schema instanceof z.ZodObject) return Object.keys(schema.shape);
  if (!(schema instanceof z.ZodUnion)) return [];
  return Array.from(new Set(schema.options.flatMap((option) => keysOf(unwrapped(option)))));
}

function unwrapped(schema: unknown): unknown {
  let here = schema;
  while (true) {
    if (here instanceof z.ZodOptional || here instanceof z.ZodDefault) here = here.unwrap();
    else if (here instanceof z.ZodPipe) here = here.in;
    else return here;
  }
}

function valueAt(value: unknown, at: readonly string[]): unknown {
  let here = value;
  for (const part of at) {
    if (typeof here !== 'object' || here === null || !Object.hasOwn(here, part)) return undefined;
    here = (here as Record<string, unknown>)[part];
  }
  return here;
}
