import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { runOriginConformance } from '../../tests/conformance/origin.ts';
import { collect, fails, onceOf, options, put, ramp, read } from '../../tests/conformance/origin-bytes.ts';
import { createRealDisk } from '../io/real/disk.ts';
import { createRealRandom } from '../io/real/random.ts';
import { bodyOf } from './body.ts';
import { createFileOrigin } from './file.ts';

/** 10,000 synced puts take a minute on a disk; what a disk does with syncs is not the question here. */
const MEMORY = fs.existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

function setUp(t: TestContext) {
  const root = fs.mkdtempSync(join(MEMORY, 'forebay-origin-'));
  const disk = createRealDisk({ root });
  const origin = createFileOrigin({ disk, random: createRealRandom(), url: `file://${root}` });
  t.after(async () => {
    await disk.close();
    fs.rmSync(root, { recursive: true, force: true });
  });
  return { origin, root, disk };
}

runOriginConformance('file', async (t) => ({ ...setUp(t), close: async () => undefined }), { keysArePaths: true });

test('file: what others laid there is served, with a type by its extension', async (t) => {
  const { origin, root } = setUp(t);
  fs.mkdirSync(join(root, 'a/b'), { recursive: true });
  fs.writeFileSync(join(root, 'a/b/page.html'), ramp(10));
  fs.mkdirSync(join(root, 'empty/deeper'), { recursive: true });
  assert.equal((await origin.head('a/b/page.html'))?.headers['content-type'], 'text/html');
  assert.deepEqual(await read(origin, 'a/b/page.html'), ramp(10));
  assert.deepEqual(
    (await origin.list({ prefix: '', delimiter: '/', limit: 10 })).prefixes,
    ['a/'],
    'an empty directory is no prefix',
  );
  assert.equal(await origin.head('empty/'), undefined);
});

test('file: S-1: a file that others change loses its version, its headers and its metadata', async (t) => {
  const { origin, root } = setUp(t);
  const attributes = { headers: { 'content-type': 'text/x' }, metadata: { a: 'b' } };
  const { etag } = await origin.put('k', bodyOf(ramp(3_000_000)), attributes);
  const range = { start: 0, end: 3_000_000 };
  const pieces = await origin.get('k', { etag, range });
  const seen: Uint8Array[] = [];
  await assert.rejects(async () => {
    for await (const piece of pieces) {
      seen.push(piece);
      if (seen.length > 1) continue;
      const fd = fs.openSync(join(root, 'k'), 'r+');
      fs.writeSync(fd, ramp(10, 7), 0, 10, 2_500_000);
      fs.closeSync(fd);
    }
  }, fails('versionChanged'));
  assert.deepEqual(Buffer.concat(seen), ramp(Buffer.concat(seen).length));
  const version = await origin.head('k');
  assert.notEqual(version?.etag, etag);
  assert.deepEqual([version?.headers['content-type'], version?.metadata], ['application/octet-stream', {}]);
  await assert.rejects(origin.get('k', { etag, range }), fails('versionChanged'));
});

test('file: links are neither followed nor listed nor replaced', async (t) => {
  const { origin, root } = setUp(t);
  const outside = fs.mkdtempSync(join(MEMORY, 'forebay-outside-'));
  t.after(() => fs.rmSync(outside, { recursive: true, force: true }));
  fs.writeFileSync(join(outside, 'secret'), 'secret');
  fs.symlinkSync(join(outside, 'secret'), join(root, 'link'));
  fs.symlinkSync(outside, join(root, 'way'));
  assert.equal(await origin.head('link'), undefined);
  assert.equal(await origin.head('way/secret'), undefined);
  assert.deepEqual(await origin.list({ prefix: '', limit: 10 }), { objects: [], prefixes: [] });
  assert.deepEqual(await origin.list({ prefix: 'way/', limit: 10 }), { objects: [], prefixes: [] });
  await assert.rejects(put(origin, 'link', ramp(5)), fails('invalidRequest'));
  await assert.rejects(put(origin, 'way/new', ramp(5)), fails('invalidRequest'));
  await origin.delete('link');
  await origin.delete('way/secret');
  assert.equal(fs.readFileSync(join(outside, 'secret'), 'utf8'), 'secret');
  assert.deepEqual(fs.readdirSync(outside), ['secret']);
});

test('file: its own folder is no key, whatever lies there', async (t) => {
  const { origin, root } = setUp(t);
  await origin.put('k', bodyOf(ramp(5)), { headers: {}, metadata: { a: 'b' } });
  const id = await origin.begin('u', options());
  await origin.part({ key: 'u', id }, 1, bodyOf(ramp(5)));
  for (const key of ['.forebay', '.forebay/', '.forebay/meta/x', `.forebay/uploads/${id}/upload.json`]) {
    assert.equal(await origin.head(key), undefined);
    await assert.rejects(put(origin, key, ramp(1)), fails('invalidArgument'));
    await origin.delete(key);
    assert.deepEqual((await origin.list({ prefix: key, limit: 10 })).objects, []);
  }
  assert.deepEqual(
    (await origin.list({ prefix: '', limit: 10 })).objects.map(({ key }) => key),
    ['k'],
  );
  assert.equal((await origin.parts({ key: 'u', id })).length, 1);
  assert.equal(fs.statSync(join(root, '.forebay')).mode & 0o777, 0o700);
  const stranger = { key: 'u', id: '../../k' };
  await assert.rejects(origin.parts(stranger), fails('noSuchUpload'));
  await origin.abort(stranger);
  await assert.rejects(origin.parts({ key: 'other', id }), fails('noSuchUpload'));
});

test('file: an object beside objects below its name is an error that names both', async (t) => {
  const { origin } = setUp(t);
  await put(origin, 'a', ramp(5));
  await assert.rejects(put(origin, 'a/b', ramp(5)), fails('invalidRequest'));
  await assert.rejects(put(origin, 'a/', new Uint8Array(0)), fails('invalidRequest'));
  await put(origin, 'd/e', ramp(5));
  await assert.rejects(put(origin, 'd', ramp(5)), fails('invalidRequest'));
  await assert.rejects(put(origin, 'd', ramp(5), { ifNoneMatch: '*' }), fails('invalidRequest'));
  await assert.rejects(put(origin, 'm/', ramp(5)), fails('invalidArgument'));
  assert.equal(await origin.head('d'), undefined);
  assert.equal(await origin.head('a/b'), undefined);
  await assert.rejects(put(origin, `${'x'.repeat(256)}`, ramp(5)), fails('invalidArgument'));
});

test('file: failed and aborted writes leave no temporary file', async (t) => {
  const { origin, root } = setUp(t);
  await put(origin, 'k', ramp(5));
  await assert.rejects(origin.put('k', { ...onceOf(ramp(5)), lengthBytes: 6 }, options()), fails('incompleteBody'));
  await assert.rejects(put(origin, 'k', ramp(5), { ifNoneMatch: '*' }), fails('preconditionFailed'));
  await assert.rejects(put(origin, 'k', ramp(5), { ifMatch: '"x"' }), fails('preconditionFailed'));
  await assert.rejects(put(origin, 'k/x', ramp(5)), fails('invalidRequest'));
  assert.deepEqual(fs.readdirSync(join(root, '.forebay/tmp')), []);
});

test('file: a reader that stops early closes the file', async (t) => {
  const { origin } = setUp(t);
  const { etag } = await put(origin, 'k', ramp(5_000_000));
  const descriptors = () => fs.readdirSync('/proc/self/fd').length;
  const before = descriptors();
  for (let round = 0; round < 50; round++) {
    const pieces = await origin.get('k', { etag, range: { start: 0, end: 5_000_000 } });
    if (round % 2 === 0) for await (const _ of pieces) break;
  }
  assert.ok(descriptors() <= before + 2);
  assert.equal((await collect(await origin.get('k', { etag, range: { start: 5, end: 9 } }))).length, 4);
});

test('file: a root that is not there is told', async (t) => {
  const { origin, root } = setUp(t);
  fs.rmSync(root, { recursive: true });
  await assert.rejects(origin.probe(), fails('noSuchBucket'));
});
