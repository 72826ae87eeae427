/** The AWS command line. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { requireTool } from '../tools.ts';
import { type Client, type Door, run, type Tool } from './client.ts';

const CONFIGURATION = `[default]
region = us-east-1
s3 =
  addressing_style = path
  multipart_threshold = 8MB
  multipart_chunksize = 8MB
`;

function connect(command: string, door: Door): Client {
  const config = join(door.directory, 'aws-config');
  writeFileSync(config, CONFIGURATION);
  const environment = {
    AWS_ACCESS_KEY_ID: door.key.id,
    AWS_SECRET_ACCESS_KEY: door.key.secret,
    AWS_CONFIG_FILE: config,
    AWS_SHARED_CREDENTIALS_FILE: join(door.directory, 'none'),
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_PAGER: '',
    LC_ALL: 'C.UTF-8',
  };
  const aws = (...args: string[]) => run(command, ['--endpoint-url', door.endpoint, ...args], environment);
  const url = (key: string) => `s3://${door.bucket}/${key}`;
  const upload = async (key: string, file: string) => void (await aws('s3', 'cp', file, url(key)));
  return {
    upload,
    uploadInParts: upload,
    download: async (key, file) => void (await aws('s3', 'cp', url(key), file)),
    uploadFolder: async (folder, prefix) => void (await aws('s3', 'cp', '--recursive', folder, url(prefix))),
    downloadFolder: async (prefix, folder) => void (await aws('s3', 'cp', '--recursive', url(prefix), folder)),
    async range(key, start, end) {
      const file = join(door.directory, 'aws-range');
      const which = ['--bucket', door.bucket, '--key', key, '--range', `bytes=${start}-${end - 1}`];
      await aws('s3api', 'get-object', ...which, file);
      return readFileSync(file);
    },
    async list(prefix) {
      const which = ['--bucket', door.bucket, '--prefix', prefix, '--query', 'Contents[].Key', '--output', 'json'];
      return (JSON.parse((await aws('s3api', 'list-objects-v2', ...which)).toString()) as string[] | null) ?? [];
    },
    copy: async (from, to) => void (await aws('s3', 'cp', url(from), url(to))),
    remove: async (key) => void (await aws('s3', 'rm', url(key))),
    close: async () => {},
  };
}

export const awscli: Tool = {
  name: 'awscli',
  async connect(t, door) {
    const command = requireTool(t, 'aws');
    return command === undefined ? undefined : connect(command, door);
  },
};
