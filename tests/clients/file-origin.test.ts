import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { startClients } from './daemon.ts';
import { MANY, manyBytes, manyKey } from './suite.ts';

test('real clients work through the door of a daemon before a directory', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'forebay-clients-file-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const root = join(directory, 'root');
  mkdirSync(join(root, 'many'), { recursive: true });
  for (let i = 0; i < MANY; i++) writeFileSync(join(root, manyKey(i)), manyBytes(i));
  const bytes = (key: string) => {
    try {
      return readFileSync(join(root, key));
    } catch {
      return undefined;
    }
  };
  await startClients(t, {
    directory,
    volume: { origin: `file://${root}` },
    environment: {},
    origin: { bytes: async (key) => bytes(key) },
  });
});
