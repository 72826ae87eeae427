/**
 * Finds out which conditions an origin keeps, by trying them on an object of our own: S3-like stores answer 200 to a condition
 * that they do not know (DESIGN.md section 8).
 */
import { ForebayError, isForebayError } from '../core/errors.ts';
import type { Random } from '../io/io.ts';
import { bodyOf } from '../origin/body.ts';
import type { Condition, Origin, PutOptions } from '../origin/origin.ts';

/** Where the drain keeps what is its own at the origin. */
export const RESERVED_PREFIX = '.forebay/';

export interface KeptConditions {
  /** `If-None-Match: *` and `If-Match` of puts. */
  readonly puts: boolean;
  /** The same of uploads in parts. */
  readonly uploads: boolean;
}

/** Rejects with the origin's errors where it cannot be found out. What it writes it deletes. */
export async function probeConditions(
  origin: Origin,
  { random, signal }: { random: Random; signal: AbortSignal },
): Promise<KeptConditions> {
  const key = `${RESERVED_PREFIX}probe/${Buffer.from(random.bytes(8)).toString('hex')}`;
  const options: PutOptions = { headers: {}, metadata: {}, signal };
  const body = bodyOf(new TextEncoder().encode('forebay looks which conditions this store keeps\n'));
  const { etag } = await origin.put(key, body, options);
  try {
    const other = `"${etag.slice(1, -1).replace(/[0-9a-f]/gi, (digit) => (digit === '0' ? '1' : '0'))}"`;
    const [isNew, isOther] = [{ condition: { ifNoneMatch: '*' } }, { condition: { ifMatch: other } }] as const;
    const puts =
      (await refuses(() => origin.put(key, body, { ...options, ...isNew }))) &&
      (await refuses(() => origin.put(key, body, { ...options, ...isOther })));
    const uploads =
      puts &&
      (await refusesUpload(origin, key, { ...options, ...isNew })) &&
      (await refusesUpload(origin, key, { ...options, ...isOther }));
    return { puts, uploads };
  } finally {
    await origin.delete(key, { signal }).catch((error: unknown) => {
      if (!isForebayError(error) && !signal.aborted) throw error;
    });
  }
}

async function refusesUpload(
  origin: Origin,
  key: string,
  options: PutOptions & { readonly condition: Condition },
): Promise<boolean> {
  const upload = { key, id: await origin.begin(key, options) };
  const part = await origin.part(upload, 1, bodyOf(new Uint8Array(1)), options);
  const isRefused = await refuses(() => origin.finalise(upload, [part], options));
  if (isRefused) await origin.abort(upload);
  return isRefused;
}

async function refuses(write: () => Promise<unknown>): Promise<boolean> {
  try {
    await write();
    return false;
  } catch (error) {
    if (isForebayError(error, 'preconditionFailed', 'conflict')) return true;
    if (error instanceof ForebayError && error.code === 'notImplemented') return false;
    throw error;
  }
}
