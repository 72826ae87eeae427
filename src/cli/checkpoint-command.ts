/** `forebay checkpoint …`: many objects committed as one. */
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { text as readAll } from 'node:stream/consumers';
import { formatSize } from '../core/quantity.ts';
import type { CheckpointInfo, CommittedInfo } from '../write/checkpoints.ts';
import type { AdminClient } from './admin-client.ts';
import { DONE, wrongUse } from './failure.ts';
import { type Output, printable } from './output.ts';
import { type ClientOptions, clientOf } from './session.ts';
import { parseTarget } from './target.ts';

interface CheckpointOptions extends ClientOptions {
  readonly attempt?: string;
  readonly keys?: string;
  readonly count?: string;
}

interface Given {
  readonly client: AdminClient;
  readonly operands: readonly string[];
  readonly options: CheckpointOptions;
  readonly output: Output;
}

type Action = (given: Given) => Promise<void>;

const ACTIONS: Readonly<Record<string, { readonly usage: string; readonly run: Action }>> = {
  begin: { usage: 'VOLUME/NAME', run: begin },
  put: { usage: 'VOLUME/NAME PATH FILE --attempt TOKEN', run: put },
  commit: { usage: 'VOLUME/NAME --attempt TOKEN [--count N] [--keys FILE]', run: commit },
  abort: { usage: 'VOLUME/NAME --attempt TOKEN', run: abort },
  latest: { usage: 'VOLUME', run: latest },
  list: { usage: 'VOLUME', run: list },
  rollback: { usage: 'VOLUME/NAME', run: rollback },
  keep: { usage: 'VOLUME COUNT', run: keep },
};

export async function checkpoint(
  operands: readonly string[],
  options: CheckpointOptions,
  output: Output,
): Promise<number> {
  const [name = '', ...rest] = operands;
  const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined;
  if (action === undefined) {
    const usages = Object.entries(ACTIONS).map(([each, { usage }]) => `${each} ${usage}`);
    throw wrongUse(`checkpoint takes one of: ${usages.join('; ')}`);
  }
  await action.run({ client: await clientOf(options), operands: rest, options, output });
  return DONE;
}

async function begin({ client, operands, output }: Given): Promise<void> {
  const given = named('begin', operands);
  const { attempt } = await client.post<{ attempt: string }>('/v1/checkpoints/begin', given);
  if (output.json) output.object({ ...given, attempt });
  else output.line(attempt);
}

async function put({ client, operands, options, output }: Given): Promise<void> {
  const [target, path, file] = operands;
  if (target === undefined || path === undefined || file === undefined || operands.length > 3) throw misused('put');
  const { volume, name } = named('put', [target]);
  const attempt = attemptOf('put', options);
  const key = `${name}/${path}`;
  const { size } = await stat(file).catch((error: NodeJS.ErrnoException) => {
    throw wrongUse(`${file} cannot be read (${error.code})`);
  });
  const query = { volume, name, attempt, key };
  const done = await client.put<{ etag: string; level: string }>('/v1/checkpoints/objects', query, {
    sizeBytes: size,
    stream: () => createReadStream(file),
  });
  if (output.json) output.object({ key, sizeBytes: size, ...done });
  else output.line(`${printable(key)} ${formatSize(size)} ${done.level}`);
}

async function commit({ client, operands, options, output }: Given): Promise<void> {
  const given = named('commit', operands);
  const attempt = attemptOf('commit', options);
  const count = options.count === undefined ? undefined : countOf('--count', options.count);
  const paths = options.keys === undefined ? undefined : await linesOf(options.keys);
  const keys = paths?.map((path) => `${given.name}/${path}`);
  const body = { ...given, attempt, ...(count !== undefined && { count }), ...(keys && { keys }) };
  const done = await client.post<CommittedInfo>('/v1/checkpoints/commit', body);
  if (output.json) output.object(done);
  else
    output.line(
      `${printable(done.name)} committed: ${done.objects} objects, ${formatSize(done.bytes)}${done.isLatest ? ', the latest' : ', not the latest: a later one is committed'}`,
    );
}

async function abort({ client, operands, options, output }: Given): Promise<void> {
  const given = { ...named('abort', operands), attempt: attemptOf('abort', options) };
  await client.post('/v1/checkpoints/abort', given);
  if (output.json) output.object({ ...given, state: 'aborted' });
  else output.line(`${printable(given.name)} aborted`);
}

async function latest({ client, operands, output }: Given): Promise<void> {
  const found = await client.get<CheckpointInfo>('/v1/checkpoints/latest', { volume: volumeOf('latest', operands) });
  if (output.json) output.object(found);
  else output.line(printable(found.name));
}

async function list({ client, operands, output }: Given): Promise<void> {
  const volume = volumeOf('list', operands);
  const { checkpoints } = await client.get<{ checkpoints: CheckpointInfo[] }>('/v1/checkpoints', { volume });
  for (const each of checkpoints) {
    if (output.json) output.object(each);
    else output.line(lineOf(each));
  }
}

function lineOf({ name, state, isLatest, objects, bytes, committedMs }: CheckpointInfo): string {
  const when = committedMs === undefined ? '' : `${new Date(committedMs).toISOString().slice(0, 19)}Z`;
  const size = bytes === undefined ? '' : formatSize(bytes);
  const count = objects === undefined ? '' : `${objects} objects`;
  const parts = [when.padStart(20), state.padEnd(9), size.padStart(10), count.padStart(15), printable(name)];
  return `${parts.join(' ')}${isLatest ? ' (latest)' : ''}`;
}

async function rollback({ client, operands, output }: Given): Promise<void> {
  const found = await client.post<CheckpointInfo>('/v1/checkpoints/rollback', named('rollback', operands));
  if (output.json) output.object(found);
  else output.line(`${printable(found.name)} is the latest now`);
}

async function keep({ client, operands, output }: Given): Promise<void> {
  const [target, text] = operands;
  if (target === undefined || text === undefined || operands.length > 2) throw misused('keep');
  const body = { volume: volumeOf('keep', [target]), count: countOf('COUNT', text) };
  const { removed } = await client.post<{ removed: string[] }>('/v1/checkpoints/keep', body);
  if (output.json) output.object({ ...body, removed });
  else output.line(removed.length === 0 ? 'nothing to delete' : `deleting ${removed.map(printable).join(', ')}`);
}

function misused(action: string): Error {
  return wrongUse(`checkpoint ${action} takes ${ACTIONS[action]?.usage ?? ''}`);
}

function named(action: string, operands: readonly string[]): { volume: string; name: string } {
  const [target] = operands;
  if (target === undefined || operands.length > 1) throw misused(action);
  const { volume, key } = parseTarget(target);
  if (key === undefined) throw misused(action);
  return { volume, name: key };
}

function volumeOf(action: string, operands: readonly string[]): string {
  const [target] = operands;
  if (target === undefined || operands.length > 1) throw misused(action);
  const { volume, key, prefix } = parseTarget(target);
  if (key !== undefined || prefix !== '') throw misused(action);
  return volume;
}

function attemptOf(action: string, { attempt }: CheckpointOptions): string {
  if (attempt === undefined)
    throw wrongUse(`checkpoint ${action} needs --attempt TOKEN: \`forebay checkpoint begin\` printed it`);
  return attempt;
}

function countOf(what: string, text: string): number {
  const count = Number(text);
  if (!Number.isSafeInteger(count) || count < 1) throw wrongUse(`${what} ${text}: expected a count of at least 1`);
  return count;
}

async function linesOf(path: string): Promise<string[]> {
  const text = path === '-' ? await readAll(process.stdin) : await readFile(path, 'utf8');
  return text.split('\n').filter((line) => line !== '');
}
