/**
 * Which bucket and key a request names, by path (`/bucket/key`) or by host (`bucket.domain`).
 *
 * The path is percent-decoded exactly once, as bytes, which must be UTF-8; `+` is a plus, and `.`, `..` and empty segments
 * are bytes of the key like any others.
 */
import { ForebayError } from '../../core/errors.ts';
import { keyMaxBytes } from '../../core/limits.ts';
import { isPlainPath, percentDecode, textOfBytes } from '../http/percent.ts';
import type { Query } from '../http/query.ts';
import { NO_QUERY, parseQuery } from '../http/query.ts';

export interface Address {
  /** As sent, without the query. */
  readonly path: string;
  readonly query: Query;
  readonly bucket: string;
  readonly key: string;
}

/** Throws invalidUri, keyTooLong. */
export function parseAddress(target: string, host: string, domain: string | undefined): Address {
  const mark = target.indexOf('?');
  const path = mark < 0 ? target : target.slice(0, mark);
  const query = mark < 0 ? NO_QUERY : parseQuery(target.slice(mark + 1));
  if (query === undefined) throw new ForebayError('invalidUri', 'the query has a malformed % escape');
  if (path.charCodeAt(0) !== 0x2f) throw new ForebayError('invalidUri', 'the target must begin with a slash');
  const bytes = isPlainPath(path) ? path : percentDecode(path);
  if (bytes === undefined) throw new ForebayError('invalidUri', 'the path has a malformed % escape');
  const hostBucket = bucketOfHost(host, domain);
  if (hostBucket !== undefined) return { path, query, bucket: hostBucket, key: keyOf(bytes.slice(1)) };
  const slash = bytes.indexOf('/', 1);
  if (slash < 0) return { path, query, bucket: bucketOf(bytes.slice(1)), key: '' };
  return { path, query, bucket: bucketOf(bytes.slice(1, slash)), key: keyOf(bytes.slice(slash + 1)) };
}

/** `/bucket/key` or `bucket/key` of x-amz-copy-source, encoded. Throws invalidArgument, invalidUri, keyTooLong. */
export function parseCopySource(source: string): { bucket: string; key: string } {
  const mark = source.indexOf('?versionId=');
  const bytes = percentDecode(mark < 0 ? source : source.slice(0, mark));
  if (bytes === undefined) throw new ForebayError('invalidArgument', 'x-amz-copy-source has a malformed % escape');
  const from = bytes.startsWith('/') ? 1 : 0;
  const slash = bytes.indexOf('/', from);
  if (slash <= from || slash === bytes.length - 1)
    throw new ForebayError('invalidArgument', 'x-amz-copy-source must be /bucket/key, percent-encoded');
  if (mark >= 0 && source.slice(mark + 11) !== 'null')
    throw new ForebayError('notImplemented', 'versions of objects are not served');
  return { bucket: bucketOf(bytes.slice(from, slash)), key: keyOf(bytes.slice(slash + 1)) };
}

function keyOf(bytes: string): string {
  if (bytes.length > keyMaxBytes)
    throw new ForebayError('keyTooLong', `the key has ${bytes.length} bytes, at most ${keyMaxBytes} are taken`);
  const key = textOfBytes(bytes);
  if (key === undefined) throw new ForebayError('invalidUri', 'the key is not UTF-8');
  return key;
}

function bucketOf(bytes: string): string {
  const bucket = textOfBytes(bytes);
  if (bucket === undefined) throw new ForebayError('invalidUri', 'the bucket is not UTF-8');
  return bucket;
}

function bucketOfHost(host: string, domain: string | undefined): string | undefined {
  const colon = host.lastIndexOf(':');
  const name = (colon > host.lastIndexOf(']') ? host.slice(0, colon) : host).toLowerCase();
  return before(name, '.localhost') ?? (domain === undefined ? undefined : before(name, `.${domain.toLowerCase()}`));
}

function before(text: string, suffix: string): string | undefined {
  return text.length > suffix.length && text.endsWith(suffix) ? text.slice(0, -suffix.length) : undefined;
}
