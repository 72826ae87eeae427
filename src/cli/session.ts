/** What every command starts from: its options, where it runs, and, for those that ask a node, a client. */
import { homedir, hostname } from 'node:os';
import { parseAddress } from '../core/address.ts';
import type { AccessKey } from '../front/credentials.ts';
import type { Config } from '../node/config.ts';
import type { Surroundings } from '../node/config-schema.ts';
import { AdminClient } from './admin-client.ts';
import { wrongUse } from './failure.ts';

/** Options that all commands take. */
export interface CommonOptions {
  readonly json?: boolean;
  readonly config?: string;
  readonly set?: readonly string[];
  readonly volume?: readonly string[];
}

export interface ClientOptions extends CommonOptions {
  readonly admin?: string;
  readonly credentials?: string;
}

export function surroundings(): Surroundings {
  return {
    hostName: hostname().replace(/[^A-Za-z0-9._-]/g, '-') || 'localhost',
    homeDirectory: homedir(),
    workingDirectory: process.cwd(),
    environment: process.env,
  };
}

export async function configOf(options: CommonOptions): Promise<Config> {
  const { loadConfig } = await import('../node/config.ts');
  return loadConfig({ file: options.config, set: options.set ?? [], volume: options.volume ?? [] }, surroundings());
}

/** The node's own key, where this user has one. */
export async function ownKey(options: ClientOptions): Promise<AccessKey | undefined> {
  const { credentialsPath, readCredentialsFile } = await import('../node/credentials-file.ts');
  const key = await readCredentialsFile(options.credentials ?? credentialsPath(surroundings()));
  if (!key && options.credentials !== undefined) throw wrongUse(`${options.credentials}: there is no such file`);
  return key;
}

/** A client for the node named by `--admin`, else by the configuration. */
export async function clientOf(options: ClientOptions): Promise<AdminClient> {
  const address = options.admin === undefined ? (await configOf(options)).doors.admin : parseAddress(options.admin);
  if (address === undefined)
    throw wrongUse(`--admin ${options.admin}: expected HOST:PORT; write it like --admin 127.0.0.1:7073`);
  if (address === false) throw wrongUse('the configuration switches the admin door off (doors.admin = false)');
  if (address.port === 0)
    throw wrongUse(
      'the configuration lets the system choose the port of the admin door',
      'Name it with --admin HOST:PORT: `forebay up` printed it.',
    );
  return new AdminClient(address, await ownKey(options));
}
