/** Commands on what is on its way to the origins: `drain`, `conflicts`, `leave`, `recover`. */
import { setTimeout as sleep } from 'node:timers/promises';
import { formatDuration, formatSize } from '../core/quantity.ts';
import type { Conflict } from '../drain/conflicts.ts';
import type { VolumeProgress } from '../drain/drain.ts';
import type { LeaveProgress } from '../drain/leave.ts';
import type { RecoverReport } from '../drain/recover.ts';
import { DONE, FAILED, wrongUse } from './failure.ts';
import { type Output, printable } from './output.ts';
import { type ClientOptions, clientOf } from './session.ts';
import { parseTarget } from './target.ts';

/** Between two looks of one who waits. */
const LOOK_MS = 300;
const TELL_MS = 2000;

interface WaitOptions extends ClientOptions {
  readonly wait?: boolean;
}

/** Exit 1 where something does not drain by itself. */
export async function drain(operands: readonly string[], options: WaitOptions, output: Output): Promise<number> {
  const [volume] = operands;
  const client = await clientOf(options);
  const ask = async () =>
    (await client.post<{ volumes: VolumeProgress[] }>('/v1/drain', volume ? { volume } : {})).volumes;
  let found = await ask();
  let toldMs = performance.now();
  while (options.wait && found.some((each) => !each.isStuck && (each.keeper === '' || each.pendingObjects > 0))) {
    if (performance.now() - toldMs > TELL_MS) {
      if (!output.json) for (const each of found) output.line(lineOf(each));
      toldMs = performance.now();
    }
    await sleep(LOOK_MS);
    found = await ask();
  }
  if (output.json) output.object({ volumes: found });
  else for (const each of found) output.line(lineOf(each));
  return found.some(({ isStuck, troubledObjects }) => isStuck || troubledObjects > 0) ? FAILED : DONE;
}

function lineOf({ volume, keeper, ...progress }: VolumeProgress): string {
  if (keeper === '') return `${volume}: no node is its keeper yet`;
  const { pendingObjects, pendingBytes, oldestMs, underWay, troubledObjects, message } = progress;
  const trouble = troubledObjects > 0 ? `, ${troubledObjects} in trouble (see forebay conflicts ls)` : '';
  const why = message === undefined ? '' : `: ${printable(message)}`;
  if (pendingObjects === 0) return `${volume}: everything is at the origin (keeper ${printable(keeper)})`;
  return `${volume}: ${pendingObjects} objects, ${formatSize(pendingBytes)} wait, the oldest for ${formatDuration(oldestMs)}, ${underWay} under way${trouble} (keeper ${printable(keeper)})${why}`;
}

interface ConflictsOptions extends ClientOptions {
  readonly keep?: string;
}

/**
 * `conflicts ls [VOLUME]`, `conflicts resolve VOLUME[/KEY] --keep ours|theirs`; without a key all that there are in the volume. Exit 1 from
 * `ls` where there are any.
 */
export async function conflicts(
  operands: readonly string[],
  options: ConflictsOptions,
  output: Output,
): Promise<number> {
  const [what, operand] = operands;
  const client = await clientOf(options);
  if (what === 'ls') {
    const query = operand === undefined ? {} : { volume: operand };
    const { conflicts: found } = await client.get<{ conflicts: Conflict[] }>('/v1/conflicts', query);
    if (output.json) output.object({ conflicts: found });
    else printConflicts(found, output);
    return found.length > 0 ? FAILED : DONE;
  }
  if (what !== 'resolve' || operand === undefined)
    throw wrongUse(
      'write it like: forebay conflicts ls [VOLUME], or forebay conflicts resolve VOLUME[/KEY] --keep ours|theirs',
    );
  const { volume, key } = parseTarget(operand);
  if (options.keep !== 'ours' && options.keep !== 'theirs')
    throw wrongUse('--keep ours puts our version in the place of theirs; --keep theirs gives our version up');
  let keys = key === undefined ? [] : [key];
  if (key === undefined) {
    const { conflicts: found } = await client.get<{ conflicts: Conflict[] }>('/v1/conflicts', { volume });
    keys = found.map((each) => each.key);
  }
  for (const each of keys) {
    await client.post('/v1/conflicts/resolve', { volume, key: each, keep: options.keep });
    const said = options.keep === 'ours' ? 'ours goes to the origin' : 'theirs stays';
    if (!output.json) output.line(`${volume}/${printable(each)}: ${said}`);
  }
  if (output.json) output.object({ resolved: true, keys });
  else if (keys.length === 0) output.line('nothing is in conflict');
  return DONE;
}

function printConflicts(found: readonly Conflict[], output: Output): void {
  if (found.length === 0) {
    output.line('nothing is in conflict');
    return;
  }
  const rows = found.map(({ volume, key, kind, what, sizeBytes, parked, theirs, message }) => [
    `${volume}/${printable(key)}`,
    kind,
    what === 'delete' ? 'delete' : formatSize(sizeBytes ?? 0),
    theirsOf(theirs),
    printable(message),
    printable(parked ?? ''),
  ]);
  output.table(['OBJECT', 'WHAT', 'OURS', 'AT THE ORIGIN', 'WHY', 'OURS IS KEPT AT'], rows);
}

function theirsOf(theirs: Conflict['theirs']): string {
  if (theirs === undefined) return 'not known';
  if (theirs === 'nothing') return theirs;
  return `${formatSize(theirs.sizeBytes)}, ${printable(theirs.etag)}, ${new Date(theirs.modifiedMs).toISOString()}`;
}

/** Ends the node. */
export async function leave(_: readonly string[], options: WaitOptions, output: Output): Promise<number> {
  const client = await clientOf(options);
  let toldMs = Number.NEGATIVE_INFINITY;
  for await (const progress of client.lines<LeaveProgress>('/v1/leave', { wait: options.wait ?? false })) {
    if (output.json) output.object(progress);
    else if (progress.objects > 0 && performance.now() - toldMs > TELL_MS) {
      output.line(`${progress.objects} objects, ${formatSize(progress.bytes)}, are only on this node`);
      toldMs = performance.now();
    }
  }
  if (!output.json) output.line('nothing is only on this node: it ends now');
  return DONE;
}

export async function recover(
  operands: readonly string[],
  options: ClientOptions & { readonly force?: boolean },
  output: Output,
): Promise<number> {
  const [volume] = operands;
  if (volume === undefined) throw wrongUse('write it like: forebay recover VOLUME');
  const asked = { volume, ...(options.force && { force: true }) };
  const report = await (await clientOf(options)).post<RecoverReport>('/v1/recover', asked);
  if (output.json) output.object(report);
  else {
    const { recovered, replaced, bytes, known, silent } = report;
    output.line(`${volume}: ${recovered} objects, ${formatSize(bytes)}, have a record again; ${known} had one`);
    if (replaced > 0) output.line(`${replaced} of them are newer than what the coordinator had of their keys`);
    if (silent.length > 0)
      output.line(`did not answer: ${silent.map(printable).join(', ')}; run it again when they are back`);
  }
  return report.silent.length > 0 ? FAILED : DONE;
}
