/**
 * The kinds of values that configuration keys take. A field reads what TOML gave, or the text of `--set`, and otherwise
 * complains in one form: "expected …, got …; write it like …".
 */
import { z } from 'zod';
import { type Address, parseAddress } from '../core/address.ts';
import { parseDuration, parseSize } from '../core/quantity.ts';
import { SetText } from './config-source.ts';

/** A value that is understood but cannot be used; its message stands for itself. */
export class Refusal extends Error {}

export interface FieldKind<T> {
  /** Completes "expected …". */
  readonly expected: string;
  /** A line of TOML that is right. */
  readonly example: string;
  /** The value, or `undefined` where it is not of this kind. May throw `Refusal`. */
  read(value: unknown): T | undefined;
  /** What was given is not repeated in complaints. */
  readonly secret?: boolean;
  /** What the text of `--set` stands for; the text itself where absent. */
  fromText?(text: string): unknown;
}

export function field<T>(kind: FieldKind<T>) {
  return z.unknown().transform((given, context): T => {
    const complain = (message: string): never => {
      context.issues.push({ code: 'custom', message, input: given });
      return z.NEVER;
    };
    try {
      const value = given instanceof SetText ? (kind.fromText?.(given.text) ?? unquoted(given.text)) : given;
      const read = kind.read(value);
      return (
        read ??
        complain(
          `expected ${kind.expected}, got ${kind.secret && given !== undefined ? 'something else' : describe(given)}; write it like ${kind.example}`,
        )
      );
    } catch (error) {
      if (error instanceof Refusal) return complain(error.message);
      throw error;
    }
  });
}

/** What somebody wrote, as they would recognise it. */
export function describe(value: unknown): string {
  if (value instanceof SetText) return describe(value.text);
  if (typeof value === 'string') return quotedText(value);
  if (typeof value === 'number' || typeof value === 'bigint') return `the number ${value}`;
  if (typeof value === 'boolean') return `${value}`;
  if (Array.isArray(value)) return 'a list';
  if (value instanceof Date) return 'a date';
  return value === undefined ? 'nothing' : 'a table';
}

/** Quoted, cut, and without what URLs may carry of secrets. */
function quotedText(text: string): string {
  const masked = text.replace(/:\/\/[^/@\s]*@/g, '://…@').replace(/([?&]sig=)[^&]*/g, '$1…');
  return masked.length > 80 ? `${JSON.stringify(masked.slice(0, 80))}…` : JSON.stringify(masked);
}

/** A shell may have kept TOML's quotes. */
function unquoted(text: string): string {
  return /^"[^"\\]*"$|^'[^']*'$/.test(text) ? text.slice(1, -1) : text;
}

const booleans: Readonly<Record<string, boolean>> = { true: true, false: false };

export function boolean(key: string) {
  return field<boolean>({
    expected: 'true or false',
    example: `${key} = true`,
    read: (value) => (typeof value === 'boolean' ? value : undefined),
    fromText: (text) => booleans[text],
  });
}

export function text(key: string, example: string, pattern: RegExp = /^[^\0]{1,4096}$/, expected = 'text') {
  return field<string>({
    expected,
    example: `${key} = "${example}"`,
    read: (value) => (typeof value === 'string' && pattern.test(value) ? value : undefined),
  });
}

export function size(
  key: string,
  example: string,
  bounds: { min: number; max: number; multipleOf?: number; says: string },
) {
  return field<number>({
    expected: `a size ${bounds.says}`,
    example: `${key} = "${example}"`,
    read(value) {
      const bytes = typeof value === 'string' ? parseSize(value) : undefined;
      if (bytes === undefined || bytes < bounds.min || bytes > bounds.max) return undefined;
      return bytes % (bounds.multipleOf ?? 1) === 0 ? bytes : undefined;
    },
  });
}

/** A duration in milliseconds, or one of the words. */
export function duration(key: string, example: string, words: Readonly<Record<string, number>>) {
  const named = Object.keys(words).map((word) => `"${word}"`);
  return field<number>({
    expected: `a duration${named.length > 0 ? ` or ${named.join(' or ')}` : ''}`,
    example: `${key} = "${example}"`,
    read(value) {
      if (typeof value !== 'string') return undefined;
      return Object.hasOwn(words, value) ? words[value] : parseDuration(value);
    },
  });
}

export function choice<const T extends string>(
  key: string,
  choices: readonly T[],
  later: Readonly<Record<string, string>> = {},
) {
  const all = [...choices, ...Object.keys(later)];
  return field<T>({
    expected: all.map((word) => `"${word}"`).join(' or '),
    example: `${key} = "${choices[0]}"`,
    read(value) {
      const hit = choices.find((word) => word === value);
      if (hit === undefined && typeof value === 'string' && Object.hasOwn(later, value))
        throw new Refusal(`"${value}" ${comesLater(later[value] as string)}; use "${choices.join('" or "')}" for now`);
      return hit;
    },
  });
}

export function door(key: string, example: string) {
  return field<Address | false>({
    expected: 'an address (HOST:PORT, port 0 for any free one) or false',
    example: `${key} = "${example}"`,
    read(value) {
      if (value === false) return false;
      return typeof value === 'string' ? parseAddress(value) : undefined;
    },
    fromText: (given) => booleans[given],
  });
}

/** An address for others to come to. */
export function advertised(key: string, example: string) {
  return field<Address>({
    expected: 'an address that other nodes reach (HOST:PORT, port 0 for that of doors.peer)',
    example: `${key} = "${example}"`,
    read: (value) => (typeof value === 'string' ? parseAddress(value) : undefined),
  });
}

export function list(key: string, example: string, entry: { pattern: RegExp; says: string }) {
  return field<readonly string[]>({
    expected: `a list of ${entry.says}`,
    example: `${key} = ${example}`,
    read(value) {
      const right = Array.isArray(value) && value.every((item) => typeof item === 'string' && entry.pattern.test(item));
      return right ? (value as string[]) : undefined;
    },
    fromText: (given) => {
      if (given.trim() === '[]') return [];
      const entries = given.replace(/^\[|\]$/g, '').split(',');
      return entries.map((item) => unquoted(item.trim()));
    },
  });
}

/** A key of the contract whose every value belongs to a later version; `allowed` are values that mean "without it". */
export function later(what: string, allowed: readonly unknown[] = []) {
  return field<unknown>({
    expected: '',
    example: '',
    read(value) {
      const hit = allowed.find((other) => other === value || String(other) === value);
      if (hit !== undefined) return hit;
      const instead = allowed.length > 0 ? `set it to ${JSON.stringify(allowed[0])}, or remove it,` : 'remove it';
      throw new Refusal(`${what} ${comesLater('')}; ${instead} for now`);
    },
  });
}

function comesLater(what: string): string {
  return `${what === '' ? '' : `(${what}) `}comes with a later version`;
}
