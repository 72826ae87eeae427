/**
 * moto, an S3 server of someone else's making, from PyPI: in a virtual environment of its own below the user's cache
 * directory, made on first use. Where it cannot be had, the test skips by name, or fails with FOREBAY_REQUIRE_ALL=1.
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { startServer } from './server-process.ts';

const VERSION = '5.2.5';
const run = promisify(execFile);

export interface Moto {
  readonly endpoint: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  stop(): Promise<void>;
}

/** The server, or in words why it cannot be had. */
export async function startMoto(): Promise<Moto | string> {
  let python: string;
  try {
    python = await installMoto();
  } catch (error) {
    return `moto ${VERSION} cannot be installed from PyPI: ${(error as Error).message.slice(0, 300)}`;
  }
  const server = await startServer(python, ['-m', 'moto.server', '-H', '127.0.0.1', '-p', '0'], {
    ready: /Running on (http:\/\/127\.0\.0\.1:\d+)/,
    // parts as small as a test wants them
    env: { S3_UPLOAD_PART_MIN_SIZE: '1', PYTHONUNBUFFERED: '1' },
  });
  return {
    endpoint: server.address,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    stop: () => server.stop(),
  };
}

async function installMoto(): Promise<string> {
  const folder = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'forebay', 'python');
  const home = join(folder, `moto-server-${VERSION}`);
  const python = join(home, 'bin', 'python');
  if (existsSync(python)) return python;
  const making = join(folder, `making-moto-${process.pid}`);
  try {
    mkdirSync(folder, { recursive: true });
    await run('python3', ['-m', 'venv', making]);
    await run(join(making, 'bin', 'python'), ['-m', 'pip', 'install', '--quiet', `moto[server]==${VERSION}`]);
    if (!existsSync(home)) renameSync(making, home);
    return python;
  } finally {
    rmSync(making, { recursive: true, force: true });
  }
}
