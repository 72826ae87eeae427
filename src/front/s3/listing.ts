/** ListObjects, both versions. */
import { ForebayError } from '../../core/errors.ts';
import { listKeysMax } from '../../core/limits.ts';
import type { Listing } from '../../read/reader.ts';
import { bytesOfText, percentEncode } from '../http/percent.ts';
import { queryValue } from '../http/query.ts';
import { answerXml } from './answer.ts';
import type { S3Request } from './s3-request.ts';
import { element, escapeXml, rootElement } from './xml.ts';

export const OWNER = `<Owner>${element('ID', 'forebay')}${element('DisplayName', 'forebay')}</Owner>`;
const TOKEN_PREFIX = '1';

/** A count from the query, at most `max`. Throws invalidArgument. */
export function countOf(request: S3Request, name: string, max: number): number {
  const text = queryValue(request.query, name);
  if (text === undefined || text === '') return max;
  if (!/^\d{1,10}$/.test(text)) throw new ForebayError('invalidArgument', `${name} must be a number from 0 to ${max}`);
  return Math.min(Number(text), max);
}

/** How keys are written: escaped for XML, or percent-encoded too where the client asks for it. Throws invalidArgument. */
export function keyWriter(request: S3Request): { readonly encoding: string; write(name: string, key: string): string } {
  const encoding = queryValue(request.query, 'encoding-type');
  if (encoding === undefined || encoding === '') return { encoding: '', write: element };
  if (encoding !== 'url') throw new ForebayError('invalidArgument', 'encoding-type must be url');
  return {
    encoding: element('EncodingType', 'url'),
    write: (name, key) => element(name, percentEncode(bytesOfText(key), true)),
  };
}

interface ListQuery {
  readonly prefix: string;
  readonly delimiter: string;
  readonly max: number;
  readonly after: string | undefined;
}

function listQuery(request: S3Request, after: string | undefined): ListQuery {
  const { query } = request;
  return {
    prefix: queryValue(query, 'prefix') ?? '',
    delimiter: queryValue(query, 'delimiter') ?? '',
    max: countOf(request, 'max-keys', listKeysMax),
    after: after === '' ? undefined : after,
  };
}

async function list(request: S3Request, { prefix, delimiter, max, after }: ListQuery): Promise<Listing> {
  if (max === 0) return { objects: [], prefixes: [], stale: false };
  return await request.parts.reader.list(
    {
      volume: request.bucket,
      prefix,
      limit: max,
      ...(delimiter === '' ? {} : { delimiter }),
      ...(after === undefined ? {} : { after }),
    },
    request.exchange.signal,
  );
}

export async function listObjects(request: S3Request): Promise<void> {
  const marker = queryValue(request.query, 'marker') ?? '';
  const query = listQuery(request, marker);
  const keys = keyWriter(request);
  const listing = await list(request, query);
  answerListing(request, listing, [
    ...commonElements(request, query, keys),
    keys.write('Marker', marker),
    listing.next === undefined ? '' : keys.write('NextMarker', listing.next),
    ...entries(listing, keys, true),
  ]);
}

export async function listObjectsV2(request: S3Request): Promise<void> {
  if (queryValue(request.query, 'list-type') !== '2') throw new ForebayError('invalidArgument', 'list-type must be 2');
  const token = queryValue(request.query, 'continuation-token');
  const startAfter = queryValue(request.query, 'start-after') ?? '';
  const query = listQuery(request, token === undefined ? startAfter : positionOf(token));
  const keys = keyWriter(request);
  const listing = await list(request, query);
  const withOwner = queryValue(request.query, 'fetch-owner') === 'true';
  answerListing(request, listing, [
    ...commonElements(request, query, keys),
    element('KeyCount', listing.objects.length + listing.prefixes.length),
    startAfter === '' ? '' : keys.write('StartAfter', startAfter),
    token === undefined ? '' : element('ContinuationToken', token),
    listing.next === undefined ? '' : element('NextContinuationToken', tokenOf(listing.next)),
    ...entries(listing, keys, withOwner),
  ]);
}

function commonElements(request: S3Request, query: ListQuery, keys: ReturnType<typeof keyWriter>): string[] {
  return [
    element('Name', request.bucket),
    keys.write('Prefix', query.prefix),
    query.delimiter === '' ? '' : keys.write('Delimiter', query.delimiter),
    element('MaxKeys', query.max),
    keys.encoding,
  ];
}

function entries(listing: Listing, keys: ReturnType<typeof keyWriter>, withOwner: boolean): string[] {
  const objects = listing.objects.map(
    (object) =>
      `<Contents>${keys.write('Key', object.key)}<LastModified>${new Date(object.modifiedMs).toISOString()}</LastModified>` +
      `<ETag>${escapeXml(object.doorEtag)}</ETag><Size>${object.sizeBytes}</Size>` +
      `<StorageClass>STANDARD</StorageClass>${withOwner ? OWNER : ''}</Contents>`,
  );
  const prefixes = listing.prefixes.map((prefix) => `<CommonPrefixes>${keys.write('Prefix', prefix)}</CommonPrefixes>`);
  return [...objects, ...prefixes];
}

function answerListing(request: S3Request, listing: Listing, children: readonly string[]): void {
  const stale = listing.stale ? ['x-forebay-stale', 'true'] : [];
  const truncated = element('IsTruncated', listing.next !== undefined);
  answerXml(request, rootElement('ListBucketResult', truncated, ...children), stale);
}

/** Opaque to clients: a version, then the position. */
function tokenOf(position: string): string {
  return TOKEN_PREFIX + Buffer.from(position, 'utf8').toString('base64url');
}

function positionOf(token: string): string {
  const bytes = Buffer.from(token.slice(1), 'base64url');
  const position = bytes.toString('utf8');
  if (!token.startsWith(TOKEN_PREFIX) || position === '' || tokenOf(position) !== token)
    throw new ForebayError('invalidArgument', 'the continuation token is not one of this door');
  return position;
}
