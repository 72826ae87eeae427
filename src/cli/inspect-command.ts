/** `forebay inspect`: reads a cache directory without a daemon, also beside a running one, and changes nothing. */
import { resolve } from 'node:path';
import { formatSize } from '../core/quantity.ts';
import { createRealDisk } from '../io/real/disk.ts';
import { type Inspection, inspectDirectory } from '../store/inspect.ts';
import { DONE } from './failure.ts';
import { type Output, printable } from './output.ts';
import { type CommonOptions, configOf } from './session.ts';

interface InspectOptions extends CommonOptions {
  readonly find?: string;
}

export async function inspect(operands: readonly string[], options: InspectOptions, output: Output): Promise<number> {
  const directory = operands[0] === undefined ? (await configOf(options)).node.cacheDir : resolve(operands[0]);
  const disk = createRealDisk();
  try {
    const found = await inspectDirectory(disk, directory, options.find);
    if (output.json) output.object(found);
    else print(found, options.find, output);
  } finally {
    await disk.close();
  }
  return DONE;
}

function print(found: Inspection, wanted: string | undefined, output: Output): void {
  const records = Object.entries(found.journal.records).map(([type, count]) => `${count} ${type}`);
  output.line(`directory  ${printable(found.directory)}, format ${found.format}, last boot ${found.bootId}`);
  output.line(`journal    ${formatSize(found.journal.bytes)}: ${records.join(', ')}`);
  if (found.journal.lostBytes > 0)
    output.line(`           ${formatSize(found.journal.lostBytes)} at its end are damaged and will be dropped`);
  output.line(
    `contents   ${found.contents} and ${found.smallContents} small ones, ${formatSize(found.presentBytes)} present`,
  );
  const dirtyBytes = found.dirty.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  output.line(
    `written    ${found.dirty.length} not in the origin (${formatSize(dirtyBytes)}), ${found.unsealed} whose writing did not end`,
  );
  output.line(`facts      ${found.facts}`);
  output.line(`orphans    ${found.orphans.length}`);
  if (wanted === undefined) return;
  if (found.found.length === 0) output.line(`nothing is here of ${printable(wanted)}`);
  for (const { fact, content } of found.found) {
    if (fact)
      output.line(
        `object     ${printable(`${fact.volume}/${fact.key}`)}: ${formatSize(fact.sizeBytes)}, ETag ${fact.etag}, content ${fact.content}`,
      );
    if (content)
      output.line(
        `content    ${content.id}: ${formatSize(content.sizeBytes)}, ${content.presentBlocks} blocks present, ${content.kind}${content.fileBytes === undefined ? '' : ` of ${formatSize(content.fileBytes)}`}`,
      );
  }
}
