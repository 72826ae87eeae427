/**
 * Run as a process of its own, so that its memory can be told: `build DIR COUNT` fills a cache directory with small entries
 * through the store's own interface; `open DIR COUNT` opens it as a daemon would, checks samples, and prints what it took.
 */
import assert from 'node:assert/strict';
import { originContentId } from '../../src/core/ids.ts';
import { GiB } from '../../src/core/limits.ts';
import { createRealClock } from '../../src/io/real/clock.ts';
import { createRealDisk } from '../../src/io/real/disk.ts';
import { createRealRandom } from '../../src/io/real/random.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/store.ts';
import { patternSlice } from '../pattern.ts';
import { memoryOf } from '../process-usage.ts';

const SIZE_BYTES = 64;
const IN_FLIGHT = 512;
const SAMPLES = 1000;
const VOLUME = 'lake';

export interface Opened {
  readonly seconds: number;
  readonly residentBytes: number;
  readonly emptyBytes: number;
  readonly indexBytes: number;
}

const keyOf = (i: number) => `data/set-0001/${String(i).padStart(7, '0')}.sample`;

function shapeOf(i: number) {
  const etag = `"${i.toString(16).padStart(32, '0')}"`;
  const id = originContentId({ volume: VOLUME, key: keyOf(i), etag });
  return { etag, shape: { id, sizeBytes: SIZE_BYTES, chunkSizeBytes: 16 << 20 } };
}

async function put(store: Store, i: number): Promise<void> {
  const { etag, shape } = shapeOf(i);
  const reservation = await store.reserve(2 * SIZE_BYTES + 4096);
  assert.ok(reservation);
  const hold = store.hold(shape);
  await store.putSmall(shape, patternSlice(i, 0, SIZE_BYTES), reservation);
  reservation.release();
  store.setFact({
    volume: VOLUME,
    key: keyOf(i),
    sizeBytes: SIZE_BYTES,
    etag,
    modifiedMs: 1_767_225_600_000,
    headers: {},
    metadata: {},
    content: shape.id,
    doorEtag: etag,
    checkedMs: 0,
  });
  hold.release();
}

async function open(directory: string): Promise<Store> {
  return openStore({
    disk: createRealDisk(),
    clock: createRealClock(),
    random: createRealRandom(),
    directory,
    capacityBytes: 16 * GiB,
    hotBytes: 1 << 20,
    factBytes: 2 * GiB,
    scrubBytesPerS: 0,
    emit: () => {},
  });
}

async function build(directory: string, count: number): Promise<void> {
  const store = await open(directory);
  let next = 0;
  const work = async () => {
    while (next < count) await put(store, next++);
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, work));
  await store.close();
}

async function check(store: Store, count: number): Promise<void> {
  assert.equal(store.status.contents, count);
  assert.equal(store.status.facts, count);
  for (let sample = 0; sample < SAMPLES; sample++) {
    const i = Math.floor((sample * count) / SAMPLES);
    const fact = store.fact(VOLUME, keyOf(i));
    assert.ok(fact);
    const hold = store.hold(shapeOf(i).shape);
    const piece = await store.acquire(fact.content, { start: 0, end: SIZE_BYTES }, { verify: false });
    assert.ok(piece?.kind === 'bytes' && patternSlice(i, 0, SIZE_BYTES).equals(piece.bytes));
    piece.release();
    hold.release();
  }
}

const resident = () => {
  globalThis.gc?.();
  return memoryOf(process.pid).residentBytes;
};

async function measure(directory: string, count: number): Promise<Opened> {
  await (await open(`${directory}-empty`)).close();
  const emptyBytes = resident();
  const from = performance.now();
  const store = await open(directory);
  const seconds = (performance.now() - from) / 1000;
  const residentBytes = resident();
  await check(store, count);
  const { indexBytes } = store.status;
  await store.close();
  return { seconds, residentBytes, emptyBytes, indexBytes };
}

if (process.argv[1] === import.meta.filename) {
  const [what, directory, count] = process.argv.slice(2) as [string, string, string];
  if (what === 'build') await build(directory, Number(count));
  else process.stdout.write(`${JSON.stringify(await measure(directory, Number(count)))}\n`);
  process.exit();
}
