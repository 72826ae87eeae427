/** Turns what the schema found into one line per complaint: place, key, what is wrong, what to write. */
import type { z } from 'zod';
import { describe } from './config-field.ts';
import { KNOWN_KEYS } from './config-schema.ts';
import { type ConfigSource, SetText } from './config-source.ts';
import { editDistance, nearestName } from './nearest-name.ts';

const COMPLAINTS_MAX = 20;

export function explainIssues(issues: readonly z.core.$ZodIssue[], source: ConfigSource): string[] {
  const lines = issues.flatMap((issue) => explain(issue, source));
  const more = lines.length - COMPLAINTS_MAX;
  return more > 0 ? [...lines.slice(0, COMPLAINTS_MAX), `… and ${more} more`] : lines;
}

function explain(issue: z.core.$ZodIssue, source: ConfigSource): string[] {
  const path = issue.path.map(String);
  const given = valueAt(source.value, path);
  if (issue.code === 'unrecognized_keys' && !(given instanceof SetText))
    return issue.keys.map((key) => line(source, [...path, key], unknownKey(path, key)));
  if (issue.code === 'custom')
    return [line(source, path, issue.message === '' ? 'is not valid' : missing(issue.message, given))];
  return [line(source, path, `expected a table, got ${describe(given)}; write it like [${path.join('.')}]`)];
}

function line(source: ConfigSource, path: readonly string[], message: string): string {
  const place = source.placeOf(path);
  return `${place === '' ? '' : `${place}: `}${path.map(quoteKey).join('.')}: ${message}`;
}

function missing(message: string, given: unknown): string {
  return given === undefined ? message.replace(', got nothing', ', but it is missing') : message;
}

function unknownKey(table: readonly string[], key: string): string {
  const known = keysOf(table);
  const elsewhere = Object.entries(KNOWN_KEYS).find(([name, keys]) => name !== pattern(table) && keys.includes(key));
  const nearest = nearestName(key, known);
  if (nearest === undefined) return 'unknown key';
  const near = editDistance(key, nearest) <= Math.max(1, key.length / 3);
  if (!near && elsewhere) return `unknown key; did you mean ${[elsewhere[0], key].join('.').replace('*', 'NAME')}?`;
  const suggestion = [...table.map(quoteKey), nearest].join('.');
  if (near) return `unknown key; did you mean ${suggestion}?`;
  return `unknown key; the nearest known one is ${suggestion} (all: ${known.join(', ')})`;
}

function pattern(table: readonly string[]): string {
  return table.length === 2 ? `${table[0]}.*` : table.join('.');
}

function keysOf(table: readonly string[]): readonly string[] {
  return KNOWN_KEYS[pattern(table)] ?? [];
}

function quoteKey(name: string): string {
  return /^[A-Za-z0-9_-]+$/.test(name) ? name : JSON.stringify(name);
}

function valueAt(value: unknown, path: readonly string[]): unknown {
  let at = value;
  for (const name of path) {
    if (typeof at !== 'object' || at === null || at instanceof SetText || !Object.hasOwn(at, name)) return undefined;
    at = (at as Record<string, unknown>)[name];
  }
  return at;
}
