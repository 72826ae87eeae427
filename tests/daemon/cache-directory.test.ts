import assert from 'node:assert/strict';
import {
  appendFileSync,
  closeSync,
  globSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { DaemonRefused } from '../../bench/daemon.ts';
import { firstWrong } from '../../bench/pattern.ts';
import { expectWhole, fixture, get, isHealthy, MiB, originGets } from './fixture.ts';

const OBJECT = { key: 'models/weights', sizeBytes: 20 * MiB + 123, seed: 4 };

/** Data files of a cache, largest first. */
const dataFiles = (cache: string) =>
  globSync('objects/**/*.data', { cwd: cache })
    .map((name) => join(cache, name))
    .sort((a, b) => statSync(b).size - statSync(a).size);

const journalFiles = (cache: string) =>
  globSync('journal/*', { cwd: cache })
    .map((name) => join(cache, name))
    .filter((path) => statSync(path).isFile())
    .sort();

function flipByte(path: string, at: number): void {
  const file = openSync(path, 'r+');
  const byte = Buffer.alloc(1);
  readSync(file, byte, 0, 1, at);
  byte[0]! ^= 0x40;
  writeSync(file, byte, 0, 1, at);
  closeSync(file);
}

test('a second daemon on one cache directory refuses, and the first serves on', async (t) => {
  const { start } = await fixture(t, { generated: [OBJECT] });
  const first = await start();
  await expectWhole(first, OBJECT);
  await assert.rejects(start(), (error: DaemonRefused) => {
    assert.equal(error.name, 'DaemonRefused');
    assert.equal(error.code, 1);
    assert.match(error.message, /Another daemon|in use|locked/i);
    return true;
  });
  assert.ok(await isHealthy(first));
  await expectWhole(first, OBJECT);
});

test('a cache directory of a newer format is refused by name and left as it is', async (t) => {
  const { start, directory } = await fixture(t, { generated: [OBJECT] });
  await (await start()).stop();
  const format = join(directory, 'cache', 'FORMAT');
  const newer = readFileSync(format, 'utf8').replace(/\d+/, '1000');
  writeFileSync(format, newer);
  await assert.rejects(
    start(),
    (error: DaemonRefused) => error.code === 1 && /newer|layouts up to/i.test(error.message),
  );
  assert.equal(readFileSync(format, 'utf8'), newer);
});

test('S-9: one flipped byte in a data file is found, dropped and fetched again', async (t) => {
  const { origin, start, directory } = await fixture(t, { generated: [OBJECT] });
  const daemon = await start();
  await expectWhole(daemon, OBJECT);
  await daemon.stop();
  flipByte(dataFiles(join(directory, 'cache'))[0]!, 7 * MiB + 99);
  const gets = originGets(origin);
  const again = await start({ volume: { verify: 'always' } });
  await expectWhole(again, OBJECT);
  assert.ok(originGets(origin) > gets, 'the wrong block came from the origin again');
});

test('S-9: a data file cut short is never served as zeros: a read breaks off at worst, and the next one is whole', async (t) => {
  const { start, directory } = await fixture(t, { generated: [OBJECT] });
  const daemon = await start();
  await expectWhole(daemon, OBJECT);
  await daemon.stop();
  truncateSync(dataFiles(join(directory, 'cache'))[0]!, 3 * MiB);
  const again = await start();
  const first = await get(again, OBJECT.key);
  assert.equal(firstWrong(OBJECT.seed, 0, first.bytes), undefined);
  assert.ok(first.cut || first.bytes.length === OBJECT.sizeBytes, 'a read that is not whole is broken, not short');
  await expectWhole(again, OBJECT);
});

test('S-14: a journal with a torn or scribbled tail costs at most what it told, and what was there before is served', async (t) => {
  const early = { key: 'early', sizeBytes: 3 * MiB, seed: 8 };
  const { origin, start, directory } = await fixture(t, { generated: [OBJECT, early] });
  const first = await start();
  await expectWhole(first, early);
  await first.kill();
  const second = await start();
  await expectWhole(second, OBJECT);
  await second.kill();
  const last = journalFiles(join(directory, 'cache')).at(-1)!;
  appendFileSync(last, Buffer.from('a record that was never finished'.repeat(5)));
  const third = await start();
  const gets = originGets(origin);
  await expectWhole(third, early);
  await expectWhole(third, OBJECT);
  assert.equal(originGets(origin), gets, 'garbage after the end costs nothing');
  await third.kill();
  const torn = journalFiles(join(directory, 'cache')).at(-1)!;
  truncateSync(torn, Math.max(0, statSync(torn).size - 5));
  const fourth = await start();
  await expectWhole(fourth, early);
  await expectWhole(fourth, OBJECT);
});

test('a configuration with unknown keys is refused, naming the nearest known one', async (t) => {
  const { start } = await fixture(t);
  await assert.rejects(start({ node: { capasity: '1GiB' } }), (error: DaemonRefused) => {
    assert.notEqual(error.code, 0);
    assert.match(error.message, /node\.capasity[\s\S]*capacity/);
    return true;
  });
  await assert.rejects(start({ volume: { revalidat: '60s' } }), /revalidat[\s\S]*revalidate/);
});

test('an object that is not there is a clear error', async (t) => {
  const { start } = await fixture(t);
  const answer = await get(await start(), 'none');
  assert.equal(answer.status, 404);
  assert.match(answer.bytes.toString(), /<Code>NoSuchKey<\/Code>/);
});
