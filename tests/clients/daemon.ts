/** One daemon with credentials on, and every real client at its door, one after the other. */
import type { TestContext } from 'node:test';
import { Daemon, type Setting } from '../../bench/daemon.ts';
import { awsSdkJs } from './aws-sdk-js.ts';
import { awscli } from './awscli.ts';
import { boto3 } from './boto3.ts';
import { rclone } from './rclone.ts';
import { s3cmd } from './s3cmd.ts';
import { clientSuite, type OriginSide } from './suite.ts';

const TOOLS = [awscli, boto3, rclone, s3cmd, awsSdkJs];
export const VOLUME = 'lake';
export const KEY = { id: 'FOREBAYTESTKEY000001', secret: 'forebay-test-secret-for-this-run-only' };

export async function startClients(
  t: TestContext,
  options: {
    directory: string;
    volume: Readonly<Record<string, Setting>>;
    environment: Readonly<Record<string, string>>;
    origin: OriginSide | ((daemon: Daemon) => OriginSide);
  },
): Promise<void> {
  const { directory, volume, environment, origin } = options;
  const daemon = await Daemon.start({
    directory,
    volumes: { [VOLUME]: { ...volume, write: true } },
    node: { capacity: '2GiB' },
    key: KEY,
    environment,
  });
  t.after(() => daemon.stop());
  const side = typeof origin === 'function' ? origin(daemon) : origin;
  const door = { endpoint: `http://${daemon.s3}`, bucket: VOLUME, key: KEY, directory };
  for (const tool of TOOLS) await t.test(tool.name, (child) => clientSuite(child, tool, door, side));
}
