/** ListParts and ListMultipartUploads. */
import { listKeysMax } from '../../core/limits.ts';
import type { UploadInfo } from '../../write/writer.ts';
import { queryValue } from '../http/query.ts';
import { answerXml } from './answer.ts';
import { countOf, keyWriter, OWNER } from './listing.ts';
import { targetOf } from './object-writes.ts';
import type { S3Request } from './s3-request.ts';
import { element, rootElement } from './xml.ts';

const INITIATOR = `<Initiator>${element('ID', 'forebay')}${element('DisplayName', 'forebay')}</Initiator>`;
const STORAGE_CLASS = element('StorageClass', 'STANDARD');

export async function listParts(request: S3Request): Promise<void> {
  const { bucket, key, query } = request;
  const uploadId = queryValue(query, 'uploadId') ?? '';
  const max = countOf(request, 'max-parts', listKeysMax);
  const marker = countOf(request, 'part-number-marker', Number.MAX_SAFE_INTEGER);
  const after = marker === Number.MAX_SAFE_INTEGER ? 0 : marker;
  const keys = keyWriter(request);
  const taken = await request.parts.writer.listParts(targetOf(request), uploadId);
  const rest = taken.filter((part) => part.number > after).sort((a, b) => a.number - b.number);
  const page = rest.slice(0, max);
  const parts = page.map(
    (part) =>
      `<Part>${element('PartNumber', part.number)}${element('LastModified', new Date(part.modifiedMs).toISOString())}` +
      `${element('ETag', part.doorEtag)}${element('Size', part.sizeBytes)}</Part>`,
  );
  answerXml(
    request,
    rootElement(
      'ListPartsResult',
      element('Bucket', bucket),
      keys.write('Key', key),
      keys.encoding,
      element('UploadId', uploadId),
      element('PartNumberMarker', after),
      element('NextPartNumberMarker', page.at(-1)?.number ?? 0),
      element('MaxParts', max),
      element('IsTruncated', max > 0 && rest.length > page.length),
      INITIATOR,
      OWNER,
      STORAGE_CLASS,
      ...parts,
    ),
  );
}

/** In the byte order of their keys, then by id. */
function byKey(a: UploadInfo, b: UploadInfo): number {
  return Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)) || (a.uploadId < b.uploadId ? -1 : 1);
}

export async function listMultipartUploads(request: S3Request): Promise<void> {
  const { bucket, query } = request;
  const prefix = queryValue(query, 'prefix') ?? '';
  const delimiter = queryValue(query, 'delimiter') ?? '';
  const keyMarker = queryValue(query, 'key-marker') ?? '';
  const idMarker = queryValue(query, 'upload-id-marker') ?? '';
  const max = countOf(request, 'max-uploads', listKeysMax);
  const keys = keyWriter(request);
  const all = [...(await request.parts.writer.listUploads(bucket, prefix))].sort(byKey);
  const isAfter = ({ key, uploadId }: UploadInfo) =>
    keyMarker === '' ||
    Buffer.compare(Buffer.from(key), Buffer.from(keyMarker)) > 0 ||
    (key === keyMarker && idMarker !== '' && uploadId > idMarker);
  const prefixes = new Set<string>();
  const page: UploadInfo[] = [];
  let last: UploadInfo | undefined;
  let isTruncated = false;
  for (const upload of all.filter(isAfter)) {
    const end = delimiter === '' ? -1 : upload.key.indexOf(delimiter, prefix.length);
    const rolled = end < 0 ? undefined : upload.key.slice(0, end + delimiter.length);
    if (rolled !== undefined && (prefixes.has(rolled) || rolled === keyMarker)) continue;
    if (page.length + prefixes.size >= max) {
      isTruncated = max > 0;
      break;
    }
    if (rolled === undefined) page.push(upload);
    else prefixes.add(rolled);
    last = rolled === undefined ? upload : { ...upload, key: rolled, uploadId: '' };
  }
  const uploads = page.map(
    (upload) =>
      `<Upload>${keys.write('Key', upload.key)}${element('UploadId', upload.uploadId)}${INITIATOR}${OWNER}${STORAGE_CLASS}` +
      `${element('Initiated', new Date(upload.begunMs).toISOString())}</Upload>`,
  );
  answerXml(
    request,
    rootElement(
      'ListMultipartUploadsResult',
      element('Bucket', bucket),
      keys.write('KeyMarker', keyMarker),
      element('UploadIdMarker', idMarker),
      isTruncated
        ? keys.write('NextKeyMarker', last?.key ?? '') + element('NextUploadIdMarker', last?.uploadId ?? '')
        : '',
      keys.write('Prefix', prefix),
      delimiter === '' ? '' : keys.write('Delimiter', delimiter),
      element('MaxUploads', max),
      keys.encoding,
      element('IsTruncated', isTruncated),
      ...uploads,
      ...[...prefixes].map((text) => `<CommonPrefixes>${keys.write('Prefix', text)}</CommonPrefixes>`),
    ),
  );
}
