/**
 * Metadata as an HTTP store can carry it. What a store refuses (Azure takes only names that are C# identifiers, both
 * take only values of printable ASCII, Azure has no `Expires`) travels as base64url JSON under the name `forebaymeta`.
 */
import type { ObjectHeaders } from '../core/object.ts';

/** What one store takes. */
export interface Carrier {
  readonly name: RegExp;
  readonly expires: boolean;
}

export const S3_CARRIER: Carrier = { name: /^[a-z0-9!#$%&'*+.^_`|~-]+$/, expires: true };
export const AZURE_CARRIER: Carrier = { name: /^[a-z_][a-z0-9_]*$/, expires: false };

const CARRIED = 'forebaymeta';
/** Not a name that an HTTP header can have, so no user's metadata has it. */
const EXPIRES = ':expires';
/** Printable, and not changed by the trimming of header values. */
const VALUE = /^(?:[!-~](?:[ -~]*[!-~])?)?$/;

/** The metadata to send for the user's. */
export function carry(
  attributes: { headers: ObjectHeaders; metadata: Readonly<Record<string, string>> },
  carrier: Carrier,
): Record<string, string> {
  const sent: Record<string, string> = {};
  const carried: Record<string, string> = {};
  for (const [name, value] of Object.entries(attributes.metadata)) {
    const fits = name !== CARRIED && carrier.name.test(name) && VALUE.test(value) && value !== '';
    (fits ? sent : carried)[name] = value;
  }
  const { expires } = attributes.headers;
  if (expires !== undefined && !carrier.expires) carried[EXPIRES] = expires;
  if (Object.keys(carried).length > 0) sent[CARRIED] = Buffer.from(JSON.stringify(carried)).toString('base64url');
  return sent;
}

/** The user's metadata, and the headers that travelled with it, from what the store returned. */
export function uncarry(stored: Readonly<Record<string, string>> | undefined): {
  metadata: Record<string, string>;
  headers: { expires?: string };
} {
  const metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(stored ?? {})) metadata[name.toLowerCase()] = value;
  const carried = metadata[CARRIED] === undefined ? undefined : parse(metadata[CARRIED]);
  if (carried === undefined) return { metadata, headers: {} };
  delete metadata[CARRIED];
  const { [EXPIRES]: expires, ...names } = carried;
  return { metadata: { ...metadata, ...names }, headers: expires === undefined ? {} : { expires } };
}

/** What others wrote under our name stays as it is. */
function parse(text: string): Record<string, string> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'));
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    const pairs = Object.entries(value);
    return pairs.every((pair): pair is [string, string] => typeof pair[1] === 'string')
      ? Object.fromEntries(pairs)
      : undefined;
  } catch {
    return undefined;
  }
}
