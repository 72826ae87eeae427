/** What the admin door takes: query strings and JSON bodies, bounded and checked. */
import type { IncomingMessage } from 'node:http';
import { z } from 'zod';
import { ForebayError } from '../../core/errors.ts';
import { adminBodyMaxBytes, keyMaxBytes, listKeysMax, writesPageMax } from '../../core/limits.ts';
import { VOLUME_NAME } from '../../core/volume.ts';

export const VOLUME = z.string().regex(VOLUME_NAME, 'not a volume name');
export const KEY = z
  .string()
  .min(1)
  .refine(
    (text) => text.isWellFormed() && Buffer.byteLength(text) <= keyMaxBytes,
    `a key is well-formed text of at most ${keyMaxBytes} bytes`,
  );
const prefix = z
  .string()
  .refine(
    (text) => text.isWellFormed() && Buffer.byteLength(text) <= keyMaxBytes,
    `a prefix is well-formed text of at most ${keyMaxBytes} bytes`,
  );

const selection = { volume: VOLUME, key: KEY.optional(), prefix: prefix.optional() };
const ONE_OF = 'give a key or a prefix, not both';
const oneOf = (given: { key?: unknown; prefix?: unknown }): boolean =>
  given.key === undefined || given.prefix === undefined;

export const WARM = z
  .strictObject({
    ...selection,
    to: z
      .string()
      .max(4096)
      .regex(/^\/[^\0]*$/, 'an absolute path on the machine of the node')
      .optional(),
    nodes: z.union([z.literal('all'), z.array(z.string().min(1).max(255)).min(1).max(10_000)]).optional(),
  })
  .refine(oneOf, ONE_OF);
export const CHECK = z.strictObject({ ...selection, verify: z.boolean().default(false) }).refine(oneOf, ONE_OF);
export const EVICT = z.strictObject(selection).refine(oneOf, ONE_OF);
export const PIN = z.strictObject({ ...selection, pinned: z.boolean().default(true) }).refine(oneOf, ONE_OF);
export const EXPLAIN = z.strictObject({ volume: VOLUME, key: KEY });
export const OBJECTS = z.strictObject({
  volume: VOLUME,
  prefix: prefix.default(''),
  delimiter: z.string().min(1).max(16).optional(),
  after: prefix.optional(),
  limit: z.coerce.number().int().min(1).max(listKeysMax).default(listKeysMax),
});
export const WRITES = z.strictObject({
  volume: VOLUME,
  prefix: prefix.default(''),
  after: prefix.optional(),
  limit: z.coerce.number().int().min(1).max(writesPageMax).default(writesPageMax),
});
export const ADOPT = z.strictObject({
  volume: VOLUME,
  directory: z
    .string()
    .max(4096)
    .regex(/^\/[^\0]*$/, 'an absolute path on the machine of the node'),
  prefix: prefix.default(''),
  deletes: z.boolean().default(false),
  once: z.boolean().default(false),
});
export const EVENTS = z.strictObject({ kinds: z.string().max(1000).optional() });
export const NOTHING = z.strictObject({});

/** A selection without the properties that were not given. */
export function selectionOf(given: { volume: string; key?: string | undefined; prefix?: string | undefined }) {
  if (given.key !== undefined) return { volume: given.volume, key: given.key };
  return { volume: given.volume, prefix: given.prefix ?? '' };
}

/** Throws invalidArgument that names each field and what is wrong with it. */
export function checked<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const complaints = result.error.issues.map((issue) =>
    [issue.path.join('.'), issue.message].filter(Boolean).join(': '),
  );
  throw new ForebayError('invalidArgument', complaints.slice(0, 5).join('; '));
}

export function queryOf(url: URL): Record<string, string> {
  const query: Record<string, string> = {};
  for (const [name, value] of url.searchParams) {
    if (Object.hasOwn(query, name)) throw new ForebayError('invalidArgument', `${name} is given twice`);
    Object.defineProperty(query, name, { value, enumerable: true, configurable: true });
  }
  return query;
}

/** A JSON body of at most `maxBytes`. */
export async function bodyOf(request: IncomingMessage, maxBytes = adminBodyMaxBytes): Promise<unknown> {
  const type = request.headers['content-type']?.split(';')[0]?.trim().toLowerCase();
  if (type !== 'application/json')
    throw new ForebayError('invalidRequest', 'the body is JSON: send Content-Type: application/json');
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    length += piece.length;
    if (length > maxBytes) throw new ForebayError('tooLarge', `the body is larger than ${maxBytes} bytes`);
    pieces.push(piece);
  }
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(pieces)));
  } catch (error) {
    throw new ForebayError('invalidRequest', 'the body is not JSON', { cause: error });
  }
}
