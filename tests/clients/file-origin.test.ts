import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { startClients } from './daemon.ts';
import { MANY, manyBytes, manyKey } from './suite.ts';

/** Five tools of tens of seconds each; a machine shared with other tests may take several times as long. */
const TIMEOUT_MS = 15 * 60_000;

test('real clients work through the door of a daemon before a directory', { timeout: TIMEOUT_MS }, async (t) => {
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
