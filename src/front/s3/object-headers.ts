/** The headers of an object as answers carry them and as writes bring them. */

import { ForebayError } from '../../core/errors.ts';
import { metadataMaxBytes } from '../../core/limits.ts';
import type { ObjectFact, ObjectHeaders } from '../../core/object.ts';
import { OBJECT_HEADER_NAMES, OWN_ID } from '../../core/object.ts';
import { LEVELS, type Level } from '../../core/volume.ts';
import type { AttemptName } from '../../write/checkpoint-decisions.ts';
import type { WriteAttributes } from '../../write/writer.ts';
import { bytesOfText, textOfBytes } from '../http/percent.ts';
import type { Query } from '../http/query.ts';
import { queryValue } from '../http/query.ts';
import { httpDate } from '../http/response-head.ts';

const META = 'x-amz-meta-';

/** Whether text may stand in a header: no control characters, so that nobody's metadata ends the head. */
function isHeaderSafe(bytes: string): boolean {
  for (let index = 0; index < bytes.length; index++) {
    const code = bytes.charCodeAt(index);
    if ((code < 0x20 && code !== 0x09) || code === 0x7f) return false;
  }
  return true;
}

function isToken(name: string): boolean {
  return /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name);
}

function push(headers: string[], name: string, text: string): void {
  const bytes = bytesOfText(text);
  if (isHeaderSafe(bytes)) headers.push(name, bytes);
}

/** ETag, dates, type and metadata of a version. `overrides`: the query of a request that may set `response-…`. */
export function objectHeaders(fact: ObjectFact, overrides: Query | undefined): string[] {
  const headers = ['ETag', fact.doorEtag, 'Last-Modified', httpDate(fact.modifiedMs), 'Accept-Ranges', 'bytes'];
  let hasType = false;
  for (const name of OBJECT_HEADER_NAMES) {
    const value =
      (overrides === undefined ? undefined : queryValue(overrides, `response-${name}`)) ?? fact.headers[name];
    if (value === undefined) continue;
    if (name === 'content-type') hasType = true;
    push(headers, name, value);
  }
  if (!hasType) headers.push('content-type', 'binary/octet-stream');
  for (const name in fact.metadata)
    if (isToken(name) && name !== OWN_ID) push(headers, META + name, fact.metadata[name] as string);
  return headers;
}

/** Whether a query asks for other response headers. */
export function hasOverrides(query: Query): boolean {
  for (let index = 0; index < query.pairs.length; index += 2)
    if ((query.pairs[index] as string).startsWith('response-')) return true;
  return false;
}

/** Headers and metadata to store, from a request. Throws metadataTooLarge. */
export function attributesOf(headers: readonly string[]): WriteAttributes {
  const kept: Record<string, string> = {};
  const metadata: Record<string, string> = {};
  let sizeBytes = 0;
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index] as string;
    const bytes = headers[index + 1] as string;
    const value = textOfBytes(bytes) ?? bytes;
    if ((OBJECT_HEADER_NAMES as readonly string[]).includes(name)) {
      const stored = name === 'content-encoding' ? withoutAwsChunked(value) : value;
      if (stored !== '') kept[name] = stored;
    } else if (name.startsWith(META) && name.length > META.length) {
      const short = name.slice(META.length);
      metadata[short] = short in metadata ? `${metadata[short]},${value}` : value;
      sizeBytes += short.length + bytes.length;
    }
  }
  if (sizeBytes > metadataMaxBytes)
    throw new ForebayError(
      'metadataTooLarge',
      `the metadata has ${sizeBytes} bytes, at most ${metadataMaxBytes} are taken`,
    );
  return { headers: kept as ObjectHeaders, metadata };
}

/** How the body travels is no property of the object. */
function withoutAwsChunked(encoding: string): string {
  const codings = encoding.split(',').map((coding) => coding.trim());
  return codings.filter((coding) => coding !== '' && coding.toLowerCase() !== 'aws-chunked').join(',');
}

/** Throws notImplemented for headers whose promise (encryption with a key, locks, tags) cannot be kept silently. */
export function refuseUnkept(headers: readonly string[]): void {
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index] as string;
    if (!name.startsWith('x-amz-')) continue;
    const value = headers[index + 1] as string;
    const isUnkept =
      name.startsWith('x-amz-server-side-encryption-') ||
      (name === 'x-amz-server-side-encryption' && value !== 'AES256') ||
      name.startsWith('x-amz-object-lock-') ||
      name === 'x-amz-website-redirect-location' ||
      name === 'x-amz-write-offset-bytes' ||
      (name === 'x-amz-tagging' && value !== '');
    if (isUnkept) throw new ForebayError('notImplemented', `${name} is not served`);
  }
}

/** What the request waits for, where it says so. Throws invalidArgument for a level that is none. */
/** The checkpoint in the making that an object is one of. Throws invalidArgument where half of its name is missing. */
export function checkpointWish(header: (name: string) => string | undefined): { checkpoint?: AttemptName } {
  const checkpoint = header('x-forebay-checkpoint');
  const attempt = header('x-forebay-attempt');
  if (checkpoint === undefined && attempt === undefined) return {};
  if (checkpoint === undefined || attempt === undefined)
    throw new ForebayError('invalidArgument', 'x-forebay-checkpoint and x-forebay-attempt come together');
  return { checkpoint: { checkpoint, attempt } };
}

export function levelWish(header: string | undefined): { ack?: Level } {
  if (header === undefined) return {};
  const ack = LEVELS.find((level) => level === header.trim().toLowerCase());
  if (ack === undefined)
    throw new ForebayError(
      'invalidArgument',
      `x-forebay-ack must be ${LEVELS.join(', ')}, not ${JSON.stringify(header)}`,
    );
  return { ack };
}
