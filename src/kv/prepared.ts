/** Values that are here, once what they have to be prepared for is done: bytes read or checked that were not since the machine was started. */
import { isForebayError } from '../core/errors.ts';
import { DiskError } from '../io/io.ts';
import type { OpenValue } from './kv.ts';
import type { LocalValues } from './values.ts';

/** False where it cannot be had: its disk does not answer. */
function prepared(local: LocalValues, key: string): true | Promise<boolean> {
  const preparing = local.prepare(key);
  return preparing === undefined ? true : settled(preparing);
}

async function settled(preparing: Promise<void>): Promise<boolean> {
  try {
    await preparing;
    return true;
  } catch (error) {
    if (isForebayError(error) || error instanceof DiskError) return false;
    throw error;
  }
}

/** A value that is here, opened. */
export async function openHere(local: LocalValues, key: string): Promise<OpenValue | undefined> {
  if (local.find(key) === undefined) return undefined;
  return (await prepared(local, key)) ? local.open(key) : undefined;
}

/** A value that is here, promised for so long. */
export async function leaseHere(local: LocalValues, key: string, ms: number): Promise<boolean> {
  if (local.find(key) === undefined) return false;
  const ready = prepared(local, key);
  return (ready === true || (await ready)) && local.lease(key, ms);
}
