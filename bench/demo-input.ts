/** What the demo reads: a file, or the files of a folder, of the user's own. */
import { createHash } from 'node:crypto';
import { createReadStream, readdirSync, statSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { WrongUse } from './scenario.ts';

const FILES_MAX = 10_000;

export interface DemoInput {
  readonly key: string;
  readonly path: string;
  readonly sizeBytes: number;
  readonly sha256: string;
}

async function sha256Of(path: string): Promise<string> {
  const digest = createHash('sha256');
  for await (const piece of createReadStream(path, { highWaterMark: 1 << 20 })) digest.update(piece as Buffer);
  return digest.digest('hex');
}

/** The file, or the regular files below the folder, with what their bytes must hash to. Throws WrongUse where there are none. */
export async function inputsOf(path: string): Promise<readonly DemoInput[]> {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) throw new WrongUse(`there is no ${path}`);
  const paths = found.isFile()
    ? [path]
    : readdirSync(path, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name));
  if (paths.length === 0) throw new WrongUse(`there are no files in ${path}`);
  if (paths.length > FILES_MAX) throw new WrongUse(`${path} has more than ${FILES_MAX} files; choose a smaller folder`);
  const root = found.isFile() ? resolve(path, '..') : path;
  const inputs: DemoInput[] = [];
  for (const file of paths.sort()) {
    const { size: sizeBytes } = statSync(file);
    inputs.push({ key: relative(root, file), path: file, sizeBytes, sha256: await sha256Of(file) });
  }
  return inputs;
}
