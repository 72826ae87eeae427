/** A file system that the kernel freezes when told to (writes hang, reads go on): an ext4 image on a loop device. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

export interface FreezableDisk {
  readonly directory: string;
  freeze(): void;
  thaw(): void;
}

const run = (command: string, ...args: string[]) => execFileSync(command, args, { stdio: 'pipe' });

/** A mounted file system of its own, or the reason why there is none. */
export function mountFreezable(t: TestContext, sizeMiB = 64): FreezableDisk | string {
  if (process.getuid?.() !== 0) return 'mounting needs root';
  const base = fs.mkdtempSync(join(tmpdir(), 'forebay-frozen-'));
  const image = join(base, 'image');
  const directory = join(base, 'mnt');
  fs.mkdirSync(directory);
  try {
    run('truncate', '-s', `${sizeMiB}M`, image);
    run('mkfs.ext4', '-q', '-F', image);
    run('mount', '-o', 'loop', image, directory);
  } catch (error) {
    fs.rmSync(base, { recursive: true, force: true });
    return `no loop mount here: ${(error as Error).message.split('\n')[0]}`;
  }
  let frozen = false;
  const thaw = () => {
    if (frozen) run('fsfreeze', '-u', directory);
    frozen = false;
  };
  t.after(() => {
    thaw();
    run('umount', directory);
    fs.rmSync(base, { recursive: true, force: true });
  });
  return {
    directory,
    freeze() {
      run('fsfreeze', '-f', directory);
      frozen = true;
    },
    thaw,
  };
}
