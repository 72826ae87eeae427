/** DeleteObjects: up to a thousand keys in one request, each with its own outcome. */
import { ForebayError } from '../../core/errors.ts';
import { deleteKeysMax, deletesInFlightMax, keyMaxBytes, requestXmlMaxBytes } from '../../core/limits.ts';
import { answerWhenDone } from './answer.ts';
import { RequestBody } from './body.ts';
import { quotedTag } from './conditions.ts';
import { levelWish } from './object-headers.ts';
import { asForebayError } from './s3-error.ts';
import type { S3Request } from './s3-request.ts';
import { element, listOf, parseXml, rootElement, textOf } from './xml.ts';

interface Doomed {
  readonly key: string;
  readonly ifMatch: string | undefined;
  readonly versionId: string | undefined;
}

export async function deleteObjects(request: S3Request): Promise<void> {
  const root = parseXml(await new RequestBody(request, requestXmlMaxBytes).bytes(), 'Delete', ['Object']);
  const objects: Doomed[] = listOf(root, 'Object').map((object) => {
    const key = textOf(object, 'Key');
    if (key === undefined || key === '') throw new ForebayError('malformedXml', 'an Object has no Key');
    return { key, ifMatch: textOf(object, 'ETag'), versionId: textOf(object, 'VersionId') };
  });
  if (objects.length === 0 || objects.length > deleteKeysMax)
    throw new ForebayError('malformedXml', `a Delete must name 1 to ${deleteKeysMax} objects`);
  const isQuiet = textOf(root, 'Quiet')?.trim() === 'true';
  await answerWhenDone(request, deleteAll(request, objects, isQuiet));
}

async function deleteAll(request: S3Request, objects: readonly Doomed[], isQuiet: boolean): Promise<string> {
  const outcomes: string[] = Array.from({ length: objects.length }, () => '');
  let next = 0;
  const work = async () => {
    while (next < objects.length) {
      const index = next++;
      const object = objects[index] as Doomed;
      try {
        await deleteOne(request, object);
        if (!isQuiet) outcomes[index] = `<Deleted>${element('Key', object.key)}</Deleted>`;
      } catch (error) {
        const { row, message } = asForebayError(error);
        const children = [
          element('Key', object.key),
          element('Code', row.s3),
          element('Message', `${message}. ${row.hint}`),
        ];
        outcomes[index] = `<Error>${children.join('')}</Error>`;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(deletesInFlightMax, objects.length) }, work));
  return rootElement('DeleteResult', ...outcomes);
}

async function deleteOne(request: S3Request, { key, ifMatch, versionId }: Doomed): Promise<void> {
  if (Buffer.byteLength(key) > keyMaxBytes) throw new ForebayError('keyTooLong', 'the key is too long');
  if (versionId !== undefined && versionId !== '' && versionId !== 'null')
    throw new ForebayError('notImplemented', 'versions of objects are not served');
  const target = { volume: request.bucket, key };
  const condition = ifMatch === undefined ? {} : { ifMatch: quotedTag(ifMatch) };
  await request.parts.writer.delete(target, { ...condition, ...levelWish(request.exchange.header('x-forebay-ack')) });
}
