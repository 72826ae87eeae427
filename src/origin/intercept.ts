/**
 * How wrappers stand in front of an origin: each says what it does around a call, and to a body or an answer on
 * its way. `intercept` makes an origin of that.
 */
import type { Body, Condition, Origin } from './origin.ts';

export type Operation =
  | 'head'
  | 'get'
  | 'list'
  | 'put'
  | 'begin'
  | 'part'
  | 'parts'
  | 'finalise'
  | 'abort'
  | 'delete'
  | 'copy'
  | 'probe';

export interface Call {
  readonly operation: Operation;
  /** The key, or for a listing the prefix. */
  readonly key: string;
  /** Bytes that the call sends. */
  readonly bytes: number;
  /** Whether the call can be made again: false once a body is spent that comes only once. */
  readonly replayable: boolean;
  /** Whether it depends on the version at the origin, so that a second try may be refused because of the first. */
  readonly conditional: boolean;
  readonly signal: AbortSignal | undefined;
}

export type GetOptions = Parameters<Origin['get']>[1];

export interface Interceptor {
  /** Runs every operation but `get`. */
  around<T>(call: Call, run: () => Promise<T>): Promise<T>;
  get(call: Call, options: GetOptions): Promise<AsyncIterable<Uint8Array>>;
  body?(call: Call, body: Body): Body;
}

export function intercept(origin: Origin, interceptor: Interceptor): Origin {
  const around = <T>(call: Call, run: () => Promise<T>) => interceptor.around(call, run);
  const passed = (call: Call, body: Body) => interceptor.body?.(call, body) ?? body;
  return {
    kind: origin.kind,
    url: origin.url,
    head: (key, options) => around(callOf('head', key, options), () => origin.head(key, options)),
    get: (key, options) => interceptor.get(callOf('get', key, options), options),
    list: (options) => around(callOf('list', options.prefix, options), () => origin.list(options)),
    put(key, body, options) {
      const call = callOf('put', key, options, body);
      return around(call, () => origin.put(key, passed(call, body), options));
    },
    begin: (key, options) =>
      around(callOf('begin', key, { ...options, condition: {} }), () => origin.begin(key, options)),
    part(upload, number, body, options) {
      const call = callOf('part', upload.key, options, body);
      return around(call, () => origin.part(upload, number, passed(call, body), options));
    },
    parts: (upload) => around(callOf('parts', upload.key), () => origin.parts(upload)),
    finalise: (upload, parts, options) =>
      around(callOf('finalise', upload.key, options), () => origin.finalise(upload, parts, options)),
    abort: (upload) => around(callOf('abort', upload.key), () => origin.abort(upload)),
    // a delete that is tried again finds nothing there, and that is fine
    delete: (key, options) =>
      around(callOf('delete', key, { signal: options?.signal }), () => origin.delete(key, options)),
    copy: (from, to, options) => around(callOf('copy', from.key, options), () => origin.copy(from, to, options)),
    probe: (options) => around(callOf('probe', '', options), () => origin.probe(options)),
    close: () => origin.close(),
  };
}

function callOf(
  operation: Operation,
  key: string,
  options: { readonly signal?: AbortSignal | undefined; readonly condition?: Condition } = {},
  body?: Body,
): Call {
  const { ifMatch, ifNoneMatch } = options.condition ?? {};
  return {
    operation,
    key,
    bytes: body?.lengthBytes ?? 0,
    replayable: body?.replayable ?? true,
    conditional: ifMatch !== undefined || ifNoneMatch !== undefined,
    signal: options.signal,
  };
}

/** Watches an answer go by: `onBytes` for each chunk, `onEnd` exactly once, also when the iteration is stopped early or never begun and then aborted. */
export class TappedStream implements AsyncIterableIterator<Uint8Array> {
  readonly #inner: AsyncIterator<Uint8Array>;
  readonly #onBytes: (bytes: number) => void;
  readonly #onEnd: (error: unknown) => void;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = () => this.#end(this.#signal?.reason);
  #hasEnded = false;

  constructor(
    inner: AsyncIterable<Uint8Array>,
    tap: { onBytes?: (bytes: number) => void; onEnd: (error: unknown) => void; signal: AbortSignal | undefined },
  ) {
    this.#inner = inner[Symbol.asyncIterator]();
    this.#onBytes = tap.onBytes ?? (() => undefined);
    this.#onEnd = tap.onEnd;
    this.#signal = tap.signal;
    if (tap.signal?.aborted) this.#onAbort();
    else tap.signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array>> {
    try {
      const result = await this.#inner.next();
      if (result.done) this.#end(undefined);
      else this.#onBytes(result.value.length);
      return result;
    } catch (error) {
      this.#end(error);
      throw error;
    }
  }

  async return(): Promise<IteratorResult<Uint8Array>> {
    try {
      await this.#inner.return?.();
    } finally {
      this.#end(undefined);
    }
    return { value: undefined, done: true };
  }

  #end(error: unknown): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#signal?.removeEventListener('abort', this.#onAbort);
    this.#onEnd(error);
  }
}
