/** What an actor does on its node. Wrong bytes are told with the place of the first one. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { mkdir, rm, stat, writeFile } from 'node:fs/promises';
import { Agent } from 'node:http';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { readValues, valueBytes } from '../fan-in-read/kv-client.ts';
import { RespClient } from '../fan-in-read/resp-client.ts';
import { copy, restore, save as saveFiles, timed } from '../fan-out-write/job-tasks.ts';
import { send } from '../fan-out-write/uploader.ts';
import { firstWrong, patternSlices } from '../pattern.ts';
import { findTool } from '../tool.ts';
import type { ActorCommand, JobFile, Sink, Source, Spell } from './actor-command.ts';
import { filled } from './template.ts';

type Of<Kind extends ActorCommand['do']> = Extract<ActorCommand, { do: Kind }>;

const READ_BUFFER_BYTES = 1 << 20;
/** Of a command that failed, what people are shown. */
const COMPLAINT_CHARACTERS = 500;
const KNOCK_MS = 1000;
/** Also when this process is killed. */
const SHELL: readonly [command: string, ...args: readonly string[]] =
  findTool('setpriv') === undefined ? ['sh', '-c'] : ['setpriv', '--pdeathsig', 'KILL', 'sh', '-c'];

const doors = new Agent({ keepAlive: true });

/** Workers that take from one list until it is empty. */
async function inParallel<T>(items: readonly T[], parallel: number, work: (item: T) => Promise<void>): Promise<void> {
  const left = items.values();
  const worker = async () => {
    for (const item of left) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(parallel, items.length) }, worker));
}

/** Process groups of commands under way: they end with this process. */
const groups = new Set<number>();

const endGroup = (group: number) => {
  try {
    process.kill(-group, 'SIGKILL');
  } catch {
    // it has ended
  }
};
process.on('exit', () => {
  for (const group of groups) endGroup(group);
});

export async function run(line: string, directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  const [command, ...args] = SHELL;
  const child = spawn(command, [...args, line], {
    cwd: directory,
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-COMPLAINT_CHARACTERS);
  });
  await once(child, 'spawn');
  const group = child.pid as number;
  groups.add(group);
  try {
    const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
    if (code !== 0) throw new Error(`${line}: ended with ${code ?? signal}: ${said.trim()}`);
  } finally {
    // what it left in the background would go on beside the next candidate
    endGroup(group);
    groups.delete(group);
  }
}

async function readFile(path: string, { name, seed, sizeBytes }: JobFile): Promise<void> {
  let at = 0;
  for await (const piece of createReadStream(path, { highWaterMark: READ_BUFFER_BYTES })) {
    const bytes = piece as Buffer;
    const wrong = firstWrong(seed, at, bytes);
    if (wrong !== undefined && wrong < sizeBytes) throw new Error(`${name}: wrong byte at ${wrong}`);
    at += bytes.length;
  }
  if (at !== sizeBytes) throw new Error(`${name}: ${at} bytes instead of ${sizeBytes}`);
}

/** Where a command puts an object, or takes it from. */
const scratch = (directory: string, { name }: JobFile) => join(directory, name.replaceAll('/', '_'));

async function byShell(from: Extract<Source, { via: 'shell' }>, file: JobFile): Promise<void> {
  const path = scratch(from.directory, file);
  await run(filled(from.line, { key: file.name, file: path }), from.directory);
  await readFile(path, file);
  await rm(path, { force: true });
}

async function overResp({ host, lookup }: Extract<Source, { via: 'resp' }>, files: readonly JobFile[]): Promise<void> {
  const resp = await RespClient.connect(host);
  try {
    const values = files.map(({ name, ...rest }) => ({ key: name, ...rest }));
    if (lookup) await resp.do(['FOREBAY.LOOKUP', ...values.map(({ key }) => key)]);
    const there = await readValues(resp, values);
    const missing = values.find((_, at) => there[at] !== true);
    if (missing !== undefined) throw new Error(`${missing.key}: it is not there`);
  } finally {
    resp.close();
  }
}

export function read({ from, files, parallel }: Of<'read'>): Promise<Spell> {
  if (from.via === 'http') {
    const { host, prefix } = from;
    return restore({ do: 'restore', host, prefix, files, parallel });
  }
  return timed(() => {
    if (from.via === 'resp') return overResp(from, files);
    if (from.via === 'shell') return inParallel(files, parallel, (file) => byShell(from, file));
    return inParallel(files, parallel, (file) => readFile(join(from.directory, file.name), file));
  });
}

async function putAll(to: Sink, files: readonly JobFile[]): Promise<void> {
  if (to.kind === 'resp') {
    const resp = await RespClient.connect(to.host);
    try {
      await Promise.all(files.map(({ name, seed, sizeBytes }) => resp.do(['SET', name, valueBytes(seed, sizeBytes)])));
    } finally {
      resp.close();
    }
    return;
  }
  for (const file of files) {
    if (to.kind === 'put')
      await send(
        doors,
        { method: 'PUT', host: to.host, path: to.prefix + file.name, headers: { 'content-length': file.sizeBytes } },
        patternSlices(file.seed, file.sizeBytes),
      );
    else if (to.kind === 'shell')
      await run(filled(to.line, { key: file.name, file: scratch(to.directory, file) }), to.directory);
  }
}

export async function save({ ranks, to }: Of<'save'>): Promise<Spell> {
  if (to.kind === 'files' || to.kind === 's3' || to.kind === 'origin') return saveFiles({ do: 'save', ranks, to });
  // what the command shall take is there before the clock starts: the job has it in memory
  if (to.kind === 'shell')
    for (const file of ranks.flat()) {
      await mkdir(dirname(scratch(to.directory, file)), { recursive: true });
      await writeFile(scratch(to.directory, file), valueBytes(file.seed, file.sizeBytes));
    }
  return timed(() => Promise.all(ranks.map((files) => putAll(to, files))));
}

export function copyAll({ files, ...rest }: Of<'copy'>): Promise<Spell> {
  return timed(() => Promise.all(files.map((file) => copy({ ...rest, file }))));
}

export async function knock(host: string): Promise<boolean> {
  const [address, port] = host.split(':') as [string, string];
  const socket = connect(Number(port), address);
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(KNOCK_MS) });
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

export async function isMounted(directory: string): Promise<boolean> {
  const [own, above] = await Promise.all([stat(directory), stat(dirname(directory))]);
  return own.dev !== above.dev;
}
