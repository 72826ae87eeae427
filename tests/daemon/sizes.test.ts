import assert from 'node:assert/strict';
import { closeSync, ftruncateSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fixture, get, MiB, VOLUME } from './fixture.ts';

const GiB = 1024 * MiB;

test('an object of 0 bytes and a sparse one of 5 GiB are served whole from a directory', async (t) => {
  const { directory, start } = await fixture(t);
  const root = join(directory, 'root');
  mkdirSync(root);
  closeSync(openSync(join(root, 'empty'), 'w'));
  const sparse = openSync(join(root, 'sparse'), 'w');
  ftruncateSync(sparse, 5 * GiB);
  const marks = [0, 16 * MiB - 2, 4 * GiB - 3, 5 * GiB - 6];
  for (const at of marks) writeSync(sparse, 'forebay', at === 5 * GiB - 6 ? at - 1 : at);
  closeSync(sparse);
  const daemon = await start({
    volume: { origin: `file://${root}` },
    node: { capacity: '1GiB' },
  });
  const empty = await get(daemon, 'empty');
  assert.deepEqual([empty.status, empty.bytes.length, empty.headers.get('content-length')], [200, 0, '0']);
  const head = await fetch(`http://${daemon.s3}/${VOLUME}/sparse`, { method: 'HEAD' });
  assert.equal(head.headers.get('content-length'), String(5 * GiB));
  for (const at of [16 * MiB - 2, 4 * GiB - 3, 5 * GiB - 7]) {
    const { status, bytes } = await get(daemon, 'sparse', { start: at, end: at + 7 });
    assert.deepEqual([status, bytes.toString()], [206, 'forebay']);
  }
  const zeros = await get(daemon, 'sparse', { start: 4 * GiB + 10, end: 4 * GiB + MiB });
  assert.ok(zeros.bytes.equals(Buffer.alloc(MiB - 10)));
  const response = await fetch(`http://${daemon.s3}/${VOLUME}/sparse`);
  let total = 0;
  for await (const piece of response.body ?? []) total += piece.length;
  assert.equal(total, 5 * GiB);
});
