/**
 * Where configuration values come from: a TOML file and command-line options laid over it. Remembers for each key
 * its file and line or its option, so that a complaint can point at it.
 */
import { parse, TomlError } from 'smol-toml';
import { ForebayError } from '../core/errors.ts';

type Table = Record<string, unknown>;

/** A value given by `--set`: text whose type only its key knows. */
export class SetText {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

export class ConfigSource {
  readonly value: Table = {};
  readonly #options = new Map<string, string>();
  #file: { path: string; lines: ReadonlyMap<string, number> } | undefined;

  addFile(path: string, text: string): void {
    try {
      for (const [name, value] of Object.entries(parse(text))) define(this.value, name, value);
    } catch (error) {
      if (!(error instanceof TomlError)) throw error;
      const reason = (error.message.split('\n')[0] ?? '').replace(/^Invalid TOML document: /, '');
      throw new ForebayError('config', `${path}:${error.line}:${error.column}: not TOML: ${reason}`, { cause: error });
    }
    this.#file = { path, lines: keyLines(text) };
  }

  /** `NAME=ORIGIN`. */
  addVolume(text: string): void {
    const at = text.indexOf('=');
    if (at < 1 || at === text.length - 1)
      throw new ForebayError('config', `--volume ${text}: write it like --volume models=az://account/container`);
    this.#put(['volumes', text.slice(0, at), 'origin'], new SetText(text.slice(at + 1)), `--volume ${text}`);
  }

  /** `dotted.key=value`. */
  addSet(text: string): void {
    const at = text.indexOf('=');
    const path = at < 1 ? undefined : parseKeyPath(text.slice(0, at));
    if (!path) throw new ForebayError('config', `--set ${text.split('=')[0]}: write it like --set node.capacity=7TiB`);
    this.#put(path, new SetText(text.slice(at + 1)), `--set ${text.slice(0, at)}`);
  }

  /** `forebay.toml:12` or `--set node.capacity`; empty where the value came from nowhere. */
  placeOf(path: readonly string[]): string {
    for (let length = path.length; length > 0; length--) {
      const key = pathKey(path.slice(0, length));
      const option = this.#options.get(key);
      if (option !== undefined) return option;
      const line = this.#file?.lines.get(key);
      if (line !== undefined) return `${this.#file?.path}:${line}`;
    }
    return this.#file?.path ?? '';
  }

  #put(path: readonly string[], value: SetText, option: string): void {
    let table = this.value;
    for (const name of path.slice(0, -1)) {
      const next = Object.hasOwn(table, name) ? table[name] : undefined;
      if (typeof next === 'object' && next !== null && !(next instanceof SetText)) table = next as Table;
      else table = define(table, name, {}) as Table;
    }
    define(table, path.at(-1) as string, value);
    this.#options.set(pathKey(path), option);
  }
}

/** Sets an own property, whatever its name: `__proto__` too is only an unknown key. */
function define(table: Table, name: string, value: unknown): unknown {
  Object.defineProperty(table, name, { value, enumerable: true, configurable: true, writable: true });
  return value;
}

function pathKey(path: readonly string[]): string {
  return JSON.stringify(path);
}

/** A TOML key (`a.b."c.d"`) as its names; `undefined` where it is not one. */
function parseKeyPath(key: string): string[] | undefined {
  const names: string[] = [];
  let rest = key.trim();
  while (rest !== '') {
    const match = /^(?:"([^"\\]+)"|'([^']+)'|([A-Za-z0-9_-]+))\s*(\.\s*(?=.)|$)/.exec(rest);
    if (!match) return undefined;
    names.push((match[1] ?? match[2] ?? match[3]) as string);
    rest = rest.slice(match[0].length);
  }
  return names.length === 0 ? undefined : names;
}

/** The line of each table header and key of a document that has already been parsed; keys inside inline tables have their table's. */
function keyLines(text: string): Map<string, number> {
  const lines = new Map<string, number>();
  const remember = (path: readonly string[], line: number): void => {
    for (let length = 1; length <= path.length; length++) {
      const key = pathKey(path.slice(0, length));
      if (!lines.has(key)) lines.set(key, line);
    }
  };
  let table: string[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const header = /^\s*\[\[?([^\]]+)\]\]?\s*(?:#.*)?\r?$/.exec(line);
    const assigned = header ? null : /^\s*((?:"[^"]*"|'[^']*'|[\w.\s-])+?)\s*=/.exec(line);
    if (header) table = parseKeyPath(header[1] as string) ?? table;
    const path = header ? table : assigned ? [...table, ...(parseKeyPath(assigned[1] as string) ?? [])] : [];
    remember(path, index + 1);
  }
  return lines;
}
