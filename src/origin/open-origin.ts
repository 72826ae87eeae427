/** From a URL to an origin with everything around it: retries, bounds, and events of each request. */
import { ForebayError } from '../core/errors.ts';
import type { Clock, Disk, Random } from '../io/io.ts';
import type { Emit } from '../observe/events.ts';
import { createAzureOrigin } from './azure.ts';
import type { AzureCredentials } from './azure-client.ts';
import { createFileOrigin } from './file.ts';
import { keyPrefix } from './http-store.ts';
import { createMemoryOrigin } from './memory.ts';
import { observed } from './observed.ts';
import type { Origin } from './origin.ts';
import { retry } from './retry.ts';
import { createS3Origin } from './s3.ts';
import type { S3Credentials } from './s3-client.ts';
import { throttle } from './throttle.ts';

export interface OpenOriginOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly emit: Emit;
  /** Makes the disk of a `file:` origin, rooted at an absolute path; closed with the origin. */
  readonly createDisk: (root: string) => Disk & { close?(): Promise<void> };
  /** The service's URL, for `az:` and `s3:`. */
  readonly endpoint?: string;
  /** For `s3:`. */
  readonly region?: string;
  readonly azure?: AzureCredentials;
  /** Without them the SDK's own chain is asked. */
  readonly s3?: S3Credentials;
  readonly bytesPerS?: number;
  readonly requestsMax?: number;
  readonly idleMs?: number;
}

export type OriginUrl =
  | { readonly kind: 'memory' }
  | { readonly kind: 'file'; readonly root: string }
  | { readonly kind: 'azure'; readonly account: string; readonly container: string; readonly prefix: string }
  | { readonly kind: 's3'; readonly bucket: string; readonly prefix: string };

/** Opens without asking the origin anything: `probe` does. Throws `config` with what is wrong with the URL. */
export function openOrigin(url: string, options: OpenOriginOptions): Origin {
  const bare = openBare(url, parseOriginUrl(url), options);
  const { clock, random, emit, bytesPerS, requestsMax } = options;
  const bounds = {
    ...(bytesPerS === undefined ? {} : { bytesPerS }),
    ...(requestsMax === undefined ? {} : { requestsMax }),
  };
  return retry(throttle(observed(bare, { clock, emit }), { clock, ...bounds }), { clock, random, emit });
}

function openBare(url: string, parsed: OriginUrl, options: OpenOriginOptions): Origin {
  const { clock, random, endpoint, region, azure, s3, idleMs } = options;
  const shared = {
    url,
    clock,
    ...(endpoint === undefined ? {} : { endpoint: checkEndpoint(endpoint) }),
    ...(idleMs === undefined ? {} : { idleMs }),
  };
  if (endpoint !== undefined && (parsed.kind === 'memory' || parsed.kind === 'file'))
    throw config(url, 'takes no endpoint');
  switch (parsed.kind) {
    case 'memory':
      return createMemoryOrigin({ clock, random, url });
    case 'file': {
      const disk = options.createDisk(parsed.root);
      const origin = createFileOrigin({ disk, random, url });
      origin.close = async () => {
        await disk.close?.();
      };
      return origin;
    }
    case 'azure':
      return createAzureOrigin({
        ...shared,
        ...parsed,
        random,
        ...(azure === undefined ? {} : { credentials: azure }),
      });
    case 's3': {
      const place = region === undefined ? {} : { region };
      return createS3Origin({ ...shared, ...parsed, ...place, ...(s3 === undefined ? {} : { credentials: s3 }) });
    }
  }
}

const ACCOUNT = /^[a-z0-9]{3,24}$/;
const CONTAINER = /^(?:\$root|\$web|[a-z0-9](?:-?[a-z0-9]){2,62})$/;
const BUCKET = /^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$/;

/** Reads `az://account/container[/prefix]`, `s3://bucket[/prefix]`, `file:///dir`, `memory:`. */
export function parseOriginUrl(url: string): OriginUrl {
  if (url === 'memory:') return { kind: 'memory' };
  if (url === 'none') throw config(url, 'is for kv volumes only');
  const match = /^([a-z0-9]+):\/\/([^/]*)(\/.*)?$/s.exec(url);
  const [, scheme, host = '', path = ''] = match ?? [];
  if (scheme === 'file') return parseFile(url, host, path);
  if (scheme !== 'az' && scheme !== 's3')
    throw config(url, 'is none of az://account/container[/prefix], s3://bucket[/prefix], file:///dir, memory:');
  if (host.includes('@'))
    throw config(url.replace(/\/\/[^@]*@/, '//…@'), 'holds credentials: they come from the environment');
  if (/[?#]/.test(url))
    throw config(url.replace(/[?#].*/s, '…'), 'has a query: SAS tokens come from AZURE_STORAGE_SAS_TOKEN');
  if (scheme === 's3') {
    if (!BUCKET.test(host)) throw config(url, `has no valid bucket name ("${host}")`);
    return { kind: 's3', bucket: host, prefix: keyPrefix(path) };
  }
  const [container = '', ...rest] = path.split('/').slice(1);
  if (!ACCOUNT.test(host)) throw config(url, `has no valid account name ("${host}"): 3 to 24 of a–z and 0–9`);
  if (!CONTAINER.test(container))
    throw config(url, `has no valid container name ("${container}"): 3 to 63 of a–z, 0–9 and single "-"`);
  if (rest.some((segment) => segment === '.' || segment === '..')) throw config(url, 'has "." or ".." in its prefix');
  return { kind: 'azure', account: host, container, prefix: keyPrefix(rest.join('/')) };
}

function parseFile(url: string, host: string, path: string): OriginUrl {
  if (host !== '' || path === '') throw config(url, 'needs an absolute path: file:///dir');
  let root: string;
  try {
    root = decodeURIComponent(path);
  } catch {
    throw config(url, 'is not well percent-encoded');
  }
  if (root.includes('\0')) throw config(url, 'has NUL in its path');
  return { kind: 'file', root: root.replace(/\/+$/, '') || '/' };
}

function checkEndpoint(endpoint: string): string {
  const url = URL.parse(endpoint);
  if (url === null || !/^https?:$/.test(url.protocol))
    throw config(endpoint, 'is no endpoint: it begins with https:// or http://');
  if (url.username !== '' || url.password !== '' || url.search !== '')
    throw config(url.origin, 'must hold neither credentials nor a query');
  return endpoint.replace(/\/+$/, '');
}

function config(url: string, text: string): ForebayError {
  return new ForebayError('config', `origin ${JSON.stringify(url)} ${text}`);
}
