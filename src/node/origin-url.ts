/**
 * Origins as they are written in the configuration: `az://`, `s3://`, `file:///`, `memory:`, and `none` of kv
 * volumes. They never carry secrets.
 */
import { field, Refusal } from './config-field.ts';

export const ORIGIN_EXPECTED =
  'an origin: az://account/container[/prefix], s3://bucket[/prefix], file:///dir, memory:, or none (kv volumes)';
export const ORIGIN_EXAMPLE = 'origin = "az://account/container"';
const SECRETS = 'credentials come from the environment (AZURE_…, AWS_…), not from the configuration';

const AZURE = /^az:\/\/[a-z0-9]{3,24}\/(\$root|\$web|[a-z0-9](?:-?[a-z0-9]){2,62})(\/.*)?$/;
const S3 = /^s3:\/\/[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9](\/.*)?$/;

/** Checks an origin's form; `undefined` where it is none. Throws `Refusal` for what is understood but not possible. */
function readOrigin(value: unknown): string | undefined {
  if (typeof value !== 'string' || value.length > 2048 || !value.isWellFormed()) return undefined;
  if (value === 'none' || value === 'memory:') return value;
  if (/^(az|s3):\/\/[^/]*@/.test(value) || /^az:\/\/.*[?&](sig|se|sv)=/.test(value))
    throw new Refusal(`an origin holds no secrets: ${SECRETS}`);
  if (value.startsWith('file://')) return readFileOrigin(value);
  return AZURE.test(value) || S3.test(value) ? value : undefined;
}

function readFileOrigin(value: string): string {
  const path = filePath(value);
  if (!path.startsWith('/'))
    throw new Refusal(
      `a file: origin takes an absolute path, with three slashes, got ${JSON.stringify(value)}; write it like origin = "file:///data/models"`,
    );
  if (path.includes('\0') || path.split('/').some((segment) => segment === '.' || segment === '..'))
    throw new Refusal(`a file: origin takes a path without "." and "..", got ${JSON.stringify(value)}`);
  return value;
}

/** The directory of a `file:` origin; percent-encoding is undone. */
export function filePath(origin: string): string {
  const path = origin.slice('file://'.length);
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

export const originField = field<string>({
  expected: ORIGIN_EXPECTED,
  example: ORIGIN_EXAMPLE,
  read: readOrigin,
});

export const endpointField = field<string>({
  expected: 'an http:// or https:// URL',
  example: 'endpoint = "https://storage.example.com"',
  read(value) {
    const url = typeof value === 'string' ? URL.parse(value) : null;
    if (!url || (url.protocol !== 'http:' && url.protocol !== 'https:')) return undefined;
    if (url.username !== '' || url.password !== '' || url.search !== '')
      throw new Refusal(`an endpoint holds no secrets: ${SECRETS}`);
    return value as string;
  },
});
