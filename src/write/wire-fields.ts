/** Fields of JSON out of the coordinator, taken one by one: what is missing, of another type, or left over is refused. */
import { ForebayError } from '../core/errors.ts';

export function unreadable(what: string, options: { cause?: unknown } = {}): ForebayError {
  return new ForebayError('recordUnreadable', `a record in the coordinator cannot be read: ${what}`, options);
}

type Values = Readonly<Record<string, unknown>>;

const decoder = new TextDecoder('utf-8', { fatal: true });

/** Every method throws `recordUnreadable`. */
export class Fields {
  readonly #values: Values;
  readonly #taken = new Set<string>();

  private constructor(values: Values) {
    this.#values = values;
  }

  static parse(bytes: Uint8Array): Fields {
    let value: unknown;
    try {
      value = JSON.parse(decoder.decode(bytes));
    } catch (error) {
      throw unreadable('it is no JSON', { cause: error });
    }
    return Fields.of(value);
  }

  static of(value: unknown): Fields {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw unreadable('an object is missing');
    return new Fields(value as Values);
  }

  /** What `read` gives where the field is there. */
  optional<T>(name: string, read: () => T): T | undefined {
    return Object.hasOwn(this.#values, name) ? read() : undefined;
  }

  text(name: string): string {
    const value = this.#take(name);
    if (typeof value !== 'string') throw unreadable(`"${name}" is no text`);
    return value;
  }

  matching(name: string, form: RegExp): string {
    const text = this.text(name);
    if (!form.test(text)) throw unreadable(`"${name}" is ${JSON.stringify(text)}`);
    return text;
  }

  oneOf<T extends string>(name: string, values: readonly T[]): T {
    const text = this.text(name);
    const found = values.find((value) => value === text);
    if (found === undefined) throw unreadable(`"${name}" is ${JSON.stringify(text)}`);
    return found;
  }

  /** A whole number from 0 on. */
  count(name: string): number {
    const value = this.number(name);
    if (!Number.isSafeInteger(value) || value < 0) throw unreadable(`"${name}" is ${value}`);
    return value;
  }

  number(name: string): number {
    const value = this.#take(name);
    if (typeof value !== 'number') throw unreadable(`"${name}" is no number`);
    return value;
  }

  flag(name: string): boolean {
    const value = this.#take(name);
    if (typeof value !== 'boolean') throw unreadable(`"${name}" is neither true nor false`);
    return value;
  }

  fields(name: string): Fields {
    return Fields.of(this.#take(name));
  }

  /** A text, or what `read` makes of an object. */
  textOr<T>(name: string, read: (fields: Fields) => T): string | T {
    const value = this.#take(name);
    if (typeof value === 'string') return value;
    const fields = Fields.of(value);
    const found = read(fields);
    fields.end();
    return found;
  }

  list(name: string, max: number): readonly unknown[] {
    const value = this.#take(name);
    if (!Array.isArray(value) || value.length > max) throw unreadable(`"${name}" is no list of at most ${max}`);
    return value as readonly unknown[];
  }

  texts(name: string, max: number): readonly string[] {
    return this.list(name, max).map((value) => {
      if (typeof value !== 'string') throw unreadable(`"${name}" has more than texts in it`);
      return value;
    });
  }

  textMap(name: string): Readonly<Record<string, string>> {
    const values = Fields.of(this.#take(name)).#values;
    for (const value of Object.values(values))
      if (typeof value !== 'string') throw unreadable(`"${name}" has more than texts in it`);
    return values as Readonly<Record<string, string>>;
  }

  /** All were taken. */
  end(): void {
    for (const name of Object.keys(this.#values))
      if (!this.#taken.has(name)) throw unreadable(`"${name}" is not known to this version`);
  }

  #take(name: string): unknown {
    if (!Object.hasOwn(this.#values, name)) throw unreadable(`"${name}" is missing`);
    this.#taken.add(name);
    return this.#values[name];
  }
}
