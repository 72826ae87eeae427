/** What else S3 tells of an object: tags (there are none) and attributes. */
import { ForebayError } from '../../core/errors.ts';
import { httpDate } from '../http/response-head.ts';
import { answerXml } from './answer.ts';
import { getAcl } from './buckets.ts';
import type { S3Request } from './s3-request.ts';
import { element, rootElement } from './xml.ts';

/** Throws noSuchKey. */
async function factOf(request: S3Request) {
  const object = await request.parts.reader.open(request.bucket, request.key, request.exchange.signal);
  object.close();
  return object.fact;
}

export async function getObjectAcl(request: S3Request): Promise<void> {
  await factOf(request);
  getAcl(request);
}

export async function getObjectTagging(request: S3Request): Promise<void> {
  await factOf(request);
  answerXml(request, rootElement('Tagging', '<TagSet></TagSet>'));
}

export async function getObjectAttributes(request: S3Request): Promise<void> {
  const fact = await factOf(request);
  const wanted = (request.exchange.header('x-amz-object-attributes') ?? '').split(',').map((name) => name.trim());
  const known: Readonly<Record<string, string>> = {
    ETag: element('ETag', fact.doorEtag.replaceAll('"', '')),
    ObjectSize: element('ObjectSize', fact.sizeBytes),
    StorageClass: element('StorageClass', 'STANDARD'),
    Checksum: '',
    ObjectParts: '',
  };
  for (const name of wanted)
    if (!Object.hasOwn(known, name))
      throw new ForebayError('invalidArgument', 'x-amz-object-attributes must name attributes');
  const root = rootElement('GetObjectAttributesResponse', ...wanted.map((name) => known[name] as string));
  answerXml(request, root, ['Last-Modified', httpDate(fact.modifiedMs)]);
}
