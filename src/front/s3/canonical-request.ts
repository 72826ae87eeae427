/** The canonical form of a request, over which Signature Version 4 is computed. */
import { ForebayError } from '../../core/errors.ts';
import { isPlainPath, percentDecode, percentEncode } from '../http/percent.ts';
import type { Query } from '../http/query.ts';

/** What a signature is computed over. */
export interface SignedRequest {
  readonly method: string;
  /** The path as sent. */
  readonly path: string;
  readonly query: Query;
  readonly headers: readonly string[];
  header(name: string): string | undefined;
}

interface SignedHeaders {
  readonly text: string;
  readonly names: readonly string[];
  readonly set: ReadonlySet<string>;
}

export interface CanonicalRequest {
  readonly method: string;
  /** As sent. */
  readonly path: string;
  /** Query, headers, their names, and what is said of the body. */
  readonly rest: string;
}

/** Clients sign the same few lists of headers over and over. */
const lists = new Map<string, SignedHeaders>();
const LISTS_MAX = 256;

let last: SignedHeaders = { text: '', names: [], set: new Set() };

function signedHeadersOf(text: string): SignedHeaders {
  if (text === last.text) return last;
  let list = lists.get(text);
  if (list === undefined) {
    const names = text.split(';');
    list = { text, names, set: new Set(names) };
    if (!list.set.has('host')) throw new ForebayError('accessDenied', 'the host header must be signed');
    if (lists.size >= LISTS_MAX) lists.clear();
    lists.set(text, list);
  }
  last = list;
  return list;
}

/** The parts of the request that `signedHeaders` names. Throws accessDenied where host or an x-amz- header is not among them. */
export function canonicalRequest(
  request: SignedRequest,
  query: string,
  signedHeaders: string,
  payload: string,
): CanonicalRequest {
  const { names, set } = signedHeadersOf(signedHeaders);
  const { headers } = request;
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index] as string;
    if (name.startsWith('x-amz-') && !set.has(name))
      throw new ForebayError('accessDenied', `the header ${name} was not signed`);
  }
  let lines = '';
  for (let index = 0; index < names.length; index++) {
    const name = names[index] as string;
    lines += `${name}:${collapse(request.header(name) ?? '')}\n`;
  }
  const { method, path } = request;
  return { method, path, rest: `${query}\n${lines}\n${signedHeaders}\n${payload}` };
}

/** The path, decoded once and encoded as AWS does. Throws invalidUri. */
export function canonicalPath(path: string): string {
  if (isPlainPath(path)) return path;
  const bytes = percentDecode(path);
  if (bytes === undefined) throw new ForebayError('invalidUri', 'the path has a malformed % escape');
  return percentEncode(bytes, true);
}

function collapse(value: string): string {
  return value.includes('  ') || value.includes('\t') ? value.replace(/[ \t]+/g, ' ') : value;
}
