/** Commands on objects: `ls`, `warm`, `check`, `evict`, `pin`, `explain`. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { text as readAll } from 'node:stream/consumers';
import { formatDuration, formatSize } from '../core/quantity.ts';
import type { VolumeStatus } from '../front/admin/node-status.ts';
import type { ExplainStep, Listing, ObjectState, WarmProgress } from '../read/reader.ts';
import type { AdminClient } from './admin-client.ts';
import { DONE, FAILED, wrongUse } from './failure.ts';
import { type Output, printable } from './output.ts';
import { type ClientOptions, clientOf } from './session.ts';
import { printVolumes } from './status-command.ts';
import { parseTarget, type Target } from './target.ts';

const PAGE = 1000;
const FAILURES_SHOWN_MAX = 20;

interface LsOptions extends ClientOptions {
  readonly recursive?: boolean;
  readonly limit?: string;
}

export async function ls(operands: readonly string[], options: LsOptions, output: Output): Promise<number> {
  const client = await clientOf(options);
  if (operands[0] === undefined) {
    const { volumes } = await client.get<{ volumes: VolumeStatus[] }>('/v1/volumes');
    if (output.json) output.object({ volumes });
    else printVolumes(volumes, output);
    return DONE;
  }
  const { volume, key, prefix } = parseTarget(operands[0]);
  const limit = options.limit === undefined ? Infinity : Number(options.limit);
  if (!(limit > 0)) throw wrongUse(`--limit ${options.limit}: expected a count of at least 1`);
  let listed = 0;
  for await (const page of pages(
    client,
    { volume, prefix: key ?? prefix ?? '', delimiter: options.recursive ? undefined : '/' },
    limit,
  )) {
    listed += page.objects.length + page.prefixes.length;
    if (page.stale && listed > 0) process.stderr.write('forebay: the origin is away; this listing is an older one\n');
    printPage(page, output);
  }
  return DONE;
}

async function* pages(
  client: AdminClient,
  what: { volume: string; prefix: string; delimiter: string | undefined },
  limit: number,
): AsyncIterable<Listing> {
  let after: string | undefined;
  for (let left = limit; left > 0; ) {
    const page = await client.get<Listing>('/v1/objects', { ...what, after, limit: String(Math.min(PAGE, left)) });
    left -= page.objects.length + page.prefixes.length;
    yield page;
    if (page.next === undefined) return;
    after = page.next;
  }
}

/** Objects and common prefixes, merged in the order of their bytes. */
function printPage(page: Listing, output: Output): void {
  const entries = [
    ...page.prefixes.map((prefix) => ({ name: prefix, object: undefined })),
    ...page.objects.map((object) => ({ name: object.key, object })),
  ].sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
  for (const { name, object } of entries) {
    if (output.json) output.object(object ?? { prefix: name });
    else if (object)
      output.line(
        `${new Date(object.modifiedMs).toISOString().slice(0, 19)}Z ${formatSize(object.sizeBytes).padStart(10)}  ${printable(name)}`,
      );
    else output.line(`${''.padStart(20)} ${''.padStart(10)}  ${printable(name)}`);
  }
}

interface WarmOptions extends ClientOptions {
  readonly to?: string;
  readonly list?: string;
  readonly nodes?: string;
}

export async function warm(operands: readonly string[], options: WarmOptions, output: Output): Promise<number> {
  const named = [...operands, ...(options.list === undefined ? [] : await readList(options.list))];
  if (named.length === 0)
    throw wrongUse('warm what? Name targets (VOLUME, VOLUME/KEY, VOLUME/PREFIX/), or give --list FILE');
  const targets = named.map(parseTarget);
  const client = await clientOf(options);
  const fromMs = performance.now();
  const total = { objects: 0, objectsDone: 0, bytes: 0, bytesDone: 0, failed: [] as WarmProgress['failed'][number][] };
  for (const target of targets) {
    const { nodes } = options;
    const body = {
      ...target,
      ...(options.to !== undefined && { to: resolve(options.to) }),
      ...(nodes !== undefined && { nodes: nodes === 'all' ? nodes : nodes.split(',') }),
    };
    let last: WarmProgress | undefined;
    for await (const progress of client.lines<WarmProgress>('/v1/warm', body)) {
      last = progress;
      output.progress(() => warmLine(sum(total, progress), performance.now() - fromMs));
    }
    if (last) Object.assign(total, sum(total, last));
  }
  report(total, performance.now() - fromMs, output);
  return total.failed.length > 0 ? FAILED : DONE;
}

function sum(total: WarmProgress, progress: WarmProgress): WarmProgress {
  return {
    objects: total.objects + progress.objects,
    objectsDone: total.objectsDone + progress.objectsDone,
    bytes: total.bytes + progress.bytes,
    bytesDone: total.bytesDone + progress.bytesDone,
    failed: [...total.failed, ...progress.failed],
  };
}

function warmLine({ objects, objectsDone, bytes, bytesDone }: WarmProgress, ms: number): string {
  return `${objectsDone} of ${objects} objects, ${formatSize(bytesDone)} of ${formatSize(bytes)}, ${formatSize((1000 * bytesDone) / Math.max(ms, 1))}/s`;
}

function report(total: WarmProgress, ms: number, output: Output): void {
  if (output.json) {
    output.object({ ...total, ms: Math.round(ms) });
    return;
  }
  output.line(`${warmLine(total, ms)}, in ${formatDuration(ms)}`);
  for (const { key, message } of total.failed.slice(0, FAILURES_SHOWN_MAX))
    output.line(`failed: ${printable(key)}: ${printable(message)}`);
  if (total.failed.length > FAILURES_SHOWN_MAX)
    output.line(`… and ${total.failed.length - FAILURES_SHOWN_MAX} more failed`);
}

async function readList(path: string): Promise<string[]> {
  try {
    const text = path === '-' ? await readAll(process.stdin) : await readFile(path, 'utf8');
    return text.split(/\r?\n/).filter((line) => line !== '' && !line.startsWith('#'));
  } catch (error) {
    throw wrongUse(`--list ${path}: cannot be read (${(error as NodeJS.ErrnoException).code ?? String(error)})`);
  }
}

interface CheckOptions extends ClientOptions {
  readonly verify?: boolean;
}

export async function check(operands: readonly string[], options: CheckOptions, output: Output): Promise<number> {
  const targets = operands.map(parseTarget);
  const client = await clientOf(options);
  const total = { objects: 0, whole: 0, partial: 0, absent: 0, pinned: 0, bytes: 0, presentBytes: 0 };
  for (const target of targets) {
    for await (const state of client.lines<ObjectState>('/v1/check', { ...target, verify: options.verify ?? false })) {
      total.objects++;
      total[state.state]++;
      total.pinned += state.pinned ? 1 : 0;
      total.bytes += state.sizeBytes;
      total.presentBytes += state.presentBytes;
      if (output.json) output.object(state);
      else
        output.line(
          `${state.state.padEnd(7)} ${formatSize(state.presentBytes).padStart(10)} of ${formatSize(state.sizeBytes).padStart(10)}${state.pinned ? '  pinned' : ''}  ${printable(`${state.volume}/${state.key}`)}`,
        );
    }
  }
  if (output.json) output.object({ total });
  else
    output.line(
      `${total.objects} objects: ${total.whole} whole, ${total.partial} partial, ${total.absent} absent; ${formatSize(total.presentBytes)} of ${formatSize(total.bytes)} here`,
    );
  return DONE;
}

export async function evict(operands: readonly string[], options: ClientOptions, output: Output): Promise<number> {
  const total = { bytes: 0, kept: 0 };
  await eachTarget(operands, options, async (client, target) => {
    const freed = await client.post<{ bytes: number; kept: number }>('/v1/evict', target);
    total.bytes += freed.bytes;
    total.kept += freed.kept;
  });
  if (output.json) output.object(total);
  else
    output.line(
      `${formatSize(total.bytes)} freed${total.kept > 0 ? `; ${formatSize(total.kept)} kept: pinned or in use` : ''}`,
    );
  return DONE;
}

interface PinOptions extends ClientOptions {
  readonly off?: boolean;
}

export async function pin(operands: readonly string[], options: PinOptions, output: Output): Promise<number> {
  const pinned = !options.off;
  let objects = 0;
  await eachTarget(operands, options, async (client, target) => {
    objects += (await client.post<{ objects: number }>('/v1/pin', { ...target, pinned })).objects;
  });
  if (output.json) output.object({ objects, pinned });
  else output.line(`${objects} objects ${pinned ? 'pinned' : 'no longer pinned'}`);
  return DONE;
}

async function eachTarget(
  operands: readonly string[],
  options: ClientOptions,
  work: (client: AdminClient, target: Target) => Promise<void>,
): Promise<void> {
  const targets = operands.map(parseTarget);
  const client = await clientOf(options);
  for (const target of targets) await work(client, target);
}

export async function explain(operands: readonly string[], options: ClientOptions, output: Output): Promise<number> {
  const { volume, key } = parseTarget(operands[0] as string);
  if (key === undefined) throw wrongUse('explain takes one object: VOLUME/KEY');
  const client = await clientOf(options);
  const found = await client.post<{ steps: ExplainStep[]; state?: ObjectState }>('/v1/explain', { volume, key });
  if (output.json) {
    output.object(found);
    return DONE;
  }
  const rows = found.steps.map((step) => [
    step.source,
    printable(step.result),
    formatSize(step.bytes),
    formatDuration(step.ms),
  ]);
  output.table(['SOURCE', 'RESULT', 'BYTES', 'TIME'], rows, ['BYTES', 'TIME']);
  const state = found.state;
  if (state)
    output.line(
      `${state.state}: ${formatSize(state.presentBytes)} of ${formatSize(state.sizeBytes)} here${state.pinned ? ', pinned' : ''}; ETag ${state.etag}, content ${state.content}`,
    );
  return DONE;
}
