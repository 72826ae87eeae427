/** Wall time orders nothing: nodes of one process, on real io, of which one has a clock of its own. */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { coverage } from '../../bench/origin-log.ts';
import { OriginServer } from '../../bench/origin-server.ts';
import { firstWrong } from '../../bench/pattern.ts';
import type { Io } from '../../src/io/io.ts';
import { createRealIo } from '../../src/io/real/real-io.ts';
import { openCluster } from '../../src/node/cluster-opener.ts';
import { parseConfig } from '../../src/node/config.ts';
import { createNode, type Node } from '../../src/node/node.ts';
import { originOpener } from '../../src/node/origin-opener.ts';
import { bytesOfPiece } from '../../src/store/piece.ts';
import { MiB, VOLUME } from './fixture.ts';
import { eventually } from './node.ts';

const OBJECT = { key: 'models/weights', sizeBytes: 18 * MiB + 3, seed: 3 };
const TEN_MINUTES_MS = 600_000;

interface Place {
  readonly directory: string;
  readonly endpoint: string;
}

async function startNode(
  t: TestContext,
  place: Place,
  { name, aheadMs }: { name: string; aheadMs: number },
): Promise<Node> {
  const { directory, endpoint } = place;
  const set = {
    'node.name': name,
    'node.cacheDir': join(directory, name),
    'node.capacity': '1GiB',
    'doors.peer': '127.0.0.1:0',
    'cluster.coordinator': `embedded:${join(directory, 'coordinator.sqlite')}`,
    'cluster.secretFile': join(directory, 'secret'),
    [`volumes.${VOLUME}.endpoint`]: endpoint,
    [`volumes.${VOLUME}.region`]: 'us-east-1',
    [`volumes.${VOLUME}.chunkSize`]: '4MiB',
    [`volumes.${VOLUME}.revalidate`]: '1s',
  };
  const config = parseConfig(
    { volume: [`${VOLUME}=s3://${VOLUME}`], set: Object.entries(set).map(([key, value]) => `${key}=${value}`) },
    { hostName: 'h', homeDirectory: '/', workingDirectory: '/', environment: {} },
  );
  const emit = () => undefined;
  const real = createRealIo({ cacheDirectory: config.node.cacheDir, emit });
  const { clock } = real;
  const io: Io = {
    ...real,
    clock: {
      ...clock,
      boottimeMs: () => clock.boottimeMs(),
      sleep: (...how) => clock.sleep(...how),
      wallMs: () => clock.wallMs() + aheadMs,
    },
  };
  const cluster = await openCluster(config, { io, emit });
  assert.ok(cluster);
  const openOrigin = originOpener({ io, emit, environment: {}, ffi: 'auto' });
  const node = await createNode({ config, io, emit, openOrigin, cluster });
  t.after(async () => {
    await node.close();
    await cluster.close();
    await real.close();
  });
  return node;
}

async function read(node: Node): Promise<Buffer> {
  const { signal } = new AbortController();
  const opened = await node.reader.open(VOLUME, OBJECT.key, signal);
  const pieces: Buffer[] = [];
  try {
    for await (const piece of opened.pieces({ start: 0, end: opened.fact.sizeBytes }, signal)) {
      pieces.push(Buffer.from(await bytesOfPiece(piece)));
      piece.release();
    }
  } finally {
    opened.close();
  }
  return Buffer.concat(pieces);
}

test('nodes whose wall clocks are ten minutes ahead and behind are members, read once together, and see what changes', async (t) => {
  const environment = { id: process.env['AWS_ACCESS_KEY_ID'], secret: process.env['AWS_SECRET_ACCESS_KEY'] };
  process.env['AWS_ACCESS_KEY_ID'] = process.env['AWS_SECRET_ACCESS_KEY'] = 'test';
  const directory = mkdtempSync(join(tmpdir(), 'forebay-clock-'));
  writeFileSync(join(directory, 'secret'), 'the secret that the nodes of this test share\n', { mode: 0o600 });
  const origin = new OriginServer({ bucket: VOLUME, generated: [OBJECT] });
  const endpoint = await origin.listen();
  const nodes = await Promise.all(
    [0, TEN_MINUTES_MS, -TEN_MINUTES_MS].map((aheadMs, i) =>
      startNode(t, { directory, endpoint }, { name: `n${i}`, aheadMs }),
    ),
  );
  t.after(async () => {
    await origin.close();
    rmSync(directory, { recursive: true });
    for (const [name, value] of [
      ['AWS_ACCESS_KEY_ID', environment.id],
      ['AWS_SECRET_ACCESS_KEY', environment.secret],
    ] as const)
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
  });
  await eventually('each sees all', () => nodes.every(({ cluster }) => cluster?.members.members.length === 3));
  const first = await Promise.all(nodes.map(read));
  for (const bytes of first) assert.equal(firstWrong(OBJECT.seed, 0, bytes), undefined);
  assert.ok(first.every(({ length }) => length === OBJECT.sizeBytes));
  assert.ok(coverage(origin.requests, OBJECT.key, OBJECT.sizeBytes).exactlyOnce);
  assert.ok(nodes.every(({ cluster }) => cluster?.mayAct() === true && !cluster.isFrozen));
  origin.put({ ...OBJECT, seed: 4 });
  for (const node of nodes)
    await eventually('the newer version is read', async () => firstWrong(4, 0, await read(node)) === undefined);
});
