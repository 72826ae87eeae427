/** boto3 from PyPI (Debian's sends no checksum trailers), driven through one Python process that takes a command per line. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { requirePython } from '../servers/python.ts';
import {
  type Client,
  clientEnvironment,
  type Door,
  downloadEach,
  filesBelow,
  PART_BYTES,
  type Tool,
} from './client.ts';

export const BOTO3_VERSION = '1.44.5';
const DRIVER = join(import.meta.dirname, 'boto3-driver.py');

type Answer = { readonly result: unknown } | { readonly error: string };

function connect(python: string, door: Door): Client {
  const child: ChildProcess = spawn(python, ['-u', DRIVER], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...clientEnvironment(), AWS_EC2_METADATA_DISABLED: 'true', AWS_CONFIG_FILE: join(door.directory, 'none') },
  });
  const answers = createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
  const ask = async (command: Readonly<Record<string, unknown>>): Promise<unknown> => {
    child.stdin?.write(`${JSON.stringify(command)}\n`);
    const { value, done } = await answers.next();
    if (done) throw new Error('the Python process has ended');
    const answer = JSON.parse(value as string) as Answer;
    if ('error' in answer) throw new Error(answer.error);
    return answer.result;
  };
  const ready = ask({
    endpoint: door.endpoint,
    bucket: door.bucket,
    id: door.key.id,
    secret: door.key.secret,
    part: PART_BYTES,
  });
  const call = async (name: string, ...args: unknown[]) => {
    await ready;
    return ask({ do: name, args });
  };
  const own: Client = {
    async uploadFolder(folder, prefix) {
      for (const { path, file } of filesBelow(folder)) await own.upload(prefix + path, file);
    },
    downloadFolder: (prefix, folder) => downloadEach(own, prefix, folder),
    upload: async (key, file) => void (await call('upload', key, file)),
    uploadInParts: async (key, file) => void (await call('upload_in_parts', key, file)),
    download: async (key, file) => void (await call('download', key, file)),
    range: async (key, start, end) => Buffer.from((await call('range', key, start, end)) as string, 'base64'),
    list: async (prefix) => (await call('list', prefix)) as string[],
    copy: async (from, to) => void (await call('copy', from, to)),
    remove: async (key) => void (await call('remove', key)),
    async close() {
      child.stdin?.end();
      if (child.exitCode === null) await once(child, 'exit');
    },
  };
  return own;
}

export const boto3: Tool = {
  name: 'boto3',
  async connect(t, door) {
    const python = await requirePython(t, 'boto3', BOTO3_VERSION);
    return python === undefined ? undefined : connect(python, door);
  },
};
