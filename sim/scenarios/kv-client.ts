/** A client of the kv scenario: puts, looks up, gets, gathers, deletes, locks, lists, and tells the checker all it sees. */

import { BLOCK_SIZE_BYTES } from '../../src/core/chunk.ts';
import { type ErrorCode, ForebayError } from '../../src/core/errors.ts';
import { KiB } from '../../src/core/limits.ts';
import { DiskError } from '../../src/io/io.ts';
import type { KvVolume, OpenValue, PutOutcome, ValueBody } from '../../src/kv/kv.ts';
import { bytesOfPiece } from '../../src/store/piece.ts';
import type { Findings } from '../checkers/checker.ts';
import type { KeptPromises, KvGot } from '../checkers/s10-kept-promises.ts';
import type { Life, SimClock } from '../sim-clock.ts';
import { contentSlice } from '../sim-content.ts';
import type { SimRandom } from '../sim-random.ts';
import { type KvScenarioOptions, kvKeys } from './kv-options.ts';

/** Errors that a put may get while things fail, or where all is leased. Any other error is a finding, and so is any of a get. */
const EXPECTED: ReadonlySet<ErrorCode> = new Set([
  'diskFull',
  'diskUnavailable',
  'overloaded',
  'shuttingDown',
  'peerTimeout',
  'peerUnreachable',
]);

export interface KvClientPlace {
  readonly clock: SimClock;
  readonly random: SimRandom;
  readonly life: Life;
  readonly machine: string;
  readonly volume: KvVolume;
  readonly promises: KeptPromises;
  readonly findings: Findings;
  readonly options: KvScenarioOptions;
  /** The canary: leases end at once, and the client does not know it. */
  readonly forgetsLeases: boolean;
  readonly isServed: () => boolean;
}

export interface KvPutOptions {
  readonly onlyIfAbsent?: boolean;
  readonly sizeBytes?: number;
  readonly ttlMs?: number | undefined;
}

export class KvClient {
  readonly #place: KvClientPlace;
  readonly #keys: readonly string[];

  constructor(place: KvClientPlace) {
    this.#place = place;
    this.#keys = kvKeys(place.options);
  }

  /** One operation, drawn at random. */
  async operation(): Promise<void> {
    const { random, options } = this.#place;
    const key = random.pick(this.#keys);
    await this.#attempt(key, () => (random.chance(options.changeChance) ? this.#change(key) : this.#look(key)));
  }

  async #change(key: string): Promise<unknown> {
    const { random } = this.#place;
    const draw = random.integer(100);
    if (draw < 70) return this.put(key);
    if (draw < 82) return this.delete([key, random.pick(this.#keys)]);
    if (draw < 92) return this.put(key, { onlyIfAbsent: true });
    return this.#expire(key);
  }

  async #look(key: string): Promise<unknown> {
    const { random, promises, life } = this.#place;
    const draw = random.integer(100);
    if (draw < 35) return this.lookup(this.#some());
    if (draw < 60) {
      const promised = promises.promises(life);
      return this.get(promised.length > 0 && random.chance(0.8) ? random.pick(promised) : key);
    }
    if (draw < 85) {
      const promised = promises.promises(life);
      return this.gather(promised.length > 0 && random.chance(0.7) ? promised : this.#some());
    }
    if (draw < 92) return this.list();
    return this.#place.volume.stat(key, PATIENT.signal);
  }

  #some(): string[] {
    const { random } = this.#place;
    const from = random.integer(this.#keys.length);
    return Array.from(
      { length: random.between(1, 6) },
      (_, at) => this.#keys[(from + at) % this.#keys.length] as string,
    );
  }

  async #attempt(key: string, work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (error instanceof DiskError || (error instanceof ForebayError && EXPECTED.has(error.code))) return;
      if (!this.#place.isServed()) return;
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.#place.findings.add('errors', `${key}: ${text}`);
    }
  }

  /** Puts a new version; resolves with how that went. */
  async put(
    key: string,
    { onlyIfAbsent = false, sizeBytes = this.#size(), ttlMs = this.#ttlMs() }: KvPutOptions = {},
  ): Promise<PutOutcome> {
    const { clock, promises, volume } = this.#place;
    const { ledger } = promises;
    const version = ledger.put(key, sizeBytes);
    const touch = ledger.touch(key, 'put', clock.nowMs);
    // a put that fails may have taken effect, and may yet: it stays under way for the checker
    const outcome = await volume.put(key, this.#body(version.number, sizeBytes), {
      ...(onlyIfAbsent && { onlyIfAbsent }),
      ...(ttlMs !== undefined && { ttlMs }),
      onKept: ({ content }) => {
        version.content = content;
      },
      signal: PATIENT.signal,
    });
    touch.toMs = clock.nowMs;
    if (outcome === 'stored') version.storedMs = touch.toMs;
    return outcome;
  }

  /** Mostly the volume's own. */
  #ttlMs(): number | undefined {
    const { random, options } = this.#place;
    return random.chance(0.2) && Number.isFinite(options.ttlMs) ? random.pick([0, 300, 30_000]) : undefined;
  }

  #size(): number {
    const { random, options } = this.#place;
    const most = options.sizeMaxKiB * KiB;
    const size = random.chance(0.3)
      ? random.pick([
          0,
          1,
          100,
          4 * KiB,
          32 * KiB - 1,
          32 * KiB,
          64 * KiB,
          65 * KiB,
          BLOCK_SIZE_BYTES,
          BLOCK_SIZE_BYTES + 1,
        ])
      : random.integer(most);
    return Math.min(size, most);
  }

  #body(number: number, lengthBytes: number): ValueBody {
    const slice = this.#place.random.pick([1000, 64 * KiB, BLOCK_SIZE_BYTES]);
    return {
      lengthBytes,
      async *stream() {
        for (let at = 0; at < lengthBytes; at += slice)
          yield contentSlice(number, at, Math.min(slice, lengthBytes - at));
      },
    };
  }

  /** Returns how many leading keys are there. */
  async lookup(keys: readonly string[]): Promise<number> {
    const { clock, promises, volume, options, life, forgetsLeases, findings } = this.#place;
    const askedMs = clock.nowMs;
    const { leaseMs } = options;
    const { leading, facts } = await volume.lookup(keys, {
      leaseMs: forgetsLeases ? 1 : leaseMs,
      signal: PATIENT.signal,
    });
    if (facts.length !== leading || leading > keys.length)
      findings.add('S-10', `a lookup of ${keys.length} keys says ${leading} with ${facts.length} facts`);
    for (const [at, { content, sizeBytes }] of facts.entries())
      promises.promised(life, { key: keys[at] as string, content, sizeBytes, askedMs, endMs: askedMs + leaseMs });
    return leading;
  }

  async get(key: string): Promise<KvGot> {
    const { clock, volume } = this.#place;
    const askedMs = clock.nowMs;
    const value = await volume.open(key, PATIENT.signal);
    const got = await this.#read(key, value, askedMs);
    value?.close();
    return got;
  }

  async gather(keys: readonly string[]): Promise<void> {
    const { clock, volume, random } = this.#place;
    const askedMs = clock.nowMs;
    let at = 0;
    const leavesAt = random.chance(0.1) ? random.integer(keys.length) : keys.length;
    for await (const value of volume.getMany(keys, PATIENT.signal)) {
      await this.#read(keys[at] as string, value, askedMs);
      value?.close();
      if (at++ === leavesAt) return;
    }
    if (at !== keys.length) this.#place.findings.add('S-10', `${at} answers to a gather of ${keys.length} keys`);
  }

  async #read(key: string, value: OpenValue | undefined, askedMs: number): Promise<KvGot> {
    const { clock, promises, life, machine, isServed } = this.#place;
    let bytes: Uint8Array | undefined;
    let broke = false;
    if (value !== undefined)
      try {
        bytes = value.hot ?? (await this.#bytes(value));
      } catch (error) {
        if (!(error instanceof DiskError) && !(error instanceof ForebayError)) throw error;
        broke = true;
      }
    const content = value?.fact.content;
    const got = { machine, life, key, askedMs, answeredMs: clock.nowMs, content, bytes, broke };
    if (isServed()) promises.got(got);
    return got;
  }

  async #bytes(value: OpenValue): Promise<Uint8Array> {
    const { clock, random, life } = this.#place;
    const { sizeBytes } = value.fact;
    const whole = new Uint8Array(sizeBytes);
    const isSlow = random.chance(0.1);
    let at = 0;
    for await (const piece of value.pieces({ start: 0, end: sizeBytes }, PATIENT.signal)) {
      let damaged = true;
      try {
        const bytes = await bytesOfPiece(piece);
        whole.set(bytes, at);
        at += bytes.length;
        damaged = false;
      } finally {
        piece.release(damaged);
      }
      if (isSlow) await clock.sleep(random.exponential(300), { life });
    }
    if (at !== sizeBytes) this.#place.findings.add('S-9', `${at} of ${sizeBytes} bytes of ${value.fact.content} came`);
    return whole;
  }

  async delete(keys: readonly string[]): Promise<number> {
    const { clock, promises, volume } = this.#place;
    const touches = Array.from(new Set(keys), (key) => promises.ledger.touch(key, 'delete', clock.nowMs));
    const count = await volume.delete(keys, PATIENT.signal);
    for (const touch of touches) touch.toMs = clock.nowMs;
    return count;
  }

  async #expire(key: string): Promise<void> {
    const { clock, promises, volume, random } = this.#place;
    const touch = promises.ledger.touch(key, 'expire', clock.nowMs);
    await volume.expire(key, random.pick([0, 200, 60_000]), PATIENT.signal);
    touch.toMs = clock.nowMs;
  }

  /** All keys, page by page: each once, in order. */
  async list(): Promise<string[]> {
    const { volume, findings, random } = this.#place;
    const all: string[] = [];
    const limit = random.pick([1, 3, 100]);
    for (let after: string | undefined; ; ) {
      const page = await volume.list({ prefix: '', ...(after !== undefined && { after }), limit }, PATIENT.signal);
      for (const { key } of page.keys) {
        if (all.length > 0 && (all.at(-1) as string) >= key)
          findings.add('S-10', `a listing has ${key} after ${all.at(-1)}`);
        all.push(key);
      }
      if (page.next === undefined) return all;
      after = page.next;
    }
  }
}

/** Nobody goes away: a client that dies takes its node's life with it. */
const PATIENT = new AbortController();
