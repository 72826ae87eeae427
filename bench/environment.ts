/** Where a result was measured: results of different environments are not compared. */
import { execFileSync } from 'node:child_process';
import { statfsSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem } from 'node:os';

export interface Environment {
  readonly date: string;
  readonly commit: string;
  readonly node: string;
  readonly kernel: string;
  readonly cores: number;
  readonly cpu: string;
  readonly memoryGiB: number;
  readonly fileSystem: string;
}

/** Magic numbers of statfs(2), from linux/magic.h. */
const FILE_SYSTEMS: Readonly<Record<number, string>> = {
  61267: 'ext4',
  16914836: 'tmpfs',
  1481003842: 'xfs',
  2435016766: 'btrfs',
  2035054128: 'overlay',
};

function fileSystemOf(directory: string): string {
  const type = statfsSync(directory).type;
  return FILE_SYSTEMS[type] ?? `0x${type.toString(16)}`;
}

function commitOf(directory: string): string {
  const git = (...args: string[]) =>
    execFileSync('git', ['-C', directory, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  try {
    return git('rev-parse', '--short=12', 'HEAD') + (git('status', '--porcelain') === '' ? '' : '+changes');
  } catch {
    return 'unknown';
  }
}

/** `directory`: where the caches of this bench lie. */
export function environmentOf(directory: string): Environment {
  return {
    date: new Date().toISOString(),
    commit: commitOf(import.meta.dirname),
    node: process.version,
    kernel: release(),
    cores: availableParallelism(),
    cpu: cpus()[0]?.model ?? 'unknown',
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    fileSystem: fileSystemOf(directory),
  };
}
