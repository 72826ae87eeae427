/** Writes of known bytes into a store of the simulator, and what is read of them. */
import assert from 'node:assert/strict';
import type { ContentId } from '../src/core/ids.ts';
import { MiB } from '../src/core/limits.ts';
import { bytesOfPiece } from '../src/store/piece.ts';
import type { DirtyNote, Staging } from '../src/store/staging.ts';
import type { Store } from '../src/store/store.ts';
import { ramp, tableOf } from './sim-store.ts';

export const CHUNK = 4 * MiB;

export const idOf = (n: number): ContentId => `00${n.toString(16).padStart(30, '0')}` as ContentId;
export const noteOf = (key: string): DirtyNote => ({ volume: 'v', key, record: Buffer.from(`{"record":"${key}"}`) });

export interface WriteOptions {
  readonly isDeclared?: boolean;
  readonly pieceBytes?: number;
  readonly until?: 'written' | 'summed' | 'sealed';
}

export async function write(
  store: Store,
  id: ContentId,
  sizeBytes: number,
  options: WriteOptions = {},
): Promise<Staging> {
  const { isDeclared = true, pieceBytes = MiB, until = 'sealed' } = options;
  const staging = await store.stage({ id, chunkSizeBytes: CHUNK, ...(isDeclared && { lengthBytes: sizeBytes }) });
  for (let at = 0; at < sizeBytes; at += pieceBytes)
    await staging.write(at, ramp(id, at, Math.min(at + pieceBytes, sizeBytes)));
  if (until === 'written') return staging;
  const sealed = await staging.sum(sizeBytes);
  assert.deepEqual(sealed, { sizeBytes, table: tableOf(id, sizeBytes) });
  if (until === 'sealed') await staging.seal(noteOf(id));
  return staging;
}

async function read(store: Store, id: ContentId, sizeBytes: number): Promise<Buffer | undefined> {
  const hold = store.hold({ id, sizeBytes, chunkSizeBytes: CHUNK });
  const slices: Uint8Array[] = [];
  let at = 0;
  try {
    while (at < sizeBytes) {
      const piece = await store.acquire(id, { start: at, end: sizeBytes }, { verify: false });
      if (piece === undefined) return undefined;
      const bytes = await bytesOfPiece(piece);
      slices.push(Uint8Array.from(bytes));
      piece.release();
      at += bytes.length;
    }
    return Buffer.concat(slices);
  } finally {
    hold.release();
  }
}

export async function assertRight(store: Store, id: ContentId, sizeBytes: number): Promise<void> {
  const bytes = await read(store, id, sizeBytes);
  assert.ok(bytes !== undefined, `${id} is whole`);
  assert.equal(bytes.compare(ramp(id, 0, sizeBytes)), 0, `${id} has the right bytes`);
}
