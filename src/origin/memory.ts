/**
 * The `memory:` origin: objects in this process, gone with it. For trying things out and for tests; it behaves as S3
 * does, with conditions, uploads and strong consistency. It has no bound of its own: it is as large as what is put.
 */
import { ForebayError } from '../core/errors.ts';
import { compareKeys } from '../core/key-order.ts';
import { MiB } from '../core/limits.ts';
import type { ObjectVersion } from '../core/object.ts';
import type { Range } from '../core/range.ts';
import type { Clock, Random } from '../io/io.ts';
import { gather } from './body.ts';
import { checkCondition } from './condition.ts';
import { commonPrefix, isAfter, PageBuilder } from './listing.ts';
import type { Body, ListOptions, ListPage, Origin, PutOptions, TakenPart } from './origin.ts';

interface Held extends ObjectVersion {
  readonly bytes: Uint8Array;
}

interface Upload {
  readonly key: string;
  readonly parts: Map<number, { readonly token: string; readonly bytes: Uint8Array }>;
}

const YIELD_BYTES = MiB;

export function createMemoryOrigin(io: { clock: Clock; random: Random; url?: string }): Origin {
  return new MemoryOrigin(io);
}

class MemoryOrigin implements Origin {
  readonly kind = 'memory';
  readonly url: string;
  readonly #clock: Clock;
  readonly #random: Random;
  /** Sets this process's ETags apart from those of its former lives, which caches may remember. */
  readonly #life: string;
  readonly #objects = new Map<string, Held>();
  /** The keys of `#objects` in byte order. */
  readonly #keys: string[] = [];
  readonly #uploads = new Map<string, Upload>();
  #count = 0;

  constructor(io: { clock: Clock; random: Random; url?: string }) {
    this.#clock = io.clock;
    this.#random = io.random;
    this.url = io.url ?? 'memory:';
    this.#life = Buffer.from(io.random.bytes(8)).toString('hex');
  }

  async head(key: string, options: { signal?: AbortSignal } = {}): Promise<ObjectVersion | undefined> {
    options.signal?.throwIfAborted();
    const held = this.#objects.get(key);
    if (held === undefined) return undefined;
    const { bytes: _, ...version } = held;
    return version;
  }

  async get(
    key: string,
    options: { etag: string; range: Range; signal?: AbortSignal },
  ): Promise<AsyncIterable<Uint8Array>> {
    options.signal?.throwIfAborted();
    return slices(this.#version(key, options.etag).bytes, options.range, options.signal);
  }

  async list(options: ListOptions): Promise<ListPage> {
    options.signal?.throwIfAborted();
    const page = new PageBuilder(options);
    const from = options.after !== undefined && isAfter(options.after, options.prefix) ? options.after : options.prefix;
    let at = this.#position((key) => compareKeys(key, from) < 0);
    for (;;) {
      const key = this.#keys[at];
      if (key === undefined || !key.startsWith(options.prefix)) break;
      const common = commonPrefix(key, options);
      const name = common ?? key;
      if (isAfter(name, options.after)) {
        if (page.isFull) {
          page.overflow();
          break;
        }
        if (common !== undefined) page.addPrefix(common);
        else page.add(listed(this.#objects.get(key) as Held));
      }
      at = common === undefined ? at + 1 : this.#position((k) => k.startsWith(common) || compareKeys(k, common) < 0);
    }
    return page.finish();
  }

  async put(key: string, body: Body, options: PutOptions): Promise<{ etag: string }> {
    options.signal?.throwIfAborted();
    const bytes = await gather(body, { own: true });
    options.signal?.throwIfAborted();
    return this.#commit(key, bytes, options);
  }

  async begin(key: string, options: PutOptions): Promise<string> {
    options.signal?.throwIfAborted();
    const id = Buffer.from(this.#random.bytes(16)).toString('hex');
    this.#uploads.set(id, { key, parts: new Map() });
    return id;
  }

  async part(
    upload: { key: string; id: string },
    number: number,
    body: Body,
    options: { signal?: AbortSignal } = {},
  ): Promise<TakenPart> {
    options.signal?.throwIfAborted();
    this.#upload(upload);
    const bytes = await gather(body, { own: true });
    options.signal?.throwIfAborted();
    const token = this.#nextTag();
    this.#upload(upload).parts.set(number, { token, bytes });
    return { number, token, sizeBytes: bytes.length };
  }

  async parts(upload: { key: string; id: string }): Promise<readonly TakenPart[]> {
    return [...this.#upload(upload).parts]
      .map(([number, part]) => ({ number, token: part.token, sizeBytes: part.bytes.length }))
      .sort((a, b) => a.number - b.number);
  }

  async finalise(
    upload: { key: string; id: string },
    parts: readonly TakenPart[],
    options: PutOptions,
  ): Promise<{ etag: string }> {
    options.signal?.throwIfAborted();
    const held = this.#upload(upload).parts;
    const pieces = parts.map((part) => {
      const found = held.get(part.number);
      if (found === undefined || found.token !== part.token)
        throw new ForebayError('invalidPart', `part ${part.number} of the upload of "${upload.key}" is not there`);
      return found.bytes;
    });
    const written = this.#commit(upload.key, Buffer.concat(pieces), options);
    this.#uploads.delete(upload.id);
    return written;
  }

  async abort(upload: { key: string; id: string }): Promise<void> {
    this.#uploads.delete(upload.id);
  }

  async delete(key: string, options: { ifMatch?: string; signal?: AbortSignal } = {}): Promise<void> {
    options.signal?.throwIfAborted();
    const held = this.#objects.get(key);
    if (held === undefined) return;
    if (options.ifMatch !== undefined) checkCondition(key, held, { ifMatch: options.ifMatch });
    this.#objects.delete(key);
    this.#keys.splice(
      this.#position((k) => compareKeys(k, key) < 0),
      1,
    );
  }

  async copy(
    from: { key: string; etag: string },
    to: string,
    options: PutOptions,
  ): Promise<{ etag: string } | undefined> {
    options.signal?.throwIfAborted();
    return this.#commit(to, this.#version(from.key, from.etag).bytes, options);
  }

  async probe(options: { signal?: AbortSignal } = {}): Promise<void> {
    options.signal?.throwIfAborted();
  }

  async close(): Promise<void> {}

  #nextTag(): string {
    return `"${this.#life}${(this.#count++).toString(16).padStart(8, '0')}"`;
  }

  #version(key: string, etag: string): Held {
    const held = this.#objects.get(key);
    if (held?.etag !== etag) throw new ForebayError('versionChanged', `"${key}" is no longer the version ${etag}`);
    return held;
  }

  #upload(upload: { key: string; id: string }): Upload {
    const held = this.#uploads.get(upload.id);
    if (held?.key !== upload.key) throw new ForebayError('noSuchUpload', `no upload ${upload.id} of "${upload.key}"`);
    return held;
  }

  #commit(key: string, bytes: Uint8Array, options: PutOptions): { etag: string } {
    const before = this.#objects.get(key);
    checkCondition(key, before, options.condition);
    const etag = this.#nextTag();
    this.#objects.set(key, {
      key,
      sizeBytes: bytes.length,
      etag,
      modifiedMs: Math.floor(this.#clock.wallMs()),
      headers: { 'content-type': 'binary/octet-stream', ...options.headers },
      metadata: { ...options.metadata },
      bytes,
    });
    if (before === undefined)
      this.#keys.splice(
        this.#position((k) => compareKeys(k, key) < 0),
        0,
        key,
      );
    return { etag };
  }

  /** The index of the first key for which `isBefore` no longer holds. */
  #position(isBefore: (key: string) => boolean): number {
    let low = 0;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (isBefore(this.#keys[middle] as string)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function listed(held: Held) {
  return { key: held.key, sizeBytes: held.sizeBytes, etag: held.etag, modifiedMs: held.modifiedMs };
}

async function* slices(
  bytes: Uint8Array,
  range: Range,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = range.start; at < range.end; at += YIELD_BYTES) {
    signal?.throwIfAborted();
    yield bytes.subarray(at, Math.min(at + YIELD_BYTES, range.end));
  }
}
