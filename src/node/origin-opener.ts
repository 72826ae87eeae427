/** Opens the origins of volumes that have one, with the credentials that the environment holds. */
import type { Io } from '../io/io.ts';
import { createRealDisk } from '../io/real/disk.ts';
import type { Emit } from '../observe/events.ts';
import type { AzureCredentials } from '../origin/azure-client.ts';
import { openOrigin } from '../origin/open-origin.ts';
import type { Origin } from '../origin/origin.ts';
import type { VolumeConfig } from './config.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * What Azure's own tools read: a connection string, else a SAS token, else an account's key. Without any the
 * SDK's chain is asked (workload identity, managed identity, CLI). S3 credentials come from the AWS SDK's chain, which
 * reads AWS_… itself.
 */
export function azureCredentials(environment: Environment): AzureCredentials | undefined {
  const connectionString = environment['AZURE_STORAGE_CONNECTION_STRING'];
  const sasToken = environment['AZURE_STORAGE_SAS_TOKEN'];
  const account = environment['AZURE_STORAGE_ACCOUNT'];
  const accountKey = environment['AZURE_STORAGE_KEY'] ?? environment['AZURE_STORAGE_ACCOUNT_KEY'];
  if (connectionString) return { connectionString };
  if (sasToken) return { sasToken: sasToken.replace(/^\?/, '') };
  if (accountKey) return { accountKey, ...(account && { account }) };
  return undefined;
}

export function originOpener(options: {
  readonly io: Pick<Io, 'clock' | 'random'>;
  readonly emit: Emit;
  readonly environment: Environment;
  readonly ffi: 'auto' | 'off';
}): (volume: VolumeConfig) => Origin {
  const { clock, random } = options.io;
  const azure = azureCredentials(options.environment);
  return ({ volume, endpoint, region }) =>
    openOrigin(volume.origin, {
      clock,
      random,
      emit: options.emit,
      createDisk: (root) => createRealDisk({ root, ffi: options.ffi }),
      ...(endpoint !== undefined && { endpoint }),
      ...(region !== undefined && { region }),
      ...(azure && volume.origin.startsWith('az:') && { azure }),
    });
}
