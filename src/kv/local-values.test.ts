import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Life, SimClock, SimMachineClock } from '../../sim/sim-clock.ts';
import { SimDisk } from '../../sim/sim-disk.ts';
import { SimRandom } from '../../sim/sim-random.ts';
import { Trace } from '../../sim/trace.ts';
import { ForebayError, isForebayError } from '../core/errors.ts';
import { KiB, MiB } from '../core/limits.ts';
import type { KvPolicy, Volume } from '../core/volume.ts';
import type { Event } from '../observe/events.ts';
import { inspectDirectory } from '../store/inspect.ts';
import { openStore } from '../store/open-store.ts';
import type { Store } from '../store/store.ts';
import type { OpenValue, ValueBody } from './kv.ts';
import { openLocalValues } from './local-values.ts';
import type { LocalValues } from './values.ts';

const NEVER = new AbortController().signal;
const DIRECTORY = '/cache';

function volumeOf(kv: Partial<KvPolicy> = {}): Volume {
  return {
    name: 'kv1',
    origin: 'none',
    write: true,
    revalidateMs: 0,
    staleIfErrorMs: 0,
    chunkSizeBytes: 16 * MiB,
    verify: 'arrival',
    kv: { ttlMs: Number.POSITIVE_INFINITY, share: 0.5, suffixes: ['metadata', 'kv_bytes'], ...kv },
  };
}

/** A store on a simulated disk with one kv volume; `crash` ends its life and the next `open` begins another. */
class Bench {
  readonly clock: SimClock;
  readonly disk: SimDisk;
  readonly events: Event[] = [];
  readonly capacityBytes: number;
  readonly gone: string[] = [];
  readonly machine: SimMachineClock;
  readonly #random = new SimRandom(11);
  #life = new Life('first');
  store!: Store;
  values!: LocalValues;

  constructor(options: { capacityBytes?: number } = {}) {
    this.capacityBytes = options.capacityBytes ?? 64 * MiB;
    const trace = new Trace();
    this.clock = new SimClock(this.#random.fork('clock'), trace);
    this.machine = new SimMachineClock(this.clock, this.#random.fork('machine'));
    this.disk = new SimDisk({
      clock: this.clock,
      machine: this.machine,
      random: this.#random.fork('disk'),
      trace,
      capacityBytes: 8 * this.capacityBytes,
      canPunch: true,
      canClone: false,
      deadlineMs: 3000,
      faults: { latencyMs: 0.1, bytesPerMs: 1 << 20, slowChance: 0, slowMs: 0, errorChance: 0 },
    });
  }

  run<T>(work: Promise<T>): Promise<T> {
    return this.clock.settle(work, this.clock.nowMs + 600_000);
  }

  async open(
    kv: Partial<KvPolicy> = {},
    more: { hotBytes?: number; snapshotAfterBytes?: number; keysMax?: number } = {},
  ): Promise<void> {
    const clock = this.machine.attach(this.#life);
    this.store = await this.run(
      openStore({
        disk: this.disk.attach(this.#life),
        clock,
        random: this.#random,
        directory: DIRECTORY,
        capacityBytes: this.capacityBytes,
        hotBytes: 0,
        valueHotBytes: more.hotBytes ?? 4 * MiB,
        factBytes: 8 * MiB,
        scrubBytesPerS: 0,
        ...(more.snapshotAfterBytes === undefined ? {} : { snapshotAfterBytes: more.snapshotAfterBytes }),
        emit: (event) => this.events.push(event),
      }),
    );
    this.values = openLocalValues({
      store: this.store,
      volume: volumeOf(kv),
      capacityBytes: this.capacityBytes,
      ...(more.keysMax === undefined ? {} : { keysMax: more.keysMax }),
      clock,
      random: this.#random,
    });
    this.values.onGone = (key) => this.gone.push(key);
  }

  crash(kind: 'process' | 'machine'): void {
    this.values.close();
    this.#life.alive = false;
    this.disk.crash(this.#life, kind);
    if (kind === 'machine') this.machine.reboot();
    this.#life = new Life('next');
  }

  get io() {
    return this.disk.attach(this.#life);
  }

  sleep(ms: number): Promise<void> {
    return this.run(this.clock.sleep(ms));
  }

  async put(key: string, bytes: Uint8Array, ttlMs?: number): Promise<'stored' | 'same'> {
    const options = { signal: NEVER, ...(ttlMs === undefined ? {} : { ttlMs }) };
    return (await this.run(this.values.put(key, bodyOf(bytes), options))).outcome;
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    await this.run(this.values.prepare(key) ?? Promise.resolve());
    const opened = this.values.open(key);
    if (opened === undefined) return undefined;
    try {
      return await this.run(readAll(opened));
    } finally {
      opened.close();
    }
  }
}

/** In slices of an odd length, so that blocks are cut. */
function bodyOf(bytes: Uint8Array): ValueBody {
  return {
    lengthBytes: bytes.length,
    async *stream() {
      for (let at = 0; at < bytes.length; at += 100_003) yield bytes.subarray(at, at + 100_003);
    },
  };
}

/** A ramp modulo a prime, so that a misplaced byte shows. */
function bytesOf(seed: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += 1) bytes[at] = (seed + at + Math.floor(at / 251)) % 251;
  return bytes;
}

async function readAll(opened: OpenValue): Promise<Uint8Array> {
  const slices: Uint8Array[] = [];
  for await (const piece of opened.pieces({ start: 0, end: opened.fact.sizeBytes }, NEVER)) {
    slices.push(
      Uint8Array.from(
        piece.kind === 'bytes'
          ? piece.bytes
          : await piece.file.read(piece.range.start, piece.range.end - piece.range.start),
      ),
    );
    piece.release();
  }
  return Buffer.concat(slices);
}

function same(actual: Uint8Array | undefined, expected: Uint8Array): void {
  assert.ok(actual !== undefined, 'a hit');
  assert.equal(Buffer.compare(actual, expected), 0, 'the same bytes');
}

const SIZES = [0, 1, 1000, 32 * KiB - 1, 32 * KiB, MiB, 3 * MiB + 5, 17 * MiB];

test('values of every size come back as they were put, before and after a restart', async () => {
  const bench = new Bench({ capacityBytes: 128 * MiB });
  await bench.open();
  for (const [at, size] of SIZES.entries()) assert.equal(await bench.put(`k${at}`, bytesOf(at, size)), 'stored');
  for (const [at, size] of SIZES.entries()) same(await bench.get(`k${at}`), bytesOf(at, size));
  assert.equal(bench.values.status.values, SIZES.length);
  await bench.run(bench.values.written());
  bench.crash('process');
  await bench.open();
  for (const [at, size] of SIZES.entries()) same(await bench.get(`k${at}`), bytesOf(at, size));
  assert.equal(await bench.get('other'), undefined);
});

test('equal bytes write nothing, others replace', async () => {
  const bench = new Bench();
  await bench.open();
  for (const size of [0, 700, 2 * MiB + 1]) {
    const key = `k${size}`;
    await bench.put(key, bytesOf(1, size));
    const content = bench.values.find(key)?.content;
    assert.equal(await bench.put(key, bytesOf(1, size)), 'same');
    assert.equal(bench.values.find(key)?.content, content);
    if (size === 0) continue;
    const changed = bytesOf(1, size);
    changed[size - 1] = 255;
    assert.equal(await bench.put(key, changed), 'stored');
    assert.notEqual(bench.values.find(key)?.content, content);
    same(await bench.get(key), changed);
  }
  assert.equal(bench.values.status.values, 3);
});

test('a body of another length than it says is refused, and leaves nothing', async () => {
  const bench = new Bench();
  await bench.open();
  for (const [declared, given] of [
    [3 * MiB, 2 * MiB],
    [2 * MiB, 2 * MiB + 1],
    [900, 899],
    [900, 901],
  ] as const) {
    const body = { ...bodyOf(bytesOf(1, given)), lengthBytes: declared };
    await assert.rejects(bench.run(bench.values.put('k', body, { signal: NEVER })), (error) =>
      isForebayError(error, 'invalidArgument'),
    );
  }
  assert.equal(bench.values.find('k'), undefined);
  await bench.sleep(1000);
  assert.equal(bench.values.status.footprintBytes, 0);
  assert.equal(bench.store.status.reservedBytes, 0);
});

test('what a key had stays readable for those who have it open when it is replaced or deleted', async () => {
  const bench = new Bench();
  await bench.open({}, { hotBytes: 0 });
  for (const size of [900, 3 * MiB]) {
    await bench.put('k', bytesOf(1, size));
    await bench.run(bench.values.written());
    const opened = bench.values.open('k');
    assert.ok(opened);
    await bench.put('k', bytesOf(2, size));
    same(await bench.run(readAll(opened)), bytesOf(1, size));
    assert.equal(bench.values.drop('k'), true);
    assert.equal(await bench.get('k'), undefined);
    same(await bench.run(readAll(opened)), bytesOf(1, size));
    opened.close();
  }
  await bench.sleep(1000);
  assert.ok(bench.values.status.footprintBytes < MiB, 'their space came back');
  assert.equal(bench.values.status.bytes, 0);
});

test('S-4: what is leased or open is not evicted; the rest goes, the one used longest ago first', async () => {
  const bench = new Bench({ capacityBytes: 64 * MiB });
  await bench.open({ share: 0.25 });
  for (let n = 0; n < 7; n += 1) await bench.put(`k${n}`, bytesOf(n, 2 * MiB));
  assert.equal(bench.values.lease('k0', 60_000), true);
  const opened = bench.values.open('k1');
  assert.ok(opened);
  assert.ok(await bench.get('k2'));
  for (let n = 7; n < 10; n += 1) await bench.put(`k${n}`, bytesOf(n, 2 * MiB));
  assert.deepEqual(bench.gone, ['k3', 'k4']);
  for (const key of ['k0', 'k1', 'k2']) assert.ok(bench.values.find(key), key);
  same(await bench.run(readAll(opened)), bytesOf(1, 2 * MiB));
  opened.close();
  await bench.sleep(61_000);
  for (let n = 10; n < 20; n += 1) await bench.put(`k${n}`, bytesOf(n, 2 * MiB));
  assert.equal(bench.values.find('k0'), undefined, 'its lease has ended');
});

test('S-12: leases cover at most half of the share, and a share full of leased and open values refuses at once', async () => {
  const bench = new Bench({ capacityBytes: 64 * MiB });
  await bench.open({ share: 0.25 });
  for (let n = 0; n < 8; n += 1) await bench.put(`k${n}`, bytesOf(n, 2 * MiB));
  const granted = Array.from({ length: 8 }, (_, n) => bench.values.lease(`k${n}`, 10_000));
  assert.deepEqual(granted, [true, true, true, true, false, false, false, false]);
  assert.equal(bench.values.status.leasedBytes, 8 * MiB);
  const opened = [4, 5, 6, 7].map((n) => bench.values.open(`k${n}`) as OpenValue);
  const before = bench.clock.nowMs;
  await assert.rejects(bench.put('more', bytesOf(1, 2 * MiB)), (error) => isForebayError(error, 'diskFull'));
  await assert.rejects(bench.put('small', bytesOf(1, 100)), (error) => isForebayError(error, 'diskFull'));
  assert.ok(bench.clock.nowMs - before < 10);
  for (const each of opened) each.close();
  await bench.sleep(100);
  assert.equal(await bench.put('more', bytesOf(1, 2 * MiB)), 'stored');
  await bench.sleep(12_000);
  assert.equal(bench.values.status.leasedBytes, 0);
  assert.equal(bench.values.lease('k7', 1000), true);
});

test('S-12: a volume of small values that come and go stays within its share', async () => {
  const bench = new Bench({ capacityBytes: 64 * MiB });
  await bench.open({ share: 0.0625 }, { hotBytes: MiB });
  const share = bench.values.status.shareBytes;
  let most = 0;
  for (let round = 0; round < 5; round += 1) {
    await bench.run(
      (async () => {
        for (let n = 0; n < 1300; n += 1) {
          const key = `k${(round * 911 + n * 7) % 20_000}`;
          await bench.values.put(key, bodyOf(bytesOf(round + n, 300 + ((n * 37) % 1500))), { signal: NEVER });
          most = Math.max(most, bench.values.status.footprintBytes);
        }
      })(),
    );
  }
  assert.ok(most <= share, `${most} bytes of ${share}`);
  assert.ok(bench.store.status.usedBytes <= share, 'on the disk, too');
  const { bytes, evicted } = bench.values.status;
  assert.ok(bytes > 0.7 * share, `${bytes} bytes of values in ${share}`);
  assert.ok(evicted > 1000, `${evicted} evicted`);
});

test('the cache takes what values do not use, and gives it back', async () => {
  const bench = new Bench({ capacityBytes: 32 * MiB });
  await bench.open({ share: 0.5 });
  const { store } = bench;
  const fill = async (n: number) => {
    const content = { id: `${'f'.repeat(30)}${n + 10}` as never, sizeBytes: 4 * MiB, chunkSizeBytes: 4 * MiB };
    const hold = store.hold(content);
    for (let block = 0; block < 4; block += 1) {
      const reservation = await store.reserve(MiB);
      assert.ok(reservation);
      await store.putBlock(content, block, bytesOf(n, MiB), reservation);
      reservation.release();
    }
    hold.release();
  };
  for (let n = 0; n < 7; n += 1) await bench.run(fill(n));
  for (let n = 0; n < 8; n += 1) await bench.put(`k${n}`, bytesOf(n, 2 * MiB));
  assert.equal(bench.values.status.values, 8);
  assert.ok(store.status.usedBytes <= 32 * MiB);
  for (let n = 10; n < 17; n += 1) await bench.run(fill(n));
  assert.equal(bench.values.status.values, 8, 'the cache never takes from values');
});

test('time to live: put, changed, not at all, over; a restart and a clock that jumps never lengthen it', async () => {
  const bench = new Bench();
  await bench.open({ ttlMs: 60_000 });
  await bench.put('default', bytesOf(1, 100));
  await bench.put('short', bytesOf(2, 100), 5000);
  await bench.put('far', bytesOf(3, 100), 1e15);
  await bench.put('never', bytesOf(4, 2 * MiB), Number.POSITIVE_INFINITY);
  await bench.put('changed', bytesOf(5, 100), 5000);
  assert.equal(bench.values.expire('changed', 50_000), true);
  assert.equal(bench.values.expire('absent', 50_000), false);
  await bench.put('zero', bytesOf(6, 100));
  assert.equal(bench.values.expire('zero', 0), true);
  assert.equal(bench.values.find('zero'), undefined);
  await bench.sleep(7000);
  assert.deepEqual(bench.gone, ['short'], 'the sweep found it');
  await bench.run(bench.values.written());
  bench.crash('process');
  bench.machine.jumpWall(-3_600_000);
  await bench.open({ ttlMs: 60_000 });
  assert.ok((bench.values.find('default')?.remainingMs ?? 0) <= 60_000);
  assert.ok((bench.values.find('changed')?.remainingMs ?? 0) <= 50_000);
  assert.equal(bench.values.find('never')?.remainingMs, Number.POSITIVE_INFINITY);
  await bench.run(bench.values.written());
  bench.crash('process');
  bench.machine.jumpWall(7_200_000);
  await bench.open({ ttlMs: 60_000 });
  assert.equal(bench.values.find('default'), undefined, 'its time is over by the wall');
  assert.ok(bench.values.find('far'));
  same(await bench.get('never'), bytesOf(4, 2 * MiB));
});

test('a put that renews or names a time to live of nothing', async () => {
  const bench = new Bench();
  await bench.open();
  await bench.put('k', bytesOf(1, 100), 5000);
  await bench.sleep(3000);
  assert.equal(await bench.put('k', bytesOf(1, 100), 5000), 'same');
  await bench.sleep(3000);
  same(await bench.get('k'), bytesOf(1, 100));
  await bench.put('k', bytesOf(1, 100), 0);
  assert.equal(await bench.get('k'), undefined);
});

test('the parts of an entry are leased, used and evicted together', async () => {
  const bench = new Bench({ capacityBytes: 64 * MiB });
  await bench.open({ share: 0.25 });
  await bench.put('ametadata', bytesOf(1, 100));
  await bench.put('akv_bytes', bytesOf(2, 3 * MiB));
  await bench.put('bkv_bytes', bytesOf(3, 3 * MiB));
  await bench.put('bmetadata', bytesOf(4, 100));
  await bench.put('c', bytesOf(5, 3 * MiB));
  assert.equal(bench.values.lease('ametadata', 1000), true);
  assert.equal(bench.values.status.leasedBytes, 3 * MiB + 128, 'both parts');
  await bench.sleep(3000);
  assert.ok(await bench.get('bmetadata'));
  await bench.put('d', bytesOf(6, 3 * MiB));
  await bench.put('e', bytesOf(7, 3 * MiB));
  await bench.put('f', bytesOf(8, 3 * MiB));
  assert.deepEqual(bench.gone, ['c']);
  await bench.put('g', bytesOf(9, 3 * MiB));
  assert.deepEqual(bench.gone.slice(1).sort(), ['akv_bytes', 'ametadata']);
  assert.ok(bench.values.find('bkv_bytes') && bench.values.find('bmetadata'));
  assert.equal(bench.values.drop('bkv_bytes'), true);
  assert.ok(bench.values.find('bmetadata'), 'what a client deletes is the part that it names');
});

test('S-9: a damaged value is a miss, never wrong bytes', async () => {
  const bench = new Bench();
  await bench.open({}, { hotBytes: 0 });
  await bench.put('small', bytesOf(1, 5000));
  await bench.put('large', bytesOf(2, 2 * MiB));
  await bench.run(bench.values.written());
  assert.ok(bench.disk.rot((path) => path.endsWith('.pack')));
  assert.equal(await bench.get('small'), undefined);
  assert.deepEqual(bench.gone, ['small']);
  assert.ok(bench.disk.rot((path) => path.endsWith('.data')));
  bench.crash('machine');
  await bench.open({}, { hotBytes: 0 });
  assert.equal(await bench.get('large'), undefined);
  // A power cut may bring back what was not waited for; it is as wrong as before.
  assert.equal(await bench.get('small'), undefined);
  assert.equal(bench.values.status.values, 0);
  await bench.sleep(1000);
  assert.ok(bench.values.status.footprintBytes < MiB);
});

test('S-9: damage in a pack costs what it hit, also when the pack is compacted', async () => {
  const bench = new Bench({ capacityBytes: 64 * MiB });
  await bench.open({ share: 0.125 }, { hotBytes: 0 });
  for (let n = 0; n < 400; n += 1) await bench.put(`k${n}`, bytesOf(n, 4000));
  await bench.run(bench.values.written());
  for (let n = 0; n < 8; n += 1) bench.disk.rot((path) => path.endsWith('.pack'));
  for (let n = 400; n < 3200; n += 1) {
    await bench.put(`k${n}`, bytesOf(n, 4000));
    if (n % 50 === 0) for (let kept = 0; kept < 400; kept += 40) await bench.get(`k${kept}`);
  }
  for (let n = 0; n < 3200; n += 1) {
    const bytes = await bench.get(`k${n}`);
    if (bytes !== undefined) same(bytes, bytesOf(n, 4000));
  }
});

test('S-14: killed at any point, what is served afterwards is whole and was put under that key', async () => {
  for (let round = 0; round < 12; round += 1) {
    const bench = new Bench({ capacityBytes: 64 * MiB });
    await bench.open({ share: 0.25 }, { hotBytes: 64 * KiB, snapshotAfterBytes: 16 * KiB });
    const versions = new Map<string, Uint8Array[]>();
    const work = async () => {
      for (let n = 0; n < 80; n += 1) {
        const key = `k${(n * 13 + round) % 40}`;
        const size = n % 9 === 0 ? MiB + 1000 * n : n % 5 === 0 ? 40_000 + n : 200 + 31 * n;
        const bytes = bytesOf(n + round, size);
        versions.set(key, [...(versions.get(key) ?? []), bytes]);
        await bench.values.put(key, bodyOf(bytes), { signal: NEVER });
        if (n % 11 === 0) bench.values.drop(`k${(n * 3) % 40}`);
      }
    };
    const ended = work().catch(() => undefined);
    await bench.sleep(1 + round * 3.7);
    bench.crash(round % 3 === 2 ? 'machine' : 'process');
    void ended;
    await bench.open({ share: 0.25 }, { hotBytes: 64 * KiB });
    for (const { key } of Array.from(bench.values.all())) {
      const bytes = await bench.get(key);
      if (bytes === undefined) continue;
      const isOne = (versions.get(key) ?? []).some((version) => Buffer.compare(version, bytes) === 0);
      assert.ok(isOne, `${key} in round ${round}`);
    }
    await bench.sleep(120_000);
    const { usedBytes, orphans } = bench.store.status;
    const { footprintBytes } = bench.values.status;
    // A power cut leaves files that no record names: they wait for a day, or until room is needed.
    if (orphans === 0) assert.equal(usedBytes, footprintBytes);
  }
});

test('a deleted value does not come back after kill -9 once that was waited for', async () => {
  const bench = new Bench();
  await bench.open();
  await bench.put('k', bytesOf(1, 100));
  await bench.put('l', bytesOf(2, 2 * MiB));
  await bench.run(bench.values.written());
  bench.values.drop('k');
  bench.values.drop('l');
  await bench.run(bench.values.written());
  bench.crash('process');
  await bench.open();
  assert.deepEqual(Array.from(bench.values.all()), []);
  await bench.sleep(1000);
  assert.equal(bench.store.status.usedBytes, 0);
});

test('keys are listed in byte order, a page at a time', async () => {
  const bench = new Bench();
  await bench.open();
  const keys = ['a', 'b/1', 'b/\u0001', 'b/\u00ff', 'b/2', 'c'];
  for (const key of keys) await bench.put(key, bytesOf(1, 10));
  const names = (request: Parameters<LocalValues['page']>[0]) => bench.values.page(request).map(({ key }) => key);
  assert.deepEqual(names({ prefix: 'b/', limit: 10 }), ['b/\u0001', 'b/1', 'b/2', 'b/\u00ff']);
  assert.deepEqual(names({ prefix: '', after: 'b/1', limit: 2 }), ['b/2', 'b/\u00ff']);
  assert.deepEqual(names({ prefix: 'b/', limit: 0 }), []);
  for (let n = 0; n < 500; n += 1) await bench.put(`n${(n * 37) % 500}`, bytesOf(1, 10));
  const seen: string[] = [];
  for (let after: string | undefined; ; after = seen.at(-1)) {
    const page = names({ prefix: 'n', limit: 7, ...(after === undefined ? {} : { after }) });
    if (page.length === 0) break;
    seen.push(...page);
  }
  assert.deepEqual(seen, Array.from({ length: 500 }, (_, n) => `n${n}`).sort());
});

test('keys of no byte and of more than 1,024, and values of more than 512 MiB, are refused', async () => {
  const bench = new Bench();
  await bench.open();
  const refusal = (code: 'invalidArgument' | 'tooLarge') => (error: unknown) => isForebayError(error, code);
  await assert.rejects(bench.put('', bytesOf(1, 10)), refusal('invalidArgument'));
  await assert.rejects(bench.put('k'.repeat(1025), bytesOf(1, 10)), refusal('invalidArgument'));
  assert.equal(await bench.put('k'.repeat(1024), bytesOf(1, 10)), 'stored');
  const huge = { ...bodyOf(bytesOf(1, 10)), lengthBytes: 512 * MiB + 1 };
  await assert.rejects(bench.run(bench.values.put('k', huge, { signal: NEVER })), refusal('tooLarge'));
});

test('many keys: found, counted, in their order of use after a restart, and small in memory', async () => {
  const bench = new Bench({ capacityBytes: 64 * MiB });
  await bench.open({ share: 0.5 }, { snapshotAfterBytes: MiB });
  const count = 20_000;
  const key = (n: number) => `a model@1@0@${n.toString(16).padStart(64, '0')}`;
  const puts = async () => {
    for (let n = 0; n < count; n += 1) {
      const bytes = bytesOf(n, 20);
      if (bench.values.putNow(key(n), bytes, {}) === undefined)
        await bench.values.put(key(n), { ...bodyOf(bytes), whole: bytes }, { signal: NEVER });
    }
  };
  await bench.run(puts());
  await bench.run(bench.values.written());
  const { values, indexBytes } = bench.values.status;
  assert.equal(values, count);
  assert.ok(indexBytes / count < 300, `${indexBytes / count} bytes per key`);
  for (let n = 0; n < count; n += 977) same(await bench.get(key(n)), bytesOf(n, 20));
  for (let n = 0; n < count; n += 2) bench.values.drop(key(n));
  await bench.sleep(10_000);
  await bench.run(bench.values.written());
  bench.crash('process');
  await bench.open({ share: 0.5 });
  assert.equal(bench.values.status.values, count / 2);
  for (let n = 0; n < 400; n += 1) assert.equal(bench.values.find(key(n)) !== undefined, n % 2 === 1, key(n));
  same(await bench.get(key(977)), bytesOf(977, 20));
});

test('a directory without values stays as it was; with the first it needs this Forebay, and says how many there are', async () => {
  const bench = new Bench();
  await bench.open();
  const format = async () => {
    const inspection = await bench.run(inspectDirectory(bench.io, DIRECTORY));
    return [inspection.format, inspection.values];
  };
  assert.deepEqual(await format(), ['forebay-store 1', {}]);
  await bench.put('k', bytesOf(1, 100));
  await bench.put('l', bytesOf(1, MiB));
  await bench.run(bench.values.written());
  assert.deepEqual(await format(), ['forebay-store 3', { kv1: 2 }]);
});

test('values of volumes that are not configured any more go', async () => {
  const bench = new Bench();
  await bench.open();
  await bench.put('k', bytesOf(1, 100));
  await bench.put('l', bytesOf(1, 2 * MiB));
  bench.store.values.keepOnly(new Set(['kv1']));
  assert.equal(bench.values.status.values, 2);
  bench.store.values.keepOnly(new Set());
  assert.equal(bench.values.status.values, 0);
  await bench.sleep(1000);
  assert.ok(bench.store.status.usedBytes < MiB);
});

test('a full disk costs puts, and nothing that was there', async () => {
  const bench = new Bench({ capacityBytes: 64 * MiB });
  await bench.open({ share: 0.5 });
  await bench.put('before', bytesOf(1, 5000));
  await bench.run(bench.values.written());
  bench.disk.capacityBytes = bench.disk.usedBytes;
  await assert.rejects(bench.put('large', bytesOf(2, 3 * MiB)), (error) => isForebayError(error, 'diskFull'));
  assert.equal(bench.values.find('large'), undefined);
  same(await bench.get('before'), bytesOf(1, 5000));
});

test('a body that is received into the file by its door is a value like others; one that breaks off leaves nothing', async () => {
  const bench = new Bench();
  await bench.open();
  const bytes = bytesOf(3, 2 * MiB + 77);
  const body = (length: number): ValueBody => ({
    ...bodyOf(bytes),
    receive: async (file, onBlock) => {
      for (let at = 0; at < length; at += MiB)
        onBlock(at / MiB, await file.writeSummed(at, bytes.subarray(at, Math.min(at + MiB, length))));
      if (length < bytes.length) throw new ForebayError('incompleteBody', 'the client went away');
    },
  });
  await assert.rejects(bench.run(bench.values.put('k', body(MiB), { signal: NEVER })), (error) =>
    isForebayError(error, 'incompleteBody'),
  );
  await bench.sleep(1000);
  assert.equal(bench.values.status.footprintBytes, 0);
  assert.equal((await bench.run(bench.values.put('k', body(bytes.length), { signal: NEVER }))).outcome, 'stored');
  same(await bench.get('k'), bytes);
  assert.equal((await bench.run(bench.values.put('k', body(bytes.length), { signal: NEVER }))).outcome, 'same');
});

test('keys have a bound: at it the entry used longest ago goes', async () => {
  const bench = new Bench();
  await bench.open({}, { keysMax: 3 });
  for (const key of ['a', 'b', 'c']) await bench.put(key, bytesOf(1, 100));
  await bench.get('a');
  await bench.put('d', bytesOf(1, 100));
  await bench.put('e', bytesOf(1, 2 * MiB));
  assert.deepEqual(bench.gone, ['b', 'c']);
  for (const key of ['a', 'd', 'e']) bench.values.lease(key, 60_000);
  await assert.rejects(bench.put('f', bytesOf(1, 100)), (error) => isForebayError(error, 'diskFull'));
});

test('after a store was closed in order every value is there, and the order of use is as it was', async () => {
  const bench = new Bench({ capacityBytes: 64 * MiB });
  await bench.open({ share: 0.25 });
  for (let n = 0; n < 300; n += 1)
    bench.values.putNow(`small${n}`, bytesOf(n, 300), {}) ?? (await bench.put(`small${n}`, bytesOf(n, 300)));
  for (let n = 0; n < 6; n += 1) await bench.put(`large${n}`, bytesOf(n, 2 * MiB));
  await bench.run(bench.store.close());
  bench.crash('process');
  await bench.open({ share: 0.25 });
  assert.equal(bench.values.status.values, 306);
  for (let n = 0; n < 300; n += 1) same(await bench.get(`small${n}`), bytesOf(n, 300));
  for (let n = 6; n < 9; n += 1) await bench.put(`large${n}`, bytesOf(n, 2 * MiB));
  assert.deepEqual(bench.gone, ['large0', 'large1']);
});

test('a pack that somebody removed costs its values, and no put', async () => {
  const bench = new Bench({ capacityBytes: 64 * MiB });
  await bench.open({ share: 0.0625 }, { hotBytes: 0 });
  for (let n = 0; n < 200; n += 1) await bench.put(`k${n}`, bytesOf(n, 4000));
  await bench.run(bench.values.written());
  const packs = await bench.run(bench.io.list(`${DIRECTORY}/small`));
  for (const { name } of packs.slice(0, 3)) await bench.run(bench.io.unlink(`${DIRECTORY}/small/${name}`));
  for (let n = 200; n < 1500; n += 1) await bench.put(`k${n}`, bytesOf(n, 4000));
  for (let n = 1400; n < 1500; n += 1) same(await bench.get(`k${n}`), bytesOf(n, 4000));
});
