import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ForebayError } from '../core/errors.ts';
import { MiB } from '../core/limits.ts';
import { createRealIo, type RealIo } from '../io/real/real-io.ts';
import type { Event } from '../observe/events.ts';
import { bodyOf } from '../origin/body.ts';
import { createMemoryOrigin } from '../origin/memory.ts';
import type { Origin } from '../origin/origin.ts';
import { bytesOfPiece } from '../store/piece.ts';
import { parseConfig } from './config.ts';
import { createNode, type NodeOptions } from './node.ts';
import { NodeHealth } from './node-health.ts';
import { readinessOf, statusOf, volumeStatuses } from './node-report.ts';

interface Place extends AsyncDisposable {
  readonly directory: string;
  readonly io: RealIo;
  readonly events: Event[];
  options(set?: readonly string[]): Omit<NodeOptions, 'openOrigin'>;
}

async function place(): Promise<Place> {
  const directory = await mkdtemp(join(tmpdir(), 'forebay-node-'));
  const events: Event[] = [];
  const emit = (event: Event): void => void events.push(event);
  const io = createRealIo({ cacheDirectory: join(directory, 'a', 'b'), emit });
  return {
    directory,
    io,
    events,
    options: (set = []) => ({
      config: parseConfig(
        { volume: ['models=memory:'], set: [`node.cacheDir=${directory}/a/b`, ...set] },
        { hostName: 'h', homeDirectory: '/', workingDirectory: '/', environment: {} },
      ),
      io,
      emit,
    }),
    async [Symbol.asyncDispose]() {
      await io.close();
      await rm(directory, { recursive: true });
    },
  };
}

async function filled(io: RealIo): Promise<Origin> {
  const origin = createMemoryOrigin(io);
  await origin.put('greeting', bodyOf(Buffer.from('hello')), { headers: {}, metadata: {} });
  return origin;
}

test('a node makes its directory and those above it, reads through, and closes what it opened', async () => {
  await using at = await place();
  const origin = await filled(at.io);
  let closed = 0;
  const counted: Origin = Object.assign(origin, { close: async () => void closed++ });
  const node = await createNode({ ...at.options(), openOrigin: () => counted });
  const opened = await node.reader.open('models', 'greeting');
  let text = '';
  for await (const piece of opened.pieces({ start: 0, end: 5 }, new AbortController().signal)) {
    text += Buffer.from(await bytesOfPiece(piece)).toString();
    piece.release();
  }
  opened.close();
  assert.equal(text, 'hello');
  assert.equal((await stat(join(at.directory, 'a', 'b'))).mode & 0o777, 0o700);
  await node.close();
  assert.equal(closed, 1);
});

test('two nodes on one directory: the second is told that it is locked, and the first goes on', async () => {
  await using at = await place();
  const origin = await filled(at.io);
  const first = await createNode({ ...at.options(), openOrigin: () => origin });
  await assert.rejects(createNode({ ...at.options(), openOrigin: () => origin }), { code: 'locked' });
  (await first.reader.open('models', 'greeting')).close();
  await first.close();
  await (await createNode({ ...at.options(), openOrigin: () => origin })).close();
});

test('an origin that cannot be opened leaves the directory free for the next start', async () => {
  await using at = await place();
  const openOrigin = (): never => {
    throw new ForebayError('config', 'no such origin');
  };
  await assert.rejects(createNode({ ...at.options(), openOrigin }), { code: 'config' });
  const origin = await filled(at.io);
  await (await createNode({ ...at.options(), openOrigin: () => origin })).close();
});

test('without a capacity nine tenths of the free space are taken at the first start, and kept by later ones', async () => {
  await using at = await place();
  const origin = await filled(at.io);
  const { freeBytes } = await at.io.disk.space(at.directory);
  const first = await createNode({ ...at.options(), openOrigin: () => origin });
  const { capacityBytes } = first.storeStatus;
  assert.ok(capacityBytes > freeBytes * 0.8 && capacityBytes <= freeBytes, `${capacityBytes} of ${freeBytes}`);
  await first.close();
  assert.equal(await readFile(join(at.directory, 'a', 'b', 'CAPACITY'), 'utf8'), `${capacityBytes}\n`);
  const second = await createNode({ ...at.options(), openOrigin: () => origin });
  assert.equal(second.storeStatus.capacityBytes, capacityBytes);
  await second.close();
  const third = await createNode({ ...at.options(['node.capacity=128MiB']), openOrigin: () => origin });
  assert.equal(third.storeStatus.capacityBytes, 128 * MiB);
  await third.close();
});

test('a node is ready when its origins have answered or may be away, and says why when it is not', async () => {
  await using at = await place();
  const origin = await filled(at.io);
  let answer: () => Promise<void> = async () => undefined;
  const probed: Origin = Object.assign(origin, { probe: () => answer() });
  const options = at.options(['volumes.models.revalidate=always']);
  const node = await createNode({ ...options, openOrigin: () => probed });
  const signal = new AbortController().signal;
  const readyAfter = async (next: () => Promise<void>) => {
    answer = next;
    const health = new NodeHealth();
    await health.probe(node.volumes.values(), { clock: at.io.clock, signal });
    return { health, reasons: readinessOf(node, health).reasons };
  };
  assert.deepEqual(readinessOf(node, new NodeHealth()), {
    ready: false,
    reasons: ['an origin has not answered yet'],
  });
  assert.deepEqual((await readyAfter(async () => undefined)).reasons, []);
  const away = await readyAfter(async () => Promise.reject(new ForebayError('originUnavailable', 'no route')));
  assert.deepEqual(away.reasons, ['an origin is away whose objects may not be served stale']);
  assert.deepEqual(
    volumeStatuses(node, away.health).map(({ name, reach, message, revalidateMs }) => ({
      name,
      reach,
      message,
      revalidateMs,
    })),
    [{ name: 'models', reach: 'away', message: 'no route', revalidateMs: 0 }],
  );
  away.health.note({ kind: 'origin.back', volume: 'models' });
  assert.deepEqual(readinessOf(node, away.health).reasons, []);
  const denied = await readyAfter(async () => Promise.reject(new ForebayError('originDenied', 'wrong key')));
  assert.deepEqual(denied.reasons, ['an origin refuses this node']);
  await node.close();
});

test('S-13: a node whose volumes may be served stale is ready with the origin away', async () => {
  await using at = await place();
  const origin = await filled(at.io);
  const gone: Origin = Object.assign(origin, {
    probe: async () => Promise.reject(new ForebayError('originUnavailable', 'no route')),
  });
  const node = await createNode({ ...at.options(), openOrigin: () => gone });
  const health = new NodeHealth();
  await health.probe(node.volumes.values(), { clock: at.io.clock, signal: new AbortController().signal });
  assert.equal(readinessOf(node, health).ready, true);
  await node.close();
});

test('the status holds what JSON can say, and no secret', async () => {
  await using at = await place();
  const origin = await filled(at.io);
  const node = await createNode({ ...at.options(), openOrigin: () => origin });
  const config = parseConfig(
    {
      set: [
        'node.zone=rack-4',
        'keys.abc.secret=0123456789abcdef',
        'keys.abc.volumes=["*"]',
        'keys.abc.rights=["read"]',
      ],
    },
    { hostName: 'h', homeDirectory: '/', workingDirectory: '/', environment: {} },
  );
  const status = statusOf({
    config,
    node,
    health: new NodeHealth(),
    version: '1',
    doors: {},
    network: 'sendfile',
    uptimeMs: 1.5,
  });
  assert.deepEqual(JSON.parse(JSON.stringify(status)), status);
  assert.doesNotMatch(JSON.stringify(status), /0123456789abcdef/);
  const health = new NodeHealth();
  health.note({ kind: 'disk.ejected', path: '/x', message: 'hangs' });
  const parts = { config, node, version: '1', doors: {}, network: 'sendfile', uptimeMs: 1 } as const;
  assert.equal(statusOf({ ...parts, health }).store.disk, 'ejected');
  health.note({ kind: 'disk.readmitted', path: '/x' });
  assert.equal(statusOf({ ...parts, health }).store.disk, 'ok');
  assert.deepEqual([status.zone, status.volumes[0]?.staleIfErrorMs], ['rack-4', null]);
  await node.close();
});
