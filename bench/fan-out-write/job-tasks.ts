/** What a job does on its host. */
import { once } from 'node:events';
import { mkdir, open } from 'node:fs/promises';
import { Agent, type IncomingMessage, request } from 'node:http';
import { dirname, join } from 'node:path';
import { monotonicMs } from '../fan-out-read/agent-command.ts';
import { patternSlice, patternSlices } from '../pattern.ts';
import { RawReader } from '../raw-reader.ts';
import type { AckLevel, JobCommand, JobFile, SaveTarget, Spell } from './job-command.ts';
import { send, Uploader } from './uploader.ts';

const READ_BUFFER_BYTES = 1 << 20;

type Of<Kind extends JobCommand['do']> = Extract<JobCommand, { do: Kind }>;

const doors = new Agent({ keepAlive: true });
const uploader = new Uploader();

export async function timed(work: () => Promise<unknown>): Promise<Spell> {
  const fromMs = monotonicMs();
  await work();
  return { fromMs, toMs: monotonicMs() };
}

/** As frameworks do: created, written in pieces, synced, closed. */
async function writeFileSynced(path: string, { seed, sizeBytes }: JobFile): Promise<void> {
  const file = await open(path, 'wx');
  try {
    for (const slice of patternSlices(seed, sizeBytes)) await file.write(slice);
    await file.sync();
  } finally {
    await file.close();
  }
}

const inMemory = ({ seed, sizeBytes }: JobFile) => ({
  sizeBytes,
  read: (at: number, length: number) => {
    const pieces: Buffer[] = [];
    for (let done = 0; done < length; done += READ_BUFFER_BYTES)
      pieces.push(patternSlice(seed, at + done, Math.min(READ_BUFFER_BYTES, length - done)));
    return Promise.resolve(Buffer.concat(pieces));
  },
});

async function saveFile(file: JobFile, to: SaveTarget): Promise<void> {
  if (to.kind === 'files') return writeFileSynced(join(to.directory, file.name), file);
  const path = to.prefix + file.name;
  if (to.kind === 'origin') return uploader.upload({ host: to.host, path }, inMemory(file));
  const { name, attempt } = to.checkpoint ?? {};
  const headers = {
    'content-length': file.sizeBytes,
    'x-forebay-ack': to.ack,
    ...(name !== undefined && { 'x-forebay-checkpoint': name }),
    ...(attempt !== undefined && { 'x-forebay-attempt': attempt }),
  };
  await send(doors, { method: 'PUT', host: to.host, path, headers }, patternSlices(file.seed, file.sizeBytes));
}

export async function save({ ranks, to }: Of<'save'>): Promise<Spell> {
  if (to.kind === 'files')
    for (const { name } of ranks.flat()) await mkdir(dirname(join(to.directory, name)), { recursive: true });
  return timed(() =>
    Promise.all(
      ranks.map(async (files) => {
        for (const file of files) await saveFile(file, to);
      }),
    ),
  );
}

export async function copy({ directory, file, host, prefix }: Of<'copy'>): Promise<Spell> {
  const from = await open(join(directory, file.name));
  try {
    const read = async (at: number, length: number): Promise<Buffer> => {
      const bytes = Buffer.allocUnsafeSlow(length);
      const { bytesRead } = await from.read(bytes, 0, length, at);
      if (bytesRead !== length) throw new Error(`${file.name} is shorter than it was`);
      return bytes;
    };
    const { sizeBytes } = file;
    return await timed(() => uploader.upload({ host, path: prefix + file.name }, { sizeBytes, read }));
  } finally {
    await from.close();
  }
}

/** Workers that take from one list until it is empty. */
async function inParallel<T>(
  items: readonly T[],
  parallel: number,
  work: (next: () => T | undefined) => Promise<void>,
) {
  const left = items.values();
  const next = () => left.next().value;
  await Promise.all(Array.from({ length: Math.min(parallel, items.length) }, () => work(next)));
}

export function restore({ host, prefix, files, parallel }: Of<'restore'>): Promise<Spell> {
  return timed(() =>
    inParallel(files, parallel, async (next) => {
      const reader = new RawReader(host, { bufferBytes: READ_BUFFER_BYTES });
      await reader.connect();
      try {
        for (let file = next(); file !== undefined; file = next())
          await reader.read({ path: prefix + file.name, seed: file.seed, start: 0, end: file.sizeBytes });
      } finally {
        reader.close();
      }
    }),
  );
}

async function head(host: string, path: string): Promise<number> {
  const sent = request(`http://${host}${path}`, { method: 'HEAD', agent: doors });
  sent.end();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  response.resume();
  await once(response, 'end');
  return response.statusCode ?? 0;
}

/** Rejects when the answer is neither yes nor no. */
export async function exists({ host, path }: Of<'exists'>): Promise<boolean> {
  const status = await head(host, path);
  if (status !== 200 && status !== 404) throw new Error(`HEAD ${path}: ${status}`);
  return status === 200;
}

export async function openAgain({ host, paths, count }: Of<'open'>): Promise<readonly number[]> {
  const took: number[] = [];
  for (let i = 0; i < count; i++) {
    const path = paths[i % paths.length] as string;
    const fromMs = performance.now();
    const status = await head(host, path);
    if (status !== 200) throw new Error(`HEAD ${path}: ${status}`);
    took.push(performance.now() - fromMs);
  }
  return took;
}

export function put({ host, prefix, count, parallel, sizeBytes, ack }: Of<'put'>): Promise<Spell> {
  const one = (seed: number, level: AckLevel) => {
    const headers = { 'content-length': sizeBytes, 'x-forebay-ack': level };
    return send(doors, { method: 'PUT', host, path: `${prefix}${seed}`, headers }, patternSlices(seed, sizeBytes));
  };
  const seeds = Array.from({ length: count }, (_, i) => i);
  return timed(() =>
    inParallel(seeds, parallel, async (next) => {
      for (let seed = next(); seed !== undefined; seed = next()) await one(seed, ack);
    }),
  );
}
