/** Answers as RESP2 and RESP3 write them; text has one character per byte. */
import type { ForebayError } from '../../core/errors.ts';

export const OK = '+OK\r\n';

/** A miss. */
export const nil = (resp3: boolean): string => (resp3 ? '_\r\n' : '$-1\r\n');
export const integer = (value: number): string => `:${value}\r\n`;
export const simple = (text: string): string => `+${text}\r\n`;
export const bulk = (text: string): string => `$${text.length}\r\n${text}\r\n`;
export const arrayHead = (length: number): string => `*${length}\r\n`;
export const array = (items: readonly string[]): string => `*${items.length}\r\n${items.join('')}`;
/** Keys and values in turn; an array in RESP2. */
export const map = (items: readonly string[], resp3: boolean): string =>
  resp3 ? `%${items.length / 2}\r\n${items.join('')}` : array(items);
export const set = (items: readonly string[], resp3: boolean): string =>
  resp3 ? `~${items.length}\r\n${items.join('')}` : array(items);
/** Text for people. */
export const verbatim = (text: string, resp3: boolean): string =>
  resp3 ? `=${text.length + 4}\r\ntxt:${text}\r\n` : bulk(text);

/** An error in Redis's own words; `text` begins with its prefix. */
export const failure = (text: string): string => `-${text.replace(/[\r\n]/g, ' ')}\r\n`;

/** One of the table, with what to do next. */
export function failureOf(error: ForebayError): string {
  const { resp, hint } = error.row;
  const text = `${resp} ${error.message}${/[.!?]$/.test(error.message) ? '' : '.'} ${hint}`;
  return failure(Buffer.from(text, 'utf8').toString('latin1'));
}

/** An answer that is an error in Redis's own words: `ERR syntax error`. */
export class Refusal extends Error {
  override name = 'Refusal';
  /** As HTTP would say it, for the metrics. */
  readonly status: number;

  constructor(text: string, status = 400) {
    super(text);
    this.status = status;
  }
}

export const syntaxError = (): Refusal => new Refusal('ERR syntax error');
export const notInteger = (): Refusal => new Refusal('ERR value is not an integer or out of range');
