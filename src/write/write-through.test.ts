import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { collect, fails, ramp } from '../../tests/conformance/origin-bytes.ts';
import { ForebayError } from '../core/errors.ts';
import { MiB, uploadIdleMaxMs, uploadKeepMs } from '../core/limits.ts';
import type { Volume } from '../core/volume.ts';
import type { Clock } from '../io/io.ts';
import { createRealClock } from '../io/real/clock.ts';
import { createRealDisk } from '../io/real/disk.ts';
import { createRealRandom } from '../io/real/random.ts';
import type { Event } from '../observe/events.ts';
import { type Fault, type FaultyCall, faulty } from '../origin/faulty.ts';
import { createMemoryOrigin } from '../origin/memory.ts';
import type { Origin } from '../origin/origin.ts';
import { doorEtagOf } from './door-etag.ts';
import type { SourceObject } from './source-body.ts';
import { createWriter } from './write-through.ts';
import type { WriteBody } from './writer.ts';

const NOBODY = new AbortController().signal;
const PLAIN = { headers: {}, metadata: {} };

function volume(name: string, write = true): Volume {
  return {
    name,
    origin: 'memory:',
    write,
    revalidateMs: 0,
    staleIfErrorMs: 0,
    chunkSizeBytes: 16 * MiB,
    verify: 'arrival',
  };
}

/** A body in pieces of an odd size. */
function bodyOf(bytes: Uint8Array, lengthBytes = bytes.length): WriteBody {
  return {
    lengthBytes,
    async *stream() {
      for (let at = 0; at < bytes.length; at += 65_521) yield bytes.subarray(at, at + 65_521);
    },
  };
}

function failingAfter(bytes: Uint8Array, error: Error): WriteBody {
  return {
    lengthBytes: bytes.length,
    async *stream() {
      yield bytes;
      throw error;
    },
  };
}

/** A clock whose sleepers wake only when a test says how late it is. */
function handClock() {
  const real = createRealClock();
  let nowMs = 0;
  const sleepers = new Set<() => void>();
  const clock: Clock = {
    boottimeMs: () => nowMs,
    wallMs: () => real.wallMs(),
    bootId: 'test',
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        const wakeMs = nowMs + ms;
        const wake = () => {
          if (nowMs < wakeMs) return;
          sleepers.delete(wake);
          resolve();
        };
        sleepers.add(wake);
        asleep?.();
        signal?.addEventListener('abort', () => {
          sleepers.delete(wake);
          reject(signal.reason);
        });
      }),
  };
  let asleep: (() => void) | undefined;
  /** Resolves when whoever was woken by it sleeps again. */
  const advance = async (ms: number): Promise<void> => {
    const again = new Promise<void>((resolve) => {
      asleep = resolve;
    });
    nowMs += ms;
    for (const wake of Array.from(sleepers)) wake();
    await again;
  };
  return { clock, advance };
}

interface Setting {
  readonly fault?: (call: FaultyCall) => Fault | undefined;
  readonly clock?: Clock;
  readonly directory?: string;
  readonly bare?: Origin;
}

async function setUp(t: TestContext, setting: Setting = {}) {
  const directory = setting.directory ?? fs.mkdtempSync(join(tmpdir(), 'forebay-write-'));
  const disk = createRealDisk();
  const clock = setting.clock ?? createRealClock();
  const bare = setting.bare ?? createMemoryOrigin({ clock, random: createRealRandom() });
  const origin = setting.fault === undefined ? bare : faulty(bare, setting.fault);
  const other = createMemoryOrigin({ clock, random: createRealRandom() });
  const events: Event[] = [];
  const written: string[] = [];
  const openSource = async (name: string, key: string): Promise<SourceObject> => {
    const from = name === 'other' ? other : bare;
    const version = await from.head(key);
    if (version === undefined) throw new ForebayError('noSuchKey', key);
    const fact = { ...version, volume: name, content: '' as never, doorEtag: version.etag, checkedMs: 0 };
    return {
      fact,
      hot: undefined,
      async *pieces(range) {
        for await (const bytes of await from.get(key, { etag: version.etag, range }))
          yield { kind: 'bytes', bytes, release: () => undefined };
      },
      close: () => undefined,
    };
  };
  const writer = createWriter({
    volumes: new Map([
      ['v', { volume: volume('v'), origin }],
      ['other', { volume: volume('other'), origin: other }],
      ['fixed', { volume: volume('fixed', false), origin }],
    ]),
    openSource,
    disk,
    directory,
    clock,
    random: createRealRandom(),
    emit: (event) => events.push(event),
    onWritten: (name, key) => {
      written.push(`${name}/${key}`);
    },
  });
  t.after(async () => {
    writer.close();
    await disk.close();
    fs.rmSync(directory, { recursive: true, force: true });
  });
  const read = async (key: string, from = bare) => {
    const version = await from.head(key);
    assert.ok(version, key);
    return await collect(await from.get(key, { etag: version.etag, range: { start: 0, end: version.sizeBytes } }));
  };
  return { writer, bare, other, events, written, read, directory };
}

const at = (key: string) => ({ volume: 'v', key });

test('bodies of every size arrive whole, with headers and metadata, and are told of', async (t) => {
  const { writer, bare, events, written, read } = await setUp(t);
  const attributes = { headers: { 'content-type': 'text/x' }, metadata: { a: 'b' } };
  for (const size of [0, 1, 100_000, 16 * MiB, 16 * MiB + 1, 100 * MiB + 17]) {
    const key = `size-${size}`;
    const { doorEtag } = await writer.put(at(key), bodyOf(ramp(size)), { ...attributes, signal: NOBODY });
    assert.deepEqual(await read(key), ramp(size));
    const version = await bare.head(key);
    assert.deepEqual([version?.headers, version?.metadata], [attributes.headers, attributes.metadata]);
    assert.equal(doorEtag, doorEtagOf({ ...at(key), origin: bare }, version?.etag ?? ''));
    assert.match(doorEtag, /^"[0-9a-f]{32}-1"$/);
    assert.equal(written.pop(), `v/${key}`);
    const done = events.pop();
    assert.deepEqual(done?.kind === 'write.done' && [done.volume, done.key, done.bytes], ['v', key, size]);
  }
});

test('volumes that are read-only or unknown take nothing', async (t) => {
  const { writer } = await setUp(t);
  const fixed = { volume: 'fixed', key: 'k' };
  const unknown = { volume: 'nobody', key: 'k' };
  const put = { ...PLAIN, signal: NOBODY };
  await assert.rejects(writer.put(fixed, bodyOf(ramp(1)), put), fails('accessDenied'));
  await assert.rejects(writer.delete(fixed), fails('accessDenied'));
  await assert.rejects(writer.copy(at('k'), fixed, { signal: NOBODY }), fails('accessDenied'));
  await assert.rejects(writer.beginUpload(fixed, PLAIN), fails('accessDenied'));
  await assert.rejects(writer.listUploads('fixed', ''), fails('accessDenied'));
  await assert.rejects(writer.put(unknown, bodyOf(ramp(1)), put), fails('noSuchBucket'));
  await assert.rejects(writer.completeUpload(unknown, 'x', [], { signal: NOBODY }), fails('noSuchBucket'));
});

test('S-5: a body that fails, is too short or too long changes nothing, whatever its size', async (t) => {
  const { writer, bare, read } = await setUp(t);
  const options = { ...PLAIN, signal: NOBODY };
  await writer.put(at('k'), bodyOf(ramp(10)), options);
  const bad = new ForebayError('badDigest', 'not what was signed');
  for (const size of [100, 5 * MiB, 40 * MiB]) {
    const bytes = ramp(size);
    await assert.rejects(writer.put(at('k'), failingAfter(bytes, bad), options), bad);
    await assert.rejects(writer.put(at('k'), bodyOf(bytes, size + 1), options), fails('incompleteBody'));
    await assert.rejects(writer.put(at('k'), bodyOf(bytes, size - 1), options), fails('incompleteBody'));
    const stop = new AbortController();
    const stopping: WriteBody = {
      lengthBytes: size,
      async *stream() {
        yield bytes.subarray(0, size / 2);
        stop.abort(new Error('client left'));
        yield bytes.subarray(size / 2);
      },
    };
    await assert.rejects(writer.put(at('k'), stopping, { ...PLAIN, signal: stop.signal }), { message: 'client left' });
  }
  assert.deepEqual(await read('k'), ramp(10));
  assert.equal((await bare.list({ prefix: '', limit: 10 })).objects.length, 1);
});

test('S-5: an origin that fails at any step leaves nothing visible, and no upload behind', async (t) => {
  for (const operation of ['begin', 'part', 'finalise'] as const) {
    const aborted: string[] = [];
    const fault = (call: FaultyCall): Fault | undefined => {
      if (call.operation === 'abort') aborted.push(call.key);
      const isHit = call.operation === operation && (operation !== 'part' || call.count === 2);
      return isHit ? { kind: 'refuse', code: 'originDenied' } : undefined;
    };
    const { writer, bare, written } = await setUp(t, { fault });
    const put = writer.put(at('big'), bodyOf(ramp(70 * MiB)), { ...PLAIN, signal: NOBODY });
    await assert.rejects(put, fails('originDenied'));
    assert.equal(await bare.head('big'), undefined, operation);
    assert.deepEqual(aborted, operation === 'begin' ? [] : ['big']);
    assert.deepEqual(written, ['v/big'], 'the cache is told, for an answer may have been lost');
  }
});

test('S-8: conditions hold in the name that doors show and in the origin’s', async (t) => {
  const { writer, bare, read } = await setUp(t);
  const put = (size: number, condition: object) =>
    writer.put(at('k'), bodyOf(ramp(size)), { ...PLAIN, condition, signal: NOBODY });
  const first = await put(10, { ifNoneMatch: '*' });
  await assert.rejects(put(11, { ifNoneMatch: '*' }), fails('preconditionFailed'));
  const second = await put(12, { ifMatch: first.doorEtag });
  await assert.rejects(put(13, { ifMatch: first.doorEtag }), fails('preconditionFailed'));
  await put(14, { ifMatch: (await bare.head('k'))?.etag });
  await put(20 * MiB, { ifMatch: '*' });
  await assert.rejects(put(21 * MiB, { ifMatch: second.doorEtag }), fails('preconditionFailed'));
  assert.deepEqual(await read('k'), ramp(20 * MiB));
  await assert.rejects(writer.delete(at('k'), { ifMatch: first.doorEtag }), fails('preconditionFailed'));
  await writer.delete(at('k'), {
    ifMatch: doorEtagOf({ ...at('k'), origin: bare }, (await bare.head('k'))?.etag ?? ''),
  });
  assert.equal(await bare.head('k'), undefined);
  await assert.rejects(put(1, { ifMatch: first.doorEtag }), fails('preconditionFailed'));
});

test('a delete is told of, and a missing key is fine', async (t) => {
  const { writer, bare, events, written } = await setUp(t);
  await writer.put(at('k'), bodyOf(ramp(5)), { ...PLAIN, signal: NOBODY });
  await writer.delete(at('k'));
  await writer.delete(at('k'));
  assert.equal(await bare.head('k'), undefined);
  assert.deepEqual(written, ['v/k', 'v/k', 'v/k']);
  assert.deepEqual(events.at(-1), { kind: 'write.deleted', volume: 'v', key: 'k' });
});

test('copies keep the source’s attributes unless given others, within a volume and between two', async (t) => {
  const { writer, bare, other, read } = await setUp(t);
  const attributes = { headers: { 'content-type': 'text/x' }, metadata: { a: 'b' } };
  await writer.put(at('from'), bodyOf(ramp(20 * MiB)), { ...attributes, signal: NOBODY });
  const kept = await writer.copy(at('from'), at('to'), { signal: NOBODY });
  assert.deepEqual(await read('to'), ramp(20 * MiB));
  assert.deepEqual((await bare.head('to'))?.metadata, { a: 'b' });
  assert.equal(kept.doorEtag, doorEtagOf({ ...at('to'), origin: bare }, (await bare.head('to'))?.etag ?? ''));
  const changed = { headers: { 'content-type': 'text/y' }, metadata: {} };
  await writer.copy(at('from'), { volume: 'other', key: 'far' }, { attributes: changed, signal: NOBODY });
  assert.deepEqual(await read('far', other), ramp(20 * MiB));
  assert.equal((await other.head('far'))?.headers['content-type'], 'text/y');
  await assert.rejects(writer.copy(at('nothing'), at('to'), { signal: NOBODY }), fails('noSuchKey'));
  const taken = writer.copy(at('from'), at('to'), { condition: { ifNoneMatch: '*' }, signal: NOBODY });
  await assert.rejects(taken, fails('preconditionFailed'));
});

async function sendThree(writer: Awaited<ReturnType<typeof setUp>>['writer'], uploadId: string) {
  const whole = ramp(2 * 5 * MiB + 100);
  const parts = [];
  for (const [number, start, end] of [
    [3, 10 * MiB, whole.length],
    [1, 0, 5 * MiB],
    [2, 5 * MiB, 10 * MiB],
  ] as const)
    parts.push(await writer.putPart(at('k'), uploadId, number, bodyOf(whole.subarray(start, end)), NOBODY));
  return { whole, parts: parts.sort((a, b) => a.number - b.number) };
}

test('an upload in parts becomes one object, and its completion can be repeated', async (t) => {
  const { writer, bare, read, events, written } = await setUp(t);
  const attributes = { headers: { 'content-type': 'text/x' }, metadata: { a: 'b' } };
  const { uploadId } = await writer.beginUpload(at('k'), attributes);
  const { whole, parts } = await sendThree(writer, uploadId);
  assert.match(parts[0]?.doorEtag ?? '', /^"[0-9a-f]{32}-p"$/);
  assert.deepEqual(await writer.listParts(at('k'), uploadId), parts);
  assert.deepEqual(
    (await writer.listUploads('v', 'k')).map((upload) => upload.uploadId),
    [uploadId],
  );
  assert.deepEqual(await writer.listUploads('v', 'x'), []);
  const [one, two] = await Promise.all([
    writer.completeUpload(at('k'), uploadId, parts, { signal: NOBODY }),
    writer.completeUpload(at('k'), uploadId, parts, { signal: NOBODY }),
  ]);
  assert.deepEqual(one, two);
  assert.deepEqual(await writer.completeUpload(at('k'), uploadId, parts, { signal: NOBODY }), one);
  assert.deepEqual(await read('k'), whole);
  assert.deepEqual((await bare.head('k'))?.metadata, { a: 'b' });
  assert.equal(events.filter(({ kind }) => kind === 'write.done').length, 1);
  assert.ok(written.includes('v/k'));
  assert.deepEqual(await writer.listUploads('v', ''), []);
  await assert.rejects(writer.putPart(at('k'), uploadId, 4, bodyOf(ramp(1)), NOBODY), fails('noSuchUpload'));
  await assert.rejects(
    writer.completeUpload(at('k'), uploadId, parts.slice(1), { signal: NOBODY }),
    fails('noSuchUpload'),
  );
});

test('a completion names parts in order, that are there, none but the last below 5 MiB', async (t) => {
  const { writer, bare } = await setUp(t);
  const { uploadId } = await writer.beginUpload(at('k'), PLAIN);
  const { parts } = await sendThree(writer, uploadId);
  const complete = (named: readonly { number: number; doorEtag: string }[], id = uploadId) =>
    writer.completeUpload(at('k'), id, named, { signal: NOBODY });
  const [one, two, three] = parts;
  assert.ok(one && two && three);
  await assert.rejects(complete([two, one]), fails('invalidPartOrder'));
  await assert.rejects(complete([one, one]), fails('invalidPartOrder'));
  await assert.rejects(complete([]), fails('malformedXml'));
  await assert.rejects(complete([one, { ...two, doorEtag: one.doorEtag }]), fails('invalidPart'));
  await assert.rejects(complete([one, { ...two, number: 9 }]), fails('invalidPart'));
  await assert.rejects(complete([one], 'bm90aGluZw'), fails('noSuchUpload'));
  await assert.rejects(
    writer.completeUpload(at('elsewhere'), uploadId, [one], { signal: NOBODY }),
    fails('noSuchUpload'),
  );
  const again = await writer.putPart(at('k'), uploadId, 1, bodyOf(ramp(100)), NOBODY);
  await assert.rejects(complete([one, two]), fails('invalidPart'), 'a replaced part has another ETag');
  await assert.rejects(complete([again, two]), fails('tooSmall'));
  assert.equal(await bare.head('k'), undefined);
  assert.ok(await complete([two, three]));
});

test('parts larger than 16 MiB stream through, and parts can be copied from objects', async (t) => {
  const { writer, read } = await setUp(t);
  const options = { ...PLAIN, signal: NOBODY };
  await writer.put(at('source'), bodyOf(ramp(9 * MiB)), options);
  const { uploadId } = await writer.beginUpload(at('k'), PLAIN);
  const one = await writer.putPart(at('k'), uploadId, 1, bodyOf(ramp(20 * MiB)), NOBODY);
  const range = { start: 2 * MiB, end: 8 * MiB };
  const two = await writer.copyPart({ ...at('source'), range }, at('k'), uploadId, 2, NOBODY);
  const beyond = { ...at('source'), range: { start: 0, end: 10 * MiB } };
  await assert.rejects(writer.copyPart(beyond, at('k'), uploadId, 3, NOBODY), fails('invalidRange'));
  const bad = new ForebayError('badDigest', 'no');
  await assert.rejects(writer.putPart(at('k'), uploadId, 3, failingAfter(ramp(20 * MiB), bad), NOBODY), bad);
  assert.deepEqual(await writer.listParts(at('k'), uploadId), [one, two]);
  await writer.completeUpload(at('k'), uploadId, [one, two], { signal: NOBODY });
  assert.deepEqual(await read('k'), Buffer.concat([ramp(20 * MiB), ramp(9 * MiB).subarray(2 * MiB, 8 * MiB)]));
});

test('S-14: an upload outlives the daemon, and so does the memory of its completion', async (t) => {
  const directory = fs.mkdtempSync(join(tmpdir(), 'forebay-write-'));
  const bare = createMemoryOrigin({ clock: createRealClock(), random: createRealRandom() });
  const first = await setUp(t, { directory, bare });
  const attributes = { headers: { 'content-type': 'text/x' }, metadata: { a: 'b' } };
  const { uploadId } = await first.writer.beginUpload(at('k'), attributes);
  const { whole, parts } = await sendThree(first.writer, uploadId);
  fs.writeFileSync(join(directory, 'uploads', 'torn.json'), '{"uploadId":');
  fs.writeFileSync(join(directory, 'uploads', 'half.json.new'), '{"upl');

  const second = await setUp(t, { directory, bare });
  assert.deepEqual(
    (await second.writer.listUploads('v', '')).map(({ key }) => key),
    ['k'],
  );
  const listed = await second.writer.listParts(at('k'), uploadId);
  assert.deepEqual(
    listed.map(({ doorEtag }) => doorEtag),
    parts.map(({ doorEtag }) => doorEtag),
  );
  const done = await second.writer.completeUpload(at('k'), uploadId, parts, { signal: NOBODY });
  assert.deepEqual(await second.read('k'), whole);
  assert.deepEqual((await bare.head('k'))?.metadata, { a: 'b' });
  assert.equal(fs.existsSync(join(directory, 'uploads', 'half.json.new')), false);

  const third = await setUp(t, { directory, bare });
  assert.deepEqual(await third.writer.completeUpload(at('k'), uploadId, parts, { signal: NOBODY }), done);
});

test('a completion whose answer was lost is settled by looking at the object', async (t) => {
  let faults = 1;
  const fault = (call: FaultyCall): Fault | undefined =>
    call.operation === 'finalise' && faults-- > 0 ? { kind: 'unanswered' } : undefined;
  const { writer, read } = await setUp(t, { fault });
  const { uploadId } = await writer.beginUpload(at('k'), PLAIN);
  const { whole, parts } = await sendThree(writer, uploadId);
  const done = await writer.completeUpload(at('k'), uploadId, parts, { signal: NOBODY });
  assert.deepEqual(await read('k'), whole);
  assert.deepEqual(await writer.completeUpload(at('k'), uploadId, parts, { signal: NOBODY }), done);
});

test('a completion that stayed unclear is settled when it is asked for again', async (t) => {
  let isAway = false;
  const fault = (call: FaultyCall): Fault | undefined => {
    if (call.operation === 'finalise') {
      isAway = true;
      return { kind: 'unanswered' };
    }
    return isAway && call.operation === 'head' ? { kind: 'refuse', code: 'originUnavailable' } : undefined;
  };
  const { writer, read } = await setUp(t, { fault });
  const { uploadId } = await writer.beginUpload(at('k'), PLAIN);
  const { whole, parts } = await sendThree(writer, uploadId);
  const complete = () => writer.completeUpload(at('k'), uploadId, parts, { signal: NOBODY });
  await assert.rejects(complete(), fails('originUnavailable'));
  isAway = false;
  assert.ok(await complete());
  assert.deepEqual(await read('k'), whole);
});

test('an aborted upload is gone', async (t) => {
  const { writer, bare, directory } = await setUp(t);
  const { uploadId } = await writer.beginUpload(at('k'), PLAIN);
  await writer.putPart(at('k'), uploadId, 1, bodyOf(ramp(100)), NOBODY);
  await writer.abortUpload(at('k'), uploadId);
  await assert.rejects(writer.abortUpload(at('k'), uploadId), fails('noSuchUpload'));
  await assert.rejects(writer.listParts(at('k'), uploadId), fails('noSuchUpload'));
  assert.equal(await bare.head('k'), undefined);
  assert.deepEqual(fs.readdirSync(join(directory, 'uploads')), []);
});

test('S-4: uploads that nobody touches are aborted, completed ones forgotten after a while', async (t) => {
  const { clock, advance } = handClock();
  const aborts: string[] = [];
  const fault = (call: FaultyCall): undefined => {
    if (call.operation === 'abort') aborts.push(call.key);
  };
  const { writer, directory } = await setUp(t, { clock, fault });
  const { uploadId } = await writer.beginUpload(at('k'), PLAIN);
  const { parts } = await sendThree(writer, uploadId);
  await writer.completeUpload(at('k'), uploadId, parts, { signal: NOBODY });
  await writer.beginUpload(at('idle'), PLAIN);
  const busy = await writer.beginUpload(at('busy'), PLAIN);
  await advance(uploadIdleMaxMs - uploadKeepMs);
  await writer.listParts(at('busy'), busy.uploadId);
  await advance(uploadKeepMs + 1);
  assert.deepEqual(aborts, ['idle']);
  assert.deepEqual(
    (await writer.listUploads('v', '')).map(({ key }) => key),
    ['busy'],
  );
  assert.equal(fs.readdirSync(join(directory, 'uploads')).length, 1);
});

test('S-12: many large bodies at once stay within the memory for bodies', async (t) => {
  const { writer, bare } = await setUp(t);
  const bytes = ramp(16 * MiB);
  const keys = Array.from({ length: 24 }, (_, i) => `many-${i}`);
  let atOnce = 0;
  let most = 0;
  const counted = (): WriteBody => ({
    lengthBytes: bytes.length,
    async *stream() {
      most = Math.max(most, ++atOnce);
      yield* bodyOf(bytes).stream();
      atOnce--;
    },
  });
  await Promise.all(keys.map((key) => writer.put(at(key), counted(), { ...PLAIN, signal: NOBODY })));
  assert.ok(most <= 16, `${most} bodies of 16 MiB were read at once`);
  assert.equal((await bare.list({ prefix: 'many-', limit: 100 })).objects.length, 24);
});
