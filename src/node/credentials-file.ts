/**
 * The node's own key, made at the first start: `$XDG_CONFIG_HOME/forebay/credentials`, in the form of an AWS credentials
 * file, so that AWS tools can read it too. It may do everything, hence mode 0600, and a file that others may read is
 * refused. Two daemons that start at once agree on one key: the file appears whole, by a link that only one can make.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { link, mkdir, open, unlink, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ForebayError } from '../core/errors.ts';
import type { AccessKey, Credentials } from '../front/credentials.ts';
import type { Surroundings } from './config-schema.ts';

const FILE_MAX_BYTES = 64 * 1024;

export function credentialsPath({
  environment,
  homeDirectory,
}: Pick<Surroundings, 'environment' | 'homeDirectory'>): string {
  return `${environment['XDG_CONFIG_HOME'] || `${homeDirectory}/.config`}/forebay/credentials`;
}

/** The node's key; `undefined` where the file does not exist. ForebayError `config` where it is not private or not understood. */
export async function readCredentialsFile(path: string): Promise<AccessKey | undefined> {
  let text: string;
  try {
    await using file = await open(path, 'r');
    const stat = await file.stat();
    const mode = stat.mode & 0o777;
    if ((mode & 0o077) !== 0)
      throw new ForebayError(
        'config',
        `${path}: others may read it (mode ${mode.toString(8).padStart(4, '0')}); chmod 600 it, and replace the key if it was exposed`,
      );
    const owner = process.getuid?.();
    if (owner !== undefined && stat.uid !== owner && owner !== 0)
      throw new ForebayError('config', `${path}: belongs to another user (uid ${stat.uid})`);
    if (stat.size > FILE_MAX_BYTES) throw new ForebayError('config', `${path}: larger than a credentials file can be`);
    text = await file.readFile('utf8');
  } catch (error) {
    if (error instanceof ForebayError) throw error;
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT') return undefined;
    throw new ForebayError('config', `${path}: cannot be read (${code ?? String(error)})`, { cause: error });
  }
  const key = parseCredentials(text);
  if (!key)
    throw new ForebayError(
      'config',
      `${path}: holds no aws_access_key_id and aws_secret_access_key below [default]; remove it, and the next start writes a new one`,
    );
  return key;
}

/** The node's key, made where there is none. */
export async function ensureCredentialsFile(path: string): Promise<{ key: AccessKey; created: boolean }> {
  const existing = await readCredentialsFile(path);
  if (existing) return { key: existing, created: false };
  const id = `FB${randomBytes(9).toString('hex').toUpperCase()}`;
  const secret = randomBytes(30).toString('base64url');
  const fresh = `${path}.${randomUUID()}`;
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await writeFile(fresh, formatCredentials(id, secret), { mode: 0o600, flag: 'wx', flush: true });
    await link(fresh, path).finally(() => unlink(fresh));
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== 'EEXIST')
      throw new ForebayError(
        'config',
        `${path}: cannot be written (${code ?? String(error)}); set XDG_CONFIG_HOME to a writable directory`,
        { cause: error },
      );
  }
  const key = await readCredentialsFile(path);
  if (!key) throw new ForebayError('config', `${path}: vanished while it was being made`);
  return { key, created: key.id === id };
}

function formatCredentials(id: string, secret: string): string {
  return [
    '# Made by the first start of forebay: a key that may do everything on this node. Keep it private (mode 0600).',
    '[default]',
    `aws_access_key_id = ${id}`,
    `aws_secret_access_key = ${secret}`,
    '',
  ].join('\n');
}

/** Reads the `[default]` section of an AWS credentials file. */
function parseCredentials(text: string): AccessKey | undefined {
  const values = new Map<string, string>();
  let section = '';
  for (const line of text.split(/\r?\n/)) {
    const header = /^\s*\[\s*([^\]]*?)\s*\]\s*$/.exec(line);
    if (header) section = header[1] as string;
    const entry = /^\s*([a-z_]+)\s*=\s*(\S+)\s*$/.exec(line);
    if (entry && section === 'default') values.set(entry[1] as string, entry[2] as string);
  }
  const id = values.get('aws_access_key_id');
  const secret = values.get('aws_secret_access_key');
  if (id === undefined || secret === undefined || !/^[A-Za-z0-9_-]{3,128}$/.test(id) || secret.length < 16)
    return undefined;
  return { id, secret, volumes: ['*'], rights: ['read', 'write', 'admin'] };
}

const ANONYMOUS: AccessKey = { id: 'anonymous', secret: '', volumes: ['*'], rights: ['read', 'write', 'admin'] };

/** What doors ask. The configuration's own keys come behind the node's. */
export function credentialsOf(keys: readonly AccessKey[], options: { anonymous: boolean }): Credentials {
  const byId = new Map(keys.map((key) => [key.id, key]));
  return {
    only: keys.length <= 2 ? keys.at(-1) : undefined,
    find: (id) => byId.get(id),
    anonymous: options.anonymous ? ANONYMOUS : undefined,
  };
}
