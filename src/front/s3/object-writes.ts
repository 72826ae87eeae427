/** PutObject, CopyObject, DeleteObject. */
import { ForebayError } from '../../core/errors.ts';
import { putMaxBytes } from '../../core/limits.ts';
import type { Range } from '../../core/range.ts';
import type { Target } from '../../write/writer.ts';
import { mayAccess } from '../credentials.ts';
import { parseCopySource } from './address.ts';
import { answerEmpty, answerWhenDone } from './answer.ts';
import { RequestBody } from './body.ts';
import { parseCopyRange } from './byte-range.ts';
import { evaluate, quotedTag, writeCondition } from './conditions.ts';
import { attributesOf, checkpointWish, levelWish, refuseUnkept } from './object-headers.ts';
import type { S3Request } from './s3-request.ts';
import { element, rootElement } from './xml.ts';

export async function putObject(request: S3Request): Promise<void> {
  const { exchange, parts } = request;
  refuseUnkept(exchange.headers);
  const attributes = attributesOf(exchange.headers);
  const level = levelWish(exchange.header('x-forebay-ack'));
  const body = new RequestBody(request, putMaxBytes);
  const condition = writeCondition((name) => exchange.header(name));
  const written = await parts.writer.put(targetOf(request), body, {
    ...attributes,
    ...condition,
    ...level,
    ...checkpointWish((name) => exchange.header(name)),
    signal: exchange.signal,
  });
  // A value is on one node and not synced: none of the levels says that.
  const isValue = parts.volumes.get(request.bucket)?.volume.kv !== undefined;
  const reached = isValue ? [] : ['x-forebay-ack', written.level];
  answerEmpty(request, 200, ['ETag', written.doorEtag, ...reached, ...body.checksumHeaders()]);
}

export async function deleteObject(request: S3Request): Promise<void> {
  const ifMatch = request.exchange.header('if-match');
  const level = levelWish(request.exchange.header('x-forebay-ack'));
  const condition = ifMatch === undefined ? {} : { ifMatch: quotedTag(ifMatch) };
  await request.parts.writer.delete(targetOf(request), { ...condition, ...level });
  answerEmpty(request, 204);
}

export async function copyObject(request: S3Request): Promise<void> {
  const { exchange, parts } = request;
  refuseUnkept(exchange.headers);
  const replaces = directive(exchange.header('x-amz-metadata-directive')) === 'REPLACE';
  const attributes = replaces ? { attributes: attributesOf(exchange.headers) } : {};
  const level = levelWish(exchange.header('x-forebay-ack'));
  const source = await copySource(request);
  const target = targetOf(request);
  if (source.volume === target.volume && source.key === target.key && !replaces)
    throw new ForebayError('invalidRequest', 'a copy onto itself must replace the metadata');
  const condition = writeCondition((name) => exchange.header(name));
  const work = parts.writer.copy(source, target, {
    ...attributes,
    ...condition,
    ...level,
    ...checkpointWish((name) => exchange.header(name)),
    signal: exchange.signal,
  });
  await answerWhenDone(
    request,
    work.then(({ doorEtag, modifiedMs }) => copyResult('CopyObjectResult', doorEtag, modifiedMs)),
  );
}

export function copyResult(name: string, doorEtag: string, modifiedMs: number): string {
  return rootElement(name, element('LastModified', new Date(modifiedMs).toISOString()), element('ETag', doorEtag));
}

export function targetOf(request: S3Request): Target {
  return { volume: request.bucket, key: request.key };
}

/**
 * The source that x-amz-copy-source names, once it may be read, exists and meets the conditions on it. Only our own
 * volumes can be named. Throws accessDenied, noSuchBucket, noSuchKey, preconditionFailed, invalidRange.
 */
export async function copySource(request: S3Request): Promise<Target & { range?: Range }> {
  const { exchange, parts, auth } = request;
  const { bucket, key } = parseCopySource(exchange.header('x-amz-copy-source') as string);
  if (!mayAccess(auth.key, bucket, 'read'))
    throw new ForebayError('accessDenied', `the key may not read the volume ${bucket}`);
  if (!parts.volumes.has(bucket)) throw new ForebayError('noSuchBucket', `there is no volume ${bucket}`);
  const object = await parts.reader.open(bucket, key, exchange.signal);
  const { fact } = object;
  object.close();
  const conditions = {
    ifMatch: exchange.header('x-amz-copy-source-if-match'),
    ifNoneMatch: exchange.header('x-amz-copy-source-if-none-match'),
    ifModifiedSince: exchange.header('x-amz-copy-source-if-modified-since'),
    ifUnmodifiedSince: exchange.header('x-amz-copy-source-if-unmodified-since'),
  };
  if (evaluate(conditions, fact) !== 'proceed')
    throw new ForebayError('preconditionFailed', `the source has the ETag ${fact.doorEtag}`);
  const header = exchange.header('x-amz-copy-source-range');
  if (header === undefined) return { volume: bucket, key };
  const range = parseCopyRange(header, fact.sizeBytes);
  if (range === undefined)
    throw new ForebayError('invalidRange', `x-amz-copy-source-range must lie in the source's ${fact.sizeBytes} bytes`);
  return { volume: bucket, key, range };
}

function directive(header: string | undefined): 'COPY' | 'REPLACE' {
  if (header === undefined || header === 'COPY') return 'COPY';
  if (header === 'REPLACE') return 'REPLACE';
  throw new ForebayError('invalidArgument', 'x-amz-metadata-directive must be COPY or REPLACE');
}
