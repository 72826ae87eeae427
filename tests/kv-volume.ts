/**
 * Kv volumes for tests of doors: each value is a file of a temporary directory (small ones also in memory), on real io. They hold to the contract of
 * `kv/kv.ts`, forget nothing by themselves but what has expired, and count what they hand out, so that leaks show.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { ForebayError } from '../src/core/errors.ts';
import { newContentId } from '../src/core/ids.ts';
import { kvLeaseMs, valueMaxBytes } from '../src/core/kv-limits.ts';
import type { Range } from '../src/core/range.ts';
import type { Clock, Disk, File } from '../src/io/io.ts';
import type { Kv, KvVolume, OpenValue, PutOptions, PutOutcome, ValueBody, ValueFact } from '../src/kv/kv.ts';
import type { Piece } from '../src/store/piece.ts';

const HOT_MAX_BYTES = 32 * 1024;
const BLOCK_BYTES = 1 << 20;

interface Stored {
  readonly fact: Omit<ValueFact, 'remainingMs'>;
  readonly path: string;
  readonly hot: Uint8Array | undefined;
  endMs: number;
  leasedUntilMs: number;
  users: number;
  isGone: boolean;
}

export interface TestKvOptions {
  readonly directory: string;
  readonly clock: Clock;
  readonly disk: Disk;
  /** Their numbers for SELECT are their places here. */
  readonly volumes?: readonly string[];
  readonly ttlMs?: number;
}

export class TestKvVolume implements KvVolume {
  readonly name: string;
  /** Values that were opened and not closed, pieces that were not released. */
  opened = 0;
  piecesOut = 0;
  puts = 0;
  lookups = 0;
  /** Takes large values by `receive` where it can. */
  receives = true;
  /** Throws for puts, where a test wants them to fail. */
  onPut: ((key: string) => void) | undefined;
  readonly #options: TestKvOptions;
  readonly #values = new Map<string, Stored>();
  readonly #claims = new Set<string>();
  #files = 0;

  constructor(name: string, options: TestKvOptions) {
    this.name = name;
    this.#options = options;
  }

  async put(key: string, body: ValueBody, options: PutOptions): Promise<PutOutcome> {
    this.puts++;
    this.onPut?.(key);
    if (body.lengthBytes > valueMaxBytes) throw new ForebayError('tooLarge', 'the value is too large');
    const claimed = options.onlyIfAbsent === true;
    if (claimed && (this.#find(key) !== undefined || this.#claims.has(key))) return 'exists';
    if (claimed) this.#claims.add(key);
    try {
      const made = await this.#store(body, options);
      if (options.mustBeAbsent?.() === true && this.#find(key) !== undefined) return 'exists';
      const old = this.#find(key);
      if (old !== undefined) this.#drop(key);
      this.#values.set(key, made);
      options.onKept?.(this.#factOf(made));
      return 'stored';
    } finally {
      if (claimed) this.#claims.delete(key);
    }
  }

  async #store(body: ValueBody, { ttlMs = this.#options.ttlMs ?? Number.POSITIVE_INFINITY, contentType }: PutOptions) {
    const { disk, clock, directory } = this.#options;
    const path = join(directory, `${this.name}-${this.#files++}`);
    const file = await disk.open(path, { write: true, create: true });
    const kept: Uint8Array[] = [];
    let at = 0;
    try {
      if (body.receive !== undefined && this.receives) {
        await body.receive(file, () => {});
        at = body.lengthBytes;
      } else
        for await (const bytes of body.whole === undefined ? body.stream() : [body.whole]) {
          await file.write(at, Buffer.from(bytes));
          if (body.lengthBytes <= HOT_MAX_BYTES) kept.push(Buffer.from(bytes));
          at += bytes.length;
        }
    } catch (error) {
      await file.close();
      await disk.unlink(path);
      throw error;
    }
    await file.close();
    assert.equal(at, body.lengthBytes, 'a body has its declared length');
    const content = newContentId({ wallMs: clock.wallMs(), random: randomBytes(10) });
    const stored: Stored = {
      fact: { content, sizeBytes: at, modifiedMs: clock.wallMs(), contentType },
      path,
      hot: at > 0 && at <= HOT_MAX_BYTES ? Buffer.concat(kept) : undefined,
      endMs: clock.boottimeMs() + ttlMs,
      leasedUntilMs: 0,
      users: 0,
      isGone: false,
    };
    return stored;
  }

  openHot(key: string): OpenValue | undefined {
    const value = this.#find(key);
    return value?.hot === undefined ? undefined : this.#open(value);
  }

  async open(key: string, _signal: AbortSignal): Promise<OpenValue | undefined> {
    const value = this.#find(key);
    return value === undefined ? undefined : this.#open(value);
  }

  async lookup(keys: readonly string[], { leaseMs = kvLeaseMs }: { leaseMs?: number; signal: AbortSignal }) {
    this.lookups++;
    const found: ValueFact[] = [];
    for (const key of keys) {
      const value = this.#find(key);
      if (value === undefined) break;
      value.leasedUntilMs = this.#options.clock.boottimeMs() + leaseMs;
      found.push(this.#factOf(value));
    }
    return { leading: found.length, facts: found };
  }

  async *getMany(keys: readonly string[], signal: AbortSignal): AsyncIterable<OpenValue | undefined> {
    for (const key of keys) yield await this.open(key, signal);
  }

  async delete(keys: readonly string[]): Promise<number> {
    return keys.filter((key) => this.#find(key) !== undefined && this.#drop(key)).length;
  }

  async stat(key: string): Promise<ValueFact | undefined> {
    const value = this.#find(key);
    return value && this.#factOf(value);
  }

  async expire(key: string, ttlMs: number): Promise<boolean> {
    const value = this.#find(key);
    if (value === undefined) return false;
    if (ttlMs <= 0) return this.#drop(key);
    value.endMs = this.#options.clock.boottimeMs() + ttlMs;
    return true;
  }

  async list({ prefix, after, limit }: { prefix: string; after?: string; limit: number }) {
    const all = [...this.#values.keys()]
      .filter((key) => this.#find(key) !== undefined && key.startsWith(prefix))
      .sort();
    const rest = after === undefined ? all : all.filter((key) => key > after);
    const keys = rest.slice(0, limit).map((key) => ({ key, fact: this.#factOf(this.#values.get(key) as Stored) }));
    return rest.length > limit ? { keys, next: keys.at(-1)?.key as string } : { keys };
  }

  async count(): Promise<number> {
    return this.status.values;
  }

  get status() {
    const now = [...this.#values.keys()].map((key) => this.#find(key)).filter((value) => value !== undefined);
    const bytes = now.reduce((sum, { fact }) => sum + fact.sizeBytes, 0);
    return { values: now.length, bytes, shareBytes: 1 << 30, leasedBytes: 0, evicted: 0, expired: 0 };
  }

  leasedUntilMs(key: string): number {
    return this.#find(key)?.leasedUntilMs ?? 0;
  }

  #find(key: string): Stored | undefined {
    const value = this.#values.get(key);
    if (value === undefined || value.endMs > this.#options.clock.boottimeMs()) return value;
    this.#drop(key);
    return undefined;
  }

  #drop(key: string): boolean {
    const value = this.#values.get(key);
    this.#values.delete(key);
    if (value === undefined) return false;
    value.isGone = true;
    this.#tidy(value);
    return true;
  }

  #tidy(value: Stored): void {
    if (value.isGone && value.users === 0) void this.#options.disk.unlink(value.path).catch(() => {});
  }

  #factOf(value: Stored): ValueFact {
    return { ...value.fact, remainingMs: value.endMs - this.#options.clock.boottimeMs() };
  }

  #open(value: Stored): OpenValue {
    value.users++;
    this.opened++;
    let isOpen = true;
    return {
      fact: this.#factOf(value),
      hot: value.hot,
      pieces: (range, signal) => this.#pieces(value, range, signal),
      close: () => {
        assert.ok(isOpen, 'a value is closed once');
        isOpen = false;
        value.users--;
        this.opened--;
        this.#tidy(value);
      },
    };
  }

  async *#pieces(value: Stored, range: Range, signal: AbortSignal): AsyncIterable<Piece> {
    const file: File = await this.#options.disk.open(value.path);
    try {
      for (let start = range.start; start < range.end; start += 16 * BLOCK_BYTES) {
        signal.throwIfAborted();
        this.piecesOut++;
        const end = Math.min(range.end, start + 16 * BLOCK_BYTES);
        yield { kind: 'file', file, range: { start, end }, release: () => void this.piecesOut-- };
      }
    } finally {
      await file.close();
    }
  }
}

export interface TestKv extends Kv {
  readonly volumes: ReadonlyMap<string, TestKvVolume>;
}

/** Volumes of these names (by default one, `kv`) over files below `directory`. */
export function createTestKv(options: TestKvOptions): TestKv {
  mkdirSync(options.directory, { recursive: true });
  const names = options.volumes ?? ['kv'];
  const volumes = new Map(names.map((name) => [name, new TestKvVolume(name, options)]));
  return {
    volumes,
    byNumber: (number) => volumes.get(names[number] as string),
    async close() {},
  };
}
