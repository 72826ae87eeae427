import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Daemon } from '../../bench/daemon.ts';
import { eventually } from '../cluster/node.ts';
import { KEY, startClients, VOLUME } from './daemon.ts';
import { MANY, manyBytes, manyKey } from './suite.ts';

const TIMEOUT_MS = 15 * 60_000;

test('real clients work through the door of a daemon that acknowledges what it holds itself', {
  timeout: TIMEOUT_MS,
}, async (t) => {
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
        await eventually(`${key} is drained`, async () => !(await isPending(daemon, key)));
        try {
          return readFileSync(join(root, key));
        } catch {
          return undefined;
        }
      },
    }),
  });
});

async function isPending(daemon: Daemon, key: string): Promise<boolean> {
  const path = `/v1/writes?volume=${VOLUME}&prefix=${encodeURIComponent(key)}`;
  const headers = { authorization: `Bearer ${KEY.id}:${KEY.secret}` };
  const response = await fetch(`http://${daemon.admin}${path}`, { headers });
  const { objects } = (await response.json()) as { objects: { key: string; kind: string; drained?: boolean }[] };
  return objects.some((one) => one.key === key && (one.kind === 'dirty' || (one.kind === 'tombstone' && !one.drained)));
}
