/** The query of a request's target: names and values as byte strings, in the order sent. */
import { percentDecode, percentEncode, textOfBytes } from './percent.ts';

export interface Query {
  /** Name, value … decoded, one character per byte. */
  readonly pairs: readonly string[];
}

export const NO_QUERY: Query = { pairs: [] };

/** `undefined` where a `%` is malformed. */
export function parseQuery(text: string): Query | undefined {
  if (text === '') return NO_QUERY;
  const pairs: string[] = [];
  for (const pair of text.split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = percentDecode(equals < 0 ? pair : pair.slice(0, equals), true);
    const value = equals < 0 ? '' : percentDecode(pair.slice(equals + 1), true);
    if (name === undefined || value === undefined) return undefined;
    pairs.push(name, value);
  }
  return { pairs };
}

export function hasQuery(query: Query, name: string): boolean {
  return queryBytes(query, name) !== undefined;
}

/** The first value of that name as text. Values that are not UTF-8 count as absent. */
export function queryValue(query: Query, name: string): string | undefined {
  const bytes = queryBytes(query, name);
  return bytes === undefined ? undefined : textOfBytes(bytes);
}

/** The first value of that name, one character a byte. */
export function queryBytes(query: Query, name: string): string | undefined {
  for (let index = 0; index < query.pairs.length; index += 2)
    if (query.pairs[index] === name) return query.pairs[index + 1];
  return undefined;
}

/** As signatures want it: encoded, sorted by name then value, without the signature itself. */
export function canonicalQuery(query: Query): string {
  const { pairs } = query;
  if (pairs.length === 0) return '';
  const encoded: (readonly [string, string])[] = [];
  for (let index = 0; index < pairs.length; index += 2) {
    if (pairs[index] === 'X-Amz-Signature') continue;
    encoded.push([percentEncode(pairs[index] as string, false), percentEncode(pairs[index + 1] as string, false)]);
  }
  encoded.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : a[1] < b[1] ? -1 : a[1] > b[1] ? 1 : 0));
  return encoded.map(([name, value]) => `${name}=${value}`).join('&');
}
