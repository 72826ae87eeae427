import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { signedHeaders } from '../signed-request.ts';
import { startClients, KEY, VOLUME } from './daemon.ts';
import { MANY, manyBytes, manyKey } from './suite.ts';

const TIMEOUT_MS = 15 * 60_000;

test('real clients work through the door of a daemon that acknowledges what it holds itself', { timeout: TIMEOUT_MS }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'forebay-clients-staged-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const root = join(directory, 'root');
  mkdirSync(join(root, 'many'), { recursive: true });
  for (let i = 0; i < MANY; i++) writeFileSync(join(root, manyKey(i)), manyBytes(i));
  await startClients(t, {
    directory,
    volume: { origin: `file://${root}`, ack: 'local', replicas: 1 },
    environment: {},
    origin: (daemon) => ({
      async bytes(key) {
        const path = `/${VOLUME}/${key.split('/').map((p) => encodeURIComponent(p).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)).join('/')}`;
        const headers = await signedHeaders({ path, host: daemon.s3, key: KEY });
        const response = await fetch(`http://${daemon.s3}${path}`, { headers });
        return response.status === 200 ? Buffer.from(await response.arrayBuffer()) : undefined;
      },
    }),
  });
  assert.ok(readFileSync);
});
