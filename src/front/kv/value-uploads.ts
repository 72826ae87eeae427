/**
 * Multipart uploads into kv volumes. Parts are values of the same volume under reserved keys, so every node can take, list and
 * join them, and they count against the volume's share. A completion leases the parts and streams them into one value.
 *
 * Bounds: valueMaxBytes per value; an upload that nobody touched for uploadIdleMaxMs is forgotten by its ttl, and so is, after
 *         uploadKeepMs, what a completed one became. Under pressure a part may be evicted as any value: invalidPart then.
 * Crash:  as of any put: parts that were taken are there, the value is whole or not there.
 */
import { hash } from 'node:crypto';
import { ForebayError } from '../../core/errors.ts';
import { kvLeaseMaxMs, valueMaxBytes } from '../../core/kv-limits.ts';
import { listKeysMax, partMinBytes, putSingleMaxBytes, uploadIdleMaxMs, uploadKeepMs } from '../../core/limits.ts';
import type { Clock, Random } from '../../io/io.ts';
import type { KvVolume, OpenValue, ValueBody, ValueFact } from '../../kv/kv.ts';
import { sourceBody } from '../../write/source-body.ts';
import type { PartInfo, UploadInfo, WriteBody, WriteOptions, Written } from '../../write/writer.ts';
import { textOfBytes } from '../http/percent.ts';
import { RESERVED } from './value-key.ts';
import { openObject, valueEtag } from './value-object.ts';
import { putValue, writtenOf } from './value-writer.ts';

const UPLOADS = `${RESERVED}upload\0`;
const ID = /^[0-9a-f]{32}$/;
/** More parts of the least size than this are more than a value may have. */
const PARTS_MAX = Math.ceil(valueMaxBytes / partMinBytes) + 1;

/** NUL at the end: no suffix of a volume makes them parts of an entry. */
const recordKey = (id: string): string => `${UPLOADS}${id}\0`;
const partKey = (id: string, number: number): string => `${recordKey(id)}${String(number).padStart(5, '0')}\0`;

interface UploadRecord {
  /** One character a byte. */
  readonly key: string;
  readonly begunMs: number;
  readonly contentType?: string;
  readonly done?: { readonly parts: string; readonly written: Written };
}

interface Upload {
  readonly volume: KvVolume;
  readonly key: string;
  readonly uploadId: string;
}

type NamedParts = readonly { readonly number: number; readonly doorEtag: string }[];

export class ValueUploads {
  readonly #clock: Clock;
  readonly #random: Random;

  constructor({ clock, random }: { readonly clock: Clock; readonly random: Random }) {
    this.#clock = clock;
    this.#random = random;
  }

  async begin(volume: KvVolume, key: string, type: { contentType?: string }): Promise<{ uploadId: string }> {
    const uploadId = Buffer.from(this.#random.bytes(16)).toString('hex');
    await save(volume, uploadId, { key, begunMs: Math.floor(this.#clock.wallMs()), ...type }, uploadIdleMaxMs);
    return { uploadId };
  }

  async putPart(
    upload: Upload,
    part: { readonly number: number; readonly body: WriteBody; readonly signal: AbortSignal },
  ): Promise<PartInfo> {
    const { volume, uploadId } = upload;
    const { number, body, signal } = part;
    if (body.lengthBytes > valueMaxBytes)
      throw new ForebayError('tooLarge', `a value has at most ${valueMaxBytes} bytes, and so has a part of one`);
    await this.#open(upload);
    const kept = await putValue(volume, { key: partKey(uploadId, number), body, ttlMs: uploadIdleMaxMs, signal });
    await volume.expire(recordKey(uploadId), uploadIdleMaxMs, signal);
    return partInfo(number, kept);
  }

  async listParts(upload: Upload): Promise<PartInfo[]> {
    await this.#open(upload);
    const record = recordKey(upload.uploadId);
    const parts: PartInfo[] = [];
    for await (const { key, fact } of keysBelow(upload.volume, record))
      if (key !== record) parts.push(partInfo(Number(key.slice(record.length, -1)), fact));
    return parts;
  }

  async list(volume: KvVolume, prefix: string): Promise<UploadInfo[]> {
    const uploads: UploadInfo[] = [];
    for await (const { key } of keysBelow(volume, UPLOADS)) {
      const uploadId = key.slice(UPLOADS.length, -1);
      const record = ID.test(uploadId) ? await load(volume, uploadId) : undefined;
      const text = record === undefined || record.done !== undefined ? undefined : textOfBytes(record.key);
      if (text?.startsWith(prefix)) {
        const { begunMs } = record as UploadRecord;
        uploads.push({ volume: volume.name, key: text, uploadId, begunMs });
      }
    }
    return uploads;
  }

  /** Again and again with the same parts: the same answer, for answers may be lost. */
  async complete(upload: Upload, parts: NamedParts, options: WriteOptions): Promise<Written> {
    const { volume, key, uploadId } = upload;
    const record = await find(upload);
    const named = hash('sha256', JSON.stringify(parts.map(({ number, doorEtag }) => [number, doorEtag])));
    if (record.done !== undefined) {
      if (record.done.parts === named) return record.done.written;
      throw noSuchUpload(uploadId);
    }
    const { signal, condition } = options;
    const facts = await leasedParts(upload, parts, signal);
    const body = joined(upload, { parts, facts, signal });
    const { contentType } = record;
    const type = { ...(contentType !== undefined && { contentType }), ...(condition && { condition }) };
    const written = writtenOf(await putValue(volume, { key, body, ...type, signal }));
    await save(volume, uploadId, { ...record, done: { parts: named, written } }, uploadKeepMs);
    await removeParts(upload, signal);
    return written;
  }

  async abort(upload: Upload): Promise<void> {
    await this.#open(upload);
    const { signal } = new AbortController();
    await upload.volume.delete([recordKey(upload.uploadId)], signal);
    await removeParts(upload, signal);
  }

  /** Throws noSuchUpload where it was completed, too. */
  async #open(upload: Upload): Promise<UploadRecord> {
    const record = await find(upload);
    if (record.done !== undefined) throw noSuchUpload(upload.uploadId);
    return record;
  }
}

function partInfo(number: number, fact: ValueFact): PartInfo {
  return { number, doorEtag: valueEtag(fact), sizeBytes: fact.sizeBytes, modifiedMs: fact.modifiedMs };
}

function noSuchUpload(uploadId: string): ForebayError {
  return new ForebayError('noSuchUpload', `there is no upload ${JSON.stringify(uploadId.slice(0, 100))} of this key`);
}

async function find({ volume, key, uploadId }: Upload): Promise<UploadRecord> {
  const record = ID.test(uploadId) ? await load(volume, uploadId) : undefined;
  if (record === undefined || record.key !== key) throw noSuchUpload(uploadId);
  return record;
}

async function load(volume: KvVolume, uploadId: string): Promise<UploadRecord | undefined> {
  const { signal } = new AbortController();
  const value = await volume.open(recordKey(uploadId), signal);
  if (value === undefined) return undefined;
  try {
    if (value.fact.sizeBytes > putSingleMaxBytes) return undefined;
    const pieces: Uint8Array[] = [];
    for await (const bytes of bytesOf(volume, value, signal)) pieces.push(Buffer.from(bytes));
    return JSON.parse(Buffer.concat(pieces).toString('utf8')) as UploadRecord;
  } catch (error) {
    // Written by somebody else under a key of ours: none of our uploads.
    if (error instanceof SyntaxError) return undefined;
    throw error;
  } finally {
    value.close();
  }
}

async function save(volume: KvVolume, uploadId: string, record: UploadRecord, ttlMs: number): Promise<void> {
  const bytes = Buffer.from(JSON.stringify(record), 'utf8');
  const body: ValueBody = {
    lengthBytes: bytes.length,
    async *stream() {
      yield bytes;
    },
  };
  await volume.put(recordKey(uploadId), body, { ttlMs, signal: new AbortController().signal });
}

async function* keysBelow(volume: KvVolume, prefix: string): AsyncGenerator<{ key: string; fact: ValueFact }> {
  const { signal } = new AbortController();
  for (let after: string | undefined; ; ) {
    const page = await volume.list({ prefix, limit: listKeysMax, ...(after !== undefined && { after }) }, signal);
    yield* page.keys;
    if (page.next === undefined) return;
    after = page.keys.at(-1)?.key ?? page.next;
  }
}

async function removeParts({ volume, uploadId }: Upload, signal: AbortSignal): Promise<void> {
  const record = recordKey(uploadId);
  const keys: string[] = [];
  for await (const { key } of keysBelow(volume, record)) if (key !== record) keys.push(key);
  if (keys.length > 0) await volume.delete(keys, signal);
}

/** Throws invalidPart, tooSmall, tooLarge, diskFull. */
async function leasedParts(upload: Upload, parts: NamedParts, signal: AbortSignal): Promise<readonly ValueFact[]> {
  const { volume, uploadId } = upload;
  if (parts.length > PARTS_MAX)
    throw new ForebayError('tooSmall', `of ${parts.length} parts of at most ${valueMaxBytes} bytes some are too small`);
  const keys = parts.map(({ number }) => partKey(uploadId, number));
  const { leading, facts } = await volume.lookup(keys, { leaseMs: kvLeaseMaxMs, signal });
  if (leading < parts.length) await refusePart(volume, keys[leading] as string, parts[leading]?.number as number);
  let sizeBytes = 0;
  for (const [index, { number, doorEtag }] of parts.entries()) {
    const fact = facts[index] as ValueFact;
    if (valueEtag(fact) !== doorEtag) throw new ForebayError('invalidPart', `part ${number} has another ETag`);
    if (fact.sizeBytes < partMinBytes && index < parts.length - 1)
      throw new ForebayError('tooSmall', `part ${number} has ${fact.sizeBytes} bytes, the least is ${partMinBytes}`);
    sizeBytes += fact.sizeBytes;
  }
  if (sizeBytes > valueMaxBytes)
    throw new ForebayError('tooLarge', `a value has at most ${valueMaxBytes} bytes, the parts have ${sizeBytes}`);
  return facts;
}

/** A part may be there and not be leased: the volume's share is too small for it. */
async function refusePart(volume: KvVolume, key: string, number: number): Promise<never> {
  if ((await volume.stat(key, new AbortController().signal)) === undefined)
    throw new ForebayError('invalidPart', `part ${number} is not there`);
  throw new ForebayError(
    'diskFull',
    `part ${number} cannot be kept while it is joined: the volume's share is too small`,
  );
}

function joined(
  { volume, uploadId }: Upload,
  { parts, facts, signal }: { parts: NamedParts; facts: readonly ValueFact[]; signal: AbortSignal },
): ValueBody {
  return {
    lengthBytes: facts.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    async *stream() {
      let index = 0;
      const keys = parts.map(({ number }) => partKey(uploadId, number));
      for await (const value of volume.getMany(keys, signal)) {
        try {
          if (value === undefined || value.fact.content !== facts[index]?.content)
            throw new ForebayError('invalidPart', `part ${parts[index]?.number} is no longer there`);
          yield* bytesOf(volume, value, signal);
        } finally {
          value?.close();
        }
        index += 1;
      }
    },
  };
}

function bytesOf(volume: KvVolume, value: OpenValue, signal: AbortSignal): AsyncIterable<Uint8Array> {
  const range = { start: 0, end: value.fact.sizeBytes };
  return sourceBody(openObject(volume.name, '', value), range, signal).stream();
}
