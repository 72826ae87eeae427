/** A simulated origin as one process sees it: `Origin` of src/origin/origin.ts. */
import { abortable } from '../src/core/abortable.ts';
import { abortReason, ForebayError } from '../src/core/errors.ts';
import { originIdleMs } from '../src/core/limits.ts';
import type { ObjectVersion } from '../src/core/object.ts';
import type { Range } from '../src/core/range.ts';
import type {
  Body,
  Condition,
  ListEntry,
  ListOptions,
  ListPage,
  Origin,
  PutOptions,
  TakenPart,
} from '../src/origin/origin.ts';
import type { Life } from './sim-clock.ts';
import { contentSlice } from './sim-content.ts';
import type { ServedRange, SimOrigin, SimUpload, SimVersion } from './sim-origin.ts';

const compareKeys = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** How a body ends, drawn when it begins. */
type Ending = 'whole' | 'reset' | 'truncated' | 'silent';

export class AttachedOrigin implements Origin {
  readonly kind = 'memory';
  readonly url = 'memory:';
  readonly #origin: SimOrigin;
  readonly #life: Life;

  constructor(origin: SimOrigin, life: Life) {
    this.#origin = origin;
    this.#life = life;
  }

  /** Time passes and a failure may come before `answer` is asked, at one instant. */
  async #request<T>(name: string, what: string, signal: AbortSignal | undefined, answer: () => T): Promise<T> {
    return await this.#counted(name, what, signal, async () => {
      const { clock, random, faults } = this.#origin;
      const life = this.#life;
      const half = random.exponential(faults.latencyMs) / 2;
      await clock.sleep(half, { signal, life });
      const failure = this.#origin.drawFailure(life);
      if (failure === 'silent') await this.#silence({ signal, life });
      const result = failure instanceof ForebayError ? failure : answer();
      await clock.sleep(half, { signal, life });
      if (result instanceof ForebayError) throw result;
      return result;
    });
  }

  /**
   * A request that changes something. What is on its way arrives, also when its sender dies, is paused or gives up; and it
   * may take effect without an answer.
   */
  async #change<T>(
    name: string,
    what: string,
    options: { signal?: AbortSignal | undefined; lengthBytes?: number },
    apply: () => T,
  ): Promise<T> {
    const { signal, lengthBytes = 0 } = options;
    return await this.#counted(name, what, signal, async () => {
      const { clock, random, faults, uploadBytesPerMs } = this.#origin;
      const life = this.#life;
      const half = random.exponential(faults.latencyMs) / 2;
      if (this.#origin.beforeSend) {
        this.#origin.beforeSend(life);
        await clock.sleep(0, { signal, life });
      }
      await clock.sleep(lengthBytes / uploadBytesPerMs, { signal, life });
      if (lengthBytes > 0) await this.#origin.carry?.(life, lengthBytes);
      const arrived = Promise.withResolvers<T | ForebayError | 'silent'>();
      clock.schedule(half, () => {
        const failure = this.#origin.drawFailure(life);
        const result = failure === undefined ? apply() : failure;
        const isUnanswered = (faults.unansweredChance ?? 0) > 0 && random.chance(faults.unansweredChance ?? 0);
        arrived.resolve(isUnanswered ? this.#lostAnswer() : result);
      });
      const result = await abortable(arrived.promise, signal);
      if (result === 'silent') await this.#silence({ signal, life });
      await clock.sleep(half, { signal, life });
      if (result instanceof ForebayError) throw result;
      return result as T;
    });
  }

  #lostAnswer(): ForebayError | 'silent' {
    if (this.#origin.random.chance(0.3)) return 'silent';
    return new ForebayError('originUnavailable', 'the simulated origin reset the connection before it answered');
  }

  async #counted<T>(name: string, what: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    if (signal?.aborted) throw abortReason(signal);
    const { trace, requestsOpen } = this.#origin;
    const life = this.#life;
    trace.note(`origin ${name} ${what}`);
    requestsOpen.set(life, (requestsOpen.get(life) ?? 0) + 1);
    try {
      const result = await work();
      trace.note(`origin ${name} ok`);
      return result;
    } finally {
      requestsOpen.set(life, (requestsOpen.get(life) ?? 0) - 1);
    }
  }

  /** Adapters give up on an origin that sends nothing. */
  async #silence(wait: { signal: AbortSignal | undefined; life: Life }): Promise<never> {
    await this.#origin.clock.sleep(originIdleMs, wait);
    throw new ForebayError('originUnavailable', `the simulated origin sent nothing for ${originIdleMs} ms`);
  }

  head(key: string, options: { signal?: AbortSignal } = {}): Promise<ObjectVersion | undefined> {
    return this.#request('head', key, options.signal, () => {
      const version = this.#origin.current(key);
      return version && stated(version);
    });
  }

  async get(
    key: string,
    options: { etag: string; range: Range; signal?: AbortSignal },
  ): Promise<AsyncIterable<Uint8Array>> {
    const { etag, range, signal } = options;
    const version = await this.#request('get', `${key} ${range.start}-${range.end}`, signal, () => {
      const current = this.#origin.current(key);
      if (current?.etag === etag) return current;
      return new ForebayError('versionChanged', `${key} is ${current ? current.etag : 'gone'}, not ${etag}`);
    });
    if (version instanceof ForebayError) throw version;
    const served: ServedRange = {
      life: this.#life,
      key,
      etag,
      start: range.start,
      end: Math.min(range.end, version.sizeBytes),
      atMs: this.#origin.clock.nowMs,
      servedTo: range.start,
      isOpen: true,
    };
    this.#origin.served.push(served);
    this.#origin.onServe?.(served);
    return { [Symbol.asyncIterator]: () => new SimBody(this.#origin, version, served, signal) };
  }

  list(options: ListOptions): Promise<ListPage> {
    return this.#request('list', options.prefix, options.signal, () => this.#page(options));
  }

  #page(options: ListOptions): ListPage {
    const { prefix, delimiter, after, limit } = options;
    const entries = new Map<string, ListEntry | undefined>();
    for (const key of this.#origin.keys()) {
      if (!key.startsWith(prefix)) continue;
      const cut = delimiter === undefined ? -1 : key.indexOf(delimiter, prefix.length);
      const name = cut < 0 ? key : key.slice(0, cut + (delimiter as string).length);
      if (after !== undefined && compareKeys(name, after) <= 0) continue;
      const { sizeBytes, etag, modifiedMs } = this.#origin.current(key) as SimVersion;
      entries.set(name, cut < 0 ? { key, sizeBytes, etag, modifiedMs } : undefined);
    }
    const taken = [...entries].slice(0, limit);
    const last = taken.at(-1)?.[0];
    return {
      objects: taken.flatMap(([, entry]) => (entry ? [entry] : [])),
      prefixes: taken.flatMap(([name, entry]) => (entry ? [] : [name])),
      ...(entries.size > limit && last !== undefined ? { next: last } : {}),
    };
  }

  async put(key: string, body: Body, options: PutOptions): Promise<{ etag: string }> {
    const bytes = await gathered(body);
    const asked = { signal: options.signal, lengthBytes: bytes.length };
    const written = await this.#change('put', key, asked, () => this.#commit(key, bytes, options));
    return taken(written);
  }

  begin(key: string, options: PutOptions): Promise<string> {
    return this.#change('begin', key, options, () => {
      const id = Buffer.from(this.#origin.random.bytes(8)).toString('hex');
      this.#origin.uploads.set(id, { key, options, parts: new Map() });
      return id;
    });
  }

  #upload(upload: { key: string; id: string }): SimUpload | ForebayError {
    const found = this.#origin.uploads.get(upload.id);
    return found?.key === upload.key ? found : new ForebayError('noSuchUpload', `${upload.id} of ${upload.key}`);
  }

  async part(
    upload: { key: string; id: string },
    number: number,
    body: Body,
    options: { signal?: AbortSignal } = {},
  ): Promise<TakenPart> {
    const bytes = await gathered(body);
    const asked = { signal: options.signal, lengthBytes: bytes.length };
    const part = await this.#change('part', upload.key, asked, () => {
      const found = this.#upload(upload);
      if (found instanceof ForebayError) return found;
      const token = `t${number}-${this.#origin.random.word().toString(16)}`;
      found.parts.set(number, { token, bytes });
      return { number, token, sizeBytes: bytes.length };
    });
    return taken(part);
  }

  async parts(upload: { key: string; id: string }): Promise<readonly TakenPart[]> {
    const found = taken(await this.#request('parts', upload.key, undefined, () => this.#upload(upload)));
    const parts = [...found.parts].map(([number, { token, bytes }]) => ({ number, token, sizeBytes: bytes.length }));
    return parts.sort((a, b) => a.number - b.number);
  }

  async finalise(
    upload: { key: string; id: string },
    parts: readonly TakenPart[],
    options: PutOptions,
  ): Promise<{ etag: string }> {
    const written = await this.#change('finalise', upload.key, options, () => {
      const found = this.#upload(upload);
      if (found instanceof ForebayError) return found;
      const bytes = parts.map(({ number, token }) => {
        const part = found.parts.get(number);
        return part?.token === token ? part.bytes : undefined;
      });
      if (bytes.some((piece) => piece === undefined)) return new ForebayError('invalidPart', upload.key);
      const { keepsBeginOptions } = this.#origin;
      const attributes = keepsBeginOptions ? { ...options, ...attributesOf(found.options) } : options;
      const result = this.#commit(upload.key, Buffer.concat(bytes as Uint8Array[]), attributes);
      if (!(result instanceof ForebayError)) this.#origin.uploads.delete(upload.id);
      return result;
    });
    return taken(written);
  }

  abort(upload: { key: string; id: string }): Promise<void> {
    return this.#change('abort', upload.key, {}, () => void this.#origin.uploads.delete(upload.id));
  }

  async delete(key: string, options: { ifMatch?: string; signal?: AbortSignal } = {}): Promise<void> {
    const refused = await this.#change('delete', key, options, () => {
      const wrong = options.ifMatch === undefined ? undefined : this.#refusal(key, { ifMatch: options.ifMatch });
      if (!wrong) this.#late(() => this.#origin.remove(key, this.#life));
      return wrong;
    });
    if (refused) throw refused;
  }

  async copy(
    from: { key: string; etag: string },
    to: string,
    options: PutOptions,
  ): Promise<{ etag: string } | undefined> {
    const written = await this.#change('copy', `${from.key} ${to}`, options, () => {
      const source = this.#origin.current(from.key);
      if (source?.etag !== from.etag) return new ForebayError('versionChanged', from.key);
      return this.#commit(to, bytesOf(source), options);
    });
    return taken(written);
  }

  async probe(options: { signal?: AbortSignal } = {}): Promise<void> {
    await this.#request('probe', '', options.signal, () => undefined);
  }

  async close(): Promise<void> {}

  #refusal(key: string, condition: Condition): ForebayError | undefined {
    const current = this.#origin.current(key);
    if (this.#origin.damage.ignoresConditions) return undefined;
    const holds =
      (condition.ifNoneMatch === undefined || !current) &&
      (condition.ifMatch === undefined || condition.ifMatch === current?.etag);
    return holds ? undefined : new ForebayError('preconditionFailed', `${key} is ${current?.etag ?? 'absent'}`);
  }

  #commit(key: string, bytes: Uint8Array, options: PutOptions): { etag: string } | ForebayError {
    const refusal = options.condition && this.#refusal(key, options.condition);
    if (refusal) return refusal;
    const taken = this.#origin.damage.cutsObjects ? bytes.subarray(0, Math.max(0, bytes.length - 1)) : bytes;
    const replace = () => this.#origin.replace(key, { bytes: taken }, options, this.#life);
    return { etag: this.#late(replace)?.etag ?? '"late"' };
  }

  /** For the canary: acknowledged before it happens, every other time. */
  #late<T>(act: () => T): T | undefined {
    const { damage, random, clock } = this.#origin;
    if (damage.lateMs === undefined || random.chance(0.5)) return act();
    clock.schedule(damage.lateMs, () => void act());
    return undefined;
  }
}

function attributesOf({ headers, metadata }: PutOptions): Pick<PutOptions, 'headers' | 'metadata'> {
  return { headers, metadata };
}

function taken<T>(result: T | ForebayError): T {
  if (result instanceof ForebayError) throw result;
  return result;
}

function stated(version: SimVersion): ObjectVersion {
  const { key, sizeBytes, etag, modifiedMs, headers, metadata } = version;
  return { key, sizeBytes, etag, modifiedMs, headers, metadata };
}

async function gathered(body: Body): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of body.stream()) pieces.push(piece.slice());
  const bytes = Buffer.concat(pieces);
  if (bytes.length !== body.lengthBytes) throw new ForebayError('incompleteBody', `${bytes.length} bytes came`);
  return bytes;
}

function bytesOf(version: SimVersion): Uint8Array {
  if (version.bytes) return version.bytes;
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < version.sizeBytes; at += 1 << 20) {
    pieces.push(contentSlice(version.number, at, Math.min(1 << 20, version.sizeBytes - at)));
  }
  return Buffer.concat(pieces);
}

/** One body on its way. Time passes before each piece; the end is drawn at the start. */
class SimBody implements AsyncIterator<Uint8Array> {
  readonly #origin: SimOrigin;
  readonly #version: SimVersion;
  readonly #served: ServedRange;
  readonly #signal: AbortSignal | undefined;
  readonly #stopped = new AbortController();
  readonly #ending: Ending;
  /** Where a body that does not end whole ends. */
  readonly #endsAt: number;
  /** Whether a replacement of the object shows in the middle. */
  readonly #seesReplacement: boolean;

  constructor(origin: SimOrigin, version: SimVersion, served: ServedRange, signal: AbortSignal | undefined) {
    this.#origin = origin;
    this.#version = version;
    this.#served = served;
    this.#signal = signal && AbortSignal.any([signal, this.#stopped.signal]);
    const { random, faults } = origin;
    const draw = random.fraction() - faults.resetChance;
    this.#ending =
      draw < 0
        ? 'reset'
        : draw < faults.truncateChance
          ? 'truncated'
          : draw < faults.truncateChance + faults.stallChance
            ? 'silent'
            : 'whole';
    const length = served.end - served.start;
    this.#endsAt = this.#ending === 'whole' ? served.end : served.start + random.integer(Math.max(1, length));
    this.#seesReplacement = random.chance(0.5);
  }

  async next(): Promise<IteratorResult<Uint8Array>> {
    const served = this.#served;
    if (!served.isOpen) return { done: true, value: undefined };
    try {
      const piece = await this.#piece();
      if (piece === undefined) served.isOpen = false;
      return piece === undefined ? { done: true, value: undefined } : { done: false, value: piece };
    } catch (error) {
      served.isOpen = false;
      throw error;
    }
  }

  async #piece(): Promise<Uint8Array | undefined> {
    const { clock, random, faults } = this.#origin;
    const served = this.#served;
    const wait = { signal: this.#signal ?? this.#stopped.signal, life: served.life };
    const at = served.servedTo;
    if (at >= this.#endsAt) {
      if (this.#ending === 'silent') await clock.sleep(originIdleMs, wait);
      if (this.#ending === 'reset' || this.#ending === 'silent')
        throw new ForebayError('originUnavailable', `${served.key}: connection reset`);
      if (this.#ending === 'truncated') throw new ForebayError('originTruncated', `${served.key} ended at ${at}`);
      return undefined;
    }
    const most = random.pick([16 << 10, 64 << 10, 256 << 10, 1 << 20]);
    const length = Math.min(most, this.#endsAt - at);
    await clock.sleep(length / faults.bytesPerMs, wait);
    if (this.#origin.isAwayFor(served.life))
      throw new ForebayError('originUnavailable', `${served.key}: the origin went away`);
    if (this.#seesReplacement && this.#version.untilMs <= clock.nowMs) {
      throw new ForebayError('versionChanged', `${served.key} was replaced during the read`);
    }
    served.servedTo = at + length;
    const { bytes, number } = this.#version;
    return bytes ? bytes.subarray(at, at + length) : contentSlice(number, at, length);
  }

  async return(): Promise<IteratorResult<Uint8Array>> {
    this.#served.isOpen = false;
    this.#stopped.abort(new Error('the reader stopped'));
    return { done: true, value: undefined };
  }
}
