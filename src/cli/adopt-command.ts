/** `forebay adopt`: the node does the work for as long as this command runs. */
import { realpath, stat } from 'node:fs/promises';
import type { AdoptProgress } from '../adopt/adoption.ts';
import { formatSize } from '../core/quantity.ts';
import { VOLUME_NAME } from '../core/volume.ts';
import { DONE, FAILED, wrongUse } from './failure.ts';
import { type Output, printable } from './output.ts';
import { type ClientOptions, clientOf } from './session.ts';

interface AdoptOptions extends Omit<ClientOptions, 'volume'> {
  readonly volume: string;
  readonly prefix: string;
  readonly delete?: boolean;
  readonly once?: boolean;
}

export async function adopt(operands: readonly string[], options: object, output: Output): Promise<number> {
  const { volume, prefix, once = false, delete: deletes = false, ...rest } = options as AdoptOptions;
  if (!VOLUME_NAME.test(volume)) throw wrongUse(`--volume ${volume}: not a volume name`);
  const directory = await directoryOf(operands[0] as string);
  const client = await clientOf(rest);
  let last: AdoptProgress | undefined;
  for await (const progress of client.lines<AdoptProgress>('/v1/adopt', { volume, directory, prefix, deletes, once })) {
    if (last === undefined && !once && !output.json) output.line(`${describe(progress)} ${printable(directory)}`);
    last = progress;
    if (output.json) output.object(progress);
    else output.progress(() => progressLine(progress));
  }
  if (last !== undefined && !output.json) report(last, output);
  return last !== undefined && last.failed.length > 0 ? FAILED : DONE;
}

async function directoryOf(operand: string): Promise<string> {
  try {
    const directory = await realpath(operand);
    if ((await stat(directory)).isDirectory()) return directory;
  } catch (error) {
    throw wrongUse(`${operand}: cannot be read (${(error as NodeJS.ErrnoException).code ?? String(error)})`);
  }
  throw wrongUse(`${operand}: not a directory`);
}

function describe({ state }: AdoptProgress): string {
  return state === 'watched' ? 'watching' : 'looking every second at';
}

function progressLine({ files, filesDone, bytes, bytesDone, failed }: AdoptProgress): string {
  const trouble = failed.length > 0 ? `, ${failed.length} not taken over` : '';
  return `${filesDone} of ${files} files, ${formatSize(bytesDone)} of ${formatSize(bytes)}${trouble}`;
}

function report(progress: AdoptProgress, output: Output): void {
  output.line(progressLine(progress));
  for (const { path, message } of progress.failed) output.line(`failed: ${printable(path)}: ${printable(message)}`);
}
