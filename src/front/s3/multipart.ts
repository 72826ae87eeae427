/** Multipart uploads. */
import { ForebayError } from '../../core/errors.ts';
import { partMaxBytes, partsMax, requestXmlMaxBytes } from '../../core/limits.ts';
import { queryValue } from '../http/query.ts';
import { answerEmpty, answerWhenDone, answerXml } from './answer.ts';
import { RequestBody } from './body.ts';
import { quotedTag, writeCondition } from './conditions.ts';
import { attributesOf, checkpointWish, levelWish, refuseUnkept } from './object-headers.ts';
import { copyResult, copySource, targetOf } from './object-writes.ts';
import type { S3Request } from './s3-request.ts';
import { element, listOf, parseXml, rootElement, textOf } from './xml.ts';

export async function createMultipartUpload(request: S3Request): Promise<void> {
  const { exchange, parts } = request;
  refuseUnkept(exchange.headers);
  const { uploadId } = await parts.writer.beginUpload(targetOf(request), attributesOf(exchange.headers));
  const algorithm = exchange.header('x-amz-checksum-algorithm');
  const type = exchange.header('x-amz-checksum-type');
  answerXml(
    request,
    rootElement(
      'InitiateMultipartUploadResult',
      element('Bucket', request.bucket),
      element('Key', request.key),
      element('UploadId', uploadId),
    ),
    [
      ...(algorithm === undefined ? [] : ['x-amz-checksum-algorithm', algorithm]),
      ...(type === undefined ? [] : ['x-amz-checksum-type', type]),
    ],
  );
}

function uploadIdOf(request: S3Request): string {
  const id = queryValue(request.query, 'uploadId');
  if (id === undefined || id === '') throw new ForebayError('invalidArgument', 'uploadId is missing');
  return id;
}

function partNumberOf(request: S3Request): number {
  const text = queryValue(request.query, 'partNumber') ?? '';
  const number = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (number < 1 || number > partsMax) throw new ForebayError('invalidArgument', `partNumber must be 1 to ${partsMax}`);
  return number;
}

export async function uploadPart(request: S3Request): Promise<void> {
  const { exchange, parts } = request;
  refuseUnkept(exchange.headers);
  const number = partNumberOf(request);
  const body = new RequestBody(request, partMaxBytes);
  const part = await parts.writer.putPart(targetOf(request), uploadIdOf(request), number, body, exchange.signal);
  answerEmpty(request, 200, ['ETag', part.doorEtag, ...body.checksumHeaders()]);
}

export async function uploadPartCopy(request: S3Request): Promise<void> {
  const { exchange, parts } = request;
  const number = partNumberOf(request);
  const uploadId = uploadIdOf(request);
  const source = await copySource(request);
  const work = parts.writer.copyPart(source, targetOf(request), uploadId, number, exchange.signal);
  await answerWhenDone(
    request,
    work.then((part) => copyResult('CopyPartResult', part.doorEtag, part.modifiedMs)),
  );
}

export async function completeMultipartUpload(request: S3Request): Promise<void> {
  const { exchange, parts, bucket, key } = request;
  const uploadId = uploadIdOf(request);
  const condition = writeCondition((name) => exchange.header(name));
  const level = levelWish(exchange.header('x-forebay-ack'));
  const checkpoint = checkpointWish((name) => exchange.header(name));
  const body = await new RequestBody(request, requestXmlMaxBytes).bytes();
  const named = partsOf(parseXml(body, 'CompleteMultipartUpload', ['Part']));
  const target = targetOf(request);
  await checkSize(request, uploadId, named);
  // What was asked for is finished even if the client hangs up: it could not tell which of the two happened.
  const { signal } = new AbortController();
  const work = parts.writer.completeUpload(target, uploadId, named, { ...condition, ...level, ...checkpoint, signal });
  await answerWhenDone(
    request,
    work.then(({ doorEtag }) =>
      rootElement(
        'CompleteMultipartUploadResult',
        element('Location', `http://${exchange.header('host') ?? ''}/${bucket}/${encodeURI(key)}`),
        element('Bucket', bucket),
        element('Key', key),
        element('ETag', doorEtag),
      ),
    ),
  );
}

function partsOf(root: ReturnType<typeof parseXml>): { number: number; doorEtag: string }[] {
  const named = listOf(root, 'Part').map((part) => {
    const number = Number(textOf(part, 'PartNumber')?.trim() || Number.NaN);
    const etag = textOf(part, 'ETag');
    if (!Number.isInteger(number) || number < 1 || number > partsMax || etag === undefined)
      throw new ForebayError('malformedXml', 'a Part must have a PartNumber and an ETag');
    return { number, doorEtag: quotedTag(etag) };
  });
  if (named.length === 0 || named.length > partsMax)
    throw new ForebayError('malformedXml', `an upload is completed with 1 to ${partsMax} parts`);
  for (let index = 1; index < named.length; index++)
    if (named[index]!.number <= named[index - 1]!.number)
      throw new ForebayError('invalidPartOrder', 'the parts are not in ascending order');
  return named;
}

/** x-amz-mp-object-size: the client's own sum of the parts. */
async function checkSize(request: S3Request, uploadId: string, named: readonly { number: number }[]): Promise<void> {
  const declared = request.exchange.header('x-amz-mp-object-size');
  if (declared === undefined) return;
  const numbers = new Set(named.map(({ number }) => number));
  const taken = await request.parts.writer.listParts(targetOf(request), uploadId);
  const sizeBytes = taken.reduce((sum, part) => (numbers.has(part.number) ? sum + part.sizeBytes : sum), 0);
  if (String(sizeBytes) !== declared)
    throw new ForebayError(
      'invalidRequest',
      `the parts have ${sizeBytes} bytes, x-amz-mp-object-size says ${declared}`,
    );
}

export async function abortMultipartUpload(request: S3Request): Promise<void> {
  await request.parts.writer.abortUpload(targetOf(request), uploadIdOf(request));
  answerEmpty(request, 204);
}
