/**
 * Python packages for tests, each version in a virtual environment of its own below the user's cache directory: made on
 * first use, found again later, never touched by anything else.
 */
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { run } from '../clients/client.ts';
import { requireTool, skipOrFail } from '../tools.ts';

/** The Python that can import the package; undefined when it cannot be had and the test has been skipped by name. */
export async function requirePython(t: TestContext, name: string, version: string): Promise<string | undefined> {
  const system = requireTool(t, 'python3');
  if (system === undefined) return undefined;
  const folder = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'forebay', 'python');
  const home = join(folder, `${name}-${version}`);
  const python = join(home, 'bin', 'python');
  if (existsSync(python)) return python;
  const making = join(folder, `making-${name}-${process.pid}`);
  try {
    mkdirSync(folder, { recursive: true });
    await run(system, ['-m', 'venv', making]);
    await run(join(making, 'bin', 'python'), ['-m', 'pip', 'install', '--quiet', `${name}==${version}`], process.env);
    if (!existsSync(home)) renameSync(making, home);
    return python;
  } catch (error) {
    skipOrFail(t, `${name} ${version} cannot be installed from PyPI: ${(error as Error).message.slice(0, 500)}`);
    return undefined;
  } finally {
    rmSync(making, { recursive: true, force: true });
  }
}
