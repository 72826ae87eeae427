/** A page of ListObjectsV2 as XML. */

export interface ListedKey {
  readonly key: string;
  readonly sizeBytes: number;
  readonly etag: string;
  readonly modifiedMs: number;
}

const PAGE_MAX = 1000;

const escapeXml = (text: string) =>
  text.replace(/[<>&"]/g, (c) => ({ '<': '&lt;', '>': '&gt;', '&': '&amp;', '"': '&quot;' })[c] as string);

interface Entry {
  readonly name: string;
  readonly object: ListedKey | undefined;
}

/** Objects and common prefixes after `after`, in order of their UTF-8 bytes. */
function entriesOf(keys: readonly ListedKey[], prefix: string, delimiter: string, after: string): Entry[] {
  const entries = new Map<string, Entry>();
  for (const object of keys) {
    if (!object.key.startsWith(prefix)) continue;
    const cut = delimiter === '' ? -1 : object.key.indexOf(delimiter, prefix.length);
    const name = cut < 0 ? object.key : object.key.slice(0, cut + delimiter.length);
    if (Buffer.compare(Buffer.from(name), Buffer.from(after)) > 0)
      entries.set(name, { name, object: cut < 0 ? object : undefined });
  }
  return [...entries.values()].sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
}

export function listingXml(bucket: string, keys: readonly ListedKey[], query: URLSearchParams): string {
  const prefix = query.get('prefix') ?? '';
  const delimiter = query.get('delimiter') ?? '';
  const token = query.get('continuation-token');
  const after = token === null ? (query.get('start-after') ?? '') : Buffer.from(token, 'base64url').toString();
  const limit = Math.min(Number(query.get('max-keys') ?? PAGE_MAX), PAGE_MAX);
  const name = (text: string) => (query.get('encoding-type') === 'url' ? encodeURIComponent(text) : escapeXml(text));
  const entries = entriesOf(keys, prefix, delimiter, after);
  const page = entries.slice(0, limit);
  const more = entries.length > page.length && page.length > 0;
  const body = page.map(({ name: entry, object }) =>
    object === undefined
      ? `<CommonPrefixes><Prefix>${name(entry)}</Prefix></CommonPrefixes>`
      : `<Contents><Key>${name(entry)}</Key><LastModified>${new Date(object.modifiedMs).toISOString()}</LastModified>` +
        `<ETag>${escapeXml(object.etag)}</ETag><Size>${object.sizeBytes}</Size><StorageClass>STANDARD</StorageClass></Contents>`,
  );
  const next = more ? Buffer.from((page.at(-1) as Entry).name).toString('base64url') : undefined;
  return [
    '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">',
    `<Name>${bucket}</Name><Prefix>${name(prefix)}</Prefix><KeyCount>${page.length}</KeyCount><MaxKeys>${limit}</MaxKeys>`,
    query.get('encoding-type') === 'url' ? '<EncodingType>url</EncodingType>' : '',
    `<IsTruncated>${more}</IsTruncated>`,
    next === undefined ? '' : `<NextContinuationToken>${next}</NextContinuationToken>`,
    ...body,
    '</ListBucketResult>',
  ].join('');
}
