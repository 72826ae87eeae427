/**
 * What the adapters of HTTP stores share: a request with its patience and its errors in our words, checks of what the
 * store says it sends, and how origin URLs are cut.
 */
import type { Readable } from 'node:stream';
import { ForebayError } from '../core/errors.ts';
import { originIdleMs } from '../core/limits.ts';
import type { Range } from '../core/range.ts';
import type { Clock } from '../io/io.ts';
import { IdleWatch } from './idle-watch.ts';
import type { Body } from './origin.ts';
import { isSentWhole, streamedBody, wholeBody } from './send.ts';

export interface StoreIo {
  readonly clock: Clock;
  /** Patience with an origin that sends nothing; `originIdleMs` unless a test says otherwise. */
  readonly idleMs?: number;
}

/** How one SDK's errors become ours. */
export type Translate = (error: unknown, what: string) => Error;

export class Requests {
  readonly #io: StoreIo;
  readonly #url: string;
  readonly #translate: Translate;

  constructor(io: StoreIo, url: string, translate: Translate) {
    this.#io = io;
    this.#url = url;
    this.#translate = translate;
  }

  /** A call that is over when `call` settles. */
  async run<T>(what: string, signal: AbortSignal | undefined, call: (watch: IdleWatch) => Promise<T>): Promise<T> {
    const watch = this.#watch(what, signal);
    try {
      return await call(watch);
    } catch (error) {
      throw watch.error ?? this.#translate(error, `${what} at ${this.#url}`);
    } finally {
      watch.done();
    }
  }

  /** A call whose answer goes on after `call` settles: it hands its watch to `receive`. */
  async open<T>(what: string, signal: AbortSignal | undefined, call: (watch: IdleWatch) => Promise<T>): Promise<T> {
    const watch = this.#watch(what, signal);
    try {
      return await call(watch);
    } catch (error) {
      const told = watch.error ?? this.#translate(error, `${what} at ${this.#url}`);
      watch.fail(told);
      throw told;
    }
  }

  /** A call that sends `body`: a buffer where it can be sent again, else a stream. */
  async send<T>(
    what: string,
    body: Body,
    signal: AbortSignal | undefined,
    call: (bytes: Uint8Array | Readable, watch: IdleWatch) => Promise<T>,
  ): Promise<T> {
    if (isSentWhole(body)) {
      const bytes = await wholeBody(body);
      return await this.run(what, signal, (watch) => call(bytes, watch));
    }
    return await this.run(what, signal, async (watch) => {
      const stream = streamedBody(body, watch);
      try {
        return await call(stream, watch);
      } catch (error) {
        const told = watch.error ?? this.#translate(error, `${what} at ${this.#url}`);
        // a request that was answered before its body ended would keep its connection waiting for the rest
        watch.fail(told);
        throw told;
      } finally {
        stream.destroy();
      }
    });
  }

  #watch(what: string, signal: AbortSignal | undefined): IdleWatch {
    const { clock, idleMs = originIdleMs } = this.#io;
    return new IdleWatch({ clock, idleMs, what: `${what} at ${this.#url}`, signal });
  }
}

/** What an answer to a read says of itself. */
export interface AnswerHead {
  readonly etag?: string | undefined;
  readonly contentLength?: number | undefined;
  readonly contentRange?: string | undefined;
}

/** Throws unless the answer is `range` of the version `etag`, by its own headers. */
export function checkAnswer(head: AnswerHead, asked: { what: string; etag: string; range: Range }): void {
  const { what, etag, range } = asked;
  if (head.etag !== undefined && quoted(head.etag) !== etag)
    throw new ForebayError('versionChanged', `${what}: the origin has the version ${head.etag}, not ${etag}`);
  const length = range.end - range.start;
  if (head.contentRange !== undefined) {
    if (!head.contentRange.startsWith(`bytes ${range.start}-${range.end - 1}/`))
      throw wrongAnswer(what, `answered "${head.contentRange}" for bytes ${range.start}-${range.end - 1}`);
  } else if (range.start !== 0 || head.contentLength !== length) {
    throw wrongAnswer(what, `answered the whole object for bytes ${range.start}-${range.end - 1}: it ignores ranges`);
  }
  if (head.contentLength !== undefined && head.contentLength !== length) {
    const text = `${what}: the origin promises ${head.contentLength} bytes where ${length} were asked for`;
    throw new ForebayError('originTruncated', text);
  }
}

function wrongAnswer(what: string, text: string): ForebayError {
  return new ForebayError('originUnavailable', `${what}: the origin ${text}`);
}

/** An answer's body that may be left unread: the connection's end is then an error that nobody else listens for. */
export function abandonable(source: Readable): Readable {
  return source.on('error', () => undefined);
}

/** ETags with their quotes, which listings of Azure leave out. */
export function quoted(etag: string): string {
  return etag.startsWith('"') || etag.startsWith('W/') ? etag : `"${etag}"`;
}

/** A read of no bytes asks nobody. */
export async function* nothing(): AsyncGenerator<Uint8Array, void, undefined> {}

/** Whole milliseconds of a date from a store; 0 where there is none. */
export function dateMs(date: Date | undefined): number {
  return date === undefined ? 0 : date.getTime();
}

/** A prefix in an origin's URL, as the beginning of every key there. */
export function keyPrefix(path: string): string {
  const trimmed = path.replace(/^\/+|\/+$/g, '');
  return trimmed === '' ? '' : `${trimmed}/`;
}
