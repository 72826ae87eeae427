import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { DiskError } from '../io.ts';
import type { WatchHint } from '../watch.ts';
import { watchDirectory } from './inotify.ts';
import { loadLibc } from './libc.ts';

const skip = loadLibc().available ? false : 'needs FFI';

/** Watches a new directory; `until` resolves with all hints so far once one of them is as wanted. */
async function watched(t: TestContext) {
  const directory = fs.mkdtempSync(join(tmpdir(), 'forebay-watch-'));
  t.after(() => fs.rmSync(directory, { recursive: true }));
  fs.mkdirSync(join(directory, 'deep/er'), { recursive: true });
  const hints: WatchHint[] = [];
  let heard = Promise.withResolvers<void>();
  const watch = await watchDirectory(directory, (more) => {
    hints.push(...more);
    heard.resolve();
    heard = Promise.withResolvers();
  });
  t.after(() => watch.close());
  const texts = () =>
    hints.map((hint) =>
      'to' in hint ? `${hint.from} → ${hint.to}` : `${hint.kind} ${'path' in hint ? hint.path : ''}`,
    );
  return {
    directory,
    texts,
    until: async (text: string): Promise<string[]> => {
      while (!texts().includes(text)) await heard.promise;
      const all = texts();
      hints.length = 0;
      return all;
    },
  };
}

test('a file is told of when it is closed, renamed and deleted, also far below', { skip }, async (t) => {
  const { directory, ...told } = await watched(t);
  const until = (text: string) => told.until(text);
  const path = join(directory, 'deep/er/x');
  const file = fs.openSync(`${path}.tmp`, 'w');
  fs.writeSync(file, 'bytes');
  fs.closeSync(file);
  fs.renameSync(`${path}.tmp`, path);
  assert.deepEqual(await until('deep/er/x.tmp → deep/er/x'), [
    'look deep/er/x.tmp',
    'finished deep/er/x.tmp',
    'deep/er/x.tmp → deep/er/x',
  ]);
  fs.rmSync(path);
  assert.deepEqual(await until('gone deep/er/x'), ['gone deep/er/x']);
});

test('a directory that appears is watched, one that is renamed is followed, and what leaves or comes from elsewhere is told of', {
  skip,
}, async (t) => {
  const { directory, ...told } = await watched(t);
  const until = (text: string) => told.until(text);
  fs.mkdirSync(join(directory, 'new'));
  await until('look new');
  fs.writeFileSync(join(directory, 'new/file'), 'x');
  await until('finished new/file');
  fs.renameSync(join(directory, 'new'), join(directory, 'renamed'));
  await until('new → renamed');
  fs.writeFileSync(join(directory, 'renamed/file'), 'y');
  await until('finished renamed/file');
  const outside = fs.mkdtempSync(join(tmpdir(), 'forebay-outside-'));
  t.after(() => fs.rmSync(outside, { recursive: true }));
  fs.renameSync(join(directory, 'renamed/file'), join(outside, 'file'));
  await until('gone renamed/file');
  fs.renameSync(join(outside, 'file'), join(directory, 'back'));
  await until('finished back');
  fs.renameSync(join(directory, 'renamed'), join(outside, 'away'));
  await until('gone renamed');
  fs.writeFileSync(join(outside, 'away/unseen'), 'z');
  fs.writeFileSync(join(directory, 'last'), 'z');
  assert.ok(!(await until('finished last')).some((text) => text.includes('unseen')));
});

test('directories that are made, filled and renamed faster than they are watched are watched under their last names', {
  skip,
}, async (t) => {
  const { directory, ...told } = await watched(t);
  const names = Array.from({ length: 50 }, (_, n) => `step-${n}`);
  for (const name of names) {
    fs.mkdirSync(join(directory, `${name}.tmp/rank`), { recursive: true });
    fs.renameSync(join(directory, `${name}.tmp`), join(directory, name));
  }
  await told.until('step-49.tmp → step-49');
  for (const name of names) fs.writeFileSync(join(directory, name, 'rank/last'), 'x');
  const heard = await told.until('finished step-49/rank/last');
  for (const name of names) assert.ok(heard.includes(`finished ${name}/rank/last`), name);
});

test('what cannot be watched is refused', { skip }, async () => {
  await assert.rejects(
    watchDirectory('/nonexistent', () => undefined),
    (error) => error instanceof DiskError && error.code === 'ENOENT',
  );
});
