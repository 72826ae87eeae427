/** The reference: Debian's redis-server on a port of its own choosing. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { freePorts } from '../servers/free-port.ts';
import { startServer } from '../servers/server-process.ts';
import { requireTool } from '../tools.ts';

/** Its port; undefined where it is not installed and the test has been skipped by name. Ends with the test. */
export async function startRedis(t: TestContext, args: readonly string[] = []): Promise<number | undefined> {
  const command = requireTool(t, 'redis-server');
  if (command === undefined) return undefined;
  const directory = mkdtempSync(join(tmpdir(), 'forebay-redis-'));
  const [port] = (await freePorts(1)) as [number];
  const server = await startServer(
    command,
    ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', directory, ...args],
    { ready: /(Ready to accept connections)/ },
  );
  t.after(async () => {
    await server.stop();
    rmSync(directory, { recursive: true, force: true });
  });
  return port;
}
