/** rclone, with its generic S3 provider. */
import { requireTool } from '../tools.ts';
import { type Client, type Door, run, type Tool } from './client.ts';

function connect(command: string, door: Door): Client {
  const environment = {
    RCLONE_CONFIG: `${door.directory}/rclone-none`,
    RCLONE_CONFIG_FB_TYPE: 's3',
    RCLONE_CONFIG_FB_PROVIDER: 'Other',
    RCLONE_CONFIG_FB_ACCESS_KEY_ID: door.key.id,
    RCLONE_CONFIG_FB_SECRET_ACCESS_KEY: door.key.secret,
    RCLONE_CONFIG_FB_ENDPOINT: door.endpoint,
    RCLONE_CONFIG_FB_FORCE_PATH_STYLE: 'true',
    RCLONE_CONFIG_FB_NO_CHECK_BUCKET: 'true',
    RCLONE_S3_CHUNK_SIZE: '8M',
    RCLONE_S3_UPLOAD_CUTOFF: '8M',
    RCLONE_RETRIES: '1',
  };
  const rclone = (...args: string[]) => run(command, args, environment);
  const remote = (key: string) => `FB:${door.bucket}/${key}`;
  const upload = async (key: string, file: string) => void (await rclone('copyto', file, remote(key)));
  return {
    upload,
    uploadInParts: upload,
    download: async (key, file) => void (await rclone('copyto', remote(key), file)),
    uploadFolder: async (folder, prefix) => void (await rclone('copy', folder, remote(prefix))),
    downloadFolder: async (prefix, folder) => void (await rclone('copy', remote(prefix), folder)),
    range: (key, start, end) => rclone('cat', remote(key), '--offset', String(start), '--count', String(end - start)),
    async list(prefix) {
      const out = await rclone('lsf', '--recursive', '--files-only', remote(prefix));
      return out
        .toString()
        .split('\n')
        .filter((name) => name !== '')
        .map((name) => prefix + name);
    },
    copy: async (from, to) => void (await rclone('copyto', remote(from), remote(to))),
    remove: async (key) => void (await rclone('deletefile', remote(key))),
    close: async () => {},
  };
}

export const rclone: Tool = {
  name: 'rclone',
  async connect(t, door) {
    const command = requireTool(t, 'rclone');
    return command === undefined ? undefined : connect(command, door);
  },
};
