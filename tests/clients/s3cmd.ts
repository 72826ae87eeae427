/** s3cmd. It has no range option; going on with a half-finished download is its way to ask for a part of an object. */
import { closeSync, ftruncateSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { requireTool } from '../tools.ts';
import { type Client, type Door, run, type Tool } from './client.ts';

function connect(command: string, door: Door): Client {
  const config = join(door.directory, 's3cfg');
  const { host } = new URL(door.endpoint);
  writeFileSync(
    config,
    `[default]
access_key = ${door.key.id}
secret_key = ${door.key.secret}
host_base = ${host}
host_bucket = ${host}
bucket_location = us-east-1
use_https = False
check_ssl_certificate = False
encoding = UTF-8
multipart_chunk_size_mb = 8
`,
  );
  const s3cmd = (...args: string[]) => run(command, ['-c', config, '--no-progress', ...args], { LC_ALL: 'C.UTF-8' });
  const url = (key: string) => `s3://${door.bucket}/${key}`;
  const upload = async (key: string, file: string) => void (await s3cmd('put', file, url(key)));
  return {
    upload,
    uploadInParts: upload,
    download: async (key, file) => void (await s3cmd('get', '--force', url(key), file)),
    uploadFolder: async (folder, prefix) => void (await s3cmd('put', '--recursive', `${folder}/`, url(prefix))),
    downloadFolder: async (prefix, folder) => void (await s3cmd('get', '--recursive', url(prefix), `${folder}/`)),
    async range(key, start, end) {
      const file = join(door.directory, 's3cmd-range');
      rmSync(file, { force: true });
      const descriptor = openSync(file, 'w');
      ftruncateSync(descriptor, start);
      closeSync(descriptor);
      await s3cmd('get', '--continue', url(key), file);
      return readFileSync(file).subarray(start, end);
    },
    async list(prefix) {
      const out = (await s3cmd('ls', '--recursive', url(prefix))).toString();
      return [...out.matchAll(/^\S+ \S+ +\d+ +s3:\/\/[^/]+\/(.*)$/gm)].map((match) => match[1] as string);
    },
    copy: async (from, to) => void (await s3cmd('cp', url(from), url(to))),
    remove: async (key) => void (await s3cmd('del', url(key))),
    close: async () => {},
  };
}

export const s3cmd: Tool = {
  name: 's3cmd',
  async connect(t, door) {
    const command = requireTool(t, 's3cmd');
    return command === undefined ? undefined : connect(command, door);
  },
};
