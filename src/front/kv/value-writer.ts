/**
 * Writes of objects into kv volumes, for doors that speak of objects.
 *
 * A value has bytes and a type; what else an object may carry (metadata of the user's, encodings, dates) is refused rather than
 * lost. `If-None-Match: *` is decided by the key's owner, one of several wins. `If-Match` compares when the request comes and again
 * before the last bytes are taken: it is no lock.
 */
import { BLOCK_SIZE_BYTES } from '../../core/chunk.ts';
import { ForebayError } from '../../core/errors.ts';
import { OWN_ID } from '../../core/object.ts';
import type { Volume } from '../../core/volume.ts';
import type { Clock, Random } from '../../io/io.ts';
import type { Kv, KvVolume, PutOptions, ValueBody, ValueFact } from '../../kv/kv.ts';
import { type OpenSource, withSourceRange } from '../../write/source-body.ts';
import type {
  Target,
  WriteAttributes,
  WriteBody,
  WriteCondition,
  WriteOptions,
  Writer,
  Written,
} from '../../write/writer.ts';
import { keyOfText } from './value-key.ts';
import { valueEtag } from './value-object.ts';
import { kvVolumeOf } from './value-reader.ts';
import { ValueUploads } from './value-uploads.ts';

export interface ValueWriterOptions {
  readonly kv: Kv;
  /** Of every kind. */
  readonly volumes: ReadonlyMap<string, { readonly volume: Volume }>;
  /** Opens an object of any volume, to copy from. */
  readonly openSource: OpenSource;
  readonly clock: Clock;
  readonly random: Random;
}

export function createValueWriter(options: ValueWriterOptions): Writer {
  return new ValueWriter(options);
}

class ValueWriter implements Writer {
  readonly #options: ValueWriterOptions;
  readonly #uploads: ValueUploads;

  constructor(options: ValueWriterOptions) {
    this.#options = options;
    this.#uploads = new ValueUploads(options);
  }

  async put(target: Target, body: WriteBody, options: WriteAttributes & WriteOptions): Promise<Written> {
    const volume = this.#writable(target);
    refuseWish(options);
    const type = contentTypeOf(options);
    return writtenOf(await putValue(volume, { key: keyOfText(target.key), body, ...type, ...options }));
  }

  async delete(target: Target, options: { ifMatch?: string } = {}): Promise<void> {
    const volume = this.#writable(target);
    const key = keyOfText(target.key);
    const { signal } = new AbortController();
    if (options.ifMatch !== undefined) await checkMatch(volume, { key, ifMatch: options.ifMatch, signal });
    await volume.delete([key], signal);
  }

  async copy(
    source: Target,
    target: Target,
    options: WriteOptions & { attributes?: WriteAttributes },
  ): Promise<Written> {
    const volume = this.#writable(target);
    refuseWish(options);
    const { openSource } = this.#options;
    const object = await openSource(source.volume, source.key, options.signal);
    const type = contentTypeOf(options.attributes ?? object.fact);
    object.close();
    return await withSourceRange(openSource, source, options.signal, async (body) =>
      writtenOf(await putValue(volume, { key: keyOfText(target.key), body, ...type, ...options })),
    );
  }

  async rename(source: Target): Promise<Written> {
    this.#writable(source);
    throw new ForebayError('notImplemented', `the kv volume ${source.volume} renames nothing: put the value anew`);
  }

  async beginUpload(target: Target, attributes: WriteAttributes): Promise<{ uploadId: string }> {
    return await this.#uploads.begin(this.#writable(target), keyOfText(target.key), contentTypeOf(attributes));
  }

  async putPart(target: Target, uploadId: string, number: number, body: WriteBody, signal: AbortSignal) {
    const upload = { volume: this.#writable(target), key: keyOfText(target.key), uploadId };
    return await this.#uploads.putPart(upload, { number, body, signal });
  }

  async copyPart(
    source: Parameters<Writer['copyPart']>[0],
    target: Target,
    uploadId: string,
    number: number,
    signal: AbortSignal,
  ) {
    const upload = { volume: this.#writable(target), key: keyOfText(target.key), uploadId };
    return await withSourceRange(this.#options.openSource, source, signal, (body) =>
      this.#uploads.putPart(upload, { number, body, signal }),
    );
  }

  async listParts(target: Target, uploadId: string) {
    const volume = kvVolumeOf(this.#options.kv, target.volume);
    return await this.#uploads.listParts({ volume, key: keyOfText(target.key), uploadId });
  }

  async listUploads(volume: string, prefix: string) {
    return await this.#uploads.list(kvVolumeOf(this.#options.kv, volume), prefix);
  }

  async completeUpload(
    target: Target,
    uploadId: string,
    parts: readonly { number: number; doorEtag: string }[],
    options: WriteOptions,
  ): Promise<Written> {
    const volume = this.#writable(target);
    refuseWish(options);
    return await this.#uploads.complete({ volume, key: keyOfText(target.key), uploadId }, parts, options);
  }

  async abortUpload(target: Target, uploadId: string): Promise<void> {
    await this.#uploads.abort({ volume: this.#writable(target), key: keyOfText(target.key), uploadId });
  }

  #writable({ volume: name }: Pick<Target, 'volume'>): KvVolume {
    const volume = kvVolumeOf(this.#options.kv, name);
    if (this.#options.volumes.get(name)?.volume.write !== true)
      throw new ForebayError('accessDenied', `the volume ${name} is read-only`);
    return volume;
  }
}

/** A kv volume has one copy of each value, in no origin, and no checkpoints. Throws invalidArgument. */
function refuseWish({ ack, checkpoint }: WriteOptions): void {
  if (ack !== undefined && ack !== 'local')
    throw new ForebayError(
      'invalidArgument',
      `a kv volume keeps one copy of a value, on the node that took it: x-forebay-ack cannot be ${ack}`,
    );
  if (checkpoint !== undefined)
    throw new ForebayError('invalidArgument', 'values of kv volumes are no part of checkpoints');
}

/** Throws notImplemented for what would be lost. */
function contentTypeOf({ headers, metadata }: WriteAttributes): { contentType?: string } {
  const { 'content-type': contentType, ...others } = headers;
  const named = Object.keys(metadata).filter((name) => name !== OWN_ID);
  const lost = [...Object.keys(others), ...named.map((name) => `x-amz-meta-${name}`)];
  if (lost.length > 0)
    throw new ForebayError('notImplemented', `kv volumes keep a value's type and nothing else: not ${lost.join(', ')}`);
  return contentType === undefined ? {} : { contentType };
}

interface ValuePut extends Pick<PutOptions, 'contentType' | 'ttlMs' | 'signal'> {
  readonly key: string;
  readonly body: WriteBody;
  readonly condition?: WriteCondition;
}

/** What is under the key now. Throws preconditionFailed, and as `KvVolume.put`. */
export async function putValue(volume: KvVolume, put: ValuePut): Promise<ValueFact> {
  const { key, body, contentType, ttlMs, signal, condition } = put;
  const { ifMatch, ifNoneMatch } = condition ?? {};
  const match = ifMatch === undefined ? undefined : { key, ifMatch, signal };
  if (match !== undefined) await checkMatch(volume, match);
  let kept: ValueFact | undefined;
  const outcome = await volume.put(
    key,
    match === undefined ? valueBody(body, signal) : matchedBody(volume, body, match),
    {
      ...(contentType !== undefined && { contentType }),
      ...(ttlMs !== undefined && { ttlMs }),
      ...(ifNoneMatch !== undefined && { onlyIfAbsent: true }),
      onKept: (fact) => {
        kept = fact;
      },
      signal,
    },
  );
  if (outcome === 'exists') throw new ForebayError('preconditionFailed', 'the key has a value, or is being put');
  kept ??= await volume.stat(key, signal);
  if (kept === undefined) throw new ForebayError('overloaded', 'the value was evicted as soon as it was put');
  return kept;
}

interface Match {
  readonly key: string;
  readonly ifMatch: string;
  readonly signal: AbortSignal;
}

async function checkMatch(volume: KvVolume, { key, ifMatch, signal }: Match): Promise<void> {
  const found = await volume.stat(key, signal);
  if (found !== undefined && (ifMatch === '*' || ifMatch === valueEtag(found))) return;
  const now = found === undefined ? 'not there' : valueEtag(found);
  throw new ForebayError('preconditionFailed', `the value is ${now}`);
}

/** A large one goes from its connection into the value's file, where the platform can. */
function valueBody(body: WriteBody, signal: AbortSignal): ValueBody {
  const { lengthBytes, receiveInto } = body;
  const stream = () => body.stream();
  if (receiveInto === undefined) return { lengthBytes, stream };
  return {
    lengthBytes,
    stream,
    receive: (file, onBlock) =>
      receiveInto({
        file,
        position: 0,
        sliceBytes: BLOCK_SIZE_BYTES,
        onSlice: ({ position, checksum }) => onBlock(position / BLOCK_SIZE_BYTES, checksum),
        signal,
      }),
  };
}

/** The body, of which the last bytes come only where the condition still holds. */
function matchedBody(volume: KvVolume, body: WriteBody, match: Match): ValueBody {
  return {
    lengthBytes: body.lengthBytes,
    async *stream() {
      let held: Uint8Array | undefined;
      for await (const bytes of body.stream()) {
        if (held !== undefined) yield held;
        held = bytes;
      }
      await checkMatch(volume, match);
      if (held !== undefined) yield held;
    },
  };
}

export function writtenOf(fact: ValueFact): Written {
  return { doorEtag: valueEtag(fact), modifiedMs: fact.modifiedMs, level: 'local' };
}
