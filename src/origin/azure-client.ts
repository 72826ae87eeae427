/** The Azure SDK, loaded on first use (it costs 25 MiB), and who it says it is. */
import type { TokenCredential } from '@azure/identity';
import type { ContainerClient, StoragePipelineOptions, StorageSharedKeyCredential } from '@azure/storage-blob';
import { ForebayError } from '../core/errors.ts';

/**
 * What may open an account, tried in this order: a connection string, a SAS token, an account key; without any,
 * the platform's own chain (environment, workload identity, managed identity, CLI). The caller reads them from wherever they are kept.
 */
export interface AzureCredentials {
  readonly connectionString?: string;
  readonly sasToken?: string;
  /** The account that `accountKey` is of. */
  readonly account?: string;
  readonly accountKey?: string;
}

export interface AzureAccess {
  readonly account: string;
  readonly container: string;
  /** The blob service's URL where it is not the public cloud's: an emulator's, another cloud's. */
  readonly endpoint?: string;
  readonly credentials?: AzureCredentials;
}

/** Retries are ours (`retry.ts`), and an origin that redirects is misconfigured. */
const OPTIONS: StoragePipelineOptions & { redirectOptions: { maxRetries: number } } = {
  retryOptions: { maxTries: 1 },
  redirectOptions: { maxRetries: 0 },
  userAgentOptions: { userAgentPrefix: 'forebay' },
};

interface Opening {
  readonly endpoint: string;
  readonly account: string;
  readonly accountKey?: string | undefined;
  readonly sasToken?: string | undefined;
}

export async function openContainer(access: AzureAccess): Promise<ContainerClient> {
  const { BlobServiceClient, StorageSharedKeyCredential: SharedKey } = await import('@azure/storage-blob');
  const opening = openingOf(access);
  const open = (url: string, credential?: StorageSharedKeyCredential | TokenCredential) =>
    new BlobServiceClient(url, credential, OPTIONS).getContainerClient(access.container);
  if (opening.accountKey !== undefined) {
    const credential = new SharedKey(opening.account, opening.accountKey);
    return open(opening.endpoint, credential);
  }
  if (opening.sasToken !== undefined) return open(`${opening.endpoint}?${opening.sasToken}`);
  const { DefaultAzureCredential } = await import('@azure/identity');
  return open(opening.endpoint, new DefaultAzureCredential());
}

/** Decides, without any effect, where to go and with what. */
export function openingOf(access: AzureAccess): Opening {
  const { account, credentials = {} } = access;
  const endpointOf = (other: string | undefined) =>
    (access.endpoint ?? other ?? `https://${account}.blob.core.windows.net`).replace(/\/+$/, '');
  if (credentials.connectionString !== undefined) {
    const fields = connectionFields(credentials.connectionString);
    const named = fields.get('accountname');
    if (named !== undefined && named !== account)
      throw config(`the connection string is of the account ${named}, the origin's URL names ${account}`);
    const suffix = fields.get('endpointsuffix');
    const protocol = fields.get('defaultendpointsprotocol') ?? 'https';
    const endpoint = endpointOf(
      fields.get('blobendpoint') ?? (suffix === undefined ? undefined : `${protocol}://${account}.blob.${suffix}`),
    );
    const sasToken = fields.get('sharedaccesssignature')?.replace(/^\?/, '');
    const accountKey = fields.get('accountkey');
    if (accountKey === undefined && sasToken === undefined)
      throw config('the connection string has neither AccountKey nor SharedAccessSignature');
    return { endpoint, account, accountKey, sasToken };
  }
  const endpoint = endpointOf(undefined);
  if (credentials.sasToken !== undefined)
    return { endpoint, account, sasToken: credentials.sasToken.replace(/^\?/, '') };
  if (credentials.accountKey !== undefined && (credentials.account ?? account) === account)
    return { endpoint, account, accountKey: credentials.accountKey };
  return { endpoint, account };
}

function connectionFields(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const field of text.split(';')) {
    const at = field.indexOf('=');
    if (at > 0) fields.set(field.slice(0, at).trim().toLowerCase(), field.slice(at + 1).trim());
  }
  return fields;
}

function config(text: string): ForebayError {
  return new ForebayError('config', `Azure credentials: ${text}`);
}
